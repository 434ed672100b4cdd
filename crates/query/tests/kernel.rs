//! The kernel's part and the rest select exactly what the query alone does: random queries of
//! random tables in a real kernel, ten thousand of them.

mod world;

use std::collections::BTreeSet;

use ctnetlink::{Change, Client, DumpRequest, Entry, Key};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use query::{Query, Vocabulary};
use testkit::TestNamespace;
use world::{NOW, new_entry, trees, vocabulary};

/// Queries a table, and tables a test. Four tests run side by side.
const QUERIES: u32 = 125;
const TABLES: u32 = 20;

fn ten_thousand_in_four() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    namespace.run(of_this_namespace).unwrap();
}

fn of_this_namespace() {
    let client = Client::open().unwrap();
    let vocabulary = vocabulary();
    let mut tables = TestRunner::new(Config::default());
    let filtered = std::cell::Cell::new(0);
    for _ in 0..TABLES {
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

        let config = Config {
            cases: QUERIES,
            failure_persistence: None,
            ..Config::default()
        };
        TestRunner::new(config)
            .run(&trees(), |tree| {
                let given = check(&client, &table, &tree.text(), &vocabulary)?;
                filtered.set(filtered.get() + given);
                Ok(())
            })
            .unwrap_or_else(|error| panic!("{error}\nin {table:#?}"));
        client.flush(&ctnetlink::Filter::any()).unwrap();
    }
    // That most queries are not everything, in the kernel, is what makes this worth its time.
    let filtered = filtered.get();
    assert!(filtered > TABLES * QUERIES / 4, "{filtered}");
}

/// Reads by the kernel's filters and compares; 1 if the kernel was given any.
fn check(
    client: &Client,
    table: &[Entry],
    text: &str,
    vocabulary: &Vocabulary,
) -> Result<u32, TestCaseError> {
    let query = Query::parse(text, vocabulary).unwrap();
    let expected: BTreeSet<Key> = table
        .iter()
        .filter(|entry| query.matches(entry, NOW))
        .map(Entry::key)
        .collect();
    let filters = query.filters().to_vec();
    let is_filtered = !filters.iter().any(ctnetlink::Filter::is_any);
    let (found, outcome) = client
        .fold(&filters.into(), 5, Vec::new, |found, entry| {
            if query.matches(entry, NOW) {
                found.push(entry.key());
            }
        })
        .unwrap();
    prop_assert!(outcome.complete);
    let once: BTreeSet<Key> = found.iter().copied().collect();
    prop_assert_eq!(found.len(), once.len(), "{} gives entries twice", text);
    prop_assert_eq!(once, expected, "{}", text);
    Ok(is_filtered.into())
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
