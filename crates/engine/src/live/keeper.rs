//! Two threads keep the table: one applies events ([`follow`](super::follow)), the other reads the counters again
//! and again.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use ctnetlink::{Entry, Namespace};
use query::Query;
use tokio::sync::watch;

use super::feed::Feeds;
use super::follow::Heard;
use super::page::Results;
use super::store::Store;
use super::{Rates, Settings};
use crate::failure::Failure;
use crate::source::{Source, Wanted};

/// What the threads and all who ask share.
pub(super) struct Shared {
    pub(super) source: Source,
    namespace: Option<Namespace>,
    pub(super) settings: Settings,
    pub(super) store: RwLock<Store>,
    pub(super) feeds: Feeds,
    pub(super) results: Mutex<Results>,
    pub(super) status: Mutex<Status>,
    is_ready: Condvar,
    pub(super) events_lost: AtomicU64,
    pub(super) losses: AtomicU64,
    pub(super) heard: Mutex<Heard>,
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
    /// [`Heard::turn`] before the last reading began, if it was the same at its end.
    pub(super) turn: u64,
    pub(super) accounting: bool,
    pub(super) timestamps: bool,
    pub(super) events: bool,
    pub(super) limit: Option<u32>,
    pub(super) rates: Option<Rates>,
    /// How long the last reading took.
    pub(super) took: Duration,
    /// Why the table cannot be kept now, and which of both threads says so.
    pub(super) events_trouble: Option<Failure>,
    pub(super) reading_trouble: Option<Failure>,
    /// Why this is not the table that is wanted any more.
    pub(super) namespace_trouble: Option<Failure>,
    moved: Option<([u64; 4], Instant)>,
}

#[derive(Default)]
struct Wish {
    /// Read anew at once.
    now: bool,
}

