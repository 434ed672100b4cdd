//! One connection as the contract shows it: which fields, of which type, in which order.

use std::cmp::{Ordering, Reverse};
use std::fmt::Display;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ctnetlink::{Counters, Entry, L4, ProtoInfo, Protocol, Status, TcpState, Tuple};
use ctwalk::{Floor, Number};
use serde::{Serialize, Serializer};

use crate::marks::Marks;

/// The document's name of the kernel's tenth TCP state, `SYN_SENT2`.
pub(super) const LISTEN: &str = "LISTEN";

/// What is kept of an entry until it is printed. Rows order as the contract lists them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    rank: u64,
    orig: Tuple,
    reply: Tuple,
    zone: u16,
    id: Option<u32>,
    status: Status,
    nat: bool,
    state: &'static str,
    timeout: Option<u32>,
    mark: u32,
    use_count: Option<u32>,
    counters_orig: Option<Counters>,
    counters_reply: Option<Counters>,
    start: Option<u64>,
}

/// By what connections are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Bytes of both directions: accounting is on. What has no counters, because it is older
    /// than the switch, comes as 0.
    Bytes,
    /// Seconds left: accounting is off. What has no timeout, because a flow table forwards it,
    /// comes last.
    Timeout,
}

impl Order {
    /// Of the bytes that decide, less than the least that is kept need not be read.
    pub(super) fn floor(self) -> Option<Floor> {
        match self {
            Self::Bytes => Floor::of(Number::Bytes),
            Self::Timeout => None,
        }
    }

    /// What decides first; the larger comes first.
    #[inline]
    pub(super) fn rank(self, entry: &Entry) -> u64 {
        match self {
            Self::Bytes => entry.bytes().unwrap_or(0),
            Self::Timeout => entry.timeout.map_or(0, |seconds| u64::from(seconds) + 1),
        }
    }
}

impl Row {
    pub(super) fn new(entry: &Entry, rank: u64) -> Self {
        Self {
            rank,
            orig: entry.orig,
            reply: entry.reply,
            zone: entry.zone.id,
            id: entry.id,
            status: entry.status.unwrap_or_default(),
            nat: entry.is_nat(),
            state: state_name(entry),
            timeout: entry.timeout,
            mark: entry.mark.unwrap_or(0),
            use_count: entry.use_count,
            counters_orig: entry.counters_orig,
            counters_reply: entry.counters_reply,
            start: entry.timestamps.and_then(|timestamps| timestamps.start),
        }
    }

    /// What decides first.
    pub(super) const fn rank(&self) -> u64 {
        self.rank
    }

    /// What names the entry: two rows of one entry can be in an interrupted dump.
    pub(super) const fn name(&self) -> (Tuple, Tuple, u16, Option<u32>) {
        (self.orig, self.reply, self.zone, self.id)
    }
}

/// Larger rank first, then larger timeout, then by tuple; what follows only makes the order of
/// equal tuples in different zones certain.
impl Ord for Row {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |row: &Self| (Reverse(row.rank), Reverse(row.timeout));
        key(self)
            .cmp(&key(other))
            .then_with(|| self.orig.cmp(&other.orig))
            .then_with(|| self.zone.cmp(&other.zone))
            .then_with(|| self.reply.cmp(&other.reply))
            .then_with(|| self.id.cmp(&other.id))
    }
}

impl PartialOrd for Row {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The state in the contract's words, empty where there is none.
fn state_name(entry: &Entry) -> &'static str {
    match entry.protoinfo {
        Some(ProtoInfo::Tcp(tcp)) if tcp.state == Some(TcpState::SYN_SENT2) => LISTEN,
        _ => entry.state_name().unwrap_or(""),
    }
}

/// The whole answer, written row by row.
#[derive(Serialize)]
pub(super) struct Connections<'a> {
    connections: Rows<'a>,
}

struct Rows<'a> {
    rows: &'a [Row],
    marks: &'a Marks,
    now: SystemTime,
}

impl<'a> Connections<'a> {
    /// `now` is what ages are counted to.
    pub(super) const fn new(rows: &'a [Row], marks: &'a Marks, now: SystemTime) -> Self {
        Self {
            connections: Rows { rows, marks, now },
        }
    }
}

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let rows = self.rows.iter();
        serializer.collect_seq(rows.map(|row| Connection::new(row, self.marks, self.now)))
    }
}

