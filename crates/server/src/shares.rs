//! Something of which there is only so much, and of which nobody may have it all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So much in all, and so much for each who asks.
#[derive(Debug)]
pub(crate) struct Shares {
    most: usize,
    most_of_one: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    each: HashMap<String, usize>,
}

/// A part of it, until it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    shares: Arc<Shares>,
    name: String,
    many: usize,
}

impl Shares {
    pub(crate) fn new(most: usize, most_of_one: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            most_of_one,
            taken: Mutex::default(),
        })
    }

    /// So many for one; `None` where that is too much now.
    pub(crate) fn take(self: &Arc<Self>, name: &str, many: usize) -> Option<Share> {
        let mut taken = self.lock();
        let own = taken.each.get(name).copied().unwrap_or_default() + many;
        let all = taken.all + many;
        if all > self.most || own > self.most_of_one {
            return None;
        }
        taken.all = all;
        taken.each.insert(name.to_owned(), own);
        Some(Share {
            shares: Arc::clone(self),
            name: name.to_owned(),
            many,
        })
    }

    /// How much is taken.
    #[cfg(test)]
    pub(crate) fn taken(&self) -> usize {
        self.lock().all
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.shares.lock();
        taken.all -= self.many;
        // Names that have nothing are not remembered: there is no end of them.
        if let Some(own) = taken.each.get_mut(&self.name) {
            *own -= self.many;
            if *own == 0 {
                taken.each.remove(&self.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_who_has_a_share_leaves_the_rest_to_others_and_gives_it_back() {
        let shares = Shares::new(10, 4);
        let held: Vec<_> = (0..4).map(|_| shares.take("one", 1).unwrap()).collect();
        assert!(shares.take("one", 1).is_none());
        let other = shares.take("other", 4).unwrap();
        assert!(shares.take("third", 3).is_none(), "two are left");
        assert!(shares.take("third", 2).is_some());
        drop(held);
        assert!(shares.take("one", 4).is_some());
        drop(other);
        assert_eq!(shares.taken(), 0);
        assert!(shares.lock().each.is_empty());
    }
}
