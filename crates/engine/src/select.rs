//! Which entries: what the filter flags say, in a form that can be asked of any entry and, as far
//! as the kernel can, of the kernel.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use ctnetlink::{
    DccpState, Entry, Family, Filter, Masked, Protocol, SctpState, Status, TcpState, Tuple,
    TupleFilter,
};
use ipnet::IpNet;

/// A selection of entries. Lists are alternatives; an empty list selects everything; all lists
/// must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Address family.
    pub family: Option<Family>,
    /// Protocols.
    pub protocols: Vec<Protocol>,
    /// The original direction.
    pub orig: Side,
    /// The reply direction.
    pub reply: Side,
    /// States by name, of any protocol.
    pub states: Vec<StateName>,
    /// Conditions on the status; all must hold.
    pub status: Vec<StatusIs>,
    /// Marks.
    pub marks: Vec<Mark>,
    /// Zones.
    pub zones: Vec<u16>,
    /// Translation.
    pub nat: Option<Nat>,
}

/// What one direction's tuple must be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Side {
    /// Networks of the source.
    pub src: Vec<IpNet>,
    /// Networks of the destination.
    pub dst: Vec<IpNet>,
    /// Source ports.
    pub src_port: Vec<Ports>,
    /// Destination ports.
    pub dst_port: Vec<Ports>,
}

/// A port or a range of ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ports(pub RangeInclusive<u16>);

/// The name of a protocol's state, in the kernel's spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateName(&'static str);

/// A condition on the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusIs {
    /// The bit.
    pub bit: Status,
    /// Whether it must be set or not.
    pub set: bool,
}

/// A mark, of which only the bits of a mask count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(pub Masked);

/// What must be translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nat {
    /// Something: source, destination or both.
    Any,
    /// The source.
    Source,
    /// The destination.
    Destination,
    /// Nothing.
    None,
}

impl Selection {
    /// Whether it selects everything, also where it seems to say something: a mask of no bits, all
    /// networks of both families.
    pub fn is_any(&self) -> bool {
        let everything = Self {
            marks: Vec::new(),
            orig: self.orig.without_all_networks(),
            reply: self.reply.without_all_networks(),
            ..self.clone()
        };
        let any_mark = self.marks.is_empty() || self.marks.iter().any(|mark| mark.0.mask == 0);
        any_mark && everything == Self::default()
    }

    /// Whether an entry is selected.
    pub fn matches(&self, entry: &Entry) -> bool {
        let state = || entry.state_name();
        self.family.is_none_or(|family| family == entry.family())
            && (self.protocols.is_empty() || self.protocols.contains(&entry.orig.protocol))
            && self.orig.matches(&entry.orig)
            && self.reply.matches(&entry.reply)
            && (self.states.is_empty()
                || state().is_some_and(|state| self.states.iter().any(|wanted| wanted.0 == state)))
            && self.status.iter().all(|wanted| wanted.matches(entry))
            && any(&self.marks, |mark| mark.0.matches(entry.mark.unwrap_or(0)))
            && (self.zones.is_empty() || self.zones.contains(&entry.zone.id))
            && self.nat.is_none_or(|nat| nat.matches(entry))
    }

    /// Whether [`kernel_filter`](Self::kernel_filter) says all of it.
    pub fn is_exact_in_kernel(&self) -> bool {
        let (set, clear) = self.status_bits();
        // The kernel takes one value a bit.
        !set.intersects(clear)
            && self.protocols.len() <= 1
            && self.zones.len() <= 1
            && self.marks.len() <= 1
            && self.states.is_empty()
            && self.nat.is_none()
            && [&self.orig, &self.reply]
                .into_iter()
                .all(Side::is_exact_in_kernel)
    }

    /// Status bits that must be set, and those that must not.
    fn status_bits(&self) -> (Status, Status) {
        let bits = |set: bool| {
            let conditions = self.status.iter().filter(|condition| condition.set == set);
            conditions.fold(Status::empty(), |all, condition| all | condition.bit)
        };
        (bits(true), bits(false))
    }

