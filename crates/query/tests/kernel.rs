//! The kernel's part and the rest select exactly what the query alone does, whether netlink sends
//! the entries or a BPF program reads them: random queries of random tables in a real kernel, ten
//! thousand of them.

mod world;

use std::collections::BTreeSet;
use std::time::SystemTime;

use ctnetlink::{Change, Client, DumpRequest, Entry, Key, Namespace};
use ctwalk::Walker;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use query::{Query, Vocabulary};
use testkit::TestNamespace;
use world::{new_entry, trees, vocabulary};

/// Queries a table, and tables a test. Four tests run side by side.
const QUERIES: u32 = 125;
const TABLES: u32 = 20;
/// One of so many is asked by a walk as well: that reads the buckets of all namespaces, of which a
/// machine may have a million.
const ONE_WALK_IN: u32 = 4;

fn ten_thousand_in_four() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    namespace.run(|| of_this_namespace(&namespace)).unwrap();
}

fn of_this_namespace(namespace: &TestNamespace) {
    let client = Client::open().unwrap();
    let walker = walker();
    let vocabulary = vocabulary();
    let mut tables = TestRunner::new(Config::default());
    let filtered = std::cell::Cell::new(0);
    let asked = std::cell::Cell::new(0);
    let walked = std::cell::Cell::new(0);
    for number in 0..TABLES {
        let has_counters = if number % 2 == 0 { "1" } else { "0" };
        namespace
            .sysctls(&[
                ("net/netfilter/nf_conntrack_acct", has_counters),
                ("net/netfilter/nf_conntrack_timestamp", has_counters),
            ])
            .unwrap();
        let entries = proptest::collection::vec(new_entry(), 60);
        let entries = entries.new_tree(&mut tables).unwrap().current();
        let changes = entries
            .into_iter()
            .map(|entry| Change::Create(Box::new(entry)));
        // Some tuples come twice, and the second is refused.
        client.apply(changes, |_, _| {}).unwrap();
        let (table, outcome) = client
            .dump(&DumpRequest::default())
            .unwrap()
            .collect()
            .unwrap();
        assert!(
            outcome.complete && table.len() > 20,
            "{outcome:?} {}",
            table.len()
        );

        let world = World {
            client: &client,
            walker: walker.as_ref(),
            table: &table,
            vocabulary: &vocabulary,
            now: now() + 5 * SECOND,
        };
        let config = Config {
            cases: QUERIES,
            failure_persistence: None,
            ..Config::default()
        };
        TestRunner::new(config)
            .run(&trees(), |tree| {
                let text = tree.text();
                filtered.set(filtered.get() + world.check(&text)?);
                asked.set(asked.get() + 1);
                if asked.get().is_multiple_of(ONE_WALK_IN) {
                    walked.set(walked.get() + world.check_walk(&text)?);
                }
                Ok(())
            })
            .unwrap_or_else(|error| panic!("{error}\nin {table:#?}"));
        client.flush(&ctnetlink::Filter::any()).unwrap();
    }
    // That most queries are not everything, in the kernel, is what makes this worth its time.
    let filtered = filtered.get();
    assert!(filtered > TABLES * QUERIES / 4, "{filtered}");
    let walked = walked.get();
    assert!(
        walker.is_none() || walked > TABLES * QUERIES / ONE_WALK_IN / 2,
        "{walked}"
    );
}

const SECOND: u64 = 1_000_000_000;

fn now() -> u64 {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    u64::try_from(now.as_nanos()).unwrap()
}

/// The BPF program, of one thread: the tables are small.
fn walker() -> Option<Walker> {
    let namespace = Namespace::current().unwrap();
    Walker::with_threads(&namespace, Client::open().unwrap(), 1)
        .map_err(|refusal| testkit::skip(&refusal.to_string()))
        .ok()
}

struct World<'a> {
    client: &'a Client,
    walker: Option<&'a Walker>,
    table: &'a [Entry],
    vocabulary: &'a Vocabulary,
    now: u64,
}

impl World<'_> {
    /// The keys of what a query selects.
    fn selected(&self, query: &Query, now: u64) -> BTreeSet<Key> {
        let entries = self.table.iter();
        let entries = entries.filter(|entry| query.matches(entry, now));
        entries.map(Entry::key).collect()
    }

    /// Reads by the kernel's filters and compares; 1 if the kernel was given any.
    fn check(&self, text: &str) -> Result<u32, TestCaseError> {
        let query = Query::parse(text, self.vocabulary).unwrap();
        let filters = query.filters().to_vec();
        let is_filtered = !filters.iter().any(ctnetlink::Filter::is_any);
        let (found, outcome) = self
            .client
            .fold(&filters.into(), 5, Vec::new, |found, entry| {
                if query.matches(entry, self.now) {
                    found.push(entry.key());
                }
            })
            .unwrap();
        prop_assert!(outcome.complete);
        let once: BTreeSet<Key> = found.iter().copied().collect();
        prop_assert_eq!(found.len(), once.len(), "{} gives entries twice", text);
        prop_assert_eq!(once, self.selected(&query, self.now), "{}", text);
        Ok(is_filtered.into())
    }

    /// Reads by the BPF program and compares, now and by a clock a second later; 1 if it left
    /// anything out.
    fn check_walk(&self, text: &str) -> Result<u32, TestCaseError> {
        let Some(walker) = self.walker else {
            return Ok(0);
        };
        let query = Query::parse(text, self.vocabulary).unwrap();
        let later = self.now + SECOND;
        let (mut copied, mut found, mut found_later) = (Vec::new(), Vec::new(), Vec::new());
        let mut walk = walker.walk(&query.walk_filter(self.now)).unwrap();
        while let Some(entry) = walk.next_entry().unwrap() {
            copied.push(entry.key());
            found.extend(query.matches(entry, self.now).then(|| entry.key()));
            found_later.extend(query.matches(entry, later).then(|| entry.key()));
        }
        prop_assert!(walk.outcome().complete);
        let set = |keys: &[Key]| keys.iter().copied().collect::<BTreeSet<Key>>();
        prop_assert_eq!(
            copied.len(),
            set(&copied).len(),
            "{} gives entries twice",
            text
        );
        prop_assert_eq!(set(&found), self.selected(&query, self.now), "{}", text);
        prop_assert_eq!(
            set(&found_later),
            self.selected(&query, later),
            "later: {}",
            text
        );

        // The program copies what it is said to, and no more.
        let explanation = query.explain();
        let said = match explanation.walk.as_slice() {
            _ if explanation.requests == 0 => BTreeSet::new(),
            [] => self.selected(&Query::any(), self.now),
            parts => {
                let parts = parts.iter().map(|part| Query::parse(part, self.vocabulary));
                let selected = |part: Query| self.selected(&part, self.now);
                parts.flat_map(|part| selected(part.unwrap())).collect()
            }
        };
        prop_assert_eq!(set(&copied), said, "{} as {:?}", text, explanation.walk);
        Ok((copied.len() < self.table.len()).into())
    }
}

#[test]
fn kernel_and_rest_are_the_query_1() {
    ten_thousand_in_four();
}

#[test]
fn kernel_and_rest_are_the_query_2() {
    ten_thousand_in_four();
}

#[test]
fn kernel_and_rest_are_the_query_3() {
    ten_thousand_in_four();
}

#[test]
fn kernel_and_rest_are_the_query_4() {
    ten_thousand_in_four();
}
