//! Asking a query of an entry takes nothing from the heap, whatever the query.

#[path = "../benches/gateway/mod.rs"]
mod gateway;

use allocation_counter::measure;
use gateway::{FIVE_TERMS, NOW, mixed, selected, vocabulary};
use query::{Field, Flag, Query, Vocabulary};

#[test]
fn evaluation_takes_nothing_from_the_heap() {
    let vocabulary = Vocabulary {
        local: Box::new(|| Ok(vec!["10.0.0.5/32".parse().unwrap()])),
        labels: vec![("voip".to_owned(), 7)],
        ..vocabulary()
    };
    let entries: Vec<_> = mixed(2_000).into_iter().chain(selected(100)).collect();
    let many: Vec<String> = (0..1_000).map(|n| format!("10.0.{}.1", n % 256)).collect();
    let examples = Field::ALL.iter().map(|field| field.example().to_owned());
    let has = Field::ALL
        .iter()
        .map(|field| format!("not has {}", field.name()));
    let flags = Flag::ALL.iter().map(|flag| flag.name().to_owned());
    let others = [
        FIVE_TERMS.join(" and "),
        format!("host in {{{}}}", many.join(", ")),
        "helper ~ \"*t?\" or secctx !~ \"*httpd*\"".to_owned(),
        "(tcp and not nat) or not (udp and dport not in {53, 123})".to_owned(),
    ];
    for text in examples.chain(has).chain(flags).chain(others) {
        // Names that only a configuration has.
        let Ok(query) = Query::parse(&text, &vocabulary) else {
            assert!(
                ["app", "prio"].iter().any(|name| text.starts_with(name)),
                "{text}"
            );
            continue;
        };
        let mut found = 0;
        let heap = measure(|| {
            found = entries
                .iter()
                .filter(|entry| query.matches(entry, NOW))
                .count();
        });
        assert_eq!(heap.count_total, 0, "{text} ({found} selected)");
    }
}

/// The counting is real.
#[test]
fn understanding_a_query_does_take_from_the_heap() {
    let heap = measure(|| drop(Query::parse("tcp", &vocabulary())));
    assert!(heap.count_total > 0);
}
