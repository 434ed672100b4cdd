//! Deletions that wait for a yes: exactly which connections, whose, and what came of it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ctnetlink::{Client, DumpOutcome, Entry, Key};
use engine::actions::{self, Changed, Named};
use engine::live::Row;
use engine::restore::{self, Restored};
use engine::saved::{Header, TableWriter};
use engine::{Failure, Query, undo};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::connections::rows;
use super::error::{ErrorBody, Fault};
use super::own::{Own, OwnSession};
use super::shape::Truth;
use crate::app::App;
use crate::who::Who;

/// For how long a deletion waits, and can be undone.
pub const KEPT: Duration = Duration::from_secs(300);
/// How many are remembered, of one who asks and in all.
const MOST_OF_ONE: usize = 16;
const MOST: usize = 64;
/// How many connections they name together: 64 bytes each.
const MOST_KEYS: usize = 4_000_000;
/// How many connections can be put back; packed they take some 20 bytes each.
const MOST_UNDO: usize = 100_000;
/// How many owners and rows are shown.
const SHOWN_OWNERS: usize = 20;
const SHOWN_ROWS: usize = 10;

/// A deletion.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Deletion {
    /// Names it: good for whoever made it.
    pub id: String,
    /// What was asked for, in the usual spelling.
    pub query: String,
    /// `waiting`, `confirmed`, `undone`; `busy` while one of these is under way.
    pub state: String,
    /// How many connections it names.
    pub matched: u64,
    /// Whose they are: the sources with the most of them, 20 at most.
    pub owners: Vec<Owner>,
    /// How many sources there are.
    pub owners_total: u64,
    /// Some of them, 10 at most.
    #[schema(value_type = Vec<super::connection::Connection>)]
    pub sample: Vec<Box<RawValue>>,
    /// That the session that you are in is among them, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_session: Option<String>,
    /// Whether it can be undone once it is done.
    pub undoable: bool,
    /// Until when it waits, or can be undone: nanoseconds since the epoch.
    pub expires_ns: u64,
    /// What came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Outcome>,
    /// What came of undoing it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undone: Option<Undone>,
    /// How far the table could be believed.
    pub truth: Truth,
}

/// A source and what it has.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Owner {
    /// The address.
    #[schema(value_type = String)]
    pub src: IpAddr,
    /// How many of the connections.
    pub connections: u64,
    /// Their bytes, where they have counters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// What came of a change to many connections.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Outcome {
    /// How many were selected.
    pub matched: u64,
    /// How many were deleted or changed.
    pub done: u64,
    /// How many had ended, or become others, before their turn.
    pub gone: u64,
    /// How many the kernel refused to change.
    pub refused: u64,
    /// Of how many the kernel's answer was lost.
    pub unknown: u64,
    /// How many had no turn.
    pub not_tried: u64,
    /// Whether the table was known whole; if not, some that should have been selected may be missing.
    pub complete: bool,
    /// Why the first was refused or is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<ErrorBody>,
    /// Why it ended early.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<ErrorBody>,
}

/// What came of putting connections back.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Undone {
    /// How many were to be put back.
    pub matched: u64,
    /// How many were.
    pub created: u64,
    /// How many were there already.
    pub there: u64,
    /// How many could not be.
    pub refused: u64,
    /// Of how many the kernel's answer was lost.
    pub unknown: u64,
    /// Why the first was refused or is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<ErrorBody>,
}

impl From<&Changed> for Outcome {
    fn from(changed: &Changed) -> Self {
        Self {
            matched: changed.selected,
            done: changed.done,
            gone: changed.gone,
            refused: changed.refused,
            unknown: changed.unknown,
            not_tried: changed.selected.saturating_sub(changed.tried()),
            complete: changed.read_whole,
            first: body(changed.first.as_ref()),
            ended_by: body(changed.ended_by.as_ref()),
        }
    }
}

