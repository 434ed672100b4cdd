//! The latest events, numbered, for all who listen: each reads from where it is, so that a slow one costs no
//! memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use ctnetlink::Event;
use engine::Query;
use engine::live::{Feed, Row, entry_of};
use engine::naming::{Naming, Unknown};
use engine::render::connection::write_connection;
use engine::render::json::Object;
use tokio::sync::watch;
use tokio::time::timeout;

use super::sse::frame;
use crate::app::App;

/// How many events are remembered: half a kilobyte each, two where somebody has read them.
const REMEMBERED: usize = 16_384;
/// How many events may wait for being numbered.
const QUEUE: usize = 65_536;
/// How many events are looked at before others have their turn.
const AT_ONCE: usize = 64;
/// How many bytes are sent at once.
const PIECE: usize = 64 << 10;

/// Events for all who listen: numbered from the first listener on, and as long as there is one.
#[derive(Default)]
pub struct Events(Mutex<Weak<Ring>>);

/// The latest events.
pub struct Ring {
    slots: Mutex<Slots>,
    changes: watch::Sender<u64>,
}

struct Slots {
    /// The number of the first one that is remembered.
    first: u64,
    /// The first number of all.
    began: u64,
    events: VecDeque<Arc<Slot>>,
    is_closed: bool,
}

struct Slot {
    event: Arc<Event>,
    /// As it is sent, written once for all.
    text: OnceLock<Bytes>,
}

/// What came of reading on.
pub enum Taken {
    /// Frames of what is selected, perhaps none, and where to go on.
    Some {
        /// The frames.
        bytes: Bytes,
        /// The next number.
        after: u64,
    },
    /// There is nothing new.
    Nothing,
    /// What comes next is forgotten already.
    TooSlow,
    /// Nothing comes any more.
    Closed,
}

impl Events {
    /// The ring, which is filled from the first listener on. It stays while somebody listens, and while the
    /// next minute lasts.
    pub fn ring(&self, app: &Arc<App>) -> Arc<Ring> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ring) = known.upgrade().filter(|ring| !ring.slots().is_closed) {
            return ring;
        }
        // Microseconds since the epoch: numbers of another ring, of this daemon or the next, are smaller.
        let began = engine::now() / 1000;
        let ring = Arc::new(Ring {
            slots: Mutex::new(Slots {
                first: began,
                began,
                events: VecDeque::new(),
                is_closed: false,
            }),
            changes: watch::Sender::new(0),
        });
        *known = Arc::downgrade(&ring);
        // From this moment on, not from when the task has its turn.
        let feed = app.live.feed(Query::any(), QUEUE);
        tokio::spawn(fill(Arc::clone(app), Arc::clone(&ring), feed));
        ring
    }
}

/// For how long events are numbered on though nobody listens: so long somebody can come back.
const LINGER: Duration = Duration::from_secs(60);

async fn fill(app: Arc<App>, ring: Arc<Ring>, mut feed: Feed) {
    let mut heard = Instant::now();
    loop {
        let mut batch = Vec::new();
        loop {
            let received = timeout(LINGER, feed.events.recv_many(&mut batch, AT_ONCE)).await;
            match received {
                Ok(0) => break,
                Ok(_) => ring.push(batch.drain(..)),
                Err(_) => {}
            }
            if ring.changes.receiver_count() > 0 {
                heard = Instant::now();
            } else if heard.elapsed() >= LINGER {
                ring.close();
                return;
            }
        }
        if !feed.is_too_slow() {
            // The table is kept no more.
            ring.close();
            return;
        }
        feed = app.live.feed(Query::any(), QUEUE);
        ring.push([Arc::new(Event::Overrun { lost: None })].into_iter());
    }
}

impl Ring {
    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells that there is something new.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The number of the next event.
    pub fn next(&self) -> u64 {
        let slots = self.slots();
        slots.first + slots.events.len() as u64
    }

    /// Where to go on after a number, and what cannot be told any more: so many events of all
    /// connections, or an unknown number.
    pub fn resume(&self, last: u64) -> (u64, Option<Option<u64>>) {
        let slots = self.slots();
        let end = slots.first + slots.events.len() as u64;
        let wanted = last.saturating_add(1);
        if wanted > end {
            // Never given by us.
            return (end, Some(None));
        }
        if wanted >= slots.first {
            return (wanted, None);
        }
        // What was before this ring, nobody has counted.
        let missed = (wanted >= slots.began).then(|| slots.first - wanted);
        (slots.first, Some(missed))
    }

