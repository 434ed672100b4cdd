//! Entries read into values, on all threads at once.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use ctnetlink::Entry;

use crate::filter::{Filter, Number, Tests};
use crate::make::Maker;
use crate::program::Slot;
use crate::read::{Cursor, Reading};
use crate::record::Record;
use crate::refusal::Refusal;
use crate::walk::WalkOutcome;
use crate::walker::{Inner, Walker};

/// What is wanted of the entries that [`Walker::fold`] reads.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Whether their ids are; to make them takes a tenth of the time.
    pub with_ids: bool,
    /// Whether only the largest are.
    pub floor: Option<Floor>,
}

/// A number of which only the largest are wanted, and the least that is. Who has enough larger ones
/// raises it.
///
/// Entries below it may be left out; they are counted in [`WalkOutcome::below`].
#[derive(Clone, Debug)]
pub struct Floor {
    place: u32,
    least: Arc<AtomicU64>,
}

impl Floor {
    /// None yet. `None` for what is no sum of packets or bytes.
    pub fn of(number: Number) -> Option<Self> {
        Some(Self {
            place: number.counter_place()?,
            least: Arc::default(),
        })
    }

    /// What is less is not wanted any more.
    pub fn raise(&self, least: u64) {
        self.least.fetch_max(least, Ordering::Relaxed);
    }

    /// Nothing is known yet: who raised it may be gone by the time the table is read anew.
    pub(crate) fn begin(&self) {
        self.least.store(0, Ordering::Relaxed);
    }

    pub(crate) fn value(&self) -> u64 {
        self.least.load(Ordering::Relaxed)
    }

    pub(crate) const fn place(&self) -> u32 {
        self.place
    }
}

impl Walker {
    /// Reads the entries that a filter selects into values, one a thread: each begins as `fresh`
    /// and is given its share of the entries, in no order.
    ///
    /// If the table is resized meanwhile, all begin anew. `progress` is told how many entries have been
    /// read, on the caller's thread.
    pub fn fold<S: Send>(
        &self,
        filter: &Filter,
        wish: &Wish,
        mut progress: impl FnMut(u64),
        fresh: impl Fn() -> S + Sync,
        step: impl Fn(&mut S, &Entry) + Sync,
    ) -> Result<(Vec<S>, WalkOutcome), Refusal> {
        let mut lease = Lease {
            slots: self.lend()?,
            inner: &self.inner,
        };
        let mut outcome = WalkOutcome::NEW;
        if filter.is_nothing() {
            return Ok((vec![fresh()], outcome));
        }
        let tests = Tests::of(filter);
        for slot in &mut lease.slots {
            self.inner.program.put_tests(slot, &tests);
        }
        loop {
            let table = self.inner.table().ok_or(Refusal::Table)?;
            let threads = lease.slots.len().div_ceil(2);
            if let Some(floor) = &wish.floor {
                floor.begin();
            }
            let inner = Arc::clone(&self.inner);
            let reading = Reading::new(
                inner,
                table,
                &tests,
                wish.floor.clone(),
                threads as u32,
                Vec::new(),
            );
            let read = AtomicU64::new(0);
            let work = |slot: &mut Slot, progress: &mut dyn FnMut(u64)| {
                let worked = (|| {
                    let (mut state, mut cursor) = (fresh(), Cursor::default());
                    let mut maker = Maker::new(&self.inner, wish.with_ids);
                    while let Some(used) = cursor.fill(&reading, slot)? {
                        let mut records = self.inner.program.records(slot, used);
                        let mut made = 0;
                        while let Some((record, more, rest)) = Record::take(records) {
                            records = rest;
                            if maker.make(&self.inner, record, more)? {
                                made += 1;
                                step(&mut state, &maker.entry);
                            }
                        }
                        progress(read.fetch_add(made, Ordering::Relaxed) + made);
                    }
                    Ok(state)
                })();
                if worked.is_err() {
                    reading.stop();
                }
                worked
            };
            let mut slots = lease.slots.iter_mut().take(threads);
            let own = slots.next();
            let states = thread::scope(|scope| {
                let helpers: Vec<_> = slots
                    .zip(0..)
                    .filter_map(|(slot, number)| {
                        // Slower without those that cannot be.
                        thread::Builder::new()
                            .name(format!("walk-{number}"))
                            .spawn_scoped(scope, || work(slot, &mut |_| {}))
                            .ok()
                    })
                    .collect();
                let own = own.map(|slot| work(slot, &mut progress));
                let helped = helpers.into_iter().map(|helper| {
                    helper.join().unwrap_or_else(|panic| {
                        reading.stop();
                        resume_unwind(panic)
                    })
                });
                own.into_iter()
                    .chain(helped)
                    .collect::<Result<Vec<S>, Refusal>>()
            })?;
            if !outcome.add(&reading.summary()) {
                self.inner.settle()?;
                return Ok((states, outcome));
            }
        }
    }
}

/// Gives the slots back however it ends.
struct Lease<'a> {
    slots: Vec<Slot>,
    inner: &'a Inner,
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.inner.end(std::mem::take(&mut self.slots));
    }
}
