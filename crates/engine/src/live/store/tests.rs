use std::net::Ipv4Addr;

use ctnetlink::{Counters, L4, Labels, ProtoInfo, Protocol, TcpInfo, TcpState, Tuple};
use proptest::prelude::*;

use super::*;

/// A TCP connection from a port, with an id.
fn entry(port: u16, id: u32) -> Entry {
    let tuple = |src: u8, dst: u8, l4| Tuple {
        src: Ipv4Addr::new(192, 0, 2, src).into(),
        dst: Ipv4Addr::new(192, 0, 2, dst).into(),
        protocol: Protocol::TCP,
        l4,
    };
    let ports = |src, dst| L4::Ports { src, dst };
    let mut entry = Entry::new(tuple(1, 2, ports(port, 80)), tuple(2, 1, ports(80, port)));
    entry.id = Some(id);
    entry
}

fn tcp(state: TcpState) -> Option<ProtoInfo> {
    Some(ProtoInfo::Tcp(TcpInfo {
        state: Some(state),
        ..TcpInfo::default()
    }))
}

/// As a reading brings it: all that there is.
fn whole(port: u16, id: u32, bytes: u64) -> Entry {
    let counters = |bytes| {
        Some(Counters {
            packets: bytes / 100,
            bytes,
        })
    };
    Entry {
        status: Some(Status::CONFIRMED | Status::ASSURED),
        timeout: Some(432_000),
        mark: Some(1),
        protoinfo: tcp(TcpState::ESTABLISHED),
        counters_orig: counters(bytes),
        counters_reply: counters(bytes * 2),
        ..entry(port, id)
    }
}

const fn at(elapsed: u32) -> Now {
    Now {
        seconds: elapsed / 1000,
        elapsed,
    }
}

/// A whole reading that takes no time.
fn read_all(store: &mut Store, entries: &[Entry], elapsed: u32) {
    store.begin_reading();
    for entry in entries {
        store.read(entry, at(elapsed));
    }
    store.end_reading(true);
}

fn known(store: &Store, of: &Entry, elapsed: u32) -> Entry {
    let mut known = Entry::blank();
    assert!(store.recall(of, at(elapsed), &mut known));
    known
}

fn bytes_a_second(store: &Store) -> Option<f32> {
    store.rates_of(&entry(1, 1)).map(|rates| rates.bytes_orig)
}

#[test]
fn rates_are_right_when_milliseconds_begin_anew_after_seven_weeks() {
    let mut store = Store::new();
    read_all(&mut store, &[whole(1, 1, 0)], u32::MAX - 499);
    read_all(&mut store, &[whole(1, 1, 3_000)], 2_500);
    assert_eq!(bytes_a_second(&store), Some(1_000.0));
}

#[test]
fn readings_that_follow_close_upon_another_change_no_rate() {
    let mut store = Store::new();
    // One byte each millisecond.
    for elapsed in [1_000, 2_000, 2_100, 2_150, 3_150, 3_151] {
        read_all(&mut store, &[whole(1, 1, elapsed.into())], elapsed);
        let expected = (elapsed > 1_000).then_some(1_000.0);
        assert_eq!(bytes_a_second(&store), expected, "{elapsed}");
        let counters = known(&store, &entry(1, 1), elapsed).counters_orig.unwrap();
        assert_eq!(counters.bytes, u64::from(elapsed));
    }
    // A burst within a millisecond is no rate of a second.
    read_all(&mut store, &[whole(1, 1, 3_151 + 1_000)], 3_152);
    let rate = bytes_a_second(&store).unwrap();
    assert!((1_000.0..10_000.0).contains(&rate), "{rate}");
}

