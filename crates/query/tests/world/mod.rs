//! A small world in which random queries often meet random entries.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::net::IpAddr;

use ctnetlink::{
    Entry, L4, NewEntry, ProtoInfo, Protocol, SctpInfo, SctpState, Status, TcpFlags, TcpInfo,
    TcpState, Tuple, Zone, ZoneDirection,
};
use proptest::prelude::*;
use query::{MarkNames, Query, Vocabulary};

pub(crate) const NOW: u64 = 1_000_000_000_000_000;

pub(crate) fn vocabulary() -> Vocabulary {
    Vocabulary {
        provider: MarkNames {
            shift: 16,
            mask: 0xffff,
            names: vec![
                (0, "none".to_owned()),
                (1, "wan1".to_owned()),
                (2, "wan2".to_owned()),
            ],
        },
        local: Box::new(|| {
            Ok(vec![
                "10.0.0.1/32".parse().unwrap(),
                "2001:db8::1/128".parse().unwrap(),
            ])
        }),
        ..Vocabulary::default()
    }
}

/// A query as a tree, so that it can be asked part by part.
#[derive(Clone, Debug)]
pub(crate) enum Tree {
    Term(String),
    Not(Box<Self>),
    And(Vec<Self>),
    Or(Vec<Self>),
}

impl Tree {
    pub(crate) fn text(&self) -> String {
        let joined = |parts: &[Self], word: &str| {
            let texts: Vec<String> = parts
                .iter()
                .map(|part| format!("({})", part.text()))
                .collect();
            texts.join(word)
        };
        match self {
            Self::Term(text) => text.clone(),
            Self::Not(inner) => format!("not ({})", inner.text()),
            Self::And(parts) => joined(parts, " and "),
            Self::Or(parts) => joined(parts, " or "),
        }
    }

    /// Asks each term by itself and joins the answers.
    pub(crate) fn holds(&self, entry: &Entry, vocabulary: &Vocabulary) -> bool {
        match self {
            Self::Term(text) => Query::parse(text, vocabulary).unwrap().matches(entry, NOW),
            Self::Not(inner) => !inner.holds(entry, vocabulary),
            Self::And(parts) => parts.iter().all(|part| part.holds(entry, vocabulary)),
            Self::Or(parts) => parts.iter().any(|part| part.holds(entry, vocabulary)),
        }
    }
}

const HOSTS: [&str; 8] = [
    "10.0.0.1",
    "10.0.0.2",
    "10.0.0.3",
    "10.0.1.1",
    "2001:db8::1",
    "2001:db8::2",
    "2001:db8::3",
    "2001:db8:1::1",
];
const NETS: [&str; 6] = [
    "10.0.0.0/24",
    "10.0.0.2/31",
    "10.0.0.1-10.0.0.2",
    "2001:db8::/64",
    "0.0.0.0/0",
    "::/0",
];
const PORTS: [u16; 4] = [1, 2, 53, 80];
const MARKS: [u32; 6] = [0, 1, 3, 0x11, 0x1_0001, 0x2_0003];

fn pick(items: &'static [&'static str]) -> impl Strategy<Value = String> {
    proptest::sample::select(items).prop_map(str::to_owned)
}

/// `in {…}` of one to three.
fn set(items: &'static [&'static str]) -> impl Strategy<Value = String> {
    proptest::collection::vec(pick(items), 1..4)
        .prop_map(|items| format!("{{{}}}", items.join(", ")))
}

/// More ranges than any kernel takes: all even ports, or all odd ones.
fn many_ports((field, within, is_odd): (String, String, bool)) -> String {
    let ports = (0..70u16).map(|port| (2 * port + u16::from(is_odd)).to_string());
    format!(
        "{field} {within} {{{}}}",
        ports.collect::<Vec<_>>().join(", ")
    )
}

