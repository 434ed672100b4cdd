use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::constants::*;
use crate::wire::{Attr, DecodeError, Writer};

/// Address family of an entry: both of its tuples have the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// `NFPROTO_IPV4`.
    Ipv4,
    /// `NFPROTO_IPV6`.
    Ipv6,
}

impl Family {
    /// Both, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::Ipv4, Self::Ipv6];

    /// The family of an address.
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Ipv4,
            IpAddr::V6(_) => Self::Ipv6,
        }
    }

    /// The kernel's number: 2 or 10.
    pub const fn number(self) -> u8 {
        match self {
            Self::Ipv4 => AF_INET,
            Self::Ipv6 => AF_INET6,
        }
    }

    /// `ipv4` or `ipv6`, as conntrack(8) prints it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A layer 4 protocol by its IANA number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Protocol(pub u8);

impl Protocol {
    /// ICMP, 1.
    pub const ICMP: Self = Self(1);
    /// TCP, 6.
    pub const TCP: Self = Self(6);
    /// UDP, 17.
    pub const UDP: Self = Self(17);
    /// DCCP, 33.
    pub const DCCP: Self = Self(33);
    /// GRE, 47.
    pub const GRE: Self = Self(47);
    /// ICMPv6, 58.
    pub const ICMPV6: Self = Self(58);
    /// SCTP, 132.
    pub const SCTP: Self = Self(132);
    /// UDP-Lite, 136.
    pub const UDPLITE: Self = Self(136);

    /// Every protocol of which conntrack knows more than the number.
    pub const TRACKED: [Self; 8] = [
        Self::TCP,
        Self::UDP,
        Self::ICMP,
        Self::ICMPV6,
        Self::SCTP,
        Self::DCCP,
        Self::GRE,
        Self::UDPLITE,
    ];

    /// The name that conntrack(8) prints, `None` for a protocol that the kernel tracks by address
    /// only.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::ICMP => "icmp",
            Self::TCP => "tcp",
            Self::UDP => "udp",
            Self::DCCP => "dccp",
            Self::GRE => "gre",
            Self::ICMPV6 => "icmpv6",
            Self::SCTP => "sctp",
            Self::UDPLITE => "udplite",
            _ => return None,
        })
    }

    /// The protocol of a name, in any case, or of a number's digits.
    pub fn from_name(text: &str) -> Option<Self> {
        Self::TRACKED
            .into_iter()
            .find(|protocol| {
                protocol
                    .name()
                    .is_some_and(|name| name.eq_ignore_ascii_case(text))
            })
            .or_else(|| text.parse().ok().map(Self))
    }

    /// Whether a tuple of this protocol has ports.
    pub const fn has_ports(self) -> bool {
        matches!(
            self,
            Self::TCP | Self::UDP | Self::UDPLITE | Self::SCTP | Self::DCCP
        )
    }
}

/// The name, else the number.
impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => fmt::Display::fmt(&self.0, f),
        }
    }
}

/// What a tuple has beside addresses and protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum L4 {
    /// Nothing: a protocol that the kernel tracks by address only.
    None,
    /// TCP, UDP, UDP-Lite, SCTP, DCCP.
    Ports {
        /// Source port.
        src: u16,
        /// Destination port.
        dst: u16,
    },
    /// ICMP and ICMPv6.
    Icmp {
        /// Type.
        kind: u8,
        /// Code.
        code: u8,
        /// Identifier.
        id: u16,
    },
    /// GRE version 1 (PPTP); 0 and 0 otherwise.
    Gre {
        /// Key of the source's packets.
        src_key: u16,
        /// Key of the destination's packets.
        dst_key: u16,
    },
}

/// One direction of an entry: who sends to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tuple {
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// Protocol.
    pub protocol: Protocol,
    /// Ports, ICMP's fields or GRE's keys.
    pub l4: L4,
}

impl Tuple {
    /// A tuple of a protocol with ports.
    pub const fn ports(
        protocol: Protocol,
        src: IpAddr,
        src_port: u16,
        dst: IpAddr,
        dst_port: u16,
    ) -> Self {
        Self {
            src,
            dst,
            protocol,
            l4: L4::Ports {
                src: src_port,
                dst: dst_port,
            },
        }
    }

    /// The family of its addresses.
    pub const fn family(&self) -> Family {
        Family::of(self.src)
    }

