//! What the program selects: comparisons of numbers, joined by and and or.

use std::mem::offset_of;

use zerocopy::{Immutable, IntoBytes};

use crate::record::{RawTuple, Record, has};
use crate::slot::TestsAt;

/// A number of an entry that the program can compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Number {
    /// 0 for IPv4, 1 for IPv6.
    Family,
    /// The protocol's number.
    Protocol,
    /// State of TCP; of SCTP plus [`STATE_SCTP`]; of DCCP plus [`STATE_DCCP`].
    State,
    /// Source address of the original direction.
    Src,
    /// Destination address of the original direction.
    Dst,
    /// Source address of the reply direction.
    ReplySrc,
    /// Destination address of the reply direction.
    ReplyDst,
    /// Source port of the original direction.
    SrcPort,
    /// Destination port of the original direction.
    DstPort,
    /// Source port of the reply direction.
    ReplySrcPort,
    /// Destination port of the reply direction.
    ReplyDstPort,
    /// ICMP type of the original direction.
    IcmpType,
    /// ICMP code of the original direction.
    IcmpCode,
    /// ICMP id.
    IcmpId,
    /// GRE key of the original direction's source.
    GreSrcKey,
    /// GRE key of the original direction's destination.
    GreDstKey,
    /// Bytes of both directions.
    Bytes,
    /// Bytes of the original direction.
    BytesOrig,
    /// Bytes of the reply direction.
    BytesReply,
    /// Packets of both directions.
    Packets,
    /// Packets of the original direction.
    PacketsOrig,
    /// Packets of the reply direction.
    PacketsReply,
    /// When the entry was born, in nanoseconds since the epoch.
    Start,
    /// Seconds until the entry is dropped if no packet comes.
    Timeout,
    /// The zone's number.
    Zone,
    /// References to the entry in the kernel.
    Use,
    /// TCP's window scale of the original direction.
    TcpWscaleOrig,
    /// TCP's window scale of the reply direction.
    TcpWscaleReply,
    /// These bits of the mark, not shifted.
    Mark(u32),
    /// These bits of the status, not shifted.
    Status(u32),
    /// These bits of TCP's flags of the original direction, not shifted.
    TcpFlagsOrig(u32),
    /// These bits of TCP's flags of the reply direction, not shifted.
    TcpFlagsReply(u32),
}

/// Where states of SCTP begin in [`Number::State`].
pub const STATE_SCTP: u64 = crate::record::STATE_SCTP as u64;
/// Where states of DCCP begin in [`Number::State`].
pub const STATE_DCCP: u64 = crate::record::STATE_DCCP as u64;

/// One number is in one of some ranges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Which number.
    pub number: Number,
    /// Whether an entry that lacks it is meant as well.
    pub absent: bool,
    /// Ranges, ends included; of an address, those of IPv4.
    pub ranges: Vec<(u64, u64)>,
    /// Ranges of IPv6 addresses.
    pub v6: Vec<(u128, u128)>,
}

/// Which entries the program copies: those of which all conditions of one alternative hold. Without
/// alternatives none; an alternative without conditions means all.
///
/// A filter may be too long for the program, which then leaves conditions out: it selects more, never
/// less. Who needs exactly what was asked for asks again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Joined by or; the conditions of each by and.
    pub alternatives: Vec<Vec<Condition>>,
}

impl Filter {
    /// Every entry.
    pub fn any() -> Self {
        Self {
            alternatives: vec![Vec::new()],
        }
    }

    /// Whether it selects nothing.
    pub fn is_nothing(&self) -> bool {
        self.alternatives.is_empty()
    }

    /// Whether the program has room for all of it, so that nothing is left out.
    pub fn fits(&self) -> bool {
        fits(&self.alternatives)
    }
}

/// A comparison as the program reads it: `struct test` of `bpf/record.h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoBytes, Immutable)]
#[repr(C)]
pub(crate) struct Test {
    offset: u16,
    width: u8,
    flags: u8,
    need: u32,
    mask: u64,
    first_high: u64,
    first: u64,
    last_high: u64,
    last: u64,
}

const _: () = assert!(size_of::<Test>() == 48);

const NETWORK_ORDER: u8 = 1 << 0;
const ENDS_CONDITION: u8 = 1 << 1;
const ENDS_ALTERNATIVE: u8 = 1 << 2;

/// How many tests the program has room for.
pub(crate) const MOST_TESTS: usize = 64;

/// What has been copied of an entry when it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Its tuples: half of its memory.
    Tuples,
    /// The entry itself.
    Entry,
    /// Its extensions too, such as counters: other cache lines.
    Extensions,
}