fn terms() -> impl Strategy<Value = String> {
    let address_fields = &["src", "dst", "peer", "reply.dst", "host"];
    let port_fields = &["sport", "dport", "peer.port", "reply.dport", "port"];
    let equal = &["==", "!="];
    let within = &["in", "not in"];
    let order = &["==", "!=", "<", "<=", ">", ">="];
    let ports = &["1", "2", "53", "80", "domain", "1-60"];
    let joined = |(a, b, c): (String, String, String)| format!("{a} {b} {c}");
    prop_oneof![
        4 => (pick(address_fields), pick(equal), pick(&HOSTS)).prop_map(joined),
        2 => (pick(address_fields), pick(within), set(&HOSTS)).prop_map(joined),
        1 => (pick(address_fields), pick(within), pick(&NETS)).prop_map(joined),
        3 => (pick(port_fields), pick(within), set(ports)).prop_map(joined),
        2 => (pick(port_fields), pick(order), pick(&["1", "2", "53", "80"])).prop_map(joined),
        3 => (pick(&["proto"]), pick(equal), pick(&["tcp", "udp", "icmp", "icmpv6", "sctp", "50"])).prop_map(joined),
        2 => (pick(&["proto"]), pick(within), set(&["tcp", "udp", "icmp", "sctp"])).prop_map(joined),
        4 => pick(&["tcp", "udp", "icmp", "icmpv6", "sctp", "ipv4", "ipv6", "nat", "snat", "dnat",
            "assured", "unreplied", "offloaded", "local", "expected"]),
        2 => (pick(&["state"]), pick(equal), pick(&["ESTABLISHED", "SYN_SENT", "COOKIE_WAIT"])).prop_map(joined),
        2 => (pick(&["zone"]), pick(order), pick(&["1", "2"])).prop_map(joined),
        1 => (pick(&["zone"]), pick(within), set(&["0", "1", "2"])).prop_map(joined),
        2 => (pick(&["mark & 0xff", "mark & 0xf", "mark & 0x10001", "mark"]), pick(order), pick(&["1"])).prop_map(joined),
        1 => (pick(&["mark"]), pick(within), set(&["0", "1", "3", "0x11", "0x10001"])).prop_map(joined),
        1 => (pick(&["provider"]), pick(within), set(&["wan1", "wan2", "none", "7"])).prop_map(joined),
        1 => (pick(&["status"]), pick(within), set(&["ASSURED", "SEEN_REPLY", "CONFIRMED"])).prop_map(joined),
        1 => (pick(&["status & 0x6"]), pick(order), pick(&["2", "4", "6"])).prop_map(joined),
        1 => (pick(&["icmp.type", "icmp.code", "icmp.id"]), pick(order), pick(&["1", "8", "128"])).prop_map(joined),
        1 => (pick(&["timeout"]), pick(&["<", ">"]), pick(&["500", "1500", "2500"])).prop_map(joined),
        1 => (pick(&["age"]), pick(order), pick(&["3", "5", "7"])).prop_map(joined),
        1 => (pick(&["tcp.flags.orig", "tcp.flags & 0x6", "use", "packets.reply", "gre.key"]), pick(order), pick(&["2", "4"])).prop_map(joined),
        1 => (pick(port_fields), pick(within), any::<bool>()).prop_map(many_ports),
        1 => pick(&["has dport", "has state", "has mark", "has provider", "has icmp.id", "has label",
            "has helper", "has age", "not has gre.key", "has bytes", "bytes > 0", "not bytes > 0", "tcp.wscale.orig > 3"]),
    ]
}

pub(crate) fn trees() -> impl Strategy<Value = Tree> {
    terms()
        .prop_map(Tree::Term)
        .prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                3 => proptest::collection::vec(inner.clone(), 2..4).prop_map(Tree::And),
                2 => proptest::collection::vec(inner.clone(), 2..4).prop_map(Tree::Or),
                1 => inner.prop_map(|inner| Tree::Not(Box::new(inner))),
            ]
        })
}

