//! A connection in 128 bytes: what most have, by numbers; the rest beside it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ctnetlink::{
    Counters, DccpState, Entry, Extra, HelperName, L4, Labels, ProtoInfo, Protocol, SctpState,
    Status, TcpFlags, TcpInfo, TcpState, Timestamps, Tuple, Zone, ZoneDirection,
};

use super::Rates;

/// What is there, and of which kind.
mod has {
    pub(super) const V6: u32 = 1;
    pub(super) const ID: u32 = 1 << 1;
    pub(super) const STATUS: u32 = 1 << 2;
    pub(super) const TIMEOUT: u32 = 1 << 3;
    pub(super) const MARK: u32 = 1 << 4;
    pub(super) const USE: u32 = 1 << 5;
    pub(super) const COUNTERS_ORIG: u32 = 1 << 6;
    pub(super) const COUNTERS_REPLY: u32 = 1 << 7;
    pub(super) const TIMESTAMPS: u32 = 1 << 8;
    pub(super) const START: u32 = 1 << 9;
    pub(super) const TCP: u32 = 1 << 10;
    pub(super) const STATE: u32 = 1 << 11;
    pub(super) const WSCALE_ORIG: u32 = 1 << 12;
    pub(super) const WSCALE_REPLY: u32 = 1 << 13;
    pub(super) const FLAGS_ORIG: u32 = 1 << 14;
    pub(super) const FLAGS_REPLY: u32 = 1 << 15;
    pub(super) const ZONE_ORIG: u32 = 1 << 16;
    pub(super) const ZONE_REPLY: u32 = 1 << 17;
    /// Two bits each: nothing, ports, ICMP, GRE.
    pub(super) const L4_ORIG: u32 = 18;
    pub(super) const L4_REPLY: u32 = 20;
    pub(super) const RATES: u32 = 1 << 22;
    pub(super) const NAT: u32 = 1 << 23;
    /// The place holds a connection.
    pub(super) const ALIVE: u32 = 1 << 24;
}

/// A connection, all but what few have.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Packed {
    /// Source and destination, original and reply; for IPv6 the first is a place among [`Beside::v6`].
    addresses: [u32; 4],
    l4: [u32; 2],
    bytes: [u64; 2],
    packets: [u64; 2],
    /// Nanoseconds since the epoch.
    start: u64,
    rates: [f32; 4],
    id: u32,
    mark: u32,
    status: u32,
    use_count: u32,
    /// Seconds since the table was made.
    expires: u32,
    /// When the counters were read, in milliseconds since the table was made; 0 for never.
    pub(super) read_at: u32,
    has: u32,
    /// Place among [`Beside::rare`] and one; 0 for none.
    rare: u32,
    /// In which reading of the table it was seen last, or told of by an event.
    pub(super) seen: u16,
    /// What events have told of it in that reading.
    pub(super) told: u8,
    /// Whether an event has ever told of it: of one that was born while nobody listened, none ever may.
    pub(super) is_heard: bool,
    zone: u16,
    protocol: u8,
    state: u8,
    wscale: [u8; 2],
    flags: [u8; 2],
}

const _: () = assert!(size_of::<Packed>() == 128);

/// What only some connections have.
#[derive(Clone, Debug, Default, PartialEq)]
struct Rare {
    secmark: Option<u32>,
    stop: Option<u64>,
    event_time: Option<u64>,
    /// Where it is more than [`Packed`] holds.
    protoinfo: Option<ProtoInfo>,
    helper: Option<HelperName>,
    labels: Option<Labels>,
    extra: Option<Box<Extra>>,
}

/// What stands beside the connections: long addresses, and what few have.
#[derive(Default)]
pub(super) struct Beside {
    v6: Places<[u128; 4]>,
    rare: Places<Box<Rare>>,
}

