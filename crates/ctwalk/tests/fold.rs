//! Entries read into values by all threads: the same as the stream gives, whichever thread reads them.
#![cfg(feature = "bpf")]

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ctnetlink::{Client, Entry, Key, Namespace, Tuple};
use ctwalk::{Filter, Floor, Number, Walker, Wish};
use testkit::TestNamespace;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// A namespace, and a client of its table.
struct Own {
    namespace: TestNamespace,
    inside: Namespace,
    client: Client,
}

fn own() -> Option<Own> {
    let namespace = TestNamespace::new()?;
    let inside = Namespace::by_path(&namespace.path()).unwrap();
    Some(Own {
        client: Client::open_in(&inside).unwrap(),
        inside,
        namespace,
    })
}

impl Own {
    fn walker(&self, threads: usize) -> Walker {
        let client = Client::open_in(&self.inside).unwrap();
        Walker::with_threads(&self.inside, client, threads).unwrap()
    }
}

/// Ids by keys; two of one key are an error.
fn ids<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> BTreeMap<Key, Option<u32>> {
    let mut ids = BTreeMap::new();
    for entry in entries {
        let twice = ids.insert(entry.key(), entry.id);
        assert_eq!(twice, None, "an entry came twice: {entry:?}");
    }
    ids
}

fn streamed(walker: &Walker, filter: &Filter) -> Vec<Entry> {
    let mut walk = walker.walk(filter).unwrap();
    let mut entries = Vec::new();
    while let Some(entry) = walk.next_entry().unwrap() {
        entries.push(entry.clone());
    }
    assert!(walk.outcome().complete);
    entries
}

fn with_ids() -> Wish {
    Wish {
        with_ids: true,
        floor: None,
    }
}

#[test]
fn all_threads_together_read_what_a_stream_gives() -> Outcome {
    let Some(own) = own() else { return Ok(()) };
    let all = 6_000;
    testkit::fill(&own.client, all)?;
    for threads in [1, 2] {
        let walker = own.walker(threads);
        let given = streamed(&walker, &Filter::any());
        assert_eq!(given.len(), all as usize);
        let mut told = 0;
        let (states, outcome) = walker.fold(
            &Filter::any(),
            &with_ids(),
            |read| told = read,
            Vec::new,
            |entries: &mut Vec<Entry>, entry| entries.push(entry.clone()),
        )?;
        assert_eq!(states.len(), threads);
        assert!(outcome.complete);
        assert_eq!(outcome.below, 0);
        // The caller is told of what others have read too, but not after its own last.
        assert!(told <= all.into(), "{told}");
        assert!(threads > 1 || told == u64::from(all), "{told}");
        let folded = ids(states.iter().flatten());
        assert!(folded.values().all(Option::is_some));
        assert_eq!(folded, ids(&given));
        // Without ids where nobody wants them.
        let (states, _) = walker.fold(
            &Filter::any(),
            &Wish::default(),
            |_| {},
            || 0,
            |without: &mut u32, entry| *without += u32::from(entry.id.is_none()),
        )?;
        assert_eq!(states.iter().sum::<u32>(), all);
    }
    let nothing = Filter {
        alternatives: Vec::new(),
    };
    let count = |count: &mut u32, _: &Entry| *count += 1;
    let (states, outcome) = own
        .walker(2)
        .fold(&nothing, &with_ids(), |_| {}, || 0, count)?;
    assert_eq!((states, outcome.complete), (vec![0], true));
    Ok(())
}

/// How many packets an entry has seen, which real traffic makes different of each.
fn packets(entry: &Entry) -> u64 {
    let [orig, reply] = [entry.counters_orig, entry.counters_reply]
        .map(|counters| counters.map_or(0, |counters| counters.packets));
    orig + reply
}

/// The first of those by packets, the most first, in the order of their tuples where these are equal.
fn first(mut entries: Vec<(u64, Tuple)>, many: usize) -> Vec<(u64, Tuple)> {
    entries.sort_by(|(a, x), (b, y)| b.cmp(a).then(x.cmp(y)));
    entries.truncate(many);
    entries
}

