//! A walk: a stream of entries.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ctnetlink::Entry;

use crate::filter::Tests;
use crate::make::Maker;
use crate::program::Slot;
use crate::read::{Cursor, Filled, Reading, Summary};
use crate::record::Record;
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
    /// How many selected entries were left out because they were below a [`Floor`](crate::Floor).
    pub below: u64,
    /// The longest time for which a processor was held in one go, waiting for a resize included.
    pub longest: Duration,
}

impl WalkOutcome {
    pub(crate) const NEW: Self = Self {
        complete: true,
        resizes: 0,
        again: 0,
        nodes: 0,
        below: 0,
        longest: Duration::ZERO,
    };

    /// Adds how the reading of one table went; whether there is another one to be read.
    pub(crate) fn add(&mut self, summary: &Summary) -> bool {
        self.again += summary.again;
        self.nodes += summary.nodes;
        self.longest = self.longest.max(Duration::from_nanos(summary.longest));
        // What was read of a table that has gone is read again.
        self.below = if summary.has_moved { 0 } else { summary.below };
        let is_moved = summary.has_moved && self.resizes < MOST_RESIZES;
        self.resizes += u32::from(is_moved);
        self.complete &= is_moved || !summary.has_moved && !summary.has_gaps;
        is_moved
    }
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
    maker: Maker,
    given: Given,
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
            maker: Maker::new(&inner, true),
            given: Given::default(),
            inner,
            tests,
            reading: None,
            helpers: Vec::new(),
            cursor: Cursor::default(),
            filled: None,
            at: 0,
            outcome: WalkOutcome::NEW,
        };
        if is_nothing {
            walk.inner.end(slots);
            return Ok(walk);
        }
        walk.spread(slots)?;
        walk.advance()?;
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
            match self.maker.make(&self.inner, record, more) {
                Ok(true) if self.given.add(&self.maker.entry) => {
                    return Ok(Some(&self.maker.entry));
                }
                Ok(_) => {}
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
        let reading = Arc::new(Reading::new(
            inner,
            table,
            &self.tests,
            None,
            helpers as u32 + 1,
            slots,
        ));
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
                Ok(Some(filled)) => {
                    self.filled = Some(filled);
                    return Ok(());
                }
                Err(refusal) => return Err(self.fail(refusal)),
            }
            let summary = reading.summary();
            let slots = self.gather();
            if self.outcome.add(&summary) {
                self.given.begin_anew();
                self.spread(slots)?;
            } else {
                self.inner.end(slots);
                let settled = self.inner.settle();
                self.outcome.complete &= settled.is_ok();
                settled?;
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

    /// What was given out so far, for who wants the rest from elsewhere. The walk is over.
    pub fn into_given(mut self) -> Given {
        self.given.begin_anew();
        std::mem::take(&mut self.given)
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

/// What a walk has given out.
///
/// An entry is known by its id and its original tuple: whoever tells the same connection tells
/// the same of both.
#[derive(Debug, Default)]
pub struct Given {
    /// Of the tables before, and of this one.
    before: HashSet<u64>,
    now: Vec<u64>,
}

impl Given {
    /// Whether an entry was given out before the table was read anew, by the walk or by others.
    pub fn contains(&self, entry: &Entry) -> bool {
        !self.before.is_empty() && self.before.contains(&mark(entry))
    }

    /// Notes an entry; `false` if it is there already.
    #[inline]
    fn add(&mut self, entry: &Entry) -> bool {
        let mark = mark(entry);
        if !self.before.is_empty() && self.before.contains(&mark) {
            return false;
        }
        self.now.push(mark);
        true
    }

    /// The table is read from its beginning again: what was given out is left out.
    fn begin_anew(&mut self) {
        self.before.extend(self.now.drain(..));
    }
}

/// An entry's id, and as many bits of its tuple.
#[inline]
fn mark(entry: &Entry) -> u64 {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            (bits as u64) ^ (bits >> 64) as u64
        }
    };
    let (orig, mix) = (&entry.orig, 0x9e37_79b9_7f4a_7c15);
    let ports = u64::from(orig.src_port().unwrap_or(0)) << 16
        | u64::from(orig.dst_port().unwrap_or(0))
        | u64::from(orig.protocol.0) << 32;
    let mixed = (bits(orig.src).wrapping_mul(mix) ^ bits(orig.dst)).wrapping_mul(mix) ^ ports;
    u64::from(entry.id.unwrap_or(0)) << 32 | mixed.wrapping_mul(mix) >> 32
}
