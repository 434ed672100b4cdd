//! The first entries of an order, out of any number: a bounded heap.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use ctnetlink::Entry;

/// Keeps the first `limit` entries of an order, or all of them.
///
/// Memory grows with the limit, not with what is offered.
pub struct Top<F> {
    heap: BinaryHeap<Kept<F>>,
    limit: usize,
    order: F,
}

struct Kept<F> {
    entry: Entry,
    order: F,
}

impl<F: Fn(&Entry, &Entry) -> Ordering + Copy> Top<F> {
    /// Keeps the `limit` first entries by `order`; all without a limit.
    pub const fn new(limit: Option<usize>, order: F) -> Self {
        let limit = match limit {
            Some(limit) => limit,
            None => usize::MAX,
        };
        Self {
            heap: BinaryHeap::new(),
            limit,
            order,
        }
    }

    /// Offers an entry. Gives the last of those that are kept, if it is another one now and no more
    /// are kept without one being dropped.
    pub fn offer(&mut self, entry: &Entry) -> Option<&Entry> {
        let order = self.order;
        if self.heap.len() < self.limit {
            self.heap.push(Kept {
                entry: entry.clone(),
                order,
            });
        } else {
            let mut last = self.heap.peek_mut()?;
            if order(entry, &last.entry) != Ordering::Less {
                return None;
            }
            last.entry.clone_from(entry);
        }
        let is_full = self.heap.len() == self.limit;
        let last = self.heap.peek().filter(|_| is_full);
        last.map(|last| &last.entry)
    }

    /// Offers what another one has kept.
    pub fn merge(&mut self, other: Self) {
        for kept in other.heap {
            if self.heap.len() < self.limit {
                self.heap.push(kept);
            } else {
                self.offer(&kept.entry);
            }
        }
    }

    /// The kept entries in order.
    pub fn into_sorted(self) -> Vec<Entry> {
        self.heap
            .into_sorted_vec()
            .into_iter()
            .map(|kept| kept.entry)
            .collect()
    }
}

impl<F: Fn(&Entry, &Entry) -> Ordering> Ord for Kept<F> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.order)(&self.entry, &other.entry)
    }
}

impl<F: Fn(&Entry, &Entry) -> Ordering> PartialOrd for Kept<F> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<F: Fn(&Entry, &Entry) -> Ordering> PartialEq for Kept<F> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<F: Fn(&Entry, &Entry) -> Ordering> Eq for Kept<F> {}

#[cfg(test)]
mod tests {
    use super::*;
    use ctnetlink::{Protocol, Tuple};
    use proptest::prelude::*;

    fn entry(timeout: u32, port: u16) -> Entry {
        let host = std::net::IpAddr::from([192, 0, 2, 1]);
        let orig = Tuple::ports(Protocol::UDP, host, port, host, 53);
        let mut entry = Entry::new(orig, orig.mirror());
        entry.timeout = Some(timeout);
        entry
    }

    proptest! {
        #[test]
        fn the_heap_keeps_what_a_sort_puts_first(
            timeouts in proptest::collection::vec(0u32..50, 0..200),
            limit in 0usize..60,
        ) {
            let order = |a: &Entry, b: &Entry| {
                b.timeout.cmp(&a.timeout).then_with(|| a.orig.cmp(&b.orig))
            };
            let all: Vec<Entry> =
                timeouts.iter().zip(0u16..).map(|(&timeout, port)| entry(timeout, port)).collect();
            let mut top = Top::new(Some(limit), order);
            for entry in &all {
                top.offer(entry);
            }
            let mut sorted = all;
            sorted.sort_by(order);
            sorted.truncate(limit);
            prop_assert_eq!(top.into_sorted(), sorted);
        }
    }
}
