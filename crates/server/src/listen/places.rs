//! Who is connected over TCP: as many as there may be, and of those who have not shown who they are
//! only a few.
//!
//! To be connected costs nothing, also where nobody is let in. A stranger whose place another
//! stranger needs goes; somebody with a token asks with the first request, and stays until a request is
//! refused.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

use super::Limits;
use crate::asker::Asker;
use crate::shares::{Share, Shares};

/// How often it is looked whether somebody who is known may still be here.
const EVERY: Duration = Duration::from_secs(5);

/// All places.
pub(super) struct Places {
    room: Arc<Semaphore>,
    known: Arc<Shares>,
    viewers: Arc<Shares>,
    taken: Mutex<Taken>,
    limits: Limits,
}

#[derive(Default)]
struct Taken {
    next: u64,
    /// From which network each one came.
    all: VecDeque<(u64, IpAddr)>,
    /// Those of them who have not shown who they are, the earliest first.
    strangers: VecDeque<Stranger>,
}

struct Stranger {
    number: u64,
    network: IpAddr,
    has_spoken: bool,
    leave: Arc<Notify>,
}

/// The place of one connection, until it is dropped.
pub struct Place {
    number: u64,
    network: IpAddr,
    known: Mutex<Option<Known>>,
    leave: Arc<Notify>,
    places: Arc<Places>,
    _room: OwnedSemaphorePermit,
}

/// Whose place it is.
struct Known {
    asker: Asker,
    _of_all: Share,
    _of_viewers: Option<Share>,
}

