//! What decoding costs: nanoseconds and allocations an entry, on a dump of 10,000 entries that
//! this machine's kernel sends now, or else on the captured one, repeated.
//!
//! `cargo bench -p ctnetlink --bench decode`
#![allow(unsafe_code, reason = "an allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use ctnetlink::constants::*;
use ctnetlink::wire::{Messages, NfGen, Writer};
use ctnetlink::{Client, Entry, Namespace, Protocol, Tuple};
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

/// Decodes all of it into one entry and gives how many there were.
fn decode_into(bytes: &[u8]) -> u32 {
    let mut count = 0;
    let unspecified = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let tuple = Tuple::ports(Protocol::TCP, unspecified, 0, unspecified, 0);
    let mut entry = Entry::new(tuple, tuple);
    for message in Messages::new(bytes).map_while(Result::ok) {
        if message.header.kind == ct_message(IPCTNL_MSG_CT_NEW)
            && let Ok((_, attrs)) = message.nfnetlink()
            && let Ok(()) = entry.decode_into(attrs)
        {
            black_box(&entry);
            count += 1;
        }
    }
    count
}

/// Decodes each of it into an entry of its own.
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
    decode_into(&bytes);
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
    // Turn by turn, for what else the machine does hits both.
    let time = |decode: fn(&[u8]) -> u32| {
        let begin = Instant::now();
        black_box(decode(black_box(&bytes)));
        begin.elapsed().as_nanos() as f64 / f64::from(entries)
    };
    let rounds: Vec<[f64; 2]> = (0..200)
        .map(|_| [time(decode_into), time(decode)])
        .collect();
    println!("entries            {entries}");
    println!(
        "bytes an entry     {}",
        bytes.len() / entries.max(1) as usize
    );
    println!("size of Entry      {}", size_of::<Entry>());
    type Pick = fn(&[f64; 2]) -> f64;
    let which: [(&str, Pick); 2] = [
        ("in place", |[first, _]| *first),
        ("each anew", |[_, second]| *second),
    ];
    for (name, which) in which {
        let mut rounds: Vec<f64> = rounds.iter().map(which).collect();
        rounds.sort_by(f64::total_cmp);
        let [best, median] = [0, rounds.len() / 2].map(|at| rounds.get(at).copied().unwrap_or(0.0));
        println!("{name:<10} best    {best:.1} ns an entry");
        println!("{name:<10} median  {median:.1} ns an entry");
    }
    println!("allocations        {allocations} for all");
}