/// Values at places that stay while they are used.
struct Places<T> {
    values: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Default for Places<T> {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> Places<T> {
    fn put(&mut self, value: T) -> u32 {
        if let Some(place) = self.free.pop()
            && let Some(free) = self.values.get_mut(place as usize)
        {
            *free = Some(value);
            return place;
        }
        self.values.push(Some(value));
        (self.values.len() - 1) as u32
    }

    fn get(&self, place: u32) -> Option<&T> {
        self.values.get(place as usize)?.as_ref()
    }

    fn take(&mut self, place: u32) {
        if let Some(value) = self.values.get_mut(place as usize)
            && value.take().is_some()
        {
            self.free.push(place);
        }
    }
}

/// What makes two entries the same place in the table: original tuple, and the zone that it is in.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Name {
    src: u128,
    dst: u128,
    l4: u32,
    zone: u16,
    protocol: u8,
    is_v6: bool,
}

impl Name {
    pub(super) fn of(entry: &Entry) -> Self {
        Self {
            src: bits(entry.orig.src),
            dst: bits(entry.orig.dst),
            l4: pack_l4(entry.orig.l4).1,
            zone: zone_of_orig(entry.zone),
            protocol: entry.orig.protocol.0,
            is_v6: entry.orig.src.is_ipv6(),
        }
    }
}

impl Packed {
    /// Packs an entry as it was told at a time; what stands beside goes there.
    pub(super) fn new(entry: &Entry, now_s: u32, beside: &mut Beside) -> Self {
        let mut packed = Self::default();
        let (kind_orig, l4_orig) = pack_l4(entry.orig.l4);
        let (kind_reply, l4_reply) = pack_l4(entry.reply.l4);
        packed.l4 = [l4_orig, l4_reply];
        packed.has = has::ALIVE | kind_orig << has::L4_ORIG | kind_reply << has::L4_REPLY;
        packed.protocol = entry.orig.protocol.0;
        let addresses = [
            entry.orig.src,
            entry.orig.dst,
            entry.reply.src,
            entry.reply.dst,
        ];
        if entry.orig.src.is_ipv6() {
            packed.has |= has::V6;
            packed.addresses[0] = beside.v6.put(addresses.map(bits));
        } else {
            packed.addresses = addresses.map(|address| bits(address) as u32);
        }
        packed.zone = entry.zone.id;
        packed.has |= match entry.zone.direction {
            ZoneDirection::Both => 0,
            ZoneDirection::Original => has::ZONE_ORIG,
            ZoneDirection::Reply => has::ZONE_REPLY,
        };
        if entry.is_nat() {
            packed.has |= has::NAT;
        }
        packed.put_numbers(entry, now_s);
        packed.put_protoinfo(entry.protoinfo);
        let rare = Rare::of(entry);
        if rare != Rare::default() {
            packed.rare = beside.rare.put(Box::new(rare)) + 1;
        }
        packed
    }

    fn put_numbers(&mut self, entry: &Entry, now_s: u32) {
        let mut put = |number: Option<u32>, to: &mut u32, bit| {
            if let Some(number) = number {
                *to = number;
                self.has |= bit;
            }
        };
        put(entry.id, &mut self.id, has::ID);
        put(
            entry.status.map(|status| status.bits()),
            &mut self.status,
            has::STATUS,
        );
        put(entry.mark, &mut self.mark, has::MARK);
        put(entry.use_count, &mut self.use_count, has::USE);
        let expires = entry.timeout.map(|left| now_s.saturating_add(left));
        put(expires, &mut self.expires, has::TIMEOUT);
        for (place, (counters, bit)) in [
            (entry.counters_orig, has::COUNTERS_ORIG),
            (entry.counters_reply, has::COUNTERS_REPLY),
        ]
        .into_iter()
        .enumerate()
        {
            if let (Some(Counters { packets, bytes }), Some(to_bytes), Some(to_packets)) = (
                counters,
                self.bytes.get_mut(place),
                self.packets.get_mut(place),
            ) {
                (*to_bytes, *to_packets) = (bytes, packets);
                self.has |= bit;
            }
        }
        if let Some(Timestamps { start, .. }) = entry.timestamps {
            self.has |= has::TIMESTAMPS;
            if let Some(start) = start {
                self.start = start;
                self.has |= has::START;
            }
        }
    }

