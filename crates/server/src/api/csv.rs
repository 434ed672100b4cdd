//! Connections as CSV.

use engine::live::{Rates, Row, name};
use engine::marks::Marks;
use engine::render::csv::quote_from;
use engine::{Column, Style};

use super::error::Fault;
use super::extract::{hint_of, shown};

/// A column of CSV: one of an entry's, or what is known beyond the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CsvColumn {
    /// An entry's.
    Entry(Column),
    /// Its name here.
    Name,
    /// Bytes a second, both directions.
    Rate,
    /// Bytes a second, original direction.
    RateOrig,
    /// Bytes a second, reply direction.
    RateReply,
    /// Uplink.
    Provider,
    /// Application.
    App,
    /// Traffic class.
    Prio,
}

/// Those that are no column of an entry, with one sentence each.
pub const BEYOND: [(&str, CsvColumn, &str); 7] = [
    ("name", CsvColumn::Name, "Name of the connection here."),
    ("rate", CsvColumn::Rate, "Bytes a second, both directions."),
    (
        "rate_orig",
        CsvColumn::RateOrig,
        "Bytes a second, original direction.",
    ),
    (
        "rate_reply",
        CsvColumn::RateReply,
        "Bytes a second, reply direction.",
    ),
    ("provider", CsvColumn::Provider, "Uplink, by the mark."),
    ("app", CsvColumn::App, "Application, by the mark."),
    ("prio", CsvColumn::Prio, "Traffic class, by the mark."),
];

/// Those of `tracklight list -o csv`.
pub fn usual() -> Vec<CsvColumn> {
    Column::CSV.iter().copied().map(CsvColumn::Entry).collect()
}

/// Columns by their names, separated by commas.
pub fn columns(names: &str) -> Result<Vec<CsvColumn>, Fault> {
    let column = |name: &str| {
        let beyond = BEYOND.iter().find(|(known, ..)| *known == name);
        let column = beyond.map(|(_, column, _)| *column);
        column
            .or_else(|| Column::from_name(name).map(CsvColumn::Entry))
            .ok_or_else(|| {
                let known = Column::ALL.iter().map(|column| column.name());
                let all: Vec<&str> = known.chain(BEYOND.map(|(name, ..)| name)).collect();
                let message = format!("there is no column {}", shown(name));
                Fault::usage("columns", message, hint_of(name, &all))
            })
    };
    names.split(',').map(|name| column(name.trim())).collect()
}

/// Appends the heading.
pub fn heading(out: &mut Vec<u8>, columns: &[CsvColumn]) {
    for (place, column) in columns.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        let name = match column {
            CsvColumn::Entry(column) => column.name(),
            beyond => BEYOND
                .iter()
                .find(|(_, column, _)| column == beyond)
                .map_or("", |(name, ..)| name),
        };
        out.extend_from_slice(name.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends a connection.
pub fn row(out: &mut Vec<u8>, row: &Row, columns: &[CsvColumn], marks: &Marks) {
    let now = engine::now();
    let mark = row.entry.mark.unwrap_or(0);
    let rate = |pick: fn(Rates) -> f32| row.rates.map(|rates| format!("{:.0}", pick(rates)));
    for (place, column) in columns.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        let start = out.len();
        let text = match column {
            CsvColumn::Entry(column) => {
                column.write(out, &row.entry, Style::Exact, now);
                None
            }
            CsvColumn::Name => Some(name(&row.entry)),
            CsvColumn::Rate => rate(|rates| rates.bytes_orig + rates.bytes_reply),
            CsvColumn::RateOrig => rate(|rates| rates.bytes_orig),
            CsvColumn::RateReply => rate(|rates| rates.bytes_reply),
            CsvColumn::Provider => Some(marks.provider(mark).into_owned()),
            CsvColumn::App => Some(marks.application(mark).into_owned()),
            CsvColumn::Prio => Some(marks.class(mark).into_owned()),
        };
        out.extend_from_slice(text.unwrap_or_default().as_bytes());
        quote_from(out, start);
    }
    out.extend_from_slice(b"\r\n");
}