#[test]
fn the_largest_are_the_first_of_all_and_the_rest_is_counted() -> Outcome {
    let Some(own) = own() else { return Ok(()) };
    testkit::fill(&own.client, 3_000)?;
    let at = (Ipv4Addr::LOCALHOST, 0);
    // Forty that differ, and twenty more as large as the largest.
    for more in (1..=40).chain([40; 20]) {
        let pair = netlab::udp_exchange(&own.namespace, at, &own.namespace, at)?;
        let mut word = [0; 16];
        for _ in 0..more {
            pair.opener.send(b"more")?;
            pair.answerer.recv(&mut word)?;
        }
    }
    // What comes first in the table is not what comes first by size: the floor rises on the way.
    let many = 10;
    for threads in [1, 2] {
        let walker = own.walker(threads);
        let known = |entry: &Entry| (packets(entry), entry.orig);
        let entries = streamed(&walker, &Filter::any());
        let wanted = first(entries.iter().map(known).collect(), many);
        assert_eq!(wanted.first().map(|(packets, _)| *packets), Some(42));

        let floor = Floor::of(Number::Packets).expect("packets are counted");
        let wish = Wish {
            with_ids: false,
            floor: Some(floor.clone()),
        };
        // The second time as the first: the floor does not stay where it was.
        for _ in 0..2 {
            let step = |(largest, given): &mut (Vec<_>, usize), entry: &Entry| {
                *given += 1;
                largest.push(known(entry));
                *largest = first(std::mem::take(largest), many);
                if let Some((least, _)) = largest.get(many - 1) {
                    floor.raise(*least);
                }
            };
            let fresh = || (Vec::new(), 0);
            let (states, outcome) = walker.fold(&Filter::any(), &wish, |_| {}, fresh, step)?;
            let given: usize = states.iter().map(|(_, given)| given).sum();
            assert_eq!(given + outcome.below as usize, entries.len());
            assert!(outcome.below > 0, "{outcome:?}");
            let largest = states.into_iter().flat_map(|(kept, _)| kept).collect();
            assert_eq!(first(largest, many), wanted);
        }
    }
    assert!(Floor::of(Number::Timeout).is_none());
    Ok(())
}

#[test]
fn a_panic_in_any_thread_comes_out_and_the_walker_goes_on() -> Outcome {
    let Some(own) = own() else { return Ok(()) };
    testkit::fill(&own.client, 6_000)?;
    let walker = own.walker(2);
    for panics in ["its helper", "the caller"] {
        let has_come = AtomicBool::new(false);
        let patience = Instant::now() + Duration::from_secs(20);
        let caller = thread::current().id();
        // Whoever is not meant waits for the other, so that there is something left for it to read.
        let step = |count: &mut u32, _: &Entry| {
            *count += 1;
            let who = if thread::current().id() == caller {
                "the caller"
            } else {
                "its helper"
            };
            if who == panics {
                has_come.store(true, Ordering::Relaxed);
                panic!("{who} cannot go on");
            }
            while !has_come.load(Ordering::Relaxed) && Instant::now() < patience {
                thread::yield_now();
            }
        };
        let folded = catch_unwind(AssertUnwindSafe(|| {
            walker.fold(&Filter::any(), &with_ids(), |_| {}, || 0, step)
        }));
        let panic = folded.expect_err("one of them panics");
        let words = panic.downcast_ref::<String>().map(String::as_str);
        assert_eq!(words, Some(&*format!("{panics} cannot go on")));
        assert_eq!(streamed(&walker, &Filter::any()).len(), 6_000);
        let count = |count: &mut u32, _: &Entry| *count += 1;
        let (states, outcome) = walker.fold(&Filter::any(), &with_ids(), |_| {}, || 0, count)?;
        assert!(outcome.complete);
        assert_eq!(states.iter().sum::<u32>(), 6_000);
    }
    Ok(())
}
