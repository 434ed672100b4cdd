//! The table as the daemon keeps it: read once, kept by events, with counters and rates from readings
//! that follow.

mod feed;
mod follow;
mod keeper;
mod packed;
mod page;
mod store;
mod told;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLockReadGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ctnetlink::{Client, Entry, Key, Namespace};
use query::Query;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::column::Column;
use crate::failure::Failure;
use crate::group::{Groups, Plan};
use crate::kernel::{Kernel, Way};
use crate::source::Source;
use keeper::{Shared, Status};
use page::First;
use store::Store;

pub use feed::{Feed, entry_of};

/// `[live]` of the configuration: how the table is kept.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// How much of one core reading the table may take, in percent.
    pub cpu_percent: f64,
    /// The same while somebody looks.
    pub cpu_percent_watched: f64,
    /// Seconds between two readings at least, while somebody looks.
    pub shortest_seconds: f64,
    /// Seconds between two readings at most, whatever they cost.
    pub longest_seconds: f64,
    /// Bytes of the kernel's buffer for events.
    pub event_buffer: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cpu_percent: 10.0,
            cpu_percent_watched: 25.0,
            shortest_seconds: 1.0,
            longest_seconds: 60.0,
            event_buffer: 64 << 20,
        }
    }
}

/// What belongs to every answer: how far it can be believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Truth {
    /// When the counters were read last, in nanoseconds since the epoch; 0 before the first reading.
    pub taken_ns: u64,
    /// How it was read: `bpf` or `netlink`.
    pub source: &'static str,
    /// Why not by BPF: a code and a sentence.
    pub source_reason: Option<(&'static str, String)>,
    /// Whether the last reading was whole, nothing was lost since it began, and events are followed: what
    /// happened until a second ago is in the table, but for connections that are [`unheard`](Self::unheard).
    pub complete: bool,
    /// Whether the kernel tells of births, changes and deaths (`nf_conntrack_events`).
    pub events: bool,
    /// Connections of which no event has told yet: the kernel may never tell that they change or end, as they
    /// were born while nobody listened. They are as the last reading found them.
    pub unheard: u64,
    /// Events that were lost since the start, as far as their number is known: the kernel could not
    /// hand them over, or they could not be read. What happened while there was no stream of events at all, nobody
    /// can count; [`losses`](Self::losses) has it.
    pub events_lost: u64,
    /// How often something was lost since the start, however much: overruns, events that could not be read, streams
    /// that ended.
    pub losses: u64,
    /// Whether new connections get counters (`nf_conntrack_acct`).
    pub accounting: bool,
    /// Whether new connections get start times (`nf_conntrack_timestamp`).
    pub timestamps: bool,
    /// Connections in a flow table, whose counters stand still.
    pub offloaded: u64,
}

/// How much moves, a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Rates {
    /// Bytes of the original direction.
    pub bytes_orig: f32,
    /// Bytes of the reply direction.
    pub bytes_reply: f32,
    /// Packets of the original direction.
    pub packets_orig: f32,
    /// Packets of the reply direction.
    pub packets_reply: f32,
}

/// A connection of the live table.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// All that is known of it.
    pub entry: Entry,
    /// How much it moves; `None` before it was read twice, and where accounting is off.
    pub rates: Option<Rates>,
    /// Whether a reading of the table has seen it; before, its counters are not known.
    pub is_read: bool,
}

/// What a page is sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortBy {
    /// A column.
    Column(Column),
    /// Bytes a second, both directions.
    Rate,
    /// Bytes a second, original direction.
    RateOrig,
    /// Bytes a second, reply direction.
    RateReply,
}

/// Which rows are wanted.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// Selects connections.
    pub query: Query,
    /// Their order; the table's own where none is given.
    pub sort: Option<SortBy>,
    /// Whether the last comes first.
    pub reverse: bool,
    /// How many rows.
    pub limit: usize,
    /// How many rows before them.
    pub offset: usize,
    /// A page that was answered before, whose order is gone on with.
    pub cursor: Option<String>,
    /// Whose result it is: each has so many cursors.
    pub owner: String,
}

