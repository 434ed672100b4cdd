//! Values of queries: a word and the field that it stands beside, into the set that it means.

use std::net::IpAddr;

use ctnetlink::{DccpState, Family, Protocol, SctpState, Status, TcpState};
use ipnet::IpNet;

use crate::error::{did_you_mean, near};
use crate::field::{Field, Kind, MarkPart};
use crate::glob::Glob;
use crate::ranges::Ranges;
use crate::scalar::{BitField, DCCP, SCTP, Set, family_number};
use crate::vocabulary::Vocabulary;

/// What a value means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Values of a number, or of a part of the mark.
    Set(Set),
    /// These bits are set.
    Bits(u32),
    /// This label is set.
    Label(u8),
    /// This text.
    Text(String),
}

/// A value as it was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) meaning: Meaning,
    /// In the form in which the query is printed.
    pub(crate) text: String,
    /// Whether it is a single value, not a range or a network.
    pub(crate) is_single: bool,
}

/// What is wrong with a value and what to do.
pub(crate) struct Wrong {
    pub(crate) message: String,
    pub(crate) hint: String,
    /// Whether it is a name that is not known.
    pub(crate) unknown: bool,
}

/// Names of the flags that the kernel keeps of TCP (`IP_CT_TCP_FLAG_…`).
pub(crate) const TCP_FLAGS: [(&str, u32); 8] = [
    ("WINDOW_SCALE", 0x01),
    ("SACK_PERM", 0x02),
    ("CLOSE_INIT", 0x04),
    ("BE_LIBERAL", 0x08),
    ("DATA_UNACKNOWLEDGED", 0x10),
    ("MAXACK_SET", 0x20),
    ("CHALLENGE_ACK", 0x40),
    ("SIMULTANEOUS_OPEN", 0x80),
];

/// Helpers that Linux has.
pub(crate) const HELPERS: [&str; 12] = [
    "amanda",
    "ftp",
    "H.245",
    "irc",
    "netbios-ns",
    "pptp",
    "Q.931",
    "RAS",
    "sane",
    "sip",
    "snmp",
    "tftp",
];

/// What a value of a kind looks like.
pub(crate) fn expected(kind: Kind) -> String {
    match kind {
        Kind::Protocol => "a protocol, such as tcp or 47".to_owned(),
        Kind::Family => "ipv4 or ipv6".to_owned(),
        Kind::State => "a state, such as ESTABLISHED".to_owned(),
        Kind::Address => {
            "an address or a network, such as 10.0.0.5, 10.0.0.0/8 or 2001:db8::/32".to_owned()
        }
        Kind::Port => "a port, a range or a service, such as 443, 8000-8999 or https".to_owned(),
        Kind::Number(max) => format!("a number from 0 to {max}"),
        Kind::Size => "a size, such as 1500, 10MB or 4KiB".to_owned(),
        Kind::Count => "a number, such as 100 or 5k".to_owned(),
        Kind::Duration => "a time, such as 90s, 5m, 2h or 1d".to_owned(),
        Kind::Bits(BitField::Mark) => "a number, such as 3 or 0xff".to_owned(),
        Kind::Bits(BitField::Status) => "a status, such as ASSURED, or a number".to_owned(),
        Kind::Bits(_) => "a flag, such as CLOSE_INIT, or a number".to_owned(),
        Kind::Label => "a label's number (0 to 127) or name".to_owned(),
        Kind::Text => "text".to_owned(),
        Kind::Mark(MarkPart::Provider) => "an uplink's name or number".to_owned(),
        Kind::Mark(MarkPart::App) => "an application's name or number".to_owned(),
        Kind::Mark(MarkPart::Prio) => "a class's name or number".to_owned(),
    }
}

/// The longest value, in characters.
const LONGEST: usize = 256;

/// Refuses what can be no value of anything.
pub(crate) fn check(text: &str) -> Result<(), Wrong> {
    if text.chars().nth(LONGEST).is_some() {
        return Err(wrong(
            format!("a value has at most {LONGEST} characters"),
            "write several values in braces, separated by commas",
        ));
    }
    match text.chars().find(|&c| crate::lex::is_unprintable(c)) {
        Some(c) => Err(wrong(
            format!("a value cannot have the character U+{:04X}", u32::from(c)),
            "take it out: it does not show, or changes how the rest shows",
        )),
        None => Ok(()),
    }
}

