use std::net::IpAddr;

use super::{Entry, Family, L4, Protocol, Tuple};
use crate::constants::*;
use crate::wire::Writer;

/// A value of which only the bits of a mask count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Masked {
    /// Value; bits outside the mask are ignored.
    pub value: u32,
    /// Bits that count.
    pub mask: u32,
}

impl Masked {
    /// A value of which all bits count.
    pub const fn exactly(value: u32) -> Self {
        Self {
            value,
            mask: u32::MAX,
        }
    }

    /// Whether `bits` agrees where the mask says so.
    pub const fn matches(self, bits: u32) -> bool {
        (bits ^ self.value) & self.mask == 0
    }

    /// Whether everything that agrees with this agrees with the other.
    const fn implies(self, other: Self) -> bool {
        other.mask & !self.mask == 0 && (self.value ^ other.value) & other.mask == 0
    }

    /// The same without bits that do not count; `None` if none counts.
    const fn reduced(self) -> Option<Self> {
        let Self { value, mask } = self;
        if mask == 0 {
            None
        } else {
            Some(Self {
                value: value & mask,
                mask,
            })
        }
    }
}

/// What one direction's tuple must be; `None` is anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TupleFilter {
    /// Source address.
    pub src: Option<IpAddr>,
    /// Destination address.
    pub dst: Option<IpAddr>,
    /// Source port.
    pub src_port: Option<u16>,
    /// Destination port.
    pub dst_port: Option<u16>,
    /// ICMP or ICMPv6 type.
    pub icmp_type: Option<u8>,
    /// ICMP or ICMPv6 code.
    pub icmp_code: Option<u8>,
    /// ICMP or ICMPv6 identifier.
    pub icmp_id: Option<u16>,
}

impl TupleFilter {
    /// Whether a tuple is such.
    pub fn matches(&self, tuple: &Tuple) -> bool {
        fn is<T: PartialEq>(wanted: Option<T>, found: Option<T>) -> bool {
            wanted.is_none() || wanted == found
        }
        let (src_port, dst_port, kind, code, id) = match tuple.l4 {
            L4::Ports { src, dst } => (Some(src), Some(dst), None, None, None),
            L4::Icmp { kind, code, id } => (None, None, Some(kind), Some(code), Some(id)),
            L4::Gre { .. } | L4::None => (None, None, None, None, None),
        };
        is(self.src, Some(tuple.src))
            && is(self.dst, Some(tuple.dst))
            && is(self.src_port, src_port)
            && is(self.dst_port, dst_port)
            && is(self.icmp_type, kind)
            && is(self.icmp_code, code)
            && is(self.icmp_id, id)
    }

    fn is_any(&self) -> bool {
        *self == Self::default()
    }

    fn implies(&self, other: &Self) -> bool {
        same_where_said(self.src, other.src)
            && same_where_said(self.dst, other.dst)
            && same_where_said(self.src_port, other.src_port)
            && same_where_said(self.dst_port, other.dst_port)
            && same_where_said(self.icmp_type, other.icmp_type)
            && same_where_said(self.icmp_code, other.icmp_code)
            && same_where_said(self.icmp_id, other.icmp_id)
    }

    fn common(&self, other: &Self) -> Self {
        Self {
            src: if_same(self.src, other.src),
            dst: if_same(self.dst, other.dst),
            src_port: if_same(self.src_port, other.src_port),
            dst_port: if_same(self.dst_port, other.dst_port),
            icmp_type: if_same(self.icmp_type, other.icmp_type),
            icmp_code: if_same(self.icmp_code, other.icmp_code),
            icmp_id: if_same(self.icmp_id, other.icmp_id),
        }
    }

    fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.src.into_iter().chain(self.dst)
    }
}

/// Whether a condition of the right side is one of the left as well.
fn same_where_said<T: PartialEq>(left: Option<T>, right: Option<T>) -> bool {
    right.is_none() || left == right
}

/// The condition that both have.
fn if_same<T: PartialEq>(left: Option<T>, right: Option<T>) -> Option<T> {
    if left == right { left } else { None }
}

/// What the kernel can select entries by. Everything given must hold.
///
/// A [`Dump`](crate::Dump) with a filter yields exactly the entries that
/// [`Filter::matches`], whatever the kernel made of it: what the kernel cannot filter, or filters
/// wrongly, is filtered here.
///
/// ```
/// use ctnetlink::{Filter, Protocol};
/// let mut filter = Filter::default();
/// filter.protocol = Some(Protocol::TCP);
/// filter.orig.src = Some("10.0.0.5".parse()?);
/// filter.orig.dst_port = Some(443);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Filter {
    /// Address family.
    pub family: Option<Family>,
    /// Protocol.
    pub protocol: Option<Protocol>,
    /// The original direction.
    pub orig: TupleFilter,
    /// The reply direction.
    pub reply: TupleFilter,
    /// Zone of either direction.
    pub zone: Option<u16>,
    /// Mark.
    pub mark: Option<Masked>,
    /// Status: bits and which of them count.
    pub status: Option<Masked>,
}

