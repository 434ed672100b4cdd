//! Events are applied as they come, and what is missing is known.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ctnetlink::{Entry, Event, EventBacklog, EventOptions, Events, Groups};

use super::keeper::{AGAIN, Shared, Status, lock, log_change};
use super::store::{Now, Store, overlay};
use crate::failure::Failure;

/// How far behind the kernel a table may be that is called complete. Longer than the thread that applies
/// events waits for some ([`PATIENCE`]).
const LAG: Duration = Duration::from_secs(1);
/// How long the first thread waits for events before it looks whether it should end.
const PATIENCE: Duration = Duration::from_millis(200);

/// How far events were followed.
pub(super) struct Heard {
    /// All that happened before was applied, but for what was lost.
    until: Instant,
    /// Rises when a reading that began before is no proof of anything: with each loss, and when what had
    /// waited then is applied.
    pub(super) turn: u64,
    /// Events were lost, and older ones than those may still wait: they tell of what is no more.
    is_behind: bool,
    backlog: Option<EventBacklog>,
}

impl Shared {
    /// Subscribes to births, changes and deaths.
    pub(super) fn subscribe(&self) -> Result<Events, Failure> {
        self.subscribe_with(EventOptions {
            receive_buffer: self.settings.event_buffer,
            ..EventOptions::default()
        })
    }

    fn subscribe_with(&self, options: EventOptions) -> Result<Events, Failure> {
        let events = self.source.client()?.events(Groups::CONNTRACK, options)?;
        let mut heard = lock(&self.heard);
        // What a stream before had told of waits no more; what was not heard meanwhile a reading must tell.
        *heard = Heard {
            until: Instant::now(),
            turn: heard.turn + 1,
            is_behind: false,
            backlog: Some(events.backlog()),
        };
        Ok(events)
    }

    /// Whether the last reading was whole, the kernel tells of what happens, nothing was lost since it began, and
    /// what is told is applied within a second ([`LAG`]).
    pub(super) fn is_complete(&self, status: &Status) -> bool {
        let mut heard = lock(&self.heard);
        status.is_whole
            && status.events
            && status.turn == heard.turn
            && status.troubles().next().is_none()
            && heard.is_current(Instant::now())
    }

    // --- Events ---

    /// Applies events until the table is closed; subscribes anew where the kernel ends the stream.
    pub(super) fn follow(&self, mut events: Events) {
        while let Some(failure) = self.apply_all(&mut events) {
            drop(events);
            self.ended(failure);
            match self.subscribe_again() {
                Some(others) => events = others,
                None => return,
            }
        }
    }

    /// The stream has ended: what happens from now on is not heard, which is one loss however long it takes.
    fn ended(&self, failure: Failure) {
        self.tell_events_trouble(Some(failure));
        self.lost(None);
    }

    /// Tries until it is done; `None` once the table is closed.
    fn subscribe_again(&self) -> Option<Events> {
        loop {
            self.sleep(AGAIN);
            if self.is_closed() {
                return None;
            }
            match self.subscribe() {
                Ok(events) => {
                    self.tell_events_trouble(None);
                    self.ask_for_reading();
                    return Some(events);
                }
                Err(failure) => self.tell_events_trouble(Some(failure)),
            }
        }
    }

    fn tell_events_trouble(&self, trouble: Option<Failure>) {
        let before = std::mem::replace(&mut lock(&self.status).events_trouble, trouble.clone());
        log_change("events", before.as_ref(), trouble.as_ref());
    }

    /// `None` once the table is closed.
    fn apply_all(&self, events: &mut Events) -> Option<Failure> {
        let mut batch = Vec::new();
        while !self.is_closed() {
            if let Err(failure) = self.apply_next(events, PATIENCE, &mut batch) {
                return Some(failure);
            }
        }
        None
    }