/// Understands a value. A range is two values with `-` between them.
pub(crate) fn parse(field: Field, text: &str, vocabulary: &Vocabulary) -> Result<Value, Wrong> {
    check(text)?;
    let kind = field.kind();
    let single = match one(kind, text, vocabulary) {
        Ok(value) => return Ok(value),
        Err(wrong) => wrong,
    };
    if !has_order(kind) {
        return Err(single);
    }
    for (place, _) in text.match_indices('-') {
        let (first, last) = (text.get(..place), text.get(place + 1..));
        let (Some(Ok(first)), Some(Ok(last))) = (
            first.map(|text| one(kind, text, vocabulary)),
            last.map(|text| one(kind, text, vocabulary)),
        ) else {
            continue;
        };
        if first.is_single && last.is_single {
            return range(&first, &last);
        }
    }
    Err(single)
}

/// Whether values of a kind can be compared by size, or make ranges.
fn has_order(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Address
            | Kind::Port
            | Kind::Number(_)
            | Kind::Size
            | Kind::Count
            | Kind::Duration
            | Kind::Bits(_)
    )
}

fn range(first: &Value, last: &Value) -> Result<Value, Wrong> {
    let (Meaning::Set(a), Meaning::Set(b)) = (&first.meaning, &last.meaning) else {
        return Err(wrong("names make no range", "give numbers"));
    };
    let text = format!("{}-{}", first.text, last.text);
    let ends = |a: &Ranges, b: &Ranges| Some((a.as_slice().first()?.0, b.as_slice().last()?.1));
    let (numbers, v6) = (ends(&a.numbers, &b.numbers), ends(&a.v6, &b.v6));
    let Some((begin, end)) = numbers.or(v6) else {
        return Err(wrong(
            format!("{text} begins in one address family and ends in the other"),
            "give two addresses of one family",
        ));
    };
    if begin > end {
        return Err(wrong(
            format!("the range {text} ends before it begins"),
            format!("did you mean {}-{}?", last.text, first.text),
        ));
    }
    let ranges = Ranges::between(begin, end);
    let set = if numbers.is_some() {
        Set::numbers(ranges)
    } else {
        Set {
            v6: ranges,
            ..Set::default()
        }
    };
    Ok(Value {
        meaning: Meaning::Set(set),
        text,
        is_single: begin == end,
    })
}

fn one(kind: Kind, text: &str, vocabulary: &Vocabulary) -> Result<Value, Wrong> {
    match kind {
        Kind::Protocol => protocol(text),
        Kind::Family => family(text),
        Kind::State => state(text),
        Kind::Address => address(text),
        Kind::Port => port(text, vocabulary),
        Kind::Number(max) => number(text, max.into(), kind),
        Kind::Size => quantity(text, SIZES, kind),
        Kind::Count => quantity(text, COUNTS, kind),
        Kind::Duration => duration(text),
        Kind::Bits(BitField::Mark) => number(text, u32::MAX.into(), kind),
        Kind::Bits(BitField::Status) => {
            let names: Vec<_> = status_names().collect();
            bit(text, &names, u32::MAX, kind)
        }
        Kind::Bits(_) => bit(text, &TCP_FLAGS, u8::MAX.into(), kind),
        Kind::Label => label(text, vocabulary),
        Kind::Text => Ok(single(Meaning::Text(text.to_owned()), quote(text))),
        Kind::Mark(part) => mark_part(part, text, vocabulary),
    }
}

const fn single(meaning: Meaning, text: String) -> Value {
    Value {
        meaning,
        text,
        is_single: true,
    }
}

fn wrong(message: impl Into<String>, hint: impl Into<String>) -> Wrong {
    Wrong {
        message: message.into(),
        hint: hint.into(),
        unknown: false,
    }
}

fn not_a(kind: Kind, text: &str, hint: String) -> Wrong {
    wrong(format!("{text:?} is not {}", expected(kind)), hint)
}

fn unknown<'a>(
    text: &str,
    what: &str,
    names: impl IntoIterator<Item = &'a str>,
    otherwise: impl FnOnce() -> String,
) -> Wrong {
    Wrong {
        message: format!("{text:?} is not {what}"),
        hint: did_you_mean(&near(text, names), otherwise),
        unknown: true,
    }
}

