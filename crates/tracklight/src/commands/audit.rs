//! `tracklight audit`.

use anstyle::{AnsiColor, Style as Ansi};
use chrono::{DateTime, Local, Utc};
use engine::{Config, Failure};
use serde_json::Value;
use server::audit::{self, BEGUN, Change, DONE, Filter};

use super::serve::Place;
use crate::cli::Global;
use crate::exit::{Outcome, note};
use crate::grid::{Grid, Head, Page};
use crate::output::Output;
use crate::values::parse_duration;

/// Flags of `tracklight audit`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Changes of the time until now: 90s, 15m, 2h, 1d [default: all]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    last: Option<u64>,
    /// Changes by this token, or by `uid N` over the unix socket
    #[arg(long, value_name = "NAME")]
    who: Option<String>,
    /// Output: table, json or ndjson
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Format,
    #[command(flatten)]
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people
    Table,
    /// One JSON array
    Json,
    /// One JSON object a line
    Ndjson,
}

/// `tracklight audit`.
pub(crate) fn run(args: &Args, global: &Global) -> Result<Outcome, Failure> {
    let mut config = Config::load(global.config.as_deref())?;
    args.place.apply(&mut config);
    let state = config.server.state;
    let filter = Filter {
        since: args.last.map(before_now),
        who: args.who.clone(),
    };
    let rows = audit::read(&state.join(audit::FILE), filter)?;
    let mut damaged = Vec::new();
    let rows = rows.filter_map(|row| row.map_err(|line| damaged.push(line)).ok());
    let mut out = Output::stdout()?;
    let count = match args.output {
        Format::Table => write_table(rows, global, &mut out)?,
        Format::Json | Format::Ndjson => write_json(rows, args.output, &mut out)?,
    };
    out.flush()?;
    for line in damaged {
        note(&format!(
            "line {} of the audit log cannot be read: {}",
            line.line, line.message
        ));
    }
    if count == 0 {
        note("no changes are recorded there");
        return Ok(Outcome::Nothing);
    }
    Ok(Outcome::Done)
}

/// The time so many seconds ago; the beginning of all times where there is none.
fn before_now(seconds: u64) -> DateTime<Utc> {
    i64::try_from(seconds)
        .ok()
        .and_then(chrono::TimeDelta::try_seconds)
        .and_then(|span| Utc::now().checked_sub_signed(span))
        .unwrap_or(DateTime::<Utc>::MIN_UTC)
}

fn write_json(
    rows: impl Iterator<Item = Change>,
    format: Format,
    out: &mut Output,
) -> Result<usize, Failure> {
    let is_array = format == Format::Json;
    let mut count = 0;
    out.text(if is_array { "[" } else { "" })?;
    for row in rows {
        if is_array {
            out.text(if count == 0 { "\n" } else { ",\n" })?;
        }
        // Only maps with keys that are no text, of which there are none, cannot be written.
        out.text(&serde_json::to_string(&row).unwrap_or_default())?;
        if !is_array {
            out.text("\n")?;
        }
        count += 1;
    }
    out.text(if is_array { "\n]\n" } else { "" })?;
    Ok(count)
}

fn write_table(
    rows: impl Iterator<Item = Change>,
    global: &Global,
    out: &mut Output,
) -> Result<usize, Failure> {
    let mut grid = Grid::new(heads(), true, Page::of(out, global));
    let mut count = 0;
    for row in rows {
        grid.push(cells(&row), out)?;
        count += 1;
    }
    grid.finish(out)?;
    Ok(count)
}

fn heads() -> Vec<Head> {
    let head = |title: &'static str, is_quantity, goes, style| Head {
        title: title.into(),
        is_quantity,
        goes,
        style,
    };
    let plain = |_: &str| None;
    vec![
        head("TIME", false, None, |_| Some(Ansi::new().dimmed())),
        head("WHO", false, None, |_| {
            Some(Ansi::new().fg_color(Some(AnsiColor::Cyan.into())))
        }),
        head("FROM", false, Some(1), plain),
        head("ROLE", false, Some(0), plain),
        head("ACTION", false, None, plain),
        head("MATCHED", true, Some(2), plain),
        head("CHANGED", true, None, plain),
        head("FAILED", true, Some(3), plain),
        head("RESULT", false, None, |result| {
            let color = match result {
                DONE => AnsiColor::Green,
                BEGUN => AnsiColor::Yellow,
                _ => AnsiColor::Red,
            };
            Some(Ansi::new().fg_color(Some(color.into())))
        }),
        head("DETAILS", false, None, plain),
    ]
}

fn cells(change: &Change) -> Vec<String> {
    let number = |count: Option<u64>| count.map(|count| count.to_string()).unwrap_or_default();
    let time = DateTime::parse_from_rfc3339(&change.time).map_or_else(
        |_| change.time.clone(),
        |time| {
            let time = time.with_timezone(&Local);
            time.format("%Y-%m-%d %H:%M:%S").to_string()
        },
    );
    let from = change.from.map(|from| from.to_string());
    let role = serde_json::to_value(change.role).unwrap_or_default();
    vec![
        printable(&time),
        printable(&change.who),
        from.unwrap_or_default(),
        role.as_str().unwrap_or_default().to_owned(),
        printable(&change.action),
        number(change.matched),
        number(change.changed),
        number(change.failed),
        printable(&change.result),
        printable(&details(&change.details)),
    ]
}

/// A query as it was written; everything else as JSON.
fn details(details: &Value) -> String {
    match details {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Object(fields) if fields.len() == 1 => match fields.get("query") {
            Some(Value::String(query)) => query.clone(),
            _ => details.to_string(),
        },
        _ => details.to_string(),
    }
}

/// Without what would change how the rest is shown: a query is a stranger's text.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if engine::printable::is_unseen(c) {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}
