//! Two threads keep the table: one applies events, the other reads the counters again and again.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use ctnetlink::{Entry, Event, EventOptions, Events, Groups, Namespace};
use query::Query;
use tokio::sync::watch;

use super::feed::Feeds;
use super::page::Results;
use super::store::{Now, Store};
use super::{Rates, Settings};
use crate::failure::Failure;
use crate::source::{Source, Wanted};

/// What the threads and all who ask share.
pub(super) struct Shared {
    pub(super) source: Source,
    namespace: Option<Namespace>,
    settings: Settings,
    pub(super) store: RwLock<Store>,
    pub(super) feeds: Feeds,
    pub(super) results: Mutex<Results>,
    pub(super) status: Mutex<Status>,
    is_ready: Condvar,
    pub(super) events_lost: AtomicU64,
    /// How many losses there were; a reading that began before the last of them is not whole.
    losses: AtomicU64,
    pub(super) looking: AtomicUsize,
    wish: Mutex<Wish>,
    wished: Condvar,
    pub(super) readings: watch::Sender<u64>,
    is_closed: AtomicBool,
}

/// What is known beside the connections.
#[derive(Clone, Debug, Default)]
pub(super) struct Status {
    pub(super) taken_ns: u64,
    pub(super) is_whole: bool,
    /// Losses before the last whole reading began.
    losses: u64,
    pub(super) accounting: bool,
    pub(super) timestamps: bool,
    pub(super) limit: Option<u32>,
    pub(super) rates: Option<Rates>,
    /// How long the last reading took.
    pub(super) took: Duration,
    /// Why the table cannot be kept now, and which of both threads says so.
    pub(super) events_trouble: Option<Failure>,
    pub(super) reading_trouble: Option<Failure>,
    moved: Option<([u64; 4], Instant)>,
}

#[derive(Default)]
struct Wish {
    /// Read anew at once.
    now: bool,
}

/// Entries that are handed to the store together.
const BATCH: usize = 512;
/// How long a thread waits before it tries again what the kernel refused.
const AGAIN: Duration = Duration::from_secs(1);
/// How long the first thread waits for events before it looks whether it should end.
const PATIENCE: Duration = Duration::from_millis(200);

