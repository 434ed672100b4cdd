//! What decoding costs: nanoseconds and allocations an entry, on a dump of 10,000 entries that
//! this machine's kernel sends now, or else on the captured one, repeated.
//!
//! `cargo bench -p ctnetlink --bench decode`
#![allow(unsafe_code, reason = "an allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use ctnetlink::constants::*;
use ctnetlink::wire::{Messages, NfGen, Writer};
use ctnetlink::{Client, Entry, Namespace};
use testkit::Capture;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const ENTRIES: u32 = 10_000;

fn captured_now() -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let namespace = Namespace::scratch()?;
    let client = Client::open_in(&namespace)?;
    for setting in ["nf_conntrack_acct", "nf_conntrack_timestamp"] {
        let path = format!("/proc/sys/net/netfilter/{setting}");
        namespace.run(|| std::fs::write(path, "1"))?;
    }
    testkit::fill(&client, ENTRIES)?;
    let mut writer = Writer::new();
    let nfgen = NfGen {
        family: AF_UNSPEC,
        version: 0,
        resource: 0,
    };
    let kind = ct_message(IPCTNL_MSG_CT_GET);
    writer.message(kind, NLM_F_REQUEST | NLM_F_DUMP, 1, nfgen, |_| {});
    let capture = Capture::open(&namespace, &[])?;
    capture.send(writer.bytes())?;
    Ok(capture.answer()?)
}

/// Decodes all of it and gives how many entries there were.
fn decode(bytes: &[u8]) -> u32 {
    let mut count = 0;
    for message in Messages::new(bytes).map_while(Result::ok) {
        if message.header.kind == ct_message(IPCTNL_MSG_CT_NEW)
            && let Ok((_, attrs)) = message.nfnetlink()
            && let Ok(entry) = Entry::decode(attrs)
        {
            black_box(&entry);
            count += 1;
        }
    }
    count
}

fn main() {
    let bytes = captured_now().unwrap_or_else(|error| {
        eprintln!("the captured fixture instead: {error}");
        let fixture = include_bytes!("../tests/fixtures/dump.bin");
        fixture.repeat(ENTRIES as usize / 24)
    });
    let entries = decode(&bytes);
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    decode(&bytes);
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
    let mut rounds: Vec<f64> = (0..200)
        .map(|_| {
            let begin = Instant::now();
            black_box(decode(black_box(&bytes)));
            begin.elapsed().as_nanos() as f64 / f64::from(entries)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    let [best, median] = [0, rounds.len() / 2].map(|at| rounds.get(at).copied().unwrap_or(0.0));
    println!("entries            {entries}");
    println!(
        "bytes an entry     {}",
        bytes.len() / entries.max(1) as usize
    );
    println!("size of Entry      {}", size_of::<Entry>());
    println!("best round         {best:.1} ns an entry");
    println!("median round       {median:.1} ns an entry");
    println!("allocations        {allocations} for all");
}