impl From<&Restored> for Undone {
    fn from(restored: &Restored) -> Self {
        Self {
            matched: restored.selected,
            created: restored.created,
            there: restored.there,
            refused: restored.refused,
            unknown: restored.unknown,
            first: body(restored.first.as_ref().or(restored.ended_by.as_ref())),
        }
    }
}

fn body(failure: Option<&Failure>) -> Option<ErrorBody> {
    failure.map(|failure| Fault::from(failure.clone()).body())
}

/// Deletions that are remembered.
#[derive(Default)]
pub struct Deletions(Mutex<Vec<Arc<Preview>>>);

/// A deletion from its preview on.
pub struct Preview {
    owner: String,
    until: Mutex<Instant>,
    complete: bool,
    stage: Mutex<Stage>,
    view: Mutex<Deletion>,
}

enum Stage {
    Waiting {
        keys: Vec<Key>,
        saved: Option<Vec<u8>>,
    },
    Busy,
    Confirmed {
        left: Vec<Key>,
        saved: Option<Vec<u8>>,
    },
    Undone,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Deletions {
    /// One of whoever asks; somebody else's is none.
    pub fn find(&self, id: &str, who: &Who) -> Result<Arc<Preview>, Failure> {
        self.forget_old();
        let all = lock(&self.0);
        let found = all
            .iter()
            .find(|preview| preview.owner == who.name && lock(&preview.view).id == id);
        found.cloned().ok_or_else(|| {
            Failure::new(
                "not-found",
                "there is no such deletion of yours",
                "a deletion waits for five minutes; make another one",
            )
        })
    }

    /// Forgets one.
    pub fn forget(&self, id: &str) {
        lock(&self.0).retain(|preview| lock(&preview.view).id != id);
    }

    /// Forgets those whose time is over.
    pub fn forget_old(&self) {
        let now = Instant::now();
        lock(&self.0).retain(|preview| *lock(&preview.until) > now || preview.is_busy());
    }

    /// How many connections another one may name.
    fn room(&self) -> usize {
        let named: usize = lock(&self.0).iter().map(|preview| preview.names()).sum();
        MOST_KEYS.saturating_sub(named)
    }

    fn add(&self, preview: Arc<Preview>) -> Result<(), Failure> {
        self.forget_old();
        let mut all = lock(&self.0);
        // Others may have been made while this one was.
        let named: usize = all.iter().map(|preview| preview.names()).sum();
        if named + preview.names() > MOST_KEYS {
            return Err(too_many(TOO_MUCH));
        }
        let is_own = |other: &Preview| other.owner == preview.owner;
        let own = all.iter().filter(|other| is_own(other)).count();
        if own >= MOST_OF_ONE || all.len() >= MOST {
            // What is done need not be remembered as much as what waits.
            let mut places = all.iter();
            let done = places
                .position(|other| other.is_done() && (own < MOST_OF_ONE || is_own(other)))
                .ok_or_else(|| too_many("too many deletions wait already"))?;
            all.remove(done);
        }
        all.push(preview);
        Ok(())
    }
}

const TOO_MUCH: &str = "this is more than can be remembered at once";

fn too_many(message: &str) -> Failure {
    Failure::new(
        "too-many",
        message,
        "narrow the query, or confirm or forget (DELETE) deletions that wait",
    )
}

/// What is found while the table is read.
struct Found {
    keys: Vec<Key>,
    owners: HashMap<IpAddr, (u64, Option<u64>)>,
    sample: Vec<Row>,
    own: Option<OwnSession>,
    saved: Option<TableWriter<Vec<u8>>>,
}

impl Found {
    fn take(&mut self, row: &Row, own: &Own) {
        let entry = &row.entry;
        self.keys.push(entry.key());
        let (connections, bytes) = self.owners.entry(entry.orig.src).or_default();
        *connections += 1;
        if let Some(more) = entry.bytes() {
            *bytes = Some(bytes.unwrap_or(0).saturating_add(more));
        }
        if self.sample.len() < SHOWN_ROWS {
            self.sample.push(row.clone());
        }
        self.own = self.own.or_else(|| own.is(entry));
        let saved = self.saved.as_mut();
        let is_kept =
            self.keys.len() <= MOST_UNDO && saved.is_some_and(|saved| saved.push(entry).is_ok());
        if !is_kept {
            self.saved = None;
        }
    }

