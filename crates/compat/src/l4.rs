//! The options of each protocol: which there are, which a command takes, what they say.

use ctnetlink::{DccpState, Protocol, SctpState, TcpState};

use crate::exit::Fault;
use crate::getopt::{Long, Takes};
use crate::options::{Table, Verb, What, check, check_pairs};
use crate::value::{decimal, strtoul};

/// A protocol that `-p` has chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct L4 {
    /// Its number.
    pub(crate) protocol: Protocol,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Tcp,
    Udp,
    Sctp,
    Dccp,
    Icmp,
    Icmpv6,
    Gre,
    Other,
}

/// What the options of a protocol said. Ports are the keys of GRE too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Values {
    /// Source and destination of the original direction.
    pub(crate) orig: Pair,
    /// Source and destination of the reply direction.
    pub(crate) reply: Pair,
    /// Of the mask of an expectation.
    pub(crate) mask: Pair,
    /// Of the tuple of an expectation.
    pub(crate) tuple: Pair,
    /// ICMP's type, code and identifier.
    pub(crate) icmp_type: Option<u8>,
    pub(crate) icmp_code: Option<u8>,
    pub(crate) icmp_id: Option<u16>,
    /// State by its protocol's number.
    pub(crate) state: Option<u8>,
    /// Verification tags.
    pub(crate) vtag: (Option<u32>, Option<u32>),
    /// DCCP's role: 0 is the client.
    pub(crate) role: Option<u8>,
}

/// Source and destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) src: Option<u16>,
    pub(crate) dst: Option<u16>,
}

impl Pair {
    /// Those of the other direction, where nothing is translated.
    pub(crate) const fn mirror(self) -> Self {
        Self {
            src: self.dst,
            dst: self.src,
        }
    }

    /// These, or what is missing of them from others.
    pub(crate) fn or(self, others: Self) -> Self {
        Self {
            src: self.src.or(others.src),
            dst: self.dst.or(others.dst),
        }
    }
}

/// Options by the order in which they are checked, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct L4Flags(u32);

macro_rules! long {
    ($($name:literal $number:literal;)+) => { &[$(($name, $number)),+] };
}

/// The options of a protocol: name and number.
type Names = &'static [(&'static str, u8)];

// The number of an option says what it means in all protocols: 0 to 7 ports or keys, 8 state, 9 and
// 10 tags, 11 the role, 12 to 14 ICMP's.
const PORTS: Names = long! {
    "orig-port-src" 0; "sport" 0; "orig-port-dst" 1; "dport" 1; "reply-port-src" 2;
    "reply-port-dst" 3; "mask-port-src" 4; "mask-port-dst" 5; "tuple-port-src" 6;
    "tuple-port-dst" 7;
};
const STATE: Names = long! { "state" 8; };
const SCTP: Names = long! { "state" 8; "orig-vtag" 9; "reply-vtag" 10; };
const DCCP: Names = long! { "state" 8; "role" 11; };
const ICMP: Names = long! { "icmp-type" 12; "icmp-code" 13; "icmp-id" 14; };
const ICMPV6: Names = long! { "icmpv6-type" 12; "icmpv6-code" 13; "icmpv6-id" 14; };
const KEYS: Names = long! {
    "orig-key-src" 0; "srckey" 0; "orig-key-dst" 1; "dstkey" 1; "reply-key-src" 2;
    "reply-key-dst" 3; "mask-key-src" 4; "mask-key-dst" 5; "tuple-key-src" 6; "tuple-key-dst" 7;
};

/// The options in the order in which they are checked: number and name.
type Order = &'static [(u8, &'static str)];

