//! What the BPF program writes of an entry (`bpf/record.h`), and how it becomes an [`Entry`].

use std::mem::offset_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use arrayvec::ArrayString;
use ctnetlink::{
    Counters, DccpInfo, DccpState, Entry, L4, Labels, ProtoInfo, Protocol, SctpInfo, SctpState,
    SeqAdj, Status, SynProxy, TcpFlags, TcpInfo, TcpState, Timestamps, Tuple, Zone, ZoneDirection,
};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bits of [`Record::has`].
pub(crate) mod has {
    pub(crate) const IPV4: u32 = 1 << 0;
    pub(crate) const IPV6: u32 = 1 << 1;
    pub(crate) const PORTS: u32 = 1 << 2;
    pub(crate) const ICMP: u32 = 1 << 3;
    pub(crate) const GRE: u32 = 1 << 4;
    pub(crate) const TIMEOUT: u32 = 1 << 5;
    pub(crate) const TCP: u32 = 1 << 6;
    pub(crate) const SCTP: u32 = 1 << 7;
    pub(crate) const DCCP: u32 = 1 << 8;
    pub(crate) const STATE: u32 = 1 << 9;
    pub(crate) const MARK: u32 = 1 << 10;
    pub(crate) const COUNTERS: u32 = 1 << 11;
    pub(crate) const TIMESTAMPS: u32 = 1 << 12;
    pub(crate) const FIRST: u32 = 1 << 13;
    pub(crate) const LABELS: u32 = 1 << 16;
    pub(crate) const HELPER: u32 = 1 << 17;
    pub(crate) const MASTER: u32 = 1 << 18;
    pub(crate) const SEQADJ: u32 = 1 << 19;
    pub(crate) const SYNPROXY: u32 = 1 << 20;
    pub(crate) const SOME_MORE: u32 = 0x1f << 16;
}

const AF_INET6: u16 = 10;

/// Where states of SCTP and DCCP begin.
pub(crate) const STATE_SCTP: u16 = 0x100;
pub(crate) const STATE_DCCP: u16 = 0x200;

/// `struct nf_conntrack_tuple` of the kernel, in its memory. The program checks that it is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct RawTuple {
    pub(crate) src: [u8; 16],
    pub(crate) src_l4: [u8; 2],
    pub(crate) family: u16,
    pub(crate) dst: [u8; 16],
    pub(crate) dst_l4: [u8; 2],
    pub(crate) protocol: u8,
    pub(crate) direction: u8,
}

/// One entry: `struct record`.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Record {
    pub(crate) address: u64,
    pub(crate) master: u64,
    pub(crate) start: u64,
    pub(crate) stop: u64,
    pub(crate) packets_orig: u64,
    pub(crate) bytes_orig: u64,
    pub(crate) packets_reply: u64,
    pub(crate) bytes_reply: u64,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    handshake: u64,
    pub(crate) orig: RawTuple,
    pub(crate) reply: RawTuple,
    pub(crate) has: u32,
    pub(crate) status: u32,
    pub(crate) mark: u32,
    pub(crate) secmark: u32,
    pub(crate) use_count: u32,
    pub(crate) timeout: u32,
    pub(crate) zone: u16,
    pub(crate) state: u16,
    pub(crate) wscale: [u8; 2],
    pub(crate) flags: [u8; 2],
    zone_dir: u8,
    role: u8,
    rest: [u8; 2],
    vtag: [[u8; 4]; 2],
    behind: u32,
}

/// What few entries have: `struct more`, behind the record.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct More {
    labels: [u64; 2],
    helper: [u8; 16],
    master: RawTuple,
    seqadj: [[u32; 3]; 2],
    synproxy: [u32; 3],
    rest: u32,
}

const _: () = assert!(size_of::<RawTuple>() == 40);
const _: () = assert!(size_of::<Record>() == 216 && offset_of!(Record, orig) == 88);
const _: () = assert!(size_of::<More>() == 112);

impl Record {
    /// The next record of a region, what is behind it for few, and the rest.
    pub(crate) fn take(bytes: &[u8]) -> Option<(&Self, Option<&More>, &[u8])> {
        let (record, rest) = Self::ref_from_prefix(bytes).ok()?;
        if record.has & has::SOME_MORE == 0 {
            return Some((record, None, rest));
        }
        let (more, rest) = More::ref_from_prefix(rest).ok()?;
        Some((record, Some(more), rest))
    }

    fn has(&self, bits: u32) -> bool {
        self.has & bits != 0
    }

    /// Writes the entry in the place of what was there; nothing of the old one stays. Its id and
    /// its security context are left out.
    pub(crate) fn write(&self, more: Option<&More>, entry: &mut Entry) {
        entry.orig = self.tuple(&self.orig);
        entry.reply = self.tuple(&self.reply);
        entry.zone = Zone {
            id: self.zone,
            direction: match (self.zone, self.zone_dir) {
                // Netlink says no direction of zone 0.
                (1.., 1) => ZoneDirection::Original,
                (1.., 2) => ZoneDirection::Reply,
                _ => ZoneDirection::Both,
            },
        };
        entry.id = None;
        entry.status = Some(Status::from_bits_retain(self.status));
        entry.timeout = self.has(has::TIMEOUT).then_some(self.timeout);
        entry.mark = self.has(has::MARK).then_some(self.mark);
        entry.secmark = None;
        entry.use_count = Some(self.use_count);
        let counters = |packets, bytes| {
            self.has(has::COUNTERS)
                .then_some(Counters { packets, bytes })
        };
        entry.counters_orig = counters(self.packets_orig, self.bytes_orig);
        entry.counters_reply = counters(self.packets_reply, self.bytes_reply);
        entry.timestamps = self.has(has::TIMESTAMPS).then_some(Timestamps {
            start: Some(self.start),
            stop: Some(self.stop).filter(|&stop| stop != 0),
        });
        entry.event_time = None;
        entry.protoinfo = self.protoinfo();
        entry.helper = None;
        entry.labels = None;
        entry.extra = None;
        if let Some(more) = more {
            self.write_more(more, entry);
        }
    }

