use std::net::IpAddr;

use super::{
    Entry, ExpectationKey, Extra, HelperName, Key, Labels, Masked, NewExpectation, ProtoInfo,
    SeqAdj, Status, SynProxy, Tuple, Zone,
};
use crate::constants::*;
use crate::wire::{NfGen, Writer};

/// A range of addresses and ports for the kernel to translate to, when an entry is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NatRange {
    /// Lowest and highest address.
    pub addresses: (IpAddr, IpAddr),
    /// Lowest and highest port; `None` leaves the port alone if it can.
    pub ports: Option<(u16, u16)>,
}

impl NatRange {
    /// One address, any port.
    pub const fn to(address: IpAddr) -> Self {
        Self {
            addresses: (address, address),
            ports: None,
        }
    }

    fn encode(&self, writer: &mut Writer, kind: u16) {
        writer.nested(kind, |w| {
            w.address(CTA_NAT_V4_MINIP, CTA_NAT_V6_MINIP, self.addresses.0);
            w.address(CTA_NAT_V4_MAXIP, CTA_NAT_V6_MAXIP, self.addresses.1);
            if let Some((lowest, highest)) = self.ports {
                w.nested(CTA_NAT_PROTO, |w| {
                    w.be16(CTA_PROTONAT_PORT_MIN, lowest);
                    w.be16(CTA_PROTONAT_PORT_MAX, highest);
                });
            }
        });
    }
}

/// An entry to be created.
///
/// Translation can be given in two ways: as a `reply` tuple that is not the mirror image of
/// `orig`, which is taken as it is, or as ranges in `nat_src` and `nat_dst`, from which the kernel
/// chooses and rewrites the reply itself.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEntry {
    /// As opened.
    pub orig: Tuple,
    /// As answered.
    pub reply: Tuple,
    /// Zone.
    pub zone: Zone,
    /// Seconds until it is dropped if no packet comes.
    pub timeout: u32,
    /// Status bits; `CONFIRMED` is added, bits that only the kernel sets are left out.
    pub status: Status,
    /// Mark.
    pub mark: Option<u32>,
    /// Labels.
    pub labels: Option<Labels>,
    /// Helper by name; it must be loaded.
    pub helper: Option<HelperName>,
    /// State of the protocol. Without it TCP is in state `NONE`.
    pub protoinfo: Option<ProtoInfo>,
    /// Source translation for the kernel to set up.
    pub nat_src: Option<NatRange>,
    /// Destination translation for the kernel to set up.
    pub nat_dst: Option<NatRange>,
    /// Sequence adjustment of the original direction; needs NAT.
    pub seqadj_orig: Option<SeqAdj>,
    /// Sequence adjustment of the reply direction; needs NAT.
    pub seqadj_reply: Option<SeqAdj>,
    /// SYN proxy.
    pub synproxy: Option<SynProxy>,
    /// Original tuple of the entry that expected this one; it must exist.
    pub master: Option<Tuple>,
}

impl NewEntry {
    /// An entry without translation that lives `timeout` seconds.
    pub const fn new(orig: Tuple, timeout: u32) -> Self {
        Self {
            orig,
            reply: orig.mirror(),
            zone: Zone::new(0),
            timeout,
            status: Status::empty(),
            mark: None,
            labels: None,
            helper: None,
            protoinfo: None,
            nat_src: None,
            nat_dst: None,
            seqadj_orig: None,
            seqadj_reply: None,
            synproxy: None,
            master: None,
        }
    }

