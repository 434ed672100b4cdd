//! The lines of conntrack(8) `-o save`: the options by which `conntrack -R` makes an entry anew.
//!
//! They were found out from conntrack-tools 1.4.7. They hold less than the kernel tells: no mark,
//! labels, helper, counters, id or begin, and of ICMP only the original direction.

mod parse;
mod values;

use std::fmt;

use ctnetlink::{Entry, L4, ProtoInfo, Protocol, Status, TcpState, Tuple, ZoneDirection};

use crate::render::{push_address_ntop, push_number};

pub use parse::parse;

/// What a line asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `-A`: creates the entry, or changes the one that is there.
    Add,
    /// `-I`: creates the entry.
    Insert,
    /// `-U`: changes entries.
    Update,
    /// `-D`: deletes entries.
    Delete,
    /// `-F`: empties the table.
    Flush,
}

impl Verb {
    const fn option(self) -> &'static [u8] {
        match self {
            Self::Add => b"-A",
            Self::Insert => b"-I",
            Self::Update => b"-U",
            Self::Delete => b"-D",
            Self::Flush => b"-F",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.option()))
    }
}

/// A line, read.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// What it asks for.
    pub verb: Verb,
    /// The entry that it describes. Where `-n` or `-g` translate, its status says so; otherwise a
    /// reply that is not the mirror image is only that, as it is to conntrack(8), unless nothing
    /// but a port differs, for which the lines have no `-n`.
    pub entry: Entry,
}

/// Appends an entry as `conntrack -L -o save` prints it, without the end of the line.
pub fn write(out: &mut Vec<u8>, entry: &Entry) {
    write_as(out, Verb::Add, entry);
}

/// The same as a line that asks for something else, as `conntrack -D -o save` prints it.
pub fn write_as(out: &mut Vec<u8>, verb: Verb, entry: &Entry) {
    out.extend_from_slice(verb.option());
    out.push(b' ');
    push(out, "-t", entry.timeout);
    if let Some(status) = entry.status {
        push_status(out, status);
    }
    push(out, "-c", entry.secmark);
    let zone = |direction| {
        let zone = entry.zone;
        (zone.direction == direction && zone.id != 0).then_some(zone.id)
    };
    push(out, "-w", zone(ZoneDirection::Both));
    push(out, "--orig-zone", zone(ZoneDirection::Original));
    push(out, "--reply-zone", zone(ZoneDirection::Reply));
    let (orig, reply) = (&entry.orig, &entry.reply);
    let is_dnat = entry.has_status(Status::DST_NAT_DONE) && reply.src != orig.dst;
    let is_snat = entry.has_status(Status::SRC_NAT_DONE) && reply.dst != orig.src;
    let addresses = [
        ("-s ", orig.src),
        ("-d ", orig.dst),
        (if is_dnat { "-g " } else { "-r " }, reply.src),
        (if is_snat { "-n " } else { "-q " }, reply.dst),
    ];
    for (option, address) in addresses {
        out.extend_from_slice(option.as_bytes());
        push_address_ntop(out, address);
        out.push(b' ');
    }
    out.extend_from_slice(b"-p ");
    match orig.protocol.name() {
        Some(name) => out.extend_from_slice(name.as_bytes()),
        None => push_number(out, orig.protocol.0),
    }
    out.push(b' ');
    push_l4(out, orig, reply);
    push_protoinfo(out, entry.protoinfo);
    // Each field ends in a space; the line does not.
    out.pop();
}

/// Status bits that have a name here, in the order of the bits.
const STATUS: [(Status, &str); 4] = [
    (Status::EXPECTED, "EXPECTED"),
    (Status::SEEN_REPLY, "SEEN_REPLY"),
    (Status::ASSURED, "ASSURED"),
    (Status::FIXED_TIMEOUT, "FIXED_TIMEOUT"),
];

fn push_status(out: &mut Vec<u8>, status: Status) {
    out.extend_from_slice(b"-u ");
    let mut is_first = true;
    for (_, name) in STATUS.iter().filter(|(bit, _)| status.contains(*bit)) {
        if !is_first {
            out.push(b',');
        }
        out.extend_from_slice(name.as_bytes());
        is_first = false;
    }
    out.extend_from_slice(if is_first { b"UNSET " } else { b" " });
}

fn push_l4(out: &mut Vec<u8>, orig: &Tuple, reply: &Tuple) {
    match (orig.l4, reply.l4) {
        // Where the kernel does not track DCCP, it tells no ports.
        (L4::Ports { src: 0, dst: 0 }, _) if orig.protocol == Protocol::DCCP => {}
        (
            L4::Ports { src, dst },
            L4::Ports {
                src: reply_src,
                dst: reply_dst,
            },
        ) => {
            push(out, "--sport", Some(src));
            push(out, "--dport", Some(dst));
            push(out, "--reply-port-src", Some(reply_src));
            push(out, "--reply-port-dst", Some(reply_dst));
        }
        (
            L4::Gre { src_key, dst_key },
            L4::Gre {
                src_key: reply_src,
                dst_key: reply_dst,
            },
        ) => {
            push(out, "--srckey", Some(src_key));
            push(out, "--dstkey", Some(dst_key));
            push(out, "--reply-key-src", Some(reply_src));
            push(out, "--reply-key-dst", Some(reply_dst));
        }
        (L4::Icmp { kind, code, id }, _) => {
            let [a, b, c] = if orig.protocol == Protocol::ICMPV6 {
                ["--icmpv6-type", "--icmpv6-code", "--icmpv6-id"]
            } else {
                ["--icmp-type", "--icmp-code", "--icmp-id"]
            };
            push(out, a, Some(kind));
            push(out, b, Some(code));
            push(out, c, Some(id));
        }
        _ => {}
    }
}

fn push_protoinfo(out: &mut Vec<u8>, protoinfo: Option<ProtoInfo>) {
    match protoinfo {
        Some(ProtoInfo::Tcp(tcp)) => push_state(out, tcp.state.map(TcpState::name)),
        Some(ProtoInfo::Sctp(sctp)) => {
            push_state(out, sctp.state.map(|state| state.name()));
            push(out, "--orig-vtag", sctp.vtag_orig.map(vtag));
            push(out, "--reply-vtag", sctp.vtag_reply.map(vtag));
        }
        Some(ProtoInfo::Dccp(dccp)) => {
            push_state(out, dccp.state.map(|state| state.name()));
            if let Some(role) = dccp.role {
                let role: &[u8] = if role == 0 { b"client" } else { b"server" };
                out.extend_from_slice(b"--role ");
                out.extend_from_slice(role);
                out.push(b' ');
            }
        }
        None => {}
    }
}

/// A verification tag as conntrack writes it and reads it: it forgets that tags are in network
/// order.
fn vtag(tag: u32) -> u32 {
    u32::from_ne_bytes(tag.to_be_bytes())
}

/// A number without a name is `NONE` to conntrack.
fn push_state(out: &mut Vec<u8>, name: Option<Option<&'static str>>) {
    if let Some(name) = name {
        out.extend_from_slice(b"--state ");
        out.extend_from_slice(name.unwrap_or("NONE").as_bytes());
        out.push(b' ');
    }
}

fn push(out: &mut Vec<u8>, option: &str, value: Option<impl itoa::Integer>) {
    if let Some(value) = value {
        out.extend_from_slice(option.as_bytes());
        out.push(b' ');
        push_number(out, value);
        out.push(b' ');
    }
}