/// Some rows of all that are selected.
#[derive(Clone, Debug)]
pub struct Page {
    /// The rows, in order.
    pub rows: Vec<Row>,
    /// Sums of all that is selected.
    pub totals: Totals,
    /// Names this result for the pages behind: they stay as they are, except that what has ended is left
    /// out. Forgotten some minutes after its last use.
    pub cursor: Option<String>,
    /// How far it can be believed.
    pub truth: Truth,
}

/// Sums over connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Totals {
    /// How many.
    pub connections: u64,
    /// Bytes of both directions, of those that have counters.
    pub bytes: Option<u64>,
    /// Packets of both directions.
    pub packets: Option<u64>,
    /// How much they move.
    pub rates: Option<Rates>,
}

/// The table in numbers, as it is now.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Nanoseconds since the epoch.
    pub time_ns: u64,
    /// Connections in the table, of this namespace.
    pub connections: u64,
    /// What the kernel allows (`nf_conntrack_max`).
    pub limit: Option<u32>,
    /// Connections that appeared since the start; not those that the first whole reading found. Less
    /// [`deaths`](Self::deaths), it is by how many there are more than there were at the start.
    pub births: u64,
    /// Connections that went since the start: told by events, found gone by a reading, or given way to another of
    /// the same tuple.
    pub deaths: u64,
    /// How much all of them moved since the start, as far as it was read; `None` where accounting is off.
    pub moved: Option<Moved>,
    /// How much all of them move.
    pub rates: Option<Rates>,
    /// Connections by protocol number.
    pub protocols: Vec<(u8, u64)>,
    /// Connections by protocol number and the kernel's name of the state.
    pub states: Vec<(u8, &'static str, u64)>,
    /// Connections that are assured: the last that a full table gives up.
    pub assured: u64,
    /// Connections without an answer.
    pub unreplied: u64,
    /// Connections with translated addresses or ports.
    pub nat: u64,
}

/// Bytes and packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// Bytes.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
}

/// While one of these lives, somebody looks: counters are read more often.
pub struct Looking(Arc<Shared>);

