//! The first rows of the contract's order, out of any number of entries.

use std::collections::{BinaryHeap, HashSet};

use ctnetlink::Entry;

use super::connection::{Order, Row};

/// Keeps the first `limit` rows in a bounded heap, or all rows where there is no limit.
///
/// Nearly every entry of a large table is refused after one comparison of two numbers.
#[derive(Debug)]
pub(super) struct First {
    order: Order,
    kept: Kept,
}

#[derive(Debug)]
enum Kept {
    All(Vec<Row>),
    /// The heap's top is the row that comes last.
    Some(BinaryHeap<Row>, usize),
}

impl First {
    pub(super) const fn new(order: Order, limit: Option<usize>) -> Self {
        let kept = match limit {
            None => Kept::All(Vec::new()),
            Some(limit) => Kept::Some(BinaryHeap::new(), limit),
        };
        Self { order, kept }
    }

    /// Offers an entry. Gives the least rank that can still be kept, if that is another one now.
    #[inline]
    pub(super) fn offer(&mut self, entry: &Entry) -> Option<u64> {
        let rank = self.order.rank(entry);
        match &mut self.kept {
            Kept::All(rows) => rows.push(Row::new(entry, rank)),
            Kept::Some(heap, limit) if heap.len() < *limit => heap.push(Row::new(entry, rank)),
            Kept::Some(heap, _) => {
                let mut last = heap.peek_mut().filter(|last| rank >= last.rank())?;
                let row = Row::new(entry, rank);
                if row < *last {
                    *last = row;
                }
            }
        }
        match &self.kept {
            Kept::Some(heap, limit) if heap.len() == *limit => heap.peek().map(Row::rank),
            _ => None,
        }
    }

    /// Offers what another one has kept.
    pub(super) fn merge(&mut self, other: Self) {
        match (&mut self.kept, other.kept) {
            (Kept::All(rows), Kept::All(mut more)) => rows.append(&mut more),
            (Kept::All(rows), Kept::Some(more, _)) => rows.extend(more),
            (Kept::Some(heap, limit), more) => {
                heap.extend(match more {
                    Kept::All(rows) => rows,
                    Kept::Some(heap, _) => heap.into_vec(),
                });
                while heap.len() > *limit {
                    heap.pop();
                }
            }
        }
    }

    /// The rows in order.
    pub(super) fn into_rows(self) -> Vec<Row> {
        match self.kept {
            Kept::All(mut rows) => {
                rows.sort_unstable();
                rows
            }
            Kept::Some(heap, _) => heap.into_sorted_vec(),
        }
    }
}

/// Leaves only the first row of each entry: an interrupted dump can hold an entry twice.
pub(super) fn without_repetitions(mut rows: Vec<Row>) -> Vec<Row> {
    let mut seen = HashSet::new();
    rows.retain(|row| seen.insert(row.name()));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctnetlink::{Counters, Protocol, Tuple};
    use proptest::prelude::*;

    fn entry(timeout: Option<u32>, bytes: Option<u64>, port: u16) -> Entry {
        let host = std::net::IpAddr::from([192, 0, 2, 1]);
        let orig = Tuple::ports(Protocol::UDP, host, port, host, 53);
        let mut entry = Entry::new(orig, orig.mirror());
        entry.timeout = timeout;
        entry.counters_orig = bytes.map(|bytes| Counters { packets: 1, bytes });
        entry
    }

    proptest! {
        #[test]
        fn the_heap_keeps_what_a_sort_puts_first(
            values in proptest::collection::vec(
                (proptest::option::of(0u32..9), proptest::option::of(0u64..9)),
                0..200,
            ),
            limit in 1usize..60,
            by_bytes in any::<bool>(),
        ) {
            let order = if by_bytes { Order::Bytes } else { Order::Timeout };
            let (mut all, mut some) = (First::new(order, None), First::new(order, Some(limit)));
            for (&(timeout, bytes), port) in values.iter().zip(0u16..) {
                // Not in the order of the ports, so that ties come from either side.
                let entry = entry(timeout, bytes, port.wrapping_mul(7919));
                all.offer(&entry);
                some.offer(&entry);
            }
            let mut expected = all.into_rows();
            prop_assert!(expected.is_sorted());
            expected.truncate(limit);
            prop_assert_eq!(some.into_rows(), expected);
        }
    }

    #[test]
    fn a_limit_beyond_all_memory_reserves_none() {
        let mut first = First::new(Order::Timeout, Some(usize::MAX));
        first.offer(&entry(Some(1), None, 1));
        assert_eq!(first.into_rows().len(), 1);
    }

    #[test]
    fn an_entry_that_came_twice_is_one_row() {
        let mut first = First::new(Order::Timeout, None);
        first.offer(&entry(Some(9), None, 1));
        first.offer(&entry(Some(8), None, 1));
        first.offer(&entry(Some(9), None, 2));
        let rows = without_repetitions(first.into_rows());
        assert_eq!(rows.len(), 2);
        assert!(rows.iter().all(|row| row.rank() == 10));
    }
}
