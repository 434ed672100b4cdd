//! Reads the table once a second and records it.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ctnetlink::CpuStats;

use super::recorder::{Reading, Recorder};
use super::writer::History;
use crate::actions;
use crate::live::{Live, Summary};

/// How long after a second's begin it is read, so that no clock's trembling puts two readings into one
/// second and none into the next.
const INTO_THE_SECOND: u64 = 20_000_000;

const SECOND: u64 = 1_000_000_000;

/// A thread that reads the table once a second. Dropping it ends it.
pub struct Follower {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

/// What is read of the table.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Connections in the table, by the kernel's count.
    pub connections: u64,
    /// What the kernel allows (`nf_conntrack_max`).
    pub limit: Option<u32>,
    /// The live table; `None` while it does not follow the kernel's.
    pub summary: Option<Summary>,
    /// When the connections' counters were read last, in nanoseconds since the epoch; `None` if they are
    /// new in every summary.
    pub counters_ns: Option<u64>,
    /// The kernel's counters, summed over the CPUs; `None` if they could not be read.
    pub kernel: Option<CpuStats>,
}

impl Follower {
    /// Records a live table. The number of connections is the kernel's own, as Netdata has it; the rest
    /// is the live table's, as long as nothing is the matter with it.
    pub fn of_live(history: &Arc<History>, live: Arc<Live>) -> io::Result<Self> {
        Self::of(history, move || {
            let usage = actions::usage(live.client()).ok()?;
            let truth = live.truth();
            let taken_ns = truth.taken_ns;
            let is_followed = taken_ns > 0 && truth.complete;
            let cpus = live.client().cpu_stats().ok();
            Some(Seen {
                connections: usage.entries?.into(),
                limit: usage.max_entries,
                summary: is_followed.then(|| live.summary()),
                counters_ns: Some(taken_ns),
                kernel: cpus.and_then(|cpus| cpus.into_iter().reduce(|a, b| a.plus(&b))),
            })
        })
    }

    /// Records what `read` gives, once a second; `None` is a gap.
    pub fn of(
        history: &Arc<History>,
        mut read: impl FnMut() -> Option<Seen> + Send + 'static,
    ) -> io::Result<Self> {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let (stopped, history) = (Arc::clone(&stop), Arc::clone(history));
        let thread = std::thread::Builder::new()
            .name("history-reader".to_owned())
            .spawn(move || {
                let (mut recorder, begin) = (Recorder::default(), Instant::now());
                while wait(&stopped) {
                    // Its time is when it was begun: what comes late is still of that second.
                    let (time_ns, since) = (crate::now(), begin.elapsed());
                    let sample = read().and_then(|seen| {
                        recorder.take(&Reading {
                            time_ns,
                            since,
                            connections: seen.connections,
                            limit: seen.limit,
                            summary: seen.summary,
                            counters_ns: seen.counters_ns,
                            kernel: seen.kernel,
                        })
                    });
                    if let Some(sample) = sample {
                        history.record(sample);
                    }
                }
            })?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        *self.stop.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.1.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic of its was told already.
            let _ = thread.join();
        }
    }
}

/// Waits for the next second; `false` if it is to end.
fn wait(stop: &(Mutex<bool>, Condvar)) -> bool {
    let into = crate::now() % SECOND;
    let left = if into < INTO_THE_SECOND {
        // It woke too early by a little.
        INTO_THE_SECOND - into
    } else {
        SECOND - into + INTO_THE_SECOND
    };
    let guard = stop.0.lock().unwrap_or_else(PoisonError::into_inner);
    let (stopped, _) = stop
        .1
        .wait_timeout_while(guard, Duration::from_nanos(left), |stopped| !*stopped)
        .unwrap_or_else(PoisonError::into_inner);
    !*stopped
}
