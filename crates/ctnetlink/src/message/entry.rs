use arrayvec::ArrayString;

use super::{Family, Labels, ProtoInfo, Status, Tuple};
use crate::constants::*;
use crate::wire::{Attr, Attrs, DecodeError, Writer};

/// A name of at most 15 bytes, kept in place.
pub type HelperName = ArrayString<15>;

/// Which directions a zone applies to (`NF_CT_ZONE_DIR_…`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ZoneDirection {
    /// Both: the usual case.
    #[default]
    Both,
    /// The original direction only; the reply is in zone 0.
    Original,
    /// The reply direction only; the original is in zone 0.
    Reply,
}

/// The zone of an entry: a number that keeps equal addresses apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Zone {
    /// Its number; 0 is where everything is that no rule puts elsewhere.
    pub id: u16,
    /// The directions that it applies to.
    pub direction: ZoneDirection,
}

impl Zone {
    /// A zone of both directions.
    pub const fn new(id: u16) -> Self {
        Self {
            id,
            direction: ZoneDirection::Both,
        }
    }

    const fn in_direction(self, direction: ZoneDirection) -> Option<u16> {
        match (self.direction, direction) {
            (ZoneDirection::Both, ZoneDirection::Both)
            | (ZoneDirection::Original, ZoneDirection::Original)
            | (ZoneDirection::Reply, ZoneDirection::Reply)
                if self.id != 0 =>
            {
                Some(self.id)
            }
            _ => None,
        }
    }

    /// The zone for the message, if it goes there.
    pub(crate) const fn for_message(self) -> Option<u16> {
        self.in_direction(ZoneDirection::Both)
    }

    /// The zone for the original tuple, if it goes there.
    pub(crate) const fn for_orig(self) -> Option<u16> {
        self.in_direction(ZoneDirection::Original)
    }

    /// The zone for the reply tuple, if it goes there.
    pub(crate) const fn for_reply(self) -> Option<u16> {
        self.in_direction(ZoneDirection::Reply)
    }
}

/// Packets and bytes of one direction, since the entry was born or last zeroed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counters {
    /// Packets.
    pub packets: u64,
    /// Bytes, with IP headers.
    pub bytes: u64,
}

/// When the connection began and ended, in nanoseconds since the epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Timestamps {
    /// Begin.
    pub start: Option<u64>,
    /// End, in destroy events.
    pub stop: Option<u64>,
}

/// Adjustment of TCP sequence numbers in one direction (`struct nf_ct_seqadj`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SeqAdj {
    /// Where the last change of length happened.
    pub correction_pos: u32,
    /// Offset before that place.
    pub offset_before: i32,
    /// Offset after it.
    pub offset_after: i32,
}

/// State of a SYN proxy (`struct nf_conn_synproxy`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SynProxy {
    /// Initial sequence number.
    pub isn: u32,
    /// Initial timestamp.
    pub its: u32,
    /// Timestamp offset.
    pub tsoff: u32,
}

/// What few entries have; boxed so that all others stay small.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extra {
    /// Security context (SELinux).
    pub secctx: Option<String>,
    /// Sequence adjustment of the original direction.
    pub seqadj_orig: Option<SeqAdj>,
    /// Sequence adjustment of the reply direction.
    pub seqadj_reply: Option<SeqAdj>,
    /// SYN proxy; absent where it is at work on nothing, which the kernel tells as zeros.
    pub synproxy: Option<SynProxy>,
    /// Original tuple of the entry that expected this one.
    pub master: Option<Tuple>,
}

/// One entry of the connection tracking table.
///
/// Everything but the tuples may be absent: `None` is never zero. Counters are there only while
/// `nf_conntrack_acct` is on, timestamps only while `nf_conntrack_timestamp` is on, timeout and
/// protocol state are not while a flow table forwards the packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// As opened.
    pub orig: Tuple,
    /// As answered; not the mirror image of `orig` where addresses are translated.
    pub reply: Tuple,
    /// Zone; 0 where the kernel says none.
    pub zone: Zone,
    /// Hash that stands for the entry while it lives; not unique for ever.
    pub id: Option<u32>,
    /// Status bits.
    pub status: Option<Status>,
    /// Seconds until the entry is dropped if no packet comes.
    pub timeout: Option<u32>,
    /// Mark, as set by rules.
    pub mark: Option<u32>,
    /// Security mark; kernels before 2.6.37.
    pub secmark: Option<u32>,
    /// References to the entry in the kernel.
    pub use_count: Option<u32>,
    /// Counters of the original direction.
    pub counters_orig: Option<Counters>,
    /// Counters of the reply direction.
    pub counters_reply: Option<Counters>,
    /// Begin and end.
    pub timestamps: Option<Timestamps>,
    /// Nanoseconds since the epoch at which an event happened; events of Linux 6.14 and later.
    pub event_time: Option<u64>,
    /// State of the protocol.
    pub protoinfo: Option<ProtoInfo>,
    /// Name of the helper at work, such as `ftp`.
    pub helper: Option<HelperName>,
    /// Labels, where any is set.
    pub labels: Option<Labels>,
    /// What few entries have.
    pub extra: Option<Box<Extra>>,
}

