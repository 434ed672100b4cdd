//! Aligned columns for a terminal, without holding all rows: the widths come from the first rows,
//! the rest streams.

use std::borrow::Cow;

use anstyle::Style as Ansi;
use engine::Failure;

use crate::cli::{ColorWhen, Global};
use crate::output::Output;

/// Rows from which the widths are taken.
const SAMPLE: usize = 200;

/// A column that is cut shorter than this is not worth showing.
const NARROWEST: usize = 8;

/// What text is laid out on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page {
    /// Columns of the terminal; `None` where the text may be as wide as it likes.
    pub(crate) width: Option<usize>,
    pub(crate) color: bool,
}

impl Page {
    /// What standard output is.
    pub(crate) fn of(out: &Output, global: &Global) -> Self {
        let width = out
            .is_terminal()
            .then(|| terminal_size::terminal_size().map_or(80, |(width, _)| width.0.into()));
        let color = match global.color {
            ColorWhen::Always => true,
            ColorWhen::Never => false,
            ColorWhen::Auto => {
                out.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty())
            }
        };
        Self { width, color }
    }
}

/// A column.
pub(crate) struct Head {
    pub(crate) title: Cow<'static, str>,
    /// Whether it is aligned to the right.
    pub(crate) is_quantity: bool,
    /// Columns that may go where there is no room for all: the lowest goes first.
    pub(crate) goes: Option<u8>,
    /// How a cell looks.
    pub(crate) style: fn(&str) -> Option<Ansi>,
}

/// A table that is being printed.
pub(crate) struct Grid {
    heads: Vec<Head>,
    rows: Vec<Vec<String>>,
    /// What columns are at least as wide as.
    least: Vec<usize>,
    widths: Option<Vec<usize>>,
    page: Page,
    /// Whether columns that are empty in every row may be left out.
    may_drop: bool,
}

impl Grid {
    /// A table of these columns.
    pub(crate) fn new(heads: Vec<Head>, may_drop: bool, page: Page) -> Self {
        Self {
            least: vec![0; heads.len()],
            heads,
            rows: Vec::new(),
            widths: None,
            page,
            may_drop,
        }
    }

    /// Makes room for a row that comes late.
    pub(crate) fn expect(&mut self, row: &[String]) {
        for (least, cell) in self.least.iter_mut().zip(row) {
            *least = (*least).max(cell.chars().count());
        }
    }

    /// Adds a row.
    pub(crate) fn push(&mut self, row: Vec<String>, out: &mut Output) -> Result<(), Failure> {
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
        let drops_empty = is_all && self.may_drop;
        let natural: Vec<usize> = self
            .heads
            .iter()
            .zip(&self.least)
            .enumerate()
            .map(|(index, (head, &least))| {
                let rows = self.rows.iter().filter_map(|row| row.get(index));
                let widest = rows.map(|cell| cell.chars().count()).max().unwrap_or(0);
                let widest = widest.max(least);
                if widest == 0 && drops_empty {
                    0
                } else {
                    widest.max(head.title.chars().count())
                }
            })
            .collect();
        let widths = fit(&self.heads, natural, self.page.width);
        self.write_heading(out, &widths);
        for row in std::mem::take(&mut self.rows) {
            self.write_row(out, &widths, &row);
        }
        self.widths = Some(widths);
        out.spill()
    }

    fn write_heading(&self, out: &mut Output, widths: &[usize]) {
        let titles: Vec<String> = self
            .heads
            .iter()
            .map(|head| head.title.clone().into_owned())
            .collect();
        let bold = Ansi::new().bold();
        self.write_cells(out, widths, &titles, |_, _| Some(bold));
    }

    fn write_row(&self, out: &mut Output, widths: &[usize], row: &[String]) {
        self.write_cells(out, widths, row, |head, cell| (head.style)(cell));
    }

    fn write_cells(
        &self,
        out: &mut Output,
        widths: &[usize],
        cells: &[String],
        style: impl Fn(&Head, &str) -> Option<Ansi>,
    ) {
        let buffer = out.buffer();
        let shown = self.heads.iter().zip(widths).zip(cells);
        let shown = shown.filter(|((_, width), _)| **width > 0);
        for (index, ((head, &width), cell)) in shown.enumerate() {
            if index > 0 {
                buffer.extend_from_slice(b"  ");
            }
            // Only a terminal has an edge.
            let text = if self.page.width.is_some() {
                cut(cell, width)
            } else {
                cell.into()
            };
            let padding = width.saturating_sub(text.chars().count());
            let pad = |buffer: &mut Vec<u8>| buffer.resize(buffer.len() + padding, b' ');
            if head.is_quantity {
                pad(buffer);
            }
            match style(head, cell).filter(|_| self.page.color) {
                Some(style) => {
                    buffer.extend_from_slice(format!("{style}{text}{style:#}").as_bytes());
                }
                None => buffer.extend_from_slice(text.as_bytes()),
            }
            if !head.is_quantity {
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
fn fit(heads: &[Head], mut widths: Vec<usize>, width: Option<usize>) -> Vec<usize> {
    let Some(width) = width else { return widths };
    let total = |widths: &[usize]| {
        let shown = widths.iter().filter(|&&width| width > 0).count();
        widths.iter().sum::<usize>() + 2 * shown.saturating_sub(1)
    };
    let mut dispensable: Vec<(u8, usize, usize)> = Vec::new();
    for (index, (head, width)) in heads.iter().zip(&mut widths).enumerate() {
        if let Some(rank) = head.goes {
            dispensable.push((rank, index, std::mem::take(width)));
        }
    }
    dispensable.sort_unstable();
    for (_, index, natural) in dispensable.into_iter().rev() {
        widths[index] = natural;
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

#[cfg(test)]
mod tests {
    use super::*;
    use engine::Column;

    #[test]
    fn a_narrow_terminal_loses_the_columns_that_say_least_first() {
        let heads: Vec<Head> = Column::TABLE.iter().map(|&column| column.into()).collect();
        let widths = fit(&heads, vec![5, 11, 21, 21, 24, 8, 8, 6, 6, 9], Some(100));
        assert_eq!(widths[9], 0, "the status goes first");
        assert!(widths[2] > 0 && widths[3] > 0, "addresses stay");
        assert!(
            widths[4] > 0 && widths[1] > 0,
            "so does what there is room for"
        );
        assert!(widths.iter().sum::<usize>() <= 100);
        let all = vec![5, 11, 21, 21, 24, 8, 8, 6, 6, 9];
        assert_eq!(fit(&heads, all.clone(), Some(140)), all);
    }

    #[test]
    fn a_cut_cell_says_so() {
        assert_eq!(cut("2001:db8::1", 8), "2001:db…");
        assert_eq!(cut("10.0.0.1", 8), "10.0.0.1");
    }
}
