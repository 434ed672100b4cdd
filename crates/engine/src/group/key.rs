//! An entry's place among the groups: its fields as a few bytes, and these back as cells.
//!
//! The order of keys is the order of their bytes: addresses and numbers ascending, IPv4 before
//! IPv6, what an entry lacks last.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use ctnetlink::{
    DccpState, Entry, Family, Labels, ProtoInfo, Protocol, SctpState, Status, TcpState,
};

use super::by::{By, End, MOST_FIELDS, Named, Prefix, What};
use super::cell::Cell;
use crate::column::status_words;
use crate::marks::Marks;

/// Bytes of the longest field: a tag, and an address, a name or labels.
const LONGEST: usize = 17;

/// Leads a field that the entry lacks.
const ABSENT: u8 = 0xff;
const PRESENT: u8 = 1;

/// What [`status_words`] has no word for.
const ANSWERED: &str = "SEEN_REPLY";

/// How entries become keys.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    fields: Vec<Part>,
    width: usize,
}

#[derive(Clone, Debug)]
struct Part {
    what: What,
    names: Option<Names>,
}

/// The names of one part of the mark.
#[derive(Clone, Debug)]
struct Names {
    marks: Marks,
    which: Named,
    /// Bits of the mark that hold the number.
    bits: u32,
}

/// A key that is being made.
pub(super) struct Key {
    bytes: [u8; LONGEST * MOST_FIELDS],
    length: usize,
}

impl Layout {
    pub(super) fn new(by: &[By], marks: &Marks) -> Self {
        let fields: Vec<Part> = by
            .iter()
            .map(|by| Part {
                what: by.what,
                names: match by.what {
                    What::Named(which) => Some(Names::new(which, marks)),
                    _ => None,
                },
            })
            .collect();
        let width = fields.iter().map(|part| part.what.width()).sum();
        Self { fields, width }
    }

    /// Bytes of a key.
    pub(super) const fn width(&self) -> usize {
        self.width
    }

    /// The key of an entry.
    #[inline]
    pub(super) fn key(&self, entry: &Entry) -> Key {
        let mut key = Key {
            bytes: [0; LONGEST * MOST_FIELDS],
            length: 0,
        };
        for part in &self.fields {
            part.write(&mut key, entry);
        }
        debug_assert_eq!(key.length, self.width);
        key
    }

    /// What a key says, field by field.
    pub(super) fn cells(&self, mut key: &[u8]) -> Vec<Cell> {
        self.fields
            .iter()
            .map(|part| {
                let (field, rest) = key.split_at_checked(part.what.width()).unwrap_or_default();
                key = rest;
                part.read(field)
            })
            .collect()
    }
}

impl Key {
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    #[inline]
    fn push<const N: usize>(&mut self, bytes: [u8; N]) {
        if let Some(place) = self.bytes.get_mut(self.length..self.length + N) {
            place.copy_from_slice(&bytes);
        }
        self.length += N;
    }

    /// A tag, and the value or as many zeros.
    #[inline]
    fn push_option<const N: usize>(&mut self, bytes: Option<[u8; N]>) {
        self.push([if bytes.is_some() { PRESENT } else { ABSENT }]);
        self.push(bytes.unwrap_or([0; N]));
    }

    fn push_address(&mut self, address: IpAddr, prefix: Prefix) {
        match address {
            IpAddr::V4(address) => {
                self.push([4]);
                let bits = u128::from(address.to_bits()) << 96;
                self.push((bits & leading(prefix.v4)).to_be_bytes());
            }
            IpAddr::V6(address) => {
                self.push([6]);
                self.push((address.to_bits() & leading(prefix.v6)).to_be_bytes());
            }
        }
    }
}

/// So many leading ones.
fn leading(bits: u8) -> u128 {
    !u128::MAX.checked_shr(bits.into()).unwrap_or(0)
}

impl What {
    const fn width(self) -> usize {
        match self {
            Self::Address(..) | Self::Helper | Self::Labels => LONGEST,
            Self::Port(_) => 3,
            Self::Status | Self::Zone => 2,
            Self::Protocol | Self::Family | Self::State | Self::Nat => 1,
            Self::Named(_) | Self::Mark => 5,
        }
    }
}