    fn put_protoinfo(&mut self, protoinfo: Option<ProtoInfo>) {
        let state = match protoinfo {
            Some(ProtoInfo::Tcp(tcp)) => {
                if is_plain(&tcp) {
                    self.has |= has::TCP;
                    let bits_of = |flags: Option<TcpFlags>| flags.map(|flags| flags.flags);
                    let [scale_orig, scale_reply] = &mut self.wscale;
                    let [flags_orig, flags_reply] = &mut self.flags;
                    for (bit, value, to) in [
                        (has::WSCALE_ORIG, tcp.wscale_orig, scale_orig),
                        (has::WSCALE_REPLY, tcp.wscale_reply, scale_reply),
                        (has::FLAGS_ORIG, bits_of(tcp.flags_orig), flags_orig),
                        (has::FLAGS_REPLY, bits_of(tcp.flags_reply), flags_reply),
                    ] {
                        if let Some(value) = value {
                            *to = value;
                            self.has |= bit;
                        }
                    }
                }
                tcp.state.map(|state| state.0)
            }
            Some(ProtoInfo::Sctp(sctp)) => sctp.state.map(|state| state.0),
            Some(ProtoInfo::Dccp(dccp)) => dccp.state.map(|state| state.0),
            None => None,
        };
        if let Some(state) = state {
            self.state = state;
            self.has |= has::STATE;
        }
    }

    /// Writes the entry as it is at a time, in the place of what was there.
    pub(super) fn write(&self, now_s: u32, beside: &Beside, entry: &mut Entry) {
        let protocol = Protocol(self.protocol);
        let [orig_src, orig_dst, reply_src, reply_dst] = self.tuple_addresses(beside);
        let tuple = |src, dst, shift: u32, l4| Tuple {
            src,
            dst,
            protocol,
            l4: unpack_l4(self.has >> shift & 3, l4),
        };
        entry.orig = tuple(orig_src, orig_dst, has::L4_ORIG, self.l4[0]);
        entry.reply = tuple(reply_src, reply_dst, has::L4_REPLY, self.l4[1]);
        entry.zone = Zone {
            id: self.zone,
            direction: match (self.is(has::ZONE_ORIG), self.is(has::ZONE_REPLY)) {
                (true, _) => ZoneDirection::Original,
                (_, true) => ZoneDirection::Reply,
                _ => ZoneDirection::Both,
            },
        };
        let number = |bit, number: u32| self.is(bit).then_some(number);
        entry.id = number(has::ID, self.id);
        entry.status = number(has::STATUS, self.status).map(Status::from_bits_retain);
        entry.timeout =
            number(has::TIMEOUT, self.expires).map(|expires| expires.saturating_sub(now_s));
        entry.mark = number(has::MARK, self.mark);
        entry.use_count = number(has::USE, self.use_count);
        let counters = |bit, bytes, packets| self.is(bit).then_some(Counters { packets, bytes });
        entry.counters_orig = counters(has::COUNTERS_ORIG, self.bytes[0], self.packets[0]);
        entry.counters_reply = counters(has::COUNTERS_REPLY, self.bytes[1], self.packets[1]);
        let rare = self.rare.checked_sub(1).and_then(|at| beside.rare.get(at));
        entry.timestamps = self.is(has::TIMESTAMPS).then(|| Timestamps {
            start: self.is(has::START).then_some(self.start),
            stop: rare.and_then(|rare| rare.stop),
        });
        entry.protoinfo = self.plain_tcp();
        entry.secmark = None;
        entry.event_time = None;
        entry.helper = None;
        entry.labels = None;
        entry.extra = None;
        if let Some(rare) = rare {
            entry.secmark = rare.secmark;
            entry.event_time = rare.event_time;
            entry.protoinfo = rare.protoinfo.or(entry.protoinfo);
            entry.helper = rare.helper;
            entry.labels = rare.labels;
            entry.extra.clone_from(&rare.extra);
        }
    }

