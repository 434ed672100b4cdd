//! Columns of an entry: what tables and CSV show and lists sort by.

use std::cmp::{Ordering, Reverse};
use std::net::IpAddr;

use ctnetlink::{Counters, Entry, L4, Status, Tuple};
use ctwalk::{Floor, Number};

use crate::render::{push_address, push_number};

/// What numbers are shown as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Rounded for people: `1.2 MB`, `3h 5m`.
    Human,
    /// As they are: bytes, seconds.
    Exact,
}

macro_rules! columns {
    ($($(#[doc = $doc:literal])+ $column:ident $name:literal $title:literal,)+) => {
        /// A column.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Column {
            $($(#[doc = $doc])+ $column,)+
        }

        impl Column {
            /// Every column.
            pub const ALL: &'static [Self] = &[$(Self::$column),+];

            /// The name by which it is chosen, and its heading in CSV.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$column => $name,)+ }
            }

            /// Its heading in a table.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$column => $title,)+ }
            }

            /// What it shows, one sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$column => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

columns! {
    /// Address family.
    Family "family" "FAMILY",
    /// Protocol.
    Protocol "proto" "PROTO",
    /// State of the protocol.
    State "state" "STATE",
    /// Source of the original direction, with its port.
    Source "source" "SOURCE",
    /// Destination of the original direction, with its port or ICMP type and code.
    Destination "destination" "DESTINATION",
    /// What NAT made of it: `as` the address that the far end sees, `to` the true other end.
    Translated "translated" "TRANSLATED",
    /// Source address of the original direction.
    Src "src" "SRC",
    /// Source port of the original direction.
    SrcPort "sport" "SPORT",
    /// Destination address of the original direction.
    Dst "dst" "DST",
    /// Destination port of the original direction.
    DstPort "dport" "DPORT",
    /// Source address of the reply direction.
    ReplySrc "reply_src" "REPLY-SRC",
    /// Source port of the reply direction.
    ReplySrcPort "reply_sport" "REPLY-SPORT",
    /// Destination address of the reply direction.
    ReplyDst "reply_dst" "REPLY-DST",
    /// Destination port of the reply direction.
    ReplyDstPort "reply_dport" "REPLY-DPORT",
    /// Status: assured, unreplied, offloaded, and so on.
    Status "status" "STATUS",
    /// Bytes of both directions.
    Bytes "bytes" "BYTES",
    /// Bytes of the original direction.
    BytesOrig "bytes_orig" "SENT",
    /// Bytes of the reply direction.
    BytesReply "bytes_reply" "RECEIVED",
    /// Packets of both directions.
    Packets "packets" "PACKETS",
    /// Packets of the original direction.
    PacketsOrig "packets_orig" "PKTS-SENT",
    /// Packets of the reply direction.
    PacketsReply "packets_reply" "PKTS-RECEIVED",
    /// Time since the connection began.
    Age "age" "AGE",
    /// Time until the entry is dropped if no packet comes.
    Timeout "timeout" "LEFT",
    /// Mark, hexadecimal.
    Mark "mark" "MARK",
    /// Zone.
    Zone "zone" "ZONE",
    /// Name of the helper at work.
    Helper "helper" "HELPER",
    /// Numbers of the labels that are set.
    Labels "labels" "LABELS",
    /// References in the kernel.
    Use "use" "USE",
    /// Id.
    Id "id" "ID",
}

impl Column {
    /// What a table shows if nothing else is asked for, in order.
    pub const TABLE: &'static [Self] = &[
        Self::Protocol,
        Self::State,
        Self::Source,
        Self::Destination,
        Self::Translated,
        Self::BytesOrig,
        Self::BytesReply,
        Self::Age,
        Self::Timeout,
        Self::Status,
    ];

    /// What CSV shows if nothing else is asked for: one value a column.
    pub const CSV: &'static [Self] = &[
        Self::Family,
        Self::Protocol,
        Self::State,
        Self::Src,
        Self::SrcPort,
        Self::Dst,
        Self::DstPort,
        Self::ReplySrc,
        Self::ReplySrcPort,
        Self::ReplyDst,
        Self::ReplyDstPort,
        Self::Status,
        Self::PacketsOrig,
        Self::BytesOrig,
        Self::PacketsReply,
        Self::BytesReply,
        Self::Age,
        Self::Timeout,
        Self::Mark,
        Self::Zone,
        Self::Helper,
        Self::Labels,
        Self::Use,
        Self::Id,
    ];

    /// The column of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|column| column.name() == name)
    }

    /// Whether it is a quantity: shown to the right, sorted from the largest.
    pub const fn is_quantity(self) -> bool {
        matches!(
            self,
            Self::Bytes
                | Self::BytesOrig
                | Self::BytesReply
                | Self::Packets
                | Self::PacketsOrig
                | Self::PacketsReply
                | Self::Age
                | Self::Timeout
        )
    }

    /// Whether its exact values are numbers.
    pub const fn is_number(self) -> bool {
        self.is_quantity()
            || matches!(
                self,
                Self::SrcPort
                    | Self::DstPort
                    | Self::ReplySrcPort
                    | Self::ReplyDstPort
                    | Self::Zone
                    | Self::Use
                    | Self::Id
            )
    }

    /// Appends the value of an entry; nothing where the entry has none. `now` is in nanoseconds
    /// since the epoch.
    pub fn write(self, out: &mut Vec<u8>, entry: &Entry, style: Style, now: u64) {
        match self {
            Self::Family => push_str(out, entry.family().name()),
            Self::Protocol => match entry.orig.protocol.name() {
                Some(name) => push_str(out, name),
                None => push_number(out, entry.orig.protocol.0),
            },
            Self::State => push_str(out, entry.state_name().unwrap_or_default()),
            Self::Source => push_endpoint(out, &entry.orig, End::Source),
            Self::Destination => push_endpoint(out, &entry.orig, End::Destination),
            Self::Translated => push_translated(out, entry),
            Self::Src => push_address(out, entry.orig.src),
            Self::SrcPort => push_option(out, entry.orig.src_port()),
            Self::Dst => push_address(out, entry.orig.dst),
            Self::DstPort => push_option(out, entry.orig.dst_port()),
            Self::ReplySrc => push_address(out, entry.reply.src),
            Self::ReplySrcPort => push_option(out, entry.reply.src_port()),
            Self::ReplyDst => push_address(out, entry.reply.dst),
            Self::ReplyDstPort => push_option(out, entry.reply.dst_port()),
            Self::Status => push_status(out, entry),
            Self::Mark => {
                if let Some(mark) = entry.mark {
                    push_str(out, &format!("0x{mark:x}"));
                }
            }
            Self::Zone => push_number(out, entry.zone.id),
            // A file may hold any name.
            Self::Helper => {
                let name = entry.helper.as_deref().unwrap_or_default().chars();
                let shown = name.map(|c| {
                    if crate::printable::is_unseen(c) {
                        '?'
                    } else {
                        c
                    }
                });
                push_str(out, &shown.collect::<String>());
            }
            Self::Labels => {
                let numbers = entry.labels.unwrap_or_default();
                for (index, number) in numbers.iter().enumerate() {
                    if index > 0 {
                        out.push(b' ');
                    }
                    push_number(out, number);
                }
            }
            Self::Use => push_option(out, entry.use_count),
            Self::Id => push_option(out, entry.id),
            Self::Age | Self::Timeout => {
                if let Some(seconds) = self.quantity(entry, now) {
                    match style {
                        Style::Human => push_duration(out, seconds),
                        Style::Exact => push_number(out, seconds),
                    }
                }
            }
            Self::Bytes | Self::BytesOrig | Self::BytesReply => {
                if let Some(bytes) = self.quantity(entry, now) {
                    match style {
                        Style::Human => push_bytes(out, bytes),
                        Style::Exact => push_number(out, bytes),
                    }
                }
            }
            Self::Packets | Self::PacketsOrig | Self::PacketsReply => {
                push_option(out, self.quantity(entry, now));
            }
        }
    }

    /// The order of two entries when sorting by this column: quantities from the largest,
    /// everything else ascending, entries without a value last. Equal ones are told apart by
    /// their tuples, so that two lists of an unchanged table are alike.
    pub fn compare(self, a: &Entry, b: &Entry, now: u64) -> Ordering {
        let by_value = match self {
            Self::Family => a.family().cmp(&b.family()),
            Self::Protocol => a.orig.protocol.cmp(&b.orig.protocol),
            Self::State => absent_last(a.state_name(), b.state_name()),
            Self::Source | Self::Src => a.orig.src.cmp(&b.orig.src),
            Self::Destination | Self::Dst => a.orig.dst.cmp(&b.orig.dst),
            Self::ReplySrc => a.reply.src.cmp(&b.reply.src),
            Self::ReplyDst | Self::Translated => a.reply.dst.cmp(&b.reply.dst),
            Self::SrcPort => absent_last(a.orig.src_port(), b.orig.src_port()),
            Self::DstPort => absent_last(a.orig.dst_port(), b.orig.dst_port()),
            Self::ReplySrcPort => absent_last(a.reply.src_port(), b.reply.src_port()),
            Self::ReplyDstPort => absent_last(a.reply.dst_port(), b.reply.dst_port()),
            Self::Status => a.status.cmp(&b.status),
            Self::Mark => absent_last(a.mark, b.mark),
            Self::Zone => a.zone.cmp(&b.zone),
            Self::Helper => absent_last(a.helper, b.helper),
            Self::Labels => absent_last(a.labels.map(|l| l.bits()), b.labels.map(|l| l.bits())),
            Self::Use => absent_last(a.use_count, b.use_count),
            Self::Id => absent_last(a.id, b.id),
            _ => {
                let (a, b) = (self.quantity(a, now), self.quantity(b, now));
                absent_last(a.map(Reverse), b.map(Reverse))
            }
        };
        by_value.then_with(|| (&a.orig, a.zone, a.id).cmp(&(&b.orig, b.zone, b.id)))
    }

    /// What an entry is sorted by, as a number: in the order of [`compare`](Self::compare) without its
    /// ties. For orders of so many rows that their entries are not kept.
    pub(crate) fn sort_key(self, entry: &Entry, now: u64) -> SortKey {
        let port = |port: Option<u16>| SortKey::smallest_first(port.map(u128::from));
        match self {
            Self::Family => SortKey::smallest_first(Some(entry.family().number().into())),
            Self::Protocol => SortKey::smallest_first(Some(entry.orig.protocol.0.into())),
            Self::State => SortKey::of_text(entry.state_name()),
            Self::Source | Self::Src => SortKey::of_address(entry.orig.src),
            Self::Destination | Self::Dst => SortKey::of_address(entry.orig.dst),
            Self::ReplySrc => SortKey::of_address(entry.reply.src),
            Self::ReplyDst | Self::Translated => SortKey::of_address(entry.reply.dst),
            Self::SrcPort => port(entry.orig.src_port()),
            Self::DstPort => port(entry.orig.dst_port()),
            Self::ReplySrcPort => port(entry.reply.src_port()),
            Self::ReplyDstPort => port(entry.reply.dst_port()),
            // What has no status comes first here.
            Self::Status => {
                SortKey::smallest_first(Some(entry.status.map_or(0, |s| u128::from(s.bits()) + 1)))
            }
            Self::Mark => SortKey::smallest_first(entry.mark.map(u128::from)),
            Self::Zone => {
                let direction = entry.zone.direction as u8;
                SortKey::smallest_first(Some(
                    u128::from(entry.zone.id) << 8 | u128::from(direction),
                ))
            }
            Self::Helper => SortKey::of_text(entry.helper.as_deref()),
            Self::Labels => SortKey::smallest_first(entry.labels.map(|labels| labels.bits())),
            Self::Use => SortKey::smallest_first(entry.use_count.map(u128::from)),
            Self::Id => SortKey::smallest_first(entry.id.map(u128::from)),
            _ => SortKey::largest_first(self.quantity(entry, now)),
        }
    }

    /// What a sum of packets or bytes is called where only the largest are read.
    const fn counter(self) -> Option<Number> {
        Some(match self {
            Self::Bytes => Number::Bytes,
            Self::BytesOrig => Number::BytesOrig,
            Self::BytesReply => Number::BytesReply,
            Self::Packets => Number::Packets,
            Self::PacketsOrig => Number::PacketsOrig,
            Self::PacketsReply => Number::PacketsReply,
            _ => return None,
        })
    }

    fn quantity(self, entry: &Entry, now: u64) -> Option<u64> {
        let counter = |counters: Option<Counters>, pick: fn(Counters) -> u64| counters.map(pick);
        match self {
            Self::Bytes => entry.bytes(),
            Self::BytesOrig => counter(entry.counters_orig, |c| c.bytes),
            Self::BytesReply => counter(entry.counters_reply, |c| c.bytes),
            Self::Packets => entry.packets(),
            Self::PacketsOrig => counter(entry.counters_orig, |c| c.packets),
            Self::PacketsReply => counter(entry.counters_reply, |c| c.packets),
            Self::Timeout => entry.timeout.map(u64::from),
            Self::Age => entry.age(now),
            _ => None,
        }
    }
}

/// What is sorted by, as a number: what has none comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SortKey(u8, u128);

impl SortKey {
    /// Comes last.
    pub(crate) const ABSENT: Self = Self(u8::MAX, 0);

    /// Ascending.
    fn smallest_first(number: Option<u128>) -> Self {
        number.map_or(Self::ABSENT, |number| Self(0, number))
    }

    /// Descending.
    pub(crate) fn largest_first(number: Option<u64>) -> Self {
        Self::smallest_first(number.map(|number| u128::from(u64::MAX - number)))
    }

    /// IPv4 before IPv6.
    const fn of_address(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self(0, address.to_bits() as u128),
            IpAddr::V6(address) => Self(1, address.to_bits()),
        }
    }

    /// By the first sixteen bytes, by which all names of states and helpers differ.
    fn of_text(text: Option<&str>) -> Self {
        let number = |text: &str| {
            let mut first = [0; 16];
            for (to, byte) in first.iter_mut().zip(text.bytes()) {
                *to = byte;
            }
            u128::from_be_bytes(first)
        };
        Self::smallest_first(text.map(number))
    }
}

