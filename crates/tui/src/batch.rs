//! Rounds of text, for scripts.

use std::io::{self, Write};
use std::thread;
use std::time::{Duration, Instant};

use crate::cell::{Context, cell};
use crate::column::{Column, cells};
use crate::format::{self, Clock};
use crate::saved::View;
use crate::state::pulse::Pulse;
use crate::state::table::Table;
use crate::transport::{Request, Transport, ask};
use crate::wire::{Fault, Page, Summary};

/// How many rounds, and how many rows each.
#[derive(Clone, Copy, Debug)]
pub struct Rounds {
    /// How many rounds.
    pub many: u64,
    /// How many rows at most.
    pub rows: u16,
    /// In whose time they are told.
    pub clock: Clock,
}

/// Why it ended early.
#[derive(Debug)]
pub enum Ended {
    /// It could not be asked.
    Refused(Fault),
    /// It could not be written.
    Unwritten(io::Error),
}

/// Prints rounds: the table in numbers, the first rows, an empty line between two.
pub fn print(
    transport: &dyn Transport,
    view: &View,
    rounds: Rounds,
    out: &mut impl Write,
) -> Result<(), Ended> {
    // While somebody listens, counters are read as often as for the screen.
    let live = Request::get("/api/v1/live", &[("limit", "0")]).stream();
    let mut live = transport.open(&live).map_err(Ended::Refused)?;
    // Who reads nothing is let go. A thread that could not be begun costs only how fresh the counters are.
    let read = move || io::copy(&mut live.body, &mut io::sink());
    let _is_over = thread::Builder::new().name("listen".to_owned()).spawn(read);
    wait(transport)?;
    let mut pulse = Pulse::default();
    let began = Instant::now();
    let interval = Duration::from_millis(view.interval_ms());
    for round in 0..rounds.many {
        if round > 0 {
            let due = interval.saturating_mul(u32::try_from(round).unwrap_or(u32::MAX));
            thread::sleep(due.saturating_sub(began.elapsed()));
        }
        let summary: Summary = get(transport, "/api/v1/summary", &[])?;
        pulse.hear(summary);
        let page = page(transport, view, rounds.rows)?;
        let text = text(
            view,
            &pulse,
            &page,
            (engine::now(), rounds.clock),
            round > 0,
        );
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        written.map_err(Ended::Unwritten)?;
    }
    Ok(())
}

/// For how long the first reading of a table is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until the table was read once: before that it looks empty.
fn wait(transport: &dyn Transport) -> Result<(), Ended> {
    let began = Instant::now();
    loop {
        let summary: Summary = get(transport, "/api/v1/summary", &[])?;
        if summary.truth.taken_ns > 0 || began.elapsed() > PATIENCE {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn get<T: serde::de::DeserializeOwned>(
    transport: &dyn Transport,
    path: &str,
    parameters: &[(&str, &str)],
) -> Result<T, Ended> {
    ask(transport, &Request::get(path, parameters)).map_err(Ended::Refused)
}

fn page(transport: &dyn Transport, view: &View, rows: u16) -> Result<Page, Ended> {
    let limit = rows.to_string();
    let mut parameters = vec![("limit", limit.as_str()), ("query", &view.query)];
    if !view.sort.is_empty() {
        parameters.push(("sort", &view.sort));
    }
    if view.reverse {
        parameters.push(("order", "desc"));
    }
    get(transport, "/api/v1/connections", &parameters)
}

/// One round.
pub fn text(
    view: &View,
    pulse: &Pulse,
    page: &Page,
    now: (u64, Clock),
    is_further: bool,
) -> String {
    let mut text = String::new();
    if is_further {
        text.push('\n');
    }
    head(pulse, page, now, &mut text);
    rows(view, page, now.0, &mut text);
    text
}

fn head(pulse: &Pulse, page: &Page, (now_ns, clock): (u64, Clock), text: &mut String) {
    let mut parts = vec![clock.date(now_ns)];
    if let Some(summary) = &pulse.summary {
        let count = format::count(summary.connections);
        parts.push(match (summary.limit, pulse.part()) {
            (Some(limit), Some(part)) => format!(
                "{count} connections of {} ({})",
                format::count(limit),
                format::percent(part)
            ),
            _ => format!("{count} connections"),
        });
        let rate = |name: &str, rate: Option<f64>| match rate {
            Some(rate) => format!("{name} {}/s", format::each_second(rate)),
            None => format!("{name} –"),
        };
        parts.push(rate("new", pulse.births));
        parts.push(rate("closed", pulse.deaths));
        match (summary.rates, summary.truth.accounting) {
            (Some(rates), _) => {
                parts.push(format!("up {}", format::rate(rates.bytes_orig)));
                parts.push(format!("down {}", format::rate(rates.bytes_reply)));
            }
            (None, true) => parts.push("throughput –".to_owned()),
            (None, false) => parts.push("throughput off".to_owned()),
        }
    }
    parts.push(format!("{} match", format::count(page.totals.connections)));
    if !page.truth.complete {
        parts.push("incomplete".to_owned());
    }
    text.push_str(&parts.join("  "));
    text.push('\n');
}

fn rows(view: &View, page: &Page, now_ns: u64, text: &mut String) {
    let context = Context {
        now_ns,
        since: 0,
        names: view.names,
        truth: &page.truth,
    };
    let columns: Vec<(&Column, Vec<String>)> = Table::columns(&view.columns)
        .into_iter()
        .map(|column| {
            let cells = page.connections.iter().map(|row| {
                let text = cell(column.id, row, &context).text;
                if text.is_empty() {
                    "–".to_owned()
                } else {
                    text
                }
            });
            (column, cells.collect::<Vec<_>>())
        })
        // What is empty in every row is not shown unless it was asked for.
        .filter(|(_, cells)| {
            !view.columns.is_empty() || cells.is_empty() || cells.iter().any(|cell| cell != "–")
        })
        .collect();
    let width = |(column, all): &(&Column, Vec<String>)| {
        let widest = all.iter().map(|text| cells(text)).max().unwrap_or(0);
        usize::from(widest.max(cells(column.title)))
    };
    let widths: Vec<usize> = columns.iter().map(width).collect();
    let mut line = |texts: Vec<&str>| {
        let mut line = String::new();
        for ((text, width), (column, _)) in texts.iter().zip(&widths).zip(&columns) {
            let pad = " ".repeat(width.saturating_sub(usize::from(cells(text))));
            match column.is_number {
                true => line.push_str(&format!("{pad}{text}  ")),
                false => line.push_str(&format!("{text}{pad}  ")),
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    };
    line(columns.iter().map(|(column, _)| column.title).collect());
    for row in 0..page.connections.len() {
        line(
            columns
                .iter()
                .map(|(_, cells)| cells[row].as_str())
                .collect(),
        );
    }
}
