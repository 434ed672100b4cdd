//! `tracklight watch`.

use chrono::{DateTime, Local};
use clap::ValueEnum;
use ctnetlink::{Entry, Event, EventOptions, Expectation, Groups};
use engine::render::{conntrack, json};
use engine::{Column, Failure, Query, Style, now as nanoseconds_now};

use crate::cli::Global;
use crate::exit::{Outcome, note};
use crate::flags::{FilterArgs, open};
use crate::output::Output;

/// Flags of `tracklight watch`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    filter: FilterArgs,
    /// What to print: new, update, destroy, expect
    #[arg(
        short,
        long,
        value_name = "KIND,…",
        value_delimiter = ',',
        default_value = "new,update,destroy"
    )]
    events: Vec<Kind>,
    /// Output: text, ndjson, or conntrack(8)'s line without the program that caused it
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
    /// Stop after so many
    #[arg(short = 'n', long, value_name = "N")]
    limit: Option<u64>,
    /// Megabytes of the kernel's buffer for events that are not read yet
    #[arg(long, value_name = "MB", default_value_t = 64,
          value_parser = clap::value_parser!(u16).range(..=1024))]
    buffer: u16,
    /// Let the kernel hold back ends of connections that find the buffer full, rather than lose
    /// them
    #[arg(long)]
    reliable: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Births
    New,
    /// Changes
    Update,
    /// Deaths
    Destroy,
    /// Expectations, made and gone
    Expect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One line an event, for people
    Text,
    /// One JSON object a line
    Ndjson,
    /// The line of conntrack(8), without the program that caused it
    Conntrack,
}

/// Events seen and lost.
#[derive(Debug, Default)]
struct Tally {
    seen: u64,
    overruns: u64,
    lost: Option<u64>,
}

/// `tracklight watch`.
pub(crate) fn run(args: &Args, global: &Global) -> Result<Outcome, Failure> {
    let query = args.filter.query(global)?;
    let client = open(global)?;
    let groups = args.events.iter().fold(Groups::empty(), |all, kind| {
        all | match kind {
            Kind::New => Groups::NEW,
            Kind::Update => Groups::UPDATE,
            Kind::Destroy => Groups::DESTROY,
            Kind::Expect => Groups::EXPECTATION,
        }
    });
    let options = EventOptions {
        receive_buffer: usize::from(args.buffer) << 20,
        reliable: args.reliable,
        ..EventOptions::default()
    };
    let mut events = client.events(groups, options)?;
    if global.verbose {
        note(&format!(
            "the kernel's buffer has {} bytes",
            events.receive_buffer()
        ));
    }
    let stopper = events.stopper()?;
    ctrlc::set_handler(move || stopper.stop()).map_err(|error| {
        Failure::new(
            "signal",
            format!("cannot handle signals: {error}"),
            "run it on its own",
        )
    })?;

    let mut out = Output::stdout()?;
    let mut tally = Tally {
        lost: Some(0),
        ..Tally::default()
    };
    let mut left = args.limit.unwrap_or(u64::MAX);
    let result = loop {
        if left == 0 {
            break Ok(());
        }
        let batch = match events.next_batch(None) {
            Ok(Some(batch)) => batch,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error.into()),
        };
        for event in batch.iter() {
            match event {
                Ok(Event::Overrun { lost }) => tally.overrun(lost),
                Ok(event) if selects(&query, &event) && left > 0 => {
                    tally.seen += 1;
                    left -= 1;
                    write_event(out.buffer(), &event, args.output);
                    out.spill()?;
                }
                Ok(_) => {}
                Err(error) => note(&error.to_string()),
            }
        }
        if let Err(failure) = out.flush() {
            break Err(failure);
        }
    };
    note(&tally.sentence());
    result.map(|()| Outcome::Done)
}

impl Tally {
    fn overrun(&mut self, lost: Option<u32>) {
        self.overruns += 1;
        self.lost = self.lost.zip(lost).map(|(sum, lost)| sum + u64::from(lost));
        note("events were lost: the kernel's buffer was full; see --buffer");
    }

