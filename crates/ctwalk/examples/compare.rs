//! Fills the table of this network namespace, reads it by netlink and by the BPF program, and
//! compares every field of every entry: `compare [ENTRIES]`.
//!
//! The last line says `same: N entries`, how many differ, or why the program was refused; the exit
//! status is 0, 1 or 2 accordingly. Counters are compared if a rule of the namespace tracks loopback.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use ctnetlink::{
    Client, DccpInfo, DccpState, DumpRequest, Entry, L4, NatRange, NewEntry, ProtoInfo, Protocol,
    SeqAdj, Status, SynProxy, Tuple,
};
use ctwalk::{Condition, Filter, Number, Refusal, Walker};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let count = std::env::args()
        .nth(1)
        .map_or(Ok(500), |text| text.parse())?;
    let client = Client::open()?;
    fill(&client, count);
    // Sockets that stay open: an entry that moves on meanwhile would differ.
    let _sockets = traffic().inspect_err(|error| println!("no traffic: {error}"));

    match compare(&client) {
        Ok(0) => Ok(ExitCode::SUCCESS),
        Ok(_) => Ok(ExitCode::from(1)),
        Err(error) => {
            match error.downcast_ref::<Refusal>() {
                Some(refusal) => println!("refused: {}: {refusal}", refusal.code()),
                None => println!("failed: {error}"),
            }
            Ok(ExitCode::from(2))
        }
    }
}

/// Says what cannot be made, and goes on: what a kernel knows depends on how it was built.
fn fill(client: &Client, count: u32) {
    if let Err(error) = testkit::fill(client, count) {
        println!("not all made: {error}");
    }
    for (name, new) in rare() {
        if let Err(error) = testkit::fill::fill_with(client, [new]) {
            println!("no {name}: {error}");
        }
    }
}

