//! Entries in groups: how many, how much and how new, by whatever they have in common.
//!
//! Memory grows with the groups, not with the entries.

mod by;
mod cell;
mod key;
mod report;
mod tally;

use hashbrown::DefaultHashBuilder;
use hashbrown::hash_table::HashTable;
use std::hash::BuildHasher;

use ctnetlink::Entry;

use crate::failure::Failure;
use crate::live::Rates;
use crate::marks::Marks;
use key::Layout;

pub use by::{By, MOST_FIELDS};
pub use cell::Cell;
pub use report::{Order, Report, Row, SortBy};
pub use tally::Tally;

/// How many groups are told apart where nobody says otherwise.
pub const MOST_GROUPS: u32 = 1_000_000;

/// What to group by, checked.
#[derive(Clone, Debug)]
pub struct Plan {
    by: Vec<By>,
    layout: Layout,
    most: u32,
}

impl Plan {
    /// One to [`MOST_FIELDS`] fields, none of them twice. `most` groups are told apart; what
    /// belongs to others is summed up in one tally.
    pub fn new(by: Vec<By>, marks: &Marks, most: u32) -> Result<Self, Failure> {
        let usage = |message: String, hint: &str| Failure::new("usage", message, hint);
        if by.is_empty() || by.len() > MOST_FIELDS {
            return Err(usage(
                format!("there is nothing to group by {} fields", by.len()),
                "name one to four of them, such as src,dport",
            ));
        }
        let twice = by
            .iter()
            .enumerate()
            .find(|(place, field)| by.iter().take(*place).any(|other| other.what == field.what));
        if let Some((_, field)) = twice {
            return Err(usage(
                format!("{field} is to be grouped by twice"),
                "leave one of them out; some fields have two names",
            ));
        }
        let layout = Layout::new(&by, marks);
        Ok(Self { by, layout, most })
    }

    /// The fields.
    pub fn by(&self) -> &[By] {
        &self.by
    }
}

/// Groups that are being made of a stream of entries.
#[derive(Clone)]
pub struct Groups {
    plan: Plan,
    /// Places in `keys` and `tallies`.
    index: HashTable<u32>,
    /// Seeded at random: whoever sends packets chooses addresses and ports.
    hasher: DefaultHashBuilder,
    /// One after the other, each as wide as the layout says.
    keys: Vec<u8>,
    tallies: Vec<Tally>,
    /// Entries that came when there was no room for their group.
    ungrouped: Tally,
}

impl Groups {
    /// No groups yet.
    pub fn new(plan: Plan) -> Self {
        Self {
            plan,
            index: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            keys: Vec::new(),
            tallies: Vec::new(),
            ungrouped: Tally::default(),
        }
    }

    /// What they are grouped by.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// How many groups there are.
    pub const fn len(&self) -> usize {
        self.tallies.len()
    }

    /// Whether no entry has come yet.
    pub const fn is_empty(&self) -> bool {
        self.tallies.is_empty() && self.ungrouped.connections() == 0
    }

    /// Adds an entry. Allocates only where its group is new.
    #[inline]
    pub fn add(&mut self, entry: &Entry) {
        let key = self.plan.layout.key(entry);
        self.tally(key.as_bytes()).add(entry);
    }

    /// Adds an entry of which it is known how much it moves.
    pub fn add_moving(&mut self, entry: &Entry, rates: Option<&Rates>) {
        let key = self.plan.layout.key(entry);
        let tally = self.tally(key.as_bytes());
        tally.add(entry);
        if let Some(rates) = rates {
            tally.add_rates(rates);
        }
    }

    /// Adds the groups of another one, which was made by the same plan.
    pub fn merge(&mut self, other: &Self) {
        for (key, tally) in other.rows() {
            self.tally(key).merge(tally);
        }
        self.ungrouped.merge(&other.ungrouped);
    }

    fn rows(&self) -> impl Iterator<Item = (&[u8], &Tally)> {
        self.keys
            .chunks_exact(self.plan.layout.width())
            .zip(&self.tallies)
    }

    /// The tally of a key, a fresh one if it is new and there is room for it.
    #[inline]
    fn tally(&mut self, key: &[u8]) -> &mut Tally {
        let Self {
            plan,
            index,
            hasher,
            keys,
            tallies,
            ungrouped,
        } = self;
        let width = plan.layout.width();
        let hash = hasher.hash_one(key);
        let is_key = |&place: &u32| key_at(keys, width, place) == key;
        if let Some(&place) = index.find(hash, is_key) {
            return tallies.get_mut(place as usize).unwrap_or(ungrouped);
        }
        let place = tallies.len() as u32;
        if place >= plan.most {
            return ungrouped;
        }
        index.insert_unique(hash, place, |&place| {
            hasher.hash_one(key_at(keys, width, place))
        });
        keys.extend_from_slice(key);
        tallies.push(Tally::default());
        tallies.last_mut().unwrap_or(ungrouped)
    }

    /// The same with keys made one that show the same.
    fn unified(self) -> Self {
        let Some(mut unifier) = self.plan.layout.unifier() else {
            return self;
        };
        let mut unified = Self::new(self.plan.clone());
        let mut key = Vec::new();
        for (row, tally) in self.rows() {
            key.clear();
            key.extend_from_slice(row);
            unifier.unify(&mut key);
            unified.tally(&key).merge(tally);
        }
        unified.ungrouped = self.ungrouped.clone();
        unified
    }

    /// The groups in order, all or the first of them.
    pub fn into_report(self, order: Order, limit: Option<usize>) -> Report {
        Report::new(self.unified(), order, limit)
    }
}

fn key_at(keys: &[u8], width: usize, place: u32) -> &[u8] {
    let start = place as usize * width;
    keys.get(start..start + width).unwrap_or_default()
}

#[cfg(test)]
mod tests;