    /// Source port, where the protocol has ports.
    pub const fn src_port(&self) -> Option<u16> {
        match self.l4 {
            L4::Ports { src, .. } => Some(src),
            _ => None,
        }
    }

    /// Destination port, where the protocol has ports.
    pub const fn dst_port(&self) -> Option<u16> {
        match self.l4 {
            L4::Ports { dst, .. } => Some(dst),
            _ => None,
        }
    }

    /// The tuple of the answer when nothing translates: addresses and ports swapped, an ICMP
    /// request's type turned into its reply's (`nf_ct_invert_tuple`).
    ///
    /// ```
    /// use ctnetlink::{Protocol, Tuple};
    /// let asked = Tuple::ports(Protocol::UDP, "10.0.0.2".parse()?, 5353, "192.0.2.1".parse()?, 53);
    /// let answer = asked.mirror();
    /// assert_eq!((answer.src, answer.src_port()), (asked.dst, Some(53)));
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    #[must_use]
    pub const fn mirror(&self) -> Self {
        let l4 = match self.l4 {
            L4::None => L4::None,
            L4::Ports { src, dst } => L4::Ports { src: dst, dst: src },
            L4::Icmp { kind, code, id } => L4::Icmp {
                kind: answering_type(self.protocol, kind),
                code,
                id,
            },
            L4::Gre { src_key, dst_key } => L4::Gre {
                src_key: dst_key,
                dst_key: src_key,
            },
        };
        Self {
            src: self.dst,
            dst: self.src,
            protocol: self.protocol,
            l4,
        }
    }

    /// Reads a `CTA_TUPLE_…` attribute; also gives the zone of this direction if it has its own.
    #[inline]
    pub(crate) fn decode(
        attr: &Attr<'_>,
        field: &'static str,
    ) -> Result<(Self, Option<u16>), DecodeError> {
        let (mut src, mut dst, mut zone) = (None, None, None);
        let mut l4 = L4Fields::default();
        for part in attr.nested() {
            let part = part?;
            match part.kind {
                CTA_TUPLE_IP => {
                    for ip in part.nested() {
                        let ip = ip?;
                        match ip.kind {
                            CTA_IP_V4_SRC => src = Some(IpAddr::V4(ip.ipv4("CTA_IP_V4_SRC")?)),
                            CTA_IP_V4_DST => dst = Some(IpAddr::V4(ip.ipv4("CTA_IP_V4_DST")?)),
                            CTA_IP_V6_SRC => src = Some(IpAddr::V6(ip.ipv6("CTA_IP_V6_SRC")?)),
                            CTA_IP_V6_DST => dst = Some(IpAddr::V6(ip.ipv6("CTA_IP_V6_DST")?)),
                            _ => {}
                        }
                    }
                }
                CTA_TUPLE_PROTO => l4.read(&part)?,
                CTA_TUPLE_ZONE => zone = Some(part.be16("CTA_TUPLE_ZONE")?),
                _ => {}
            }
        }
        let missing = DecodeError::Missing { field };
        let (src, dst) = (src.ok_or(missing)?, dst.ok_or(missing)?);
        if src.is_ipv4() != dst.is_ipv4() {
            return Err(missing);
        }
        let protocol = Protocol(l4.number.ok_or(DecodeError::Missing {
            field: "CTA_PROTO_NUM",
        })?);
        Ok((
            Self {
                src,
                dst,
                protocol,
                l4: l4.finish(protocol),
            },
            zone,
        ))
    }

    /// Writes a `CTA_TUPLE_…` attribute.
    pub(crate) fn encode(&self, writer: &mut Writer, kind: u16, zone: Option<u16>) {
        writer.nested(kind, |w| {
            w.nested(CTA_TUPLE_IP, |w| {
                w.address(CTA_IP_V4_SRC, CTA_IP_V6_SRC, self.src);
                w.address(CTA_IP_V4_DST, CTA_IP_V6_DST, self.dst);
            });
            w.nested(CTA_TUPLE_PROTO, |w| {
                w.u8(CTA_PROTO_NUM, self.protocol.0);
                match self.l4 {
                    L4::None => {}
                    L4::Ports { src, dst }
                    | L4::Gre {
                        src_key: src,
                        dst_key: dst,
                    } => {
                        w.be16(CTA_PROTO_SRC_PORT, src);
                        w.be16(CTA_PROTO_DST_PORT, dst);
                    }
                    L4::Icmp { kind, code, id } if self.protocol == Protocol::ICMPV6 => {
                        w.be16(CTA_PROTO_ICMPV6_ID, id);
                        w.u8(CTA_PROTO_ICMPV6_TYPE, kind);
                        w.u8(CTA_PROTO_ICMPV6_CODE, code);
                    }
                    L4::Icmp { kind, code, id } => {
                        w.be16(CTA_PROTO_ICMP_ID, id);
                        w.u8(CTA_PROTO_ICMP_TYPE, kind);
                        w.u8(CTA_PROTO_ICMP_CODE, code);
                    }
                }
            });
            if let Some(zone) = zone {
                w.be16(CTA_TUPLE_ZONE, zone);
            }
        });
    }