fn tuple() -> impl Strategy<Value = Tuple> {
    let protocol = proptest::sample::select(
        &[
            Protocol::TCP,
            Protocol::TCP,
            Protocol::UDP,
            Protocol::UDP,
            Protocol::ICMP,
            Protocol::ICMPV6,
            Protocol::SCTP,
            Protocol::GRE,
            Protocol(50),
        ][..],
    );
    let port = || proptest::sample::select(&PORTS[..]);
    (
        protocol,
        any::<bool>(),
        0usize..4,
        0usize..4,
        port(),
        port(),
    )
        .prop_map(|(protocol, v6, src, dst, src_port, dst_port)| {
            let v6 = (v6 || protocol == Protocol::ICMPV6) && protocol != Protocol::ICMP;
            let host =
                |index: usize| -> IpAddr { HOSTS[index + if v6 { 4 } else { 0 }].parse().unwrap() };
            let l4 = match protocol {
                Protocol::ICMP => L4::Icmp {
                    kind: 8,
                    code: 0,
                    id: src_port,
                },
                Protocol::ICMPV6 => L4::Icmp {
                    kind: 128,
                    code: 0,
                    id: src_port,
                },
                Protocol::GRE => L4::Gre {
                    src_key: src_port,
                    dst_key: dst_port,
                },
                protocol if protocol.has_ports() => L4::Ports {
                    src: src_port,
                    dst: dst_port,
                },
                _ => L4::None,
            };
            Tuple {
                src: host(src),
                dst: host(dst),
                protocol,
                l4,
            }
        })
}

/// An entry to be made in the kernel.
pub(crate) fn new_entry() -> impl Strategy<Value = NewEntry> {
    let one_way = Zone {
        id: 2,
        direction: ZoneDirection::Original,
    };
    let zones = [0, 0, 1, 2].map(Zone::new).into_iter().chain([one_way]);
    let zone = proptest::sample::select(zones.collect::<Vec<_>>());
    let mark = proptest::sample::select(&MARKS[..]);
    let timeout = proptest::sample::select(&[1000u32, 2000, 3000][..]);
    let numbers = (zone, mark, timeout, 0u32..4, 0u8..3, 0usize..8);
    (tuple(), numbers, 0u16..6).prop_map(
        |(orig, (zone, mark, timeout, status, state, host), nat)| {
            let mut entry = NewEntry::new(orig, timeout);
            let other: IpAddr = HOSTS[host % 4 + if orig.src.is_ipv6() { 4 } else { 0 }]
                .parse()
                .unwrap();
            match nat {
                0 => entry.reply.dst = other,
                1 => entry.reply.src = other,
                _ => {}
            }
            entry.zone = zone;
            entry.mark = Some(mark).filter(|&mark| mark != 0);
            // Confirmed, and answered or assured or both.
            entry.status = Status::from_bits_retain(status << 1) | Status::CONFIRMED;
            entry.protoinfo = match orig.protocol {
                Protocol::TCP => Some(ProtoInfo::Tcp(TcpInfo {
                    state: Some(
                        [
                            TcpState::SYN_SENT,
                            TcpState::ESTABLISHED,
                            TcpState::TIME_WAIT,
                        ][usize::from(state)],
                    ),
                    wscale_orig: Some(state * 3),
                    wscale_reply: Some(0),
                    flags_orig: Some(TcpFlags {
                        flags: 2 * state,
                        mask: 6,
                    }),
                    ..TcpInfo::default()
                })),
                Protocol::SCTP => Some(ProtoInfo::Sctp(SctpInfo {
                    state: Some(
                        [
                            SctpState::COOKIE_WAIT,
                            SctpState::ESTABLISHED,
                            SctpState::CLOSED,
                        ][usize::from(state)],
                    ),
                    vtag_orig: Some(1),
                    vtag_reply: Some(2),
                })),
                _ => None,
            };
            entry
        },
    )
}

/// The same without a kernel.
pub(crate) fn entry() -> impl Strategy<Value = Entry> {
    new_entry().prop_map(|new| Entry {
        zone: new.zone,
        status: Some(new.status),
        timeout: Some(new.timeout),
        mark: new.mark,
        protoinfo: new.protoinfo,
        ..Entry::new(new.orig, new.reply)
    })
}