#[test]
fn a_reading_does_not_take_back_what_an_event_has_told_since_it_began() {
    let mut store = Store::new();
    read_all(&mut store, &[whole(1, 1, 0)], 1_000);
    let closing = Entry {
        status: Some(Status::CONFIRMED | Status::ASSURED | Status::SEEN_REPLY),
        timeout: Some(120),
        mark: Some(0),
        protoinfo: tcp(TcpState::FIN_WAIT),
        labels: Some(Labels::from_bits(6)),
        ..entry(1, 1)
    };
    store.begin_reading();
    store.changed(&closing, at(2_000));
    // Read before the event, handed over after it; and again, by a second attempt.
    for _ in 0..2 {
        store.read(&whole(1, 1, 500), at(2_000));
        let known = known(&store, &closing, 2_000);
        let expected = Entry {
            counters_orig: whole(1, 1, 500).counters_orig,
            counters_reply: whole(1, 1, 500).counters_reply,
            ..closing.clone()
        };
        assert_eq!(known, expected);
    }
    store.end_reading(true);
    assert_eq!(store.counts.connections, 1);
    assert_eq!(bytes_a_second(&store), Some(500.0));
    // What the next reading brings is newer than the event.
    read_all(&mut store, &[whole(1, 1, 500)], 3_000);
    assert_eq!(known(&store, &closing, 3_000), whole(1, 1, 500));
}

#[test]
fn what_an_event_has_not_told_comes_from_the_reading() {
    let mut store = Store::new();
    read_all(&mut store, &[whole(1, 1, 0)], 1_000);
    store.begin_reading();
    // That the connection closes was lost; that its mark was changed was not.
    let marked = Entry {
        mark: Some(7),
        ..entry(1, 1)
    };
    store.changed(&marked, at(2_000));
    let closing = Entry {
        protoinfo: tcp(TcpState::TIME_WAIT),
        timeout: Some(60),
        ..whole(1, 1, 500)
    };
    store.read(&closing, at(2_000));
    store.end_reading(true);
    let expected = Entry {
        mark: Some(7),
        ..closing
    };
    assert_eq!(known(&store, &marked, 2_000), expected);
}

#[test]
fn a_reading_does_not_bring_back_what_gave_way_to_another() {
    let mut store = Store::new();
    read_all(&mut store, &[whole(1, 1, 0)], 1_000);
    store.begin_reading();
    store.gone(&entry(1, 1));
    store.born(&whole(1, 2, 0), at(2_000));
    store.read(&whole(1, 1, 0), at(2_000));
    store.end_reading(true);
    assert_eq!(known(&store, &entry(1, 2), 2_000).id, Some(2));
    // Its death was lost.
    store.begin_reading();
    store.born(&whole(1, 3, 0), at(3_000));
    store.read(&whole(1, 2, 0), at(3_000));
    store.end_reading(true);
    assert_eq!(known(&store, &entry(1, 3), 3_000).id, Some(3));
    assert_eq!((store.before, store.births, store.deaths), (1, 2, 2));
}

#[test]
fn timeouts_are_of_the_time_that_the_store_has_lived() {
    let store = Store::new();
    let now = store.now();
    // Of the day it would be a thousand million.
    assert!(now.seconds <= now.elapsed / 1000, "{now:?}");
}

#[test]
fn what_was_there_before_is_no_birth_though_the_first_reading_failed() {
    let mut store = Store::new();
    let all: Vec<_> = (0..100).map(|port| whole(port, 1, 1_000_000)).collect();
    // It brings some and fails; the next one brings none; an event tells of an old one meanwhile.
    store.begin_reading();
    all.iter()
        .take(40)
        .for_each(|entry| store.read(entry, at(1_000)));
    store.end_reading(false);
    store.begin_reading();
    store.changed(&entry(50, 1), at(1_500));
    store.end_reading(false);
    read_all(&mut store, &all, 2_000);
    assert_eq!((store.before, store.births, store.deaths), (100, 0, 0));
    assert_eq!(store.moved().map(sum).unwrap_or_default().bytes, 0);
    // From then on it is one, however it is found.
    store.changed(&entry(200, 1), at(2_500));
    store.born(&entry(201, 1), at(2_500));
    let more = [whole(200, 1, 100), whole(201, 1, 100), whole(202, 1, 100)];
    read_all(&mut store, &[&all[..], &more].concat(), 3_000);
    assert_eq!((store.before, store.births, store.deaths), (100, 3, 0));
    assert_eq!(store.moved().map(sum).unwrap_or_default().bytes, 900);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Begin,
    End(bool),
    Read(u16, u32),
    Born(u16, u32),
    Changed(u16, u32),
    Gone(u16, u32),
}

