//! The live table follows the kernel's, whatever happens to it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ctnetlink::{Change, Client, Entry, Event, Key, Namespace, NewEntry, Protocol, Tuple};
use engine::live::{Live, PageRequest, Row, Settings, SortBy};
use engine::{Column, Query, Way};
use testkit::TestNamespace;
use testkit::fill::{entry, fill, fill_with};

/// Longer than anything takes that works.
const PATIENCE: Duration = Duration::from_secs(60);

/// Reads as often as it can.
fn eager() -> Settings {
    Settings {
        cpu_percent: 100.0,
        cpu_percent_watched: 100.0,
        shortest_seconds: 0.05,
        ..Settings::default()
    }
}

struct Own {
    namespace: TestNamespace,
    client: Client,
}

fn own() -> Option<Own> {
    let namespace = TestNamespace::new()?;
    let client = Client::open_in(&inside(&namespace)).unwrap();
    Some(Own { namespace, client })
}

fn inside(namespace: &TestNamespace) -> Namespace {
    Namespace::by_path(&namespace.path()).unwrap()
}

impl Own {
    fn live(&self, settings: &Settings) -> Arc<Live> {
        let live = Live::open(Some(inside(&self.namespace)), Way::Auto, settings).unwrap();
        assert!(live.wait_until_ready(PATIENCE));
        live
    }

    fn told(&self) -> BTreeMap<Key, Entry> {
        let dump = self.client.dump(&Default::default()).unwrap();
        let (entries, outcome) = dump.collect().unwrap();
        assert!(outcome.complete);
        by_key(entries)
    }
}

fn by_key(entries: impl IntoIterator<Item = Entry>) -> BTreeMap<Key, Entry> {
    let mut by_key = BTreeMap::new();
    for entry in entries {
        assert!(by_key.insert(entry.key(), entry).is_none(), "twice");
    }
    by_key
}

fn known(live: &Live) -> BTreeMap<Key, Entry> {
    let mut entries = Vec::new();
    live.scan(&Query::any(), &mut |row: &Row| {
        entries.push(row.entry.clone());
        Ok(ControlFlow::Continue(()))
    })
    .unwrap();
    by_key(entries)
}

/// Waits until something holds.
#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "{what}: not in time");
        std::thread::yield_now();
    }
}

/// Waits for a reading that begins after this.
fn wait_for_reading(live: &Live) {
    let readings = live.readings();
    let first = *readings.borrow();
    until("two readings", || *readings.borrow() >= first + 2);
}

/// All fields are equal, but those that move by themselves.
#[track_caller]
fn assert_same(live: &BTreeMap<Key, Entry>, kernel: &BTreeMap<Key, Entry>) {
    assert_eq!(
        live.keys().collect::<Vec<_>>(),
        kernel.keys().collect::<Vec<_>>()
    );
    for (known, told) in live.values().zip(kernel.values()) {
        let mut known = known.clone();
        let (have, want) = (known.timeout.unwrap_or(0), told.timeout.unwrap_or(0));
        assert!(have.abs_diff(want) <= 3, "{have} {want}");
        known.timeout = told.timeout;
        known.use_count = told.use_count;
        assert_eq!(&known, told);
    }
}

#[test]
fn it_equals_the_kernels_table_in_every_field() {
    let Some(own) = own() else { return };
    fill(&own.client, 2_000).unwrap();
    let live = own.live(&eager());
    assert_same(&known(&live), &own.told());
    let truth = live.truth();
    assert!(
        truth.complete && truth.accounting && truth.timestamps,
        "{truth:?}"
    );
    assert_eq!(live.summary().connections, 2_000);

    // Births, changes and deaths.
    fill_with(&own.client, (2_000..3_000).map(entry)).unwrap();
    let keys: Vec<Key> = own.told().into_keys().step_by(3).collect();
    let changes = keys.iter().map(|key| Change::Delete(*key));
    own.client
        .apply(changes, |_, result| result.unwrap())
        .unwrap();
    until("the same number", || {
        live.summary().connections == own.told().len() as u64
    });
    wait_for_reading(&live);
    assert_same(&known(&live), &own.told());
    let summary = live.summary();
    assert_eq!(summary.births, 1_000);
    assert_eq!(summary.deaths, keys.len() as u64);
    let tcp = own
        .told()
        .keys()
        .filter(|key| key.tuple.protocol == Protocol::TCP)
        .count();
    assert!(summary.protocols.contains(&(6, tcp as u64)), "{summary:?}");
}

