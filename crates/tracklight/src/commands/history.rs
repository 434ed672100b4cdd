//! `tracklight history`.

use std::path::PathBuf;

use anstyle::{AnsiColor, Style as Ansi};
use chrono::{DateTime, Local, NaiveDate, NaiveDateTime, NaiveTime, TimeZone};
use ctnetlink::Namespace;
use engine::column::push_bytes;
use engine::history::{self, Amount, Ask, Origin, Point, Series};
use engine::render::history as render;
use engine::{Config, Failure};

use crate::cli::Global;
use crate::exit::{Outcome, note};
use crate::grid::{Grid, Head, Page};
use crate::output::Output;
use crate::values::parse_duration;

/// Points of a table where nobody says how many: a screen or two.
const TABLE_POINTS: usize = 60;

/// Points of everything else.
const POINTS: usize = 2_000;

/// Flags of `tracklight history`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The time until now: 90s, 15m, 2h, 1d [default: 15m]
    #[arg(long, value_name = "TIME", value_parser = parse_duration, conflicts_with_all = ["from", "to"])]
    last: Option<u64>,
    /// From when: 14:03, 2026-11-26, '2026-11-26 14:03', 2026-11-26T14:03:00Z, or seconds since 1970
    #[arg(long, value_name = "WHEN", value_parser = parse_moment)]
    from: Option<u64>,
    /// Until when [default: now]
    #[arg(long, value_name = "WHEN", value_parser = parse_moment, requires = "from")]
    to: Option<u64>,
    /// Time of one row: 1s, 10s, 1m, 1h; longer where nothing so fine is kept any more [default: what gives few
    /// enough rows]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    step: Option<u64>,
    /// At most so many rows [default: 60 in a table, else 2000; any number with --step]
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Output: table, json, ndjson or csv
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        default_value = "table",
        hide_possible_values = true
    )]
    output: Format,
    /// Read this file instead of the daemon's
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people
    Table,
    /// One object
    Json,
    /// One object a line
    Ndjson,
    /// With a heading
    Csv,
}

/// `tracklight history`.
pub(crate) fn run(args: &Args, global: &Global) -> Result<Outcome, Failure> {
    let config = Config::load(global.config.as_deref())?;
    let path = match &args.file {
        Some(file) => file.clone(),
        None => history::path(&config.server.state),
    };
    let series = history::series(&path, &config.history, &ask(args))?;
    check_origin(global, &series)?;
    let mut out = Output::stdout()?;
    match args.output {
        Format::Table => write_table(&series, global, &mut out)?,
        Format::Json => render::write_json(out.buffer(), &series),
        Format::Ndjson => render::write_ndjson(out.buffer(), &series),
        Format::Csv => render::write_csv(out.buffer(), &series),
    }
    out.flush()?;
    if global.verbose {
        note(&format!(
            "{} rows of {} s from {}",
            series.points.len(),
            series.step,
            path.display()
        ));
    }
    if args.limit.is_none()
        && let Some(text) = coarser(args.step, series.step)
    {
        note(&text);
    }
    if series.unreadable > 0 {
        note(&format!(
            "{} rows of the file cannot be read, and are left out",
            series.unreadable
        ));
    }
    if series.points.is_empty() {
        note(&format!(
            "nothing was recorded from {} to {}",
            moment(series.from),
            moment(series.to)
        ));
        return Ok(Outcome::Nothing);
    }
    Ok(Outcome::Done)
}

/// What is told where rows are of more seconds than was asked for.
fn coarser(asked: Option<u64>, step: u64) -> Option<String> {
    let asked = asked.filter(|&asked| asked < step)?;
    Some(format!(
        "rows are of {step} s: there are none of {asked} s of that time any more"
    ))
}

fn ask(args: &Args) -> Ask {
    const QUARTER: u64 = 900;
    let now = engine::now() / 1_000_000_000;
    let (from, to) = match args.from {
        Some(from) => (from, args.to.unwrap_or(now + 1)),
        None => {
            let last = args.last.unwrap_or(QUARTER);
            ((now + 1).saturating_sub(last), now + 1)
        }
    };
    let points = args.limit.map(|limit| limit as usize);
    let fitting = match args.output {
        Format::Table => TABLE_POINTS,
        _ => POINTS,
    };
    Ask {
        from,
        to,
        step: args.step,
        points: points.or(args.step.is_none().then_some(fitting)),
    }
}