/// Text as it stands in a query: between quotes where it is not a plain word.
pub fn quote(text: &str) -> String {
    if !text.is_empty() && text.chars().all(crate::lex::is_word) {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn protocol(text: &str) -> Result<Value, Wrong> {
    Protocol::from_name(text)
        .map(|protocol| single(Meaning::Set(Set::one(protocol.0)), protocol.to_string()))
        .ok_or_else(|| {
            let names = || {
                Protocol::TRACKED
                    .iter()
                    .filter_map(|protocol| protocol.name())
            };
            unknown(text, "a protocol", names(), || {
                let names: Vec<_> = names().collect();
                format!("one of {}, or a number from 0 to 255", names.join(", "))
            })
        })
}

fn family(text: &str) -> Result<Value, Wrong> {
    let family = match text.to_ascii_lowercase().as_str() {
        "4" | "ipv4" | "inet" => Family::Ipv4,
        "6" | "ipv6" | "inet6" => Family::Ipv6,
        _ => {
            return Err(unknown(text, "an address family", ["ipv4", "ipv6"], || {
                "ipv4 or ipv6".to_owned()
            }));
        }
    };
    let set = Set::one(u128::from(family_number(family)));
    Ok(single(Meaning::Set(set), family.name().to_owned()))
}

/// Every state's name, once, and its numbers.
pub(crate) fn states() -> Vec<(&'static str, Vec<u64>)> {
    let tcp = TcpState::ALL
        .iter()
        .map(|state| (state.name(), state.0.into()));
    let sctp = SctpState::ALL
        .iter()
        .map(|state| (state.name(), SCTP + u64::from(state.0)));
    let dccp = DccpState::ALL
        .iter()
        .map(|state| (state.name(), DCCP + u64::from(state.0)));
    let mut states: Vec<(&'static str, Vec<u64>)> = Vec::new();
    for (name, number) in tcp.chain(sctp).chain(dccp) {
        let Some(name) = name else { continue };
        match states.iter_mut().find(|(known, _)| *known == name) {
            Some((_, numbers)) => numbers.push(number),
            None => states.push((name, vec![number])),
        }
    }
    states
}

fn state(text: &str) -> Result<Value, Wrong> {
    // The contract's name of the kernel's SYN_SENT2.
    let name = if text.eq_ignore_ascii_case("LISTEN") {
        "SYN_SENT2"
    } else {
        text
    };
    let states = states();
    let found = states
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name));
    let Some((name, numbers)) = found else {
        return Err(unknown(
            text,
            "a state",
            states.iter().map(|(name, _)| *name),
            || {
                let names: Vec<_> = TcpState::ALL
                    .iter()
                    .filter_map(|state| state.name())
                    .collect();
                format!("one of {}, or a state of SCTP or DCCP", names.join(", "))
            },
        ));
    };
    let numbers = numbers.iter().map(|&number| Ranges::one(number.into()));
    let set = Set::numbers(Ranges::union_of(numbers));
    Ok(single(Meaning::Set(set), (*name).to_owned()))
}

fn address(text: &str) -> Result<Value, Wrong> {
    if let Ok(address) = text.parse::<IpAddr>() {
        if address.to_canonical() != address {
            return Err(wrong(
                format!("{text} is an IPv4 address written as IPv6, which no connection has"),
                format!("write {}", address.to_canonical()),
            ));
        }
        let set = Set::addresses(address, address);
        return Ok(single(Meaning::Set(set), address.to_string()));
    }
    if let Ok(net) = text.parse::<IpNet>() {
        let net = net.trunc();
        return Ok(Value {
            meaning: Meaning::Set(network(&net)),
            text: net.to_string(),
            is_single: net.prefix_len() == net.max_prefix_len(),
        });
    }
    let hint = match text.split_once('/') {
        Some((address, _)) if address.parse::<IpAddr>().is_ok() => {
            "the number of bits after / is at most 32, of IPv6 128".to_owned()
        }
        _ if text
            .chars()
            .any(|c| c.is_ascii_alphabetic() && !c.is_ascii_hexdigit()) =>
        {
            "names of hosts are not looked up: give the address".to_owned()
        }
        _ if text.contains('*') => "write 10.0.0.0/8 instead of 10.*".to_owned(),
        _ => String::new(),
    };
    Err(not_a(Kind::Address, text, hint))
}

/// The addresses of a network.
pub(crate) fn network(net: &IpNet) -> Set {
    match net {
        IpNet::V4(net) => Set::addresses(net.network().into(), net.broadcast().into()),
        IpNet::V6(net) => Set::addresses(net.network().into(), net.broadcast().into()),
    }
}

fn port(text: &str, vocabulary: &Vocabulary) -> Result<Value, Wrong> {
    let begins_with_digit = text.starts_with(|c: char| c.is_ascii_digit());
    if let Ok(port) = text.parse::<u16>()
        && begins_with_digit
    {
        return Ok(single(Meaning::Set(Set::one(port)), port.to_string()));
    }
    if begins_with_digit {
        let hint = if text.bytes().all(|byte| byte.is_ascii_digit()) {
            "ports go up to 65535"
        } else {
            ""
        };
        return Err(not_a(Kind::Port, text, hint.to_owned()));
    }
    let services = &vocabulary.services;
    let ports: Vec<Ranges> = services
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case(text))
        .map(|&(_, port)| Ranges::one(port.into()))
        .collect();
    if ports.is_empty() {
        let names = services.iter().map(|(name, _)| name.as_str());
        return Err(unknown(text, "a service that is known here", names, || {
            "give its port's number".to_owned()
        }));
    }
    let set = Set::numbers(Ranges::union_of(ports));
    Ok(Value {
        is_single: set.numbers.numbers(1).is_some(),
        meaning: Meaning::Set(set),
        text: text.to_owned(),
    })
}

