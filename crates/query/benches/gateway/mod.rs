//! The connections of a gateway, made up: no two alike, and the same ones each time.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ctnetlink::{
    Counters, Entry, HelperName, L4, ProtoInfo, Protocol, Status, TcpInfo, TcpState, Timestamps,
    Tuple,
};
use query::{MarkNames, Vocabulary};

/// The time by which ages are measured.
pub(crate) const NOW: u64 = 1_800_000_000 * SECOND;
const SECOND: u64 = 1_000_000_000;

/// Five terms, in the order in which they are evaluated: the cheapest first.
pub(crate) const FIVE_TERMS: [&str; 5] = [
    "tcp",
    "state == ESTABLISHED",
    "dport in {80, 443, 8000-8999}",
    "bytes > 10MB",
    "src in 10.0.0.0/8",
];

/// Two uplinks have names.
pub(crate) fn vocabulary() -> Vocabulary {
    Vocabulary {
        provider: MarkNames {
            shift: 16,
            mask: 0xffff,
            names: vec![(1, "wan1".to_owned()), (2, "wan2".to_owned())],
        },
        ..Vocabulary::default()
    }
}

/// Numbers that look random (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.roll() % limit
    }

    fn is_in(&mut self, of_hundred: u64) -> bool {
        self.below(100) < of_hundred
    }

    fn port(&mut self) -> u16 {
        1024 + self.below(64_000) as u16
    }
}

/// Connections as they come: of a hundred 70 TCP (three quarters of them established), 26 UDP, 4
/// ICMP; 15 IPv6; half of IPv4 has its source translated.
pub(crate) fn mixed(count: u64) -> Vec<Entry> {
    (0..count).map(|number| entry(number, false)).collect()
}

/// Connections of which [`FIVE_TERMS`] select each, different in everything else.
pub(crate) fn selected(count: u64) -> Vec<Entry> {
    (0..count).map(|number| entry(number, true)).collect()
}

fn entry(number: u64, is_selected: bool) -> Entry {
    let mut dice = Dice(number);
    let orig = opened(&mut dice, is_selected);
    let mut reply = orig.mirror();
    let mut status = Status::CONFIRMED;
    let is_translated = orig.src.is_ipv4() && dice.is_in(50);
    if is_translated {
        reply.dst = Ipv4Addr::from(0xcb00_7100 + dice.below(254) as u32).into();
        status |= Status::SRC_NAT;
    }
    let state = match dice.below(100) {
        _ if is_selected => TcpState::ESTABLISHED,
        0..75 => TcpState::ESTABLISHED,
        75..90 => TcpState::TIME_WAIT,
        90..97 => TcpState::CLOSE,
        _ => TcpState::SYN_SENT,
    };
    if state != TcpState::SYN_SENT {
        status |= Status::SEEN_REPLY | Status::ASSURED;
    }
    // From a hundred bytes to gigabytes, each size as often as its double.
    let least = if is_selected { 24 } else { 7 };
    let bytes = (1 << (least + dice.below(32 - least))) + dice.below(100);
    let counters = |bytes| {
        Some(Counters {
            packets: bytes / 700 + 1,
            bytes,
        })
    };
    Entry {
        id: Some(dice.roll() as u32),
        status: Some(status),
        timeout: Some(dice.below(432_000) as u32),
        mark: Some((dice.below(3) << 16 | dice.below(100) << 8) as u32),
        use_count: Some(1),
        counters_orig: counters(bytes / 16),
        counters_reply: counters(bytes),
        timestamps: Some(Timestamps {
            start: Some(NOW - dice.below(86_400) * SECOND),
            stop: None,
        }),
        protoinfo: (orig.protocol == Protocol::TCP).then_some(ProtoInfo::Tcp(TcpInfo {
            state: Some(state),
            wscale_orig: Some(7),
            wscale_reply: Some(8),
            ..TcpInfo::default()
        })),
        helper: dice
            .is_in(1)
            .then(|| HelperName::from("ftp").unwrap_or_default()),
        ..Entry::new(orig, reply)
    }
}

fn opened(dice: &mut Dice, is_selected: bool) -> Tuple {
    let (src, dst): (IpAddr, IpAddr) = if !is_selected && dice.is_in(15) {
        let network = 0x2001_0db8_u128 << 96;
        (
            Ipv6Addr::from_bits(network | u128::from(dice.below(60_000))).into(),
            Ipv6Addr::from_bits(network | 1 << 64 | u128::from(dice.below(100_000))).into(),
        )
    } else {
        let inside = if is_selected || dice.is_in(80) {
            0x0a00_0002
        } else {
            0xc0a8_0002
        };
        (
            Ipv4Addr::from(inside + dice.below(60_000) as u32).into(),
            Ipv4Addr::from(0xc612_0000 + dice.below(100_000) as u32).into(),
        )
    };
    let protocol = match dice.below(100) {
        _ if is_selected => Protocol::TCP,
        0..70 => Protocol::TCP,
        70..96 => Protocol::UDP,
        _ => {
            let (kind, protocol) = if src.is_ipv4() {
                (8, Protocol::ICMP)
            } else {
                (128, Protocol::ICMPV6)
            };
            let id = dice.port();
            let l4 = L4::Icmp { kind, code: 0, id };
            return Tuple {
                src,
                dst,
                protocol,
                l4,
            };
        }
    };
    let dport = match dice.below(100) {
        0..50 => 443,
        50..65 => 80,
        65..80 => 8_000 + dice.below(1_000) as u16,
        _ if is_selected => 443,
        80..90 => 53,
        _ => dice.port(),
    };
    Tuple::ports(protocol, src, dice.port(), dst, dport)
}