    /// The part of it that the kernel can filter: every selected entry matches it.
    pub fn kernel_filter(&self) -> Filter {
        let (set, clear) = self.status_bits();
        let status = Masked {
            value: set.bits(),
            mask: (set | clear).bits(),
        };
        Filter {
            family: self.family,
            protocol: only(&self.protocols),
            orig: self.orig.kernel_filter(),
            reply: self.reply.kernel_filter(),
            zone: only(&self.zones),
            mark: only(&self.marks).map(|mark| mark.0),
            status: (status.mask != 0).then_some(status),
        }
    }
}

impl Side {
    fn without_all_networks(&self) -> Self {
        let all = |nets: &[IpNet]| {
            [true, false].into_iter().all(|v4| {
                nets.iter()
                    .any(|net| net.prefix_len() == 0 && net.addr().is_ipv4() == v4)
            })
        };
        let mut side = self.clone();
        for nets in [&mut side.src, &mut side.dst] {
            if all(nets) {
                nets.clear();
            }
        }
        side
    }

    fn matches(&self, tuple: &Tuple) -> bool {
        let port = |wanted: &[Ports], port: Option<u16>| {
            wanted.is_empty()
                || port.is_some_and(|port| wanted.iter().any(|range| range.0.contains(&port)))
        };
        any(&self.src, |net| net.contains(&tuple.src))
            && any(&self.dst, |net| net.contains(&tuple.dst))
            && port(&self.src_port, tuple.src_port())
            && port(&self.dst_port, tuple.dst_port())
    }

    fn is_exact_in_kernel(&self) -> bool {
        let filter = self.kernel_filter();
        self.src.is_empty() == filter.src.is_none()
            && self.dst.is_empty() == filter.dst.is_none()
            && self.src_port.is_empty() == filter.src_port.is_none()
            && self.dst_port.is_empty() == filter.dst_port.is_none()
    }

    fn kernel_filter(&self) -> TupleFilter {
        let host = |nets: &[IpNet]| {
            only(nets)
                .filter(|net| net.prefix_len() == net.max_prefix_len())
                .map(|net| net.addr())
        };
        let port = |ports: &[Ports]| match ports {
            [Ports(range)] if range.start() == range.end() => Some(*range.start()),
            _ => None,
        };
        TupleFilter {
            src: host(&self.src),
            dst: host(&self.dst),
            src_port: port(&self.src_port),
            dst_port: port(&self.dst_port),
            ..TupleFilter::default()
        }
    }
}

impl StatusIs {
    fn matches(self, entry: &Entry) -> bool {
        entry.status.unwrap_or_default().intersects(self.bit) == self.set
    }
}

impl Nat {
    fn matches(self, entry: &Entry) -> bool {
        let mirror = entry.orig.mirror();
        let source = entry.has_status(Status::SRC_NAT)
            || entry.reply.dst != mirror.dst
            || entry.reply.dst_port() != mirror.dst_port();
        let destination = entry.has_status(Status::DST_NAT)
            || entry.reply.src != mirror.src
            || entry.reply.src_port() != mirror.src_port();
        match self {
            Self::Any => entry.is_nat(),
            Self::None => !entry.is_nat(),
            Self::Source => source,
            Self::Destination => destination,
        }
    }
}

fn any<T>(list: &[T], holds: impl FnMut(&T) -> bool) -> bool {
    list.is_empty() || list.iter().any(holds)
}

/// The one element of a list that has just one.
fn only<T: Clone>(list: &[T]) -> Option<T> {
    match list {
        [one] => Some(one.clone()),
        _ => None,
    }
}