impl Filter {
    /// Selects every entry.
    pub fn any() -> Self {
        Self::default()
    }

    /// Whether it selects every entry.
    pub fn is_any(&self) -> bool {
        *self == Self::default()
    }

    /// Whether an entry is such. An entry without a mark counts as mark 0, without a status as
    /// status 0.
    pub fn matches(&self, entry: &Entry) -> bool {
        self.family.is_none_or(|family| family == entry.family())
            && self
                .protocol
                .is_none_or(|protocol| protocol == entry.orig.protocol)
            && self.orig.matches(&entry.orig)
            && self.reply.matches(&entry.reply)
            && self.zone.is_none_or(|zone| zone == entry.zone.id)
            && self
                .mark
                .is_none_or(|mark| mark.matches(entry.mark.unwrap_or(0)))
            && self
                .status
                .is_none_or(|status| status.matches(entry.status.unwrap_or_default().bits()))
    }

    /// Whether every entry that matches this filter matches `other` too. `false` may also mean that
    /// the two do not show it: no values are combined.
    pub fn implies(&self, other: &Self) -> bool {
        let bits = |mine: Option<Masked>, other: Option<Masked>| {
            other.and_then(Masked::reduced).is_none_or(|other| {
                let mine = mine.unwrap_or(Masked { value: 0, mask: 0 });
                mine.implies(other)
            })
        };
        other
            .family
            .is_none_or(|wanted| self.families().all(|family| family == wanted))
            && same_where_said(self.protocol, other.protocol)
            && self.orig.implies(&other.orig)
            && self.reply.implies(&other.reply)
            && same_where_said(self.zone, other.zone)
            && bits(self.mark, other.mark)
            && bits(self.status, other.status)
    }

    /// The conditions that both filters have.
    pub(crate) fn common(&self, other: &Self) -> Self {
        Self {
            family: if_same(self.family, other.family),
            protocol: if_same(self.protocol, other.protocol),
            orig: self.orig.common(&other.orig),
            reply: self.reply.common(&other.reply),
            zone: if_same(self.zone, other.zone),
            mark: if_same(self.mark, other.mark),
            status: if_same(self.status, other.status),
        }
    }

    /// What of it never changes in an entry: all but mark and status.
    pub(crate) const fn lasting(mut self) -> Self {
        self.mark = None;
        self.status = None;
        self
    }

    /// What of it the kernel compares.
    pub(crate) fn in_kernel(mut self) -> Self {
        let (ports, icmp) = match self.protocol {
            Some(Protocol::TCP | Protocol::UDP) => (true, false),
            Some(Protocol::ICMP | Protocol::ICMPV6) => (false, true),
            _ => (false, false),
        };
        for tuple in [&mut self.orig, &mut self.reply] {
            *tuple = TupleFilter {
                src: tuple.src,
                dst: tuple.dst,
                src_port: tuple.src_port.filter(|_| ports),
                dst_port: tuple.dst_port.filter(|_| ports),
                icmp_type: tuple.icmp_type.filter(|_| icmp),
                icmp_code: tuple.icmp_code.filter(|_| icmp),
                icmp_id: tuple.icmp_id.filter(|_| icmp),
            };
        }
        self.mark = self.mark.and_then(Masked::reduced);
        self.status = self.status.and_then(Masked::reduced);
        self
    }

    /// The families in which an entry can match: none if two addresses contradict each other.
    /// Both for ICMP: nothing keeps its number out of an IPv6 packet, nor the kernel from
    /// tracking it.
    pub fn families(&self) -> impl Iterator<Item = Family> {
        let filter = *self;
        Family::ALL.into_iter().filter(move |&family| {
            filter.family.is_none_or(|wanted| wanted == family)
                && filter
                    .addresses()
                    .all(|address| Family::of(address) == family)
        })
    }

    /// Whether it needs the kernel's tuple comparison, which works within one family only.
    pub(crate) fn has_tuple(&self) -> bool {
        self.protocol.is_some() || self.addresses().next().is_some()
    }

    /// Whether it names an IPv6 address.
    pub(crate) fn has_ipv6_address(&self) -> bool {
        self.addresses().any(|address| address.is_ipv6())
    }

    /// The same without addresses.
    pub(crate) fn without_addresses(mut self) -> Self {
        for tuple in [&mut self.orig, &mut self.reply] {
            tuple.src = None;
            tuple.dst = None;
        }
        self
    }

