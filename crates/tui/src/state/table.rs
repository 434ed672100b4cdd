//! The rows that are here, of all that are selected.

use std::collections::BTreeMap;

use crate::cell::{Context, cell};
use crate::column::{self, Column, cells};
use crate::wire::{Fault, Page, Row, Totals, Truth};

/// The most rows that are asked for at once.
const MOST_ROWS: usize = 1000;

/// The rows that are here.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// The rows.
    pub rows: Vec<Row>,
    /// Where the first of them is in the order.
    pub offset: usize,
    /// Sums of all that is selected; nothing before the first answer.
    pub totals: Option<Totals>,
    /// How far the rows can be believed.
    pub truth: Option<Truth>,
    /// Names the order that further pages are of.
    pub cursor: Option<String>,
    /// The first row on the screen.
    pub top: usize,
    /// The row that keys are about.
    pub at: usize,
    /// The connection that keys are about, once somebody has chosen one.
    pub name: Option<String>,
    /// Marked connections.
    pub marks: BTreeMap<String, Row>,
    /// Why there are no newer rows.
    pub fault: Option<Fault>,
    /// When the rows came.
    pub came_ms: u64,
    /// When to ask again.
    pub due_ms: u64,
    /// How wide what is in the columns is.
    pub widths: BTreeMap<&'static str, u16>,
    /// How many columns are scrolled away to the left.
    pub shift: usize,
    /// Which rows were asked for last.
    pub asked: Wanted,
    /// Which rows are here.
    pub came: Wanted,
}

/// What to ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The order that is gone on with; a new one without.
    pub cursor: Option<String>,
    /// Rows before the first.
    pub offset: usize,
    /// How many.
    pub limit: usize,
}

impl Table {
    /// Whether the order is held: below the top, rows keep their places.
    pub const fn is_held(&self) -> bool {
        self.top > 0 && self.cursor.is_some()
    }

    /// How many there are in all.
    pub fn total(&self) -> usize {
        let told = self.totals.map_or(0, |totals| totals.connections);
        usize::try_from(told).unwrap_or(usize::MAX)
    }

    /// The row that keys are about.
    pub fn current(&self) -> Option<&Row> {
        self.rows.get(self.at.checked_sub(self.offset)?)
    }

    /// A row by its place in the order.
    pub fn row(&self, place: usize) -> Option<&Row> {
        self.rows.get(place.checked_sub(self.offset)?)
    }

    /// Everything anew: another query or order.
    pub(crate) fn restart(&mut self) {
        self.cursor = None;
        self.top = 0;
        self.at = 0;
        self.offset = 0;
        self.name = None;
        // Those of the old order stay until there are others.
        self.came = Wanted {
            limit: self.rows.len(),
            ..Wanted::default()
        };
        self.due_ms = 0;
        self.widths.clear();
    }

    /// Which rows are needed to fill so many lines.
    pub fn wanted(&self, height: usize) -> Wanted {
        let height = height.max(1);
        if self.is_held() {
            return Wanted {
                cursor: self.cursor.clone(),
                offset: self.top.saturating_sub(height),
                limit: (3 * height).min(MOST_ROWS),
            };
        }
        Wanted {
            cursor: None,
            offset: 0,
            limit: (self.top + 2 * height).clamp(50, MOST_ROWS),
        }
    }

    /// Whether rows are missing that should be on the screen.
    pub fn lacks(&self, height: usize) -> bool {
        let end = (self.top + height).min(self.total());
        self.top < self.came.offset || end > self.came.offset + self.came.limit
    }

    /// Takes the rows that were asked for; `false` where they are not those that are wanted any more.
    pub(crate) fn take(&mut self, page: Page, height: usize, now_ms: u64) -> bool {
        let asked = self.asked.clone();
        let (offset, is_held) = (asked.offset, self.is_held());
        if asked.cursor.is_some() != is_held {
            // They are of another order than the one that is shown by now.
            self.due_ms = 0;
            return false;
        }
        if let Some(name) = self.name.clone()
            && let Some(place) = page.connections.iter().position(|row| row.name == name)
        {
            let place = offset + place;
            if is_held {
                // It stays on its line.
                self.top = (self.top + place).saturating_sub(self.at).max(1);
            }
            if is_held || place < height || self.top > 0 {
                self.at = place;
            }
        }
        self.rows = page.connections;
        self.offset = offset;
        if asked.cursor.is_none() {
            self.cursor = page.cursor;
        }
        self.came = asked;
        self.totals = Some(page.totals);
        self.truth = Some(page.truth);
        self.came_ms = now_ms;
        self.fault = None;
        self.clamp(height);
        if self.name.is_some() {
            self.name = self.current().map(|row| row.name.clone());
        }
        for row in &self.rows {
            if let Some(marked) = self.marks.get_mut(&row.name) {
                marked.clone_from(row);
            }
        }
        true
    }

    /// Moves by so many rows.
    pub(crate) fn step(&mut self, by: isize, height: usize) {
        self.go(self.at.saturating_add_signed(by), height);
    }

    /// Goes to a place in the order.
    pub(crate) fn go(&mut self, place: usize, height: usize) {
        self.at = place;
        self.fit(height);
        self.name = self.current().map(|row| row.name.clone());
    }

    /// Brings the row that keys are about onto a screen of another height.
    pub(crate) fn fit(&mut self, height: usize) {
        self.clamp(height);
        if self.at < self.top {
            self.top = self.at;
        } else if self.at >= self.top + height.max(1) {
            self.top = self.at + 1 - height.max(1);
        }
    }

    /// Moves what is on the screen, and the place with it only where it has to.
    pub(crate) fn scroll(&mut self, by: isize, height: usize) {
        self.top = self.top.saturating_add_signed(by);
        self.clamp(height);
        let last = self.top + height.max(1) - 1;
        let at = self.at.clamp(self.top, last.max(self.top));
        self.go(at, height);
    }

    fn clamp(&mut self, height: usize) {
        let total = self.total();
        self.at = self.at.min(total.saturating_sub(1));
        self.top = self.top.min(total.saturating_sub(height.max(1)));
    }

    /// Notes how wide the rows are; columns only grow, so that they stand still.
    pub(crate) fn measure(&mut self, columns: &[&'static Column], context: &Context<'_>) {
        for column in columns {
            let widest = self
                .rows
                .iter()
                .map(|row| cells(&cell(column.id, row, context).text));
            let widest = widest.max().unwrap_or(0);
            let width = self.widths.entry(column.id).or_default();
            *width = (*width).max(widest);
        }
    }

    /// The columns that were chosen, as far as they are known.
    pub fn columns(chosen: &[String]) -> Vec<&'static Column> {
        let known = chosen.iter().filter_map(|id| column::by_id(id));
        let known: Vec<&'static Column> = known.collect();
        match known.is_empty() {
            true => column::COLUMNS
                .iter()
                .filter(|column| column.is_usual)
                .collect(),
            false => known,
        }
    }
}
