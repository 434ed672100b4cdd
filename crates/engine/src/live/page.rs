//! Rows of the live table in order, page by page.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::thread;
use std::time::{Duration, Instant};

use ctnetlink::Entry;
use query::Query;

use super::packed::Packed;
use super::store::{CHUNK, Store};
use super::{PageRequest, Rates, Row, SortBy, Totals};
use crate::column::{Column, SortKey};
use crate::failure::Failure;
use crate::top::Top;

/// How many results are remembered for the pages behind the first, in all and of one owner.
const MOST_RESULTS: usize = 128;
const MOST_OF_ONE: usize = 16;
/// How many of them may have their whole order, 8 bytes a row.
const MOST_ORDERS: usize = 8;
const MOST_ORDERS_OF_ONE: usize = 4;
/// For how long after its last use.
const KEPT: Duration = Duration::from_secs(300);

/// Where a row is, and the id by which it is known to be the same.
type Place = (u32, Option<u32>);

/// All places of a result in order.
pub(super) type Order = Arc<Vec<Place>>;

/// Results whose further pages may be asked for.
#[derive(Default)]
pub(super) struct Results {
    results: VecDeque<Remembered>,
    random: RandomState,
    number: u64,
}

struct Remembered {
    cursor: String,
    owner: String,
    used: Instant,
    result: Arc<Known>,
    order: Option<Order>,
}

/// A result of which the first rows were given.
pub(super) struct Known {
    query: Query,
    sort: Option<SortBy>,
    reverse: bool,
    first: Vec<Place>,
    pub(super) totals: Totals,
}

impl Results {
    /// Remembers what was given to its owner, and gives it a name that nobody can guess. Whoever has most makes
    /// room: nobody's cursors expire because of what others ask.
    pub(super) fn remember(&mut self, owner: &str, result: Known) -> String {
        self.number += 1;
        let cursor = format!(
            "{:016x}{:016x}",
            self.random.hash_one(self.number),
            self.random.hash_one((self.number, "cursor"))
        );
        self.results.retain(|known| known.used.elapsed() < KEPT);
        let owners = || self.results.iter().map(|known| known.owner.as_str());
        let of_one = owners().filter(|name| *name == owner).count();
        let crowded = if of_one >= MOST_OF_ONE {
            Some(owner.to_owned())
        } else if self.results.len() >= MOST_RESULTS {
            most_often(owners())
        } else {
            None
        };
        if let Some(crowded) = crowded
            && let Some(oldest) = self.results.iter().position(|known| known.owner == crowded)
        {
            self.results.remove(oldest);
        }
        self.results.push_back(Remembered {
            cursor: cursor.clone(),
            owner: owner.to_owned(),
            used: Instant::now(),
            result: Arc::new(result),
            order: None,
        });
        cursor
    }

    /// A result by its name, and its whole order if that is known.
    pub(super) fn find(&mut self, cursor: &str) -> Result<(Arc<Known>, Option<Order>), Failure> {
        self.results.retain(|known| known.used.elapsed() < KEPT);
        let place = self.results.iter().position(|known| known.cursor == cursor);
        let mut found = place
            .and_then(|place| self.results.remove(place))
            .ok_or_else(|| {
                Failure::new(
                    "cursor-expired",
                    "this cursor is not known, or not any more",
                    "ask for the first page again",
                )
            })?;
        found.used = Instant::now();
        let answer = (Arc::clone(&found.result), found.order.clone());
        self.results.push_back(found);
        Ok(answer)
    }

    /// Remembers the whole order of a result.
    pub(super) fn put_order(&mut self, cursor: &str, order: &Order) {
        let Some(known) = self.results.iter().find(|known| known.cursor == cursor) else {
            return;
        };
        let owner = known.owner.clone();
        let with = || self.results.iter().filter(|known| known.order.is_some());
        let of_one = with().filter(|known| known.owner == owner).count();
        let crowded = if of_one >= MOST_ORDERS_OF_ONE {
            Some(owner)
        } else if with().count() >= MOST_ORDERS {
            most_often(with().map(|known| known.owner.as_str()))
        } else {
            None
        };
        for known in &mut self.results {
            if known.order.is_some() && crowded.as_ref() == Some(&known.owner) {
                known.order = None;
                break;
            }
        }
        if let Some(known) = self.results.iter_mut().find(|known| known.cursor == cursor) {
            known.order = Some(Arc::clone(order));
        }
    }
}

/// Who is named most often.
fn most_often<'a>(names: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut counts = std::collections::BTreeMap::<&str, usize>::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    let most = counts.into_iter().max_by_key(|(_, many)| *many);
    most.map(|(name, _)| name.to_owned())
}

/// The first page of a result.
pub(super) struct First {
    pub(super) rows: Vec<Row>,
    pub(super) places: Vec<Place>,
    pub(super) totals: Totals,
}

