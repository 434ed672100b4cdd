//! Entries, events' entries, expectations, timeout policies and helpers as JSON. docs/output.md gives the shape.
//!
//! What the kernel did not say is left out, never written as zero.

use ctnetlink::{
    Counters, DccpInfo, Direction, Entry, Expectation, Family, L4, ProtoInfo, SctpInfo, SeqAdj,
    TcpFlags, TcpInfo, TimeoutPolicy, Tuple, UserHelper, ZoneDirection,
};

use super::scalar::{push_address, push_number};

/// Appends an entry as one JSON object.
pub fn write_entry(out: &mut Vec<u8>, entry: &Entry) {
    let mut object = Object::open(out);
    object.text("family", entry.family().name());
    object.protocol(&entry.orig);
    if let Some(state) = entry.state_name() {
        object.text("state", state);
    }
    object.key("orig");
    write_direction(object.out, &entry.orig, entry.counters_orig);
    object.key("reply");
    write_direction(object.out, &entry.reply, entry.counters_reply);
    object.flag("nat", entry.is_nat());
    object.number("zone", entry.zone.id);
    match entry.zone.direction {
        ZoneDirection::Both => {}
        ZoneDirection::Original => object.text("zone_direction", "orig"),
        ZoneDirection::Reply => object.text("zone_direction", "reply"),
    }
    if let Some(status) = entry.status {
        object.key("status");
        write_list(object.out, status.iter_names().map(|(name, _)| name));
        object.number("status_bits", status.bits());
    }
    let numbers = [
        ("timeout", entry.timeout),
        ("mark", entry.mark),
        ("secmark", entry.secmark),
        ("use", entry.use_count),
        ("id", entry.id),
    ];
    for (name, value) in numbers {
        object.maybe(name, value);
    }
    if let Some(times) = entry.timestamps {
        object.maybe("start_ns", times.start);
        object.maybe("stop_ns", times.stop);
    }
    object.maybe("event_ns", entry.event_time);
    if let Some(protoinfo) = &entry.protoinfo {
        object.protoinfo(protoinfo);
    }
    if let Some(helper) = &entry.helper {
        object.escaped("helper", helper);
    }
    if let Some(labels) = entry.labels {
        object.key("labels");
        write_numbers(object.out, labels.iter());
    }
    if let Some(extra) = &entry.extra {
        if let Some(secctx) = &extra.secctx {
            object.escaped("secctx", secctx);
        }
        object.seqadj("seqadj_orig", extra.seqadj_orig);
        object.seqadj("seqadj_reply", extra.seqadj_reply);
        if let Some(synproxy) = extra.synproxy {
            object.key("synproxy");
            let mut inner = Object::open(object.out);
            inner.number("isn", synproxy.isn);
            inner.number("its", synproxy.its);
            inner.number("tsoff", synproxy.tsoff);
            inner.close();
        }
        if let Some(master) = &extra.master {
            object.key("master");
            write_tuple(object.out, master);
        }
    }
    object.close();
}

/// Appends an expectation as one JSON object.
pub fn write_expectation(out: &mut Vec<u8>, expectation: &Expectation) {
    let mut object = Object::open(out);
    object.text("family", expectation.family().name());
    object.protocol(&expectation.tuple);
    for (name, tuple) in [
        ("tuple", &expectation.tuple),
        ("mask", &expectation.mask),
        ("master", &expectation.master),
    ] {
        object.key(name);
        write_tuple(object.out, tuple);
    }
    object.maybe("timeout", expectation.timeout);
    object.maybe("id", expectation.id);
    object.maybe("zone", expectation.zone);
    if let Some(flags) = expectation.flags {
        object.key("flags");
        write_list(object.out, flags.iter_names().map(|(name, _)| name));
    }
    object.maybe("class", expectation.class);
    if let Some(helper) = &expectation.helper {
        object.escaped("helper", helper);
    }
    if let Some(function) = &expectation.function {
        object.escaped("function", function);
    }
    if let Some((direction, tuple)) = &expectation.nat {
        object.text(
            "nat_direction",
            match direction {
                Direction::Original => "orig",
                Direction::Reply => "reply",
            },
        );
        object.key("nat_tuple");
        write_tuple(object.out, tuple);
    }
    object.close();
}

