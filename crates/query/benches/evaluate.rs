//! What a query costs: nanoseconds an entry, on connections of a gateway in memory.
//!
//! `cargo bench -p query --bench evaluate`
//!
//! Ends with 1 if the query of five terms takes longer than it may.

#[path = "gateway/mod.rs"]
mod gateway;

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

use ctnetlink::Entry;
use gateway::{FIVE_TERMS, NOW, vocabulary};
use query::{Query, Vocabulary};

const ENTRIES: u64 = 1_000_000;
const SIZES: [u64; 3] = [1_000, 100_000, ENTRIES];
const ROUNDS: usize = 15;

/// What a query of five terms may take at its fastest, in nanoseconds an entry.
const MUST: f64 = 60.0;

/// Fastest and median of several rounds, in nanoseconds of each of `count` things.
fn timed(count: usize, mut work: impl FnMut()) -> (f64, f64) {
    let times = (100_000 / count).clamp(1, 1_000);
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let begin = Instant::now();
            (0..times).for_each(|_| work());
            begin.elapsed().as_nanos() as f64 / (count * times) as f64
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    let at = |index: usize| rounds.get(index).copied().unwrap_or_default();
    (at(0), at(ROUNDS / 2))
}

fn selected(query: &Query, entries: &[Entry]) -> usize {
    entries
        .iter()
        .filter(|entry| query.matches(entry, NOW))
        .count()
}

/// Prints a line, and gives the fastest round, which other work on the machine disturbs least.
fn evaluate(name: &str, text: &str, entries: &[Entry]) -> f64 {
    let query = parsed(text, &vocabulary());
    let found = selected(&query, entries);
    let (best, median) = timed(entries.len(), || {
        black_box(selected(black_box(&query), black_box(entries)));
    });
    println!(
        "| {name} | {} | {best:.1} | {median:.1} | {:.1} % |",
        entries.len(),
        100.0 * found as f64 / entries.len() as f64
    );
    best
}

fn parsed(text: &str, vocabulary: &Vocabulary) -> Query {
    match Query::parse(text, vocabulary) {
        Ok(query) => query,
        Err(error) => panic!("{}\n{error}", error.marked(text)),
    }
}

/// How many of the terms are evaluated of an entry, on average: each as far as all before it hold.
fn terms_reached(entries: &[Entry]) -> f64 {
    let reached = (0..FIVE_TERMS.len()).map(|before| {
        let text = FIVE_TERMS
            .get(..before)
            .map(|terms| terms.join(" and "))
            .unwrap_or_default();
        selected(&parsed(&text, &vocabulary()), entries)
    });
    reached.sum::<usize>() as f64 / entries.len() as f64
}

fn addresses(count: u32) -> String {
    let each = (0..count).map(|number| {
        let number = number.wrapping_mul(13);
        format!(
            "10.{}.{}.{}",
            number >> 16 & 255,
            number >> 8 & 255,
            number & 255
        )
    });
    each.collect::<Vec<_>>().join(", ")
}

fn main() -> ExitCode {
    let five = FIVE_TERMS.join(" and ");
    let many = format!("src in {{{}}}", addresses(10_000));
    println!("five terms: {five}\n");
    println!("| query | entries | best ns an entry | median | selected |");
    println!("|---|--:|--:|--:|--:|");
    let mut worst = 0.0f64;
    for count in SIZES {
        let entries = gateway::selected(count);
        let name = format!("five terms, {:.1} evaluated", terms_reached(&entries));
        worst = worst.max(evaluate(&name, &five, &entries));
    }
    for count in SIZES {
        let entries = gateway::mixed(count);
        let name = format!("five terms, {:.1} evaluated", terms_reached(&entries));
        worst = worst.max(evaluate(&name, &five, &entries));
    }
    let entries = gateway::mixed(ENTRIES);
    let cached = gateway::mixed(1_000);
    for text in [
        "",
        "tcp",
        "src == 10.0.3.4",
        "host 10.0.3.4",
        "net 2001:db8::/32",
        "port 443",
        "not nat",
        "snat or dnat",
        "provider == wan1",
        "age > 2h",
        "helper ~ \"*tp\"",
        "dport in {22, 25, 53, 80, 110, 143, 443, 993}",
    ] {
        let name = if text.is_empty() {
            "the empty one".to_owned()
        } else {
            format!("`{text}`")
        };
        evaluate(&name, text, &cached);
        evaluate(&name, text, &entries);
    }
    evaluate("`src in {…}`, 10,000 addresses", &many, &entries);

    println!("\n| parsing | best µs | median |");
    println!("|---|--:|--:|");
    let vocabulary = vocabulary();
    for (name, text) in [
        ("`tcp`", "tcp"),
        ("five terms", &*five),
        ("10,000 addresses", &*many),
    ] {
        let (best, median) = timed(1, || {
            black_box(parsed(black_box(text), &vocabulary));
        });
        println!("| {name} | {:.1} | {:.1} |", best / 1e3, median / 1e3);
    }
    println!(
        "\nsize of Entry: {} bytes; five terms must take {MUST} ns an entry at most: {worst:.1}",
        size_of::<Entry>()
    );
    if worst > MUST {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