/// Entries that are handed to the store together.
const BATCH: usize = 512;
/// How long entries may wait for others to be handed over with.
const HELD: Duration = Duration::from_millis(5);
/// How long a thread waits before it tries again what the kernel refused.
pub(super) const AGAIN: Duration = Duration::from_secs(1);
/// Tells the log what begins to fail, what fails in another way, and what is well again, once each.
pub(super) fn log_change(what: &str, before: Option<&Failure>, now: Option<&Failure>) {
    match (before, now) {
        (before, Some(failure)) if before.map(|before| before.code) != Some(failure.code) => {
            tracing::warn!(code = failure.code, "{what}: {failure}");
        }
        (Some(_), None) => tracing::info!("{what}: all is well again"),
        _ => {}
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
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
            heard: Mutex::new(Heard::new()),
            looking: AtomicUsize::new(0),
            wish: Mutex::default(),
            wished: Condvar::new(),
            readings: watch::channel(0).0,
            is_closed: AtomicBool::new(false),
        }
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

    /// Reads the table until it is closed.
    pub(super) fn sample(&self) {
        let mut spoiled = 0_u32;
        while !self.is_closed() {
            let began = Instant::now();
            lock(&self.wish).now = false;
            let trouble = self.read_once().err();
            let failed = trouble.is_some();
            let before =
                std::mem::replace(&mut lock(&self.status).reading_trouble, trouble.clone());
            log_change("the table", before.as_ref(), trouble.as_ref());
            self.look_for_namespace();
            self.readings.send_modify(|number| *number += 1);
            let took = began.elapsed();
            // Where readings are spoiled one after the other, as under a load that never lets the kernel's buffer be
            // empty, more of them make nothing better.
            spoiled = if self.is_spoiled() { spoiled + 1 } else { 0 };
            let soon = soon(took, spoiled, self.interval(took));
            self.rest(took, if failed { AGAIN.max(soon) } else { soon });
        }
    }

    pub(super) fn read_once(&self) -> Result<(), Failure> {
        let turn = lock(&self.heard).turn;
        let began = Instant::now();
        let switch = |name: &str| self.setting(name).is_some_and(|value| value.trim() != "0");
        let accounting = switch("nf_conntrack_acct");
        let timestamps = switch("nf_conntrack_timestamp");
        let events = switch("nf_conntrack_events");
        let limit = self
            .setting("nf_conntrack_max")
            .and_then(|text| text.trim().parse().ok());
        {
            // Known at once: the first reading of a large table takes seconds, and nothing is off meanwhile.
            let mut status = lock(&self.status);
            status.accounting = accounting;
            status.timestamps = timestamps;
            status.events = events;
            status.limit = limit;
        }
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
        let nothing_lost = turn == lock(&self.heard).turn;
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
            status.turn = turn;
        }
        status.took = began.elapsed();
        drop(status);
        self.is_ready.notify_all();
        if !nothing_lost || !is_whole {
            self.ask_for_reading();
        }
        Ok(())
    }

    /// Whether the last reading was not whole, or something was lost since it began.
    fn is_spoiled(&self) -> bool {
        let turn = lock(&self.heard).turn;
        let status = lock(&self.status);
        !status.is_whole || status.turn != turn
    }

    /// Whether the namespace that is held open is still the one of its name.
    fn look_for_namespace(&self) {
        let trouble = self.namespace.as_ref().and_then(replaced);
        let before = std::mem::replace(&mut lock(&self.status).namespace_trouble, trouble.clone());
        log_change("the namespace", before.as_ref(), trouble.as_ref());
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

    pub(super) fn sleep(&self, time: Duration) {
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

/// How long to rest before a reading that is asked for, after so many that were spoiled in a row: at first as long
/// as the last one took, in the end as long as the budget says.
fn soon(took: Duration, spoiled: u32, usual: Duration) -> Duration {
    took.saturating_mul(1 << spoiled.min(10))
        .min(usual.max(took))
}

impl Status {
    /// Why this is not the kernel's table just now.
    pub(super) fn troubles(&self) -> impl Iterator<Item = &Failure> {
        let troubles = [
            &self.events_trouble,
            &self.reading_trouble,
            &self.namespace_trouble,
        ];
        troubles.into_iter().flatten()
    }
}

/// What to say of a namespace that is not the one of its name any more.
///
/// A process that has ended says nothing of its namespace, nor does another of its number.
fn replaced(namespace: &Namespace) -> Option<Failure> {
    let path = namespace.path();
    if path.starts_with("/proc") {
        return None;
    }
    let name = path.strip_prefix("/run/netns").unwrap_or(path).display();
    match namespace.is_at_its_path() {
        Ok(true) => None,
        Ok(false) => Some(Failure::new(
            "namespace-replaced",
            format!("the namespace {name} was made anew; this is the table of the old one"),
            "restart the daemon: it opens the namespace that has the name now",
        )),
        Err(ctnetlink::Error::Namespace { source, .. })
            if source.kind() == std::io::ErrorKind::NotFound =>
        {
            Some(Failure::new(
                "namespace-gone",
                format!(
                    "the namespace {name} was deleted; this is the table of what is left of it"
                ),
                "stop the daemon, or make the namespace anew and restart the daemon",
            ))
        }
        // It cannot be seen, which says nothing.
        Err(_) => None,
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
    /// When the first of them came.
    began: Instant,
}

impl<'a> Batch<'a> {
    fn new(shared: &'a Shared) -> Self {
        Self {
            shared,
            entries: Vec::new(),
            many: 0,
            began: Instant::now(),
        }
    }

    fn add(&mut self, entry: &Entry) {
        match self.entries.get_mut(self.many) {
            Some(free) => free.clone_from(entry),
            None => self.entries.push(entry.clone()),
        }
        self.many += 1;
        if self.many == 1 {
            self.began = Instant::now();
        }
        // A clock is not read for each of a million.
        if self.many == BATCH || self.many.is_multiple_of(16) && self.began.elapsed() >= HELD {
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

#[cfg(test)]
mod tests;
