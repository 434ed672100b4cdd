//! What the kernel compares, in the words of a query.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ctnetlink::{Family, Filter, Masked, Protocol, TupleFilter};
use ipnet::IpNet;

use crate::field::Field;
use crate::ranges::Ranges;
use crate::scalar::{Scalar, Set, family_number};
use crate::value::{TCP_FLAGS, states, status_names};
use crate::walk::Alternative;

/// A kernel filter in the words of a query.
pub(crate) fn of_filter(filter: &Filter) -> String {
    let mut words = Vec::new();
    if let Some(family) = filter.family {
        words.push(family.to_string());
    }
    if let Some(protocol) = filter.protocol {
        words.push(match protocol.name() {
            Some(name) => name.to_owned(),
            None => format!("proto == {protocol}"),
        });
    }
    let names = [
        (&filter.orig, ["src", "dst", "sport", "dport"]),
        (
            &filter.reply,
            ["peer", "reply.dst", "peer.port", "reply.dport"],
        ),
    ];
    for (tuple, [src, dst, src_port, dst_port]) in names {
        tuple_words(tuple, [src, dst, src_port, dst_port], &mut words);
    }
    if let Some(zone) = filter.zone {
        words.push(format!("zone == {zone}"));
    }
    for (name, masked) in [("mark", filter.mark), ("status", filter.status)] {
        if let Some(Masked { value, mask }) = masked {
            words.push(match mask {
                u32::MAX => format!("{name} == 0x{value:x}"),
                _ => format!("{name} & 0x{mask:x} == 0x{value:x}"),
            });
        }
    }
    words.join(" and ")
}

fn tuple_words(tuple: &TupleFilter, names: [&str; 4], words: &mut Vec<String>) {
    let [src, dst, src_port, dst_port] = names;
    for (name, address) in [(src, tuple.src), (dst, tuple.dst)] {
        words.extend(address.map(|address| format!("{name} == {address}")));
    }
    for (name, port) in [(src_port, tuple.src_port), (dst_port, tuple.dst_port)] {
        words.extend(port.map(|port| format!("{name} == {port}")));
    }
    words.extend(tuple.icmp_type.map(|kind| format!("icmp.type == {kind}")));
    words.extend(tuple.icmp_code.map(|code| format!("icmp.code == {code}")));
    words.extend(tuple.icmp_id.map(|id| format!("icmp.id == {id}")));
}

/// What the BPF program compares; nothing if it copies every entry, or none.
pub(crate) fn of_walk(alternatives: &[Alternative]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for alternative in alternatives {
        let mut words: Vec<String> = Vec::new();
        for (scalar, set) in alternative {
            // Both keys of GRE go by one name.
            let word = of_set(*scalar, set);
            if !words.contains(&word) {
                words.push(word);
            }
        }
        let words = words.join(" and ");
        if !words.is_empty() && !all.contains(&words) {
            all.push(words);
        }
    }
    all
}

/// A number and what it must be.
fn of_set(scalar: Scalar, set: &Set) -> String {
    let name = name(scalar);
    let present = Set::present(scalar);
    let others = set.complement(scalar);
    if set.absent {
        return if others == present {
            format!("not has {name}")
        } else {
            values(scalar, &others).denied(&name)
        };
    }
    if *set == present {
        return format!("has {name}");
    }
    // What is shorter said by what it is not. A state's numbers have no end.
    let others = others.intersection(&present);
    let is_bit_unset = bit_name(scalar).is_some() && *set == Set::one(0u32);
    if length(scalar, &others) >= length(scalar, set) && !is_bit_unset {
        values(scalar, set).said(&name)
    } else if scalar.can_be_absent() {
        let denied = values(scalar, &others).denied(&name);
        format!("has {name} and {denied}")
    } else {
        values(scalar, &others).denied(&name)
    }
}

/// How many values it takes to say a set.
fn length(scalar: Scalar, set: &Set) -> u128 {
    let ranges = set.numbers.as_slice();
    match scalar {
        Scalar::Protocol | Scalar::State => {
            ranges.iter().map(|&(first, last)| last - first + 1).sum()
        }
        _ => (ranges.len() + set.v6.as_slice().len()) as u128,
    }
}

fn name(scalar: Scalar) -> String {
    if let Some((field, _)) = bits(scalar) {
        return field.name().to_owned();
    }
    let fields = Field::ALL
        .iter()
        .filter(|field| field.scalars().contains(&scalar));
    // `host` and `port` are several.
    fields
        .min_by_key(|field| field.scalars().len())
        .map_or_else(String::new, |field| field.name().to_owned())
}

/// The field of bits, and which of them.
const fn bits(scalar: Scalar) -> Option<(Field, u32)> {
    Some(match scalar {
        Scalar::Mark(mask) => (Field::Mark, mask),
        Scalar::Status(mask) => (Field::Status, mask),
        Scalar::TcpFlagsOrig(mask) => (Field::TcpFlagsOrig, mask),
        Scalar::TcpFlagsReply(mask) => (Field::TcpFlagsReply, mask),
        _ => return None,
    })
}

/// The name of the one bit that is looked at.
fn bit_name(scalar: Scalar) -> Option<&'static str> {
    let (field, mask) = bits(scalar)?;
    let is_it = |&(_, bit): &(&str, u32)| bit == mask;
    let found = match field {
        Field::Mark => None,
        Field::Status => status_names().find(is_it),
        _ => TCP_FLAGS.into_iter().find(is_it),
    };
    found.map(|(name, _)| name)
}

