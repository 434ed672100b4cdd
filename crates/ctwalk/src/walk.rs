//! A walk: a stream of entries.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ctnetlink::{Entry, Protocol};

use crate::filter::Tests;
use crate::id::Key;
use crate::program::Slot;
use crate::read::{Cursor, Filled, Reading};
use crate::record::{More, Record, has};
use crate::refusal::Refusal;
use crate::walker::Inner;

/// How a walk went so far; final at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalkOutcome {
    /// Whether nothing was left out: at the end, whether every entry that stood still was given
    /// out.
    pub complete: bool,
    /// How often the table was begun anew because it was resized.
    pub resizes: u32,
    /// How many buckets were read again because they changed under the reader.
    pub again: u64,
    /// How many nodes of chains were visited, of all namespaces: two an entry.
    pub nodes: u64,
    /// The longest time for which a processor was held in one go, waiting for a resize included.
    pub longest: Duration,
}

/// A stream of entries, in no order.
pub struct Walk {
    inner: Arc<Inner>,
    tests: Tests,
    reading: Option<Arc<Reading>>,
    helpers: Vec<JoinHandle<()>>,
    cursor: Cursor,
    filled: Option<Filled>,
    /// How far the filled slot has been read out.
    at: usize,
    giver: Giver,
    outcome: WalkOutcome,
}

/// How often a table may be replaced under one walk.
const MOST_RESIZES: u32 = 8;

impl Walk {
    pub(crate) fn begin(
        inner: Arc<Inner>,
        slots: Vec<Slot>,
        tests: Tests,
        is_nothing: bool,
    ) -> Result<Self, Refusal> {
        let mut walk = Self {
            giver: Giver::new(&inner),
            inner,
            tests,
            reading: None,
            helpers: Vec::new(),
            cursor: Cursor::default(),
            filled: None,
            at: 0,
            outcome: WalkOutcome {
                complete: true,
                resizes: 0,
                again: 0,
                nodes: 0,
                longest: Duration::ZERO,
            },
        };
        if is_nothing {
            walk.inner.end(slots);
            return Ok(walk);
        }
        walk.spread(slots)?;
        walk.advance()?;
        walk.prove()?;
        Ok(walk)
    }

    /// The next entry, `None` at the end. After an error the stream is over.
    pub fn next_entry(&mut self) -> Result<Option<&Entry>, Refusal> {
        while let Some(filled) = &self.filled {
            let records = self.inner.program.records(&filled.slot, filled.used);
            let rest = records.get(self.at..).unwrap_or_default();
            let Some((record, more, rest)) = Record::take(rest) else {
                self.advance()?;
                continue;
            };
            self.at = records.len() - rest.len();
            match self.giver.write(&self.inner, record, more) {
                Ok(true) => return Ok(Some(&self.giver.entry)),
                Ok(false) => {}
                Err(refusal) => return Err(self.fail(refusal)),
            }
        }
        Ok(None)
    }

    /// Nothing comes any more.
    fn fail(&mut self, refusal: Refusal) -> Refusal {
        let slots = self.gather();
        self.inner.end(slots);
        self.outcome.complete = false;
        refusal
    }

    /// How it went so far; final at the end.
    pub const fn outcome(&self) -> WalkOutcome {
        self.outcome
    }

    /// Begins to read the table as it is now.
    fn spread(&mut self, slots: Vec<Slot>) -> Result<(), Refusal> {
        let Some(table) = self.inner.table() else {
            self.inner.end(slots);
            return Err(Refusal::Table);
        };
        let helpers = slots.len() / 2;
        let inner = Arc::clone(&self.inner);
        let reading = Arc::new(Reading::new(inner, table, &self.tests, slots));
        self.cursor = Cursor::default();
        for number in 0..helpers {
            reading.enter();
            let helped = Arc::clone(&reading);
            let helper = thread::Builder::new()
                .name(format!("walk-{number}"))
                .spawn(move || helped.help());
            match helper {
                Ok(helper) => self.helpers.push(helper),
                // Slower without.
                Err(_) => reading.leave(),
            }
        }
        self.reading = Some(reading);
        Ok(())
    }

    /// Goes to the next filled slot; to the next table if this one was replaced.
    fn advance(&mut self) -> Result<(), Refusal> {
        while let Some(reading) = &self.reading {
            if let Some(filled) = self.filled.take() {
                reading.give_back(filled.slot);
            }
            self.at = 0;
            match reading.next(&mut self.cursor) {
                Ok(None) => {}
                Ok(filled) => {
                    self.filled = filled;
                    return Ok(());
                }
                Err(refusal) => return Err(self.fail(refusal)),
            }
            let summary = reading.summary();
            let slots = self.gather();
            self.outcome.again += summary.again;
            self.outcome.nodes += summary.nodes;
            let longest = Duration::from_nanos(summary.longest);
            self.outcome.longest = self.outcome.longest.max(longest);
            if !summary.has_moved {
                self.outcome.complete &= !summary.has_gaps;
                self.inner.end(slots);
            } else if self.outcome.resizes < MOST_RESIZES {
                self.outcome.resizes += 1;
                self.giver.begin_anew();
                self.spread(slots)?;
            } else {
                self.outcome.complete = false;
                self.inner.end(slots);
            }
        }
        Ok(())
    }