    fn sentence(&self) -> String {
        let lost = match (self.overruns, self.lost) {
            (0, _) => "none lost".to_owned(),
            (_, Some(lost)) => format!("{lost} lost"),
            (overruns, None) => {
                format!("an unknown number lost in {overruns} overruns")
            }
        };
        format!("{} events, {lost}", self.seen)
    }
}

fn selects(query: &Query, event: &Event) -> bool {
    match event {
        Event::New(entry) | Event::Update(entry) | Event::Destroy(entry) => {
            query.matches(entry, nanoseconds_now())
        }
        Event::ExpectationNew(expectation) | Event::ExpectationDestroy(expectation) => {
            // Of an expectation only the tuple is known.
            let tuple = expectation.tuple;
            query.is_any() || query.matches(&Entry::new(tuple, tuple.mirror()), nanoseconds_now())
        }
        _ => false,
    }
}

fn write_event(out: &mut Vec<u8>, event: &Event, format: Format) {
    let (kind, entry) = match event {
        Event::New(entry) => ("new", entry),
        Event::Update(entry) => ("update", entry),
        Event::Destroy(entry) => ("destroy", entry),
        Event::ExpectationNew(expectation) => {
            return write_expectation(out, "expect-new", expectation, format);
        }
        Event::ExpectationDestroy(expectation) => {
            return write_expectation(out, "expect-destroy", expectation, format);
        }
        _ => return,
    };
    let now = nanoseconds_now();
    match format {
        Format::Text => write_text(out, kind, entry, now),
        Format::Ndjson => {
            let mut object = json::Object::open(out);
            object.text("event", kind);
            object.number("time_ns", entry.event_time.unwrap_or(now));
            json::write_entry(object.key("entry"), entry);
            object.close();
        }
        Format::Conntrack => {
            let word = match event {
                Event::New(_) => "[NEW]",
                Event::Update(_) => "[UPDATE]",
                _ => "[DESTROY]",
            };
            out.extend_from_slice(format!("{word:>9} ").as_bytes());
            let now = (now / 1_000_000_000).cast_signed();
            conntrack::write_entry(out, entry, conntrack::Options::default(), now);
        }
    }
    out.push(b'\n');
}

/// `20:06:15.123 new     tcp  SYN_SENT 10.0.0.2:40000 → 192.0.2.1:443 as 203.0.113.5:40000`.
fn write_text(out: &mut Vec<u8>, kind: &str, entry: &Entry, now: u64) {
    write_time(out, entry.event_time.unwrap_or(now));
    out.extend_from_slice(format!(" {kind:<8}").as_bytes());
    let mut cell = |column: Column, width: usize, before: &str| {
        let start = out.len();
        column.write(out, entry, Style::Human, now);
        if out.len() > start {
            let text = out.split_off(start);
            out.extend_from_slice(before.as_bytes());
            out.extend_from_slice(&text);
            out.resize(out.len() + width.saturating_sub(text.len()), b' ');
        } else if width > 0 {
            out.resize(start + before.len() + width, b' ');
        }
    };
    cell(Column::Protocol, 6, "");
    cell(Column::State, 11, " ");
    cell(Column::Source, 0, " ");
    cell(Column::Destination, 0, " → ");
    cell(Column::Translated, 0, " ");
    cell(Column::Bytes, 0, "  ");
    cell(Column::Age, 0, "  after ");
    cell(Column::Status, 0, "  ");
}

fn write_expectation(out: &mut Vec<u8>, kind: &str, expectation: &Expectation, format: Format) {
    match format {
        Format::Ndjson => {
            let mut object = json::Object::open(out);
            object.text("event", kind);
            object.number("time_ns", nanoseconds_now());
            json::write_expectation(object.key("expectation"), expectation);
            object.close();
        }
        Format::Text | Format::Conntrack => {
            write_time(out, nanoseconds_now());
            let line = format!(" {kind:<15}{}", super::expect::describe(expectation));
            out.extend_from_slice(line.as_bytes());
        }
    }
    out.push(b'\n');
}

fn write_time(out: &mut Vec<u8>, nanoseconds: u64) {
    let date = DateTime::from_timestamp_nanos(nanoseconds.cast_signed()).with_timezone(&Local);
    out.extend_from_slice(date.format("%H:%M:%S%.3f").to_string().as_bytes());
}
