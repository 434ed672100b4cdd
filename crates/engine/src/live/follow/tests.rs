use std::collections::BTreeSet;

use ctnetlink::{Change, Client, Key, Namespace};
use testkit::fill::{entry, fill_with};
use testkit::{FakeKernel, Reply, TestNamespace};

use super::*;
use crate::kernel::{Kernel, Way};
use crate::live::Settings;
use crate::source::Source;

/// Longer than anything takes that works.
const ENOUGH: Duration = Duration::from_secs(60);

struct Own {
    _namespace: TestNamespace,
    client: Client,
    shared: Shared,
}

impl Own {
    fn new() -> Option<Self> {
        let namespace = TestNamespace::new()?;
        let inside = || Namespace::by_path(&namespace.path()).unwrap();
        let kernel = Kernel::open(Some(inside()), Way::Netlink).unwrap();
        let source = Source::Kernel(Box::new(kernel));
        Some(Self {
            client: Client::open_in(&inside()).unwrap(),
            shared: Shared::new(source, Some(inside()), Settings::default()),
            _namespace: namespace,
        })
    }

    /// A stream of which nothing is taken from the kernel but one batch, until that is applied.
    fn subscribe(&self, receive_buffer: usize) -> Events {
        let options = EventOptions {
            receive_buffer,
            queue: 1,
            ..EventOptions::default()
        };
        self.shared.subscribe_with(options).unwrap()
    }

    fn apply_next(&self, events: &mut Events) {
        let patience = Duration::from_millis(10);
        self.shared
            .apply_next(events, patience, &mut Vec::new())
            .unwrap();
    }

    fn kernels(&self) -> BTreeSet<Key> {
        let dump = self.client.dump(&Default::default()).unwrap();
        let (entries, outcome) = dump.collect().unwrap();
        assert!(outcome.complete);
        entries.iter().map(ctnetlink::Entry::key).collect()
    }

    fn known(&self) -> BTreeSet<Key> {
        let store = self.shared.store.read().unwrap();
        let packed = store.chunks().iter().flatten();
        let mut entry = Entry::blank();
        packed
            .filter(|packed| packed.is_alive())
            .map(|packed| {
                packed.write(0, &store.beside, &mut entry);
                entry.key()
            })
            .collect()
    }

    /// Whether it is complete, and, if so, equal to the kernel's. What is no second old counts, too.
    #[track_caller]
    fn is_complete(&self) -> bool {
        let shared = &self.shared;
        {
            let mut heard = lock(&shared.heard);
            heard.until = heard.until.checked_sub(LAG * 2).unwrap();
        }
        let is_complete = shared.is_complete(&lock(&shared.status).clone());
        if is_complete {
            let (known, kernels) = (self.known(), self.kernels());
            let wrong = known.symmetric_difference(&kernels).count();
            assert_eq!(wrong, 0, "called complete");
        }
        is_complete
    }

    /// Fills the table and empties it, but for some.
    fn churn(&self, many: u32) {
        fill_with(&self.client, (0..many).map(entry)).unwrap();
        let dead = self.kernels().into_iter().skip(10).map(Change::Delete);
        self.client
            .apply(dead, |_, result| result.unwrap())
            .unwrap();
    }
}

#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + ENOUGH;
    while !holds() {
        assert!(Instant::now() < end, "{what}: not in time");
    }
}

#[test]
fn after_a_loss_it_is_complete_only_when_it_equals_the_kernels() {
    let Some(own) = Own::new() else { return };
    let mut events = own.subscribe(1 << 20);
    own.shared.read_once().unwrap();
    assert!(own.is_complete());
    // Births of which the deaths do not fit into the buffer any more.
    own.churn(5_000);
    assert!(!own.is_complete(), "there is more in the buffer");
    let mut was_wrong = false;
    until("a whole table", || {
        own.apply_next(&mut events);
        let is_complete = own.is_complete();
        was_wrong |= own.known().len() > 10;
        own.shared.read_once().unwrap();
        is_complete || own.is_complete()
    });
    assert!(own.shared.losses.load(Ordering::Relaxed) > 0);
    assert!(was_wrong, "nothing that is no more came from the buffer");
}

#[test]
fn readings_while_older_events_wait_decide_nothing() {
    let Some(own) = Own::new() else { return };
    let mut events = own.subscribe(1 << 20);
    own.churn(5_000);
    // Each loss is told before what waits: the table is read when it is told, and not again.
    let lost = || own.shared.losses.load(Ordering::Relaxed);
    until("a loss", || {
        own.apply_next(&mut events);
        lost() > 0
    });
    own.shared.read_once().unwrap();
    until("all is applied", || {
        own.apply_next(&mut events);
        !lock(&own.shared.heard).is_behind
    });
    assert!(!own.is_complete());
    own.shared.read_once().unwrap();
    assert!(own.is_complete());
}

#[test]
fn events_that_wait_for_longer_than_a_second_make_it_incomplete() {
    let Some(own) = Own::new() else { return };
    let mut events = own.subscribe(64 << 20);
    own.shared.read_once().unwrap();
    own.churn(2_000);
    assert!(!own.is_complete(), "events wait");
    until("all is applied", || {
        own.apply_next(&mut events);
        own.is_complete()
    });
    assert_eq!(own.shared.losses.load(Ordering::Relaxed), 0);
}

#[test]
fn a_stream_that_ends_is_one_loss_and_another_needs_a_reading() {
    let Some(own) = Own::new() else { return };
    let mut events = own.subscribe(1 << 20);
    own.shared.read_once().unwrap();
    assert!(own.is_complete());
    drop(events);
    let failure = Failure::new("kernel-error", "it ended", "");
    own.shared.ended(failure);
    assert!(!own.is_complete());
    // A reading in between knows nothing of what comes before the next stream.
    own.shared.read_once().unwrap();
    fill_with(&own.client, (0..10).map(entry)).unwrap();
    events = own.shared.subscribe_again().unwrap();
    assert!(!own.is_complete());
    own.shared.read_once().unwrap();
    assert!(own.is_complete());
    let shared = &own.shared;
    assert_eq!(shared.losses.load(Ordering::Relaxed), 1);
    assert_eq!(
        shared.events_lost.load(Ordering::Relaxed),
        0,
        "none is known of"
    );
    drop(events);
}

#[test]
fn tries_to_subscribe_that_fail_are_no_losses() {
    let kernel = FakeKernel::new(|request| Reply::to(request).done(0));
    let kernel = Kernel::fake(kernel.client().unwrap());
    let source = Source::Kernel(Box::new(kernel));
    let shared = Shared::new(source, None, Settings::default());
    std::thread::scope(|scope| {
        let trying = scope.spawn(|| shared.subscribe_again());
        until("it is told", || {
            lock(&shared.status).events_trouble.is_some()
        });
        shared.close();
        assert!(trying.join().unwrap().is_none());
    });
    assert_eq!(shared.losses.load(Ordering::Relaxed), 0);
    assert_eq!(shared.events_lost.load(Ordering::Relaxed), 0);
}
