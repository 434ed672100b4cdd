//! A resize of the kernel's hash table in the middle of a dump is noticed. The table is one for
//! the whole machine, and only its initial namespace may resize it: the test is alone in its
//! program, makes it larger for a moment, and puts it back.

#[macro_use]
mod common;

use common::Outcome;

const SETTING: &str = "/proc/sys/net/netfilter/nf_conntrack_buckets";

/// Puts the size back, whatever happens.
struct Restore(String);

impl Drop for Restore {
    fn drop(&mut self) {
        let _ = std::fs::write(SETTING, &self.0);
    }
}

#[test]
fn a_resize_in_the_middle_of_a_dump_is_noticed() -> Outcome {
    let own = own!();
    testkit::fill(&own.client, 5_000)?;
    let before = std::fs::read_to_string(SETTING)?;
    let size: u64 = before.trim().parse()?;
    let mut dump = own.client.dump(&Default::default())?;
    assert!(dump.next_entry()?.is_some());
    let restore = Restore(before);
    if let Err(error) = std::fs::write(SETTING, (size + 4096).to_string()) {
        // Root of a user namespace may not.
        eprintln!("SKIPPED: {error}");
        return Ok(());
    }
    while dump.next_entry()?.is_some() {}
    assert!(!dump.outcome().complete);
    drop(restore);
    let (count, outcome) = own
        .client
        .fold(&Default::default(), 3, || 0, |count, _| *count += 1)?;
    assert_eq!((count, outcome.complete), (5_000, true));
    Ok(())
}