impl First {
    pub(super) fn read(store: &RwLock<Store>, request: &PageRequest, now_ns: u64) -> Self {
        let PageRequest { sort, reverse, .. } = *request;
        let many = request.offset.saturating_add(request.limit);
        let order = move |a: &Ranked, b: &Ranked| {
            let order = a
                .key
                .cmp(&b.key)
                .then_with(|| tie(&a.row.entry).cmp(&tie(&b.row.entry)));
            if reverse { order.reverse() } else { order }
        };
        let states = scan(
            store,
            &request.query,
            now_ns,
            || Share {
                top: Top::new(Some(many), order),
                unsorted: Vec::new(),
                totals: Totals::default(),
                ranked: Ranked::default(),
            },
            |share, place, packed, entry| {
                share.totals.add(entry, packed.rates());
                let Some(sort) = sort else {
                    if share.unsorted.len() < many {
                        share.unsorted.push((place, entry.id));
                    }
                    return;
                };
                let rates = packed.rates();
                share.ranked.key = key(sort, entry, rates, now_ns);
                share.ranked.place = (place, entry.id);
                share.ranked.row.entry.clone_from(entry);
                share.ranked.row.rates = rates;
                share.top.offer(&share.ranked);
            },
        );
        let mut totals = Totals::default();
        let mut unsorted = Vec::new();
        let mut top = Top::new(Some(many), order);
        for mut share in states {
            totals.merge(&share.totals);
            unsorted.append(&mut share.unsorted);
            top.merge(share.top);
        }
        let mut sorted = top.into_sorted();
        let (rows, places) = if sort.is_some() {
            let places = sorted.iter().map(|ranked| ranked.place).collect();
            let rows = sorted.drain(..).skip(request.offset);
            (rows.map(|ranked| ranked.row).collect(), places)
        } else {
            unsorted.sort_unstable();
            if reverse {
                unsorted.reverse();
            }
            unsorted.truncate(many);
            let asked = unsorted.iter().skip(request.offset);
            (rows_at(&read(store), asked), unsorted)
        };
        Self {
            rows,
            places,
            totals,
        }
    }

    pub(super) fn into_known(self, request: &PageRequest) -> (Vec<Row>, Known) {
        let known = Known {
            query: request.query.clone(),
            sort: request.sort,
            reverse: request.reverse,
            first: self.places,
            totals: self.totals,
        };
        (self.rows, known)
    }
}

impl Known {
    /// The whole order: what was given first, then all else as it is now.
    pub(super) fn order(&self, store: &RwLock<Store>, now_ns: u64) -> Vec<Place> {
        let given: std::collections::HashSet<Place> = self.first.iter().copied().collect();
        let shares = scan(
            store,
            &self.query,
            now_ns,
            Vec::new,
            |rest: &mut Vec<(SortKey, Place)>, place, packed, entry| {
                let place = (place, entry.id);
                if !given.contains(&place) {
                    let key = self.sort.map_or(SortKey::ABSENT, |sort| {
                        key(sort, entry, packed.rates(), now_ns)
                    });
                    rest.push((key, place));
                }
            },
        );
        let mut rest: Vec<_> = shares.into_iter().flatten().collect();
        rest.sort_unstable();
        if self.reverse {
            rest.reverse();
        }
        let mut order = self.first.clone();
        order.extend(rest.into_iter().map(|(_, place)| place));
        order
    }
}

/// The rows at these places that are still the same connections.
pub(super) fn rows_at<'a>(store: &Store, places: impl Iterator<Item = &'a Place>) -> Vec<Row> {
    let now = store.now();
    places
        .filter_map(|(place, id)| {
            let is_same = store.at(*place)?.id() == *id;
            store.row(*place, now).filter(|_| is_same)
        })
        .collect()
}

/// What one thread has found.
struct Share<F> {
    top: Top<Ranked, F>,
    unsorted: Vec<Place>,
    totals: Totals,
    ranked: Ranked,
}

/// A row with what it is sorted by.
#[derive(Clone)]
struct Ranked {
    key: SortKey,
    place: Place,
    row: Row,
}

impl Default for Ranked {
    fn default() -> Self {
        Self {
            key: SortKey::ABSENT,
            place: (0, None),
            row: Row {
                entry: Entry::blank(),
                rates: None,
                is_read: false,
            },
        }
    }
}

/// What tells apart rows that are sorted alike.
fn tie(entry: &Entry) -> impl Ord {
    (entry.orig, entry.zone, entry.id)
}

fn key(sort: SortBy, entry: &Entry, rates: Option<Rates>, now_ns: u64) -> SortKey {
    let rate = |pick: fn(Rates) -> f32| {
        // Rates are not negative: their bits are ordered as they are.
        SortKey::largest_first(rates.map(|rates| u64::from(pick(rates).to_bits())))
    };
    match sort {
        SortBy::Column(column) => column.sort_key(entry, now_ns),
        SortBy::Rate => rate(|rates| rates.bytes_orig + rates.bytes_reply),
        SortBy::RateOrig => rate(|rates| rates.bytes_orig),
        SortBy::RateReply => rate(|rates| rates.bytes_reply),
    }
}

