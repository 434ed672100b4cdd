//! `tracklight group`.

use std::time::Instant;

use anstyle::{AnsiColor, Style as Ansi};
use clap::ValueEnum;
use engine::column::{push_bytes, push_duration};
use engine::group::{By, Groups, MOST_GROUPS, Order, Plan, Report, SortBy, Tally};
use engine::marks::Marks;
use engine::render::group as render;
use engine::{Config, Failure, actions};

use super::list::note_reading;
use crate::cli::Global;
use crate::exit::{INCOMPLETE, Outcome, note};
use crate::flags::{FilterArgs, SourceArgs};
use crate::grid::{Grid, Head, Page};
use crate::output::Output;
use crate::progress::Progress;
use crate::untracked::note_nothing;

/// Flags of `tracklight group`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// One to four fields: src, dport, proto, peer/24, …; `--by help` lists them
    #[arg(short, long, value_name = "FIELD,…", value_delimiter = ',', required = true,
          value_parser = parse_by)]
    by: Vec<Choice>,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    source: SourceArgs,
    /// Output: table, json, ndjson or csv
    #[arg(short, long, value_name = "FORMAT", default_value = "table",
          value_parser = parse_format)]
    output: Format,
    /// Sort by connections, bytes, packets, newest or key: quantities from the largest, keys
    /// ascending
    #[arg(
        long,
        value_name = "WHAT",
        default_value = "connections",
        hide_possible_values = true
    )]
    sort: Sort,
    /// Turn the order round
    #[arg(long)]
    reverse: bool,
    /// Print at most so many groups, and the others summed up in one line
    #[arg(short = 'n', long, value_name = "N")]
    limit: Option<usize>,
    /// Tell at most so many groups apart; connections of further ones are summed up in one line
    #[arg(long, value_name = "N", default_value_t = MOST_GROUPS,
          value_parser = clap::value_parser!(u32).range(1..))]
    max_groups: u32,
}

