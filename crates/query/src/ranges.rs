//! Sets of numbers, as sorted ranges.

/// A set of numbers: ranges, ends included, ascending, neither touching nor overlapping.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Ranges(Vec<(u128, u128)>);

impl Ranges {
    pub(crate) fn all(max: u128) -> Self {
        Self(vec![(0, max)])
    }

    pub(crate) fn one(number: u128) -> Self {
        Self(vec![(number, number)])
    }

    /// Empty if it ends before it begins.
    pub(crate) fn between(first: u128, last: u128) -> Self {
        if first <= last {
            Self(vec![(first, last)])
        } else {
            Self::default()
        }
    }

    pub(crate) fn as_slice(&self) -> &[(u128, u128)] {
        &self.0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn is_all(&self, max: u128) -> bool {
        self.0 == [(0, max)]
    }

    /// The single numbers in it, if it holds at most `limit`.
    pub(crate) fn numbers(&self, limit: usize) -> Option<Vec<u128>> {
        let mut numbers = Vec::new();
        for &(first, last) in &self.0 {
            if last - first >= limit as u128 {
                return None;
            }
            numbers.extend(first..=last);
            if numbers.len() > limit {
                return None;
            }
        }
        Some(numbers)
    }

    /// The union of many at once, in the time of one sort.
    pub(crate) fn union_of(all: impl IntoIterator<Item = Self>) -> Self {
        let mut all: Vec<(u128, u128)> = all.into_iter().flat_map(|ranges| ranges.0).collect();
        all.sort_unstable();
        let mut merged: Vec<(u128, u128)> = Vec::with_capacity(all.len());
        for (first, last) in all {
            match merged.last_mut() {
                Some(previous) if first <= previous.1.saturating_add(1) => {
                    previous.1 = previous.1.max(last);
                }
                _ => merged.push((first, last)),
            }
        }
        Self(merged)
    }

    pub(crate) fn intersection(&self, other: &Self) -> Self {
        let (mut left, mut right) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut common = Vec::new();
        while let (Some(&&a), Some(&&b)) = (left.peek(), right.peek()) {
            let (first, last) = (a.0.max(b.0), a.1.min(b.1));
            if first <= last {
                common.push((first, last));
            }
            if a.1 < b.1 {
                left.next();
            } else {
                right.next();
            }
        }
        Self(common)
    }

    /// At most so many ranges, and at least one if there is any: the narrowest gaps are closed.
    pub(crate) fn at_most(self, limit: usize) -> Self {
        let surplus = self.0.len().saturating_sub(limit.max(1));
        if surplus == 0 {
            return self;
        }
        let gap = |pair: &[(u128, u128)]| match pair {
            [(_, last), (first, _)] => first - last,
            _ => 0,
        };
        let mut gaps: Vec<(u128, usize)> = self.0.windows(2).map(gap).zip(1..).collect();
        gaps.sort_unstable();
        let mut closed: Vec<usize> = gaps.iter().take(surplus).map(|&(_, at)| at).collect();
        closed.sort_unstable();
        let mut closed = closed.into_iter().peekable();
        let mut fewer: Vec<(u128, u128)> = Vec::with_capacity(limit.max(1));
        for (at, range) in self.0.into_iter().enumerate() {
            match fewer.last_mut() {
                Some(before) if closed.next_if_eq(&at).is_some() => before.1 = range.1,
                _ => fewer.push(range),
            }
        }
        Self(fewer)
    }

    pub(crate) fn complement(&self, max: u128) -> Self {
        let mut rest = Vec::new();
        let mut next = Some(0);
        for &(first, last) in &self.0 {
            if let Some(begin) = next
                && begin < first
            {
                rest.push((begin, first - 1));
            }
            next = last.checked_add(1).filter(|&begin| begin <= max);
        }
        if let Some(begin) = next {
            rest.push((begin, max));
        }
        Self(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAX: u128 = 63;

    fn set() -> impl Strategy<Value = (Ranges, u64)> {
        proptest::collection::vec((0u128..64, 0u128..64), 0..6).prop_map(|pairs| {
            let parts = pairs.iter().map(|&(a, b)| Ranges::between(a, b));
            let bits = pairs
                .iter()
                .flat_map(|&(a, b)| a..=b)
                .fold(0u64, |bits, number| bits | 1 << number);
            (Ranges::union_of(parts), bits)
        })
    }

    fn bits(ranges: &Ranges) -> u64 {
        let numbers = ranges.numbers(64).unwrap();
        numbers.iter().fold(0, |bits, number| bits | 1 << number)
    }

    proptest! {
        #[test]
        fn ranges_are_sets((a, a_bits) in set(), (b, b_bits) in set()) {
            prop_assert_eq!(bits(&a), a_bits);
            prop_assert_eq!(bits(&Ranges::union_of([a.clone(), b.clone()])), a_bits | b_bits);
            prop_assert_eq!(bits(&a.intersection(&b)), a_bits & b_bits);
            prop_assert_eq!(bits(&a.complement(MAX)), !a_bits);
            prop_assert_eq!(a.complement(MAX).complement(MAX), a.clone());
            prop_assert_eq!(a.is_all(MAX), a_bits == u64::MAX);
        }
    }

    proptest! {
        #[test]
        fn fewer_ranges_hold_all_that_more_do((a, a_bits) in set(), limit in 1usize..8) {
            let fewer = a.clone().at_most(limit);
            prop_assert_eq!(bits(&fewer) & a_bits, a_bits);
            prop_assert_eq!(fewer.as_slice().len(), a.as_slice().len().min(limit));
            let again = Ranges::union_of([fewer.clone()]);
            prop_assert_eq!(again, fewer, "ascending and apart");
        }
    }

    #[test]
    fn the_narrowest_gaps_are_closed() {
        let ranges = Ranges::union_of([1, 3, 100, 102, 150].map(Ranges::one));
        assert_eq!(
            ranges.clone().at_most(3).as_slice(),
            [(1, 3), (100, 102), (150, 150)]
        );
        assert_eq!(ranges.clone().at_most(2).as_slice(), [(1, 3), (100, 150)]);
        assert_eq!(ranges.at_most(1).as_slice(), [(1, 150)]);
    }

    #[test]
    fn the_largest_number_has_no_neighbour() {
        let all = Ranges::all(u128::MAX);
        assert!(all.complement(u128::MAX).is_empty());
        assert_eq!(Ranges::default().complement(u128::MAX), all);
        assert_eq!(all.numbers(1000), None);
    }
}