/// What stands behind a name.
enum Values {
    /// A flag says it all.
    Flag(String),
    Order(&'static str, String),
    /// Values, and of which bits.
    These(String, Vec<String>),
}

impl Values {
    fn said(self, name: &str) -> String {
        match self {
            Self::Flag(flag) => flag,
            Self::Order(order, value) => format!("{name} {order} {value}"),
            Self::These(mask, values) => match values.as_slice() {
                [only] if is_single(only) => format!("{name}{mask} == {only}"),
                [only] => format!("{name}{mask} in {only}"),
                values => format!("{name}{mask} in {{{}}}", values.join(", ")),
            },
        }
    }

    fn denied(self, name: &str) -> String {
        match self {
            Self::These(mask, values) => match values.as_slice() {
                [only] if is_single(only) => format!("{name}{mask} != {only}"),
                [only] => format!("{name}{mask} not in {only}"),
                values => format!("{name}{mask} not in {{{}}}", values.join(", ")),
            },
            said => format!("not {}", said.said(name)),
        }
    }
}

fn is_single(value: &str) -> bool {
    !value.contains(['-', '/'])
}

/// The values of a set; absence is none.
fn values(scalar: Scalar, set: &Set) -> Values {
    let numbers = set.numbers.as_slice();
    let single = set.numbers.numbers(1);
    let single = single.as_deref().and_then(<[u128]>::first).copied();
    let these = |values: Vec<String>| Values::These(String::new(), values);
    match scalar {
        Scalar::Family => Values::Flag(family(single)),
        Scalar::Protocol => {
            let all = set.numbers.numbers(256).unwrap_or_default();
            let all = all.iter().filter_map(|&number| u8::try_from(number).ok());
            let mut names = all.map(|number| Protocol(number).to_string());
            match single
                .and_then(|number| u8::try_from(number).ok())
                .and_then(|number| Protocol(number).name())
            {
                Some(name) => Values::Flag(name.to_owned()),
                None => these(names.by_ref().collect()),
            }
        }
        Scalar::State => {
            let is_in = |&number: &u64| {
                !set.numbers
                    .intersection(&Ranges::one(number.into()))
                    .is_empty()
            };
            let states = states().into_iter();
            let states = states.filter(|(_, numbers)| numbers.iter().any(is_in));
            these(states.map(|(name, _)| name.to_owned()).collect())
        }
        _ if scalar.is_address() => {
            let v4 = |number: u128| IpAddr::V4(Ipv4Addr::from_bits(number as u32));
            let v6 = |number: u128| IpAddr::V6(Ipv6Addr::from_bits(number));
            let mut all: Vec<String> = Vec::new();
            all.extend(
                numbers
                    .iter()
                    .map(|&(a, b)| addresses(v4(a), v4(b), b - a, 32)),
            );
            let six = set.v6.as_slice().iter();
            all.extend(six.map(|&(a, b)| addresses(v6(a), v6(b), b - a, 128)));
            these(all)
        }
        _ => {
            if let (Some(name), Some(1)) = (bit_name(scalar), single) {
                return these(vec![name.to_owned()]);
            }
            numbers_of(scalar, numbers)
        }
    }
}

fn family(number: Option<u128>) -> String {
    let is_it = |family: &&Family| Some(u128::from(family_number(**family))) == number;
    Family::ALL
        .iter()
        .find(is_it)
        .map_or_else(String::new, ToString::to_string)
}

fn addresses(first: IpAddr, last: IpAddr, length: u128, bits: u32) -> String {
    // A network is as long as a power of two, and begins at a multiple of it.
    let host_bits = 128 - length.leading_zeros();
    let prefix = u8::try_from(bits.saturating_sub(host_bits)).unwrap_or_default();
    match IpNet::new(first, prefix) {
        Ok(_) if first == last => first.to_string(),
        Ok(net) if net.network() == first && net.broadcast() == last => net.to_string(),
        _ => format!("{first}-{last}"),
    }
}

fn numbers_of(scalar: Scalar, ranges: &[(u128, u128)]) -> Values {
    let (mask, shift) = match bits(scalar) {
        Some((_, 0)) | None => (None, 0),
        Some((_, mask)) => (Some(mask), mask.trailing_zeros()),
    };
    let text = |number: u128| match mask {
        Some(_) => format!("0x{:x}", number << shift),
        None => number.to_string(),
    };
    if let (&[(first, last)], None) = (ranges, mask)
        && first != last
    {
        if last == scalar.max() {
            return Values::Order(">=", text(first));
        }
        if first == 0 {
            return Values::Order("<=", text(last));
        }
    }
    let each = |&(first, last): &(u128, u128)| match first == last {
        true => text(first),
        false => format!("{}-{}", text(first), text(last)),
    };
    let all = match scalar {
        Scalar::TcpFlagsOrig(_) | Scalar::TcpFlagsReply(_) => 0xff,
        _ => u32::MAX,
    };
    let mask = mask.filter(|&mask| mask != all);
    Values::These(
        mask.map_or_else(String::new, |mask| format!(" & 0x{mask:x}")),
        ranges.iter().map(each).collect(),
    )
}
