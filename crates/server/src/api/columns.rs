//! Chosen columns of connections, as CSV and JSON.

use engine::live::{Rates, Row, name};
use engine::naming::{Naming, Unknown};
use engine::render::csv::quote_from;
use engine::render::json::Object;
use engine::{Column, Style};

use super::error::Fault;
use super::extract::{hint_of, shown};

/// A column: one of an entry's, or what is known beyond the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowColumn {
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
    /// Service.
    Service,
    /// Name of the opener's address.
    SrcName,
    /// Name of the address that the opener addressed.
    DstName,
}

/// Those that are no column of an entry, with one sentence each.
pub const BEYOND: [(&str, RowColumn, &str); 10] = [
    ("name", RowColumn::Name, "Name of the connection here."),
    ("rate", RowColumn::Rate, "Bytes a second, both directions."),
    (
        "rate_orig",
        RowColumn::RateOrig,
        "Bytes a second, original direction.",
    ),
    (
        "rate_reply",
        RowColumn::RateReply,
        "Bytes a second, reply direction.",
    ),
    ("provider", RowColumn::Provider, "Uplink, by the mark."),
    ("app", RowColumn::App, "Application, by the mark."),
    ("prio", RowColumn::Prio, "Traffic class, by the mark."),
    (
        "service",
        RowColumn::Service,
        "Service that was addressed, by its port.",
    ),
    (
        "src_name",
        RowColumn::SrcName,
        "Name of the source address of the original direction.",
    ),
    (
        "dst_name",
        RowColumn::DstName,
        "Name of the destination address of the original direction.",
    ),
];

/// Those of `tracklight list -o csv`.
pub fn usual() -> Vec<RowColumn> {
    Column::CSV.iter().copied().map(RowColumn::Entry).collect()
}

/// Columns by their names, separated by commas.
pub fn columns(names: &str) -> Result<Vec<RowColumn>, Fault> {
    let column = |name: &str| {
        let beyond = BEYOND.iter().find(|(known, ..)| *known == name);
        let column = beyond.map(|(_, column, _)| *column);
        column
            .or_else(|| Column::from_name(name).map(RowColumn::Entry))
            .ok_or_else(|| {
                let known = Column::ALL.iter().map(|column| column.name());
                let all: Vec<&str> = known.chain(BEYOND.map(|(name, ..)| name)).collect();
                let message = format!("there is no column {}", shown(name));
                Fault::usage("columns", message, hint_of(name, &all))
            })
    };
    let mut columns = Vec::new();
    for name in names.split(',').map(str::trim) {
        let column = column(name)?;
        if columns.contains(&column) {
            let message = format!("the column {} is there twice", shown(name));
            return Err(Fault::usage("columns", message, "name each column once"));
        }
        columns.push(column);
    }
    Ok(columns)
}

impl RowColumn {
    /// The name by which it is chosen.
    pub fn name(self) -> &'static str {
        match self {
            Self::Entry(column) => column.name(),
            beyond => BEYOND
                .iter()
                .find(|(_, column, _)| *column == beyond)
                .map_or("", |(name, ..)| name),
        }
    }

    const fn is_number(self) -> bool {
        match self {
            Self::Entry(column) => column.is_number(),
            Self::Rate | Self::RateOrig | Self::RateReply => true,
            _ => false,
        }
    }

    /// Appends the value of a connection; nothing where it has none.
    fn write(self, out: &mut Vec<u8>, row: &Row, naming: &Naming, unknown: Unknown, now: u64) {
        let mark = row.entry.mark.unwrap_or(0);
        let rate = |pick: fn(Rates) -> f32| row.rates.map(|rates| format!("{:.0}", pick(rates)));
        let address = |address| {
            let name = naming.address(address, unknown)?;
            Some(name.name.to_string())
        };
        let text = match self {
            Self::Entry(column) => return column.write(out, &row.entry, Style::Exact, now),
            Self::Name => Some(name(&row.entry)),
            Self::Rate => rate(|rates| rates.bytes_orig + rates.bytes_reply),
            Self::RateOrig => rate(|rates| rates.bytes_orig),
            Self::RateReply => rate(|rates| rates.bytes_reply),
            Self::Provider => Some(naming.marks.provider(mark).into_owned()),
            Self::App => Some(naming.marks.application(mark).into_owned()),
            Self::Prio => Some(naming.marks.class(mark).into_owned()),
            Self::Service => naming.service(&row.entry).map(str::to_owned),
            Self::SrcName => address(row.entry.orig.src),
            Self::DstName => address(row.entry.orig.dst),
        };
        out.extend_from_slice(text.unwrap_or_default().as_bytes());
    }
}

/// Appends the heading.
pub fn csv_heading(out: &mut Vec<u8>, columns: &[RowColumn]) {
    for (place, column) in columns.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        out.extend_from_slice(column.name().as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends a connection as a line of CSV; the DNS is not asked.
pub fn csv_row(out: &mut Vec<u8>, row: &Row, columns: &[RowColumn], naming: &Naming) {
    let now = engine::now();
    for (place, column) in columns.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        let start = out.len();
        column.write(out, row, naming, Unknown::Leave, now);
        quote_from(out, start);
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends a connection as one JSON object with a member for each column that has a value.
pub fn json_row(
    out: &mut Vec<u8>,
    row: &Row,
    columns: &[RowColumn],
    naming: &Naming,
    unknown: Unknown,
) {
    let now = engine::now();
    let mut object = Object::open(out);
    let mut value = Vec::with_capacity(64);
    for column in columns {
        value.clear();
        column.write(&mut value, row, naming, unknown, now);
        if value.is_empty() {
            continue;
        }
        if column.is_number() {
            object.key(column.name()).extend_from_slice(&value);
        } else {
            object.escaped(column.name(), &String::from_utf8_lossy(&value));
        }
    }
    object.close();
}