impl Drop for Looking {
    fn drop(&mut self) {
        self.0.looking.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The live table of one network namespace.
///
/// What it knows follows the kernel's table by events, some milliseconds behind; counters, timeouts
/// and rates are as old as the last reading ([`Truth::taken_ns`]). Where events are lost or a reading
/// is not whole, it says so and reads anew.
pub struct Live {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Live {
    /// Opens the table of a namespace, `None` for the caller's, and begins to keep it. The first
    /// reading is under way then ([`wait_until_ready`](Self::wait_until_ready)).
    pub fn open(
        namespace: Option<Namespace>,
        way: Way,
        settings: &Settings,
    ) -> Result<Arc<Self>, Failure> {
        let clone = |namespace: &Option<Namespace>| {
            namespace.as_ref().map(Namespace::try_clone).transpose()
        };
        // The threads that read settings are the process's own: a namespace is entered by name.
        let kernel = Kernel::open(clone(&namespace)?, way)?;
        let source = Source::Kernel(Box::new(kernel));
        let shared = Arc::new(Shared::new(source, namespace, settings.clone()));
        // Before the first reading, so that nothing happens unseen between the two.
        let events = shared.subscribe()?;
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            thread::Builder::new()
                .name(name.to_owned())
                .spawn(work)
                .map_err(|error| {
                    Failure::new(
                        "kernel-error",
                        format!("cannot begin a thread: {error}"),
                        "see the limits of the service (TasksMax, ulimit -u)",
                    )
                })
        };
        let live = Arc::new(Self {
            shared: Arc::clone(&shared),
            threads: Mutex::default(),
        });
        let follower = Arc::clone(&shared);
        let followed = spawn("follow", Box::new(move || follower.follow(events)))?;
        live.threads().push(followed);
        let sampler = Arc::clone(&shared);
        let sampled = spawn("sample", Box::new(move || sampler.sample()))?;
        live.threads().push(sampled);
        Ok(live)
    }

    fn threads(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn store(&self) -> RwLockReadGuard<'_, Store> {
        self.shared
            .store
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn status(&self) -> Status {
        let status = self.shared.status.lock();
        status.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The kernel's table itself, for actions and for what must be read now.
    pub fn source(&self) -> &Source {
        &self.shared.source
    }

    /// The kernel over netlink.
    pub fn client(&self) -> &Client {
        match &self.shared.source {
            Source::Kernel(kernel) => kernel.client(),
            Source::Saved(_) => unreachable!("a live table is opened with the kernel's"),
        }
    }

    /// Waits for the first reading; `false` if that takes longer.
    pub fn wait_until_ready(&self, at_most: Duration) -> bool {
        self.shared.wait_until_ready(at_most)
    }

    /// How far it can be believed.
    pub fn truth(&self) -> Truth {
        let status = self.status();
        let reading = self.shared.source.reading();
        let (offloaded, unheard) = {
            let store = self.store();
            (store.counts.offloaded, store.counts.unheard)
        };
        Truth {
            taken_ns: status.taken_ns,
            source: reading.by,
            source_reason: reading.because,
            complete: self.shared.is_complete(&status),
            events_lost: self.shared.events_lost.load(Ordering::Relaxed),
            losses: self.shared.losses.load(Ordering::Relaxed),
            accounting: status.accounting,
            timestamps: status.timestamps,
            events: status.events,
            unheard,
            offloaded,
        }
    }

    /// Why the table cannot be kept just now: events that are not to be had, or a reading that
    /// failed, which are tried again each second; or a namespace that was deleted, or made anew under its name.
    pub fn troubles(&self) -> Vec<Failure> {
        self.status().troubles().cloned().collect()
    }

    /// Whether both threads that keep the table are at work.
    pub fn is_kept(&self) -> bool {
        let threads = self.threads();
        !threads.is_empty() && !threads.iter().any(JoinHandle::is_finished)
    }

    /// How long the last reading took.
    pub fn reading_time(&self) -> Duration {
        self.status().took
    }

    /// The table in numbers.
    pub fn summary(&self) -> Summary {
        let status = self.status();
        let store = self.store();
        let counts = &store.counts;
        let moved = store.moved().filter(|_| status.accounting);
        Summary {
            time_ns: crate::now(),
            connections: counts.connections,
            limit: status.limit,
            births: store.births,
            deaths: store.deaths,
            moved: moved.map(store::sum),
            rates: status.rates,
            protocols: (0..=u8::MAX)
                .zip(counts.protocols.iter().copied())
                .filter(|(_, many)| *many > 0)
                .collect(),
            states: counts
                .states
                .iter()
                .filter(|(.., many)| *many > 0)
                .map(|(protocol, _, name, many)| (*protocol, *name, *many))
                .collect(),
            assured: counts.assured,
            unreplied: counts.unreplied,
            nat: counts.nat,
        }
    }

    /// Somebody looks from now on: counters are read more often, as the settings allow.
    pub fn look(&self) -> Looking {
        self.shared.looking.fetch_add(1, Ordering::Relaxed);
        self.shared.wake();
        Looking(Arc::clone(&self.shared))
    }

    /// Changes its number after every reading of the counters.
    pub fn readings(&self) -> watch::Receiver<u64> {
        self.shared.readings.subscribe()
    }

    /// Rows of all that is selected. The rows of further pages (`cursor`, `offset`) stay as they are
    /// from the second page on, but for those that end.
    pub fn page(&self, request: &PageRequest) -> Result<Page, Failure> {
        let results = || {
            let results = self.shared.results.lock();
            results.unwrap_or_else(PoisonError::into_inner)
        };
        let now_ns = crate::now();
        if let Some(cursor) = &request.cursor {
            let (known, order) = results().find(cursor)?;
            let order = match order {
                Some(order) => order,
                None => {
                    let order = Arc::new(known.order(&self.shared.store, now_ns));
                    results().put_order(cursor, &order);
                    order
                }
            };
            let asked = order.iter().skip(request.offset).take(request.limit);
            let rows = page::rows_at(&self.store(), asked);
            return Ok(Page {
                rows: self.freshened(rows),
                totals: Totals {
                    connections: order.len() as u64,
                    ..known.totals
                },
                cursor: Some(cursor.clone()),
                truth: self.truth(),
            });
        }
        let first = First::read(&self.shared.store, request, now_ns);
        let totals = first.totals;
        let (rows, known) = first.into_known(request);
        let is_all = totals.connections <= request.offset.saturating_add(request.limit) as u64;
        let cursor = (!is_all).then(|| results().remember(&request.owner, known));
        Ok(Page {
            rows: self.freshened(rows),
            totals,
            cursor,
            truth: self.truth(),
        })
    }

    /// Rows that were born since the last reading have no counters yet: the kernel is asked.
    fn freshened(&self, mut rows: Vec<Row>) -> Vec<Row> {
        if self.status().accounting {
            for row in &mut rows {
                if !row.is_read
                    && row.entry.counters_orig.is_none()
                    && let Ok(entry) = self.client().get(&row.entry.key())
                    && entry.id == row.entry.id
                {
                    row.entry = entry;
                }
            }
        }
        rows
    }

    /// All selected connections, in no order. Nothing is locked while `each` works.
    pub fn scan(
        &self,
        query: &Query,
        each: &mut dyn FnMut(&Row) -> Result<ControlFlow<()>, Failure>,
    ) -> Result<Truth, Failure> {
        let now_ns = crate::now();
        let mut rows = Vec::new();
        let mut number = 0;
        loop {
            {
                let store = self.store();
                let now = store.now();
                let Some(chunk) = store.chunks().get(number) else {
                    return Ok(self.truth());
                };
                let mut entry = Entry::blank();
                for packed in chunk.iter().filter(|packed| packed.is_alive()) {
                    packed.write(now.seconds, &store.beside, &mut entry);
                    if query.matches(&entry, now_ns) {
                        rows.push(Row {
                            entry: entry.clone(),
                            rates: packed.rates(),
                            is_read: packed.is_read(),
                        });
                    }
                }
            }
            for row in &rows {
                if each(row)?.is_break() {
                    return Ok(self.truth());
                }
            }
            rows.clear();
            number += 1;
        }
    }

    /// Groups of what is selected.
    pub fn groups(&self, query: &Query, plan: &Plan) -> (Groups, Truth) {
        let shares = page::scan(
            &self.shared.store,
            query,
            crate::now(),
            || Groups::new(plan.clone()),
            |groups, _, packed, entry| groups.add_moving(entry, packed.rates().as_ref()),
        );
        let mut shares = shares.into_iter();
        let mut groups = shares.next().unwrap_or_else(|| Groups::new(plan.clone()));
        for share in shares {
            groups.merge(&share);
        }
        (groups, self.truth())
    }

    /// One connection, as the kernel has it now, with its rates.
    pub fn get(&self, key: &Key) -> Result<Row, Failure> {
        let entry = self.client().get(key)?;
        let rates = self.store().rates_of(&entry);
        Ok(Row {
            entry,
            rates,
            is_read: true,
        })
    }

    /// The connection of a short name ([`name`]), as the kernel has it now.
    pub fn find(&self, wanted: &str) -> Result<Row, Failure> {
        let not_found = || {
            Failure::new(
                "not-found",
                "no connection of this name is in the table",
                "it may have ended in the meantime; list again to see what is there",
            )
        };
        let id = wanted.split('-').next();
        let id = id.and_then(|id| u32::from_str_radix(id, 16).ok());
        let id = id.ok_or_else(not_found)?;
        let key = {
            let store = self.store();
            let now = store.now();
            let mut entry = Entry::blank();
            let mut packed = store.chunks().iter().flatten();
            packed
                .find(|packed| {
                    packed.is_alive() && packed.id() == Some(id) && {
                        packed.write(now.seconds, &store.beside, &mut entry);
                        name(&entry) == wanted
                    }
                })
                .ok_or_else(not_found)?;
            entry.key()
        };
        let row = self.get(&key)?;
        if row.entry.id == Some(id) {
            Ok(row)
        } else {
            Err(not_found())
        }
    }

    /// Births, changes and deaths from now on that a query selects; at most so many may wait.
    /// Changes and deaths come with all that is known of the connection.
    pub fn feed(&self, query: Query, queue: usize) -> Feed {
        self.shared.feeds.add(query, queue)
    }

    /// Ends the threads and all feeds.
    pub fn close(&self) {
        self.shared.close();
        for thread in self.threads().drain(..) {
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.close();
    }
}

/// A short name of a connection for addresses (URLs): its id, and a hash of its tuple and zone.
pub fn name(entry: &Entry) -> String {
    let mut hasher = DefaultHasher::new();
    (entry.orig, entry.zone).hash(&mut hasher);
    let hash = hasher.finish() as u32;
    format!("{:08x}-{hash:08x}", entry.id.unwrap_or(0))
}