    /// Applies what comes next, if it comes in time.
    fn apply_next(
        &self,
        events: &mut Events,
        patience: Duration,
        batch: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        let Some(received) = events.next_batch(Some(patience))? else {
            lock(&self.heard).look(Instant::now());
            return Ok(());
        };
        let mut unread = 0;
        for event in received.iter() {
            match event {
                Ok(Event::Overrun { lost }) => {
                    lock(&self.heard).is_behind = true;
                    self.lost(lost);
                    batch.push(Event::Overrun { lost });
                }
                Ok(event) => batch.push(event),
                Err(_) => unread += 1,
            }
        }
        self.apply(batch);
        if unread > 0 {
            // What cannot be understood may have been any of them. The reading that makes up for it must not
            // come before those that are older.
            self.lost(Some(unread));
        }
        if let Some(emptied) = received.emptied() {
            self.caught_up(emptied);
        }
        Ok(())
    }

    /// All that was told before a moment is applied. If something had been lost, the reading that begins
    /// now decides: no event that comes after it is older than what was lost.
    fn caught_up(&self, until: Instant) {
        let mut heard = lock(&self.heard);
        heard.until = heard.until.max(until);
        if std::mem::take(&mut heard.is_behind) {
            heard.turn += 1;
            drop(heard);
            self.ask_for_reading();
        }
    }

    fn apply(&self, batch: &mut Vec<Event>) {
        let is_heard = !self.feeds.is_empty();
        let mut told = Vec::new();
        {
            let mut store = self.store.write().unwrap_or_else(PoisonError::into_inner);
            let now = store.now();
            for event in batch.drain(..) {
                if is_heard {
                    told.push(apply_and_tell(&mut store, event, now));
                } else {
                    apply(&mut store, &event, now);
                }
            }
        }
        for event in told {
            self.feeds.give(event);
        }
    }

    /// Something is lost, so many events if that is known: what is known is wrong until the next whole
    /// reading.
    fn lost(&self, many: Option<u32>) {
        self.events_lost
            .fetch_add(many.unwrap_or(0).into(), Ordering::Relaxed);
        self.losses.fetch_add(1, Ordering::Relaxed);
        let is_behind = {
            let mut heard = lock(&self.heard);
            heard.turn += 1;
            heard.is_behind
        };
        // What is read before the rest is applied would have to be read again.
        if !is_behind {
            self.ask_for_reading();
        }
    }
}

impl Heard {
    pub(super) fn new() -> Self {
        Self {
            until: Instant::now(),
            turn: 0,
            is_behind: false,
            backlog: None,
        }
    }

    /// Where nothing waits, all is applied.
    fn look(&mut self, now: Instant) {
        // Without a stream there is trouble, which is told.
        if self.backlog.as_ref().is_none_or(EventBacklog::is_empty) {
            self.until = self.until.max(now);
        }
    }

    /// Whether what happened longer ago than [`LAG`] is applied; false while something lost is not made up
    /// for.
    fn is_current(&mut self, now: Instant) -> bool {
        self.look(now);
        !self.is_behind && now.saturating_duration_since(self.until) <= LAG
    }
}

fn apply(store: &mut Store, event: &Event, now: Now) {
    match event {
        Event::New(entry) => store.born(entry, now),
        Event::Update(entry) => store.changed(entry, now),
        Event::Destroy(entry) => store.gone(entry),
        _ => {}
    }
}

/// Applies an event, and gives it with all that is known of its entry.
fn apply_and_tell(store: &mut Store, event: Event, now: Now) -> Event {
    if let Event::Destroy(entry) = &event {
        let mut known = Entry::blank();
        let told = if store.recall(entry, now, &mut known) {
            overlay(&mut known, entry);
            known.timeout = None;
            Event::Destroy(known)
        } else {
            event.clone()
        };
        store.gone(entry);
        return told;
    }
    apply(store, &event, now);
    if let Event::Update(entry) = &event {
        let mut known = Entry::blank();
        if store.recall(entry, now, &mut known) {
            known.event_time = entry.event_time;
            return Event::Update(known);
        }
    }
    event
}

#[cfg(test)]
mod tests;
