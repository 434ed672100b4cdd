//! The connections that are known: found by their names, counted as they come and go.

use std::collections::HashSet;
use std::hash::BuildHasher;
use std::time::Instant;

use ctnetlink::{Entry, Status};
use hashbrown::{DefaultHashBuilder, HashTable};

use super::packed::{Beside, Name, Packed};
use super::{Moved, Rates, Row, told};

/// Connections that stand side by side in memory; a table grows by so many.
pub(super) const CHUNK: usize = 1 << 14;

/// The shortest time over which a rate is told, in milliseconds: counters that were read one right
/// after the other say little, and what was told before counts for the rest of this time.
const SHORTEST: u32 = 200;

/// A moment, in what connections are measured by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    /// Seconds since the store was made. Not of the day: timeouts go on when somebody sets the clock, and
    /// stand still, as the kernel's do, while the machine sleeps.
    pub(super) seconds: u32,
    /// Milliseconds since the store was made, and one.
    pub(super) elapsed: u32,
}

/// All known connections.
pub(super) struct Store {
    chunks: Vec<Vec<Packed>>,
    free: Vec<u32>,
    /// Places by names.
    index: HashTable<u32>,
    /// Seeded at random: whoever sends packets chooses addresses and ports.
    hasher: DefaultHashBuilder,
    pub(super) beside: Beside,
    made: Instant,
    /// Number of the reading under way, or of the last; begins anew after 65,536, all of which would have
    /// to fail before an entry was taken for seen that was not.
    reading: u16,
    /// Whether a whole reading has been had: what appears from then on is new.
    is_whole: bool,
    /// What died while the table was read: the reading may still bring it. Hash of the name, and id.
    died: Option<HashSet<(u64, Option<u32>)>>,
    pub(super) counts: Counts,
    /// Connections that were there before, as the first whole reading showed. With it,
    /// `before + births - deaths` is the number of connections, always.
    before: u64,
    pub(super) births: u64,
    pub(super) deaths: u64,
    /// Bytes and packets of each direction that were seen to move.
    moved: [u64; 4],
    has_moved: bool,
    scratch: Entry,
}

/// How many there are of each kind.
pub(super) struct Counts {
    pub(super) connections: u64,
    pub(super) protocols: Box<[u64; 256]>,
    /// By protocol, state and its name.
    pub(super) states: Vec<(u8, u8, &'static str, u64)>,
    pub(super) assured: u64,
    pub(super) unreplied: u64,
    pub(super) nat: u64,
    pub(super) offloaded: u64,
    /// Those of which no event has told.
    pub(super) unheard: u64,
}

impl Store {
    pub(super) fn new() -> Self {
        Self {
            chunks: Vec::new(),
            free: Vec::new(),
            index: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            beside: Beside::default(),
            made: Instant::now(),
            reading: 0,
            is_whole: false,
            died: None,
            counts: Counts::default(),
            before: 0,
            births: 0,
            deaths: 0,
            moved: [0; 4],
            has_moved: false,
            scratch: Entry::blank(),
        }
    }

    pub(super) fn now(&self) -> Now {
        let elapsed = self.made.elapsed();
        Now {
            seconds: elapsed.as_secs() as u32,
            elapsed: (elapsed.as_millis() as u32).saturating_add(1),
        }
    }

    /// A reading of the table begins.
    pub(super) fn begin_reading(&mut self) {
        self.reading = self.reading.wrapping_add(1);
        self.died = Some(HashSet::new());
    }

    /// The reading is over. If it was whole, what it did not bring is not there any more.
    pub(super) fn end_reading(&mut self, is_whole: bool) {
        self.died = None;
        if !is_whole {
            return;
        }
        self.is_whole = true;
        for place in 0..self.places() {
            if let Some(packed) = self.at(place)
                && packed.seen != self.reading
            {
                self.remove(place);
                self.deaths += 1;
            }
        }
    }

