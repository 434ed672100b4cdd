//! Keeps the table of this network namespace live and tells what that costs, a word and a number a
//! line (bench/run reads them): `keep [SECONDS]`.

use std::time::{Duration, Instant};

use engine::live::{Live, PageRequest, Settings, SortBy};
use engine::{Column, Query, Way};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seconds = std::env::args()
        .nth(1)
        .map_or(Ok(20), |text| text.parse())?;
    let idle = resident()?;
    let began = Instant::now();
    let live = Live::open(None, Way::Auto, &Settings::default())?;
    if !live.wait_until_ready(Duration::from_secs(300)) {
        return Err("the first reading takes too long".into());
    }
    let connections = live.summary().connections;
    println!(
        "ready {:.3} s for {connections} connections",
        began.elapsed().as_secs_f64()
    );
    print_memory("memory", idle, connections)?;
    let vocabulary = Default::default();
    for (text, sort) in [
        ("", SortBy::Column(Column::Bytes)),
        ("", SortBy::Rate),
        ("tcp and state == ESTABLISHED", SortBy::Column(Column::Age)),
        ("dport == 443 and not nat", SortBy::Column(Column::Source)),
        ("src in 10.0.0.0/16 or udp", SortBy::Column(Column::Timeout)),
    ] {
        let query = Query::parse(text, &vocabulary).map_err(|error| error.message)?;
        let request = PageRequest {
            query,
            sort: Some(sort),
            reverse: false,
            limit: 100,
            offset: 0,
            cursor: None,
            owner: String::new(),
        };
        let mut times: Vec<Duration> = (0..9)
            .map(|_| {
                let began = Instant::now();
                live.page(&request).map(|_| began.elapsed())
            })
            .collect::<Result<_, _>>()?;
        times.sort_unstable();
        let mut further = request.clone();
        further.cursor = live.page(&request)?.cursor;
        further.offset = 1000;
        let began = Instant::now();
        let second = match further.cursor {
            Some(_) => live.page(&further).map(|_| began.elapsed())?,
            None => Duration::ZERO,
        };
        let began = Instant::now();
        if further.cursor.is_some() {
            live.page(&further)?;
        }
        println!(
            "page {:.4} s, median of 9, '{text}' by {sort:?}; the whole order {second:.1?}, a page of it {:.1?}",
            times
                .get(times.len() / 2)
                .map_or(0.0, Duration::as_secs_f64),
            began.elapsed(),
        );
    }
    let (cpu, began) = (cpu_time()?, Instant::now());
    let readings = live.readings();
    let first = *readings.borrow();
    std::thread::sleep(Duration::from_secs(seconds));
    let used = (cpu_time()? - cpu) / began.elapsed().as_secs_f64();
    println!(
        "steady {:.1} % of a core, {} readings in {seconds} s, the last took {:.1?}",
        used * 100.0,
        *readings.borrow() - first,
        live.reading_time(),
    );
    print_memory("memory-with-orders", idle, connections)?;
    println!("{:?}", live.truth());
    Ok(())
}

fn print_memory(what: &str, idle: u64, connections: u64) -> Result<(), Box<dyn std::error::Error>> {
    let held = resident()?.saturating_sub(idle);
    println!(
        "{what} {} bytes a connection, {} MiB over an idle process",
        held / connections.max(1),
        held >> 20,
    );
    Ok(())
}

fn resident() -> Result<u64, Box<dyn std::error::Error>> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: u64 = line
        .unwrap_or_default()
        .trim_end_matches("kB")
        .trim()
        .parse()?;
    Ok(kib << 10)
}

/// Seconds of all threads.
fn cpu_time() -> Result<f64, Box<dyn std::error::Error>> {
    let text = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = text
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok());
    Ok((ticks(11).unwrap_or(0.0) + ticks(12).unwrap_or(0.0)) / 100.0)
}