    fn plain_tcp(&self) -> Option<ProtoInfo> {
        let byte = |bit, byte: u8| self.is(bit).then_some(byte);
        let flags = |bit, flags: u8| byte(bit, flags).map(|flags| TcpFlags { flags, mask: 0 });
        self.is(has::TCP).then(|| {
            ProtoInfo::Tcp(TcpInfo {
                state: byte(has::STATE, self.state).map(TcpState),
                wscale_orig: byte(has::WSCALE_ORIG, self.wscale[0]),
                wscale_reply: byte(has::WSCALE_REPLY, self.wscale[1]),
                flags_orig: flags(has::FLAGS_ORIG, self.flags[0]),
                flags_reply: flags(has::FLAGS_REPLY, self.flags[1]),
            })
        })
    }

    fn tuple_addresses(&self, beside: &Beside) -> [IpAddr; 4] {
        if self.is(has::V6) {
            let addresses = beside.v6.get(self.addresses[0]).copied();
            addresses
                .unwrap_or_default()
                .map(|bits| Ipv6Addr::from_bits(bits).into())
        } else {
            self.addresses.map(|bits| Ipv4Addr::from_bits(bits).into())
        }
    }

    /// The name under which it is found.
    pub(super) fn name(&self, beside: &Beside) -> Name {
        let (src, dst) = if self.is(has::V6) {
            let addresses = beside.v6.get(self.addresses[0]).copied();
            let [src, dst, ..] = addresses.unwrap_or_default();
            (src, dst)
        } else {
            (self.addresses[0].into(), self.addresses[1].into())
        };
        Name {
            src,
            dst,
            l4: self.l4[0],
            zone: if self.is(has::ZONE_REPLY) {
                0
            } else {
                self.zone
            },
            protocol: self.protocol,
            is_v6: self.is(has::V6),
        }
    }

    /// Gives back what stands beside.
    pub(super) fn leave(&self, beside: &mut Beside) {
        if self.is(has::V6) {
            beside.v6.take(self.addresses[0]);
        }
        if let Some(place) = self.rare.checked_sub(1) {
            beside.rare.take(place);
        }
    }

    const fn is(&self, bit: u32) -> bool {
        self.has & bit != 0
    }

    pub(super) const fn is_alive(&self) -> bool {
        self.is(has::ALIVE)
    }

    pub(super) const fn is_nat(&self) -> bool {
        self.is(has::NAT)
    }

    pub(super) const fn id(&self) -> Option<u32> {
        if self.is(has::ID) {
            Some(self.id)
        } else {
            None
        }
    }

    pub(super) const fn protocol(&self) -> u8 {
        self.protocol
    }

    /// Number and kernel's name of its state.
    pub(super) fn state(&self) -> Option<(u8, &'static str)> {
        let name = match Protocol(self.protocol) {
            Protocol::TCP => TcpState(self.state).name(),
            Protocol::SCTP => SctpState(self.state).name(),
            Protocol::DCCP => DccpState(self.state).name(),
            _ => None,
        };
        name.filter(|_| self.is(has::STATE))
            .map(|name| (self.state, name))
    }

    pub(super) const fn status(&self) -> Status {
        Status::from_bits_retain(self.status)
    }

    /// Bytes and packets of both directions; `None` without counters.
    pub(super) fn counted(&self) -> Option<[u64; 4]> {
        (self.is(has::COUNTERS_ORIG) && self.is(has::COUNTERS_REPLY)).then_some([
            self.bytes[0],
            self.bytes[1],
            self.packets[0],
            self.packets[1],
        ])
    }

    /// Whether a reading of the table has seen it.
    pub(super) const fn is_read(&self) -> bool {
        self.read_at != 0
    }

    pub(super) fn rates(&self) -> Option<Rates> {
        let [bytes_orig, bytes_reply, packets_orig, packets_reply] = self.rates;
        self.is(has::RATES).then_some(Rates {
            bytes_orig,
            bytes_reply,
            packets_orig,
            packets_reply,
        })
    }