    /// Ends the reading of one table and takes all slots back.
    fn gather(&mut self) -> Vec<Slot> {
        let Some(reading) = self.reading.take() else {
            return Vec::new();
        };
        reading.stop();
        for helper in self.helpers.drain(..) {
            // One that panicked has said so, and what it was reading is missing.
            self.outcome.complete &= helper.join().is_ok();
        }
        let mut slots = reading.take_slots();
        slots.extend(self.filled.take().map(|filled| filled.slot));
        slots
    }

    /// Compares one entry with netlink's before any is given out.
    fn prove(&mut self) -> Result<(), Refusal> {
        if self.giver.key.is_some() {
            return Ok(());
        }
        let Some(filled) = &self.filled else {
            return Ok(());
        };
        let mut rest = self.inner.program.records(&filled.slot, filled.used);
        for _ in 0..MOST_UNPROVED {
            let Some((record, more, behind)) = Record::take(rest) else {
                break;
            };
            if self.giver.compare(&self.inner, record, more)? {
                return Ok(());
            }
            rest = behind;
        }
        Err(Refusal::Ids)
    }
}

impl Drop for Walk {
    fn drop(&mut self) {
        if self.reading.is_some() {
            let slots = self.gather();
            self.inner.end(slots);
        }
    }
}

/// How many entries may be gone before one can be compared with netlink's.
const MOST_UNPROVED: u32 = 64;

/// Makes entries of records, each once.
struct Giver {
    key: Option<Key>,
    /// Protocols of which an entry was compared with netlink's.
    known: Box<[bool; 256]>,
    unproved: u32,
    entry: Entry,
    /// Addresses of what this bucket has given.
    bucket: Vec<u64>,
    /// What was given out, should the table have to be read anew.
    given: Vec<u64>,
    /// What was given out of the tables before.
    before: HashSet<u64>,
}

impl Giver {
    fn new(inner: &Inner) -> Self {
        let proof = inner.proof.lock().unwrap_or_else(PoisonError::into_inner);
        Self {
            key: proof.key(),
            known: Box::new([false; 256]),
            unproved: 0,
            entry: Entry::blank(),
            bucket: Vec::new(),
            given: Vec::new(),
            before: HashSet::new(),
        }
    }

    /// Makes the entry; `false` if it was given out before.
    #[inline]
    fn write(
        &mut self,
        inner: &Inner,
        record: &Record,
        more: Option<&More>,
    ) -> Result<bool, Refusal> {
        let protocol = record.orig.protocol;
        if self.known.get(usize::from(protocol)) != Some(&true) {
            self.learn(inner, record, more)?;
        }
        let Some(key) = self.key else {
            return Err(Refusal::Ids);
        };
        // An entry that dies and comes back while its bucket is read is seen twice.
        if record.has & has::FIRST != 0 {
            self.bucket.clear();
        } else if self.bucket.contains(&record.address) {
            return Ok(false);
        }
        self.bucket.push(record.address);

        let id = key.id(record, inner.net);
        let mark = record.address ^ u64::from(id) << 32;
        if !self.before.is_empty() && self.before.contains(&mark) {
            return Ok(false);
        }
        self.given.push(mark);
        record.write(more, &mut self.entry);
        self.entry.id = Some(id);
        if record.secmark != 0 {
            self.write_context(inner, record.secmark);
        }
        Ok(true)
    }

    #[cold]
    fn write_context(&mut self, inner: &Inner, secmark: u32) {
        let mut proof = inner.proof.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(context) = proof.context(&inner.client, secmark, &self.entry) {
            self.entry.extra.get_or_insert_default().secctx = Some(context);
        }
    }

    /// The first entry of a protocol.
    #[cold]
    fn learn(
        &mut self,
        inner: &Inner,
        record: &Record,
        more: Option<&More>,
    ) -> Result<(), Refusal> {
        let protocol = record.orig.protocol;
        let is_known = {
            let proof = inner.proof.lock().unwrap_or_else(PoisonError::into_inner);
            proof.knows(Protocol(protocol))
        };
        if !is_known && !self.compare(inner, record, more)? {
            self.unproved += 1;
            if self.unproved < MOST_UNPROVED {
                return Ok(());
            }
            self.unproved = 0;
        }
        if let Some(known) = self.known.get_mut(usize::from(protocol)) {
            *known = true;
        }
        Ok(())
    }

    fn compare(
        &mut self,
        inner: &Inner,
        record: &Record,
        more: Option<&More>,
    ) -> Result<bool, Refusal> {
        let mut proof = inner.proof.lock().unwrap_or_else(PoisonError::into_inner);
        let is_proved = proof.compare(inner, record, more)?;
        self.key = proof.key();
        Ok(is_proved)
    }

    /// The table is read from its beginning again: what was given out is left out.
    fn begin_anew(&mut self) {
        self.before.extend(self.given.drain(..));
        self.bucket.clear();
    }
}
