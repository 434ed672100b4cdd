//! Connections and expectations as conntrack(8)'s XML.

use std::io::Write as _;

use chrono::{Datelike, Local, Timelike};
use ctnetlink::{
    Counters, Entry, Expectation, Family, L4, Labels, Protocol, Status, Tuple, ZoneDirection,
};
use engine::render::{push_address_ntop, push_hex};

use crate::labels::Names;

/// What an event says of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    New,
    Update,
    Destroy,
}

impl Event {
    const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Update => "update",
            Self::Destroy => "destroy",
        }
    }
}

/// What to show of an entry.
#[derive(Clone, Copy)]
pub(crate) struct Shown<'a> {
    /// What happened to it.
    pub(crate) event: Option<Event>,
    /// Begin and end.
    pub(crate) times: bool,
    /// Names of its labels.
    pub(crate) labels: Option<&'a Names>,
    /// The time of day.
    pub(crate) when: bool,
    /// The present, in seconds since the epoch.
    pub(crate) now: i64,
}

/// Appends an entry as one `<flow>`.
pub(crate) fn write_entry(out: &mut Vec<u8>, entry: &Entry, shown: Shown<'_>) {
    open_flow(out, shown.event);
    let zone = |direction| {
        (entry.zone.direction == direction && entry.zone.id != 0).then_some(entry.zone.id)
    };
    let orig = zone(ZoneDirection::Original);
    write_direction(out, "original", &entry.orig, orig, entry.counters_orig);
    let reply = zone(ZoneDirection::Reply);
    write_direction(out, "reply", &entry.reply, reply, entry.counters_reply);
    text(out, "<meta direction=\"independent\">");
    if let Some(state) = engine::render::conntrack::state_name(entry) {
        element(out, "state", |out| text(out, state));
    }
    number(out, "timeout", entry.timeout);
    number(out, "mark", entry.mark);
    if let (Some(names), Some(labels)) = (shown.labels, entry.labels) {
        element(out, "labels", |out| write_labels(out, labels, names));
    }
    number(out, "secmark", entry.secmark);
    if let Some(secctx) = entry.extra.as_ref().and_then(|extra| extra.secctx.as_ref()) {
        element(out, "secctx", |out| text(out, secctx));
    }
    number(out, "zone", zone(ZoneDirection::Both));
    number(out, "use", entry.use_count);
    number(out, "id", entry.id);
    if entry.has_status(Status::ASSURED) {
        text(out, "<assured/>");
    }
    if entry
        .status
        .is_some_and(|status| !status.contains(Status::SEEN_REPLY))
    {
        text(out, "<unreplied/>");
    }
    write_times(out, entry, shown);
    text(out, "</meta>");
    if shown.when {
        write_when(out);
    }
    if let Some(helper) = &entry.helper {
        element(out, "helper", |out| text(out, helper));
    }
    text(out, "</flow>");
}

fn open_flow(out: &mut Vec<u8>, event: Option<Event>) {
    match event {
        None => text(out, "<flow>"),
        Some(event) => {
            // Writing to a vector does not fail.
            let _ = write!(out, "<flow type=\"{}\">", event.name());
        }
    }
}

fn write_direction(
    out: &mut Vec<u8>,
    name: &str,
    tuple: &Tuple,
    zone: Option<u16>,
    counters: Option<Counters>,
) {
    let _ = write!(out, "<meta direction=\"{name}\">");
    open_layer3(out, tuple.family());
    element(out, "src", |out| push_address_ntop(out, tuple.src));
    element(out, "dst", |out| push_address_ntop(out, tuple.dst));
    text(out, "</layer3>");
    open_layer4(out, tuple.protocol);
    write_l4(out, tuple);
    text(out, "</layer4>");
    number(out, "zone", zone);
    if let Some(Counters { packets, bytes }) = counters {
        element(out, "counters", |out| {
            number(out, "packets", Some(packets));
            number(out, "bytes", Some(bytes));
        });
    }
    text(out, "</meta>");
}

