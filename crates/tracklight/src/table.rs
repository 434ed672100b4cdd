//! Aligned columns for a terminal, without holding all rows: the widths come from the first rows,
//! the rest streams.

use std::borrow::Cow;

use anstyle::{AnsiColor, Style as Ansi};
use ctnetlink::Entry;
use engine::{Column, Failure, Style};

use crate::output::Output;

/// Rows from which the widths are taken.
const SAMPLE: usize = 200;

/// A column that is cut shorter than this is not worth showing.
const NARROWEST: usize = 8;

/// A table that is being printed.
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
    widths: Option<Vec<usize>>,
    /// Columns of the terminal; `None` where the text may be as wide as it likes.
    width: Option<usize>,
    /// Whether columns may be left out: not those that were asked for.
    may_drop: bool,
    color: bool,
    now: u64,
}

impl Table {
    /// A table of these columns; `width` is the terminal's, if it is one.
    pub(crate) fn new(
        columns: &[Column],
        chosen: bool,
        width: Option<usize>,
        color: bool,
        now: u64,
    ) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: Vec::new(),
            widths: None,
            width,
            may_drop: !chosen,
            color,
            now,
        }
    }

    /// Adds a row.
    pub(crate) fn push(&mut self, entry: &Entry, out: &mut Output) -> Result<(), Failure> {
        let mut cell = Vec::new();
        let row: Vec<String> = self
            .columns
            .iter()
            .map(|column| {
                cell.clear();
                column.write(&mut cell, entry, Style::Human, self.now);
                String::from_utf8_lossy(&cell).into_owned()
            })
            .collect();
        match &self.widths {
            Some(widths) => {
                self.write_row(out, widths, &row);
                out.spill()
            }
            None => {
                self.rows.push(row);
                if self.rows.len() == SAMPLE {
                    self.begin(out, false)
                } else {
                    Ok(())
                }
            }
        }
    }

    /// Prints what is left.
    pub(crate) fn finish(mut self, out: &mut Output) -> Result<(), Failure> {
        if self.widths.is_none() && !self.rows.is_empty() {
            self.begin(out, true)?;
        }
        out.flush()
    }

    /// Chooses the widths, prints the heading and the rows so far.
    fn begin(&mut self, out: &mut Output, is_all: bool) -> Result<(), Failure> {
        // A column that is empty in every row is not shown, unless it was asked for.
        let drops_empty = is_all && self.may_drop;
        let natural: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .map(|(index, column)| {
                let rows = self.rows.iter().filter_map(|row| row.get(index));
                let widest = rows.map(|cell| cell.chars().count()).max().unwrap_or(0);
                if widest == 0 && drops_empty {
                    0
                } else {
                    widest.max(column.title().len())
                }
            })
            .collect();
        let widths = fit(&self.columns, natural, self.width);
        self.write_heading(out, &widths);
        for row in std::mem::take(&mut self.rows) {
            self.write_row(out, &widths, &row);
        }
        self.widths = Some(widths);
        out.spill()
    }

    fn write_heading(&self, out: &mut Output, widths: &[usize]) {
        let titles: Vec<String> = self
            .columns
            .iter()
            .map(|column| column.title().to_owned())
            .collect();
        let bold = Ansi::new().bold();
        self.write_cells(out, widths, &titles, |_, _| Some(bold));
    }

    fn write_row(&self, out: &mut Output, widths: &[usize], row: &[String]) {
        self.write_cells(out, widths, row, style);
    }

    fn write_cells(
        &self,
        out: &mut Output,
        widths: &[usize],
        cells: &[String],
        style: impl Fn(Column, &str) -> Option<Ansi>,
    ) {
        let buffer = out.buffer();
        let shown = self.columns.iter().zip(widths).zip(cells);
        let shown = shown.filter(|((_, width), _)| **width > 0);
        for (index, ((&column, &width), cell)) in shown.enumerate() {
            if index > 0 {
                buffer.extend_from_slice(b"  ");
            }
            // Only a terminal has an edge.
            let text = if self.width.is_some() {
                cut(cell, width)
            } else {
                cell.into()
            };
            let padding = width.saturating_sub(text.chars().count());
            let pad = |buffer: &mut Vec<u8>| buffer.resize(buffer.len() + padding, b' ');
            if column.is_quantity() {
                pad(buffer);
            }
            match style(column, cell).filter(|_| self.color) {
                Some(style) => {
                    buffer.extend_from_slice(format!("{style}{text}{style:#}").as_bytes());
                }
                None => buffer.extend_from_slice(text.as_bytes()),
            }
            if !column.is_quantity() {
                pad(buffer);
            }
        }
        while buffer.last() == Some(&b' ') {
            buffer.pop();
        }
        buffer.push(b'\n');
    }
}