/// A connection in the document's fields.
#[derive(Serialize)]
struct Connection<'a> {
    layer: &'static str,
    protocol: Text<Protocol>,
    state: &'static str,
    status: &'static str,
    src: Text<std::net::IpAddr>,
    dst: Text<std::net::IpAddr>,
    #[serde(flatten)]
    l4: OrigL4,
    src_reply: Text<std::net::IpAddr>,
    dst_reply: Text<std::net::IpAddr>,
    #[serde(flatten)]
    l4_reply: ReplyL4,
    #[serde(skip_serializing_if = "Option::is_none")]
    packets: Option<Text<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<Text<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    packets_reply: Option<Text<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_reply: Option<Text<u64>>,
    packets_total: u64,
    bytes_total: u64,
    nat: u8,
    mark: Hex,
    provider: std::borrow::Cow<'a, str>,
    ndpi: std::borrow::Cow<'a, str>,
    prio: std::borrow::Cow<'a, str>,
    timeout: Text<Maybe<u32>>,
    zone: Text<u16>,
    #[serde(rename = "use")]
    use_count: Text<Maybe<u32>>,
    #[serde(rename = "delta-time", skip_serializing_if = "Option::is_none")]
    delta_time: Option<Text<u64>>,
}

impl<'a> Connection<'a> {
    fn new(row: &Row, marks: &'a Marks, now: SystemTime) -> Self {
        let (orig, reply) = (row.counters_orig, row.counters_reply);
        let sum =
            |pick: fn(Counters) -> u64| orig.map_or(0, pick).saturating_add(reply.map_or(0, pick));
        Self {
            layer: row.orig.family().name(),
            protocol: Text(row.orig.protocol),
            state: row.state,
            status: status_name(row.status),
            src: Text(row.orig.src),
            dst: Text(row.orig.dst),
            l4: OrigL4::of(row.orig.l4),
            src_reply: Text(row.reply.src),
            dst_reply: Text(row.reply.dst),
            l4_reply: ReplyL4::of(row.reply.l4),
            packets: orig.map(|counters| Text(counters.packets)),
            bytes: orig.map(|counters| Text(counters.bytes)),
            packets_reply: reply.map(|counters| Text(counters.packets)),
            bytes_reply: reply.map(|counters| Text(counters.bytes)),
            packets_total: sum(|counters| counters.packets),
            bytes_total: sum(|counters| counters.bytes),
            nat: u8::from(row.nat),
            mark: Hex(row.mark),
            provider: marks.provider(row.mark),
            ndpi: marks.application(row.mark),
            prio: marks.class(row.mark),
            timeout: Text(Maybe(row.timeout)),
            zone: Text(row.zone),
            use_count: Text(Maybe(row.use_count)),
            delta_time: row.start.map(|start| Text(age(start, now))),
        }
    }
}

/// Whole seconds from `start` (nanoseconds since the epoch) to `now`.
fn age(start: u64, now: SystemTime) -> u64 {
    let start = UNIX_EPOCH + Duration::from_nanos(start);
    now.duration_since(start)
        .map_or(0, |passed| passed.as_secs())
}

/// One word, as the contract has it; an offloaded entry is assured too, and says the rarer thing.
fn status_name(status: Status) -> &'static str {
    if status.contains(Status::HW_OFFLOAD) {
        "HW_OFFLOAD"
    } else if status.contains(Status::OFFLOAD) {
        "OFFLOAD"
    } else if status.contains(Status::ASSURED) {
        "ASSURED"
    } else if !status.contains(Status::SEEN_REPLY) {
        "UNREPLIED"
    } else {
        ""
    }
}

/// What an original tuple has beside its addresses. Protocols that have neither ports nor ICMP's
/// fields show empty ports, so that the field set stays the document's.
#[derive(Serialize)]
#[serde(untagged)]
enum OrigL4 {
    Ports {
        sport: Text<u16>,
        dport: Text<u16>,
    },
    Icmp {
        #[serde(rename = "type")]
        kind: Text<u8>,
        code: Text<u8>,
        id: Text<u16>,
    },
    None {
        sport: &'static str,
        dport: &'static str,
    },
}

impl OrigL4 {
    const fn of(l4: L4) -> Self {
        match l4 {
            L4::Ports { src, dst } => Self::Ports {
                sport: Text(src),
                dport: Text(dst),
            },
            L4::Icmp { kind, code, id } => Self::Icmp {
                kind: Text(kind),
                code: Text(code),
                id: Text(id),
            },
            L4::None | L4::Gre { .. } => Self::None {
                sport: "",
                dport: "",
            },
        }
    }
}

