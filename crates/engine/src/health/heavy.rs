//! The most frequent of any number of things, in bounded memory.

use std::hash::Hash;

use hashbrown::HashMap;

/// Counts things, of which the frequent ones stay: the summary of Misra and Gries.
///
/// A thing that is not in it was seen [`error`](Self::error) times at most, and one that is, so much more often at
/// most than its count says; never less often. With room for `n` things and `m` seen the error is at
/// most `m / (n + 1)`, and none while there are no more than `n` different ones.
#[derive(Clone, Debug)]
pub(super) struct Heavy<K, V> {
    map: HashMap<K, Counted<V>>,
    room: usize,
    error: u64,
}

#[derive(Clone, Debug)]
struct Counted<V> {
    count: u64,
    notes: V,
}

/// What is noted beside a count.
pub(super) trait Notes: Default {
    /// Adds what another one has noted of the same thing.
    fn merge(&mut self, other: Self);
}

impl<K: Eq + Hash + Copy + Ord, V: Notes> Heavy<K, V> {
    /// With room for so many things.
    pub(super) fn new(room: usize) -> Self {
        Self {
            map: HashMap::new(),
            room,
            error: 0,
        }
    }

    /// Counts a thing, and notes something of it.
    #[inline]
    pub(super) fn add(&mut self, key: K, note: impl FnOnce(&mut V)) {
        if let Some(counted) = self.map.get_mut(&key) {
            counted.count += 1;
            note(&mut counted.notes);
        } else if self.map.len() < self.room {
            let mut notes = V::default();
            note(&mut notes);
            self.map.insert(key, Counted { count: 1, notes });
        } else {
            self.lower(1);
        }
    }

    /// Adds what another one has counted.
    pub(super) fn merge(&mut self, other: Self) {
        self.error += other.error;
        for (key, more) in other.map {
            let counted = self.map.entry(key).or_insert_with(|| Counted {
                count: 0,
                notes: V::default(),
            });
            counted.count += more.count;
            counted.notes.merge(more.notes);
        }
        if self.map.len() > self.room {
            let mut counts: Vec<u64> = self.map.values().map(|counted| counted.count).collect();
            counts.sort_unstable_by(|a, b| b.cmp(a));
            self.lower(counts.get(self.room).copied().unwrap_or(0));
        }
    }

    /// How much oftener things may have been seen than is counted.
    pub(super) const fn error(&self) -> u64 {
        self.error
    }

    /// The most frequent things, the first first, with their counts and notes.
    pub(super) fn first(&self, limit: usize) -> Vec<(K, u64, &V)> {
        let mut all: Vec<(K, u64, &V)> = self
            .map
            .iter()
            .map(|(&key, counted)| (key, counted.count, &counted.notes))
            .collect();
        all.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        all.truncate(limit);
        all
    }

    /// Takes so much from every count; what comes to nothing goes.
    fn lower(&mut self, by: u64) {
        self.error += by;
        self.map.retain(|_, counted| {
            counted.count = counted.count.saturating_sub(by);
            counted.count > 0
        });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    impl Notes for () {
        fn merge(&mut self, (): Self) {}
    }

    fn counted(things: &[u8], room: usize) -> Heavy<u8, ()> {
        let mut heavy = Heavy::new(room);
        for &thing in things {
            heavy.add(thing, |()| {});
        }
        heavy
    }

    proptest! {
        #[test]
        fn what_is_frequent_stays_and_is_counted_within_the_error(
            here in proptest::collection::vec(0u8..30, 0..400),
            there in proptest::collection::vec(0u8..30, 0..400),
            room in 1usize..20,
        ) {
            let mut heavy = counted(&here, room);
            heavy.merge(counted(&there, room));
            let mut truth: HashMap<u8, u64> = HashMap::new();
            for thing in here.iter().chain(&there) {
                *truth.entry(*thing).or_default() += 1;
            }
            let first = heavy.first(usize::MAX);
            prop_assert!(first.len() <= room);
            prop_assert!(heavy.error() <= (here.len() + there.len()) as u64 / (room as u64 + 1));
            prop_assert!(first.is_sorted_by(|a, b| a.1 >= b.1));
            for (thing, seen) in truth {
                let count = first.iter().find(|(key, ..)| *key == thing).map_or(0, |found| found.1);
                prop_assert!(count <= seen && seen <= count + heavy.error());
            }
        }
    }

    #[test]
    fn counts_are_exact_while_there_is_room() {
        let heavy = counted(&[1, 2, 2, 3, 3, 3], 3);
        assert_eq!(heavy.first(2), [(3, 3, &()), (2, 2, &())]);
        assert_eq!(heavy.error(), 0);
    }
}