fn digits(text: &str) -> Option<u64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16)
            .ok()
            .filter(|_| !digits.starts_with('+')),
        None if text.starts_with('+') => None,
        None => text.parse().ok(),
    }
}

fn number(text: &str, max: u64, kind: Kind) -> Result<Value, Wrong> {
    match digits(text) {
        Some(number) if number <= max => Ok(single(
            Meaning::Set(Set::one(u128::from(number))),
            text.to_owned(),
        )),
        Some(_) => Err(not_a(kind, text, format!("the largest is {max}"))),
        None => Err(not_a(kind, text, String::new())),
    }
}

pub(crate) fn status_names() -> impl Iterator<Item = (&'static str, u32)> {
    Status::all()
        .iter_names()
        .map(|(name, bit)| (name, bit.bits()))
}

fn bit(text: &str, names: &[(&'static str, u32)], max: u32, kind: Kind) -> Result<Value, Wrong> {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return number(text, max.into(), kind);
    }
    match names
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(text))
    {
        Some(&(name, bit)) => Ok(single(Meaning::Bits(bit), name.to_owned())),
        None => {
            let what = if kind == Kind::Bits(BitField::Status) {
                "a status bit"
            } else {
                "a flag of TCP"
            };
            Err(unknown(
                text,
                what,
                names.iter().map(|(name, _)| *name),
                || {
                    let names: Vec<_> = names.iter().map(|(name, _)| *name).collect();
                    format!("one of {}", names.join(", "))
                },
            ))
        }
    }
}

fn label(text: &str, vocabulary: &Vocabulary) -> Result<Value, Wrong> {
    let named = vocabulary
        .labels
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(text));
    if let Some((name, number)) = named {
        return Ok(single(Meaning::Label(*number), quote(name)));
    }
    match text.parse::<u8>() {
        Ok(number) if number < 128 => Ok(single(Meaning::Label(number), number.to_string())),
        _ => {
            let names = vocabulary.labels.iter().map(|(name, _)| name.as_str());
            Err(unknown(text, "a label", names, || {
                "a number from 0 to 127, or a name from connlabel.conf".to_owned()
            }))
        }
    }
}

fn mark_part(part: MarkPart, text: &str, vocabulary: &Vocabulary) -> Result<Value, Wrong> {
    let known = vocabulary.part(part);
    let numbers: Vec<Ranges> = known
        .names
        .iter()
        .filter(|(_, name)| name.eq_ignore_ascii_case(text))
        .map(|&(number, _)| Ranges::one(number.into()))
        .collect();
    if !numbers.is_empty() {
        let set = Set::numbers(Ranges::union_of(numbers));
        return Ok(single(Meaning::Set(set), quote(text)));
    }
    if let Some(number) = digits(text) {
        return number_of_part(part, text, number, vocabulary);
    }
    let names = known.names.iter().map(|(_, name)| name.as_str());
    let what = match part {
        MarkPart::Provider => "the name of an uplink",
        MarkPart::App => "the name of an application",
        MarkPart::Prio => "the name of a class",
    };
    Err(unknown(text, what, names, || {
        match known.names.as_slice() {
            [] => "none has a name: see [marks] in tracklight.toml, or give its number".to_owned(),
            names => {
                let names: Vec<_> = names.iter().take(12).map(|(_, name)| quote(name)).collect();
                format!("known are {}", names.join(", "))
            }
        }
    }))
}

