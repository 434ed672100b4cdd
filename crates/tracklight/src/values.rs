//! Values of flags that several subcommands take.

use std::ffi::OsStr;
use std::str::FromStr;

use clap::builder::{PossibleValue, TypedValueParser};
use ctnetlink::{Family, HelperName, Labels, Masked, Protocol, Status};

/// A condition on the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StatusIs {
    /// The bit.
    pub(crate) bit: Status,
    /// Whether it must be set or not.
    pub(crate) set: bool,
}

/// A mark, of which only the bits of a mask count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark(pub(crate) Masked);

/// Reads `tcp` or a number.
pub(crate) fn parse_protocol(text: &str) -> Result<Protocol, String> {
    Protocol::from_name(text).ok_or_else(|| {
        let names: Vec<_> = Protocol::TRACKED.iter().filter_map(|p| p.name()).collect();
        format!(
            "expected {} or an IANA number from 0 to 255",
            names.join(", ")
        )
    })
}

/// Reads `4`, `6`, `ipv4`, `ipv6`, `inet` or `inet6`.
pub(crate) fn parse_family(text: &str) -> Result<Family, String> {
    match text.to_ascii_lowercase().as_str() {
        "4" | "ipv4" | "inet" => Ok(Family::Ipv4),
        "6" | "ipv6" | "inet6" => Ok(Family::Ipv6),
        _ => Err("expected ipv4 or ipv6".to_owned()),
    }
}

/// Families by the names of iptables and nfct(8): their numbers, and what they are.
const FAMILIES: [(u16, &str, &str); 2] = [(2, "inet", "IPv4"), (10, "inet6", "IPv6")];

/// The name of a family, else its number; [`FamilyParser`] reads both.
pub(crate) fn family_word(number: u16) -> String {
    FAMILIES
        .iter()
        .find(|(family, ..)| *family == number)
        .map_or_else(|| number.to_string(), |(_, name, _)| (*name).to_owned())
}

/// Reads `inet`, `inet6`, or the kernel's number of any family: it keeps policies of all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FamilyParser;

impl TypedValueParser for FamilyParser {
    type Value = u16;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<u16, clap::Error> {
        let read = |text: &str| {
            FAMILIES
                .iter()
                .find(|(_, name, _)| name.eq_ignore_ascii_case(text))
                .map(|(number, ..)| *number)
                .or_else(|| text.parse().ok())
                .ok_or("expected inet or inet6, or the kernel's number of a family")
        };
        read.parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let values = FAMILIES.map(|(_, name, help)| PossibleValue::new(name).help(help));
        Some(Box::new(values.into_iter()))
    }
}

/// Reads a number, decimal or hexadecimal with `0x`.
pub(crate) fn parse_u32(text: &str) -> Result<u32, String> {
    let number = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16)
            .ok()
            .filter(|_| !digits.starts_with('+')),
        None => text.parse().ok(),
    };
    number.ok_or_else(|| "expected a number from 0 to 4294967295, or 0x0 to 0xffffffff".to_owned())
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

/// Reads a helper's name.
pub(crate) fn parse_helper(text: &str) -> Result<HelperName, String> {
    HelperName::from(text).map_err(|_| "a helper's name has at most 15 bytes".to_owned())
}

/// Reads label numbers: `3,17`.
pub(crate) fn parse_label(text: &str) -> Result<u8, String> {
    text.parse()
        .ok()
        .filter(|&number| number < 128)
        .ok_or_else(|| {
            "expected the number of a label, 0 to 127 (connlabel.conf gives their names)".to_owned()
        })
}

/// A set of labels.
pub(crate) fn labels(numbers: &[u8]) -> Labels {
    Labels::from_bits(numbers.iter().fold(0, |bits, &number| bits | 1 << number))
}

/// Reads a time in seconds: `90`, `90s`, `15m`, `1h30m`, `2d`, `1w`.
pub(crate) fn parse_duration(text: &str) -> Result<u64, String> {
    const UNITS: [(char, u64); 5] = [
        ('w', 604_800),
        ('d', 86_400),
        ('h', 3_600),
        ('m', 60),
        ('s', 1),
    ];
    let total = || {
        let (mut total, mut last, mut rest) = (0u64, u64::MAX, text);
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_digit());
            let (digits, after) = rest.split_at(end.unwrap_or(rest.len()));
            let unit = after.chars().next().unwrap_or('s');
            let &(_, size) = UNITS.iter().find(|(name, _)| *name == unit)?;
            if size >= last {
                return None;
            }
            last = size;
            total = total.checked_add(digits.parse::<u64>().ok()?.checked_mul(size)?)?;
            rest = after.get(1..).unwrap_or_default();
        }
        (total > 0).then_some(total)
    };
    total().ok_or_else(|| "expected a time such as 90s, 15m, 1h30m or 2d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_added_up_from_the_largest_unit() {
        for (text, seconds) in [
            ("90", 90),
            ("90s", 90),
            ("15m", 900),
            ("1h30m", 5_400),
            ("2d", 172_800),
            ("1w1d1h1m1s", 694_861),
        ] {
            assert_eq!(parse_duration(text), Ok(seconds), "{text}");
        }
        for text in [
            "",
            "0",
            "m",
            "1m1h",
            "1m1m",
            "1.5h",
            "-1s",
            "1é",
            "99999999999999999999",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