    /// An entry as a reading brought it. What an event has told of it since the reading began stays: it may be
    /// newer.
    pub(super) fn read(&mut self, entry: &Entry, now: Now) {
        let name = Name::of(entry);
        let hash = self.hasher.hash_one(name);
        if let Some(died) = &self.died
            && died.contains(&(hash, entry.id))
        {
            return;
        }
        let Some(place) = self.find(hash, &name) else {
            self.appeared();
            let packed = self.pack_read(entry, now);
            if self.is_whole {
                self.count_moved(packed.counted(), None);
            }
            self.insert(hash, packed);
            return;
        };
        let Some(known) = self.at(place).copied() else {
            return;
        };
        // What events tell of this reading's time.
        let told = if known.seen == self.reading {
            known.told
        } else {
            0
        };
        if is_other(known.id(), entry.id) {
            // The one that was read may have made room for the one that an event told of.
            if told == 0 {
                self.appeared();
                self.deaths += 1;
                let packed = self.pack_read(entry, now);
                if self.is_whole {
                    self.count_moved(packed.counted(), None);
                }
                self.replace(place, packed);
            }
            return;
        }
        let mut packed = if told == 0 {
            self.pack_read(entry, now)
        } else {
            let (mut newer, mut entry) = (Entry::blank(), entry.clone());
            known.write(now.seconds, &self.beside, &mut newer);
            told::keep(&mut newer, told);
            overlay(&mut entry, &newer);
            self.pack_read(&entry, now)
        };
        packed.told = told;
        packed.is_heard = known.is_heard;
        packed.set_rates(rates(&known, &packed));
        if known.is_read() {
            self.count_moved(packed.counted(), known.counted());
        } else if self.is_whole {
            self.count_moved(packed.counted(), None);
        }
        self.replace(place, packed);
    }

    fn pack_read(&mut self, entry: &Entry, now: Now) -> Packed {
        let mut packed = Packed::new(entry, now.seconds, &mut self.beside);
        packed.seen = self.reading;
        packed.read_at = now.elapsed;
        packed
    }

    /// A connection is known that was not. Before the first whole reading it may well be old, unless an
    /// event says that it is new.
    fn appeared(&mut self) {
        if self.is_whole {
            self.births += 1;
        } else {
            self.before += 1;
        }
    }

    /// An entry is new.
    pub(super) fn born(&mut self, entry: &Entry, now: Now) {
        let name = Name::of(entry);
        let hash = self.hasher.hash_one(name);
        if let Some(died) = &mut self.died {
            died.remove(&(hash, entry.id));
        }
        match self.find(hash, &name) {
            // A reading was faster.
            Some(place) if !self.is_other_at(place, entry) => self.merge(place, entry, now),
            Some(place) => {
                self.births += 1;
                self.deaths += 1;
                let packed = self.fresh(entry, now);
                self.replace(place, packed);
            }
            None => {
                self.births += 1;
                let packed = self.fresh(entry, now);
                self.insert(hash, packed);
            }
        }
    }

    /// Something of an entry has changed. Gives all that is known of it now.
    pub(super) fn changed(&mut self, entry: &Entry, now: Now) {
        let name = Name::of(entry);
        let hash = self.hasher.hash_one(name);
        match self.find(hash, &name) {
            Some(place) if !self.is_other_at(place, entry) => self.merge(place, entry, now),
            Some(place) => {
                self.appeared();
                self.deaths += 1;
                let packed = self.fresh(entry, now);
                self.replace(place, packed);
            }
            // It was born before we listened, or its birth was lost, and no reading has brought it yet.
            None => {
                self.appeared();
                let packed = self.fresh(entry, now);
                self.insert(hash, packed);
            }
        }
    }

    /// An entry is gone; it has its last counters, if any.
    pub(super) fn gone(&mut self, entry: &Entry) {
        let name = Name::of(entry);
        let hash = self.hasher.hash_one(name);
        if let Some(died) = &mut self.died {
            died.insert((hash, entry.id));
        }
        let Some(place) = self.find(hash, &name) else {
            // Its death was counted when a reading did not bring it any more.
            return;
        };
        if self.is_other_at(place, entry) {
            return;
        }
        self.deaths += 1;
        if let Some(known) = self.at(place).copied() {
            let counted = entry.counters_orig.zip(entry.counters_reply);
            let last =
                counted.map(|(orig, reply)| [orig.bytes, reply.bytes, orig.packets, reply.packets]);
            let before = known.counted().filter(|_| known.is_read());
            if before.is_some() || self.is_whole {
                self.count_moved(last, before);
            }
        }
        self.remove(place);
    }

    /// All that is known of an entry, in the place of what was there; `false` if nothing is.
    pub(super) fn recall(&self, entry: &Entry, now: Now, into: &mut Entry) -> bool {
        let name = Name::of(entry);
        let found = self.find(self.hasher.hash_one(name), &name);
        let known = found.and_then(|place| self.at(place));
        if let Some(packed) = known.filter(|packed| !is_other(packed.id(), entry.id)) {
            packed.write(now.seconds, &self.beside, into);
            return true;
        }
        false
    }

    /// What is known of the entry at a place.
    pub(super) fn row(&self, place: u32, now: Now) -> Option<Row> {
        let packed = self.at(place)?;
        let mut entry = Entry::blank();
        packed.write(now.seconds, &self.beside, &mut entry);
        Some(Row {
            entry,
            rates: packed.rates(),
            is_read: packed.is_read(),
        })
    }

