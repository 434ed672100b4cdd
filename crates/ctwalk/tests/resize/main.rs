//! Walks while the table changes as much as it can: entries are born and die a hundred thousand
//! times a second, the table is resized, other namespaces come and go. What stands still comes
//! exactly once.
//!
//! The table is one for the whole machine, and only its initial namespace may resize it: this
//! program runs alone, and puts the size back.
#![cfg(feature = "bpf")]

mod reborn;

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ctnetlink::{Change, Client, Namespace, NewEntry, Protocol, Tuple};
use ctwalk::{Filter, Floor, Number, WalkOutcome, Walker, Wish};
use testkit::TestNamespace;

const SETTING: &str = "/proc/sys/net/netfilter/nf_conntrack_buckets";

/// Puts the size back, whatever happens. One at a time, also where tests share a process.
struct Resized(String, #[expect(dead_code)] MutexGuard<'static, ()>);

static ONE: Mutex<()> = Mutex::new(());

impl Resized {
    fn begin() -> Self {
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        Self(std::fs::read_to_string(SETTING).unwrap(), one)
    }

    fn to(&self, buckets: u32) {
        std::fs::write(SETTING, buckets.to_string()).unwrap();
    }

    /// Whether this is root of the machine: root of a user namespace may not resize.
    fn is_allowed(&self) -> bool {
        std::fs::write(SETTING, &self.0).is_ok()
    }
}

impl Drop for Resized {
    fn drop(&mut self) {
        let _ = std::fs::write(SETTING, &self.0);
    }
}

/// What stands still, what comes and goes, and what is another namespace's.
const STANDING: u32 = 1;
const FLEETING: u32 = 2;
const FOREIGN: u32 = 3;

/// Entry number `number` of a kind, which its mark tells.
fn entry(kind: u32, number: u32) -> NewEntry {
    let [_, a, b, c] = number.to_be_bytes();
    let src = IpAddr::from([10 + kind as u8, a, b, c]);
    let tuple = Tuple::ports(
        Protocol::UDP,
        src,
        1000,
        Ipv4Addr::new(192, 0, 2, 1).into(),
        53,
    );
    let mut new = NewEntry::new(tuple, 3600);
    new.mark = Some(kind);
    new
}

/// The kernel refuses some while chains are long.
fn create(client: &Client, kind: u32, numbers: std::ops::Range<u32>) -> u64 {
    let mut done = 0;
    let changes = numbers.map(|number| Change::Create(Box::new(entry(kind, number))));
    client
        .apply(changes, |_, result| done += u64::from(result.is_ok()))
        .unwrap();
    done
}

fn delete(client: &Client, kind: u32, numbers: std::ops::Range<u32>) -> u64 {
    let mut done = 0;
    let changes =
        numbers.map(|number| Change::Delete(ctnetlink::Key::original(entry(kind, number).orig)));
    client
        .apply(changes, |_, result| done += u64::from(result.is_ok()))
        .unwrap();
    done
}

/// How many stand still.
const STAND: u32 = 30_000;
/// How many come and go at once.
const WAVE: u32 = 2_000;

struct Walked {
    standing: HashMap<IpAddr, u32>,
    outcome: WalkOutcome,
}

/// Reads the table. Nothing foreign is in it, and nothing twice under one id.
fn walk(walker: &Walker, progress: &AtomicU64) -> Walked {
    let mut walk = walker.walk(&Filter::any()).unwrap();
    let (mut standing, mut ids) = (HashMap::new(), HashSet::new());
    progress.store(0, Ordering::Relaxed);
    while let Some(entry) = walk.next_entry().unwrap() {
        match entry.mark {
            Some(STANDING) => {
                *standing.entry(entry.orig.src).or_insert(0) += 1;
                progress.fetch_add(1, Ordering::Relaxed);
            }
            Some(FLEETING) => {}
            _ => panic!("this is nobody's here: {entry:?}"),
        }
        assert_eq!(
            entry.orig.mirror(),
            entry.reply,
            "half of one, half of another"
        );
        assert_eq!(
            entry.orig.src.is_ipv4().then_some(entry.orig.dst_port()),
            Some(Some(53))
        );
        assert!(ids.insert((entry.orig, entry.id)), "twice: {entry:?}");
    }
    Walked {
        standing,
        outcome: walk.outcome(),
    }
}

#[test]
fn what_stands_still_comes_once_whatever_happens_around_it() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let size = Resized::begin();
    if !size.is_allowed() {
        testkit::skip("only root of the machine may resize the table");
        return;
    }
    // Longer chains than usual, in which more happens at once.
    size.to(16_384);
    let inside = Namespace::by_path(&namespace.path()).unwrap();
    let client = || Client::open_in(&inside).unwrap();
    assert_eq!(create(&client(), STANDING, 0..STAND), STAND.into());
    let walker = Walker::open(&inside, client()).unwrap();

    let is_over = AtomicBool::new(false);
    let (changes, resizes, namespaces) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let (begun, progress) = (AtomicU64::new(0), AtomicU64::new(0));
    let (mut walks, mut incomplete, mut again, mut begun_anew) = (0u32, 0, 0, 0);
    let started = Instant::now();
    // One a walk, at any moment of it; not when all is over.
    let one_a_walk = |done: &AtomicU64| {
        while done.load(Ordering::Relaxed) > begun.load(Ordering::Relaxed) {
            if is_over.load(Ordering::Relaxed) {
                return false;
            }
            thread::yield_now();
        }
        !is_over.load(Ordering::Relaxed)
    };
    thread::scope(|scope| {
        // Entries that are born and die.
        scope.spawn(|| {
            let client = client();
            while !is_over.load(Ordering::Relaxed) {
                let born = create(&client, FLEETING, 0..WAVE);
                let died = delete(&client, FLEETING, 0..WAVE);
                changes.fetch_add(born + died, Ordering::Relaxed);
            }
        });
        // Namespaces that come and go.
        scope.spawn(|| {
            while one_a_walk(&namespaces) {
                let other = Namespace::scratch().unwrap();
                create(&Client::open_in(&other).unwrap(), FOREIGN, 0..500);
                namespaces.fetch_add(1, Ordering::Relaxed);
            }
        });
        // A table that is never the same for long; every size but the first is no power of two.
        scope.spawn(|| {
            let sizes = [24_576, 16_384, 40_960, 20_480, 17_408];
            for (buckets, turn) in sizes.into_iter().cycle().zip(0u32..) {
                if !one_a_walk(&resizes) {
                    break;
                }
                // From the beginning of the walk to its very end.
                let moment = u64::from(STAND / 8 * (turn % 9));
                while progress.load(Ordering::Relaxed) < moment && !is_over.load(Ordering::Relaxed)
                {
                    std::hint::spin_loop();
                }
                size.to(buckets);
                resizes.fetch_add(1, Ordering::Relaxed);
            }
        });
        let enough = |walks: u32, begun_anew: u32| {
            walks >= 60
                && begun_anew >= 20
                && resizes.load(Ordering::Relaxed) >= 30
                && namespaces.load(Ordering::Relaxed) >= 10
        };
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            while !enough(walks, begun_anew) && started.elapsed() < Duration::from_secs(120) {
                begun.fetch_add(1, Ordering::Relaxed);
                let walked = walk(&walker, &progress);
                again += walked.outcome.again;
                begun_anew += walked.outcome.resizes;
                walks += 1;
                if !walked.outcome.complete {
                    // Honest, but not what this test is about.
                    incomplete += 1;
                    continue;
                }
                assert_eq!(walked.standing.len() as u32, STAND, "{:?}", walked.outcome);
                let twice = walked.standing.iter().find(|(_, times)| **times != 1);
                assert_eq!(twice, None, "{:?}", walked.outcome);
            }
        }));
        is_over.store(true, Ordering::Relaxed);
        if let Err(panic) = ended {
            std::panic::resume_unwind(panic);
        }
    });
    let seconds = started.elapsed().as_secs_f64();
    let rate = |count: &AtomicU64| count.load(Ordering::Relaxed) as f64 / seconds;
    println!(
        "{walks} walks in {seconds:.1} s, {incomplete} incomplete, begun anew {begun_anew} times, {again} buckets read again; \
         {:.0} births and deaths, {:.1} resizes, {:.1} namespaces a second",
        rate(&changes),
        rate(&resizes),
        rate(&namespaces),
    );
    assert!(
        incomplete * 10 < walks,
        "{incomplete} of {walks} walks could not be made whole"
    );
    assert!(begun_anew > 0, "nothing happened while the table was read");
}