fn number_of_part(
    part: MarkPart,
    text: &str,
    number: u64,
    vocabulary: &Vocabulary,
) -> Result<Value, Wrong> {
    let mask = vocabulary.part(part).mask;
    if number & !u64::from(mask) != 0 {
        return Err(wrong(
            format!("{text} has bits that this part of the mark does not have"),
            format!("its bits are 0x{mask:x}"),
        ));
    }
    Ok(single(
        Meaning::Set(Set::one(u128::from(number))),
        text.to_owned(),
    ))
}

/// The numbers of a part of the mark whose names are like a pattern.
pub(crate) fn parts_like(part: MarkPart, pattern: &Glob, vocabulary: &Vocabulary) -> Set {
    let names = &vocabulary.part(part).names;
    let like = names.iter().filter(|(_, name)| pattern.matches(name));
    Set::numbers(Ranges::union_of(
        like.map(|&(number, _)| Ranges::one(number.into())),
    ))
}

const SIZES: &[(&str, u64)] = &[
    ("", 1),
    ("b", 1),
    ("k", 1_000),
    ("kb", 1_000),
    ("m", 1_000_000),
    ("mb", 1_000_000),
    ("g", 1_000_000_000),
    ("gb", 1_000_000_000),
    ("t", 1_000_000_000_000),
    ("tb", 1_000_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
];

const COUNTS: &[(&str, u64)] = &[
    ("", 1),
    ("k", 1_000),
    ("m", 1_000_000),
    ("g", 1_000_000_000),
];

/// A number with a unit; it may have decimals if the whole comes out even.
fn quantity(text: &str, units: &[(&str, u64)], kind: Kind) -> Result<Value, Wrong> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let unit = unit.to_ascii_lowercase();
    let Some(&(_, size)) = units.iter().find(|(name, _)| *name == unit) else {
        let hint = match kind {
            Kind::Size => "units are B, kB, MB, GB, TB (1000) and KiB, MiB, GiB, TiB (1024)",
            _ => "k, M and G are thousands, millions and billions",
        };
        return Err(not_a(kind, text, hint.to_owned()));
    };
    match decimal(digits, size) {
        Some(number) => Ok(single(
            Meaning::Set(Set::one(u128::from(number))),
            text.to_owned(),
        )),
        None => Err(not_a(kind, text, String::new())),
    }
}

/// `1.5` of a unit, rounded down to a whole number; at most 64 bits.
fn decimal(digits: &str, size: u64) -> Option<u64> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if fraction.contains('.') || whole.is_empty() || fraction.len() > 12 {
        return None;
    }
    let whole: u128 = whole.parse::<u64>().ok()?.into();
    let fraction_size = 10u128.pow(u32::try_from(fraction.len()).ok()?);
    let fraction: u128 = if fraction.is_empty() {
        0
    } else {
        fraction.parse::<u64>().ok()?.into()
    };
    let size = u128::from(size);
    u64::try_from(whole * size + fraction * size / fraction_size).ok()
}

/// `90s`, `1h30m`; without a unit, seconds.
fn duration(text: &str) -> Result<Value, Wrong> {
    const UNITS: [(char, u64); 5] = [
        ('w', 604_800),
        ('d', 86_400),
        ('h', 3_600),
        ('m', 60),
        ('s', 1),
    ];
    let total = || {
        if let Ok(seconds) = text.parse::<u64>() {
            return (!text.starts_with('+')).then_some(seconds);
        }
        let (mut total, mut rest) = (0u64, text);
        let mut last = u64::MAX;
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_digit())?;
            let (digits, after) = rest.split_at(end);
            let unit = after.chars().next()?.to_ascii_lowercase();
            let &(_, size) = UNITS.iter().find(|(name, _)| *name == unit)?;
            if size >= last {
                return None;
            }
            last = size;
            total = total.checked_add(digits.parse::<u64>().ok()?.checked_mul(size)?)?;
            rest = after.get(1..)?;
        }
        (!text.is_empty()).then_some(total)
    };
    match total() {
        Some(seconds) => Ok(single(
            Meaning::Set(Set::one(u128::from(seconds))),
            text.to_owned(),
        )),
        None => Err(not_a(
            Kind::Duration,
            text,
            "units are s, m, h, d and w, the largest first: 1h30m".to_owned(),
        )),
    }
}
