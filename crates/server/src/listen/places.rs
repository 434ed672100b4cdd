//! Who is connected over TCP: as many as there may be, and of those who have not shown who they are
//! only a few, the latest.
//!
//! To be connected costs nothing, also where nobody is let in. A stranger whose place another
//! stranger needs goes; somebody with a token asks with the first request, and stays.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::Limits;

/// All places.
pub(super) struct Places {
    room: Arc<Semaphore>,
    taken: Mutex<Taken>,
    limits: Limits,
}

#[derive(Default)]
struct Taken {
    next: u64,
    /// From which network each one came; the earliest is the first.
    all: VecDeque<(u64, IpAddr)>,
    /// Those of them who have not shown who they are.
    strangers: VecDeque<(u64, IpAddr, Arc<Notify>)>,
}

/// The place of one connection, until it is dropped.
pub struct Place {
    number: u64,
    is_known: AtomicBool,
    leave: Arc<Notify>,
    places: Arc<Places>,
    _room: OwnedSemaphorePermit,
}

impl Places {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            room: Arc::new(Semaphore::new(limits.connections)),
            taken: Mutex::default(),
            limits,
        })
    }

    /// Waits for room, so that what comes too much waits in the kernel's queue.
    pub(super) async fn room(&self) -> OwnedSemaphorePermit {
        match Arc::clone(&self.room).acquire_owned().await {
            Ok(permit) => permit,
            // It is never closed.
            Err(_) => std::future::pending().await,
        }
    }

    /// A stranger's place; `None` where an address that is not this machine's has too many. Another
    /// stranger may have to go for it.
    pub(super) fn take(
        self: &Arc<Self>,
        room: OwnedSemaphorePermit,
        address: IpAddr,
    ) -> Option<Arc<Place>> {
        let network = network(address);
        let mut taken = self.lock();
        let of_one = taken.all.iter().filter(|(_, from)| *from == network);
        if !network.is_loopback() && of_one.count() >= self.limits.of_one {
            return None;
        }
        let strangers = &mut taken.strangers;
        let own = strangers.iter().filter(|(_, from, _)| *from == network);
        let goes = if own.count() >= self.limits.strangers_of_one {
            strangers.iter().position(|(_, from, _)| *from == network)
        } else {
            (strangers.len() >= self.limits.strangers).then_some(0)
        };
        if let Some((.., leave)) = goes.and_then(|place| strangers.remove(place)) {
            leave.notify_one();
        }
        let (number, leave) = (taken.next, Arc::new(Notify::new()));
        taken.next += 1;
        taken.all.push_back((number, network));
        taken
            .strangers
            .push_back((number, network, Arc::clone(&leave)));
        drop(taken);
        Some(Arc::new(Place {
            number,
            is_known: AtomicBool::new(false),
            leave,
            places: Arc::clone(self),
            _room: room,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Whoever is here has shown who they are.
    pub fn known(&self) {
        if !self.is_known.swap(true, Ordering::Relaxed) {
            let mut taken = self.places.lock();
            taken
                .strangers
                .retain(|(number, ..)| *number != self.number);
        }
    }

    /// Waits until another stranger needs the place.
    pub(super) async fn is_needed(&self) {
        self.leave.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        taken.all.retain(|(number, _)| *number != self.number);
        taken
            .strangers
            .retain(|(number, ..)| *number != self.number);
    }
}

/// What counts as one: somebody with IPv6 has a whole network of addresses, and this machine's users
/// have all of 127.0.0.0/8.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        address if address.is_loopback() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> Arc<Places> {
        Places::new(Limits {
            connections: 8,
            of_one: 3,
            strangers: 4,
            strangers_of_one: 2,
            ..Limits::default()
        })
    }

    async fn take(places: &Arc<Places>, address: &str) -> Option<Arc<Place>> {
        let room = places.room().await;
        places.take(room, address.parse().unwrap())
    }

    fn must_go(place: &Place) -> bool {
        use futures_util::FutureExt;
        place.is_needed().now_or_never().is_some()
    }

    #[tokio::test]
    async fn the_earliest_stranger_of_a_network_goes_and_who_is_known_stays() {
        let places = places();
        let first = take(&places, "127.0.0.1").await.unwrap();
        first.known();
        let second = take(&places, "127.0.0.2").await.unwrap();
        let third = take(&places, "::1").await.unwrap();
        assert!(!must_go(&second), "two strangers may be there");
        let fourth = take(&places, "127.0.0.1").await.unwrap();
        assert!(must_go(&second));
        assert!([first, third, fourth].iter().all(|place| !must_go(place)));
    }

    #[tokio::test]
    async fn of_all_strangers_the_earliest_goes_and_an_address_has_only_so_many() {
        let places = places();
        let mut taken = Vec::new();
        for address in ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"] {
            taken.push(take(&places, address).await.unwrap());
        }
        taken.push(take(&places, "2001:db8::1").await.unwrap());
        assert!(must_go(&taken.remove(0)));
        taken[3].known();
        for host in ["2001:db8::2", "2001:db8::ffff:1:2:3"] {
            let place = take(&places, host).await.unwrap();
            place.known();
            taken.push(place);
        }
        assert!(take(&places, "2001:db8::3").await.is_none(), "one network");
        assert!(take(&places, "2001:db8:0:1::3").await.is_some());
        drop(taken);
        assert!(take(&places, "2001:db8::3").await.is_some());
        assert_eq!(places.room.available_permits(), 8);
    }
}
