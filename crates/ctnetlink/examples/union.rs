//! Reads what any of some filters selects, and the whole table beside it, turn by turn, and tells
//! what each costs: `union 5 10.0.0.17 10.0.0.18 tcp` for five rounds of three filters.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use ctnetlink::{Client, DumpRequest, Filter, Protocol};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let rounds: usize = arguments.next().ok_or("how many rounds?")?.parse()?;
    let filters: Vec<Filter> = arguments
        .map(|text| filter(&text))
        .collect::<Result<_, _>>()?;
    let client = Client::open()?;
    let (union, whole) = (DumpRequest::from(filters), DumpRequest::default());
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        for (times, request) in times.iter_mut().zip([&union, &whole]) {
            times.push(read(&client, request)?);
        }
    }
    for (mut times, request) in times.into_iter().zip([union, whole]) {
        times.sort();
        if let Some((median, entries, requests)) = times.get(rounds / 2) {
            println!(
                "{:3} filters, {requests:3} requests, {entries:8} entries: {median:.2?}",
                request.filters.len()
            );
        }
    }
    Ok(())
}

/// An address that connections come from, or a protocol.
fn filter(text: &str) -> Result<Filter, String> {
    let mut filter = Filter::any();
    if let Ok(address) = text.parse::<IpAddr>() {
        filter.orig.src = Some(address);
    } else {
        let protocol = Protocol::from_name(text);
        filter.protocol = Some(protocol.ok_or("neither address nor protocol")?);
    }
    Ok(filter)
}

/// How long it took, how many entries came, by how many requests.
fn read(client: &Client, request: &DumpRequest) -> Result<(Duration, u64, u32), ctnetlink::Error> {
    let begin = Instant::now();
    let mut dump = client.dump(request)?;
    let mut entries = 0;
    while dump.next_entry()?.is_some() {
        entries += 1;
    }
    Ok((begin.elapsed(), entries, dump.outcome().requests))
}