/// What the filler does not make.
fn rare() -> [(&'static str, NewEntry); 4] {
    let tuple = |host, protocol, dst| Tuple {
        src: Ipv4Addr::new(10, 200, 0, host).into(),
        dst: Ipv4Addr::new(198, 51, 100, 1).into(),
        protocol,
        l4: L4::Ports { src: 40_000, dst },
    };
    let mut dccp = NewEntry::new(tuple(1, Protocol::DCCP, 5001), 3600);
    dccp.protoinfo = Some(ProtoInfo::Dccp(DccpInfo {
        state: Some(DccpState(4)),
        role: Some(1),
        handshake_seq: Some(0x0000_1234_5678_9abc),
    }));
    let mut translated = NewEntry::new(tuple(2, Protocol::TCP, 21), 3600);
    translated.helper = "ftp".try_into().ok();
    translated.nat_src = Some(NatRange::to(Ipv4Addr::new(203, 0, 113, 7).into()));
    translated.seqadj_orig = Some(SeqAdj {
        correction_pos: 1000,
        offset_before: -3,
        offset_after: 5,
    });
    let mut expected = NewEntry::new(tuple(3, Protocol::TCP, 20), 3600);
    expected.master = Some(tuple(2, Protocol::TCP, 21));
    expected.status = Status::SEEN_REPLY;
    let mut proxied = NewEntry::new(tuple(4, Protocol::TCP, 80), 3600);
    proxied.synproxy = Some(SynProxy {
        isn: 1,
        its: 2,
        tsoff: 3,
    });
    [
        ("DCCP", dccp),
        ("translation with a helper", translated),
        ("expected entry", expected),
        ("SYN proxy", proxied),
    ]
}

/// Some packets of TCP and of UDP over loopback, for counters and window scales.
fn traffic() -> std::io::Result<(TcpStream, TcpStream)> {
    let here = (Ipv4Addr::LOCALHOST, 0);
    let (from, to) = (UdpSocket::bind(here)?, UdpSocket::bind(here)?);
    for _ in 0..20 {
        from.send_to(&[0; 100], to.local_addr()?)?;
    }
    let listener = TcpListener::bind(here)?;
    let mut near = TcpStream::connect(listener.local_addr()?)?;
    let (mut far, _) = listener.accept()?;
    near.write_all(&[0; 1000])?;
    far.read_exact(&mut [0; 1000])?;
    // Its last acknowledgement is on the way at once, for it goes over loopback, or is put off.
    far.write_all(&[0; 10])?;
    near.read_exact(&mut [0; 10])?;
    std::thread::sleep(Duration::from_millis(500));
    Ok((near, far))
}

/// Prints what differs; how many entries do.
fn compare(client: &Client) -> Result<usize, Box<dyn Error>> {
    let started = Instant::now();
    let walker = Walker::open(&ctnetlink::Namespace::current()?, Client::open()?)?;
    println!("loaded in {:.0?}: {walker:?}", started.elapsed());

    let started = Instant::now();
    let (told, outcome) = client.dump(&DumpRequest::default())?.collect()?;
    println!(
        "netlink: {} entries in {:.1?}, {outcome:?}",
        told.len(),
        started.elapsed()
    );
    let started = Instant::now();
    let read = walk(&walker, &Filter::any())?;
    println!(
        "program: {} entries in {:.1?}",
        read.len(),
        started.elapsed()
    );
    println!("with {}", having(&told));

    let mut differing = 0;
    let mut differ = |what: &str, entry: &Entry, other: Option<&Entry>| {
        differing += 1;
        println!("{what}: {entry:?}");
        if let Some(other) = other {
            println!("   netlink: {other:?}");
        }
    };
    let key = |entry: &Entry| format!("{:?} {:?}", entry.zone, entry.orig);
    let mut rest: HashMap<_, _> = told.iter().map(|entry| (key(entry), entry)).collect();
    for entry in &read {
        match rest.remove(&key(entry)) {
            None => differ("read only", entry, None),
            Some(told) if !is_same(entry, told) => differ("differs", entry, Some(told)),
            Some(_) => {}
        }
    }
    for told in rest.into_values() {
        differ("told only", told, None);
    }

    // Selected in the kernel.
    let tcp = walk(&walker, &only(Number::Protocol, Protocol::TCP.0.into()))?;
    let wanted = told
        .iter()
        .filter(|entry| entry.orig.protocol == Protocol::TCP)
        .count();
    if tcp.len() != wanted {
        differing += 1;
        println!(
            "the filter selected {} entries of TCP, {wanted} are there",
            tcp.len()
        );
    }
    if differing == 0 {
        println!("same: {} entries", read.len());
    } else {
        println!("different: {differing} of {} entries", read.len());
    }
    Ok(differing)
}

fn only(number: Number, value: u64) -> Filter {
    let condition = Condition {
        number,
        absent: false,
        ranges: vec![(value, value)],
        v6: Vec::new(),
    };
    Filter {
        alternatives: vec![vec![condition]],
    }
}

fn walk(walker: &Walker, filter: &Filter) -> Result<Vec<Entry>, Refusal> {
    let mut walk = walker.walk(filter)?;
    let mut entries = Vec::new();
    while let Some(entry) = walk.next_entry()? {
        entries.push(entry.clone());
    }
    println!("{:?}", walk.outcome());
    Ok(entries)
}

/// Every field. A second or two may be between the two; and the entry at which netlink pauses between
/// two messages is held by netlink itself, which counts that too (until Linux 6.15 or so).
fn is_same(read: &Entry, told: &Entry) -> bool {
    let mut read = read.clone();
    let near = |a: Option<u32>, b: Option<u32>, by| match (a, b) {
        (Some(a), Some(b)) => a.abs_diff(b) <= by,
        (a, b) => a == b,
    };
    if near(read.timeout, told.timeout, 2) {
        read.timeout = told.timeout;
    }
    if read.use_count.map(|uses| uses + 1) == told.use_count {
        read.use_count = told.use_count;
    }
    read == *told
}

/// How many entries have what: nothing is compared of what nothing has.
fn having(entries: &[Entry]) -> String {
    let mut counts = BTreeMap::new();
    for entry in entries {
        let extra = entry.extra.as_ref();
        let has = [
            ("id", entry.id.is_some()),
            ("mark", entry.mark.is_some_and(|mark| mark != 0)),
            ("zone", entry.zone.id != 0),
            (
                "packets",
                entry.packets().is_some_and(|packets| packets > 0),
            ),
            ("timestamp", entry.timestamps.is_some()),
            ("state", entry.protoinfo.is_some()),
            ("DCCP", matches!(entry.protoinfo, Some(ProtoInfo::Dccp(_)))),
            ("helper", entry.helper.is_some()),
            ("labels", entry.labels.is_some()),
            ("master", entry.master().is_some()),
            (
                "seqadj",
                extra.is_some_and(|extra| extra.seqadj_orig.is_some()),
            ),
            (
                "synproxy",
                extra.is_some_and(|extra| extra.synproxy.is_some()),
            ),
        ];
        for (name, has) in has {
            *counts.entry(name).or_insert(0) += usize::from(has);
        }
    }
    let words: Vec<_> = counts
        .iter()
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    words.join(", ")
}
