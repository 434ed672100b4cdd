//! Entries that die and are born anew all the time, with the same tuples and in the same memory: what a
//! walk gives is one of them, and never half of one and half of another.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use ctnetlink::{
    Change, Client, Entry, Key, L4, Namespace, NewEntry, Protocol, Status, Tuple, Zone,
};
use ctwalk::{Filter, Walker, Wish};
use testkit::TestNamespace;

use crate::Resized;

/// How many of one thread live at a time. Few, so that their memory is used anew at once.
const LIVE: u16 = 24;
/// Lives that differ.
const LIVES: u32 = 200;

fn address(last: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, last).into()
}

/// Life number `life` of entry number `number`: everything that can be said of it says which it is.
fn entry(number: u16, life: u32) -> NewEntry {
    let orig = Tuple::ports(Protocol::UDP, address(1), 1000 + number, address(2), 53);
    let mut new = NewEntry::new(orig, timeout(life));
    new.zone = Zone::new(number);
    new.mark = Some(life << 16 | u32::from(number));
    // As if its source had been translated to another port.
    if let L4::Ports { dst, .. } = &mut new.reply.l4 {
        *dst = reply_port(life);
    }
    new.status = status(life);
    new
}

const fn timeout(life: u32) -> u32 {
    1000 * (1 + life)
}

const fn reply_port(life: u32) -> u16 {
    20_000 + life as u16
}

fn status(life: u32) -> Status {
    if life.is_multiple_of(2) {
        Status::SEEN_REPLY
    } else {
        Status::SEEN_REPLY | Status::ASSURED
    }
}

/// What does not fit together in an entry that was read.
fn torn(entry: &Entry) -> Option<&'static str> {
    let mark = entry.mark.unwrap_or_default();
    let (life, number) = (mark >> 16, mark as u16);
    let is_assured = |status: Status| status.contains(Status::ASSURED);
    let left = entry.timeout.unwrap_or_default();
    let parts = [
        (
            entry.orig.src_port() == Some(1000 + number),
            "mark and source port",
        ),
        (entry.zone == Zone::new(number), "mark and zone"),
        (
            entry.reply.dst_port() == Some(reply_port(life)),
            "mark and reply",
        ),
        (
            (timeout(life) - 100..=timeout(life)).contains(&left),
            "mark and timeout",
        ),
        (
            entry.status.map(is_assured) == Some(is_assured(status(life))),
            "mark and status",
        ),
    ];
    parts
        .into_iter()
        .find(|(fits, _)| !fits)
        .map(|(_, parts)| parts)
}

/// What one walk has read.
#[derive(Default)]
struct Read {
    seen: HashSet<(Key, Option<u32>)>,
    has_standing: bool,
    fault: Option<String>,
}

impl Read {
    fn add(&mut self, entry: &Entry) {
        self.has_standing |= entry.zone == Zone::new(0);
        if let Some(parts) = torn(entry) {
            self.fault = Some(format!("{parts} do not fit: {entry:?}"));
        }
        // The same life of the same.
        if !self.seen.insert((entry.key(), entry.mark)) {
            self.fault = Some(format!("twice: {entry:?}"));
        }
    }
}

/// Lets entries die and be born anew, one after the other.
fn churn(client: &Client, numbers: std::ops::Range<u16>, is_over: &AtomicBool) -> u64 {
    let mut deaths = 0;
    for life in (0..LIVES).cycle() {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let changes = numbers.clone().flat_map(|number| {
            let new = entry(number, life);
            let key = Key::original(new.orig).in_zone(new.zone);
            [Change::Delete(key), Change::Create(Box::new(new))]
        });
        let done = |change: &Change, result: Result<(), ctnetlink::Error>| {
            deaths += u64::from(matches!(change, Change::Delete(_)) && result.is_ok());
        };
        client.apply(changes, done).unwrap();
    }
    deaths
}

#[test]
fn nothing_is_half_of_one_entry_and_half_of_another() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    // Where that is allowed the table is so small that it is read more than a thousand times in a second.
    let size = Resized::begin();
    if size.is_allowed() {
        size.to(16_384);
    }
    let inside = Namespace::by_path(&namespace.path()).unwrap();
    let client = || Client::open_in(&inside).unwrap();
    // One that stands still, so that something can be compared with netlink's.
    testkit::fill::fill_with(&client(), [entry(0, 1)]).unwrap();
    let walker = Walker::with_threads(&inside, client(), 1).unwrap();
    let read = || {
        let wish = Wish {
            with_ids: true,
            floor: None,
        };
        let step = |read: &mut Read, entry: &Entry| read.add(entry);
        let (mut read, outcome) = walker
            .fold(&Filter::any(), &wish, |_| {}, Read::default, step)
            .unwrap();
        (read.remove(0), outcome)
    };
    read();

    let (is_over, deaths) = (AtomicBool::new(false), AtomicU64::new(0));
    let started = Instant::now();
    let (mut walks, mut given, mut again) = (0u32, 0, 0u64);
    let mut fault = None;
    thread::scope(|scope| {
        for thread in 0..2 {
            let numbers = 1 + thread * LIVE..1 + (thread + 1) * LIVE;
            let (client, is_over, deaths) = (client(), &is_over, &deaths);
            scope.spawn(move || {
                deaths.fetch_add(churn(&client, numbers, is_over), Ordering::Relaxed);
            });
        }
        // A busy machine may have to be waited for.
        let is_enough = |walks: u32| {
            let seconds = started.elapsed().as_secs();
            walks >= 100_000 || seconds >= 6 && walks >= 100 || seconds >= 60
        };
        while fault.is_none() && !is_enough(walks) {
            let (read, outcome) = read();
            walks += 1;
            given += read.seen.len();
            again += outcome.again;
            fault = read.fault;
            if outcome.complete && !read.has_standing {
                fault = Some("what stood still is missing".to_owned());
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
    println!("{walks} walks, {given} entries, {deaths:?} deaths, {again} buckets read again");
    assert_eq!(fault, None);
    assert!(given > 0 && deaths.into_inner() > 0, "nothing happened");
}
