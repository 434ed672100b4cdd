//! `tracklight save`.

use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use engine::saved::{self, Format, Header, Target};
use engine::{Failure, Query, Source};
use query::Vocabulary;

use super::list::note_source;
use super::stats;
use crate::cli::Global;
use crate::exit::{INCOMPLETE, Outcome, note};
use crate::flags::{FilterFlags, SourceArgs, usage, vocabulary};
use crate::output::print_line;
use crate::progress::Progress;

/// Flags of `tracklight save`.
#[derive(Debug, clap::Args)]
#[command(override_usage = "tracklight save [OPTIONS] [QUERY]... <FILE>")]
pub(crate) struct Args {
    /// Which entries, in the query language, all without one; and last the file to make: - is
    /// standard output
    #[arg(value_name = "[QUERY] FILE", required = true)]
    words: Vec<String>,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
    /// What to write: table keeps everything, conntrack writes the lines of conntrack -L -o save
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: Kind,
    #[command(flatten)]
    flags: FilterFlags,
    #[command(flatten)]
    source: SourceArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// All that the kernel tells of an entry, packed
    Table,
    /// Lines for conntrack -R: no marks, labels, helpers, counters, ids or begins
    Conntrack,
}

/// `tracklight save`.
pub(crate) fn run(args: &Args, global: &Global) -> Result<Outcome, Failure> {
    let Some((file, words)) = args.words.split_last() else {
        return Err(usage(
            "no file is named",
            "name one last, or - for standard output",
        ));
    };
    if words.is_empty() && Query::parse(file, &Vocabulary::default()).is_ok() {
        return Err(usage(
            format!("{file} is a query, and no file is named"),
            "name the file last; one of this name is ./NAME",
        ));
    }
    let is_stream = file == "-";
    if is_stream && args.format == Kind::Table && std::io::stdout().is_terminal() {
        return Err(usage(
            "a saved table is nothing to look at",
            "name a file, or send standard output somewhere: tracklight save - | …",
        ));
    }
    let source = args.source.open(global)?;
    let query = args
        .flags
        .query_in(words, source.header()?.as_ref(), global)?;
    let header = header(&source, &query, global)?;
    let target = Target::open(Path::new(file), args.force)?;
    let format = match args.format {
        Kind::Table => Format::Table,
        Kind::Conntrack => Format::Conntrack,
    };
    let stopped = on_signal()?;
    let mut progress = Progress::new("saving", None);
    let listed = saved::save(&source, &query, &header, format, target, |_, saved| {
        progress.at(saved);
        match stopped.load(Ordering::Relaxed) {
            true => Err(interrupted()),
            false => Ok(true),
        }
    })?;
    drop(progress);
    note_source(&source, global);
    let text = format!("{} saved", listed.selected);
    if is_stream {
        note(&text);
    } else {
        print_line(&text)?;
    }
    if !listed.outcome.complete {
        note(INCOMPLETE);
        return Ok(Outcome::Nothing);
    }
    Ok(Outcome::Done)
}

/// Raised when somebody wants the program to end; files that are not whole are then taken away.
pub(super) fn on_signal() -> Result<Arc<AtomicBool>, Failure> {
    let stopped = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&stopped);
    ctrlc::set_handler(move || stop.store(true, Ordering::Relaxed))
        .map_err(|error| Failure::new("signal", format!("cannot handle signals: {error}"), ""))?;
    Ok(stopped)
}

fn interrupted() -> Failure {
    Failure::new("interrupted", "interrupted: nothing was saved", "")
}

/// Whether to go on.
pub(super) fn flow(stopped: &AtomicBool) -> ControlFlow<()> {
    if stopped.load(Ordering::Relaxed) {
        ControlFlow::Break(())
    } else {
        ControlFlow::Continue(())
    }
}

/// What a file says of itself, as far as it is known here.
pub(super) fn header(source: &Source, query: &Query, global: &Global) -> Result<Header, Failure> {
    let filter = (!query.is_any()).then(|| query.to_string());
    if let Some(header) = source.header()? {
        let both = [header.filter.as_deref(), filter.as_deref()];
        let both: Vec<String> = both
            .into_iter()
            .flatten()
            .map(|filter| format!("({filter})"))
            .collect();
        let filter = (!both.is_empty()).then(|| both.join(" and "));
        return Ok(Header { filter, ..header });
    }
    let switches = stats::switches(global)?;
    let of_kernel = |name: &str| {
        let text = std::fs::read_to_string(format!("/proc/sys/kernel/{name}")).ok()?;
        Some(text.trim().to_owned())
    };
    let local = (vocabulary(global)?.local)().ok();
    Ok(Header {
        program: Some(concat!("tracklight ", env!("CARGO_PKG_VERSION")).to_owned()),
        taken_ns: Some(engine::now()),
        host: of_kernel("hostname"),
        kernel: of_kernel("osrelease"),
        filter,
        accounting: switches.accounting,
        timestamps: switches.timestamps,
        local: local.map(|nets| nets.iter().map(ToString::to_string).collect()),
    })
}