#[test]
fn deaths_that_no_event_tells_are_found_by_the_next_reading() {
    let Some(own) = own() else { return };
    // What is born while nobody listens has no events later (nf_conntrack_events = 2), or none at all.
    own.namespace
        .sysctl("net/netfilter/nf_conntrack_events", "0")
        .unwrap();
    fill(&own.client, 500).unwrap();
    let live = own.live(&eager());
    assert_eq!(live.summary().connections, 500);
    let keys: Vec<Key> = own.told().into_keys().take(200).collect();
    let changes = keys.iter().map(|key| Change::Delete(*key));
    own.client
        .apply(changes, |_, result| result.unwrap())
        .unwrap();
    fill_with(&own.client, (1_000..1_050).map(entry)).unwrap();
    wait_for_reading(&live);
    assert_same(&known(&live), &own.told());
    assert_eq!(live.summary().connections, 350);
}

#[test]
fn after_lost_events_it_says_so_and_becomes_the_same_again() {
    let Some(own) = own() else { return };
    fill(&own.client, 1_000).unwrap();
    // A buffer that holds a few events, and a table that changes faster than anybody reads.
    let live = own.live(&Settings {
        event_buffer: 1,
        ..eager()
    });
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let end = Instant::now() + PATIENCE;
            let mut round = 0u32;
            while !is_over.load(Ordering::Relaxed) && Instant::now() < end {
                let first = 10_000 + round % 20 * 1_000;
                fill_with(&own.client, (first..first + 1_000).map(entry)).unwrap();
                let mut dead = own.told();
                dead.retain(|_, entry| entry.orig.dst_port() != Some(1));
                let dead: Vec<_> = dead.into_keys().step_by(2).map(Change::Delete).collect();
                own.client.apply(dead, |_, _| {}).unwrap();
                let rest: Vec<_> = own
                    .told()
                    .into_keys()
                    .take(1_000)
                    .map(Change::Delete)
                    .collect();
                own.client.apply(rest, |_, _| {}).unwrap();
                round += 1;
            }
        });
        until("a loss", || live.truth().events_lost > 0);
        is_over.store(true, Ordering::Relaxed);
    });
    until("a whole table", || live.truth().complete);
    wait_for_reading(&live);
    until("the same entries", || {
        live.truth().complete && known(&live).keys().eq(own.told().keys())
    });
    wait_for_reading(&live);
    assert_same(&known(&live), &own.told());
}

#[test]
fn what_moves_has_rates_and_what_stands_still_has_none_of_them() {
    let Some(own) = own() else { return };
    let at = (Ipv4Addr::LOCALHOST, 0);
    let live = own.live(&Settings {
        shortest_seconds: 0.25,
        ..eager()
    });
    let quiet = NewEntry::new(
        Tuple::ports(
            Protocol::UDP,
            Ipv4Addr::new(192, 0, 2, 1).into(),
            1,
            Ipv4Addr::new(192, 0, 2, 2).into(),
            2,
        ),
        600,
    );
    own.client.create(quiet).unwrap();
    let moving = || {
        live.summary()
            .rates
            .is_some_and(|rates| rates.bytes_orig > 0.0)
    };
    until("rates of all", || {
        netlab::udp_exchange(&own.namespace, at, &own.namespace, at).unwrap();
        moving()
    });
    wait_for_reading(&live);
    let page = live.page(&page_of(Some(SortBy::Rate), 100_000)).unwrap();
    let quiet = |row: &Row| row.entry.orig.dst_port() == Some(2);
    let row = page.rows.iter().find(|row| quiet(row)).unwrap();
    assert_eq!(row.rates.unwrap().bytes_orig, 0.0);
    assert!(live.summary().moved.unwrap().bytes > 0);

    let marks = engine::marks::Marks::new(&Default::default());
    let by = vec!["proto".parse().unwrap()];
    let plan = engine::group::Plan::new(by, &marks, 10).unwrap();
    let (groups, _) = live.groups(&Query::any(), &plan);
    let report = groups.into_report(Default::default(), None);
    assert!(report.total().rate().is_some());
    assert_eq!(report.total().connections(), page.totals.connections);
}

fn page_of(sort: Option<SortBy>, limit: usize) -> PageRequest {
    PageRequest {
        query: Query::any(),
        sort,
        reverse: false,
        limit,
        offset: 0,
        cursor: None,
        owner: String::new(),
    }
}

#[test]
fn pages_are_in_the_order_of_the_column_whichever_it_is() {
    let Some(own) = own() else { return };
    fill(&own.client, 700).unwrap();
    let live = own.live(&eager());
    let now = engine::now();
    for column in Column::ALL {
        for reverse in [false, true] {
            let mut request = page_of(Some(SortBy::Column(*column)), 60);
            request.reverse = reverse;
            let page = live.page(&request).unwrap();
            assert_eq!(page.totals.connections, 700);
            assert_eq!(page.rows.len(), 60);
            for pair in page.rows.windows(2) {
                let order = column.compare(&pair[0].entry, &pair[1].entry, now);
                let expected = if reverse {
                    order.is_ge()
                } else {
                    order.is_le()
                };
                assert!(expected, "{column:?} {reverse}");
            }
        }
    }
}

