//! The values of options.

use std::net::IpAddr;

use ctnetlink::{Labels, Protocol, Status};

/// Address and port that an address is translated to.
pub(super) type NatTo = (IpAddr, Option<u16>);

/// An address. A network of one address is one; others are no part of an entry.
pub(super) fn parse_address(text: &str) -> Option<IpAddr> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let whole = if address.is_ipv4() { "32" } else { "128" };
    prefix
        .is_none_or(|prefix| prefix == whole)
        .then_some(address)
}

/// `ADDRESS`, `ADDRESS:PORT`, `[ADDRESS]:PORT`.
pub(super) fn parse_nat(text: &str) -> Option<NatTo> {
    if let Ok(address) = text.parse() {
        return Some((address, None));
    }
    let (address, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            if port.is_empty() {
                return Some((address.parse().ok()?, None));
            }
            (address, port.strip_prefix(':')?)
        }
        None => text.rsplit_once(':')?,
    };
    Some((address.parse().ok()?, Some(port.parse().ok()?)))
}

/// Protocols that conntrack(8) finds in /etc/protocols by name, as far as one meets them.
const OTHERS: [(&str, u8); 10] = [
    ("igmp", 2),
    ("ipencap", 4),
    ("ipv6", 41),
    ("esp", 50),
    ("ah", 51),
    ("ospf", 89),
    ("pim", 103),
    ("ipcomp", 108),
    ("vrrp", 112),
    ("l2tp", 115),
];

pub(super) fn parse_protocol(text: &str) -> Option<Protocol> {
    let other = || OTHERS.iter().find(|(name, _)| *name == text);
    Protocol::from_name(text).or_else(|| other().map(|(_, number)| Protocol(*number)))
}

/// Names of status bits; the error is what was expected.
pub(super) fn parse_status(text: &str) -> Result<Status, String> {
    text.split(',').try_fold(Status::empty(), |status, name| {
        let bit = match name.to_ascii_uppercase().as_str() {
            "UNSET" | "UNREPLIED" => Status::empty(),
            // conntrack takes no notice of these either: -n and -g say it.
            "SRC_NAT" | "DST_NAT" => Status::empty(),
            "EXPECTED" => Status::EXPECTED,
            "SEEN_REPLY" => Status::SEEN_REPLY,
            "ASSURED" => Status::ASSURED,
            "FIXED_TIMEOUT" => Status::FIXED_TIMEOUT,
            "OFFLOAD" => Status::OFFLOAD,
            "HW_OFFLOAD" => Status::HW_OFFLOAD,
            _ => {
                return Err(
                    "a list of SEEN_REPLY, ASSURED, FIXED_TIMEOUT, EXPECTED, or UNSET".to_owned(),
                );
            }
        };
        Ok(status | bit)
    })
}

/// Labels by number, or by the names of connlabel.conf.
pub(super) fn parse_labels(text: &str) -> Result<Labels, String> {
    let numbers = text.split(',').map(|name| {
        let number = name.parse().ok().or_else(|| label_of_name(name));
        number
            .filter(|number: &u8| *number < 128)
            .ok_or_else(|| format!("{} is no label", shown(name)))
    });
    let mut bits = 0;
    for number in numbers {
        bits |= 1u128 << number?;
    }
    Ok(Labels::from_bits(bits))
}

fn label_of_name(name: &str) -> Option<u8> {
    let text = std::fs::read_to_string("/etc/xtables/connlabel.conf").ok()?;
    text.lines().find_map(|line| {
        let (number, label) = line.trim().split_once(char::is_whitespace)?;
        (label.trim() == name).then(|| number.parse().ok())?
    })
}

/// A number as strtoul(3) takes it: decimal, hexadecimal with 0x, octal with 0.
pub(super) fn based(text: &str) -> Option<u32> {
    if !text.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let lower = text.to_ascii_lowercase();
    match (lower.strip_prefix("0x"), lower.strip_prefix('0')) {
        (Some(digits), _) if !digits.starts_with('+') => u32::from_str_radix(digits, 16).ok(),
        (None, Some(digits)) if !digits.is_empty() && !digits.starts_with('+') => {
            u32::from_str_radix(digits, 8).ok()
        }
        _ => text.parse().ok(),
    }
}

/// A word of the file as it may be printed.
pub(super) fn shown(word: &str) -> String {
    let short: String = word.chars().take(40).collect();
    format!("`{}`", short.escape_debug())
}