    fn owners(&self) -> Vec<Owner> {
        let owner = |(&src, &(connections, bytes)): (&IpAddr, &(u64, Option<u64>))| Owner {
            src,
            connections,
            bytes,
        };
        let mut owners: Vec<Owner> = self.owners.iter().map(owner).collect();
        owners.sort_unstable_by_key(|owner| (std::cmp::Reverse(owner.connections), owner.src));
        owners.truncate(SHOWN_OWNERS);
        owners
    }
}

/// Makes a preview: reads which connections are selected, and remembers exactly those.
pub fn make(app: &App, who: &Who, query: &Query) -> Result<Deletion, Failure> {
    let own = Own::of(who);
    let header = Header {
        filter: Some(query.to_string()),
        ..Header::default()
    };
    let mut found = Found {
        keys: Vec::new(),
        owners: HashMap::new(),
        sample: Vec::new(),
        own: None,
        saved: TableWriter::new(Vec::new(), &header).ok(),
    };
    let room = app.api.deletions.room();
    let truth = app.live.scan(query, &mut |row| {
        if found.keys.len() >= room {
            return Err(too_many(TOO_MUCH));
        }
        found.take(row, &own);
        Ok(ControlFlow::Continue(()))
    })?;
    let owners = found.owners();
    let complete = truth.complete;
    let saved = found
        .saved
        .and_then(|saved| saved.finish(Some(complete)).ok());
    let view = Deletion {
        id: random_id()?,
        query: query.to_string(),
        state: "waiting".to_owned(),
        matched: found.keys.len() as u64,
        owners,
        owners_total: found.owners.len() as u64,
        sample: rows(&found.sample, &app.naming(), None)?,
        own_session: found.own.map(|own| own.to_string()),
        undoable: saved.is_some(),
        expires_ns: expiry_ns(),
        result: None,
        undone: None,
        truth: Truth::from(&truth),
    };
    found.keys.shrink_to_fit();
    app.api.deletions.add(Arc::new(Preview {
        owner: who.name.clone(),
        until: Mutex::new(Instant::now() + KEPT),
        complete,
        stage: Mutex::new(Stage::Waiting {
            keys: found.keys,
            saved,
        }),
        view: Mutex::new(view.clone()),
    }))?;
    Ok(view)
}

fn expiry_ns() -> u64 {
    engine::now().saturating_add(u64::try_from(KEPT.as_nanos()).unwrap_or(u64::MAX))
}

fn random_id() -> Result<String, Failure> {
    crate::gate::random()
}

impl Preview {
    /// As it is now.
    pub fn view(&self) -> Deletion {
        lock(&self.view).clone()
    }

    /// What was asked for.
    pub fn query(&self) -> String {
        lock(&self.view).query.clone()
    }

    fn names(&self) -> usize {
        match &*lock(&self.stage) {
            Stage::Waiting { keys, .. } => keys.len(),
            // Those that are being deleted are still there.
            Stage::Busy => usize::try_from(lock(&self.view).matched).unwrap_or(usize::MAX),
            Stage::Confirmed { left, .. } => left.len(),
            Stage::Undone => 0,
        }
    }

    fn is_busy(&self) -> bool {
        matches!(*lock(&self.stage), Stage::Busy)
    }

    fn is_done(&self) -> bool {
        matches!(*lock(&self.stage), Stage::Confirmed { .. } | Stage::Undone)
    }

    fn enter(&self, stage: Stage, state: &str) {
        *lock(&self.stage) = stage;
        state.clone_into(&mut lock(&self.view).state);
    }