/// Tells the log what begins to fail and what is well again, once each.
fn log_change(what: &str, before: Option<&Failure>, now: Option<&Failure>) {
    match (before, now) {
        (None, Some(failure)) => {
            tracing::warn!(
                code = failure.code,
                "{what}: {failure}; it is tried again each second"
            );
        }
        (Some(_), None) => tracing::info!("{what}: all is well again"),
        _ => {}
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn new(source: Source, namespace: Option<Namespace>, settings: Settings) -> Self {
        Self {
            source,
            namespace,
            settings,
            store: RwLock::new(Store::new()),
            feeds: Feeds::default(),
            results: Mutex::default(),
            status: Mutex::default(),
            is_ready: Condvar::new(),
            events_lost: AtomicU64::new(0),
            losses: AtomicU64::new(0),
            looking: AtomicUsize::new(0),
            wish: Mutex::default(),
            wished: Condvar::new(),
            readings: watch::channel(0).0,
            is_closed: AtomicBool::new(false),
        }
    }

    /// Subscribes to births, changes and deaths.
    pub(super) fn subscribe(&self) -> Result<Events, Failure> {
        let options = EventOptions {
            receive_buffer: self.settings.event_buffer,
            ..EventOptions::default()
        };
        Ok(self.source.client()?.events(Groups::CONNTRACK, options)?)
    }

    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.ask_for_reading();
        self.feeds.close();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// The next reading begins as soon as that is decent.
    pub(super) fn ask_for_reading(&self) {
        lock(&self.wish).now = true;
        self.wished.notify_all();
    }

    /// Waits for the first reading.
    pub(super) fn wait_until_ready(&self, at_most: Duration) -> bool {
        let status = lock(&self.status);
        let waited = self
            .is_ready
            .wait_timeout_while(status, at_most, |status| status.taken_ns == 0);
        waited.is_ok_and(|(status, _)| status.taken_ns != 0)
    }

    /// Whether the last reading was whole and nothing was lost since it began.
    pub(super) fn is_complete(&self, status: &Status) -> bool {
        status.is_whole
            && status.losses == self.losses.load(Ordering::Acquire)
            && status.events_trouble.is_none()
            && status.reading_trouble.is_none()
    }

    // --- Events ---

    /// Applies events until the table is closed; subscribes anew where the kernel ends the stream.
    pub(super) fn follow(&self, events: Events) {
        let mut subscribed = Ok(events);
        while !self.is_closed() {
            let trouble = match subscribed {
                Ok(mut events) => self.apply_all(&mut events),
                Err(failure) => Some(failure),
            };
            let Some(failure) = trouble else { return };
            self.lost(None);
            log_change(
                "events",
                lock(&self.status).events_trouble.as_ref(),
                Some(&failure),
            );
            lock(&self.status).events_trouble = Some(failure);
            self.sleep(AGAIN);
            subscribed = self.subscribe();
            if subscribed.is_ok() {
                let before = lock(&self.status).events_trouble.take();
                log_change("events", before.as_ref(), None);
                // A reading that ended meanwhile does not know what happened until now.
                self.losses.fetch_add(1, Ordering::Release);
                self.ask_for_reading();
            }
        }
    }

    /// `None` once the table is closed.
    fn apply_all(&self, events: &mut Events) -> Option<Failure> {
        let mut batch = Vec::new();
        loop {
            if self.is_closed() {
                return None;
            }
            match events.next_batch(Some(PATIENCE)) {
                Ok(None) => continue,
                Ok(Some(received)) => {
                    for event in received.iter() {
                        match event {
                            Ok(event) => batch.push(event),
                            // What cannot be understood may have been any of them.
                            Err(_) => self.lost(Some(1)),
                        }
                    }
                }
                Err(error) => return Some(error.into()),
            }
            self.apply(&mut batch);
        }
    }

    fn apply(&self, batch: &mut Vec<Event>) {
        let is_heard = !self.feeds.is_empty();
        let mut told = Vec::new();
        {
            let mut store = self.store.write().unwrap_or_else(PoisonError::into_inner);
            let now = store.now();
            for event in batch.drain(..) {
                if let Event::Overrun { lost } = event {
                    self.lost(lost);
                }
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

    /// Events are lost: what is known is wrong until the next whole reading.
    fn lost(&self, many: Option<u32>) {
        let many = many.map_or(1, u64::from);
        self.events_lost.fetch_add(many, Ordering::Relaxed);
        self.losses.fetch_add(1, Ordering::Release);
        self.ask_for_reading();
    }

    // --- Readings ---

    /// Reads the table until it is closed.
    pub(super) fn sample(&self) {
        while !self.is_closed() {
            let began = Instant::now();
            lock(&self.wish).now = false;
            let trouble = self.read_once().err();
            let failed = trouble.is_some();
            let before =
                std::mem::replace(&mut lock(&self.status).reading_trouble, trouble.clone());
            log_change("the table", before.as_ref(), trouble.as_ref());
            self.readings.send_modify(|number| *number += 1);
            let took = began.elapsed();
            self.rest(took, if failed { AGAIN.max(took) } else { took });
        }
    }

    fn read_once(&self) -> Result<(), Failure> {
        let losses = self.losses.load(Ordering::Acquire);
        let began = Instant::now();
        let switch = |name: &str| self.setting(name).is_some_and(|value| value.trim() != "0");
        let accounting = switch("nf_conntrack_acct");
        let timestamps = switch("nf_conntrack_timestamp");
        let limit = self
            .setting("nf_conntrack_max")
            .and_then(|text| text.trim().parse().ok());
        self.change(Store::begin_reading);
        let query = Query::any();
        let read = self.source.fold(
            &Wanted::of(&query),
            |_| {},
            || Batch::new(self),
            Batch::add,
            |_, mut other| other.hand_over(),
        );
        let is_whole = match read {
            Ok(mut folded) => {
                folded.value.hand_over();
                Ok(folded.outcome.complete)
            }
            Err(failure) => Err(failure),
        };
        // What was lost while it was read may be in it or not.
        let nothing_lost = losses == self.losses.load(Ordering::Acquire);
        self.change(|store| store.end_reading(matches!(is_whole, Ok(true))));
        let is_whole = is_whole?;
        let moved = {
            let store = self.store.read().unwrap_or_else(PoisonError::into_inner);
            store.moved()
        };
        let mut status = lock(&self.status);
        status.rates = rates_of(status.moved, moved, accounting);
        status.moved = moved.map(|moved| (moved, Instant::now()));
        status.taken_ns = crate::now();
        status.is_whole = is_whole;
        if nothing_lost {
            status.losses = losses;
        }
        status.accounting = accounting;
        status.timestamps = timestamps;
        status.limit = limit;
        status.took = began.elapsed();
        drop(status);
        self.is_ready.notify_all();
        if !nothing_lost || !is_whole {
            self.ask_for_reading();
        }
        Ok(())
    }

    fn change(&self, change: impl FnOnce(&mut Store)) {
        change(&mut self.store.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// A setting of the kernel's, of the table's namespace.
    fn setting(&self, name: &str) -> Option<String> {
        let path = format!("/proc/sys/net/netfilter/{name}");
        let read = || std::fs::read_to_string(&path).ok();
        match &self.namespace {
            None => read(),
            Some(namespace) => namespace.run(|| Ok(read())).ok().flatten(),
        }
    }

    /// Rests as long as a reading that took so long has to be paid off; less while somebody looks,
    /// and not longer than it took where what is known has become wrong.
    fn rest(&self, took: Duration, at_least: Duration) {
        let began = Instant::now();
        let mut wish = lock(&self.wish);
        loop {
            let length = if wish.now {
                at_least
            } else {
                self.interval(took).max(at_least)
            };
            let rested = began.elapsed();
            if rested >= length || self.is_closed() {
                return;
            }
            // Whoever begins to look wakes it.
            wish = match self.wished.wait_timeout(wish, length - rested) {
                Ok((wish, _)) => wish,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    /// From the end of a reading that took so long to the begin of the next.
    fn interval(&self, took: Duration) -> Duration {
        let Settings {
            cpu_percent,
            cpu_percent_watched,
            shortest_seconds,
            longest_seconds,
            ..
        } = self.settings;
        let percent = if self.looking.load(Ordering::Relaxed) > 0 {
            cpu_percent_watched.max(cpu_percent)
        } else {
            cpu_percent
        };
        // Two cores work on it.
        let cost = took.as_secs_f64() * 2.0;
        let seconds = (cost * 100.0 / percent.max(0.1) - took.as_secs_f64())
            .clamp(shortest_seconds, longest_seconds.max(shortest_seconds));
        Duration::from_secs_f64(seconds)
    }

    fn sleep(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut wish = lock(&self.wish);
        while !self.is_closed() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            wish = match self.wished.wait_timeout(wish, left) {
                Ok((wish, _)) => wish,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    /// The rest of a reading begins anew with what somebody who begins to look may expect.
    pub(super) fn wake(&self) {
        self.wished.notify_all();
    }
}

/// The whole table's rates, from what moved between two readings.
fn rates_of(
    before: Option<([u64; 4], Instant)>,
    now: Option<[u64; 4]>,
    accounting: bool,
) -> Option<Rates> {
    let ((before, at), now) = (before?, now.filter(|_| accounting)?);
    let seconds = at.elapsed().as_secs_f64().max(0.001);
    let rate = |now: u64, before: u64| (now.saturating_sub(before) as f64 / seconds) as f32;
    let ([a, b, c, d], [e, f, g, h]) = (now, before);
    Some(Rates {
        bytes_orig: rate(a, e),
        bytes_reply: rate(b, f),
        packets_orig: rate(c, g),
        packets_reply: rate(d, h),
    })
}

/// Entries of a reading, handed over many at a time: the store is locked for less time so, and less
/// often.
struct Batch<'a> {
    shared: &'a Shared,
    entries: Vec<Entry>,
    many: usize,
}

impl<'a> Batch<'a> {
    const fn new(shared: &'a Shared) -> Self {
        Self {
            shared,
            entries: Vec::new(),
            many: 0,
        }
    }

    fn add(&mut self, entry: &Entry) {
        match self.entries.get_mut(self.many) {
            Some(free) => free.clone_from(entry),
            None => self.entries.push(entry.clone()),
        }
        self.many += 1;
        if self.many == BATCH {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        let mut store = self
            .shared
            .store
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let now = store.now();
        for entry in self.entries.iter().take(self.many) {
            store.read(entry, now);
        }
        self.many = 0;
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
            super::store::overlay(&mut known, entry);
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
