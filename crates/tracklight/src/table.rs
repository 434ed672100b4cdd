//! Entries as a table.

use anstyle::{AnsiColor, Style as Ansi};
use ctnetlink::Entry;
use engine::{Column, Failure, Style};

use crate::grid::{Grid, Head, Page};
use crate::output::Output;

/// A table that is being printed.
pub(crate) struct Table {
    columns: Vec<Column>,
    grid: Grid,
    now: u64,
}

impl Table {
    /// A table of these columns; all of them are shown if they were chosen.
    pub(crate) fn new(columns: &[Column], chosen: bool, page: Page, now: u64) -> Self {
        let heads = columns.iter().map(|&column| column.into()).collect();
        Self {
            columns: columns.to_vec(),
            grid: Grid::new(heads, !chosen, page),
            now,
        }
    }

    /// Adds a row.
    pub(crate) fn push(&mut self, entry: &Entry, out: &mut Output) -> Result<(), Failure> {
        let mut cell = Vec::new();
        let row = self
            .columns
            .iter()
            .map(|column| {
                cell.clear();
                column.write(&mut cell, entry, Style::Human, self.now);
                String::from_utf8_lossy(&cell).into_owned()
            })
            .collect();
        self.grid.push(row, out)
    }

    /// Prints what is left.
    pub(crate) fn finish(self, out: &mut Output) -> Result<(), Failure> {
        self.grid.finish(out)
    }
}

impl From<Column> for Head {
    fn from(column: Column) -> Self {
        Self {
            title: column.title().into(),
            is_quantity: column.is_quantity(),
            goes: match column {
                Column::Status => Some(0),
                Column::Age => Some(1),
                Column::BytesOrig => Some(2),
                Column::Timeout => Some(3),
                Column::BytesReply => Some(4),
                Column::State => Some(5),
                _ => None,
            },
            style: match column {
                Column::Protocol => |_| color(AnsiColor::Cyan),
                Column::State => |state| match state {
                    "ESTABLISHED" => color(AnsiColor::Green),
                    "SYN_SENT" | "SYN_RECV" | "SYN_SENT2" => color(AnsiColor::Yellow),
                    _ => Some(Ansi::new().dimmed()),
                },
                Column::Translated => |_| color(AnsiColor::Magenta),
                Column::Status => |status| {
                    let unreplied = status.contains("UNREPLIED");
                    color(AnsiColor::Yellow).filter(|_| unreplied)
                },
                Column::Age | Column::Timeout => |_| Some(Ansi::new().dimmed()),
                _ => |_| None,
            },
        }
    }
}

fn color(color: AnsiColor) -> Option<Ansi> {
    Some(Ansi::new().fg_color(Some(color.into())))
}