/// Reads an address or a network: `10.0.0.5`, `10.0.0.0/8`, `2001:db8::/32`. Bits beyond the
/// prefix are ignored.
pub fn parse_net(text: &str) -> Result<IpNet, String> {
    let net: Result<IpNet, _> = text.parse();
    let host = || text.parse::<IpAddr>().map(IpNet::from);
    net.map(|net| net.trunc())
        .or_else(|_| host())
        .map_err(|_| "expected an address or a network, such as 10.0.0.5 or 10.0.0.0/8".to_owned())
}

/// Reads `tcp` or a number.
pub fn parse_protocol(text: &str) -> Result<Protocol, String> {
    Protocol::from_name(text).ok_or_else(|| {
        let names: Vec<_> = Protocol::TRACKED.iter().filter_map(|p| p.name()).collect();
        format!(
            "expected {} or an IANA number from 0 to 255",
            names.join(", ")
        )
    })
}

/// Reads `4`, `6`, `ipv4`, `ipv6`, `inet` or `inet6`.
pub fn parse_family(text: &str) -> Result<Family, String> {
    match text.to_ascii_lowercase().as_str() {
        "4" | "ipv4" | "inet" => Ok(Family::Ipv4),
        "6" | "ipv6" | "inet6" => Ok(Family::Ipv6),
        _ => Err("expected ipv4 or ipv6".to_owned()),
    }
}

/// Reads a number, decimal or hexadecimal with `0x`.
pub fn parse_u32(text: &str) -> Result<u32, String> {
    let number = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16)
            .ok()
            .filter(|_| !digits.starts_with('+')),
        None => text.parse().ok(),
    };
    number.ok_or_else(|| "expected a number from 0 to 4294967295, or 0x0 to 0xffffffff".to_owned())
}

impl FromStr for Ports {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "expected a port or a range, such as 443 or 8000-8999".to_owned();
        let port = |text: &str| text.trim().parse::<u16>().map_err(|_| wrong());
        let (first, last) = match text.split_once(['-', ':']) {
            Some((first, last)) => (port(first)?, port(last)?),
            None => (port(text)?, port(text)?),
        };
        if first > last {
            return Err(format!(
                "the range ends before it begins; did you mean {last}-{first}?"
            ));
        }
        Ok(Self(first..=last))
    }
}

impl FromStr for StateName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        TcpState::from_name(text)
            .and_then(TcpState::name)
            .or_else(|| SctpState::from_name(text).and_then(SctpState::name))
            .or_else(|| DccpState::from_name(text).and_then(DccpState::name))
            .map(Self)
            .ok_or_else(|| {
                let names: Vec<_> = TcpState::ALL
                    .iter()
                    .filter_map(|state| state.name())
                    .collect();
                format!("expected {}, or a state of SCTP or DCCP", names.join(", "))
            })
    }
}

impl FromStr for StatusIs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, set) = match text.strip_prefix('!') {
            Some(name) => (name, false),
            None => (text, true),
        };
        // conntrack(8) knows the absence of a reply by this name.
        if name.eq_ignore_ascii_case("UNREPLIED") {
            return Ok(Self {
                bit: Status::SEEN_REPLY,
                set: !set,
            });
        }
        Status::from_bit_name(name)
            .map(|bit| Self { bit, set })
            .ok_or_else(|| {
                let names: Vec<_> = Status::all().iter_names().map(|(name, _)| name).collect();
                format!(
                    "expected UNREPLIED or {}, with ! in front for its absence",
                    names.join(", ")
                )
            })
    }
}