/// Says if another namespace's table was recorded; a failure if one was asked for by name.
fn check_origin(global: &Global, series: &Series) -> Result<(), Failure> {
    let asked = match &global.netns {
        None => Origin::here(),
        Some(name) => Namespace::parse(name)?.run(|| Ok(Origin::here()))?,
    };
    if !asked.is_other_than(&series.origin) {
        return Ok(());
    }
    if global.netns.is_some() {
        return Err(Failure::new(
            "no-history",
            "what is recorded is another network namespace's table",
            "leave out --netns to see it; a daemon of its own records another one",
        ));
    }
    note("this is the table of another network namespace than this one");
    Ok(())
}

fn write_table(series: &Series, global: &Global, out: &mut Output) -> Result<(), Failure> {
    let page = Page::of(out, global);
    let has_bar = page.width.is_some();
    let top = series
        .points
        .iter()
        .map(|point| point.connections.max)
        .max();
    let is_sum = series.step > 1;
    let mut grid = Grid::new(heads(has_bar, is_sum), true, page);
    for point in &series.points {
        grid.push(row(point, top.unwrap_or(0), has_bar, is_sum), out)?;
    }
    grid.finish(out)
}

fn heads(has_bar: bool, is_sum: bool) -> Vec<Head> {
    let plain = |_: &str| None;
    let green = |_: &str| Some(Ansi::new().fg_color(Some(AnsiColor::Green.into())));
    let red = |cell: &str| {
        let is_bad = !matches!(cell, "" | "0");
        is_bad.then(|| Ansi::new().fg_color(Some(AnsiColor::Red.into())))
    };
    let head = |title: &'static str, goes, style: fn(&str) -> Option<Ansi>| Head {
        title: title.into(),
        is_quantity: true,
        goes,
        style,
    };
    let mut heads = vec![head("TIME", None, plain), head("CONNECTIONS", None, plain)];
    if is_sum {
        heads.push(head("MOST", Some(3), plain));
    }
    if has_bar {
        heads.push(Head {
            is_quantity: false,
            ..head("", Some(5), green)
        });
    }
    heads.push(head("FULL", Some(8), plain));
    heads.push(head("BIRTHS/S", None, plain));
    heads.push(head("DEATHS/S", Some(4), plain));
    heads.push(head("BYTES/S", None, plain));
    heads.push(head("PACKETS/S", Some(2), plain));
    heads.push(head("UNREPLIED", Some(1), plain));
    heads.push(head("DROPPED", Some(9), red));
    heads.push(head("EVICTED", Some(7), red));
    heads.push(head("INSERT-FAILED", Some(6), red));
    heads.push(head("INVALID", Some(0), plain));
    heads
}

/// The cells of a point, in the order of the heads.
fn row(point: &Point, top: u64, has_bar: bool, is_sum: bool) -> Vec<String> {
    let rate =
        |amount: Option<Amount>| amount.map_or_else(String::new, |amount| short(amount.per_second));
    let counted = |name: &str| {
        let amount = point.counter(name);
        amount.map_or_else(String::new, |amount| amount.sum.to_string())
    };
    let mut row = vec![moment(point.time), format!("{:.0}", point.connections.mean)];
    if is_sum {
        row.push(point.connections.max.to_string());
    }
    if has_bar {
        row.push(bar(point.connections.mean, top));
    }
    let limit = point.limit.filter(|&limit| limit > 0);
    row.push(limit.map_or_else(String::new, |limit| {
        format!("{:.1} %", point.connections.mean * 100.0 / f64::from(limit))
    }));
    row.push(rate(point.births));
    row.push(rate(point.deaths));
    row.push(point.bytes.map_or_else(String::new, |bytes| {
        let mut text = Vec::new();
        push_bytes(&mut text, whole(bytes.per_second));
        String::from_utf8_lossy(&text).into_owned()
    }));
    row.push(rate(point.packets));
    row.push(
        point
            .unreplied
            .map_or_else(String::new, |unreplied| format!("{unreplied:.0}")),
    );
    for name in ["drop", "early_drop", "insert_failed", "invalid"] {
        row.push(counted(name));
    }
    row
}