impl Part {
    #[inline]
    fn write(&self, key: &mut Key, entry: &Entry) {
        match self.what {
            What::Address(end, prefix) => key.push_address(address(entry, end), prefix),
            What::Port(end) => key.push_option(port(entry, end).map(u16::to_be_bytes)),
            What::Protocol => key.push([entry.orig.protocol.0]),
            What::Family => key.push([entry.family().number()]),
            What::State => key.push([state(entry).unwrap_or(ABSENT)]),
            What::Status => key.push_option(entry.status.map(|status| [word_bits(status)])),
            What::Nat => key.push([nat(entry)]),
            What::Named(_) => {
                let bits = self.names.as_ref().map_or(0, |names| names.bits);
                let number = entry.mark.map(|mark| mark & bits);
                key.push_option(number.map(u32::to_be_bytes));
            }
            What::Mark => key.push_option(entry.mark.map(u32::to_be_bytes)),
            What::Zone => key.push(entry.zone.id.to_be_bytes()),
            What::Helper => {
                key.push_option(entry.helper.filter(|name| !name.is_empty()).map(|name| {
                    let mut bytes = [0; 16];
                    let (text, length) = bytes.split_at_mut(15);
                    text.iter_mut()
                        .zip(name.bytes())
                        .for_each(|(to, from)| *to = from);
                    length.fill(name.len() as u8);
                    bytes
                }));
            }
            What::Labels => {
                let set = entry.labels.filter(|&labels| labels != Labels::NONE);
                key.push_option(set.map(|labels| labels.bits().to_be_bytes()));
            }
        }
    }

    fn read(&self, field: &[u8]) -> Cell {
        let (tag, value) = field
            .split_first()
            .map_or((ABSENT, field), |(tag, value)| (*tag, value));
        let is_number = matches!(
            self.what,
            What::Protocol | What::Family | What::Nat | What::Zone
        );
        if tag == ABSENT && !is_number {
            return Cell::Absent;
        }
        match self.what {
            What::Address(_, prefix) => read_address(tag, number(value), prefix),
            What::Port(_) => Cell::Number(number(value) as u64),
            What::Protocol => Cell::Text(Protocol(tag).to_string()),
            What::Family => {
                let family = Family::ALL
                    .into_iter()
                    .find(|family| family.number() == tag);
                family.map_or(Cell::Absent, |family| Cell::Text(family.name().to_owned()))
            }
            What::State => STATES
                .names
                .get(usize::from(tag))
                .map_or(Cell::Absent, |name| Cell::Text((*name).to_owned())),
            What::Status => Cell::Text(words(number(value) as u8)),
            What::Nat => {
                let word = ["none", "snat", "dnat", "both"].get(usize::from(tag));
                word.map_or(Cell::Absent, |word| Cell::Text((*word).to_owned()))
            }
            What::Named(_) => {
                let names = self.names.as_ref();
                names.map_or(Cell::Absent, |names| {
                    Cell::Text(names.name(number(value) as u32).into_owned())
                })
            }
            What::Mark => Cell::Mark(number(value) as u32),
            What::Zone => Cell::Number(number(field) as u64),
            What::Helper => {
                let length = value.last().map_or(0, |&length| usize::from(length));
                let name = value.get(..length).unwrap_or_default();
                Cell::Text(String::from_utf8_lossy(name).into_owned())
            }
            What::Labels => Cell::Labels(Labels::from_bits(number(value))),
        }
    }
}

/// Bytes, the highest first, as a number.
fn number(bytes: &[u8]) -> u128 {
    bytes
        .iter()
        .fold(0, |number, &byte| number << 8 | u128::from(byte))
}

fn read_address(tag: u8, bits: u128, prefix: Prefix) -> Cell {
    let (address, prefix, whole): (IpAddr, _, _) = match tag {
        4 => (
            Ipv4Addr::from_bits((bits >> 96) as u32).into(),
            prefix.v4,
            32,
        ),
        _ => (Ipv6Addr::from_bits(bits).into(), prefix.v6, 128),
    };
    Cell::Text(if prefix == whole {
        address.to_string()
    } else {
        format!("{address}/{prefix}")
    })
}

const fn address(entry: &Entry, end: End) -> IpAddr {
    match end {
        End::Src => entry.orig.src,
        End::Dst => entry.orig.dst,
        End::ReplySrc => entry.reply.src,
        End::ReplyDst => entry.reply.dst,
    }
}

const fn port(entry: &Entry, end: End) -> Option<u16> {
    match end {
        End::Src => entry.orig.src_port(),
        End::Dst => entry.orig.dst_port(),
        End::ReplySrc => entry.reply.src_port(),
        End::ReplyDst => entry.reply.dst_port(),
    }
}

/// 1 for the source, 2 for the destination, or both. What is translated otherwise, such as an ICMP
/// identifier, is the source's.
fn nat(entry: &Entry) -> u8 {
    if !entry.is_nat() {
        return 0;
    }
    let (orig, reply) = (&entry.orig, &entry.reply);
    let source = entry.has_status(Status::SRC_NAT)
        || reply.dst != orig.src
        || reply.dst_port() != orig.src_port();
    let destination = entry.has_status(Status::DST_NAT)
        || reply.src != orig.dst
        || reply.src_port() != orig.dst_port();
    u8::from(source || !destination) | u8::from(destination) << 1
}