const TCP_ORDER: Order = &[
    (0, "sport"),
    (1, "dport"),
    (2, "reply-port-src"),
    (3, "reply-port-dst"),
    (4, "mask-port-src"),
    (5, "mask-port-dst"),
    (8, "state"),
    (6, "tuple-port-src"),
    (7, "tuple-port-dst"),
    (9, "orig-vtag"),
    (10, "reply-vtag"),
];
const DCCP_ORDER: Order = &[
    (0, "sport"),
    (1, "dport"),
    (2, "reply-port-src"),
    (3, "reply-port-dst"),
    (4, "mask-port-src"),
    (5, "mask-port-dst"),
    (8, "state"),
    (6, "tuple-port-src"),
    (7, "tuple-port-dst"),
    (11, "role"),
];
const UDP_ORDER: Order = &[
    (0, "sport"),
    (1, "dport"),
    (2, "reply-port-src"),
    (3, "reply-port-dst"),
    (4, "mask-port-src"),
    (5, "mask-port-dst"),
    (6, "tuple-port-src"),
    (7, "tuple-port-dst"),
];
const GRE_ORDER: Order = &[
    (0, "srckey"),
    (1, "dstkey"),
    (2, "reply-key-src"),
    (3, "reply-key-dst"),
    (4, "mask-key-src"),
    (5, "mask-key-dst"),
    (6, "tuple-key-src"),
    (7, "tuple-key-dst"),
];
const ICMP_ORDER: Order = &[(12, "icmp-type"), (13, "icmp-code"), (14, "icmp-id")];
const ICMPV6_ORDER: Order = &[(12, "icmpv6-type"), (13, "icmpv6-code"), (14, "icmpv6-id")];

/// Whether a protocol with options of its own is called by another name than that of the options.
fn is_alias(protocol: Protocol, name: &str) -> bool {
    let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic());
    is_name
        && protocol
            .name()
            .is_some_and(|own| !own.eq_ignore_ascii_case(name))
}