    /// The connection at a place, if there is one.
    pub(super) fn at(&self, place: u32) -> Option<&Packed> {
        let chunk = self.chunks.get(place as usize / CHUNK)?;
        chunk.get(place as usize % CHUNK).filter(|p| p.is_alive())
    }

    pub(super) fn chunks(&self) -> &[Vec<Packed>] {
        &self.chunks
    }

    /// The rates of an entry.
    pub(super) fn rates_of(&self, entry: &Entry) -> Option<Rates> {
        let name = Name::of(entry);
        let place = self.find(self.hasher.hash_one(name), &name)?;
        self.at(place)?.rates()
    }

    /// How much was seen to move; `None` while nothing has counters.
    pub(super) fn moved(&self) -> Option<[u64; 4]> {
        self.has_moved.then_some(self.moved)
    }

    fn places(&self) -> u32 {
        let last = self.chunks.last().map_or(0, Vec::len);
        (self.chunks.len().saturating_sub(1) * CHUNK + last) as u32
    }

    /// As an event tells it: counters and times are not in it.
    fn fresh(&mut self, entry: &Entry, now: Now) -> Packed {
        let mut packed = Packed::new(entry, now.seconds, &mut self.beside);
        packed.seen = self.reading;
        packed.told = told::of(entry);
        packed.is_heard = true;
        packed
    }

    /// Writes what an event tells over what is known.
    fn merge(&mut self, place: u32, told: &Entry, now: Now) {
        let Some(known) = self.at(place).copied() else {
            return;
        };
        let mut entry = std::mem::replace(&mut self.scratch, Entry::blank());
        known.write(now.seconds, &self.beside, &mut entry);
        overlay(&mut entry, told);
        let mut packed = Packed::new(&entry, now.seconds, &mut self.beside);
        packed.told = told::of(told);
        packed.is_heard = true;
        if known.seen == self.reading {
            packed.told |= known.told;
        }
        packed.seen = self.reading;
        packed.read_at = known.read_at;
        packed.set_rates(known.rates());
        self.scratch = entry;
        self.replace(place, packed);
    }

    fn is_other_at(&self, place: u32, entry: &Entry) -> bool {
        self.at(place)
            .is_some_and(|known| is_other(known.id(), entry.id))
    }

    fn count_moved(&mut self, now: Option<[u64; 4]>, before: Option<[u64; 4]>) {
        let Some(now) = now else { return };
        self.has_moved = true;
        let before = before.unwrap_or_default();
        for ((moved, now), before) in self.moved.iter_mut().zip(now).zip(before) {
            // Less than before: somebody has set them to zero.
            *moved += now.checked_sub(before).unwrap_or(now);
        }
    }

    fn find(&self, hash: u64, name: &Name) -> Option<u32> {
        let is_it = |place: &u32| {
            self.at(*place)
                .is_some_and(|packed| packed.name(&self.beside) == *name)
        };
        self.index.find(hash, is_it).copied()
    }

    fn insert(&mut self, hash: u64, packed: Packed) {
        self.counts.add(&packed, 1);
        let place = match self.free.pop() {
            Some(place) => {
                if let Some(free) = slot(&mut self.chunks, place) {
                    *free = packed;
                }
                place
            }
            None => {
                if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
                    self.chunks.push(Vec::with_capacity(CHUNK));
                }
                let place = self.places();
                if let Some(chunk) = self.chunks.last_mut() {
                    chunk.push(packed);
                }
                place
            }
        };
        let (chunks, beside, hasher) = (&self.chunks, &self.beside, &self.hasher);
        self.index.insert_unique(hash, place, |place| {
            let chunk = chunks.get(*place as usize / CHUNK);
            let packed = chunk.and_then(|chunk| chunk.get(*place as usize % CHUNK));
            packed.map_or(0, |packed| hasher.hash_one(packed.name(beside)))
        });
    }

    /// Another connection, or more of the same, at a place whose name stays.
    fn replace(&mut self, place: u32, packed: Packed) {
        self.counts.add(&packed, 1);
        if let Some(known) = slot(&mut self.chunks, place) {
            self.counts.add(known, -1);
            known.leave(&mut self.beside);
            *known = packed;
        }
    }

    fn remove(&mut self, place: u32) {
        let Some(known) = self.at(place).copied() else {
            return;
        };
        let hash = self.hasher.hash_one(known.name(&self.beside));
        if let Ok(found) = self.index.find_entry(hash, |other| *other == place) {
            found.remove();
        }
        self.counts.add(&known, -1);
        known.leave(&mut self.beside);
        if let Some(slot) = slot(&mut self.chunks, place) {
            *slot = Packed::default();
        }
        self.free.push(place);
    }
}