    /// Whether the kernel compares everything that it says. Ports of SCTP, DCCP and UDP-Lite,
    /// and ports without a protocol, it does not.
    pub(crate) fn is_exact_in_kernel(&self) -> bool {
        let compared = self.in_kernel();
        (self.orig, self.reply) == (compared.orig, compared.reply)
    }

    fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.orig.addresses().chain(self.reply.addresses())
    }

    /// Writes the attributes by which the kernel filters; within one family if it has a tuple.
    pub(crate) fn encode(&self, w: &mut Writer) {
        if let Some(zone) = self.zone {
            w.be16(CTA_ZONE, zone);
        }
        if let Some(Masked { value, mask }) = self.mark {
            w.be32(CTA_MARK, value & mask);
            w.be32(CTA_MARK_MASK, mask);
        }
        // The kernel refuses an empty mask: it would select everything.
        if let Some(Masked { value, mask }) = self.status
            && mask != 0
        {
            w.be32(CTA_STATUS, value & mask);
            w.be32(CTA_STATUS_MASK, mask);
        }
        if !self.has_tuple() {
            return;
        }
        let orig = encode_tuple(w, CTA_TUPLE_ORIG, &self.orig, self.protocol);
        let reply = if self.reply.is_any() {
            0
        } else {
            encode_tuple(w, CTA_TUPLE_REPLY, &self.reply, self.protocol)
        };
        w.nested(CTA_FILTER, |w| {
            for (kind, flags) in [
                (CTA_FILTER_ORIG_FLAGS, orig),
                (CTA_FILTER_REPLY_FLAGS, reply),
            ] {
                if flags != 0 {
                    w.attr(kind, &flags.to_ne_bytes());
                }
            }
        });
    }
}

/// Writes one tuple and gives the flags that say which parts of it count.
fn encode_tuple(w: &mut Writer, kind: u16, tuple: &TupleFilter, protocol: Option<Protocol>) -> u32 {
    let mut flags = 0;
    w.nested(kind, |w| {
        if tuple.addresses().next().is_some() {
            w.nested(CTA_TUPLE_IP, |w| {
                if let Some(src) = tuple.src {
                    flags |= CTA_FILTER_F_CTA_IP_SRC;
                    w.address(CTA_IP_V4_SRC, CTA_IP_V6_SRC, src);
                }
                if let Some(dst) = tuple.dst {
                    flags |= CTA_FILTER_F_CTA_IP_DST;
                    w.address(CTA_IP_V4_DST, CTA_IP_V6_DST, dst);
                }
            });
        }
        // Without a protocol the kernel takes no ports.
        if let Some(protocol) = protocol {
            flags |= CTA_FILTER_F_CTA_PROTO_NUM;
            w.nested(CTA_TUPLE_PROTO, |w| {
                w.u8(CTA_PROTO_NUM, protocol.0);
                flags |= encode_l4(w, tuple, protocol);
            });
        }
    });
    flags
}

fn encode_l4(w: &mut Writer, tuple: &TupleFilter, protocol: Protocol) -> u32 {
    let mut flags = 0;
    match protocol {
        Protocol::TCP | Protocol::UDP => {
            if let Some(port) = tuple.src_port {
                flags |= CTA_FILTER_F_CTA_PROTO_SRC_PORT;
                w.be16(CTA_PROTO_SRC_PORT, port);
            }
            if let Some(port) = tuple.dst_port {
                flags |= CTA_FILTER_F_CTA_PROTO_DST_PORT;
                w.be16(CTA_PROTO_DST_PORT, port);
            }
        }
        Protocol::ICMP | Protocol::ICMPV6 => {
            let [kind, code, id] = if protocol == Protocol::ICMP {
                [
                    (CTA_PROTO_ICMP_TYPE, CTA_FILTER_F_CTA_PROTO_ICMP_TYPE),
                    (CTA_PROTO_ICMP_CODE, CTA_FILTER_F_CTA_PROTO_ICMP_CODE),
                    (CTA_PROTO_ICMP_ID, CTA_FILTER_F_CTA_PROTO_ICMP_ID),
                ]
            } else {
                [
                    (CTA_PROTO_ICMPV6_TYPE, CTA_FILTER_F_CTA_PROTO_ICMPV6_TYPE),
                    (CTA_PROTO_ICMPV6_CODE, CTA_FILTER_F_CTA_PROTO_ICMPV6_CODE),
                    (CTA_PROTO_ICMPV6_ID, CTA_FILTER_F_CTA_PROTO_ICMPV6_ID),
                ]
            };
            if let Some(value) = tuple.icmp_type {
                flags |= kind.1;
                w.u8(kind.0, value);
            }
            if let Some(value) = tuple.icmp_code {
                flags |= code.1;
                w.u8(code.0, value);
            }
            if let Some(value) = tuple.icmp_id {
                flags |= id.1;
                w.be16(id.0, value);
            }
        }
        _ => {}
    }
    flags
}