/// How many stages there are.
pub(crate) const STAGES: usize = 3;

/// The tests of a filter by stages: each asks all that can be asked by then, or nothing where it
/// could ask no more than the one before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tests {
    pub(crate) glances: [Glance; GLANCES],
    pub(crate) stages: [Vec<Test>; STAGES],
}

/// Bits of one word of a tuple, in the order of memory, that an entry must have: `struct glance`.
/// Without a mask it asks nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoBytes, Immutable)]
#[repr(C)]
pub(crate) struct Glance {
    pub(crate) is_reply: u32,
    pub(crate) offset: u32,
    pub(crate) mask: u32,
    pub(crate) value: u32,
}

/// How many words are looked at.
pub(crate) const GLANCES: usize = 2;

impl Tests {
    pub(crate) fn of(filter: &Filter) -> Self {
        let mut alternatives = filter.alternatives.clone();
        while !fits(&alternatives) {
            leave_out_longest(&mut alternatives);
        }
        Self {
            glances: glances(&alternatives),
            stages: by_stages(&alternatives).map(|alternatives| tests(&alternatives)),
        }
    }

    /// Where the tests of each stage are.
    pub(crate) fn at(&self) -> TestsAt {
        let mut next = 0;
        let count = self.stages.each_ref().map(|tests| tests.len() as u32);
        let first = count.map(|count| {
            next += count;
            next - count
        });
        TestsAt { first, count }
    }
}

/// What can be seen without copying anything, where all entries that are wanted have it in common: the
/// most telling words.
fn glances(alternatives: &[Vec<Condition>]) -> [Glance; GLANCES] {
    let mut found: Vec<Glance> = match alternatives {
        [conditions] => conditions.iter().filter_map(Condition::glance).collect(),
        _ => Vec::new(),
    };
    found.sort_by_key(|glance| std::cmp::Reverse(glance.mask.count_ones()));
    let mut found = found.into_iter();
    [(); GLANCES].map(|()| found.next().unwrap_or_default())
}

/// What each stage can ask; everything, where that is no more than the stage before has asked.
fn by_stages(alternatives: &[Vec<Condition>]) -> [Vec<Vec<Condition>>; STAGES] {
    let mut asked = 0;
    [Stage::Tuples, Stage::Entry, Stage::Extensions].map(|stage| {
        let mut alternatives = alternatives.to_vec();
        for alternative in &mut alternatives {
            alternative.retain(|condition| condition.number.stage() <= stage);
        }
        let conditions = alternatives.iter().map(Vec::len).sum();
        if conditions == asked {
            return vec![Vec::new()];
        }
        asked = conditions;
        alternatives
    })
}

/// Whether the program has room for the tests of all stages.
fn fits(alternatives: &[Vec<Condition>]) -> bool {
    let count = |alternatives: &Vec<Vec<Condition>>| {
        let conditions = alternatives.iter().flatten();
        conditions.map(Condition::count).sum::<usize>()
    };
    by_stages(alternatives).iter().map(count).sum::<usize>() <= MOST_TESTS
}

/// Leaves out the condition of most ranges; where there are only short ones, the last.
fn leave_out_longest(alternatives: &mut [Vec<Condition>]) {
    let longest = alternatives
        .iter()
        .flatten()
        .map(Condition::count)
        .max()
        .unwrap_or(0);
    for alternative in alternatives.iter_mut().rev() {
        let is_longest = |condition: &Condition| condition.count() == longest;
        if let Some(at) = alternative.iter().rposition(is_longest) {
            alternative.remove(at);
            return;
        }
    }
}

/// The tests; none if an alternative means all.
fn tests(alternatives: &[Vec<Condition>]) -> Vec<Test> {
    if alternatives.iter().any(Vec::is_empty) {
        return Vec::new();
    }
    let mut tests = Vec::new();
    for alternative in alternatives {
        for condition in alternative {
            condition.write(&mut tests);
        }
        if let Some(last) = tests.last_mut() {
            last.flags |= ENDS_ALTERNATIVE;
        }
    }
    tests
}

impl Condition {
    /// At least as many as it has tests.
    fn count(&self) -> usize {
        if self.number == Number::Family {
            return 2;
        }
        (usize::from(self.absent) + self.ranges.len() + self.v6.len()).max(1)
    }