impl L4 {
    /// The protocol of a name or number.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        crate::value::protocol(name).map(|protocol| Self {
            protocol,
            kind: match protocol {
                // A name of /etc/protocols only: its options are not known by it.
                _ if is_alias(protocol, name) => Kind::Other,
                Protocol::TCP => Kind::Tcp,
                Protocol::UDP | Protocol::UDPLITE => Kind::Udp,
                Protocol::SCTP => Kind::Sctp,
                Protocol::DCCP => Kind::Dccp,
                Protocol::ICMP => Kind::Icmp,
                Protocol::ICMPV6 => Kind::Icmpv6,
                Protocol::GRE => Kind::Gre,
                _ => Kind::Other,
            },
        })
    }

    /// Its long options; `chosen` says by which `-p` of the command line they came.
    pub(crate) fn long(self, chosen: u8) -> Vec<Long<What>> {
        self.names()
            .into_iter()
            .flatten()
            .map(|&(name, number)| Long {
                name,
                takes: Takes::Value,
                means: What::L4 { chosen, number },
            })
            .collect()
    }

    const fn names(self) -> [Names; 2] {
        match self.kind {
            Kind::Tcp => [PORTS, STATE],
            Kind::Udp => [PORTS, &[]],
            Kind::Sctp => [PORTS, SCTP],
            Kind::Dccp => [PORTS, DCCP],
            Kind::Icmp => [ICMP, &[]],
            Kind::Icmpv6 => [ICMPV6, &[]],
            Kind::Gre => [KEYS, &[]],
            Kind::Other => [&[], &[]],
        }
    }

    const fn order(self) -> Order {
        match self.kind {
            Kind::Tcp | Kind::Sctp => TCP_ORDER,
            Kind::Udp => UDP_ORDER,
            Kind::Dccp => DCCP_ORDER,
            Kind::Icmp => ICMP_ORDER,
            Kind::Icmpv6 => ICMPV6_ORDER,
            Kind::Gre => GRE_ORDER,
            Kind::Other => &[],
        }
    }

    /// Takes one option.
    pub(crate) fn take(
        self,
        number: u8,
        text: &str,
        values: &mut Values,
        flags: &mut L4Flags,
    ) -> Result<(), Fault> {
        let order = self.order();
        if let Some(place) = order.iter().position(|(other, _)| *other == number) {
            flags.0 |= 1 << place;
        }
        let port = || {
            Some(if self.kind == Kind::Gre {
                strtoul(text) as u16
            } else {
                decimal(text) as u16
            })
        };
        match number {
            0 => values.orig.src = port(),
            1 => values.orig.dst = port(),
            2 => values.reply.src = port(),
            3 => values.reply.dst = port(),
            4 => values.mask.src = port(),
            5 => values.mask.dst = port(),
            6 => values.tuple.src = port(),
            7 => values.tuple.dst = port(),
            8 => values.state = Some(self.state(text)?),
            9 => values.vtag.0 = Some(decimal(text) as u32),
            10 => values.vtag.1 = Some(decimal(text) as u32),
            11 => {
                values.role = Some(match text.to_ascii_lowercase().as_str() {
                    "client" => 0,
                    "server" => 1,
                    _ => return Err(Fault::usage(format!("Unknown DCCP role `{text}'"))),
                });
            }
            12 => values.icmp_type = Some(decimal(text) as u8),
            13 => values.icmp_code = Some(decimal(text) as u8),
            _ => values.icmp_id = Some(decimal(text) as u16),
        }
        Ok(())
    }

    fn state(self, text: &str) -> Result<u8, Fault> {
        match self.kind {
            Kind::Sctp => SctpState::ALL
                .iter()
                .find(|state| state.name() == Some(text))
                .map(|state| state.0)
                .ok_or_else(|| Fault::usage(format!("unknown SCTP state `{text}'"))),
            Kind::Dccp => DccpState::ALL
                .iter()
                .find(|state| state.name() == Some(text))
                .map(|state| state.0)
                .ok_or_else(|| Fault::usage(format!("Unknown DCCP state `{text}'"))),
            // The kernel has long renamed LISTEN.
            _ if text == "LISTEN" => Ok(TcpState::SYN_SENT2.0),
            _ => TcpState::ALL
                .iter()
                .find(|state| state.name() == Some(text))
                .map(|state| state.0)
                .ok_or_else(|| Fault::usage(format!("unknown TCP state `{text}'"))),
        }
    }

    /// Refuses what the command does not take, and misses what it needs.
    pub(crate) fn check(self, flags: L4Flags, verb: Verb, table: Table) -> Result<(), Fault> {
        let has = |place: usize| flags.0 >> place & 1 == 1;
        let rules = self.rules(verb, table);
        for (place, ((_, name), rule)) in self.order().iter().zip(rules.bytes()).enumerate() {
            check(has(place), rule, name)?;
        }
        if !rules.starts_with('3') {
            return Ok(());
        }
        let (first, second) = match self.kind {
            Kind::Gre => (["srckey", "dstkey"], ["reply-src-key", "reply-dst-key"]),
            // As the original spells it.
            Kind::Dccp => (["sport", "dport"], ["reply-port-src", "report-port-dst"]),
            _ => (["sport", "dport"], ["reply-src-port", "reply-dst-port"]),
        };
        check_pairs([has(0), has(1), has(2), has(3)], first, second)
    }

    const fn rules(self, verb: Verb, table: Table) -> &'static str {
        let is_expectation = matches!(table, Table::Expect);
        match (self.kind, verb, is_expectation) {
            (Kind::Other, ..) => "",
            (Kind::Icmp | Kind::Icmpv6, _, true) => "000",
            (Kind::Icmp | Kind::Icmpv6, Verb::Create | Verb::Add | Verb::Get, _) => "112",
            (Kind::Icmp | Kind::Icmpv6, ..) => "222",
            (Kind::Udp, Verb::Create, true) => "11001111",
            (Kind::Gre, Verb::Create, true) => "11111111",
            (Kind::Udp | Kind::Gre, _, true) => "11110000",
            (Kind::Udp | Kind::Gre, Verb::Create | Verb::Add | Verb::Get, _) => "33330000",
            (Kind::Udp | Kind::Gre, ..) => "22220000",
            (Kind::Tcp, Verb::Create, true) => "110011011",
            (Kind::Sctp, Verb::Create, true) => "11001101111",
            (Kind::Dccp, Verb::Create, true) => "1100110111",
            (Kind::Tcp | Kind::Sctp | Kind::Dccp, _, true) => "11110000000",
            (Kind::Tcp, Verb::Create | Verb::Add, _) => "333300100",
            (Kind::Tcp, Verb::Get, _) => "333300200",
            (Kind::Tcp, ..) => "222200200",
            (Kind::Sctp, Verb::Create | Verb::Add, _) => "33330010011",
            (Kind::Sctp, Verb::Get, _) => "33330020022",
            (Kind::Sctp, Verb::Update, _) => "22220020022",
            (Kind::Sctp, ..) => "22220020000",
            (Kind::Dccp, Verb::Create | Verb::Add, _) => "3333001001",
            (Kind::Dccp, Verb::Get, _) => "3333002000",
            (Kind::Dccp, ..) => "2222002000",
        }
    }

    /// Whether nothing can be said of it but addresses.
    pub(crate) fn is_plain(self) -> bool {
        self.kind == Kind::Other
    }

    /// Its part of the help.
    pub(crate) fn help(self) -> String {
        let name = self.protocol.name().unwrap_or("unknown");
        let mut text = format!("\nOptions of {name}:\n");
        for (name, _) in self.names().into_iter().flatten() {
            text += &format!("  --{name} VALUE\n");
        }
        text
    }
}