impl Entry {
    /// An entry of these two tuples of which nothing else is known.
    pub const fn new(orig: Tuple, reply: Tuple) -> Self {
        Self {
            orig,
            reply,
            zone: Zone {
                id: 0,
                direction: ZoneDirection::Both,
            },
            id: None,
            status: None,
            timeout: None,
            mark: None,
            secmark: None,
            use_count: None,
            counters_orig: None,
            counters_reply: None,
            timestamps: None,
            event_time: None,
            protoinfo: None,
            helper: None,
            labels: None,
            extra: None,
        }
    }

    /// Family of the addresses.
    pub const fn family(&self) -> Family {
        self.orig.family()
    }

    /// Bytes of both directions; `None` where accounting is off.
    pub fn bytes(&self) -> Option<u64> {
        both(self.counters_orig, self.counters_reply, |counters| {
            counters.bytes
        })
    }

    /// Packets of both directions; `None` where accounting is off.
    pub fn packets(&self) -> Option<u64> {
        both(self.counters_orig, self.counters_reply, |counters| {
            counters.packets
        })
    }

    /// Whether addresses or ports are translated: the status says so, or the reply is not the
    /// mirror image of the original.
    pub fn is_nat(&self) -> bool {
        let nat = Status::SRC_NAT | Status::DST_NAT;
        self.status.is_some_and(|status| status.intersects(nat)) || self.reply != self.orig.mirror()
    }

    /// Whether the source is translated: the status says so, or the answers do not go to it.
    pub fn is_source_nat(&self) -> bool {
        let mirror = self.orig.mirror();
        self.has_status(Status::SRC_NAT)
            || self.reply.dst != mirror.dst
            || self.reply.dst_port() != mirror.dst_port()
    }

    /// Whether the destination is translated: the status says so, or the answers come from
    /// elsewhere.
    pub fn is_destination_nat(&self) -> bool {
        let mirror = self.orig.mirror();
        self.has_status(Status::DST_NAT)
            || self.reply.src != mirror.src
            || self.reply.src_port() != mirror.src_port()
    }

    /// Seconds from its begin to its end, or to `now` while it lives; `now` is in nanoseconds
    /// since the epoch. `None` where timestamps are off.
    pub fn age(&self, now: u64) -> Option<u64> {
        let times = self.timestamps?;
        let end = times.stop.filter(|&stop| stop != 0).unwrap_or(now);
        Some(end.saturating_sub(times.start?) / 1_000_000_000)
    }

    /// Whether `bits` are all set in the status.
    pub fn has_status(&self, bits: Status) -> bool {
        self.status.is_some_and(|status| status.contains(bits))
    }