    pub(super) fn set_rates(&mut self, rates: Option<Rates>) {
        self.has &= !has::RATES;
        if let Some(rates) = rates {
            self.rates = [
                rates.bytes_orig,
                rates.bytes_reply,
                rates.packets_orig,
                rates.packets_reply,
            ];
            self.has |= has::RATES;
        }
    }
}

impl Rare {
    fn of(entry: &Entry) -> Self {
        let is_plain_info = match &entry.protoinfo {
            None => true,
            Some(ProtoInfo::Tcp(tcp)) => is_plain(tcp),
            Some(_) => false,
        };
        Self {
            secmark: entry.secmark,
            stop: entry.timestamps.and_then(|times| times.stop),
            event_time: entry.event_time,
            protoinfo: entry.protoinfo.filter(|_| !is_plain_info),
            helper: entry.helper,
            labels: entry.labels,
            extra: entry.extra.clone(),
        }
    }
}

/// Whether [`Packed`] holds all of it: the kernel sends no masks of flags.
fn is_plain(tcp: &TcpInfo) -> bool {
    [tcp.flags_orig, tcp.flags_reply]
        .iter()
        .flatten()
        .all(|flags| flags.mask == 0)
}

const fn zone_of_orig(zone: Zone) -> u16 {
    match zone.direction {
        ZoneDirection::Reply => 0,
        _ => zone.id,
    }
}

const fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits() as u128,
        IpAddr::V6(address) => address.to_bits(),
    }
}

const fn pack_l4(l4: L4) -> (u32, u32) {
    const fn two(first: u16, second: u16) -> u32 {
        (first as u32) << 16 | second as u32
    }
    match l4 {
        L4::None => (0, 0),
        L4::Ports { src, dst } => (1, two(src, dst)),
        L4::Icmp { kind, code, id } => (2, two((kind as u16) << 8 | code as u16, id)),
        L4::Gre { src_key, dst_key } => (3, two(src_key, dst_key)),
    }
}