impl FromStr for Mark {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (value, mask) = match text.split_once('/') {
            Some((value, mask)) => (parse_u32(value)?, parse_u32(mask)?),
            None => (parse_u32(text)?, u32::MAX),
        };
        if value & !mask != 0 {
            return Err(format!("0x{value:x} has bits outside the mask 0x{mask:x}"));
        }
        Ok(Self(Masked { value, mask }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctnetlink::{L4, Zone};
    use proptest::prelude::*;

    fn net() -> impl Strategy<Value = IpNet> {
        let nets = [
            "10.0.0.1",
            "10.0.0.2/32",
            "10.0.0.0/8",
            "0.0.0.0/0",
            "::1",
            "::/0",
        ];
        proptest::sample::select(nets.to_vec()).prop_map(|text| parse_net(text).unwrap())
    }

    fn some<T: Clone + std::fmt::Debug + 'static>(items: Vec<T>) -> impl Strategy<Value = Vec<T>> {
        proptest::collection::vec(proptest::sample::select(items), 0..3)
    }

    /// Selections of a small world, so that entries often match, with contradictions.
    fn selections() -> impl Strategy<Value = Selection> {
        let nets = || proptest::collection::vec(net(), 0..3);
        let ports = || {
            some(
                (1..4)
                    .flat_map(|p| [Ports(p..=p), Ports(p..=p + 1)])
                    .collect(),
            )
        };
        let side =
            (nets(), nets(), ports(), ports()).prop_map(|(src, dst, src_port, dst_port)| Side {
                src,
                dst,
                src_port,
                dst_port,
            });
        let status = ["ASSURED", "!ASSURED", "SEEN_REPLY", "UNREPLIED"];
        let status = some(status.iter().map(|text| text.parse().unwrap()).collect());
        let marks = some(
            ["1", "0/1", "0/0", "2/3"]
                .map(|text| text.parse().unwrap())
                .to_vec(),
        );
        let family = proptest::option::of(proptest::sample::select(Family::ALL.to_vec()));
        let protocols = some(vec![Protocol::TCP, Protocol::SCTP]);
        (family, protocols, side, status, marks, some(vec![0, 1])).prop_map(
            |(family, protocols, orig, status, marks, zones)| Selection {
                family,
                protocols,
                orig,
                status,
                marks,
                zones,
                ..Selection::default()
            },
        )
    }

    fn entries() -> impl Strategy<Value = Entry> {
        let protocol = proptest::sample::select(vec![Protocol::TCP, Protocol::SCTP, Protocol(50)]);
        let numbers = (1u8..3, 1u8..3, 1u16..5, 1u16..5, 0u32..16, 0u32..4, 0u16..2);
        (protocol, proptest::bool::ANY, numbers).prop_map(|(protocol, v4, numbers)| {
            let (src, dst, src_port, dst_port, status, mark, zone) = numbers;
            let host = |last: u8| match v4 {
                true => IpAddr::from([10, 0, 0, last]),
                false => IpAddr::from([0, 0, 0, 0, 0, 0, 0, u16::from(last)]),
            };
            let l4 = match protocol.has_ports() {
                true => L4::Ports {
                    src: src_port,
                    dst: dst_port,
                },
                false => L4::None,
            };
            let orig = Tuple {
                src: host(src),
                dst: host(dst),
                protocol,
                l4,
            };
            let mut entry = Entry::new(orig, orig.mirror());
            entry.status = Some(Status::from_bits_retain(status));
            entry.mark = Some(mark);
            entry.zone = Zone::new(zone);
            entry
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn the_kernel_s_part_never_selects_less_and_the_exact_never_more(
            selection in selections(),
            entry in entries(),
        ) {
            let kernel = selection.kernel_filter().matches(&entry);
            prop_assert!(kernel || !selection.matches(&entry));
            if selection.is_exact_in_kernel() {
                prop_assert_eq!(kernel, selection.matches(&entry));
            }
            if selection.is_any() {
                prop_assert!(selection.matches(&entry));
            }
        }
    }

    #[test]
    fn a_condition_that_holds_for_everything_is_none() {
        let marks = vec!["0/0".parse().unwrap()];
        assert!(
            Selection {
                marks,
                ..Selection::default()
            }
            .is_any()
        );
        let from = |nets: &[&str]| Selection {
            orig: Side {
                src: nets.iter().map(|net| parse_net(net).unwrap()).collect(),
                ..Side::default()
            },
            ..Selection::default()
        };
        assert!(from(&["0.0.0.0/0", "::/0"]).is_any());
        assert!(!from(&["0.0.0.0/0"]).is_any());
    }
}
