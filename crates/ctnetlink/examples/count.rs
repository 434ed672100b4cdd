//! Reads the whole table of this network namespace and counts it.

use ctnetlink::{Client, DumpRequest};

fn main() -> Result<(), ctnetlink::Error> {
    let client = Client::open()?;
    let started = std::time::Instant::now();
    let mut dump = client.dump(&DumpRequest::default())?;
    let (mut entries, mut translated) = (0u64, 0u64);
    while let Some(entry) = dump.next_entry()? {
        entries += 1;
        translated += u64::from(entry.is_nat());
    }
    let complete = dump.outcome().complete;
    println!(
        "{entries} entries, {translated} translated, complete: {complete}, {:.2?}",
        started.elapsed()
    );
    Ok(())
}