/// Makes the columns fit: first those go that say least, as far as there is no room for them, then
/// the widest are cut.
fn fit(columns: &[Column], mut widths: Vec<usize>, width: Option<usize>) -> Vec<usize> {
    /// What goes first stands first.
    const DISPENSABLE: [Column; 6] = [
        Column::Status,
        Column::Age,
        Column::BytesOrig,
        Column::Timeout,
        Column::BytesReply,
        Column::State,
    ];
    let Some(width) = width else { return widths };
    let total = |widths: &[usize]| {
        let shown = widths.iter().filter(|&&width| width > 0).count();
        widths.iter().sum::<usize>() + 2 * shown.saturating_sub(1)
    };
    let natural = widths.clone();
    let dispensable = || {
        DISPENSABLE
            .iter()
            .filter_map(|column| columns.iter().position(|other| other == column))
    };
    for index in dispensable() {
        widths[index] = 0;
    }
    for index in dispensable().collect::<Vec<_>>().into_iter().rev() {
        widths[index] = natural[index];
        if total(&widths) > width {
            widths[index] = 0;
        }
    }
    while total(&widths) > width {
        let Some(widest) = widths.iter_mut().max() else {
            break;
        };
        if *widest <= NARROWEST {
            break;
        }
        *widest -= 1;
    }
    widths
}

/// Cuts a text to a width, with a sign that it was cut.
fn cut(text: &str, width: usize) -> Cow<'_, str> {
    if text.chars().count() <= width {
        return Cow::Borrowed(text);
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    Cow::Owned(kept + "…")
}

fn style(column: Column, cell: &str) -> Option<Ansi> {
    let color = |color: AnsiColor| Some(Ansi::new().fg_color(Some(color.into())));
    match column {
        Column::Protocol => color(AnsiColor::Cyan),
        Column::State => match cell {
            "ESTABLISHED" => color(AnsiColor::Green),
            "SYN_SENT" | "SYN_RECV" | "SYN_SENT2" => color(AnsiColor::Yellow),
            _ => Some(Ansi::new().dimmed()),
        },
        Column::Translated => color(AnsiColor::Magenta),
        Column::Status if cell.contains("UNREPLIED") => color(AnsiColor::Yellow),
        Column::Age | Column::Timeout => Some(Ansi::new().dimmed()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_terminal_loses_the_columns_that_say_least_first() {
        let widths = fit(
            Column::TABLE,
            vec![5, 11, 21, 21, 24, 8, 8, 6, 6, 9],
            Some(100),
        );
        assert_eq!(widths[9], 0, "the status goes first");
        assert!(widths[2] > 0 && widths[3] > 0, "addresses stay");
        assert!(
            widths[4] > 0 && widths[1] > 0,
            "so does what there is room for"
        );
        assert!(widths.iter().sum::<usize>() <= 100);
        let all = vec![5, 11, 21, 21, 24, 8, 8, 6, 6, 9];
        assert_eq!(fit(Column::TABLE, all.clone(), Some(140)), all);
    }

    #[test]
    fn a_cut_cell_says_so() {
        assert_eq!(cut("2001:db8::1", 8), "2001:db…");
        assert_eq!(cut("10.0.0.1", 8), "10.0.0.1");
    }
}