    /// Bits of one word that are the same in all that is meant, if it is one range of numbers that
    /// begin alike and lie in one word.
    fn glance(&self) -> Option<Glance> {
        if self.absent && !self.number.is_address() || self.number.stage() != Stage::Tuples {
            return None;
        }
        let place = self.number.place();
        let (bytes, mask) = match (self.ranges.as_slice(), self.v6.as_slice()) {
            // Other protocols have something else where ports are, but then they are not meant.
            (&[(first, last)], []) if self.number != Number::Family => {
                let width = usize::from(place.width);
                (
                    in_order(first, width),
                    in_order(common_bits(first, last), width),
                )
            }
            _ => return None,
        };
        let within = place.offset % 4;
        let word = |from: &[u8]| {
            let mut word = [0; 4];
            for (to, from) in word.iter_mut().skip(within).zip(from) {
                *to = *from;
            }
            u32::from_ne_bytes(word)
        };
        let mask = word(&mask);
        let in_tuples = place.offset.checked_sub(ORIG)?;
        let tuple = size_of::<RawTuple>();
        Some(Glance {
            is_reply: (in_tuples / tuple) as u32,
            offset: (in_tuples % tuple - within) as u32,
            mask,
            value: word(&bytes) & mask,
        })
    }

    fn write(&self, tests: &mut Vec<Test>) {
        let before = tests.len();
        if self.number == Number::Family {
            self.write_family(tests);
        } else {
            let place = self.number.place();
            // Every entry has addresses, if of one family only.
            if self.absent && !self.number.is_address() {
                tests.push(Test {
                    need: place.need,
                    ..Test::default()
                });
            }
            for &(first, last) in &self.ranges {
                tests.push(Test {
                    first,
                    last,
                    ..place.test()
                });
            }
            for &(first, last) in &self.v6 {
                let [first_high, first] = halves(first);
                let [last_high, last] = halves(last);
                tests.push(Test {
                    width: 16,
                    need: has::IPV6,
                    first_high,
                    first,
                    last_high,
                    last,
                    ..place.test()
                });
            }
        }
        if tests.len() == before {
            // Nothing is in no range: a number that everything has is not lacking.
            tests.push(Test::default());
        }
        if let Some(last) = tests.last_mut() {
            last.flags |= ENDS_CONDITION;
        }
    }

    /// A family is what the entry has, not a number of it.
    fn write_family(&self, tests: &mut Vec<Test>) {
        let holds = |family: u64| {
            let is_in = |&(first, last): &(u64, u64)| first <= family && family <= last;
            self.ranges.iter().any(is_in)
        };
        for (family, other) in [(0, has::IPV6), (1, has::IPV4)] {
            if holds(family) {
                tests.push(Test {
                    need: other,
                    ..Test::default()
                });
            }
        }
    }
}

/// The bits above the highest in which two numbers differ.
fn common_bits(first: u64, last: u64) -> u64 {
    match first ^ last {
        0 => u64::MAX,
        differing => !(u64::MAX >> differing.leading_zeros()),
    }
}

/// The last bytes of a number in the order of the network.
fn in_order(number: u64, width: usize) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    bytes
        .get(bytes.len() - width..)
        .unwrap_or_default()
        .to_vec()
}

fn halves(number: u128) -> [u64; 2] {
    [(number >> 64) as u64, number as u64]
}

/// Where in the record a number is.
struct Place {
    offset: usize,
    width: u8,
    flags: u8,
    need: u32,
    mask: u64,
}

impl Place {
    const fn of(offset: usize, width: u8, need: u32) -> Self {
        Self {
            offset,
            width,
            flags: 0,
            need,
            mask: u64::MAX,
        }
    }

    const fn network(offset: usize, width: u8, need: u32) -> Self {
        let mut place = Self::of(offset, width, need);
        place.flags = NETWORK_ORDER;
        place
    }

    const fn bits(offset: usize, width: u8, need: u32, mask: u32) -> Self {
        let mut place = Self::of(offset, width, need);
        place.mask = mask as u64;
        place
    }

    const fn test(&self) -> Test {
        Test {
            offset: self.offset as u16,
            width: self.width,
            flags: self.flags,
            need: self.need,
            mask: self.mask,
            first_high: 0,
            first: 0,
            last_high: 0,
            last: 0,
        }
    }
}

// The program reads 16 bytes at any place that a test names.
const _: () = assert!(offset_of!(Record, flags) < size_of::<Record>() - 16);

const ORIG: usize = offset_of!(Record, orig);
const REPLY: usize = offset_of!(Record, reply);
const SRC: usize = offset_of!(RawTuple, src);
const DST: usize = offset_of!(RawTuple, dst);
const SRC_L4: usize = offset_of!(RawTuple, src_l4);
const DST_L4: usize = offset_of!(RawTuple, dst_l4);

