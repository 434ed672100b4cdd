//! Answers of the DNS, as long as they hold; a bounded number of them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// For how long a name is shown that has run out, until the answer to a new question is there.
const STALE: Duration = Duration::from_secs(60);

/// Answers by address. When it is full, one that was not asked for lately makes room (the clock
/// algorithm).
#[derive(Debug)]
pub(crate) struct Cache {
    places: HashMap<IpAddr, usize>,
    slots: Vec<Slot>,
    hand: usize,
    capacity: usize,
}

#[derive(Debug)]
struct Slot {
    address: IpAddr,
    /// `None` where it is known to have no name.
    name: Option<Arc<str>>,
    until: Instant,
    /// Whether it was asked for since the hand came by.
    used: bool,
}

/// What is known of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// Nothing, or nothing that still holds; with a name that held until just now.
    Nothing(Option<Arc<str>>),
    /// A name, or that there is none.
    Name(Option<Arc<str>>),
}

impl Cache {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            places: HashMap::new(),
            slots: Vec::new(),
            hand: 0,
            capacity: capacity.max(1),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn find(&mut self, address: IpAddr, now: Instant) -> Known {
        let slot = self
            .places
            .get(&address)
            .and_then(|place| self.slots.get_mut(*place));
        let Some(slot) = slot else {
            return Known::Nothing(None);
        };
        slot.used = true;
        if now < slot.until {
            Known::Name(slot.name.clone())
        } else if now < slot.until + STALE {
            Known::Nothing(slot.name.clone())
        } else {
            Known::Nothing(None)
        }
    }

    pub(crate) fn insert(&mut self, address: IpAddr, name: Option<Arc<str>>, until: Instant) {
        let slot = Slot {
            address,
            name,
            until,
            used: false,
        };
        if let Some(place) = self.places.get(&address) {
            if let Some(old) = self.slots.get_mut(*place) {
                *old = slot;
            }
        } else if self.slots.len() < self.capacity {
            self.places.insert(address, self.slots.len());
            self.slots.push(slot);
        } else {
            let place = self.victim();
            if let Some(old) = self.slots.get_mut(place) {
                self.places.remove(&old.address);
                *old = slot;
                self.places.insert(address, place);
            }
        }
    }

    /// The next slot that was not used since the hand came by; after one round all are so.
    fn victim(&mut self) -> usize {
        loop {
            let place = self.hand;
            self.hand = (self.hand + 1) % self.slots.len().max(1);
            match self.slots.get_mut(place) {
                Some(slot) if slot.used => slot.used = false,
                _ => return place,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    #[test]
    fn an_answer_holds_until_its_time_and_is_shown_a_little_longer() {
        let mut cache = Cache::new(10);
        let now = Instant::now();
        let second = Duration::from_secs(1);
        cache.insert(at(1), Some("a".into()), now + 10 * second);
        cache.insert(at(2), None, now + 10 * second);
        assert_eq!(
            cache.find(at(1), now + 9 * second),
            Known::Name(Some("a".into()))
        );
        assert_eq!(cache.find(at(2), now + 9 * second), Known::Name(None));
        assert_eq!(
            cache.find(at(1), now + 10 * second),
            Known::Nothing(Some("a".into()))
        );
        assert_eq!(cache.find(at(2), now + 10 * second), Known::Nothing(None));
        assert_eq!(cache.find(at(1), now + 71 * second), Known::Nothing(None));
        assert_eq!(cache.find(at(3), now), Known::Nothing(None));
    }

    #[test]
    fn a_full_cache_keeps_what_is_asked_for() {
        let mut cache = Cache::new(100);
        let now = Instant::now();
        let until = now + Duration::from_secs(100);
        for number in 0..10_000 {
            cache.insert(at(number), Some("x".into()), until);
            // This one is looked at all the time.
            cache.find(at(0), now);
        }
        assert_eq!((cache.len(), cache.places.len()), (100, 100));
        assert_eq!(cache.find(at(0), now), Known::Name(Some("x".into())));
        assert_eq!(cache.find(at(9_999), now), Known::Name(Some("x".into())));
        assert_eq!(cache.find(at(5_000), now), Known::Nothing(None));
    }
}
