//! Recording in a thread of its own, so that no disk makes anybody wait.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;

use super::aside::{self, SetAside, set_aside};
use super::fault::Fault;
use super::origin::Origin;
use super::sample::Sample;
use super::series::{self, Ask, Series};
use super::step::Limits;
use super::store::{Place, Store};
use super::{FILE, Settings};
use crate::failure::Failure;

/// Samples that wait in memory while the file cannot be written: ten minutes of them.
const MOST_WAITING: usize = 600;

/// How long after a failure it is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// The same where the file is not open: opening it reads all of it.
const OPEN_AGAIN: Duration = Duration::from_secs(5);

/// How long the end of the daemon waits for the disk.
const LAST_WRITE: Duration = Duration::from_secs(5);

/// The recorded history of a daemon. Dropping it writes what waits, and ends.
pub struct History {
    shared: Arc<Shared>,
    ended: Mutex<Receiver<()>>,
}

struct Shared {
    path: PathBuf,
    origin: Origin,
    limits: Limits,
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Sample>,
    /// How many samples were taken out of the queue since the start, written or lost.
    gone: u64,
    lost: u64,
    rows: Option<[u64; 4]>,
    trouble: Option<Trouble>,
    is_open: bool,
    set_aside: Option<SetAside>,
    /// A reader found damage: the file is to be checked.
    is_suspect: bool,
    is_closing: bool,
}

/// Why nothing is written at present.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// Since when, in nanoseconds since the epoch.
    pub since_ns: u64,
    /// What is wrong and what to do.
    pub failure: Failure,
}

/// How recording goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The file.
    pub path: PathBuf,
    /// Bytes of the file and of what SQLite keeps beside it; `None` if there is none.
    pub bytes: Option<u64>,
    /// Rows of a second, of ten seconds, of a minute, of an hour; `None` until the file was opened.
    pub rows: Option<[u64; 4]>,
    /// Samples in memory that are not in the file yet.
    pub waiting: usize,
    /// Samples that were given up since the start, for the file could not be written for too long.
    pub lost: u64,
    /// Why nothing is written at present; `None` if all is well.
    pub trouble: Option<Trouble>,
    /// A damaged file that was put aside since the start.
    pub set_aside: Option<SetAside>,
    /// All damaged files that are kept, from before the start too, the oldest first.
    pub damaged: Vec<PathBuf>,
}

impl History {
    /// Begins to record in a folder, which is made if it is not there, the table of a namespace. What
    /// goes wrong with the file is told by [`History::status`] and tried again: nobody waits for it. An
    /// error only if there can be no thread.
    pub fn open(folder: &Path, settings: &Settings, origin: Origin) -> io::Result<Arc<Self>> {
        Self::start(folder.join(FILE), Limits::from(settings), origin)
    }

    pub(super) fn start(path: PathBuf, limits: Limits, origin: Origin) -> io::Result<Arc<Self>> {
        let shared = Arc::new(Shared {
            path,
            origin,
            limits,
            state: Mutex::default(),
            wake: Condvar::new(),
        });
        let (end, ended) = channel();
        let of_thread = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("history".to_owned())
            .spawn(move || write(&of_thread, &end))?;
        Ok(Arc::new(Self {
            shared,
            ended: Mutex::new(ended),
        }))
    }

    /// Records a sample. It returns at once.
    pub fn record(&self, sample: Sample) {
        let mut state = self.shared.lock();
        if state.is_closing {
            return;
        }
        while state.waiting.len() >= MOST_WAITING {
            state.waiting.pop_front();
            state.gone += 1;
            state.lost += 1;
        }
        state.waiting.push_back(sample);
        self.shared.wake.notify_all();
    }

    /// What was recorded of a while, with what is not in the file yet.
    pub fn series(&self, ask: &Ask) -> Result<Series, Failure> {
        let waiting: Vec<Sample> = self.shared.lock().waiting.iter().cloned().collect();
        let read = series::read(&self.shared.path, self.shared.limits, ask, &waiting);
        if let Err(failure) = &read
            && failure.code == "damaged"
        {
            self.shared.lock().is_suspect = true;
            self.shared.wake.notify_all();
        }
        read
    }

    /// Connections of single seconds, the oldest first, and whose they are, with what is not in the file yet;
    /// that alone where the file cannot be read.
    pub(crate) fn counts(&self, from: u64, to: u64) -> Result<(Origin, Vec<(u64, u64)>), Failure> {
        let waiting: Vec<(u64, u64)> = {
            let state = self.shared.lock();
            let waiting = state.waiting.iter();
            let within = waiting.filter(|sample| (from..to).contains(&sample.time));
            within
                .map(|sample| (sample.time, sample.connections))
                .collect()
        };
        let (origin, mut counts) = match series::counts(&self.shared.path, from, to) {
            Err(_) if !waiting.is_empty() => (self.shared.origin.clone(), Vec::new()),
            read => read?,
        };
        counts.extend(waiting);
        // What was written meanwhile is in both.
        counts.sort_by_key(|&(time, _)| time);
        counts.dedup_by_key(|&mut (time, _)| time);
        Ok((origin, counts))
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.shared.path
    }