impl SortBy {
    /// By its name: a column's, `rate`, `rate_orig`, `rate_reply`.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "rate" => Self::Rate,
            "rate_orig" => Self::RateOrig,
            "rate_reply" => Self::RateReply,
            _ => Self::Column(Column::ALL.iter().copied().find(|c| c.name() == name)?),
        })
    }
}

impl Totals {
    fn add(&mut self, entry: &Entry, rates: Option<Rates>) {
        self.connections += 1;
        let sum = |to: &mut Option<u64>, number: Option<u64>| {
            if let Some(number) = number {
                *to = Some(to.unwrap_or(0).saturating_add(number));
            }
        };
        sum(&mut self.bytes, entry.bytes());
        sum(&mut self.packets, entry.packets());
        self.add_rates(rates);
    }

    fn add_rates(&mut self, rates: Option<Rates>) {
        if let Some(more) = rates {
            let all = self.rates.get_or_insert_default();
            all.bytes_orig += more.bytes_orig;
            all.bytes_reply += more.bytes_reply;
            all.packets_orig += more.packets_orig;
            all.packets_reply += more.packets_reply;
        }
    }

    fn merge(&mut self, other: &Self) {
        self.connections += other.connections;
        for (to, more) in [
            (&mut self.bytes, other.bytes),
            (&mut self.packets, other.packets),
        ] {
            if let Some(more) = more {
                *to = Some(to.unwrap_or(0).saturating_add(more));
            }
        }
        self.add_rates(other.rates);
    }
}

fn read(store: &RwLock<Store>) -> RwLockReadGuard<'_, Store> {
    store.read().unwrap_or_else(PoisonError::into_inner)
}

/// How many connections are looked at before the table is given free for a moment.
const AT_ONCE: usize = 1 << 10;

/// Gives every selected connection to `step`, on all cores: each thread has a state of its own.
///
/// The table is locked for a piece at a time, so that a query which takes long keeps nobody from it,
/// least of all what keeps it. What is born or dies meanwhile may be among them or not.
pub(super) fn scan<S: Send>(
    store: &RwLock<Store>,
    query: &Query,
    now_ns: u64,
    fresh: impl Fn() -> S + Sync,
    step: impl Fn(&mut S, u32, &Packed, &Entry) + Sync,
) -> Vec<S> {
    const PIECES: usize = CHUNK / AT_ONCE;
    let chunks = read(store).chunks().len();
    let next = AtomicUsize::new(0);
    let work = || {
        let (mut state, mut entry) = (fresh(), Entry::blank());
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let store = read(store);
            let Some(chunk) = store.chunks().get(number / PIECES) else {
                return state;
            };
            let now = store.now();
            let begin = number % PIECES * AT_ONCE;
            let piece = chunk.iter().skip(begin).take(AT_ONCE);
            let first = (number * AT_ONCE) as u32;
            for (place, packed) in (first..).zip(piece) {
                if packed.is_alive() {
                    packed.write(now.seconds, &store.beside, &mut entry);
                    if query.matches(&entry, now_ns) {
                        step(&mut state, place, packed, &entry);
                    }
                }
            }
        }
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let helpers = cores.min(chunks).saturating_sub(1);
    thread::scope(|scope| {
        let helpers: Vec<_> = (0..helpers)
            .filter_map(|_| thread::Builder::new().spawn_scoped(scope, work).ok())
            .collect();
        let mut states = vec![work()];
        for helper in helpers {
            match helper.join() {
                Ok(state) => states.push(state),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        states
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Known {
        Known {
            query: Query::any(),
            sort: None,
            reverse: false,
            first: Vec::new(),
            totals: Totals::default(),
        }
    }

    #[test]
    fn nobody_makes_the_cursors_of_others_expire() {
        let mut results = Results::default();
        let one = results.remember("one", known());
        let order = Arc::new(Vec::new());
        results.put_order(&one, &order);
        let mut first = None;
        for _ in 0..1_000 {
            let many = results.remember("many", known());
            results.put_order(&many, &order);
            first.get_or_insert(many);
        }
        assert!(results.find(&first.unwrap()).is_err());
        assert!(results.find(&one).is_ok_and(|(_, order)| order.is_some()));
        // Nor do many together.
        for name in 0..20 {
            for _ in 0..MOST_OF_ONE {
                let cursor = results.remember(&format!("name {name}"), known());
                results.put_order(&cursor, &order);
            }
        }
        assert!(results.find(&one).is_ok());
        assert!(results.results.len() <= MOST_RESULTS);
        let orders = results.results.iter().filter(|known| known.order.is_some());
        assert!(orders.count() <= MOST_ORDERS);
    }
}