#[derive(Clone, Debug)]
enum Choice {
    By(By),
    Help,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Table,
    Json,
    Ndjson,
    Csv,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Sort {
    /// The most connections first
    Connections,
    /// The most bytes first
    Bytes,
    /// The most packets first
    Packets,
    /// The newest connection first
    Newest,
    /// By what they are grouped by, ascending
    Key,
}

impl From<Sort> for SortBy {
    fn from(sort: Sort) -> Self {
        match sort {
            Sort::Connections => Self::Connections,
            Sort::Bytes => Self::Bytes,
            Sort::Packets => Self::Packets,
            Sort::Newest => Self::Newest,
            Sort::Key => Self::Key,
        }
    }
}

/// `tracklight group`.
pub(crate) fn run(args: &Args, global: &Global) -> Result<Outcome, Failure> {
    let by = args.by.iter().map(|choice| match choice {
        Choice::By(by) => Some(by.clone()),
        Choice::Help => None,
    });
    let Some(by) = by.collect::<Option<Vec<By>>>() else {
        return list_fields();
    };
    let marks = Marks::new(&Config::load(global.config.as_deref())?.marks);
    let plan = Plan::new(by, &marks, args.max_groups)?;
    let source = args.source.open(global)?;
    let query = args.filter.query_in(&source, global)?;
    let started = Instant::now();
    let mut progress = Progress::new("reading", None);
    let fresh = || Groups::new(plan.clone());
    let (groups, outcome) = actions::group(&source, &query, fresh, |read| progress.at(read))?;
    drop(progress);
    if global.verbose {
        let reading = source.reading();
        note(&format!(
            "{} groups by {} in {:.2?}",
            groups.len(),
            reading.by,
            started.elapsed()
        ));
        note_reading(&reading);
    }
    let nothing = groups.is_empty();
    print(args, global, groups, outcome.complete, source.now()?)?;
    if !outcome.complete {
        note(INCOMPLETE);
        return Ok(Outcome::Nothing);
    }
    if nothing {
        note_nothing(&source, &query)?;
        return Ok(Outcome::Nothing);
    }
    Ok(Outcome::Done)
}

/// Prints groups, and says on standard error what a table cannot say.
fn print(
    args: &Args,
    global: &Global,
    groups: Groups,
    complete: bool,
    now: u64,
) -> Result<(), Failure> {
    let order = Order {
        by: args.sort.into(),
        reverse: args.reverse,
    };
    let report = groups.into_report(order, args.limit);
    let mut out = Output::stdout()?;
    match args.output {
        Format::Table => write_table(&report, global, now, &mut out)?,
        Format::Json => render::write_json(out.buffer(), &report, complete),
        Format::Ndjson => render::write_ndjson(out.buffer(), &report, complete),
        Format::Csv => render::write_csv(out.buffer(), &report, now),
    }
    out.flush()?;
    if let Some(ungrouped) = report.ungrouped() {
        note(&format!(
            "there are more than {} groups: {} connections whose group came later are in none of \
             them; see --max-groups",
            args.max_groups,
            ungrouped.connections()
        ));
    }
    let total = report.total();
    if args.output == Format::Table && total.bytes().is_some() && total.uncounted() > 0 {
        note(&format!(
            "{} of {} connections have no counters, and are not in the sums of bytes and packets; \
             they began before net.netfilter.nf_conntrack_acct was on",
            total.uncounted(),
            total.connections()
        ));
    }
    Ok(())
}

fn write_table(
    report: &Report,
    global: &Global,
    now: u64,
    out: &mut Output,
) -> Result<(), Failure> {
    if report.total().connections() == 0 {
        return Ok(());
    }
    let page = Page::of(out, global);
    let has_bar = page.width.is_some();
    let mut grid = Grid::new(heads(report, has_bar), true, page);
    let summary = |name: String, tally: &Tally| {
        let mut row = vec![String::new(); report.by().len()];
        if let Some(first) = row.first_mut() {
            *first = name;
        }
        push_sums(&mut row, report, tally, now, false, has_bar);
        row
    };
    let last: Vec<Vec<String>> = [
        report.others().map(|(groups, tally)| {
            let word = if groups == 1 { "other" } else { "others" };
            summary(format!("{groups} {word}"), tally)
        }),
        report
            .ungrouped()
            .map(|tally| summary("not grouped".to_owned(), tally)),
        Some(summary(
            match report.groups() {
                1 => "1 group".to_owned(),
                groups => format!("{groups} groups"),
            },
            report.total(),
        )),
    ]
    .into_iter()
    .flatten()
    .collect();
    last.iter().for_each(|row| grid.expect(row));
    let mut text = Vec::new();
    for row in report.rows() {
        let cells = row.cells.iter().map(|cell| {
            text.clear();
            cell.write_text(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        let mut cells: Vec<String> = cells.collect();
        push_sums(&mut cells, report, row.tally, now, true, has_bar);
        grid.push(cells, out)?;
    }
    for row in last {
        grid.push(row, out)?;
    }
    grid.finish(out)
}

fn heads(report: &Report, has_bar: bool) -> Vec<Head> {
    let plain = |_: &str| None;
    let head = |title: String, is_quantity, goes, style| Head {
        title: title.into(),
        is_quantity,
        goes,
        style,
    };
    let keys = report.by().iter().map(|by| {
        head(by.name().to_uppercase(), false, None, |_| {
            Some(Ansi::new().fg_color(Some(AnsiColor::Cyan.into())))
        })
    });
    let dimmed = |_: &str| Some(Ansi::new().dimmed());
    let green = |_: &str| Some(Ansi::new().fg_color(Some(AnsiColor::Green.into())));
    let mut heads: Vec<Head> = keys.collect();
    heads.push(head("CONNECTIONS".to_owned(), true, None, plain));
    heads.push(head("SHARE".to_owned(), true, Some(5), plain));
    if has_bar {
        heads.push(head(String::new(), false, Some(0), green));
    }
    heads.push(head("BYTES".to_owned(), true, Some(6), plain));
    heads.push(head("SENT".to_owned(), true, Some(2), plain));
    heads.push(head("RECEIVED".to_owned(), true, Some(3), plain));
    heads.push(head("OF BYTES".to_owned(), true, Some(4), plain));
    heads.push(head("PACKETS".to_owned(), true, Some(1), plain));
    heads.push(head("NEWEST".to_owned(), true, Some(4), dimmed));
    heads
}

/// The cells of what is summed up, in the order of the heads.
fn push_sums(
    row: &mut Vec<String>,
    report: &Report,
    tally: &Tally,
    now: u64,
    is_group: bool,
    has_bar: bool,
) {
    let percent = |share: Option<f64>| {
        share.map_or_else(String::new, |share| format!("{:.1} %", share * 100.0))
    };
    let text = |value: Option<u64>, push: fn(&mut Vec<u8>, u64)| {
        let mut out = Vec::new();
        if let Some(value) = value {
            push(&mut out, value);
        }
        String::from_utf8_lossy(&out).into_owned()
    };
    let share = report.share(tally);
    row.push(tally.connections().to_string());
    row.push(percent(share));
    if has_bar {
        row.push(share.filter(|_| is_group).map_or_else(String::new, bar));
    }
    row.push(text(tally.bytes(), push_bytes));
    row.push(text(tally.bytes_orig(), push_bytes));
    row.push(text(tally.bytes_reply(), push_bytes));
    row.push(percent(report.share_bytes(tally)));
    row.push(text(tally.packets(), |out, packets| {
        engine::render::push_number(out, packets);
    }));
    let age = tally
        .newest()
        .map(|start| now.saturating_sub(start) / 1_000_000_000);
    row.push(text(age, push_duration));
}

/// A share as a bar of at most ten characters, in eighths of one.
fn bar(share: f64) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    const LENGTH: f64 = 10.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share is between 0 and 1"
    )]
    let eighths = (share.clamp(0.0, 1.0) * LENGTH * 8.0).round() as usize;
    let part = PARTS.get(eighths % 8).copied().unwrap_or_default();
    "█".repeat(eighths / 8) + part
}

fn list_fields() -> Result<Outcome, Failure> {
    let mut out = Output::stdout()?;
    for (name, meaning) in By::all() {
        out.text(&format!("{name:<13}{meaning}\n"))?;
    }
    out.flush()?;
    Ok(Outcome::Done)
}

fn parse_by(text: &str) -> Result<Choice, String> {
    if text == "help" {
        return Ok(Choice::Help);
    }
    text.parse().map(Choice::By)
}

fn parse_format(text: &str) -> Result<Format, String> {
    Ok(match text {
        "table" => Format::Table,
        "json" => Format::Json,
        "ndjson" => Format::Ndjson,
        "csv" => Format::Csv,
        _ if text.starts_with("conntrack") => {
            return Err(
                "a group is not an entry, which is all that conntrack(8) has a line for; expected \
                 table, json, ndjson or csv"
                    .to_owned(),
            );
        }
        _ => return Err("expected table, json, ndjson or csv".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_share() {
        let bars = [
            (0.0, ""),
            (0.0124, "▏"),
            (0.1, "█"),
            (0.5, "█████"),
            (0.55, "█████▌"),
            (1.0, "██████████"),
        ];
        for (share, expected) in bars {
            assert_eq!(bar(share), expected, "{share}");
        }
    }
}