    pub(crate) fn encode(&self, w: &mut Writer, with_status: bool) {
        self.orig.encode(w, CTA_TUPLE_ORIG, self.zone.for_orig());
        self.reply.encode(w, CTA_TUPLE_REPLY, self.zone.for_reply());
        if let Some(zone) = self.zone.for_message() {
            w.be16(CTA_ZONE, zone);
        }
        w.be32(CTA_TIMEOUT, self.timeout);
        // The kernel refuses any change of these three against what it has set itself.
        let status = self.status.difference(Status::EXPECTED | Status::DYING) | Status::CONFIRMED;
        if with_status {
            w.be32(CTA_STATUS, status.bits());
        }
        if let Some(mark) = self.mark {
            w.be32(CTA_MARK, mark);
        }
        encode_labels(w, self.labels, None);
        encode_helper(w, self.helper.as_ref());
        if let Some(protoinfo) = &self.protoinfo {
            protoinfo.encode(w);
        }
        if let Some(range) = &self.nat_src {
            range.encode(w, CTA_NAT_SRC);
        }
        if let Some(range) = &self.nat_dst {
            range.encode(w, CTA_NAT_DST);
        }
        encode_extensions(w, self.seqadj_orig, self.seqadj_reply, self.synproxy);
        if let Some(master) = &self.master {
            master.encode(w, CTA_TUPLE_MASTER, None);
        }
    }
}

/// The same entry again, as far as the kernel lets it be created: counters, id and begin are not.
impl From<&Entry> for NewEntry {
    fn from(entry: &Entry) -> Self {
        let none = Extra::default();
        let extra = entry.extra.as_deref().unwrap_or(&none);
        Self {
            orig: entry.orig,
            reply: entry.reply,
            zone: entry.zone,
            timeout: entry.timeout.unwrap_or(0),
            status: entry.status.unwrap_or_default(),
            mark: entry.mark,
            labels: entry.labels,
            helper: entry.helper,
            protoinfo: entry.protoinfo.map(ProtoInfo::to_be_set),
            nat_src: None,
            nat_dst: None,
            seqadj_orig: extra.seqadj_orig,
            seqadj_reply: extra.seqadj_reply,
            synproxy: extra.synproxy,
            master: extra.master,
        }
    }
}

/// What is to change in an entry; what is `None` stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Update {
    /// Seconds until it is dropped if no packet comes.
    pub timeout: Option<u32>,
    /// Bits of the mark that the mask selects.
    pub mark: Option<Masked>,
    /// The whole status. The kernel refuses to clear what is set and to change
    /// [`Status::UNCHANGEABLE`], so start from the entry's own.
    pub status: Option<Status>,
    /// Labels that the mask selects: `(value, mask)`.
    pub labels: Option<(Labels, Labels)>,
    /// Helper by name; an empty name takes it away. The kernel gives a helper only to entries
    /// that are created with one, and refuses to exchange it or to give it back.
    pub helper: Option<HelperName>,
    /// State of the protocol.
    pub protoinfo: Option<ProtoInfo>,
    /// Sequence adjustment of the original direction.
    pub seqadj_orig: Option<SeqAdj>,
    /// Sequence adjustment of the reply direction.
    pub seqadj_reply: Option<SeqAdj>,
    /// SYN proxy.
    pub synproxy: Option<SynProxy>,
}

impl Update {
    fn encode(&self, w: &mut Writer) {
        if let Some(timeout) = self.timeout {
            w.be32(CTA_TIMEOUT, timeout);
        }
        if let Some(Masked { value, mask }) = self.mark {
            w.be32(CTA_MARK, value & mask);
            w.be32(CTA_MARK_MASK, mask);
        }
        if let Some(status) = self.status {
            w.be32(CTA_STATUS, status.bits());
        }
        if let Some((labels, mask)) = self.labels {
            encode_labels(w, Some(labels), Some(mask));
        }
        encode_helper(w, self.helper.as_ref());
        if let Some(protoinfo) = &self.protoinfo {
            protoinfo.encode(w);
        }
        encode_extensions(w, self.seqadj_orig, self.seqadj_reply, self.synproxy);
    }
}

/// One change of the table, for [`Client::apply`](crate::Client::apply).
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Creates an entry; one that exists is an error.
    Create(Box<NewEntry>),
    /// Creates an entry, or changes the one that is there as far as the kernel lets it. A status
    /// without any bit is not sent.
    Put(Box<NewEntry>),
    /// Changes an entry that exists.
    Update(Key, Box<Update>),
    /// Deletes an entry; with an id in the key, only while it is the same one.
    Delete(Key),
    /// Creates an expectation; one that exists is an error.
    CreateExpectation(Box<NewExpectation>),
    /// Deletes an expectation.
    DeleteExpectation(ExpectationKey),
}