fn step() -> impl Strategy<Value = Step> {
    let which = || (0..6u16, 0..3u32);
    prop_oneof![
        1 => Just(Step::Begin),
        1 => any::<bool>().prop_map(Step::End),
        3 => which().prop_map(|(port, id)| Step::Read(port, id)),
        3 => which().prop_map(|(port, id)| Step::Born(port, id)),
        3 => which().prop_map(|(port, id)| Step::Changed(port, id)),
        3 => which().prop_map(|(port, id)| Step::Gone(port, id)),
    ]
}

proptest! {
    #[test]
    fn births_less_deaths_are_the_connections_that_came(steps in proptest::collection::vec(step(), 1..200)) {
        let mut store = Store::new();
        for (step, elapsed) in steps.into_iter().zip(1..) {
            match step {
                Step::Begin => store.begin_reading(),
                Step::End(is_whole) => store.end_reading(is_whole),
                Step::Read(port, id) => store.read(&whole(port, id, 1), at(elapsed)),
                Step::Born(port, id) => store.born(&whole(port, id, 1), at(elapsed)),
                Step::Changed(port, id) => store.changed(&entry(port, id), at(elapsed)),
                Step::Gone(port, id) => store.gone(&entry(port, id)),
            }
            let alive = store.chunks().iter().flatten().filter(|packed| packed.is_alive()).count();
            prop_assert_eq!(store.counts.connections, alive as u64);
            prop_assert_eq!(store.before + store.births - store.deaths, alive as u64);
        }
    }
}

#[test]
fn what_no_event_has_told_of_is_counted_until_one_does() {
    let mut store = Store::new();
    read_all(
        &mut store,
        &[whole(1, 1, 0), whole(2, 2, 0), whole(3, 3, 0)],
        10,
    );
    assert_eq!(store.counts.unheard, 3);
    store.born(&entry(4, 4), at(20));
    store.changed(&entry(1, 1), at(20));
    store.gone(&entry(2, 2));
    assert_eq!(store.counts.unheard, 1);
    // Readings do not make them unheard again, and another one in its place is.
    let others = [whole(1, 1, 5), whole(3, 9, 5), whole(4, 4, 5)];
    read_all(&mut store, &others, 1_000);
    assert_eq!((store.counts.connections, store.counts.unheard), (3, 1));
    store.born(&entry(3, 10), at(1_100));
    assert_eq!(store.counts.unheard, 0);
}

#[test]
fn what_a_flood_took_is_given_back_and_what_stays_is_found() {
    let mut store = Store::new();
    let flood: Vec<_> = (0..5 * CHUNK as u32).map(numbered).collect();
    read_all(&mut store, &flood, 1_000);
    assert_eq!(held(&store), 5);
    // One stays in the last chunk, and one in the second.
    let stay = [numbered(CHUNK as u32 + 7), numbered(5 * CHUNK as u32 - 1)];
    read_all(&mut store, &stay, 2_000);
    assert_eq!(held(&store), 2);
    assert!(store.free.len() < 2 * CHUNK && store.free.capacity() <= 8 * CHUNK);
    assert!(store.index.capacity() < CHUNK);
    for entry in &stay {
        assert_eq!(known(&store, entry, 2_000).id, entry.id);
    }
    // What comes takes the lowest places: nothing is begun while those are free.
    let more: Vec<_> = (0..2 * CHUNK as u32).map(numbered).collect();
    read_all(&mut store, &more, 3_000);
    for entry in more.iter().step_by(997) {
        assert_eq!(known(&store, entry, 3_000).id, entry.id);
    }
    assert_eq!(store.counts.connections, 2 * CHUNK as u64);
    assert!(held(&store) <= 3);
    read_all(&mut store, &[], 4_000);
    assert_eq!((held(&store), store.free.len()), (0, 0));
}

/// One of as many as are wanted.
fn numbered(number: u32) -> Entry {
    let mut entry = whole(number as u16, number + 1, 0);
    entry.orig.dst = Ipv4Addr::from(0xc633_6400 + (number >> 16)).into();
    entry.reply.src = entry.orig.dst;
    entry
}

/// Chunks that hold memory.
fn held(store: &Store) -> usize {
    let has_memory = |chunk: &&Vec<Packed>| chunk.capacity() > 0;
    store.chunks.iter().filter(has_memory).count()
}