/// What was the least of the largest may have died by the time the table is read anew.
#[test]
fn the_floor_is_low_again_when_the_table_is_begun_anew() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let size = Resized::begin();
    if !size.is_allowed() {
        testkit::skip("only root of the machine may resize the table");
        return;
    }
    size.to(16_384);
    let inside = Namespace::by_path(&namespace.path()).unwrap();
    let client = || Client::open_in(&inside).unwrap();
    assert_eq!(create(&client(), STANDING, 0..STAND), STAND.into());
    let walker = Walker::with_threads(&inside, client(), 1).unwrap();

    // No packet has come: all are below from the first entry on, until the table is another one.
    let floor = Floor::of(Number::Packets).unwrap();
    let wish = Wish {
        with_ids: false,
        floor: Some(floor.clone()),
    };
    let is_first = AtomicBool::new(true);
    let step = |count: &mut u32, _: &ctnetlink::Entry| {
        *count += 1;
        if is_first.swap(false, Ordering::Relaxed) {
            floor.raise(1);
            size.to(24_576);
        }
    };
    let (states, outcome) = walker
        .fold(&Filter::any(), &wish, |_| {}, || 0, step)
        .unwrap();
    assert_eq!(states, [STAND]);
    assert!(outcome.complete);
    assert_eq!((outcome.resizes, outcome.below), (1, 0));
}