fn slot(chunks: &mut [Vec<Packed>], place: u32) -> Option<&mut Packed> {
    chunks
        .get_mut(place as usize / CHUNK)?
        .get_mut(place as usize % CHUNK)
}

/// Whether two ids are of two connections.
fn is_other(one: Option<u32>, other: Option<u32>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if one != other)
}

/// Only what has changed is in an event.
pub(super) fn overlay(entry: &mut Entry, told: &Entry) {
    entry.reply = told.reply;
    entry.id = told.id.or(entry.id);
    entry.status = told.status.or(entry.status);
    entry.timeout = if told.has_status(Status::OFFLOAD) {
        None
    } else {
        told.timeout.or(entry.timeout)
    };
    entry.mark = told.mark.or(entry.mark);
    entry.secmark = told.secmark.or(entry.secmark);
    entry.use_count = told.use_count.or(entry.use_count);
    entry.counters_orig = told.counters_orig.or(entry.counters_orig);
    entry.counters_reply = told.counters_reply.or(entry.counters_reply);
    entry.timestamps = told.timestamps.or(entry.timestamps);
    entry.protoinfo = told.protoinfo.or(entry.protoinfo);
    entry.helper = told.helper.or(entry.helper);
    entry.labels = told.labels.or(entry.labels);
    if let Some(more) = &told.extra {
        let extra = entry.extra.get_or_insert_default();
        extra.secctx = more.secctx.clone().or(extra.secctx.take());
        extra.seqadj_orig = more.seqadj_orig.or(extra.seqadj_orig);
        extra.seqadj_reply = more.seqadj_reply.or(extra.seqadj_reply);
        extra.synproxy = more.synproxy.or(extra.synproxy);
        extra.master = more.master.or(extra.master);
    }
}

/// What an entry moves a second, from two readings. Where there is less than [`SHORTEST`] between them, what was told
/// before counts for the rest of it, and nothing where nothing was; the next rate is measured from the
/// later reading in any case.
fn rates(before: &Packed, now: &Packed) -> Option<Rates> {
    let (from, to) = (before.counted()?, now.counted()?);
    if before.read_at == 0 {
        return None;
    }
    // Milliseconds in 32 bits begin anew after seven weeks.
    let time = now.read_at.wrapping_sub(before.read_at);
    if time == 0 {
        // Twice by the same reading.
        return before.rates();
    }
    let over = f64::from(time.max(SHORTEST)) / 1000.0;
    let rest = over - f64::from(time) / 1000.0;
    let known = before.rates().unwrap_or_default();
    let rate = |from: u64, to: u64, known: f32| {
        ((to.saturating_sub(from) as f64 + f64::from(known) * rest) / over) as f32
    };
    let ([a, b, c, d], [e, f, g, h]) = (from, to);
    Some(Rates {
        bytes_orig: rate(a, e, known.bytes_orig),
        bytes_reply: rate(b, f, known.bytes_reply),
        packets_orig: rate(c, g, known.packets_orig),
        packets_reply: rate(d, h, known.packets_reply),
    })
}

/// Bytes and packets of both directions.
pub(super) const fn sum(moved: [u64; 4]) -> Moved {
    let [bytes_orig, bytes_reply, packets_orig, packets_reply] = moved;
    Moved {
        bytes: bytes_orig + bytes_reply,
        packets: packets_orig + packets_reply,
    }
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            connections: 0,
            protocols: Box::new([0; 256]),
            states: Vec::new(),
            assured: 0,
            unreplied: 0,
            nat: 0,
            offloaded: 0,
            unheard: 0,
        }
    }
}

impl Counts {
    fn add(&mut self, packed: &Packed, by: i64) {
        let add = |count: &mut u64| *count = count.saturating_add_signed(by);
        add(&mut self.connections);
        if let Some(count) = self.protocols.get_mut(usize::from(packed.protocol())) {
            add(count);
        }
        if let Some((state, name)) = packed.state() {
            let key = (packed.protocol(), state);
            let found = self
                .states
                .iter_mut()
                .find(|(protocol, state, ..)| (*protocol, *state) == key);
            match found {
                Some((.., count)) => add(count),
                None => self.states.push((key.0, key.1, name, u64::from(by > 0))),
            }
        }
        let status = packed.status();
        for (is, count) in [
            (status.contains(Status::ASSURED), &mut self.assured),
            (!status.contains(Status::SEEN_REPLY), &mut self.unreplied),
            (packed.is_nat(), &mut self.nat),
            (
                status.intersects(Status::OFFLOAD | Status::HW_OFFLOAD),
                &mut self.offloaded,
            ),
            (!packed.is_heard, &mut self.unheard),
        ] {
            if is {
                add(count);
            }
        }
    }
}

#[cfg(test)]
mod tests;
