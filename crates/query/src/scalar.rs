//! What is read out of an entry as a number, and sets of such numbers.

use std::net::IpAddr;

use ctnetlink::{
    Counters, Entry, Family, L4, ProtoInfo, Protocol, SctpState, TcpFlags, TcpInfo, Tuple,
};

use crate::ranges::Ranges;

/// Bits of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BitField {
    /// The mark; 0 where the kernel says none.
    Mark,
    /// The status.
    Status,
    /// TCP's flags of either direction.
    TcpFlags,
    /// TCP's flags of the original direction.
    TcpFlagsOrig,
    /// TCP's flags of the reply direction.
    TcpFlagsReply,
}

/// A number of an entry, which an entry may lack. A state counts as a number, and so does an
/// address, in two spaces: one a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Scalar {
    Protocol,
    Family,
    State,
    Src,
    Dst,
    ReplySrc,
    ReplyDst,
    MasterSrc,
    MasterDst,
    SrcPort,
    DstPort,
    ReplySrcPort,
    ReplyDstPort,
    IcmpType,
    IcmpCode,
    IcmpId,
    GreSrcKey,
    GreDstKey,
    Bytes,
    BytesOrig,
    BytesReply,
    Packets,
    PacketsOrig,
    PacketsReply,
    Age,
    Timeout,
    Zone,
    Id,
    Use,
    Secmark,
    TcpWscaleOrig,
    TcpWscaleReply,
    SctpVtagOrig,
    SctpVtagReply,
    DccpRole,
    /// These bits of the mark, shifted down by the zeros below them.
    Mark(u32),
    /// These bits of the status, shifted down.
    Status(u32),
    /// These bits of the original direction's TCP flags, shifted down.
    TcpFlagsOrig(u32),
    /// These bits of the reply direction's TCP flags, shifted down.
    TcpFlagsReply(u32),
}

/// Numbers of states: those of TCP as they are, of SCTP and DCCP behind them.
pub(crate) use ctwalk::{STATE_DCCP as DCCP, STATE_SCTP as SCTP};

impl Scalar {
    pub(crate) const fn is_address(self) -> bool {
        matches!(
            self,
            Self::Src
                | Self::Dst
                | Self::ReplySrc
                | Self::ReplyDst
                | Self::MasterSrc
                | Self::MasterDst
        )
    }

    /// Whether an entry may be without it.
    pub(crate) const fn can_be_absent(self) -> bool {
        !matches!(
            self,
            Self::Protocol
                | Self::Family
                | Self::Src
                | Self::Dst
                | Self::ReplySrc
                | Self::ReplyDst
                | Self::Zone
                | Self::Mark(_)
                | Self::Status(_)
        )
    }

    /// The largest number; of an address, of IPv4.
    pub(crate) const fn max(self) -> u128 {
        match self {
            Self::Protocol
            | Self::IcmpType
            | Self::IcmpCode
            | Self::TcpWscaleOrig
            | Self::TcpWscaleReply
            | Self::DccpRole => u8::MAX as u128,
            Self::Family => 1,
            Self::State => DCCP as u128 + u8::MAX as u128,
            Self::SrcPort
            | Self::DstPort
            | Self::ReplySrcPort
            | Self::ReplyDstPort
            | Self::IcmpId
            | Self::GreSrcKey
            | Self::GreDstKey
            | Self::Zone => u16::MAX as u128,
            Self::Src
            | Self::Dst
            | Self::ReplySrc
            | Self::ReplyDst
            | Self::MasterSrc
            | Self::MasterDst
            | Self::Timeout
            | Self::Id
            | Self::Use
            | Self::Secmark
            | Self::SctpVtagOrig
            | Self::SctpVtagReply => u32::MAX as u128,
            Self::Bytes
            | Self::BytesOrig
            | Self::BytesReply
            | Self::Packets
            | Self::PacketsOrig
            | Self::PacketsReply
            | Self::Age => u64::MAX as u128,
            Self::Mark(mask)
            | Self::Status(mask)
            | Self::TcpFlagsOrig(mask)
            | Self::TcpFlagsReply(mask) => shifted(mask, mask) as u128,
        }
    }

