//! Buckets are read by several threads; each fills slots with records and hands them on.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::filter::Tests;
use crate::fold::Floor;
use crate::locate::Table;
use crate::program::Slot;
use crate::ranges::Ranges;
use crate::refusal::Refusal;
use crate::slot::{Ask, State};
use crate::walker::Inner;

/// What all readers of one table have in common.
pub(crate) struct Reading {
    pub(crate) inner: Arc<Inner>,
    ask: Ask,
    floor: Option<Floor>,
    ranges: Ranges,
    queue: Mutex<Queue>,
    /// Something was filled, or a reader has ended.
    filled: Condvar,
    /// A slot is free.
    freed: Condvar,
    /// The table is another one, or nobody wants the rest.
    is_stopped: AtomicBool,
    has_moved: AtomicBool,
    has_gaps: AtomicBool,
    again: AtomicU64,
    nodes: AtomicU64,
    below: AtomicU64,
    longest: AtomicU64,
}

#[derive(Default)]
struct Queue {
    filled: VecDeque<Filled>,
    free: Vec<Slot>,
    readers: usize,
    refusal: Option<Refusal>,
}

/// A slot with records in it.
pub(crate) struct Filled {
    pub(crate) slot: Slot,
    pub(crate) used: u32,
}

/// How the reading of one table went.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Summary {
    pub(crate) has_moved: bool,
    pub(crate) has_gaps: bool,
    pub(crate) again: u64,
    pub(crate) nodes: u64,
    pub(crate) below: u64,
    /// Nanoseconds of the longest run.
    pub(crate) longest: u64,
}

/// How long one run may take: the processor's packets wait meanwhile.
const BUDGET_NS: u64 = 300_000;
/// How often a bucket that cannot be read is tried; each run tries some dozen times.
const MOST_RUNS: u32 = 64;

