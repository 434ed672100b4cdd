//! The loaded program and what it found out about this kernel.

use std::num::NonZero;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ctnetlink::{Client, Namespace};

use crate::filter::{Filter, Tests};
use crate::locate::{self, Memory, Table};
use crate::program::{Program, Slot};
use crate::proof::Proof;
use crate::record::Bare;
use crate::refusal::{Refusal, System, foresee};
use crate::walk::Walk;

/// Reads the table of one network namespace with a BPF program.
///
/// The program is in the kernel for as long as this, or a walk of it, lives.
pub struct Walker {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) program: Program,
    /// Address of the namespace in the kernel's memory. It stays one namespace's as long as
    /// `client` keeps that open.
    pub(crate) net: u64,
    /// Ticks of the kernel's clock in a second.
    pub(crate) hz: u32,
    pub(crate) bare: Bare,
    pub(crate) client: Client,
    pub(crate) proof: Mutex<Proof>,
    table: Mutex<Table>,
    /// All of them, while no walk is under way.
    slots: Mutex<Vec<Slot>>,
    is_walking: AtomicBool,
    _namespace: Namespace,
}

impl std::fmt::Debug for Walker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let table = *self
            .inner
            .table
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("Walker")
            .field("buckets", &table.buckets)
            .field("is_in_place", &self.inner.program.is_in_place())
            .finish_non_exhaustive()
    }
}

/// How long a resize may take: that of millions of entries takes about a second.
const PATIENCE: Duration = Duration::from_secs(5);

/// Threads that read at once, at most: beyond, they wait for the same memory.
const MOST_THREADS: usize = 8;

impl Walker {
    /// Loads the program and finds the table. `client` is one of the same namespace: it is asked
    /// about single entries, to check what was read.
    pub fn open(namespace: &Namespace, client: Client) -> Result<Self, Refusal> {
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        Self::with_threads(namespace, client, threads)
    }

    /// The same with so many threads that read at once, the caller's included; at most eight.
    pub fn with_threads(
        namespace: &Namespace,
        client: Client,
        threads: usize,
    ) -> Result<Self, Refusal> {
        if !crate::IS_BUILT {
            return Err(Refusal::NotBuilt);
        }
        let enter = |error: &dyn std::fmt::Display| Refusal::System {
            what: "entering the namespace",
            error: error.to_string(),
        };
        let is_current = namespace.is_current().map_err(|error| enter(&error))?;
        foresee(&System::this(), is_current)?;
        // The caller's thread reads with one, each of the others with two: one is read out while
        // the next is filled.
        let slots = 2 * threads.clamp(1, MOST_THREADS) - 1;
        let (program, slots) = Program::load(slots as u32)?;
        let net = if is_current {
            program.namespace()?
        } else {
            namespace
                .run(|| Ok(program.namespace()))
                .map_err(|error| enter(&error))??
        };
        let until = Instant::now() + PATIENCE;
        let table = loop {
            match locate::table(&program, buckets) {
                // In the middle of a resize no table is whole.
                Err(Refusal::Table) if Instant::now() < until => {
                    thread::sleep(Duration::from_millis(1));
                }
                found => break found?,
            }
        };
        Ok(Self {
            inner: Arc::new(Inner {
                net,
                hz: ticks_a_second()?,
                bare: Bare::of(|name| program.function(name).is_some()),
                client,
                proof: Mutex::default(),
                table: Mutex::new(table),
                slots: Mutex::new(slots),
                is_walking: AtomicBool::new(false),
                _namespace: namespace.try_clone().map_err(|error| enter(&error))?,
                program,
            }),
        })
    }

    /// Reads the entries that a filter selects; perhaps more, for a filter that is too long for the
    /// program. One walk at a time.
    pub fn walk(&self, filter: &Filter) -> Result<Walk, Refusal> {
        let mut slots = self.lend()?;
        let tests = Tests::of(filter);
        for slot in &mut slots {
            self.inner.program.put_tests(slot, &tests);
        }
        Walk::begin(Arc::clone(&self.inner), slots, tests, filter.is_nothing())
    }

    /// All slots, until [`Inner::end`].
    pub(crate) fn lend(&self) -> Result<Vec<Slot>, Refusal> {
        if self.inner.is_walking.swap(true, Ordering::Acquire) {
            return Err(Refusal::Busy);
        }
        // What a walk that was given up could not compare is not this one's.
        let _of_another = self.inner.settle();
        let mut slots = self.inner.slots.lock();
        let slots = slots.as_mut().unwrap_or_else(|poison| poison.get_mut());
        Ok(std::mem::take(slots))
    }
}

impl Inner {
    /// The table as it is now: another one than last time if it was resized.
    pub(crate) fn table(&self) -> Option<Table> {
        let mut known = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(table) = locate::table_of(&self.program, known.variable, buckets) {
                *known = table;
                return Some(table);
            }
            // In the middle of a resize no table is whole.
            if Instant::now() > until {
                return None;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Whether, at the end of a walk, of every protocol that was read an entry was compared with netlink's;
    /// all of those that were not compared have gone.
    pub(crate) fn settle(&self) -> Result<(), Refusal> {
        let mut proof = self.proof.lock().unwrap_or_else(PoisonError::into_inner);
        proof.take_doubt().map_or(Ok(()), Err)
    }

    /// Takes the slots back: the walk is over.
    pub(crate) fn end(&self, slots: Vec<Slot>) {
        *self.slots.lock().unwrap_or_else(PoisonError::into_inner) = slots;
        self.is_walking.store(false, Ordering::Release);
    }
}

/// How many buckets the table has: one table for all namespaces.
fn buckets() -> Option<u32> {
    let text = std::fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_buckets").ok()?;
    text.trim().parse().ok().filter(|&buckets| buckets > 0)
}

/// `CONFIG_HZ`: the coarse clocks move once a tick, and tell so.
fn ticks_a_second() -> Result<u32, Refusal> {
    let resolution = rustix::time::clock_getres(rustix::time::ClockId::MonotonicCoarse);
    match u32::try_from(resolution.tv_nsec) {
        Ok(nanoseconds @ 1..) if resolution.tv_sec == 0 => {
            Ok((1_000_000_000 + nanoseconds / 2) / nanoseconds)
        }
        _ => Err(Refusal::Layout(
            "the kernel tells no length of a tick".to_owned(),
        )),
    }
}