    /// The protocols of which alone an entry can have it.
    pub(crate) const fn protocols(self) -> Option<&'static [Protocol]> {
        Some(match self {
            Self::SrcPort | Self::DstPort | Self::ReplySrcPort | Self::ReplyDstPort => &[
                Protocol::TCP,
                Protocol::UDP,
                Protocol::DCCP,
                Protocol::SCTP,
                Protocol::UDPLITE,
            ],
            Self::State => &[Protocol::TCP, Protocol::DCCP, Protocol::SCTP],
            Self::IcmpType | Self::IcmpCode | Self::IcmpId => &[Protocol::ICMP, Protocol::ICMPV6],
            Self::GreSrcKey | Self::GreDstKey => &[Protocol::GRE],
            Self::TcpWscaleOrig
            | Self::TcpWscaleReply
            | Self::TcpFlagsOrig(_)
            | Self::TcpFlagsReply(_) => &[Protocol::TCP],
            Self::SctpVtagOrig | Self::SctpVtagReply => &[Protocol::SCTP],
            Self::DccpRole => &[Protocol::DCCP],
            _ => return None,
        })
    }

    /// The address of an entry.
    #[inline]
    pub(crate) fn address(self, entry: &Entry) -> Option<&IpAddr> {
        Some(match self {
            Self::Src => &entry.orig.src,
            Self::Dst => &entry.orig.dst,
            Self::ReplySrc => &entry.reply.src,
            Self::ReplyDst => &entry.reply.dst,
            Self::MasterSrc => &entry.master()?.src,
            Self::MasterDst => &entry.master()?.dst,
            _ => return None,
        })
    }

    /// The number of an entry; `now` is in nanoseconds since the epoch.
    #[inline]
    pub(crate) fn number(self, entry: &Entry, now: u64) -> Option<u64> {
        fn widen<T: Into<u64>>(number: Option<T>) -> Option<u64> {
            number.map(Into::into)
        }
        match self {
            Self::Protocol => Some(entry.orig.protocol.0.into()),
            Self::Family => Some(family_number(entry.family())),
            Self::State => state(entry.protoinfo.as_ref()?),
            Self::SrcPort => widen(entry.orig.src_port()),
            Self::DstPort => widen(entry.orig.dst_port()),
            Self::ReplySrcPort => widen(entry.reply.src_port()),
            Self::ReplyDstPort => widen(entry.reply.dst_port()),
            Self::IcmpType => icmp(&entry.orig).map(|(kind, _, _)| kind.into()),
            Self::IcmpCode => icmp(&entry.orig).map(|(_, code, _)| code.into()),
            Self::IcmpId => icmp(&entry.orig).map(|(_, _, id)| id.into()),
            Self::GreSrcKey => gre(&entry.orig).map(|(src, _)| src.into()),
            Self::GreDstKey => gre(&entry.orig).map(|(_, dst)| dst.into()),
            Self::Bytes => entry.bytes(),
            Self::BytesOrig => bytes(entry.counters_orig),
            Self::BytesReply => bytes(entry.counters_reply),
            Self::Packets => entry.packets(),
            Self::PacketsOrig => packets(entry.counters_orig),
            Self::PacketsReply => packets(entry.counters_reply),
            Self::Age => entry.age(now),
            Self::Timeout => widen(entry.timeout),
            Self::Zone => Some(entry.zone.id.into()),
            Self::Id => widen(entry.id),
            Self::Use => widen(entry.use_count),
            Self::Secmark => widen(entry.secmark),
            Self::TcpWscaleOrig => widen(tcp(entry)?.wscale_orig),
            Self::TcpWscaleReply => widen(tcp(entry)?.wscale_reply),
            Self::SctpVtagOrig => match entry.protoinfo? {
                ProtoInfo::Sctp(sctp) => widen(sctp.vtag_orig),
                _ => None,
            },
            Self::SctpVtagReply => match entry.protoinfo? {
                ProtoInfo::Sctp(sctp) => widen(sctp.vtag_reply),
                _ => None,
            },
            Self::DccpRole => match entry.protoinfo? {
                ProtoInfo::Dccp(dccp) => widen(dccp.role),
                _ => None,
            },
            Self::Mark(mask) => Some(shifted(entry.mark.unwrap_or(0), mask).into()),
            Self::Status(mask) => {
                Some(shifted(entry.status.unwrap_or_default().bits(), mask).into())
            }
            Self::TcpFlagsOrig(mask) => flags(tcp(entry)?.flags_orig, mask),
            Self::TcpFlagsReply(mask) => flags(tcp(entry)?.flags_reply, mask),
            Self::Src
            | Self::Dst
            | Self::ReplySrc
            | Self::ReplyDst
            | Self::MasterSrc
            | Self::MasterDst => None,
        }
    }
}

/// The bits of a mask, moved down to where the mask begins.
pub(crate) const fn shifted(bits: u32, mask: u32) -> u32 {
    match mask {
        0 => 0,
        _ => (bits & mask) >> mask.trailing_zeros(),
    }
}

