//! An entry as the kernel would dump it, so that it can be kept outside of the kernel.

use super::change::{encode_extensions, encode_helper, encode_labels};
use super::{Counters, Entry, Timestamps, ZoneDirection};
use crate::constants::*;
use crate::wire::Writer;

impl Entry {
    /// Writes everything that is known of the entry as the attributes of a dump's message.
    ///
    /// [`Entry::decode`] reads the same entry from them, whatever it was decoded from. What the
    /// kernel cannot say is not kept either: a zero byte in a security context ends it, and an
    /// [`Extra`](super::Extra) of nothing is none.
    pub fn encode(&self, w: &mut Writer) {
        let in_tuple = |direction| (self.zone.direction == direction).then_some(self.zone.id);
        self.orig
            .encode(w, CTA_TUPLE_ORIG, in_tuple(ZoneDirection::Original));
        self.reply
            .encode(w, CTA_TUPLE_REPLY, in_tuple(ZoneDirection::Reply));
        if let Some(zone) = self.zone.for_message() {
            w.be16(CTA_ZONE, zone);
        }
        let numbers = [
            (CTA_STATUS, self.status.map(|status| status.bits())),
            (CTA_TIMEOUT, self.timeout),
            (CTA_MARK, self.mark),
            (CTA_SECMARK, self.secmark),
            (CTA_USE, self.use_count),
            (CTA_ID, self.id),
        ];
        for (kind, value) in numbers {
            if let Some(value) = value {
                w.be32(kind, value);
            }
        }
        encode_counters(w, CTA_COUNTERS_ORIG, self.counters_orig);
        encode_counters(w, CTA_COUNTERS_REPLY, self.counters_reply);
        if let Some(timestamps) = self.timestamps {
            encode_timestamps(w, timestamps);
        }
        if let Some(time) = self.event_time {
            w.be64(CTA_TIMESTAMP_EVENT, time);
        }
        if let Some(protoinfo) = &self.protoinfo {
            protoinfo.encode(w);
        }
        encode_helper(w, self.helper.as_ref());
        encode_labels(w, self.labels, None);
        if let Some(extra) = &self.extra {
            encode_extensions(w, extra.seqadj_orig, extra.seqadj_reply, extra.synproxy);
            if let Some(secctx) = &extra.secctx {
                // Without a closing zero, for which the longest has no room.
                w.nested(CTA_SECCTX, |w| w.attr(CTA_SECCTX_NAME, secctx.as_bytes()));
            }
            if let Some(master) = &extra.master {
                master.encode(w, CTA_TUPLE_MASTER, None);
            }
        }
    }
}

fn encode_counters(w: &mut Writer, kind: u16, counters: Option<Counters>) {
    if let Some(Counters { packets, bytes }) = counters {
        w.nested(kind, |w| {
            w.be64(CTA_COUNTERS_PACKETS, packets);
            w.be64(CTA_COUNTERS_BYTES, bytes);
        });
    }
}

fn encode_timestamps(w: &mut Writer, timestamps: Timestamps) {
    w.nested(CTA_TIMESTAMP, |w| {
        if let Some(start) = timestamps.start {
            w.be64(CTA_TIMESTAMP_START, start);
        }
        if let Some(stop) = timestamps.stop {
            w.be64(CTA_TIMESTAMP_STOP, stop);
        }
    });
}
