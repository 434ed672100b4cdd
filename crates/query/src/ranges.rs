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

    #[test]
    fn the_largest_number_has_no_neighbour() {
        let all = Ranges::all(u128::MAX);
        assert!(all.complement(u128::MAX).is_empty());
        assert_eq!(Ranges::default().complement(u128::MAX), all);
        assert_eq!(all.numbers(1000), None);
    }
}
