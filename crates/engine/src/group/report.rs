//! Groups in order: the first of them as rows, the others summed up.

use std::cmp::{Ordering, Reverse};

use super::{By, Cell, Groups, Tally, key_at};

/// What groups are sorted by. Equal ones follow their keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortBy {
    /// Connections, the most first.
    #[default]
    Connections,
    /// Bytes, the most first; groups without counters last.
    Bytes,
    /// Packets, the most first; groups without counters last.
    Packets,
    /// Bytes a second, the most first; groups without rates last.
    Rate,
    /// The newest connection, the youngest first; groups without timestamps last.
    Newest,
    /// What they are grouped by: addresses and numbers ascending, what is absent last.
    Key,
}

/// An order of groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// By what.
    pub by: SortBy,
    /// The other way round.
    pub reverse: bool,
}

/// Groups in order.
pub struct Report {
    groups: Groups,
    /// The places of the groups that are shown.
    shown: Vec<u32>,
    others: Option<(u64, Tally)>,
    total: Tally,
}

/// One group.
pub struct Row<'a> {
    /// The value of each field.
    pub cells: Vec<Cell>,
    /// Its sums.
    pub tally: &'a Tally,
}

impl Report {
    pub(super) fn new(groups: Groups, order: Order, limit: Option<usize>) -> Self {
        let mut places: Vec<u32> = (0..groups.tallies.len() as u32).collect();
        let compare = |a: &u32, b: &u32| {
            let order_of_two = groups.compare(*a, *b, order.by);
            if order.reverse {
                order_of_two.reverse()
            } else {
                order_of_two
            }
        };
        let limit = limit.unwrap_or(usize::MAX);
        let mut others = None;
        if limit < places.len() {
            // The first ones are found without sorting all of them.
            places.select_nth_unstable_by(limit, compare);
            let rest = places.split_off(limit);
            let mut tally = Tally::default();
            rest.iter().for_each(|place| tally.merge(groups.at(*place)));
            others = Some((rest.len() as u64, tally));
        }
        places.sort_unstable_by(compare);
        let mut total = groups.ungrouped.clone();
        groups.tallies.iter().for_each(|tally| total.merge(tally));
        Self {
            groups,
            shown: places,
            others,
            total,
        }
    }

    /// What the entries are grouped by.
    pub fn by(&self) -> &[By] {
        self.groups.plan.by()
    }

    /// The groups that are shown, in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = Row<'_>> {
        let layout = &self.groups.plan.layout;
        self.shown.iter().map(|&place| Row {
            cells: layout.cells(key_at(&self.groups.keys, layout.width(), place)),
            tally: self.groups.at(place),
        })
    }

    /// How many groups a limit left off, and their sums.
    pub fn others(&self) -> Option<(u64, &Tally)> {
        self.others.as_ref().map(|(groups, tally)| (*groups, tally))
    }

    /// Entries of more groups than were to be told apart, if there were any.
    pub fn ungrouped(&self) -> Option<&Tally> {
        Some(&self.groups.ungrouped).filter(|tally| tally.connections() > 0)
    }

    /// Everything.
    pub const fn total(&self) -> &Tally {
        &self.total
    }

    /// How many groups there are, shown or not.
    pub const fn groups(&self) -> u64 {
        self.groups.len() as u64
    }

    /// A group's part of all connections, 0 to 1.
    pub fn share(&self, tally: &Tally) -> Option<f64> {
        part(Some(tally.connections()), Some(self.total.connections()))
    }

    /// A group's part of all bytes that were counted, 0 to 1; `None` where there are none.
    pub fn share_bytes(&self, tally: &Tally) -> Option<f64> {
        part(tally.bytes(), self.total.bytes())
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a share is shown with a few digits"
)]
fn part(of: Option<u64>, all: Option<u64>) -> Option<f64> {
    let (of, all) = (of?, all?);
    (all > 0).then(|| of as f64 / all as f64)
}

impl Groups {
    fn at(&self, place: u32) -> &Tally {
        self.tallies.get(place as usize).unwrap_or(&self.ungrouped)
    }

    fn compare(&self, a: u32, b: u32, by: SortBy) -> Ordering {
        let (first, second) = (self.at(a), self.at(b));
        let by_value = match by {
            SortBy::Connections => second.connections().cmp(&first.connections()),
            // `None` is less than any number, and so last.
            SortBy::Bytes => Reverse(first.bytes()).cmp(&Reverse(second.bytes())),
            SortBy::Packets => Reverse(first.packets()).cmp(&Reverse(second.packets())),
            SortBy::Rate => Reverse(first.rate()).cmp(&Reverse(second.rate())),
            SortBy::Newest => Reverse(first.newest()).cmp(&Reverse(second.newest())),
            SortBy::Key => Ordering::Equal,
        };
        let width = self.plan.layout.width();
        by_value.then_with(|| key_at(&self.keys, width, a).cmp(key_at(&self.keys, width, b)))
    }
}