/// Appends a timeout policy as one JSON object; one without a name is a namespace's own times.
pub fn write_timeout_policy(out: &mut Vec<u8>, policy: &TimeoutPolicy) {
    let mut object = Object::open(out);
    // Only a policy is counted, and only a policy has a name.
    if policy.users.is_some() || !policy.name.is_empty() {
        object.escaped("name", &policy.name.to_string_lossy());
    }
    object.family(policy.family);
    if let Some(name) = policy.protocol_name() {
        object.text("protocol", name);
    }
    object.number("protocol_number", policy.protocol.0);
    let mut times = Object::open(object.key("timeouts"));
    for (state, seconds) in policy.named() {
        times.number(state, seconds);
    }
    times.close();
    object.maybe("users", policy.users);
    object.close();
}

/// Appends a helper in user space as one JSON object.
pub fn write_user_helper(out: &mut Vec<u8>, helper: &UserHelper) {
    let mut object = Object::open(out);
    object.escaped("name", &helper.name.to_string_lossy());
    object.family(helper.family);
    if let Some(protocol) = helper.protocol {
        if let Some(name) = protocol.name() {
            object.text("protocol", name);
        }
        object.number("protocol_number", protocol.0);
    }
    object.maybe("queue", helper.queue);
    if let Some(status) = helper.status {
        object.flag("enabled", status != 0);
    }
    object.close();
}

/// A JSON object that is being appended to a buffer.
pub struct Object<'a> {
    out: &'a mut Vec<u8>,
    is_empty: bool,
}

impl<'a> Object<'a> {
    /// Opens it.
    pub fn open(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self {
            out,
            is_empty: true,
        }
    }

    /// Closes it.
    pub fn close(self) {
        self.out.push(b'}');
    }