/// Every state's name of every protocol in alphabetical order, and the places of each protocol's
/// states among them.
struct States {
    names: Vec<&'static str>,
    tcp: [u8; 16],
    sctp: [u8; 16],
    dccp: [u8; 16],
}

static STATES: LazyLock<States> = LazyLock::new(|| {
    let named = |name: fn(u8) -> Option<&'static str>| (0..16).map(name).collect::<Vec<_>>();
    let tcp = named(|number| TcpState(number).name());
    let sctp = named(|number| SctpState(number).name());
    let dccp = named(|number| DccpState(number).name());
    let mut names: Vec<_> = [&tcp, &sctp, &dccp]
        .into_iter()
        .flatten()
        .flatten()
        .copied()
        .collect();
    names.sort_unstable();
    names.dedup();
    let places = |states: &[Option<&'static str>]| {
        let mut places = [ABSENT; 16];
        for (place, name) in places.iter_mut().zip(states) {
            let found = name.and_then(|name| names.iter().position(|other| *other == name));
            *place = found.map_or(ABSENT, |found| found as u8);
        }
        places
    };
    let (tcp, sctp, dccp) = (places(&tcp), places(&sctp), places(&dccp));
    States {
        names,
        tcp,
        sctp,
        dccp,
    }
});

fn state(entry: &Entry) -> Option<u8> {
    let (places, number) = match entry.protoinfo? {
        ProtoInfo::Tcp(tcp) => (&STATES.tcp, tcp.state?.0),
        ProtoInfo::Sctp(sctp) => (&STATES.sctp, sctp.state?.0),
        ProtoInfo::Dccp(dccp) => (&STATES.dccp, dccp.state?.0),
    };
    places.get(usize::from(number)).copied()
}

fn word_bits(status: Status) -> u8 {
    let words = status_words(status).into_iter().zip(0..);
    words.fold(0, |bits, ((holds, _), place)| {
        bits | u8::from(holds) << place
    })
}

fn words(bits: u8) -> String {
    let all = status_words(Status::empty()).into_iter().zip(0..);
    let words: Vec<_> = all
        .filter(|(_, place)| bits >> place & 1 == 1)
        .map(|((_, word), _)| word)
        .collect();
    if words.is_empty() {
        ANSWERED.to_owned()
    } else {
        words.join(" ")
    }
}

impl Names {
    fn new(which: Named, marks: &Marks) -> Self {
        let bits = match which {
            Named::Class => marks.class_bits(),
            Named::Application => marks.application_bits(),
            Named::Provider => marks.provider_bits(),
        };
        Self {
            marks: marks.clone(),
            which,
            bits,
        }
    }

    fn name(&self, masked: u32) -> Cow<'_, str> {
        match self.which {
            Named::Class => self.marks.class(masked),
            Named::Application => self.marks.application(masked),
            Named::Provider => self.marks.provider(masked),
        }
    }
}

/// Makes one key of those that differ but show the same: numbers in the mark with one name.
pub(super) struct Unifier<'a> {
    layout: &'a Layout,
    first: HashMap<(usize, String), [u8; 5]>,
}

impl Layout {
    /// Something to make keys alike that show the same; `None` where no two can.
    pub(super) fn unifier(&self) -> Option<Unifier<'_>> {
        let has_names = self.fields.iter().any(|part| part.names.is_some());
        has_names.then(|| Unifier {
            layout: self,
            first: HashMap::new(),
        })
    }
}

impl Unifier<'_> {
    /// The first key seen that shows the same as this one; a name that is empty is none.
    pub(super) fn unify(&mut self, key: &mut [u8]) {
        let mut rest = key;
        for (place, part) in self.layout.fields.iter().enumerate() {
            let Some((field, after)) = rest.split_at_mut_checked(part.what.width()) else {
                return;
            };
            rest = after;
            let Some(names) = &part.names else { continue };
            let Some((&mut PRESENT, value)) = field.split_first_mut() else {
                continue;
            };
            let name = names.name(number(value) as u32);
            let mut own = [0; 5];
            if name.is_empty() {
                own[0] = ABSENT;
            } else {
                own[0] = PRESENT;
                own[1..].copy_from_slice(value);
                own = *self.first.entry((place, name.into_owned())).or_insert(own);
            }
            field.copy_from_slice(&own);
        }
    }
}