    /// How recording goes.
    pub fn status(&self) -> Status {
        let path = &self.shared.path;
        let sizes = ["", "-wal", "-shm"]
            .map(|suffix| Some(aside::with(path, suffix).metadata().ok()?.len()));
        let bytes = sizes[0].map(|_| sizes.into_iter().flatten().sum());
        let damaged = aside::kept(path);
        let state = self.shared.lock();
        Status {
            path: path.clone(),
            bytes,
            rows: state.rows,
            waiting: state.waiting.len(),
            lost: state.lost,
            trouble: state.trouble.clone(),
            set_aside: state.set_aside.clone(),
            damaged,
        }
    }

    /// Writes what waits and ends; gives up after some seconds if the disk does not answer.
    pub fn close(&self) {
        self.shared.lock().is_closing = true;
        self.shared.wake.notify_all();
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        // An error is that it has ended already.
        let _ = ended.recv_timeout(LAST_WRITE);
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("History").field(&self.shared.path).finish()
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for samples, for what a reader found, for the time to try again, or for the end.
    fn next(&self) -> Work {
        let mut state = self.lock();
        if state.trouble.is_some() {
            let after = if state.is_open { AGAIN } else { OPEN_AGAIN };
            let (next, _) = self
                .wake
                .wait_timeout_while(state, after, |state| !state.is_closing)
                .unwrap_or_else(PoisonError::into_inner);
            state = next;
        }
        while state.waiting.is_empty()
            && state.rows.is_some()
            && !state.is_closing
            && !state.is_suspect
        {
            state = self
                .wake
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        Work {
            samples: state.waiting.iter().cloned().collect(),
            first: state.gone,
            is_suspect: std::mem::take(&mut state.is_suspect),
            is_last: state.is_closing,
        }
    }

    /// Notes what came of it.
    fn note(&self, work: &Work, result: Result<[u64; 4], Fault>, is_open: bool) {
        let mut state = self.lock();
        state.is_open = is_open;
        match result {
            Ok(rows) => {
                state.rows = Some(rows);
                if let Some(trouble) = state.trouble.take() {
                    tracing::info!(
                        path = %self.path.display(),
                        "history is recorded again, after: {}", trouble.failure
                    );
                }
                let written = work.first + work.samples.len() as u64;
                while state.gone < written && state.waiting.pop_front().is_some() {
                    state.gone += 1;
                }
            }
            Err(fault) => {
                let failure = fault.into_failure(&self.path);
                let before = state.trouble.as_ref().map(|trouble| &trouble.failure.code);
                if before != Some(&failure.code) {
                    tracing::warn!(code = failure.code, "history is not recorded: {failure}");
                }
                let since_ns = match &state.trouble {
                    Some(trouble) => trouble.since_ns,
                    None => crate::now(),
                };
                state.trouble = Some(Trouble { since_ns, failure });
            }
        }
    }
}

/// What the thread does next.
struct Work {
    samples: Vec<Sample>,
    /// The number of the first sample since the start.
    first: u64,
    is_suspect: bool,
    is_last: bool,
}

fn write(shared: &Shared, _end: &Sender<()>) {
    let mut store = None;
    loop {
        let work = shared.next();
        let result = attempt(shared, &mut store, &work);
        shared.note(&work, result, store.is_some());
        if work.is_last {
            break;
        }
    }
}

/// Opens the file if need be and writes; once more where it was damaged.
fn attempt(shared: &Shared, store: &mut Option<Store>, work: &Work) -> Result<[u64; 4], Fault> {
    match attempt_once(shared, store, work) {
        Err(Fault::Damaged(reason)) => {
            *store = None;
            let now = crate::now();
            let kept = set_aside(&shared.path, reason, now)
                .map_err(|error| Fault::of_io(&error, "it cannot be put aside", &shared.path))?;
            tracing::warn!(
                kept_as = %kept.kept_as.display(),
                "the recorded history was damaged and is kept aside: {}", kept.reason
            );
            shared.lock().set_aside = Some(kept);
            attempt_once(shared, store, work)
        }
        // It may be another file, or on another disk, when it is tried again.
        Err(Fault::Other(failure)) if failure.code == "history-unusable" => {
            *store = None;
            Err(Fault::Other(failure))
        }
        other => other,
    }
}

fn attempt_once(
    shared: &Shared,
    store: &mut Option<Store>,
    work: &Work,
) -> Result<[u64; 4], Fault> {
    let now = crate::now() / 1_000_000_000;
    match store.as_ref().map_or(Place::Same, Store::place) {
        Place::Same => {}
        // Somebody may have moved it away, which is a way to begin a new one.
        Place::Moved => *store = None,
        Place::Damaged(reason) => return Err(Fault::Damaged(reason.to_owned())),
    }
    let open = match store {
        Some(open) => open,
        None => store.insert(Store::open(
            &shared.path,
            shared.limits,
            &shared.origin,
            now,
        )?),
    };
    if work.is_suspect
        && let Some(reason) = open.check()?
    {
        return Err(Fault::Damaged(reason));
    }
    if !work.samples.is_empty() {
        open.write(&work.samples, now)?;
    }
    if work.is_last {
        open.finish()?;
    }
    Ok(open.rows())
}
