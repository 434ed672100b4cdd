use std::collections::HashSet;
use std::hash::{BuildHasher, Hash, RandomState};

/// Leaves each item once, in the order in which they came.
///
/// Nearly always none is there twice. Eight bytes for each item, for a moment, show that; only if
/// they do not, the items are compared themselves.
pub(crate) fn keep_once<T: Copy + Eq + Hash>(items: &mut Vec<T>) {
    let state = RandomState::new();
    let mut hashes: Vec<u64> = items.iter().map(|item| state.hash_one(item)).collect();
    hashes.sort_unstable();
    if hashes.is_sorted_by(|left, right| left < right) {
        return;
    }
    let mut seen = HashSet::new();
    items.retain(|item| seen.insert(*item));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_stay_once_and_in_order() {
        let kept = |mut items: Vec<u32>| {
            keep_once(&mut items);
            items
        };
        assert!(kept(vec![]).is_empty());
        assert_eq!(kept(vec![3, 1, 2]), [3, 1, 2]);
        assert_eq!(kept(vec![3, 1, 3, 2, 1, 1]), [3, 1, 2]);
    }
}