    /// A member whose value is appended next by the caller, to what this gives.
    pub fn key(&mut self, name: &str) -> &mut Vec<u8> {
        if !self.is_empty {
            self.out.push(b',');
        }
        self.is_empty = false;
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    /// A number.
    pub fn number(&mut self, name: &str, value: impl itoa::Integer) {
        push_number(self.key(name), value);
    }

    /// Text of our own that needs no escaping.
    pub fn text(&mut self, name: &str, value: &str) {
        let out = self.key(name);
        out.push(b'"');
        out.extend_from_slice(value.as_bytes());
        out.push(b'"');
    }

    /// Text from elsewhere.
    pub fn escaped(&mut self, name: &str, value: &str) {
        // A string always serialises, and writing to a vector does not fail.
        let _ = serde_json::to_writer(self.key(name), value);
    }

    /// A number, where there is one.
    pub fn maybe(&mut self, name: &str, value: Option<impl itoa::Integer>) {
        if let Some(value) = value {
            self.number(name, value);
        }
    }

    /// True or false.
    pub fn flag(&mut self, name: &str, value: bool) {
        self.key(name)
            .extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// A family by the kernel's number, and by its name where it has one.
    fn family(&mut self, number: u16) {
        match number {
            2 => self.text("family", Family::Ipv4.name()),
            10 => self.text("family", Family::Ipv6.name()),
            _ => {}
        }
        self.number("family_number", number);
    }

    fn protocol(&mut self, tuple: &Tuple) {
        if let Some(name) = tuple.protocol.name() {
            self.text("protocol", name);
        }
        self.number("protocol_number", tuple.protocol.0);
    }

    fn seqadj(&mut self, name: &str, seqadj: Option<SeqAdj>) {
        if let Some(seqadj) = seqadj {
            let mut inner = Object::open(self.key(name));
            inner.number("correction_pos", seqadj.correction_pos);
            inner.number("offset_before", seqadj.offset_before);
            inner.number("offset_after", seqadj.offset_after);
            inner.close();
        }
    }

    fn tcp_flags(&mut self, name: &str, flags: Option<TcpFlags>) {
        self.maybe(name, flags.map(|flags| flags.flags));
    }

    fn protoinfo(&mut self, protoinfo: &ProtoInfo) {
        match protoinfo {
            ProtoInfo::Tcp(TcpInfo {
                state: _,
                wscale_orig,
                wscale_reply,
                flags_orig,
                flags_reply,
            }) => {
                let mut tcp = Object::open(self.key("tcp"));
                tcp.maybe("wscale_orig", *wscale_orig);
                tcp.maybe("wscale_reply", *wscale_reply);
                tcp.tcp_flags("flags_orig", *flags_orig);
                tcp.tcp_flags("flags_reply", *flags_reply);
                tcp.close();
            }
            ProtoInfo::Sctp(SctpInfo {
                state: _,
                vtag_orig,
                vtag_reply,
            }) => {
                let mut sctp = Object::open(self.key("sctp"));
                sctp.maybe("vtag_orig", *vtag_orig);
                sctp.maybe("vtag_reply", *vtag_reply);
                sctp.close();
            }
            ProtoInfo::Dccp(DccpInfo {
                state: _,
                role,
                handshake_seq,
            }) => {
                let mut dccp = Object::open(self.key("dccp"));
                dccp.maybe("role", *role);
                dccp.maybe("handshake_seq", *handshake_seq);
                dccp.close();
            }
        }
    }

    fn tuple(&mut self, tuple: &Tuple) {
        for (name, address) in [("src", tuple.src), ("dst", tuple.dst)] {
            let out = self.key(name);
            out.push(b'"');
            push_address(out, address);
            out.push(b'"');
        }
        match tuple.l4 {
            L4::None => {}
            L4::Ports { src, dst } => {
                self.number("sport", src);
                self.number("dport", dst);
            }
            L4::Gre { src_key, dst_key } => {
                self.number("srckey", src_key);
                self.number("dstkey", dst_key);
            }
            L4::Icmp { kind, code, id } => {
                self.number("type", kind);
                self.number("code", code);
                self.number("id", id);
            }
        }
    }
}

fn write_tuple(out: &mut Vec<u8>, tuple: &Tuple) {
    let mut object = Object::open(out);
    object.tuple(tuple);
    object.close();
}

fn write_direction(out: &mut Vec<u8>, tuple: &Tuple, counters: Option<Counters>) {
    let mut object = Object::open(out);
    object.tuple(tuple);
    if let Some(Counters { packets, bytes }) = counters {
        object.number("packets", packets);
        object.number("bytes", bytes);
    }
    object.close();
}

fn write_list(out: &mut Vec<u8>, names: impl Iterator<Item = &'static str>) {
    out.push(b'[');
    for (index, name) in names.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.push(b'"');
        out.extend_from_slice(name.as_bytes());
        out.push(b'"');
    }
    out.push(b']');
}

fn write_numbers(out: &mut Vec<u8>, numbers: impl Iterator<Item = u8>) {
    out.push(b'[');
    for (index, number) in numbers.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_number(out, number);
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use ctnetlink::Protocol;

    use super::*;

    #[test]
    fn a_helper_in_user_space_has_what_the_kernel_said_of_it() {
        let said = UserHelper {
            name: "f\u{1b}\"tp".into(),
            family: 2,
            protocol: Some(Protocol::TCP),
            queue: Some(0),
            status: Some(0),
        };
        let unsaid = UserHelper {
            family: 7,
            ..UserHelper::default()
        };
        for (helper, json) in [
            (
                said,
                r#"{"name":"f\u001b\"tp","family":"ipv4","family_number":2,"protocol":"tcp","protocol_number":6,"queue":0,"enabled":false}"#,
            ),
            (unsaid, r#"{"name":"","family_number":7}"#),
        ] {
            let mut out = Vec::new();
            write_user_helper(&mut out, &helper);
            assert_eq!(String::from_utf8_lossy(&out), json);
        }
    }
}