    /// Nothing known: `0.0.0.0` to `0.0.0.0`, protocol 0. For buffers that are decoded into.
    pub(crate) const UNSPECIFIED: Self = Self {
        src: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        dst: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        protocol: Protocol(0),
        l4: L4::None,
    };

    /// The unspecified address of this tuple's family.
    pub const fn any_address(&self) -> IpAddr {
        match self.src {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        }
    }
}

/// What the attributes of `CTA_TUPLE_PROTO` said; which of them count depends on the protocol.
#[derive(Default)]
struct L4Fields {
    number: Option<u8>,
    src: u16,
    dst: u16,
    kind: u8,
    code: u8,
    id: u16,
}

impl L4Fields {
    #[inline]
    fn read(&mut self, part: &Attr<'_>) -> Result<(), DecodeError> {
        for attr in part.nested() {
            let attr = attr?;
            match attr.kind {
                CTA_PROTO_NUM => self.number = Some(attr.u8("CTA_PROTO_NUM")?),
                CTA_PROTO_SRC_PORT => self.src = attr.be16("CTA_PROTO_SRC_PORT")?,
                CTA_PROTO_DST_PORT => self.dst = attr.be16("CTA_PROTO_DST_PORT")?,
                CTA_PROTO_ICMP_ID => self.id = attr.be16("CTA_PROTO_ICMP_ID")?,
                CTA_PROTO_ICMP_TYPE => self.kind = attr.u8("CTA_PROTO_ICMP_TYPE")?,
                CTA_PROTO_ICMP_CODE => self.code = attr.u8("CTA_PROTO_ICMP_CODE")?,
                CTA_PROTO_ICMPV6_ID => self.id = attr.be16("CTA_PROTO_ICMPV6_ID")?,
                CTA_PROTO_ICMPV6_TYPE => self.kind = attr.u8("CTA_PROTO_ICMPV6_TYPE")?,
                CTA_PROTO_ICMPV6_CODE => self.code = attr.u8("CTA_PROTO_ICMPV6_CODE")?,
                _ => {}
            }
        }
        Ok(())
    }

    #[inline]
    const fn finish(&self, protocol: Protocol) -> L4 {
        match protocol {
            Protocol::ICMP | Protocol::ICMPV6 => L4::Icmp {
                kind: self.kind,
                code: self.code,
                id: self.id,
            },
            Protocol::GRE => L4::Gre {
                src_key: self.src,
                dst_key: self.dst,
            },
            protocol if protocol.has_ports() => L4::Ports {
                src: self.src,
                dst: self.dst,
            },
            _ => L4::None,
        }
    }
}

/// The ICMP type that answers `kind` (`invmap` in the kernel's nf_conntrack_proto_icmp.c and
/// nf_conntrack_proto_icmpv6.c); a type without an answer stays itself.
const fn answering_type(protocol: Protocol, kind: u8) -> u8 {
    match (protocol, kind) {
        (Protocol::ICMP, 8) => 0,
        (Protocol::ICMP, 0) => 8,
        (Protocol::ICMP, 13) => 14,
        (Protocol::ICMP, 14) => 13,
        (Protocol::ICMP, 15) => 16,
        (Protocol::ICMP, 16) => 15,
        (Protocol::ICMP, 17) => 18,
        (Protocol::ICMP, 18) => 17,
        (Protocol::ICMPV6, 128) => 129,
        (Protocol::ICMPV6, 129) => 128,
        (Protocol::ICMPV6, 139) => 140,
        (Protocol::ICMPV6, 140) => 139,
        _ => kind,
    }
}