/// The same of a reply tuple.
#[derive(Serialize)]
#[serde(untagged)]
enum ReplyL4 {
    Ports {
        sport_reply: Text<u16>,
        dport_reply: Text<u16>,
    },
    Icmp {
        type_reply: Text<u8>,
        code_reply: Text<u8>,
        id_reply: Text<u16>,
    },
    None {
        sport_reply: &'static str,
        dport_reply: &'static str,
    },
}

impl ReplyL4 {
    const fn of(l4: L4) -> Self {
        match l4 {
            L4::Ports { src, dst } => Self::Ports {
                sport_reply: Text(src),
                dport_reply: Text(dst),
            },
            L4::Icmp { kind, code, id } => Self::Icmp {
                type_reply: Text(kind),
                code_reply: Text(code),
                id_reply: Text(id),
            },
            L4::None | L4::Gre { .. } => Self::None {
                sport_reply: "",
                dport_reply: "",
            },
        }
    }
}

/// A value as a JSON string.
struct Text<T>(T);

impl<T: Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A value, or an empty string where the kernel said nothing: never a zero.
struct Maybe<T>(Option<T>);

impl<T: Display> Display for Maybe<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.as_ref().map_or(Ok(()), |value| value.fmt(f))
    }
}

/// A mark: `0x` and hexadecimal digits without leading zeros.
struct Hex(u32);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:#x}", self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use ctnetlink::{TcpInfo, Timestamps};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn shown(entry: &Entry) -> Value {
        let marks = Marks::new(&Config::default().marks);
        let row = Row::new(entry, 0);
        let now = UNIX_EPOCH + Duration::from_secs(1000);
        serde_json::to_value(Connection::new(&row, &marks, now)).unwrap()
    }

    fn example() -> Entry {
        let orig = Tuple::ports(
            Protocol::TCP,
            "192.168.5.31".parse().unwrap(),
            55142,
            "4.8.55.14".parse().unwrap(),
            443,
        );
        let reply = Tuple::ports(
            Protocol::TCP,
            "54.208.55.14".parse().unwrap(),
            443,
            "80.17.99.73".parse().unwrap(),
            55142,
        );
        let mut entry = Entry::new(orig, reply);
        entry.status = Some(Status::SEEN_REPLY | Status::ASSURED | Status::SRC_NAT);
        entry.timeout = Some(431_978);
        entry.mark = Some(0x5b03);
        entry.use_count = Some(2);
        entry.counters_orig = Some(Counters {
            packets: 1503,
            bytes: 97369,
        });
        entry.counters_reply = Some(Counters {
            packets: 1016,
            bytes: 122_808,
        });
        entry.protoinfo = Some(ProtoInfo::Tcp(TcpInfo {
            state: Some(TcpState::ESTABLISHED),
            ..TcpInfo::default()
        }));
        entry
    }

    #[test]
    fn the_document_s_example_comes_out_as_it_stands_there() {
        let expected = json!({
            "provider": "", "bytes_total": 220_177, "dport_reply": "55142",
            "dst_reply": "80.17.99.73", "protocol": "tcp", "bytes": "97369", "nat": 1,
            "zone": "0", "status": "ASSURED", "sport_reply": "443", "packets": "1503",
            "packets_reply": "1016", "dport": "443", "state": "ESTABLISHED", "mark": "0x5b03",
            "use": "2", "timeout": "431978", "ndpi": "SSL", "src_reply": "54.208.55.14",
            "src": "192.168.5.31", "prio": "low", "layer": "ipv4", "bytes_reply": "122808",
            "packets_total": 2519, "sport": "55142", "dst": "4.8.55.14",
        });
        assert_eq!(shown(&example()), expected);
    }

    #[test]
    fn what_the_kernel_did_not_say_is_absent_or_empty_and_totals_are_zero() {
        let orig = example().orig;
        let shown = shown(&Entry::new(orig, orig.mirror()));
        for absent in [
            "packets",
            "bytes",
            "packets_reply",
            "bytes_reply",
            "delta-time",
        ] {
            assert_eq!(shown.get(absent), None, "{absent}");
        }
        assert_eq!(shown["bytes_total"], 0);
        assert_eq!(shown["packets_total"], 0);
        assert_eq!(shown["timeout"], "");
        assert_eq!(shown["use"], "");
        assert_eq!(shown["state"], "");
        assert_eq!(shown["mark"], "0x0");
        assert_eq!(shown["nat"], 0);
        assert_eq!(shown["status"], "UNREPLIED");
    }

    #[test]
    fn icmp_has_type_code_and_id_instead_of_ports() {
        let orig = Tuple {
            src: "2001:DB8:0:0:0::1".parse().unwrap(),
            dst: "2001:db8::2".parse().unwrap(),
            protocol: Protocol::ICMPV6,
            l4: L4::Icmp {
                kind: 128,
                code: 0,
                id: 77,
            },
        };
        let shown = shown(&Entry::new(orig, orig.mirror()));
        assert_eq!(shown["layer"], "ipv6");
        assert_eq!(shown["src"], "2001:db8::1");
        assert_eq!(shown["protocol"], "icmpv6");
        assert_eq!(
            [
                &shown["type"],
                &shown["code"],
                &shown["id"],
                &shown["type_reply"]
            ],
            ["128", "0", "77", "129"]
        );
        assert_eq!(shown["id_reply"], "77");
        assert_eq!(shown["code_reply"], "0");
        for absent in ["sport", "dport", "sport_reply", "dport_reply"] {
            assert_eq!(shown.get(absent), None, "{absent}");
        }
    }

    #[test]
    fn a_protocol_without_ports_shows_its_number_and_empty_ports() {
        let orig = Tuple {
            protocol: Protocol(50),
            l4: L4::None,
            ..example().orig
        };
        let shown = shown(&Entry::new(orig, orig.mirror()));
        assert_eq!(shown["protocol"], "50");
        assert_eq!(shown["sport"], "");
        assert_eq!(shown["dport_reply"], "");
    }

    #[test]
    fn the_tenth_tcp_state_is_listen() {
        let mut entry = example();
        entry.protoinfo = Some(ProtoInfo::Tcp(TcpInfo {
            state: Some(TcpState::SYN_SENT2),
            ..TcpInfo::default()
        }));
        assert_eq!(shown(&entry)["state"], "LISTEN");
    }

    #[test]
    fn status_is_one_word() {
        let names = [
            (Status::empty(), "UNREPLIED"),
            (Status::SEEN_REPLY, ""),
            (Status::SEEN_REPLY | Status::ASSURED, "ASSURED"),
            (
                Status::SEEN_REPLY | Status::ASSURED | Status::OFFLOAD,
                "OFFLOAD",
            ),
            (Status::all(), "HW_OFFLOAD"),
        ];
        for (status, name) in names {
            assert_eq!(status_name(status), name, "{status:?}");
        }
    }

    #[test]
    fn an_age_is_whole_seconds_and_never_negative() {
        let mut entry = example();
        for (start, age) in [(990_600_000_000, "9"), (2_000_000_000_000, "0")] {
            entry.timestamps = Some(Timestamps {
                start: Some(start),
                stop: None,
            });
            assert_eq!(shown(&entry)["delta-time"], age);
        }
    }

    #[test]
    fn a_port_that_alone_is_translated_is_nat() {
        let mut entry = example();
        entry.status = Some(Status::SEEN_REPLY);
        entry.reply = entry.orig.mirror();
        assert_eq!(shown(&entry)["nat"], 0);
        if let L4::Ports { dst, .. } = &mut entry.reply.l4 {
            *dst += 1;
        }
        assert_eq!(shown(&entry)["nat"], 1);
    }

    proptest! {
        #[test]
        fn rows_order_by_rank_then_timeout_then_tuple(
            a in (0u64..3, proptest::option::of(0u32..3), 1u16..3, 0u16..2),
            b in (0u64..3, proptest::option::of(0u32..3), 1u16..3, 0u16..2),
        ) {
            let row = |(rank, timeout, port, zone): (u64, Option<u32>, u16, u16)| {
                let mut entry = example();
                entry.orig.l4 = L4::Ports { src: port, dst: 1 };
                entry.timeout = timeout;
                entry.zone.id = zone;
                Row::new(&entry, rank)
            };
            let expected = b.0.cmp(&a.0)
                .then(b.1.cmp(&a.1))
                .then(a.2.cmp(&b.2))
                .then(a.3.cmp(&b.3));
            prop_assert_eq!(row(a).cmp(&row(b)), expected);
        }
    }
}
