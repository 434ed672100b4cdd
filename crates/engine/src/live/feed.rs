//! Events for those who listen, each with a queue of its own that is bounded.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ctnetlink::{Entry, Event};
use query::Query;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Events of one listener, in a queue that is bounded. It ends when the listener is too slow
/// ([`Feed::is_too_slow`]) or the table is closed.
pub struct Feed {
    /// What comes.
    pub events: Receiver<Arc<Event>>,
    is_too_slow: Arc<AtomicBool>,
}

impl Feed {
    /// Whether it ended because events came faster than they were taken.
    pub fn is_too_slow(&self) -> bool {
        self.is_too_slow.load(Ordering::Relaxed)
    }
}

/// All listeners.
#[derive(Default)]
pub(super) struct Feeds {
    listeners: Mutex<Vec<Listener>>,
    many: AtomicUsize,
}

struct Listener {
    query: Query,
    events: Sender<Arc<Event>>,
    is_too_slow: Arc<AtomicBool>,
}

impl Feeds {
    pub(super) fn add(&self, query: Query, queue: usize) -> Feed {
        let (sender, events) = channel(queue.max(1));
        let is_too_slow = Arc::new(AtomicBool::new(false));
        let mut listeners = self
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        listeners.push(Listener {
            query,
            events: sender,
            is_too_slow: Arc::clone(&is_too_slow),
        });
        self.many.store(listeners.len(), Ordering::Relaxed);
        Feed {
            events,
            is_too_slow,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.many.load(Ordering::Relaxed) == 0
    }

    /// Gives an event to all who want it; who has no room for it is not given any more.
    pub(super) fn give(&self, event: Event) {
        let now = crate::now();
        let event = Arc::new(event);
        let mut listeners = self
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|listener| {
            let is_wanted = entry_of(&event).is_none_or(|entry| listener.query.matches(entry, now));
            if !is_wanted {
                return !listener.events.is_closed();
            }
            match listener.events.try_send(Arc::clone(&event)) {
                Ok(()) => true,
                Err(error) => {
                    let is_full = matches!(error, tokio::sync::mpsc::error::TrySendError::Full(_));
                    listener.is_too_slow.store(is_full, Ordering::Relaxed);
                    false
                }
            }
        });
        self.many.store(listeners.len(), Ordering::Relaxed);
    }

    /// Nothing more comes.
    pub(super) fn close(&self) {
        let mut listeners = self
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        listeners.clear();
        self.many.store(0, Ordering::Relaxed);
    }
}

/// The entry that an event is about.
pub fn entry_of(event: &Event) -> Option<&Entry> {
    match event {
        Event::New(entry) | Event::Update(entry) | Event::Destroy(entry) => Some(entry),
        _ => None,
    }
}