/// The kernel moves entries from the old table to the new one before it says that there is a new
/// one. A short walk can lie wholly in between.
#[test]
fn a_walk_in_the_middle_of_a_resize_waits_for_its_end() {
    const FEW: u32 = 3_000;
    const MANY: u32 = 150_000;
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let size = Resized::begin();
    if !size.is_allowed() {
        testkit::skip("only root of the machine may resize the table");
        return;
    }
    size.to(16_384);
    let inside = Namespace::by_path(&namespace.path()).unwrap();
    let client = || Client::open_in(&inside).unwrap();
    assert_eq!(create(&client(), STANDING, 0..FEW), FEW.into());
    // Another namespace's, so that moving all of them takes longer than a walk.
    let other = Namespace::scratch().unwrap();
    let others = create(&Client::open_in(&other).unwrap(), FOREIGN, 0..MANY);
    assert_eq!(others, MANY.into());
    let walker = Walker::open(&inside, client()).unwrap();

    // One resize a walk: where they follow each other without a pause, no walk can be whole.
    const TURNS: u64 = 40;
    let is_over = AtomicBool::new(false);
    let (begun, walked) = (AtomicU64::new(0), AtomicU64::new(0));
    let wait_for = |count: &AtomicU64, least: u64| {
        while count.load(Ordering::Acquire) < least && !is_over.load(Ordering::Relaxed) {
            thread::yield_now();
        }
    };
    let (mut incomplete, mut in_the_middle) = (0, 0);
    thread::scope(|scope| {
        scope.spawn(|| {
            for (turn, buckets) in (0..TURNS).zip([24_576, 16_384].into_iter().cycle()) {
                wait_for(&walked, turn);
                begun.store(turn + 1, Ordering::Release);
                size.to(buckets);
            }
        });
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for turn in 0..TURNS {
                wait_for(&begun, turn + 1);
                // At any moment of the move.
                let began = Instant::now();
                while began.elapsed() < Duration::from_millis(turn % 10) {
                    std::hint::spin_loop();
                }
                let outcome = walk(&walker, &AtomicU64::new(0));
                walked.store(turn + 1, Ordering::Release);
                in_the_middle += u64::from(outcome.outcome.resizes > 0);
                if !outcome.outcome.complete {
                    incomplete += 1;
                    continue;
                }
                assert_eq!(outcome.standing.len() as u32, FEW, "{:?}", outcome.outcome);
            }
        }));
        is_over.store(true, Ordering::Relaxed);
        if let Err(panic) = ended {
            std::panic::resume_unwind(panic);
        }
    });
    println!("{TURNS} walks, {in_the_middle} in the middle of a resize, {incomplete} incomplete");
    assert!(
        incomplete * 4 < TURNS,
        "{incomplete} of {TURNS} walks could not be made whole"
    );
    assert!(in_the_middle > 0, "no walk met a resize");
}