    /// What is selected from a number on.
    pub fn take(&self, next: u64, query: &Query, naming: &Naming) -> Taken {
        let some = {
            let slots = self.slots();
            let Some(place) = next.checked_sub(slots.first) else {
                return Taken::TooSlow;
            };
            let place = usize::try_from(place).unwrap_or(usize::MAX);
            let some: Vec<Arc<Slot>> = slots
                .events
                .iter()
                .skip(place)
                .take(AT_ONCE)
                .cloned()
                .collect();
            if some.is_empty() {
                return if slots.is_closed {
                    Taken::Closed
                } else {
                    Taken::Nothing
                };
            }
            some
        };
        let now = engine::now();
        let (mut bytes, mut after) = (Vec::new(), next);
        for slot in some {
            let is_wanted = entry_of(&slot.event).is_none_or(|entry| query.matches(entry, now));
            if is_wanted {
                bytes.extend_from_slice(slot.text.get_or_init(|| text(after, &slot.event, naming)));
            }
            after += 1;
            if bytes.len() >= PIECE {
                break;
            }
        }
        Taken::Some {
            bytes: bytes.into(),
            after,
        }
    }

    fn push(&self, events: impl Iterator<Item = Arc<Event>>) {
        let mut slots = self.slots();
        for event in events {
            if slots.events.len() >= REMEMBERED {
                slots.events.pop_front();
                slots.first += 1;
            }
            slots.events.push_back(Arc::new(Slot {
                event,
                text: OnceLock::new(),
            }));
        }
        let end = slots.first + slots.events.len() as u64;
        drop(slots);
        self.changes.send_replace(end);
    }

    fn close(&self) {
        self.slots().is_closed = true;
        self.changes.send_replace(u64::MAX);
    }
}

/// An event as it is sent.
fn text(number: u64, event: &Event, naming: &Naming) -> Bytes {
    let (kind, entry) = match event {
        Event::New(entry) => ("new", entry),
        Event::Update(entry) => ("update", entry),
        Event::Destroy(entry) => ("destroy", entry),
        Event::Overrun { lost } => {
            let data = serde_json::json!({ "lost": lost }).to_string();
            return frame("lost", Some(number), data.as_bytes());
        }
        _ => return Bytes::new(),
    };
    let row = Row {
        entry: entry.clone(),
        rates: None,
        is_read: false,
    };
    let mut data = Vec::with_capacity(1024);
    let mut object = Object::open(&mut data);
    object.text("event", kind);
    object.number("time_ns", entry.event_time.unwrap_or_else(engine::now));
    let names = naming.addresses(&row.entry, Unknown::Ask);
    write_connection(object.key("entry"), &row, naming, &names);
    object.close();
    frame(kind, Some(number), &data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctnetlink::{Entry, Protocol, Tuple};

    fn ring(began: u64) -> Ring {
        Ring {
            slots: Mutex::new(Slots {
                first: began,
                began,
                events: VecDeque::new(),
                is_closed: false,
            }),
            changes: watch::Sender::new(0),
        }
    }

    fn naming() -> Naming {
        Naming::new(&engine::Config::default()).unwrap()
    }

    fn born(port: u16) -> Arc<Event> {
        let host = std::net::IpAddr::from([192, 0, 2, 1]);
        let orig = Tuple::ports(Protocol::UDP, host, port, host, 53);
        Arc::new(Event::New(Entry::new(orig, orig.mirror())))
    }

    fn ids(taken: Taken) -> Vec<u64> {
        let Taken::Some { bytes, .. } = taken else {
            return Vec::new();
        };
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        text.lines()
            .filter_map(|line| line.strip_prefix("id: ")?.parse().ok())
            .collect()
    }

    #[test]
    fn who_comes_back_goes_on_after_the_last_event_that_it_saw() {
        let ring = ring(1000);
        ring.push((1..=5).map(born));
        assert_eq!(ring.resume(1001), (1002, None));
        assert_eq!(
            ids(ring.take(1002, &Query::any(), &naming())),
            [1002, 1003, 1004]
        );
        assert_eq!(ring.resume(1004), (1005, None));
        assert!(matches!(
            ring.take(1005, &Query::any(), &naming()),
            Taken::Nothing
        ));
    }

    #[test]
    fn what_is_forgotten_is_said_with_its_number_where_that_is_known() {
        let ring = ring(1000);
        ring.push((0..REMEMBERED as u16 + 7).map(born));
        assert_eq!(ring.resume(1001), (1007, Some(Some(5))));
        assert!(matches!(
            ring.take(1006, &Query::any(), &naming()),
            Taken::TooSlow
        ));
        assert_eq!(ring.resume(17), (1007, Some(None)), "another ring's");
        let end = ring.next();
        assert_eq!(ring.resume(end + 9), (end, Some(None)), "nobody's");
    }
}