impl Places {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            room: Arc::new(Semaphore::new(limits.connections)),
            known: Shares::new(limits.known, limits.known_of_one),
            viewers: Shares::new(limits.viewers, limits.known_of_one),
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
        let (number, leave) = (taken.next, Arc::new(Notify::new()));
        taken.next += 1;
        taken.all.push_back((number, network));
        taken.add(
            Stranger {
                number,
                network,
                has_spoken: false,
                leave: Arc::clone(&leave),
            },
            &self.limits,
        );
        drop(taken);
        Some(Arc::new(Place {
            number,
            network,
            known: Mutex::default(),
            leave,
            places: Arc::clone(self),
            _room: room,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// One more stranger, for whom another one may have to go.
    fn add(&mut self, stranger: Stranger, limits: &Limits) {
        let mut of_each: HashMap<IpAddr, usize> = HashMap::new();
        for stranger in &self.strangers {
            *of_each.entry(stranger.network).or_default() += 1;
        }
        let own = of_each.get(&stranger.network).copied().unwrap_or_default();
        let crowded = if own >= limits.strangers_of_one {
            Some(stranger.network)
        } else if self.strangers.len() >= limits.strangers {
            let most = of_each.into_iter().max_by_key(|(_, many)| *many);
            most.map(|(network, _)| network)
        } else {
            None
        };
        if let Some(leave) = crowded.and_then(|network| self.victim(network)) {
            leave.notify_one();
        }
        self.strangers.push_back(stranger);
    }

    /// Who of a network goes: one who has said nothing, if there is one. Anyone of them: who comes often
    /// would else always drive out those who came just before, and nobody with a long way would ever
    /// get to say who they are.
    fn victim(&mut self, network: IpAddr) -> Option<Arc<Notify>> {
        let places = |has_spoken: bool| {
            let of_network = self.strangers.iter().enumerate();
            let of_network = of_network.filter(|(_, one)| one.network == network);
            let alike = of_network.filter(|(_, one)| one.has_spoken == has_spoken);
            alike.map(|(place, _)| place).collect::<Vec<_>>()
        };
        let silent = places(false);
        let all = if silent.is_empty() {
            places(true)
        } else {
            silent
        };
        let place = fastrand::choice(all)?;
        let stranger = self.strangers.remove(place)?;
        Some(stranger.leave)
    }

    fn remove(&mut self, number: u64) {
        self.strangers.retain(|stranger| stranger.number != number);
    }
}

impl Place {
    /// Somebody here has shown who they are: `false` where they have too many places already, or all of
    /// their kind have.
    pub(crate) fn known(&self, asker: &Asker) -> bool {
        let mut known = self.whose();
        if let Some(known) = &mut *known
            && known.asker.name() == asker.name()
        {
            known.asker = asker.clone();
            return true;
        }
        // Another's place, as behind a proxy, is given back first.
        let was_known = known.take().is_some();
        *known = self.take(asker);
        let is_known = known.is_some();
        drop(known);
        match (was_known, is_known) {
            (false, true) => self.places.lock().remove(self.number),
            (true, false) => self.be_stranger(),
            _ => {}
        }
        is_known
    }

    fn take(&self, asker: &Asker) -> Option<Known> {
        let of = |shares: &Arc<Shares>| shares.take(asker.name(), 1);
        let of_viewers = match asker.is_operator() {
            true => None,
            false => Some(of(&self.places.viewers)?),
        };
        Some(Known {
            asker: asker.clone(),
            _of_all: of(&self.places.known)?,
            _of_viewers: of_viewers,
        })
    }

    /// Somebody here was refused, and is a stranger from now on.
    pub fn unknown(&self) {
        let was_known = self.whose().take().is_some();
        if was_known {
            self.be_stranger();
        }
    }

    fn be_stranger(&self) {
        let stranger = Stranger {
            number: self.number,
            network: self.network,
            has_spoken: true,
            leave: Arc::clone(&self.leave),
        };
        self.places.lock().add(stranger, &self.places.limits);
    }

    /// Looks again and again whether the right still holds by which somebody here was let in, also where nothing is
    /// asked any more and an answer is taken slowly.
    pub(super) async fn watch(&self) {
        loop {
            sleep(EVERY).await;
            let asker = self.whose().as_ref().map(|known| known.asker.clone());
            if asker.is_some_and(|asker| !asker.holds()) {
                self.unknown();
            }
        }
    }

    /// Something has come from there.
    pub(super) fn spoken(&self) {
        let mut taken = self.places.lock();
        let mut strangers = taken.strangers.iter_mut();
        if let Some(stranger) = strangers.find(|stranger| stranger.number == self.number) {
            stranger.has_spoken = true;
        }
    }

    /// Waits until another stranger needs the place.
    pub(super) async fn is_needed(&self) {
        self.leave.notified().await;
    }

    fn whose(&self) -> MutexGuard<'_, Option<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        taken.all.retain(|(number, _)| *number != self.number);
        taken.remove(self.number);
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
    use engine::config::Server;

    use super::*;
    use crate::gate::{Gate, Still, Tokens};
    use crate::who::{Role, Who};

    fn places() -> Arc<Places> {
        Places::new(Limits {
            connections: 8,
            of_one: 4,
            known: 5,
            viewers: 4,
            known_of_one: 3,
            strangers: 4,
            strangers_of_one: 2,
            ..Limits::default()
        })
    }

    async fn take(places: &Arc<Places>, address: &str) -> Option<Arc<Place>> {
        let room = places.room().await;
        places.take(room, address.parse().unwrap())
    }

    fn must_go(place: &Arc<Place>) -> bool {
        use futures_util::FutureExt;
        place.is_needed().now_or_never().is_some()
    }

    fn who(name: &str, role: Role) -> Asker {
        Asker::without_end(Who {
            name: name.to_owned(),
            role,
            from: None,
        })
    }

    fn viewer(name: &str) -> Asker {
        who(name, Role::Viewer)
    }

    #[tokio::test]
    async fn who_has_said_nothing_goes_first_and_who_is_known_stays() {
        let places = places();
        let known = take(&places, "127.0.0.1").await.unwrap();
        assert!(known.known(&viewer("one")));
        let spoken = take(&places, "127.0.0.2").await.unwrap();
        spoken.spoken();
        let silent = take(&places, "::1").await.unwrap();
        assert!(!must_go(&silent), "two strangers may be there");
        let third = take(&places, "127.0.0.1").await.unwrap();
        assert!(must_go(&silent));
        assert!([known, spoken, third].iter().all(|place| !must_go(place)));
    }

    #[tokio::test]
    async fn of_all_strangers_one_of_the_network_with_most_goes_and_a_network_has_only_so_many() {
        let places = places();
        let mut taken = Vec::new();
        for address in ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"] {
            let place = take(&places, address).await.unwrap();
            place.spoken();
            taken.push(place);
        }
        let newcomer = take(&places, "192.0.2.3").await.unwrap();
        let went = taken.iter().map(must_go).collect::<Vec<_>>();
        assert!(!went[0] && !went[1], "they are alone");
        assert_ne!(went[2], went[3]);
        for host in ["2001:db8::3", "2001:db8::ffff:1:2:3"] {
            let place = take(&places, host).await.unwrap();
            assert!(place.known(&viewer("one")));
            taken.push(place);
        }
        assert!(take(&places, "2001:db8::3").await.is_none(), "one network");
        assert!(take(&places, "2001:db8:0:1::3").await.is_some());
        drop((taken, newcomer));
        assert!(take(&places, "2001:db8::3").await.is_some());
        assert_eq!(places.room.available_permits(), 8);
    }

    #[tokio::test]
    async fn a_token_has_only_so_many_places_and_operators_have_some_of_their_own() {
        let places = places();
        let mut held = Vec::new();
        for host in 1..=3 {
            let place = take(&places, &format!("192.0.2.{host}")).await.unwrap();
            assert!(place.known(&viewer("one")) && place.known(&viewer("one")));
            held.push(place);
        }
        let fourth = take(&places, "192.0.2.4").await.unwrap();
        assert!(!fourth.known(&viewer("one")), "three are one's share");
        assert!(fourth.known(&viewer("two")));
        let fifth = take(&places, "192.0.2.5").await.unwrap();
        assert!(!fifth.known(&viewer("three")), "four are the viewers'");
        assert!(fifth.known(&who("operator", Role::Operator)));
        let sixth = take(&places, "192.0.2.6").await.unwrap();
        assert!(!sixth.known(&who("operator", Role::Operator)), "newcomers'");
        // Another name on the same connection, as behind a proxy.
        assert!(held[0].known(&who("operator", Role::Operator)));
        assert!(!sixth.known(&viewer("one")), "newcomers'");
        drop(fifth);
        assert!(sixth.known(&viewer("one")));
    }

    #[tokio::test]
    async fn who_is_refused_is_a_stranger_again() {
        let places = places();
        let mut taken = Vec::new();
        for _ in 0..3 {
            let place = take(&places, "127.0.0.1").await.unwrap();
            assert!(place.known(&viewer("one")));
            taken.push(place);
        }
        taken.iter().for_each(|place| place.unknown());
        assert_eq!(taken.iter().filter(|place| must_go(place)).count(), 1);
        let other = take(&places, "127.0.0.1").await.unwrap();
        assert!(other.known(&viewer("one")), "their places are free");
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_nothing_any_more_is_a_stranger_when_the_right_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = || Tokens::open(folder.path()).unwrap();
        let secret = tokens().add("one", Role::Viewer, None).unwrap();
        let token = tokens().find(&secret).unwrap().unwrap();
        let gate = Arc::new(Gate::new(tokens(), &Server::default(), 0));
        let one = viewer("one").who().clone();
        let one = Asker::new(one, Still::of_token(&gate, token));

        let places = places();
        let place = take(&places, "127.0.0.1").await.unwrap();
        assert!(place.known(&one));
        let watch = tokio::spawn({
            let place = Arc::clone(&place);
            async move { place.watch().await }
        });
        sleep(EVERY * 3).await;
        assert_eq!(places.lock().strangers.len(), 0, "it holds");
        tokens().revoke("one").unwrap();
        sleep(EVERY * 2).await;
        assert_eq!(places.lock().strangers.len(), 1);
        watch.abort();
    }
}