pub(crate) const fn family_number(family: Family) -> u64 {
    match family {
        Family::Ipv4 => 0,
        Family::Ipv6 => 1,
    }
}

fn state(info: &ProtoInfo) -> Option<u64> {
    match info {
        ProtoInfo::Tcp(tcp) => tcp.state.map(|state| state.0.into()),
        ProtoInfo::Sctp(sctp) => sctp.state.map(|SctpState(number)| SCTP + u64::from(number)),
        ProtoInfo::Dccp(dccp) => dccp.state.map(|state| DCCP + u64::from(state.0)),
    }
}

const fn icmp(tuple: &Tuple) -> Option<(u8, u8, u16)> {
    match tuple.l4 {
        L4::Icmp { kind, code, id } => Some((kind, code, id)),
        _ => None,
    }
}

const fn gre(tuple: &Tuple) -> Option<(u16, u16)> {
    match tuple.l4 {
        L4::Gre { src_key, dst_key } => Some((src_key, dst_key)),
        _ => None,
    }
}

fn bytes(counters: Option<Counters>) -> Option<u64> {
    counters.map(|counters| counters.bytes)
}

fn packets(counters: Option<Counters>) -> Option<u64> {
    counters.map(|counters| counters.packets)
}

const fn tcp(entry: &Entry) -> Option<&TcpInfo> {
    match &entry.protoinfo {
        Some(ProtoInfo::Tcp(tcp)) => Some(tcp),
        _ => None,
    }
}

fn flags(flags: Option<TcpFlags>, mask: u32) -> Option<u64> {
    flags.map(|flags| shifted(flags.flags.into(), mask).into())
}

/// A set of values of a [`Scalar`], absence among them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Set {
    /// Whether an entry without a value is in it.
    pub(crate) absent: bool,
    /// Numbers; of addresses, those of IPv4.
    pub(crate) numbers: Ranges,
    /// Addresses of IPv6.
    pub(crate) v6: Ranges,
}

impl Set {
    pub(crate) fn numbers(numbers: Ranges) -> Self {
        Self {
            numbers,
            ..Self::default()
        }
    }

    pub(crate) fn one(number: impl Into<u128>) -> Self {
        Self::numbers(Ranges::one(number.into()))
    }

    pub(crate) fn addresses(first: IpAddr, last: IpAddr) -> Self {
        match (first, last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => Self::numbers(Ranges::between(
                u32::from(first).into(),
                u32::from(last).into(),
            )),
            (IpAddr::V6(first), IpAddr::V6(last)) => Self {
                v6: Ranges::between(first.into(), last.into()),
                ..Self::default()
            },
            _ => Self::default(),
        }
    }

    /// Every value, not absence.
    pub(crate) fn present(scalar: Scalar) -> Self {
        Self {
            absent: true,
            ..Self::default()
        }
        .complement(scalar)
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.absent && self.numbers.is_empty() && self.v6.is_empty()
    }

    pub(crate) fn is_all(&self, scalar: Scalar) -> bool {
        self.complement(scalar).is_empty()
    }

    pub(crate) fn complement(&self, scalar: Scalar) -> Self {
        Self {
            absent: scalar.can_be_absent() && !self.absent,
            numbers: self.numbers.complement(scalar.max()),
            v6: if scalar.is_address() {
                self.v6.complement(u128::MAX)
            } else {
                Ranges::default()
            },
        }
    }

    pub(crate) fn intersection(&self, other: &Self) -> Self {
        Self {
            absent: self.absent && other.absent,
            numbers: self.numbers.intersection(&other.numbers),
            v6: self.v6.intersection(&other.v6),
        }
    }

    /// What all have in common, in the time of one sort.
    pub(crate) fn intersection_of(scalar: Scalar, mut sets: Vec<Self>) -> Self {
        match (sets.pop(), sets.pop()) {
            (None, _) => Self::default().complement(scalar),
            (Some(only), None) => only,
            (Some(one), Some(other)) if sets.is_empty() => one.intersection(&other),
            (Some(one), Some(other)) => {
                sets.extend([one, other]);
                let outside = sets.iter().map(|set| set.complement(scalar));
                Self::union_of(outside).complement(scalar)
            }
        }
    }

    pub(crate) fn union_of(sets: impl IntoIterator<Item = Self>) -> Self {
        let mut absent = false;
        let (mut numbers, mut v6) = (Vec::new(), Vec::new());
        for set in sets {
            absent |= set.absent;
            numbers.push(set.numbers);
            v6.push(set.v6);
        }
        Self {
            absent,
            numbers: Ranges::union_of(numbers),
            v6: Ranges::union_of(v6),
        }
    }
}