impl Change {
    /// Message type, flags, family and attributes.
    fn parts(&self) -> (u16, u16, u8) {
        match self {
            Self::Create(new) => (
                ct_message(IPCTNL_MSG_CT_NEW),
                NLM_F_CREATE | NLM_F_EXCL,
                new.orig.family().number(),
            ),
            Self::Put(new) => (
                ct_message(IPCTNL_MSG_CT_NEW),
                NLM_F_CREATE,
                new.orig.family().number(),
            ),
            Self::Update(key, _) => (
                ct_message(IPCTNL_MSG_CT_NEW),
                0,
                key.tuple.family().number(),
            ),
            Self::Delete(key) => (
                ct_message(IPCTNL_MSG_CT_DELETE),
                0,
                key.tuple.family().number(),
            ),
            Self::CreateExpectation(new) => (
                exp_message(IPCTNL_MSG_EXP_NEW),
                NLM_F_CREATE | NLM_F_EXCL,
                new.tuple.family().number(),
            ),
            Self::DeleteExpectation(key) => (
                exp_message(IPCTNL_MSG_EXP_DELETE),
                0,
                key.tuple.family().number(),
            ),
        }
    }

    /// Writes the request as one netlink message; `ack` asks the kernel for an answer even when
    /// it does as it is told.
    pub fn write(&self, writer: &mut Writer, sequence: u32, ack: bool) {
        let (kind, flags, family) = self.parts();
        let flags = NLM_F_REQUEST | flags | if ack { NLM_F_ACK } else { 0 };
        let nfgen = NfGen {
            family,
            version: 0,
            resource: 0,
        };
        writer.message(kind, flags, sequence, nfgen, |w| self.encode(w));
    }

    fn encode(&self, w: &mut Writer) {
        match self {
            Self::Create(new) => new.encode(w, true),
            Self::Put(new) => new.encode(w, !new.status.is_empty()),
            Self::Update(key, update) => {
                key.encode(w);
                update.encode(w);
            }
            Self::Delete(key) => {
                key.encode(w);
                if let Some(id) = key.id {
                    w.be32(CTA_ID, id);
                }
            }
            Self::CreateExpectation(new) => new.encode(w),
            Self::DeleteExpectation(key) => key.encode(w),
        }
    }
}

pub(super) fn encode_labels(w: &mut Writer, labels: Option<Labels>, mask: Option<Labels>) {
    if let Some(labels) = labels {
        w.attr(CTA_LABELS, &labels.to_kernel());
        if let Some(mask) = mask {
            w.attr(CTA_LABELS_MASK, &mask.to_kernel());
        }
    }
}

pub(super) fn encode_helper(w: &mut Writer, helper: Option<&HelperName>) {
    if let Some(name) = helper {
        w.nested(CTA_HELP, |w| w.text(CTA_HELP_NAME, name));
    }
}

pub(super) fn encode_extensions(
    w: &mut Writer,
    orig: Option<SeqAdj>,
    reply: Option<SeqAdj>,
    synproxy: Option<SynProxy>,
) {
    for (kind, seqadj) in [(CTA_SEQ_ADJ_ORIG, orig), (CTA_SEQ_ADJ_REPLY, reply)] {
        if let Some(seqadj) = seqadj {
            w.nested(kind, |w| {
                w.be32(CTA_SEQADJ_CORRECTION_POS, seqadj.correction_pos);
                w.be32(
                    CTA_SEQADJ_OFFSET_BEFORE,
                    seqadj.offset_before.cast_unsigned(),
                );
                w.be32(CTA_SEQADJ_OFFSET_AFTER, seqadj.offset_after.cast_unsigned());
            });
        }
    }
    if let Some(synproxy) = synproxy {
        w.nested(CTA_SYNPROXY, |w| {
            w.be32(CTA_SYNPROXY_ISN, synproxy.isn);
            w.be32(CTA_SYNPROXY_ITS, synproxy.its);
            w.be32(CTA_SYNPROXY_TSOFF, synproxy.tsoff);
        });
    }
}
