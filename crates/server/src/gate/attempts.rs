//! How often somebody may be wrong.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::listen::network;

/// Wrong ones in a row, and how long one of them is remembered.
const OF_ONE: f64 = 5.0;
const OF_ALL: f64 = 50.0;
const FORGOTTEN: Duration = Duration::from_secs(12);
/// Addresses that are remembered.
const MOST: usize = 10_000;

/// Wrong attempts of each address and of all.
#[derive(Default)]
pub struct Attempts(Mutex<State>);

#[derive(Default)]
struct State {
    all: Wrong,
    each: HashMap<IpAddr, Wrong>,
}

/// How many wrong attempts are remembered, as of when.
#[derive(Clone, Copy)]
struct Wrong {
    many: f64,
    at: Instant,
}

impl Default for Wrong {
    fn default() -> Self {
        Self {
            many: 0.0,
            at: Instant::now(),
        }
    }
}

impl Wrong {
    fn now(&self, now: Instant, rate: f64) -> f64 {
        let forgotten = now.duration_since(self.at).as_secs_f64() * rate;
        (self.many - forgotten).max(0.0)
    }
}

impl Attempts {
    /// How long to wait before an attempt of this address is looked at; `None` for not at all.
    pub fn wait(&self, address: IpAddr) -> Option<Duration> {
        let now = Instant::now();
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let one = 1.0 / FORGOTTEN.as_secs_f64();
        let all = one * OF_ALL / OF_ONE;
        let own = state.each.get(&network(address));
        let over_own = own.map_or(0.0, |wrong| wrong.now(now, one)) + 1.0 - OF_ONE;
        let over_all = state.all.now(now, all) + 1.0 - OF_ALL;
        let seconds = (over_own / one).max(over_all / all);
        (seconds > 0.0).then(|| Duration::from_secs_f64(seconds.ceil()))
    }

    /// One was wrong.
    pub fn wrong(&self, address: IpAddr) {
        let now = Instant::now();
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let one = 1.0 / FORGOTTEN.as_secs_f64();
        if state.each.len() >= MOST {
            state.each.retain(|_, wrong| wrong.now(now, one) > 0.0);
        }
        // Beyond that many at once only the limit of all holds.
        if state.each.len() < MOST {
            let own = state.each.entry(network(address)).or_default();
            *own = Wrong {
                many: own.now(now, one) + 1.0,
                at: now,
            };
        }
        let all = state.all.now(now, one * OF_ALL / OF_ONE) + 1.0;
        state.all = Wrong { many: all, at: now };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_five_wrong_ones_an_address_waits_and_others_do_not() {
        let attempts = Attempts::default();
        let [one, other] = [1, 2].map(|last| IpAddr::from([192, 0, 2, last]));
        for _ in 0..5 {
            assert_eq!(attempts.wait(one), None);
            attempts.wrong(one);
        }
        let wait = attempts.wait(one).unwrap();
        assert!(wait <= FORGOTTEN + Duration::from_secs(1), "{wait:?}");
        assert_eq!(attempts.wait(other), None);
    }

    #[test]
    fn many_addresses_together_wait_as_well() {
        let attempts = Attempts::default();
        for last in 0..50 {
            attempts.wrong(IpAddr::from([192, 0, 2, last]));
        }
        assert!(attempts.wait(IpAddr::from([198, 51, 100, 1])).is_some());
        // A network of IPv6 is one.
        let attempts = Attempts::default();
        for last in 0..5 {
            attempts.wrong(IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, last]));
        }
        assert!(attempts.wait("2001:db8:0:1::77".parse().unwrap()).is_some());
        assert!(attempts.wait("2001:db8:0:2::77".parse().unwrap()).is_none());
    }
}
