//! Reads the table of this network namespace with the BPF program and tells how long it took:
//! `walked [TIMES] [THREADS]`.

use std::time::Instant;

use ctnetlink::{Client, Namespace};
use ctwalk::{Filter, Walker};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<usize>());
    let times = numbers.next().transpose()?.unwrap_or(1);
    let threads = numbers.next().transpose()?;
    let started = Instant::now();
    let (namespace, client) = (Namespace::current()?, Client::open()?);
    let walker = match threads {
        None => Walker::open(&namespace, client)?,
        Some(threads) => Walker::with_threads(&namespace, client, threads)?,
    };
    println!("loaded in {:.1?}", started.elapsed());
    for _ in 0..times {
        let started = Instant::now();
        let mut walk = walker.walk(&Filter::any())?;
        let mut count = 0u64;
        while walk.next_entry()?.is_some() {
            count += 1;
        }
        let took = started.elapsed();
        println!("{count} entries in {took:.1?}, {:?}", walk.outcome());
    }
    Ok(())
}
