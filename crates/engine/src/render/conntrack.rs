//! The line of conntrack(8), byte for byte.

use chrono::{DateTime, Local};
use ctnetlink::{
    Counters, Entry, L4, ProtoInfo, Protocol, SctpState, Status, TcpState, Tuple, ZoneDirection,
};

use super::scalar::{push_address_ntop, push_hex, push_number};

/// What the line shows beside the usual, as conntrack's `-o` takes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Family in front (`extended`).
    pub extended: bool,
    /// Id (`id`).
    pub id: bool,
    /// Begin and end as dates (`ktimestamp`).
    pub ktimestamp: bool,
}

/// Appends an entry as one line without its end. `now` is in seconds since the epoch.
pub fn write_entry(out: &mut Vec<u8>, entry: &Entry, options: Options, now: i64) {
    if options.extended {
        push_padded(out, entry.family().name());
        push_number(out, entry.family().number());
        out.push(b' ');
    }
    push_padded(out, entry.orig.protocol.name().unwrap_or("unknown"));
    push_number(out, entry.orig.protocol.0);
    out.push(b' ');
    if let Some(timeout) = entry.timeout {
        push_number(out, timeout);
        out.push(b' ');
    }
    if let Some(state) = state_name(entry) {
        push_text(out, state);
    }
    push_tuple(out, &entry.orig);
    push_zone(out, entry, ZoneDirection::Original, b"zone-orig=");
    push_counters(out, entry.counters_orig);
    if entry
        .status
        .is_some_and(|status| !status.contains(Status::SEEN_REPLY))
    {
        out.extend_from_slice(b"[UNREPLIED] ");
    }
    push_tuple(out, &entry.reply);
    push_zone(out, entry, ZoneDirection::Reply, b"zone-reply=");
    push_counters(out, entry.counters_reply);
    if let Some(word) = status_word(entry.status.unwrap_or_default()) {
        push_text(out, word);
    }
    push_field(out, b"mark=", entry.mark);
    push_field(out, b"secmark=", entry.secmark);
    if let Some(secctx) = entry.extra.as_ref().and_then(|extra| extra.secctx.as_ref()) {
        out.extend_from_slice(b"secctx=");
        push_text(out, secctx);
    }
    push_zone(out, entry, ZoneDirection::Both, b"zone=");
    push_times(out, entry, options.ktimestamp, now);
    if let Some(helper) = &entry.helper {
        out.extend_from_slice(b"helper=");
        push_text(out, helper);
    }
    push_field(out, b"use=", entry.use_count);
    if options.id {
        push_field(out, b"id=", entry.id);
    }
    // Each field ends in a space; the line does not.
    out.pop();
}

/// The state as conntrack prints it; a number without a name is `NONE` to it.
pub fn state_name(entry: &Entry) -> Option<&'static str> {
    match entry.protoinfo? {
        ProtoInfo::Tcp(tcp) => tcp
            .state
            .map(|state: TcpState| state.name().unwrap_or("NONE")),
        ProtoInfo::Sctp(sctp) => sctp
            .state
            .map(|state: SctpState| state.name().unwrap_or("NONE")),
        ProtoInfo::Dccp(dccp) => dccp.state.map(|state| state.name().unwrap_or("NONE")),
    }
}

/// The one status word that stands behind the reply.
const fn status_word(status: Status) -> Option<&'static str> {
    if status.contains(Status::HW_OFFLOAD) {
        Some("[HW_OFFLOAD]")
    } else if status.contains(Status::OFFLOAD) {
        Some("[OFFLOAD]")
    } else if status.contains(Status::ASSURED) {
        Some("[ASSURED]")
    } else {
        None
    }
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
    out.push(b' ');
}

/// `%-8s ` of C.
fn push_padded(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(&b"         "[..9usize.saturating_sub(name.len()).max(1)]);
}

fn push_field(out: &mut Vec<u8>, name: &[u8], value: Option<u32>) {
    if let Some(value) = value {
        out.extend_from_slice(name);
        push_number(out, value);
        out.push(b' ');
    }
}

fn push_tuple(out: &mut Vec<u8>, tuple: &Tuple) {
    out.extend_from_slice(b"src=");
    push_address_ntop(out, tuple.src);
    out.extend_from_slice(b" dst=");
    push_address_ntop(out, tuple.dst);
    out.push(b' ');
    push_l4(out, tuple);
    debug_assert!(tuple.protocol != Protocol::GRE || matches!(tuple.l4, L4::Gre { .. }));
}

/// Appends what a tuple has beside its addresses, with a space behind each field.
pub fn push_l4(out: &mut Vec<u8>, tuple: &Tuple) {
    match tuple.l4 {
        L4::None => {}
        L4::Ports { src, dst } => {
            out.extend_from_slice(b"sport=");
            push_number(out, src);
            out.extend_from_slice(b" dport=");
            push_number(out, dst);
            out.push(b' ');
        }
        L4::Gre { src_key, dst_key } => {
            out.extend_from_slice(b"srckey=");
            push_hex(out, src_key.into());
            out.extend_from_slice(b" dstkey=");
            push_hex(out, dst_key.into());
            out.push(b' ');
        }
        L4::Icmp { kind, code, id } => {
            out.extend_from_slice(b"type=");
            push_number(out, kind);
            out.extend_from_slice(b" code=");
            push_number(out, code);
            out.extend_from_slice(b" id=");
            push_number(out, id);
            out.push(b' ');
        }
    }
}

fn push_counters(out: &mut Vec<u8>, counters: Option<Counters>) {
    if let Some(Counters { packets, bytes }) = counters {
        out.extend_from_slice(b"packets=");
        push_number(out, packets);
        out.extend_from_slice(b" bytes=");
        push_number(out, bytes);
        out.push(b' ');
    }
}

fn push_zone(out: &mut Vec<u8>, entry: &Entry, direction: ZoneDirection, name: &[u8]) {
    if entry.zone.direction == direction && entry.zone.id != 0 {
        push_field(out, name, Some(entry.zone.id.into()));
    }
}

fn push_times(out: &mut Vec<u8>, entry: &Entry, dates: bool, now: i64) {
    let Some(times) = entry.timestamps else {
        return;
    };
    let seconds = |nanoseconds: u64| (nanoseconds / 1_000_000_000).cast_signed();
    let stop = times.stop.filter(|&stop| stop != 0).map(seconds);
    if let Some(start) = times.start.map(seconds) {
        out.extend_from_slice(b"delta-time=");
        // A clock that was set back makes conntrack print a huge number; so do we.
        push_number(out, stop.unwrap_or(now).wrapping_sub(start).cast_unsigned());
        out.push(b' ');
        if dates {
            push_date(out, b"[start=", start);
        }
    }
    if let Some(stop) = stop
        && dates
    {
        push_date(out, b"[stop=", stop);
    }
}

/// `ctime(3)` of C: local time.
fn push_date(out: &mut Vec<u8>, name: &[u8], seconds: i64) {
    use std::io::Write;
    out.extend_from_slice(name);
    let date = DateTime::from_timestamp(seconds, 0)
        .unwrap_or_default()
        .with_timezone(&Local);
    // Writing to a vector does not fail.
    let _ = write!(out, "{}] ", date.format("%a %b %e %H:%M:%S %Y"));
}