/// Small numbers with a place behind the point, which is what there is to see of them.
fn short(number: f64) -> String {
    if number > 0.0 && number < 10.0 {
        format!("{number:.1}")
    } else {
        format!("{number:.0}")
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is positive, and beyond u64 it is shown as the largest"
)]
fn whole(number: f64) -> u64 {
    number.round() as u64
}

/// At most ten characters, as long as its part of the most.
#[expect(clippy::cast_precision_loss, reason = "ten characters")]
fn bar(mean: f64, top: u64) -> String {
    const LENGTH: f64 = 10.0;
    if top == 0 {
        return String::new();
    }
    let length = whole((mean / top as f64).clamp(0.0, 1.0) * LENGTH);
    "█".repeat(usize::try_from(length).unwrap_or_default())
}

/// Local time, as in other listings.
fn moment(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok();
    let time = time.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    time.map_or_else(
        || seconds.to_string(),
        |time| {
            let local = time.with_timezone(&Local);
            local.format("%Y-%m-%d %H:%M:%S").to_string()
        },
    )
}

/// Reads a moment, by this machine's clock and time zone.
fn parse_moment(text: &str) -> Result<u64, String> {
    let now = Local::now();
    if text == "now" {
        return seconds(now.timestamp());
    }
    if let Ok(number) = text.parse::<u64>() {
        return Ok(number);
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return seconds(time.timestamp());
    }
    let time = ["%H:%M", "%H:%M:%S"]
        .iter()
        .find_map(|format| NaiveTime::parse_from_str(text, format).ok())
        .map(|time| now.date_naive().and_time(time));
    let full = || {
        let formats = [
            "%Y-%m-%d %H:%M",
            "%Y-%m-%d %H:%M:%S",
            "%Y-%m-%dT%H:%M",
            "%Y-%m-%dT%H:%M:%S",
        ];
        let mut formats = formats.iter();
        formats.find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
    };
    let day = || {
        let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
        day.and_hms_opt(0, 0, 0)
    };
    let local = time.or_else(full).or_else(day).ok_or_else(|| {
        "expected a time such as 14:03, a day such as 2026-11-26, both with a blank between, or \
         seconds since 1970"
            .to_owned()
    })?;
    let time = Local.from_local_datetime(&local).earliest();
    let time = time.ok_or("the clock is set forward over that time")?;
    seconds(time.timestamp())
}

fn seconds(timestamp: i64) -> Result<u64, String> {
    u64::try_from(timestamp).map_err(|_| "that is before 1970".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_in_the_ways_that_people_write_them() {
        let of = |text: &str| parse_moment(text).unwrap();
        assert_eq!(of("1795608000"), 1_795_608_000);
        assert_eq!(of("2026-11-25T12:00:00Z"), 1_795_608_000);
        assert_eq!(of("2026-11-25T13:00:00+01:00"), 1_795_608_000);
        let local = of("2026-11-25 12:00");
        assert_eq!(local, of("2026-11-25T12:00:00"));
        assert_eq!(local - of("2026-11-25"), 43_200);
        assert_eq!(moment(local), "2026-11-25 12:00:00");
        assert_eq!((of("14:03:20") - of("14:03")), 20);
        assert!(of("now") > 1_700_000_000);
        for text in [
            "",
            "yesterday",
            "25:00",
            "2026-13-01",
            "1969-01-01T00:00:00Z",
            "-5",
        ] {
            parse_moment(text).unwrap_err();
        }
    }

    #[test]
    fn rows_of_more_seconds_than_were_asked_for_are_told() {
        assert_eq!(coarser(None, 60), None);
        assert_eq!(coarser(Some(60), 60), None);
        let told = coarser(Some(1), 10).unwrap();
        assert!(told.starts_with("rows are of 10 s"), "{told}");
    }

    #[test]
    fn a_bar_is_as_long_as_its_part_of_the_most() {
        assert_eq!(bar(50.0, 100), "█████");
        assert_eq!(bar(0.0, 100), "");
        assert_eq!(bar(0.0, 0), "");
        assert_eq!(bar(100.0, 100), "██████████");
    }
}
