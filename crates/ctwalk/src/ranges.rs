//! Which buckets are read by whom: ranges handed out in order, to whoever has done the last.

use std::sync::atomic::{AtomicU32, Ordering};

/// Ranges of buckets that are still to be read.
#[derive(Debug)]
pub(crate) struct Ranges {
    next: AtomicU32,
    buckets: u32,
    length: u32,
}

/// The program fetches so many buckets at once.
const AT_ONCE: u32 = 16;

impl Ranges {
    /// All buckets of a table, in ranges short enough that all readers end at nearly the same time.
    pub(crate) fn of(buckets: u32, readers: u32) -> Self {
        let length = (buckets / (readers * 32)).clamp(256, 8192);
        Self {
            next: AtomicU32::new(0),
            buckets,
            length: length.next_multiple_of(AT_ONCE),
        }
    }

    /// The next range, end excluded; `None` when all are given away.
    pub(crate) fn take(&self) -> Option<(u32, u32)> {
        let take = |next: u32| (next < self.buckets).then(|| next.saturating_add(self.length));
        let from = self
            .next
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .ok()?;
        Some((from, from.saturating_add(self.length).min(self.buckets)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bucket_is_given_away_once() {
        for buckets in [1, 255, 256, 65_536, 1_048_577, u32::MAX] {
            let ranges = Ranges::of(buckets, 2);
            let mut end = 0;
            while let Some((from, to)) = ranges.take() {
                assert_eq!(from, end);
                assert!(to > from);
                end = to;
            }
            assert_eq!(end, buckets);
        }
    }
}