fn absent_last<T: Ord>(a: Option<T>, b: Option<T>) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => a.cmp(&b),
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Source,
    Destination,
}

fn push_str(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

fn push_option(out: &mut Vec<u8>, number: Option<impl itoa::Integer>) {
    if let Some(number) = number {
        push_number(out, number);
    }
}

fn push_endpoint(out: &mut Vec<u8>, tuple: &Tuple, end: End) {
    let (address, port) = match end {
        End::Source => (tuple.src, tuple.src_port()),
        End::Destination => (tuple.dst, tuple.dst_port()),
    };
    push_address_port(out, address, port);
    if let (End::Destination, L4::Icmp { kind, code, .. }) = (end, tuple.l4) {
        push_str(out, &format!(" type {kind}/{code}"));
    }
    if let L4::Gre { src_key, dst_key } = tuple.l4 {
        let key = if end == End::Source { src_key } else { dst_key };
        push_str(out, &format!(" key 0x{key:x}"));
    }
}

fn push_address_port(out: &mut Vec<u8>, address: IpAddr, port: Option<u16>) {
    match port {
        Some(port) => {
            if address.is_ipv6() {
                out.push(b'[');
                push_address(out, address);
                out.push(b']');
            } else {
                push_address(out, address);
            }
            out.push(b':');
            push_number(out, port);
        }
        None => push_address(out, address),
    }
}

fn push_translated(out: &mut Vec<u8>, entry: &Entry) {
    let mirror = entry.orig.mirror();
    let (seen, peer) = (&entry.reply, &mirror);
    let is_source = (seen.dst, seen.dst_port()) != (peer.dst, peer.dst_port());
    let is_destination = (seen.src, seen.src_port()) != (peer.src, peer.src_port());
    if is_source {
        push_str(out, "as ");
        push_address_port(out, seen.dst, seen.dst_port());
    }
    if is_destination {
        push_str(out, if is_source { " to " } else { "to " });
        push_address_port(out, seen.src, seen.src_port());
    }
}

fn push_status(out: &mut Vec<u8>, entry: &Entry) {
    let Some(status) = entry.status else { return };
    let mut is_first = true;
    for (holds, word) in status_words(status) {
        if holds {
            if !is_first {
                out.push(b' ');
            }
            push_str(out, word);
            is_first = false;
        }
    }
}

/// What is worth a glance, and whether it holds: conntrack's own words first, then what is out of
/// the ordinary.
pub(crate) const fn status_words(status: Status) -> [(bool, &'static str); 7] {
    [
        (status.contains(Status::HW_OFFLOAD), "HW_OFFLOAD"),
        (
            status.contains(Status::OFFLOAD) && !status.contains(Status::HW_OFFLOAD),
            "OFFLOAD",
        ),
        (status.contains(Status::ASSURED), "ASSURED"),
        (!status.contains(Status::SEEN_REPLY), "UNREPLIED"),
        (status.contains(Status::DYING), "DYING"),
        (status.contains(Status::FIXED_TIMEOUT), "FIXED_TIMEOUT"),
        (status.contains(Status::EXPECTED), "EXPECTED"),
    ]
}

/// `950 B`, `1.2 kB`, `34 MB`: decimal units, two or three digits.
pub fn push_bytes(out: &mut Vec<u8>, bytes: u64) {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let (mut whole, mut tenth, mut unit) = (bytes, 0, 0);
    while whole >= 1000 && unit + 1 < UNITS.len() {
        tenth = whole % 1000 / 100;
        whole /= 1000;
        unit += 1;
    }
    push_number(out, whole);
    if whole < 10 && unit > 0 {
        out.push(b'.');
        push_number(out, tenth);
    }
    out.push(b' ');
    push_str(out, UNITS[unit]);
}

/// `45s`, `3m 20s`, `5h 2m`, `4d 23h`: the two largest units.
pub fn push_duration(out: &mut Vec<u8>, seconds: u64) {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let first = UNITS
        .iter()
        .position(|&(length, _)| seconds >= length)
        .unwrap_or(3);
    let mut rest = seconds;
    for (index, &(length, unit)) in UNITS.iter().enumerate().skip(first).take(2) {
        let count = rest / length;
        rest %= length;
        if index > first {
            if count == 0 {
                break;
            }
            out.push(b' ');
        }
        push_number(out, count);
        push_str(out, unit);
    }
}

/// An order of entries: by a column, forwards or backwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sort {
    /// The column.
    pub column: Column,
    /// Whether the last comes first.
    pub reverse: bool,
    /// The time by which ages are measured, in nanoseconds since the epoch.
    pub now: u64,
}

impl Sort {
    /// Which of two entries comes first.
    pub fn compare(&self, a: &Entry, b: &Entry) -> Ordering {
        let order = self.column.compare(a, b, self.now);
        if self.reverse { order.reverse() } else { order }
    }

    /// Where the largest sums of packets or bytes come first: what is too small need not be read.
    pub(crate) fn floor(&self) -> Option<Floor> {
        let counter = self.column.counter().filter(|_| !self.reverse)?;
        Floor::of(counter)
    }

    pub(crate) fn quantity(&self, entry: &Entry) -> Option<u64> {
        self.column.quantity(entry, self.now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn sizes_are_short_and_never_round_up_to_the_next_unit() {
        let sizes = [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (1_999, "1.9 kB"),
            (34_500_000, "34 MB"),
            (999_999, "999 kB"),
            (u64::MAX, "18 EB"),
        ];
        for (bytes, expected) in sizes {
            assert_eq!(text(|out| push_bytes(out, bytes)), expected);
        }
    }

    #[test]
    fn durations_show_their_two_largest_units() {
        let durations = [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (200, "3m 20s"),
            (18_120, "5h 2m"),
            (431_978, "4d 23h"),
            (86_401, "1d"),
        ];
        for (seconds, expected) in durations {
            assert_eq!(text(|out| push_duration(out, seconds)), expected);
        }
    }
}