    /// Deletes what it names.
    pub fn confirm(&self, client: &Client, own: &Own, force: bool) -> Result<Changed, Failure> {
        let (keys, saved) = {
            let mut stage = lock(&self.stage);
            let Stage::Waiting { keys, .. } = &*stage else {
                return Err(Failure::new(
                    "done-already",
                    "this deletion was confirmed already",
                    "see what came of it, or make another one",
                ));
            };
            if !force && let Some(own) = named_own(keys, own) {
                return Err(own.refusal());
            }
            match std::mem::replace(&mut *stage, Stage::Busy) {
                Stage::Waiting { keys, saved } => (keys, saved),
                _ => (Vec::new(), None),
            }
        };
        "busy".clone_into(&mut lock(&self.view).state);
        let named = Named {
            keys,
            outcome: DumpOutcome {
                complete: self.complete,
                requests: 0,
                fallbacks: 0,
            },
            own_session: None,
        };
        let mut changed = actions::delete(client, &named, |_| {});
        {
            let mut view = lock(&self.view);
            view.result = Some(Outcome::from(&changed));
            view.undoable = saved.is_some() && changed.ended_by.is_none();
            view.expires_ns = expiry_ns();
        }
        *lock(&self.until) = Instant::now() + KEPT;
        let left = std::mem::take(&mut changed.left);
        let saved = saved.filter(|_| changed.ended_by.is_none());
        self.enter(Stage::Confirmed { left, saved }, "confirmed");
        Ok(changed)
    }

    /// Puts back what was deleted.
    pub fn undo(&self, client: &Client) -> Result<Restored, Failure> {
        let (left, saved) = {
            let mut stage = lock(&self.stage);
            match std::mem::replace(&mut *stage, Stage::Busy) {
                Stage::Confirmed {
                    left,
                    saved: Some(saved),
                } => (left, saved),
                other => {
                    let why = match &other {
                        Stage::Waiting { .. } => "nothing was deleted yet",
                        Stage::Busy => "it is being done just now",
                        Stage::Confirmed { .. } => "it was too much to be kept, or ended early",
                        Stage::Undone => "it was undone already",
                    };
                    *stage = other;
                    return Err(Failure::new(
                        "not-undoable",
                        format!("this deletion cannot be undone: {why}"),
                        "see its state",
                    ));
                }
            }
        };
        "busy".clone_into(&mut lock(&self.view).state);
        match put_back(client, &saved, &left) {
            Ok(restored) => {
                let is_over = restored.ended_by.is_none();
                {
                    let mut view = lock(&self.view);
                    view.undone = Some(Undone::from(&restored));
                    view.undoable = !is_over;
                }
                if is_over {
                    self.enter(Stage::Undone, "undone");
                } else {
                    // What is back already is refused as such when it is tried again.
                    let saved = Some(saved);
                    self.enter(Stage::Confirmed { left, saved }, "confirmed");
                }
                Ok(restored)
            }
            Err(failure) => {
                // It can be tried again.
                let saved = Some(saved);
                self.enter(Stage::Confirmed { left, saved }, "confirmed");
                Err(failure)
            }
        }
    }
}

/// Whether the session of whoever asks is among these, as far as their original tuples tell.
fn named_own(keys: &[Key], own: &Own) -> Option<OwnSession> {
    keys.iter()
        .find_map(|key| own.is(&Entry::new(key.tuple, key.tuple.mirror())))
}

/// Puts back what is in a saved table, but for what was not deleted.
fn put_back(client: &Client, saved: &[u8], left: &[Key]) -> Result<Restored, Failure> {
    let table = undo::without(saved, left)?;
    let checked = restore::check(&table, &Query::any(), |_| {})?;
    let go_on = |_| actions::Flow::Continue(());
    Ok(restore::restore(
        client,
        &table,
        &checked,
        &Query::any(),
        false,
        go_on,
    ))
}
