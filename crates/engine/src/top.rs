//! The first of an order, out of any number: a bounded heap.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Keeps the first `limit` of an order, or all.
///
/// Memory grows with the limit, not with what is offered.
pub struct Top<T, F> {
    heap: BinaryHeap<Kept<T, F>>,
    limit: usize,
    order: F,
}

struct Kept<T, F> {
    item: T,
    order: F,
}

impl<T: Clone, F: Fn(&T, &T) -> Ordering + Copy> Top<T, F> {
    /// Keeps the `limit` first by `order`; all without a limit.
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

    /// Offers one. Gives the last of those that are kept, if it is another one now and no more
    /// are kept without one being dropped.
    pub fn offer(&mut self, item: &T) -> Option<&T> {
        let order = self.order;
        if self.heap.len() < self.limit {
            self.heap.push(Kept {
                item: item.clone(),
                order,
            });
        } else {
            let mut last = self.heap.peek_mut()?;
            if order(item, &last.item) != Ordering::Less {
                return None;
            }
            last.item.clone_from(item);
        }
        let is_full = self.heap.len() == self.limit;
        let last = self.heap.peek().filter(|_| is_full);
        last.map(|last| &last.item)
    }

    /// Offers what another one has kept.
    pub fn merge(&mut self, other: Self) {
        for kept in other.heap {
            if self.heap.len() < self.limit {
                self.heap.push(kept);
            } else {
                self.offer(&kept.item);
            }
        }
    }

    /// What is kept, in order.
    pub fn into_sorted(self) -> Vec<T> {
        self.heap
            .into_sorted_vec()
            .into_iter()
            .map(|kept| kept.item)
            .collect()
    }
}

impl<T, F: Fn(&T, &T) -> Ordering> Ord for Kept<T, F> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.order)(&self.item, &other.item)
    }
}

impl<T, F: Fn(&T, &T) -> Ordering> PartialOrd for Kept<T, F> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T, F: Fn(&T, &T) -> Ordering> PartialEq for Kept<T, F> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T, F: Fn(&T, &T) -> Ordering> Eq for Kept<T, F> {}

#[cfg(test)]
mod tests {
    use super::*;
    use ctnetlink::{Entry, Protocol, Tuple};
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