impl Number {
    /// Where a sum of packets or bytes is in the record.
    pub(crate) const fn counter_place(self) -> Option<u32> {
        match self {
            Self::Bytes
            | Self::BytesOrig
            | Self::BytesReply
            | Self::Packets
            | Self::PacketsOrig
            | Self::PacketsReply => Some(self.place().offset as u32),
            _ => None,
        }
    }

    const fn place(self) -> Place {
        const fn port(offset: usize) -> Place {
            Place::network(offset, 2, has::PORTS)
        }
        const fn address(offset: usize) -> Place {
            Place::network(offset, 4, has::IPV4)
        }
        const fn counter(offset: usize) -> Place {
            Place::of(offset, 8, has::COUNTERS)
        }
        match self {
            // The family is asked for otherwise.
            Self::Family => Place::of(0, 0, 0),
            Self::Protocol => Place::of(ORIG + offset_of!(RawTuple, protocol), 1, 0),
            Self::State => Place::of(offset_of!(Record, state), 2, has::STATE),
            Self::Src => address(ORIG + SRC),
            Self::Dst => address(ORIG + DST),
            Self::ReplySrc => address(REPLY + SRC),
            Self::ReplyDst => address(REPLY + DST),
            Self::SrcPort => port(ORIG + SRC_L4),
            Self::DstPort => port(ORIG + DST_L4),
            Self::ReplySrcPort => port(REPLY + SRC_L4),
            Self::ReplyDstPort => port(REPLY + DST_L4),
            Self::IcmpType => Place::of(ORIG + DST_L4, 1, has::ICMP),
            Self::IcmpCode => Place::of(ORIG + DST_L4 + 1, 1, has::ICMP),
            Self::IcmpId => Place::network(ORIG + SRC_L4, 2, has::ICMP),
            Self::GreSrcKey => Place::network(ORIG + SRC_L4, 2, has::GRE),
            Self::GreDstKey => Place::network(ORIG + DST_L4, 2, has::GRE),
            Self::Bytes => counter(offset_of!(Record, bytes)),
            Self::BytesOrig => counter(offset_of!(Record, bytes_orig)),
            Self::BytesReply => counter(offset_of!(Record, bytes_reply)),
            Self::Packets => counter(offset_of!(Record, packets)),
            Self::PacketsOrig => counter(offset_of!(Record, packets_orig)),
            Self::PacketsReply => counter(offset_of!(Record, packets_reply)),
            Self::Start => Place::of(offset_of!(Record, start), 8, has::TIMESTAMPS),
            Self::Timeout => Place::of(offset_of!(Record, timeout), 4, has::TIMEOUT),
            Self::Zone => Place::of(offset_of!(Record, zone), 2, 0),
            Self::Use => Place::of(offset_of!(Record, use_count), 4, 0),
            Self::TcpWscaleOrig => Place::of(offset_of!(Record, wscale), 1, has::TCP),
            Self::TcpWscaleReply => Place::of(offset_of!(Record, wscale) + 1, 1, has::TCP),
            Self::Mark(mask) => Place::bits(offset_of!(Record, mark), 4, 0, mask),
            Self::Status(mask) => Place::bits(offset_of!(Record, status), 4, 0, mask),
            Self::TcpFlagsOrig(mask) => Place::bits(offset_of!(Record, flags), 1, has::TCP, mask),
            Self::TcpFlagsReply(mask) => {
                Place::bits(offset_of!(Record, flags) + 1, 1, has::TCP, mask)
            }
        }
    }

    const fn is_address(self) -> bool {
        matches!(
            self,
            Self::Src | Self::Dst | Self::ReplySrc | Self::ReplyDst
        )
    }

    /// When it can be asked for.
    const fn stage(self) -> Stage {
        match self {
            Self::Family
            | Self::Protocol
            | Self::Src
            | Self::Dst
            | Self::ReplySrc
            | Self::ReplyDst
            | Self::SrcPort
            | Self::DstPort
            | Self::ReplySrcPort
            | Self::ReplyDstPort
            | Self::IcmpType
            | Self::IcmpCode
            | Self::IcmpId
            | Self::GreSrcKey
            | Self::GreDstKey => Stage::Tuples,
            Self::Bytes
            | Self::BytesOrig
            | Self::BytesReply
            | Self::Packets
            | Self::PacketsOrig
            | Self::PacketsReply
            | Self::Start => Stage::Extensions,
            Self::State
            | Self::Timeout
            | Self::Zone
            | Self::Use
            | Self::TcpWscaleOrig
            | Self::TcpWscaleReply
            | Self::Mark(_)
            | Self::Status(_)
            | Self::TcpFlagsOrig(_)
            | Self::TcpFlagsReply(_) => Stage::Entry,
        }
    }
}

#[cfg(test)]
mod tests;
