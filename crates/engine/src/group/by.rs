//! What to group by: `src`, `dport`, `peer/24/56`, …

use std::fmt;
use std::str::FromStr;

/// How many fields one grouping may have.
pub const MOST_FIELDS: usize = 4;

/// The prefix of IPv6 networks where only one for IPv4 is given: what one site has.
const USUAL_V6: u8 = 64;

/// One field to group by, under the name by which it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct By {
    name: String,
    pub(super) what: What,
}

/// One of an entry's four ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Src,
    Dst,
    ReplySrc,
    ReplyDst,
}

/// How many leading bits of an address count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prefix {
    pub(super) v4: u8,
    pub(super) v6: u8,
}

impl Prefix {
    const WHOLE: Self = Self { v4: 32, v6: 128 };
}

/// Which name of the three that a mark holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    Class,
    Application,
    Provider,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Address(End, Prefix),
    Port(End),
    Protocol,
    Family,
    State,
    Status,
    Nat,
    Named(Named),
    Mark,
    Zone,
    Helper,
    Labels,
}

/// Every name, what it stands for and one sentence about it.
const FIELDS: &[(&str, What, &str)] = {
    use End::{Dst, ReplyDst, ReplySrc, Src};
    const fn address(end: End) -> What {
        What::Address(end, Prefix::WHOLE)
    }
    &[
        ("src", address(Src), "Source address of the opener"),
        (
            "dst",
            address(Dst),
            "Destination address, as the opener sent it",
        ),
        ("sport", What::Port(Src), "Source port of the opener"),
        (
            "dport",
            What::Port(Dst),
            "Destination port, as the opener sent it",
        ),
        ("port", What::Port(Dst), "The same as dport"),
        (
            "peer",
            address(ReplySrc),
            "The true other end, behind NAT: source address of the reply",
        ),
        (
            "peer.port",
            What::Port(ReplySrc),
            "Port of the true other end: source port of the reply",
        ),
        ("reply.src", address(ReplySrc), "The same as peer"),
        (
            "reply.dst",
            address(ReplyDst),
            "The address that the other end sees: destination of the reply",
        ),
        ("reply.sport", What::Port(ReplySrc), "The same as peer.port"),
        (
            "reply.dport",
            What::Port(ReplyDst),
            "The port that the other end sees: destination port of the reply",
        ),
        ("proto", What::Protocol, "Protocol"),
        ("family", What::Family, "Address family"),
        ("state", What::State, "State of the protocol"),
        (
            "status",
            What::Status,
            "Status as a list shows it; SEEN_REPLY where a list shows nothing",
        ),
        ("nat", What::Nat, "Translation: none, snat, dnat, both"),
        (
            "provider",
            What::Named(Named::Provider),
            "Uplink, by the mark and the names in the configuration",
        ),
        (
            "app",
            What::Named(Named::Application),
            "Application, by the mark and the names in the configuration",
        ),
        (
            "prio",
            What::Named(Named::Class),
            "Traffic class, by the mark and the names in the configuration",
        ),
        ("mark", What::Mark, "Mark, hexadecimal"),
        ("zone", What::Zone, "Zone"),
        ("helper", What::Helper, "Name of the helper at work"),
        (
            "label",
            What::Labels,
            "Numbers of the labels that are set, all of them together",
        ),
    ]
};

impl By {
    /// Every name with one sentence about it, networks at the end.
    pub fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
        let networks = [
            (
                "/24",
                "Network of the source: so many bits of IPv4 addresses, 64 of IPv6 addresses",
            ),
            (
                "dst/16",
                "The same of another address: src, dst, peer, reply.src, reply.dst",
            ),
            ("peer/24/56", "The bits for IPv4, then those for IPv6"),
            (
                "src/48",
                "A single number over 32 is for IPv6; IPv4 addresses stay whole",
            ),
        ];
        let fields = FIELDS.iter().map(|&(name, _, meaning)| (name, meaning));
        fields.chain(networks)
    }

    /// The name by which it was asked for; `src/24` where that was `/24`.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}