const fn unpack_l4(kind: u32, l4: u32) -> L4 {
    let (first, second) = ((l4 >> 16) as u16, l4 as u16);
    match kind {
        0 => L4::None,
        1 => L4::Ports {
            src: first,
            dst: second,
        },
        2 => L4::Icmp {
            kind: (first >> 8) as u8,
            code: first as u8,
            id: second,
        },
        _ => L4::Gre {
            src_key: first,
            dst_key: second,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctnetlink::{DccpInfo, SctpInfo, SeqAdj, SynProxy};
    use proptest::prelude::*;

    fn l4() -> impl Strategy<Value = L4> {
        prop_oneof![
            Just(L4::None),
            any::<(u16, u16)>().prop_map(|(src, dst)| L4::Ports { src, dst }),
            any::<(u8, u8, u16)>().prop_map(|(kind, code, id)| L4::Icmp { kind, code, id }),
            any::<(u16, u16)>().prop_map(|(src_key, dst_key)| L4::Gre { src_key, dst_key }),
        ]
    }

    fn tuples() -> impl Strategy<Value = (Tuple, Tuple)> {
        let addresses = prop_oneof![
            any::<[u32; 4]>().prop_map(|bits| bits.map(|b| IpAddr::from(Ipv4Addr::from_bits(b)))),
            any::<[u128; 4]>().prop_map(|bits| bits.map(|b| IpAddr::from(Ipv6Addr::from_bits(b)))),
        ];
        (addresses, any::<u8>(), l4(), l4()).prop_map(|([a, b, c, d], protocol, one, two)| {
            let tuple = |src, dst, l4| Tuple {
                src,
                dst,
                protocol: Protocol(protocol),
                l4,
            };
            (tuple(a, b, one), tuple(c, d, two))
        })
    }

    fn protoinfo() -> impl Strategy<Value = ProtoInfo> {
        let flags = || {
            proptest::option::of(any::<(u8, bool)>().prop_map(|(flags, has)| TcpFlags {
                flags,
                mask: if has { u8::MAX } else { 0 },
            }))
        };
        let state = any::<Option<u8>>();
        prop_oneof![
            (state, any::<[Option<u8>; 2]>(), flags(), flags()).prop_map(
                |(state, [wscale_orig, wscale_reply], flags_orig, flags_reply)| {
                    ProtoInfo::Tcp(TcpInfo {
                        state: state.map(TcpState),
                        wscale_orig,
                        wscale_reply,
                        flags_orig,
                        flags_reply,
                    })
                }
            ),
            any::<(Option<u8>, Option<u32>, Option<u32>)>().prop_map(|(state, a, b)| {
                ProtoInfo::Sctp(SctpInfo {
                    state: state.map(SctpState),
                    vtag_orig: a,
                    vtag_reply: b,
                })
            }),
            any::<(Option<u8>, Option<u8>, Option<u64>)>().prop_map(|(state, role, seq)| {
                ProtoInfo::Dccp(DccpInfo {
                    state: state.map(DccpState),
                    role,
                    handshake_seq: seq,
                })
            }),
        ]
    }

    fn rare()
    -> impl Strategy<Value = (Option<u32>, Option<u64>, Option<String>, Option<u128>, bool)> {
        any::<(Option<u32>, Option<u64>, bool, Option<u128>, bool)>()
            .prop_map(|(a, b, c, d, e)| (a, b, c.then(|| "ftp".to_owned()), d, e))
    }

    prop_compose! {
        fn entry()(
            (orig, reply) in tuples(),
            zone in any::<(u16, u8)>(),
            numbers in any::<[Option<u32>; 4]>(),
            timeout in proptest::option::of(0u32..100_000_000),
            counters in any::<[Option<(u64, u64)>; 2]>(),
            times in any::<Option<(Option<u64>, Option<u64>)>>(),
            info in proptest::option::of(protoinfo()),
            (secmark, event_time, helper, labels, has_extra) in rare(),
        ) -> Entry {
            let [id, status, mark, use_count] = numbers;
            let [one, two] = counters.map(|counters| {
                counters.map(|(packets, bytes)| Counters { packets, bytes })
            });
            let mut entry = Entry::new(orig, reply);
            entry.zone = Zone {
                id: zone.0,
                direction: match zone.1 % 3 {
                    0 => ZoneDirection::Both,
                    1 => ZoneDirection::Original,
                    _ => ZoneDirection::Reply,
                },
            };
            (entry.id, entry.mark, entry.use_count) = (id, mark, use_count);
            entry.status = status.map(Status::from_bits_retain);
            (entry.timeout, entry.secmark, entry.event_time) = (timeout, secmark, event_time);
            (entry.counters_orig, entry.counters_reply) = (one, two);
            entry.timestamps = times.map(|(start, stop)| Timestamps { start, stop });
            entry.protoinfo = info;
            entry.helper = helper.map(|name| HelperName::from(&name).unwrap());
            entry.labels = labels.map(Labels::from_bits);
            entry.extra = has_extra.then(|| Box::new(Extra {
                seqadj_orig: Some(SeqAdj::default()),
                synproxy: Some(SynProxy::default()),
                master: Some(reply),
                ..Extra::default()
            }));
            entry
        }
    }

    proptest! {
        #[test]
        fn nothing_of_an_entry_is_lost(entries in proptest::collection::vec(entry(), 1..20)) {
            let mut beside = Beside::default();
            let packed: Vec<_> =
                entries.iter().map(|entry| Packed::new(entry, 1_000_000, &mut beside)).collect();
            let mut read = Entry::blank();
            for (entry, packed) in entries.iter().zip(&packed) {
                packed.write(1_000_000, &beside, &mut read);
                prop_assert_eq!(&read, entry);
                prop_assert!(packed.name(&beside) == Name::of(entry));
                prop_assert_eq!(packed.is_nat(), entry.is_nat());
            }
            // What stood beside is free again.
            packed.iter().for_each(|packed| packed.leave(&mut beside));
            prop_assert!(beside.v6.values.iter().all(Option::is_none));
            prop_assert!(beside.rare.values.iter().all(Option::is_none));
            prop_assert_eq!(beside.v6.free.len(), beside.v6.values.len());
        }
    }
}