    #[cold]
    fn write_more(&self, more: &More, entry: &mut Entry) {
        if self.has(has::LABELS) {
            let [low, high] = more.labels.map(u128::from);
            entry.labels = Some(Labels::from_bits(high << 64 | low));
        }
        if self.has(has::HELPER) {
            let name = more.helper.split(|&byte| byte == 0).next();
            entry.helper = name
                .and_then(|name| std::str::from_utf8(name).ok())
                .and_then(|name| ArrayString::from(name).ok());
        }
        if !self.has(has::MASTER | has::SEQADJ | has::SYNPROXY) {
            return;
        }
        let extra = entry.extra.get_or_insert_default();
        if self.has(has::MASTER) {
            extra.master = Some(self.tuple(&more.master));
        }
        if self.has(has::SEQADJ) {
            let [orig, reply] = more.seqadj.map(|[correction_pos, before, after]| SeqAdj {
                correction_pos,
                offset_before: before.cast_signed(),
                offset_after: after.cast_signed(),
            });
            extra.seqadj_orig = Some(orig);
            extra.seqadj_reply = Some(reply);
        }
        if self.has(has::SYNPROXY) {
            let [isn, its, tsoff] = more.synproxy;
            extra.synproxy = Some(SynProxy { isn, its, tsoff });
        }
    }

    #[inline]
    fn tuple(&self, raw: &RawTuple) -> Tuple {
        let protocol = Protocol(raw.protocol);
        let (src, dst) = if raw.family == AF_INET6 {
            (
                IpAddr::V6(Ipv6Addr::from(raw.src)),
                IpAddr::V6(Ipv6Addr::from(raw.dst)),
            )
        } else {
            let [a, b, c, d, ..] = raw.src;
            let [e, f, g, h, ..] = raw.dst;
            (
                IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
                IpAddr::V4(Ipv4Addr::new(e, f, g, h)),
            )
        };
        let l4 = match Form::of(protocol) {
            Form::None => L4::None,
            Form::Ports => L4::Ports {
                src: u16::from_be_bytes(raw.src_l4),
                dst: u16::from_be_bytes(raw.dst_l4),
            },
            Form::Gre => L4::Gre {
                src_key: u16::from_be_bytes(raw.src_l4),
                dst_key: u16::from_be_bytes(raw.dst_l4),
            },
            Form::Icmp => {
                let [kind, code] = raw.dst_l4;
                L4::Icmp {
                    kind,
                    code,
                    id: u16::from_be_bytes(raw.src_l4),
                }
            }
        };
        Tuple {
            src,
            dst,
            protocol,
            l4,
        }
    }

    #[inline]
    fn protoinfo(&self) -> Option<ProtoInfo> {
        let [state, ..] = self.state.to_le_bytes();
        if self.has(has::TCP) {
            let flags = |flags| Some(TcpFlags { flags, mask: 0 });
            let [wscale_orig, wscale_reply] = self.wscale;
            let [flags_orig, flags_reply] = self.flags;
            return Some(ProtoInfo::Tcp(TcpInfo {
                state: Some(TcpState(state)),
                wscale_orig: Some(wscale_orig),
                wscale_reply: Some(wscale_reply),
                flags_orig: flags(flags_orig),
                flags_reply: flags(flags_reply),
            }));
        }
        if self.has(has::SCTP) {
            let [vtag_orig, vtag_reply] = self.vtag.map(u32::from_be_bytes);
            return Some(ProtoInfo::Sctp(SctpInfo {
                state: Some(SctpState(state)),
                vtag_orig: Some(vtag_orig),
                vtag_reply: Some(vtag_reply),
            }));
        }
        let dccp = DccpInfo {
            state: Some(DccpState(state)),
            role: Some(self.role),
            handshake_seq: Some(self.handshake),
        };
        self.has(has::DCCP).then_some(ProtoInfo::Dccp(dccp))
    }
}

/// What a tuple has beside addresses and protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    None,
    Ports,
    Icmp,
    Gre,
}

impl Form {
    /// By the protocol alone, as of what netlink tells: a kernel that does not know its ports has zeros.
    const fn of(protocol: Protocol) -> Self {
        match protocol {
            Protocol::ICMP | Protocol::ICMPV6 => Self::Icmp,
            Protocol::GRE => Self::Gre,
            _ if protocol.has_ports() => Self::Ports,
            _ => Self::None,
        }
    }
}

/// The protocols of which this kernel keeps no state, although others do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bare(u32);

/// What may be left out of a kernel, each by a function that is there if it is not. DCCP has gone after
/// Linux 6.16.
const OPTIONAL: [&str; 2] = ["nf_conntrack_sctp_packet", "nf_conntrack_dccp_packet"];

impl Bare {
    /// By what functions this kernel has.
    pub(crate) fn of(has_function: impl Fn(&str) -> bool) -> Self {
        let mask = (0..)
            .zip(OPTIONAL)
            .map(|(bit, function)| u32::from(!has_function(function)) << bit);
        Self(mask.sum())
    }

    /// As the program takes it.
    pub(crate) const fn mask(self) -> u32 {
        self.0
    }
}