#[test]
fn paging_gives_each_connection_once_while_the_table_moves() {
    let Some(own) = own() else { return };
    fill(&own.client, 2_000).unwrap();
    let live = own.live(&eager());
    let mut request = page_of(Some(SortBy::Column(Column::Timeout)), 100);
    let first = live.page(&request).unwrap();
    let mut given: Vec<Key> = first.rows.iter().map(|row| row.entry.key()).collect();
    request.cursor = first.cursor;
    let mut dead = 0;
    for round in 0..19 {
        // Others come, and some of those that were to come go.
        fill_with(
            &own.client,
            (5_000 + round * 50..5_050 + round * 50).map(entry),
        )
        .unwrap();
        let known = own.told();
        let victim = known.keys().find(|key| !given.contains(key)).copied();
        if let Some(victim) = victim {
            own.client.delete(victim).unwrap();
            dead += 1;
        }
        until("it is gone", || {
            live.summary().connections == own.told().len() as u64
        });
        request.offset += 100;
        let page = live.page(&request).unwrap();
        given.extend(page.rows.iter().map(|row| row.entry.key()));
    }
    let count = given.len();
    given.sort_unstable();
    given.dedup();
    assert_eq!(given.len(), count, "one came twice");
    // All that lived on when the order was made came; of the born, those before it.
    assert!(count + dead >= 2_000, "{count} {dead}");
    request.cursor = Some("nonsense".to_owned());
    assert_eq!(live.page(&request).unwrap_err().code, "cursor-expired");
}

#[test]
fn a_listener_hears_what_its_query_selects_and_a_slow_one_is_told() {
    let Some(own) = own() else { return };
    let live = own.live(&eager());
    let query = |text: &str| Query::parse(text, &Default::default()).unwrap();
    let mut tcp = live.feed(query("tcp"), 1_000);
    let mut slow = live.feed(Query::any(), 3);
    fill(&own.client, 100).unwrap();
    let many = own
        .told()
        .keys()
        .filter(|key| key.tuple.protocol == Protocol::TCP)
        .count();
    for _ in 0..many {
        let event = tcp.events.blocking_recv().unwrap();
        let Event::New(entry) = &*event else {
            panic!("{event:?}");
        };
        assert_eq!(entry.orig.protocol, Protocol::TCP);
    }
    // A death comes with all that is known: a name can be made of it.
    let key = own
        .told()
        .into_keys()
        .find(|key| key.tuple.protocol == Protocol::TCP)
        .unwrap();
    let mark = own.client.get(&key).unwrap().mark;
    own.client.delete(key).unwrap();
    let event = tcp.events.blocking_recv().unwrap();
    assert!(
        matches!(&*event, Event::Destroy(entry) if entry.mark == mark),
        "{event:?}"
    );
    let mut heard = 0;
    while slow.events.blocking_recv().is_some() {
        heard += 1;
    }
    assert!(heard <= 3 && slow.is_too_slow());
    live.close();
    assert!(tcp.events.blocking_recv().is_none() && !tcp.is_too_slow());
}

#[test]
fn a_connection_is_found_by_its_short_name_while_it_lives() {
    let Some(own) = own() else { return };
    fill(&own.client, 300).unwrap();
    let live = own.live(&eager());
    let page = live.page(&page_of(None, 300)).unwrap();
    let entry = &page.rows[150].entry;
    let name = engine::live::name(entry);
    assert_eq!(live.find(&name).unwrap().entry.key(), entry.key());
    own.client.delete(entry.key()).unwrap();
    assert_eq!(live.find(&name).unwrap_err().code, "not-found");
    assert_eq!(live.find("nonsense").unwrap_err().code, "not-found");
}

#[test]
fn a_namespace_that_is_made_anew_under_its_name_is_told() {
    let (Some(one), Some(other)) = (own(), own()) else {
        return;
    };
    // As `ip netns` has a file for each name.
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().join("blue");
    let give = |own: &Own| std::os::unix::fs::symlink(own.namespace.path(), &name).unwrap();
    give(&one);
    fill(&one.client, 10).unwrap();
    let namespace = Namespace::by_path(&name).unwrap();
    let live = Live::open(Some(namespace), Way::Auto, &eager()).unwrap();
    assert!(live.wait_until_ready(PATIENCE));
    wait_for_reading(&live);
    assert!(live.troubles().is_empty() && live.truth().complete);

    let codes = || -> Vec<_> { live.troubles().iter().map(|failure| failure.code).collect() };
    std::fs::remove_file(&name).unwrap();
    until("it is gone", || codes() == ["namespace-gone"]);
    assert!(!live.truth().complete);
    give(&other);
    until("it is another", || codes() == ["namespace-replaced"]);
    let failure = live.troubles().remove(0);
    assert!(failure.message.contains("blue") && failure.hint.contains("restart"));
    assert!(!live.truth().complete);
    std::fs::remove_file(&name).unwrap();
    give(&one);
    until("it is the same again", || {
        codes().is_empty() && live.truth().complete
    });
}