impl Reading {
    /// `readers` are those that take ranges; `slots` are for those that hand on what they filled.
    pub(crate) fn new(
        inner: Arc<Inner>,
        table: Table,
        tests: &Tests,
        floor: Option<Floor>,
        readers: u32,
        slots: Vec<Slot>,
    ) -> Self {
        let ask = Ask {
            variable: table.variable,
            table: table.address,
            net: inner.net,
            budget: BUDGET_NS,
            from: 0,
            to: 0,
            hz: inner.hz,
            bare: inner.bare.mask(),
            glances: tests.glances,
            tests: tests.at(),
            floor: 0,
            floor_at: floor.as_ref().map_or(0, Floor::place),
            behind: 0,
        };
        Self {
            inner,
            ask,
            floor,
            ranges: Ranges::of(table.buckets, readers.max(1)),
            queue: Mutex::new(Queue {
                free: slots,
                ..Queue::default()
            }),
            filled: Condvar::new(),
            freed: Condvar::new(),
            is_stopped: AtomicBool::new(false),
            has_moved: AtomicBool::new(false),
            has_gaps: AtomicBool::new(false),
            again: AtomicU64::new(0),
            nodes: AtomicU64::new(0),
            below: AtomicU64::new(0),
            longest: AtomicU64::new(0),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a helper before its thread begins.
    pub(crate) fn enter(&self) {
        self.queue().readers += 1;
    }

    /// Takes a helper off the count: it has ended, or never began.
    pub(crate) fn leave(&self) {
        self.queue().readers -= 1;
        self.filled.notify_one();
    }

    /// A helper's work: fills slots until there is nothing left.
    pub(crate) fn help(&self) {
        let _leaving = Leaving(self);
        let mut cursor = Cursor::default();
        while let Some(mut slot) = self.free_slot() {
            let read = cursor.fill(self, &mut slot);
            let mut queue = self.queue();
            match read {
                Ok(Some(used)) => {
                    queue.filled.push_back(Filled { slot, used });
                    self.filled.notify_one();
                    continue;
                }
                Ok(None) => {}
                Err(refusal) => queue.refusal = Some(refusal),
            }
            queue.free.push(slot);
            break;
        }
    }

    fn free_slot(&self) -> Option<Slot> {
        let mut queue = self.queue();
        loop {
            if self.is_stopped.load(Ordering::Relaxed) {
                return None;
            }
            if let Some(slot) = queue.free.pop() {
                return Some(slot);
            }
            queue = self
                .freed
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The next slot with records, for who reads them out: what a helper filled, or what the caller
    /// reads now. `None` when all is read.
    pub(crate) fn next(&self, cursor: &mut Cursor) -> Result<Option<Filled>, Refusal> {
        loop {
            let mut queue = self.queue();
            if let Some(refusal) = queue.refusal.take() {
                return Err(refusal);
            }
            if let Some(filled) = queue.filled.pop_front() {
                return Ok(Some(filled));
            }
            if !cursor.is_done
                && let Some(mut slot) = queue.free.pop()
            {
                drop(queue);
                match cursor.fill(self, &mut slot) {
                    Ok(Some(used)) => return Ok(Some(Filled { slot, used })),
                    Ok(None) => self.give_back(slot),
                    Err(refusal) => {
                        self.give_back(slot);
                        return Err(refusal);
                    }
                }
            } else if queue.readers == 0 {
                return Ok(None);
            } else {
                drop(
                    self.filled
                        .wait(queue)
                        .unwrap_or_else(PoisonError::into_inner),
                );
            }
        }
    }

    /// A slot is read out.
    pub(crate) fn give_back(&self, slot: Slot) {
        self.queue().free.push(slot);
        self.freed.notify_one();
    }

    /// Nobody wants the rest.
    pub(crate) fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        // Who is about to wait holds the queue.
        drop(self.queue());
        self.freed.notify_all();
    }

    /// The slots, when all readers have ended.
    pub(crate) fn take_slots(&self) -> Vec<Slot> {
        let mut queue = self.queue();
        let filled = std::mem::take(&mut queue.filled);
        let mut slots = std::mem::take(&mut queue.free);
        slots.extend(filled.into_iter().map(|filled| filled.slot));
        slots
    }

    pub(crate) fn summary(&self) -> Summary {
        Summary {
            has_moved: self.has_moved.load(Ordering::Relaxed),
            has_gaps: self.has_gaps.load(Ordering::Relaxed),
            again: self.again.load(Ordering::Relaxed),
            nodes: self.nodes.load(Ordering::Relaxed),
            below: self.below.load(Ordering::Relaxed),
            longest: self.longest.load(Ordering::Relaxed),
        }
    }
}

/// Takes a helper off the count however it ends: who waits for it must not wait for ever.
struct Leaving<'a>(&'a Reading);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// Where one reader is.
#[derive(Debug, Default)]
pub(crate) struct Cursor {
    range: Option<(u32, u32)>,
    is_done: bool,
    /// Runs without any progress.
    stuck: u32,
}

impl Cursor {
    /// Fills a slot with records and gives the bytes; `None` when no bucket is left.
    pub(crate) fn fill(
        &mut self,
        reading: &Reading,
        slot: &mut Slot,
    ) -> Result<Option<u32>, Refusal> {
        while !reading.is_stopped.load(Ordering::Relaxed)
            && let Some((from, to)) = self.range.or_else(|| reading.ranges.take())
        {
            let ask = Ask {
                from,
                to,
                floor: reading.floor.as_ref().map_or(0, Floor::value),
                ..reading.ask
            };
            let answer = reading
                .inner
                .program
                .walk(slot, &ask)
                .map_err(|error| Refusal::system("BPF_PROG_RUN", &error))?;
            reading
                .again
                .fetch_add(answer.again.into(), Ordering::Relaxed);
            reading.nodes.fetch_add(answer.nodes, Ordering::Relaxed);
            reading
                .longest
                .fetch_max(answer.took.into(), Ordering::Relaxed);
            reading
                .below
                .fetch_add(answer.below.into(), Ordering::Relaxed);
            match answer.state() {
                State::Done => self.range = None,
                State::Unfinished => self.go_on(reading, answer.next, to, from),
                State::Astray => {
                    // Whoever changes the bucket may be done with it.
                    std::thread::yield_now();
                    self.go_on(reading, answer.next, to, from);
                }
                State::TooLong => self.leave_out(reading, answer.next, to),
                State::Moved | State::Fault => {
                    reading.has_moved.store(true, Ordering::Relaxed);
                    reading.stop();
                    // Nothing of this run counts.
                    break;
                }
                State::NoLookup => return Err(Refusal::NoLookup),
                State::Layout => return Err(Refusal::Layout("nf_conntrack_tuple".to_owned())),
            }
            if answer.used > 0 {
                return Ok(Some(answer.used));
            }
        }
        self.is_done = true;
        Ok(None)
    }

    fn go_on(&mut self, reading: &Reading, next: u32, to: u32, from: u32) {
        self.range = Some((next, to));
        self.stuck = if next == from { self.stuck + 1 } else { 0 };
        if self.stuck > MOST_RUNS {
            self.leave_out(reading, next, to);
        }
    }

    /// A bucket that cannot be read is a gap.
    fn leave_out(&mut self, reading: &Reading, bucket: u32, to: u32) {
        reading.has_gaps.store(true, Ordering::Relaxed);
        self.stuck = 0;
        self.range = Some((bucket + 1, to)).filter(|(from, to)| from < to);
    }
}