fn open_layer3(out: &mut Vec<u8>, family: Family) {
    let _ = write!(
        out,
        "<layer3 protonum=\"{}\" protoname=\"{}\">",
        family.number(),
        family.name()
    );
}

fn open_layer4(out: &mut Vec<u8>, protocol: Protocol) {
    let _ = write!(
        out,
        "<layer4 protonum=\"{}\" protoname=\"{}\">",
        protocol.0,
        protocol.name().unwrap_or("unknown")
    );
}

/// Ports and keys; of ICMP the original shows nothing here.
fn write_l4(out: &mut Vec<u8>, tuple: &Tuple) {
    match tuple.l4 {
        L4::Ports { src, dst } => {
            number(out, "sport", Some(src));
            number(out, "dport", Some(dst));
        }
        L4::Gre { src_key, dst_key } => {
            element(out, "srckey", |out| push_hex(out, src_key.into()));
            element(out, "dstkey", |out| push_hex(out, dst_key.into()));
        }
        L4::Icmp { .. } | L4::None => {}
    }
}

fn write_labels(out: &mut Vec<u8>, labels: Labels, names: &Names) {
    for name in labels.iter().filter_map(|number| names.name(number)) {
        element(out, "label", |out| text(out, name));
    }
}

fn write_times(out: &mut Vec<u8>, entry: &Entry, shown: Shown<'_>) {
    let Some(times) = entry.timestamps else {
        return;
    };
    let stop = times.stop.filter(|stop| *stop != 0);
    if shown.times {
        element(out, "timestamp", |out| {
            number(out, "start", times.start);
            number(out, "stop", stop);
        });
    }
    if let Some(start) = times.start {
        let seconds = |nanoseconds: u64| (nanoseconds / 1_000_000_000).cast_signed();
        let end = stop.map_or(shown.now, seconds);
        let delta = end.wrapping_sub(seconds(start)).cast_unsigned();
        number(out, "deltatime", Some(delta));
    }
}

/// The time of day as it is now: weekdays are counted from Sunday, 1.
fn write_when(out: &mut Vec<u8>) {
    let now = Local::now();
    element(out, "when", |out| {
        number(out, "hour", Some(now.hour()));
        number(out, "min", Some(now.minute()));
        number(out, "sec", Some(now.second()));
        number(out, "wday", Some(now.weekday().number_from_sunday()));
        number(out, "day", Some(now.day()));
        number(out, "month", Some(now.month()));
        number(out, "year", Some(now.year()));
    });
}

/// Appends an expectation as one `<flow>`.
pub(crate) fn write_expectation(
    out: &mut Vec<u8>,
    expectation: &Expectation,
    event: Option<Event>,
) {
    let Expectation {
        tuple,
        mask,
        master,
        ..
    } = expectation;
    let tuples = [("expected", tuple), ("mask", mask), ("master", master)];
    open_flow(out, event);
    open_layer3(out, expectation.family());
    for (name, tuple) in tuples {
        element(out, name, |out| {
            element(out, "src", |out| push_address_ntop(out, tuple.src));
            element(out, "dst", |out| push_address_ntop(out, tuple.dst));
        });
    }
    text(out, "</layer3>");
    open_layer4(out, tuple.protocol);
    for (name, tuple) in tuples {
        element(out, name, |out| write_l4(out, tuple));
    }
    text(out, "</layer4><meta>");
    if let Some(helper) = &expectation.helper {
        element(out, "helper-name", |out| text(out, helper));
    }
    number(out, "timeout", expectation.timeout);
    number(out, "class", expectation.class);
    number(out, "zone", expectation.zone.filter(|zone| *zone != 0));
    text(out, "</meta></flow>");
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

fn element(out: &mut Vec<u8>, name: &str, content: impl FnOnce(&mut Vec<u8>)) {
    let _ = write!(out, "<{name}>");
    content(out);
    let _ = write!(out, "</{name}>");
}

fn number(out: &mut Vec<u8>, name: &str, value: Option<impl std::fmt::Display>) {
    if let Some(value) = value {
        let _ = write!(out, "<{name}>{value}</{name}>");
    }
}