    /// The kernel's name of the protocol's state.
    pub fn state_name(&self) -> Option<&'static str> {
        self.protoinfo.as_ref().and_then(ProtoInfo::state_name)
    }

    /// Original tuple of the entry that expected this one.
    pub fn master(&self) -> Option<&Tuple> {
        self.extra.as_ref().and_then(|extra| extra.master.as_ref())
    }

    /// What names the entry: original tuple, zone, and id where known.
    pub const fn key(&self) -> Key {
        Key {
            tuple: self.orig,
            direction: Direction::Original,
            zone: self.zone,
            id: self.id,
        }
    }

    /// An entry of which nothing is known, to write another into: its tuples are unspecified.
    pub const fn blank() -> Self {
        Self::new(Tuple::UNSPECIFIED, Tuple::UNSPECIFIED)
    }

    /// Reads the attributes of a conntrack message.
    #[inline]
    pub fn decode(attrs: Attrs<'_>) -> Result<Self, DecodeError> {
        let mut entry = Self::blank();
        entry.decode_attrs(attrs)?;
        Ok(entry)
    }

    /// Reads the attributes of a conntrack message in the place of what was there: nothing of the
    /// old entry stays. After an error the entry means nothing.
    ///
    /// Faster than [`decode`](Self::decode) where many are read one after the other.
    #[inline]
    pub fn decode_into(&mut self, attrs: Attrs<'_>) -> Result<(), DecodeError> {
        self.zone = Zone::new(0);
        self.id = None;
        self.status = None;
        self.timeout = None;
        self.mark = None;
        self.secmark = None;
        self.use_count = None;
        self.counters_orig = None;
        self.counters_reply = None;
        self.timestamps = None;
        self.event_time = None;
        self.protoinfo = None;
        self.helper = None;
        self.labels = None;
        self.extra = None;
        self.decode_attrs(attrs)
    }

    #[inline]
    fn decode_attrs(&mut self, attrs: Attrs<'_>) -> Result<(), DecodeError> {
        let (mut has_orig, mut has_reply) = (false, false);
        for attr in attrs {
            let attr = attr?;
            match attr.kind {
                CTA_TUPLE_ORIG => {
                    let (tuple, zone) = Tuple::decode(&attr, "CTA_TUPLE_ORIG")?;
                    self.orig = tuple;
                    self.set_zone(zone, ZoneDirection::Original);
                    has_orig = true;
                }
                CTA_TUPLE_REPLY => {
                    let (tuple, zone) = Tuple::decode(&attr, "CTA_TUPLE_REPLY")?;
                    self.reply = tuple;
                    self.set_zone(zone, ZoneDirection::Reply);
                    has_reply = true;
                }
                CTA_ZONE => self.set_zone(Some(attr.be16("CTA_ZONE")?), ZoneDirection::Both),
                CTA_ID => self.id = Some(attr.be32("CTA_ID")?),
                CTA_STATUS => {
                    self.status = Some(Status::from_bits_retain(attr.be32("CTA_STATUS")?));
                }
                CTA_TIMEOUT => self.timeout = Some(attr.be32("CTA_TIMEOUT")?),
                CTA_MARK => self.mark = Some(attr.be32("CTA_MARK")?),
                CTA_USE => self.use_count = Some(attr.be32("CTA_USE")?),
                CTA_COUNTERS_ORIG => {
                    self.counters_orig = decode_counters(&attr, "CTA_COUNTERS_ORIG")?;
                }
                CTA_COUNTERS_REPLY => {
                    self.counters_reply = decode_counters(&attr, "CTA_COUNTERS_REPLY")?;
                }
                CTA_TIMESTAMP => self.timestamps = Some(decode_timestamps(&attr)?),
                CTA_PROTOINFO => self.protoinfo = ProtoInfo::decode(&attr)?,
                _ => self.decode_uncommon(&attr)?,
            }
        }
        if !has_orig {
            return Err(DecodeError::Missing {
                field: "CTA_TUPLE_ORIG",
            });
        }
        if !has_reply {
            return Err(DecodeError::Missing {
                field: "CTA_TUPLE_REPLY",
            });
        }
        Ok(())
    }

    /// Attributes that most entries do not have; unknown ones are passed over.
    #[cold]
    #[inline(never)]
    fn decode_uncommon(&mut self, attr: &Attr<'_>) -> Result<(), DecodeError> {
        match attr.kind {
            CTA_HELP => self.helper = decode_helper(attr)?,
            CTA_LABELS => self.labels = Some(Labels::decode(attr, "CTA_LABELS")?),
            CTA_SECMARK => self.secmark = Some(attr.be32("CTA_SECMARK")?),
            CTA_TIMESTAMP_EVENT => self.event_time = Some(attr.be64("CTA_TIMESTAMP_EVENT")?),
            CTA_TUPLE_MASTER => {
                let (tuple, _zone) = Tuple::decode(attr, "CTA_TUPLE_MASTER")?;
                self.extra_mut().master = Some(tuple);
            }
            CTA_SEQ_ADJ_ORIG => self.extra_mut().seqadj_orig = Some(decode_seqadj(attr)?),
            CTA_SEQ_ADJ_REPLY => self.extra_mut().seqadj_reply = Some(decode_seqadj(attr)?),
            CTA_SYNPROXY => {
                // Every entry that was made through netlink has one, of zeros.
                let synproxy = decode_synproxy(attr)?;
                if synproxy != SynProxy::default() {
                    self.extra_mut().synproxy = Some(synproxy);
                }
            }
            CTA_SECCTX => {
                for part in attr.nested() {
                    let part = part?;
                    if part.kind == CTA_SECCTX_NAME {
                        self.extra_mut().secctx = Some(part.text("CTA_SECCTX_NAME")?.to_owned());
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn extra_mut(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    fn set_zone(&mut self, id: Option<u16>, direction: ZoneDirection) {
        if let Some(id) = id {
            self.zone = Zone { id, direction };
        }
    }
}

/// Which of an entry's tuples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// As opened.
    Original,
    /// As answered.
    Reply,
}

/// What names one entry for get, update and delete.
///
/// A tuple alone may come to name another connection later; with the id, a delete hits the entry
/// that was seen or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Tuple of one direction.
    pub tuple: Tuple,
    /// Which direction it is.
    pub direction: Direction,
    /// Zone.
    pub zone: Zone,
    /// Id; the kernel checks it on delete.
    pub id: Option<u32>,
}

impl Key {
    /// Names an entry by its original tuple in zone 0.
    pub const fn original(tuple: Tuple) -> Self {
        Self {
            tuple,
            direction: Direction::Original,
            zone: Zone::new(0),
            id: None,
        }
    }

    /// Names an entry by its reply tuple in zone 0.
    pub const fn reply(tuple: Tuple) -> Self {
        Self {
            tuple,
            direction: Direction::Reply,
            zone: Zone::new(0),
            id: None,
        }
    }

    /// The same in another zone.
    #[must_use]
    pub const fn in_zone(mut self, zone: Zone) -> Self {
        self.zone = zone;
        self
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        match self.direction {
            Direction::Original => self.tuple.encode(w, CTA_TUPLE_ORIG, self.zone.for_orig()),
            Direction::Reply => self.tuple.encode(w, CTA_TUPLE_REPLY, self.zone.for_reply()),
        }
        if let Some(zone) = self.zone.for_message() {
            w.be16(CTA_ZONE, zone);
        }
    }
}

fn both(
    orig: Option<Counters>,
    reply: Option<Counters>,
    pick: impl Fn(Counters) -> u64,
) -> Option<u64> {
    match (orig, reply) {
        (None, None) => None,
        (orig, reply) => Some(orig.map_or(0, &pick).saturating_add(reply.map_or(0, &pick))),
    }
}

#[inline]
fn decode_counters(attr: &Attr<'_>, field: &'static str) -> Result<Option<Counters>, DecodeError> {
    let (mut packets, mut bytes) = (None, None);
    for part in attr.nested() {
        let part = part?;
        match part.kind {
            CTA_COUNTERS_PACKETS => packets = Some(part.be64(field)?),
            CTA_COUNTERS_BYTES => bytes = Some(part.be64(field)?),
            CTA_COUNTERS32_PACKETS => packets = Some(u64::from(part.be32(field)?)),
            CTA_COUNTERS32_BYTES => bytes = Some(u64::from(part.be32(field)?)),
            _ => {}
        }
    }
    Ok(packets
        .zip(bytes)
        .map(|(packets, bytes)| Counters { packets, bytes }))
}

#[inline]
fn decode_timestamps(attr: &Attr<'_>) -> Result<Timestamps, DecodeError> {
    let mut timestamps = Timestamps::default();
    for part in attr.nested() {
        let part = part?;
        match part.kind {
            CTA_TIMESTAMP_START => timestamps.start = Some(part.be64("CTA_TIMESTAMP_START")?),
            CTA_TIMESTAMP_STOP => timestamps.stop = Some(part.be64("CTA_TIMESTAMP_STOP")?),
            _ => {}
        }
    }
    Ok(timestamps)
}

pub(super) fn helper_name(attr: &Attr<'_>, field: &'static str) -> Result<HelperName, DecodeError> {
    HelperName::from(attr.text(field)?).map_err(|_| DecodeError::Text {
        field,
        offset: attr.offset,
    })
}

fn decode_helper(attr: &Attr<'_>) -> Result<Option<HelperName>, DecodeError> {
    let mut name = None;
    for part in attr.nested() {
        let part = part?;
        if part.kind == CTA_HELP_NAME {
            name = Some(helper_name(&part, "CTA_HELP_NAME")?);
        }
    }
    Ok(name)
}

fn decode_seqadj(attr: &Attr<'_>) -> Result<SeqAdj, DecodeError> {
    let mut seqadj = SeqAdj::default();
    for part in attr.nested() {
        let part = part?;
        let value = || part.be32("CTA_SEQADJ");
        match part.kind {
            CTA_SEQADJ_CORRECTION_POS => seqadj.correction_pos = value()?,
            CTA_SEQADJ_OFFSET_BEFORE => seqadj.offset_before = value()?.cast_signed(),
            CTA_SEQADJ_OFFSET_AFTER => seqadj.offset_after = value()?.cast_signed(),
            _ => {}
        }
    }
    Ok(seqadj)
}

fn decode_synproxy(attr: &Attr<'_>) -> Result<SynProxy, DecodeError> {
    let mut synproxy = SynProxy::default();
    for part in attr.nested() {
        let part = part?;
        let value = || part.be32("CTA_SYNPROXY");
        match part.kind {
            CTA_SYNPROXY_ISN => synproxy.isn = value()?,
            CTA_SYNPROXY_ITS => synproxy.its = value()?,
            CTA_SYNPROXY_TSOFF => synproxy.tsoff = value()?,
            _ => {}
        }
    }
    Ok(synproxy)
}