impl FromStr for By {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (field, prefix) = match text.split_once('/') {
            Some((field, prefix)) => (field, Some(prefix)),
            None => (text, None),
        };
        let field = if field.is_empty() && prefix.is_some() {
            "src"
        } else {
            field
        };
        let found = FIELDS.iter().find(|(name, _, _)| *name == field);
        let &(name, what, _) = found.ok_or_else(|| unknown(field))?;
        let Some(prefix) = prefix else {
            return Ok(Self {
                name: name.to_owned(),
                what,
            });
        };
        let What::Address(end, _) = what else {
            return Err(format!("{name} is not an address and has no networks"));
        };
        let what = What::Address(end, parse_prefix(prefix)?);
        Ok(Self {
            name: format!("{name}/{prefix}"),
            what,
        })
    }
}

fn unknown(text: &str) -> String {
    let names: Vec<&str> = FIELDS.iter().map(|(name, _, _)| *name).collect();
    let guess = match query::near(text, names.iter().copied()).as_slice() {
        [name, ..] => format!("did you mean {name}? "),
        [] => String::new(),
    };
    format!(
        "{guess}expected one of {}, or a network such as /24 or dst/16/48",
        names.join(", ")
    )
}

fn parse_prefix(text: &str) -> Result<Prefix, String> {
    let wrong = || {
        "expected the bits of a network, such as /24 (0 to 32 for IPv4, up to 128 for IPv6), or \
         /24/56 for IPv4 and IPv6"
            .to_owned()
    };
    let bits = |text: &str, most: u8| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let bits = digits.then(|| text.parse().ok()).flatten();
        bits.filter(|&bits| bits <= most).ok_or_else(wrong)
    };
    match text.split_once('/') {
        Some((v4, v6)) => Ok(Prefix {
            v4: bits(v4, 32)?,
            v6: bits(v6, 128)?,
        }),
        None => Ok(match bits(text, 128)? {
            v4 @ 0..=32 => Prefix { v4, v6: USUAL_V6 },
            v6 => Prefix {
                v6,
                ..Prefix::WHOLE
            },
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> (String, u8, u8) {
        let by: By = text.parse().unwrap();
        let What::Address(_, Prefix { v4, v6 }) = by.what else {
            panic!("{text} is no address");
        };
        (by.name, v4, v6)
    }

    #[test]
    fn every_name_in_the_help_is_understood() {
        for (name, meaning) in By::all() {
            assert!(name.parse::<By>().is_ok(), "{name}");
            assert!(!meaning.is_empty());
        }
    }

    #[test]
    fn one_number_is_for_ipv4_and_one_over_32_for_ipv6_alone() {
        assert_eq!(prefix("src"), ("src".to_owned(), 32, 128));
        assert_eq!(prefix("/24"), ("src/24".to_owned(), 24, 64));
        assert_eq!(prefix("dst/0"), ("dst/0".to_owned(), 0, 64));
        assert_eq!(prefix("peer/48"), ("peer/48".to_owned(), 32, 48));
        assert_eq!(
            prefix("reply.dst/24/56"),
            ("reply.dst/24/56".to_owned(), 24, 56)
        );
        assert_eq!(prefix("src/32/128"), ("src/32/128".to_owned(), 32, 128));
    }

    #[test]
    fn what_is_wrong_is_said_with_what_was_meant() {
        for (text, part) in [
            ("scr", "did you mean src? expected one of src, dst"),
            ("dprot", "did you mean dport?"),
            ("provder", "did you mean provider?"),
            ("nothing-like-it", "expected one of src"),
            ("", "expected one of"),
            ("proto/24", "proto is not an address"),
            ("src/129", "0 to 32 for IPv4"),
            ("src/33/56", "0 to 32 for IPv4"),
            ("src/", "0 to 32 for IPv4"),
            ("src/+24", "0 to 32 for IPv4"),
            ("src/24/", "0 to 32 for IPv4"),
            ("src/24/56/1", "0 to 32 for IPv4"),
            ("10.0.0.0/24", "expected one of"),
        ] {
            let error = text.parse::<By>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
