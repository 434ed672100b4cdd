//! Reads a line of options.

use std::net::IpAddr;

use ctnetlink::{
    DccpInfo, DccpState, Entry, Family, L4, Labels, ProtoInfo, Protocol, SctpInfo, SctpState,
    Status, TcpInfo, TcpState, Tuple, Zone, ZoneDirection,
};

use super::super::words::{self, Given, Known, Takes};
use super::values::{
    NatTo, based, parse_address, parse_labels, parse_nat, parse_protocol, parse_status, shown,
};
use super::{Command, Verb, vtag};

/// Reads one line; `None` where it is empty or a remark. The error says what is wrong, without the
/// line's number.
pub fn parse(line: &str) -> Result<Option<Command>, String> {
    let line = line.trim_start_matches([' ', '\t']);
    if line.trim_end().is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (given, others) = words::options(words::split(line)?, KNOWN)?;
    let (mut asked, mut verb, mut mentioned) = (Asked::default(), None, Vec::new());
    for option in &given {
        match option.what {
            What::Verb(one) if verb.is_some_and(|verb| verb != one) => {
                return Err(format!("{} is a second command", option.written));
            }
            What::Verb(one) => verb = Some(one),
            What::Other => {
                return Err(format!("{} does not belong into a file", option.written));
            }
            what => {
                asked.take(option)?;
                mentioned.push((what, option.written.as_str()));
            }
        }
    }
    match others.as_slice() {
        [] => {}
        [table] if table == "conntrack" => {}
        [table] if table == "expect" => {
            return Err("expectations cannot be read from a file".to_owned());
        }
        [word, ..] => return Err(format!("{} is no option of conntrack", shown(word))),
    }
    let verb = verb.ok_or("the command is missing: -A, -I")?;
    let entry = match verb {
        Verb::Add | Verb::Insert => asked.entry(&mentioned)?,
        // Those select entries, which a tuple that is not whole can do; only the verb counts here.
        Verb::Update | Verb::Delete | Verb::Flush => {
            let nothing = Asked::nowhere();
            Entry::new(nothing, nothing)
        }
    };
    Ok(Some(Command { verb, entry }))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Verb(Verb),
    /// Options of conntrack that say nothing of an entry.
    Other,
    Deprecated,
    Src,
    Dst,
    ReplySrc,
    ReplyDst,
    Protocol,
    Family,
    Timeout,
    Status,
    Mark,
    Secmark,
    Zone(ZoneDirection),
    Id,
    Labels,
    SrcNat,
    DstNat,
    State,
    Number(Number),
}

/// Options of one protocol or a few.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    Sport,
    Dport,
    ReplySport,
    ReplyDport,
    SrcKey,
    DstKey,
    ReplySrcKey,
    ReplyDstKey,
    IcmpType,
    IcmpCode,
    IcmpId,
    Icmpv6Type,
    Icmpv6Code,
    Icmpv6Id,
    OrigVtag,
    ReplyVtag,
    Role,
}

macro_rules! known {
    ($($what:expr, $letter:expr, [$($name:literal),*], $takes:ident;)+) => {
        &[$(Known { what: $what, letter: $letter, names: &[$($name),*], takes: Takes::$takes }),+]
    };
}

const KNOWN: &[Known<What>] = known! {
    What::Verb(Verb::Add), Some('A'), ["add"], Nothing;
    What::Verb(Verb::Insert), Some('I'), ["create"], Nothing;
    What::Verb(Verb::Update), Some('U'), ["update"], Nothing;
    What::Verb(Verb::Delete), Some('D'), ["delete"], Nothing;
    What::Verb(Verb::Flush), Some('F'), ["flush"], Nothing;
    What::Other, Some('L'), ["dump"], Nothing;
    What::Other, Some('G'), ["get"], Nothing;
    What::Other, Some('E'), ["event"], Nothing;
    What::Other, Some('C'), ["count"], Nothing;
    What::Other, Some('S'), ["stats"], Nothing;
    What::Other, Some('V'), ["version"], Nothing;
    What::Other, Some('h'), ["help"], Nothing;
    What::Other, Some('R'), ["load-file"], Value;
    What::Other, Some('z'), ["zero"], Nothing;
    What::Other, Some('o'), ["output"], Value;
    What::Other, Some('e'), ["event-mask"], Value;
    What::Other, Some('b'), ["buffer-size"], Value;
    What::Other, Some('j'), ["any-nat"], Perhaps;
    What::Other, None, ["tuple-src", "tuple-dst", "mask-src", "mask-dst"], Value;
    What::Other, None, ["mask-port-src", "mask-port-dst"], Value;
    What::Other, None, ["tuple-port-src", "tuple-port-dst"], Value;
    What::Other, None, ["label-del"], Perhaps;
    What::Deprecated, Some('a'), ["nat-range"], Value;
    What::Src, Some('s'), ["src", "orig-src"], Value;
    What::Dst, Some('d'), ["dst", "orig-dst"], Value;
    What::ReplySrc, Some('r'), ["reply-src"], Value;
    What::ReplyDst, Some('q'), ["reply-dst"], Value;
    What::Protocol, Some('p'), ["protonum", "proto"], Value;
    What::Family, Some('f'), ["family"], Value;
    What::Timeout, Some('t'), ["timeout"], Value;
    What::Status, Some('u'), ["status"], Value;
    What::Mark, Some('m'), ["mark"], Value;
    What::Secmark, Some('c'), ["secmark"], Value;
    What::Zone(ZoneDirection::Both), Some('w'), ["zone"], Value;
    What::Zone(ZoneDirection::Original), None, ["orig-zone"], Value;
    What::Zone(ZoneDirection::Reply), None, ["reply-zone"], Value;
    What::Id, Some('i'), ["id"], Value;
    What::Labels, Some('l'), ["label", "label-add"], Value;
    What::SrcNat, Some('n'), ["src-nat"], Perhaps;
    What::DstNat, Some('g'), ["dst-nat"], Perhaps;
    What::State, None, ["state"], Value;
    What::Number(Number::Sport), None, ["sport", "orig-port-src"], Value;
    What::Number(Number::Dport), None, ["dport", "orig-port-dst"], Value;
    What::Number(Number::ReplySport), None, ["reply-port-src"], Value;
    What::Number(Number::ReplyDport), None, ["reply-port-dst"], Value;
    What::Number(Number::SrcKey), None, ["srckey", "orig-key-src"], Value;
    What::Number(Number::DstKey), None, ["dstkey", "orig-key-dst"], Value;
    What::Number(Number::ReplySrcKey), None, ["reply-key-src"], Value;
    What::Number(Number::ReplyDstKey), None, ["reply-key-dst"], Value;
    What::Number(Number::IcmpType), None, ["icmp-type"], Value;
    What::Number(Number::IcmpCode), None, ["icmp-code"], Value;
    What::Number(Number::IcmpId), None, ["icmp-id"], Value;
    What::Number(Number::Icmpv6Type), None, ["icmpv6-type"], Value;
    What::Number(Number::Icmpv6Code), None, ["icmpv6-code"], Value;
    What::Number(Number::Icmpv6Id), None, ["icmpv6-id"], Value;
    What::Number(Number::OrigVtag), None, ["orig-vtag"], Value;
    What::Number(Number::ReplyVtag), None, ["reply-vtag"], Value;
    What::Number(Number::Role), None, ["role"], Value;
};

/// What the options of a line said.
#[derive(Default)]
struct Asked {
    src: Option<IpAddr>,
    dst: Option<IpAddr>,
    reply_src: Option<IpAddr>,
    reply_dst: Option<IpAddr>,
    protocol: Option<Protocol>,
    family: Option<Family>,
    timeout: Option<u32>,
    status: Option<Status>,
    mark: Option<u32>,
    secmark: Option<u32>,
    zone: Zone,
    id: Option<u32>,
    labels: Option<Labels>,
    src_nat: Option<NatTo>,
    dst_nat: Option<NatTo>,
    state: Option<String>,
    numbers: Vec<(Number, u32)>,
}

impl Asked {
    /// The tuple of no connection.
    const fn nowhere() -> Tuple {
        let any = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
        Tuple {
            src: any,
            dst: any,
            protocol: Protocol(0),
            l4: L4::None,
        }
    }

    fn take(&mut self, option: &Given<What>) -> Result<(), String> {
        let value = option.value.as_deref().unwrap_or_default();
        let wrong = |expected: &str| {
            let written = &option.written;
            format!("{written}: {} is not {expected}", shown(value))
        };
        let address = || parse_address(value).ok_or_else(|| wrong("an address"));
        let number = || based(value).ok_or_else(|| wrong("a number"));
        match option.what {
            What::Src => self.src = Some(address()?),
            What::Dst => self.dst = Some(address()?),
            What::ReplySrc => self.reply_src = Some(address()?),
            What::ReplyDst => self.reply_dst = Some(address()?),
            What::Protocol => {
                let protocol = parse_protocol(value).ok_or_else(|| wrong("a protocol"))?;
                self.protocol = Some(protocol);
            }
            What::Family => {
                self.family = Some(match value {
                    "ipv4" => Family::Ipv4,
                    "ipv6" => Family::Ipv6,
                    _ => return Err(wrong("ipv4 or ipv6")),
                });
            }
            What::Timeout => {
                self.timeout = Some(value.parse().map_err(|_| wrong("a number of seconds"))?);
            }
            What::Status => self.status = Some(parse_status(value).map_err(|name| wrong(&name))?),
            What::Mark => {
                let value = value.split_once('/').map_or(value, |(mark, _)| mark);
                self.mark = Some(based(value).ok_or_else(|| wrong("a mark"))?);
            }
            What::Secmark => self.secmark = Some(number()?),
            What::Id => self.id = Some(number()?),
            What::Zone(direction) => {
                let id = number()?;
                let id = u16::try_from(id).map_err(|_| wrong("a zone, 0 to 65535"))?;
                self.zone = Zone { id, direction };
            }
            What::Labels => {
                let labels = parse_labels(value)?;
                let bits = self.labels.unwrap_or_default().bits() | labels.bits();
                self.labels = Some(Labels::from_bits(bits));
            }
            What::SrcNat => {
                self.src_nat = Some(parse_nat(value).ok_or_else(|| wrong("ADDRESS[:PORT]"))?);
            }
            What::DstNat => {
                self.dst_nat = Some(parse_nat(value).ok_or_else(|| wrong("ADDRESS[:PORT]"))?);
            }
            What::State => self.state = Some(value.to_owned()),
            What::Number(which) => {
                let number = which.read(value).ok_or_else(|| wrong(which.kind()))?;
                self.numbers.push((which, number));
            }
            What::Verb(_) | What::Other | What::Deprecated => {}
        }
        Ok(())
    }

    fn number(&self, which: Number) -> Option<u32> {
        let last = self
            .numbers
            .iter()
            .rev()
            .find(|(number, _)| *number == which);
        last.map(|(_, value)| *value)
    }

    fn entry(&self, mentioned: &[(What, &str)]) -> Result<Entry, String> {
        let protocol = self.protocol.ok_or("the protocol is missing: -p")?;
        for (what, written) in mentioned {
            if !goes_with(*what, protocol) {
                return Err(format!("{written} does not go with {protocol}"));
            }
        }
        let timeout = self.timeout.ok_or("the timeout is missing: -t")?;
        let (orig, reply) = self.tuples(protocol)?;
        let mut entry = Entry::new(orig, reply);
        entry.timeout = Some(timeout);
        entry.zone = self.zone;
        entry.id = self.id;
        entry.mark = self.mark;
        entry.secmark = self.secmark;
        entry.labels = self.labels;
        entry.protoinfo = self.protoinfo(protocol)?;
        entry.status = Some(self.status.unwrap_or_default() | self.nat(&orig, &reply));
        Ok(entry)
    }

    fn tuples(&self, protocol: Protocol) -> Result<(Tuple, Tuple), String> {
        let of_orig = self.src.zip(self.dst);
        let of_reply = self.reply_src.zip(self.reply_dst);
        let tuple = |src, dst, l4| Tuple {
            src,
            dst,
            protocol,
            l4,
        };
        let (orig, reply) = match (of_orig, of_reply) {
            (Some((src, dst)), _) => {
                let orig = tuple(src, dst, self.l4(protocol, false)?);
                let mut reply = orig.mirror();
                reply.src = self.reply_src.unwrap_or(reply.src);
                reply.dst = self.reply_dst.unwrap_or(reply.dst);
                (orig, reply)
            }
            (None, Some((src, dst))) => {
                let reply = tuple(src, dst, self.l4(protocol, true)?);
                (reply.mirror(), reply)
            }
            (None, None) => {
                return Err("source and destination are missing: -s and -d".to_owned());
            }
        };
        let reply = self.translated(reply);
        let addresses = [orig.src, orig.dst, reply.src, reply.dst];
        let family = self.family.unwrap_or(orig.family());
        if addresses
            .iter()
            .any(|address| Family::of(*address) != family)
        {
            return Err("its addresses are of two families".to_owned());
        }
        let other = match family {
            Family::Ipv4 => Protocol::ICMPV6,
            Family::Ipv6 => Protocol::ICMP,
        };
        if protocol == other {
            return Err(format!("{protocol} does not go with {family}"));
        }
        Ok((orig, reply))
    }

    /// The reply with the ports that were given for it, and with what the translation makes of it.
    fn translated(&self, mut reply: Tuple) -> Tuple {
        let port = |which| self.number(which).map(|number| number as u16);
        let (mut new_src, mut new_dst) = (port(Number::ReplySport), port(Number::ReplyDport));
        if let Some((address, port)) = self.dst_nat {
            reply.src = address;
            new_src = port.or(new_src);
        }
        if let Some((address, port)) = self.src_nat {
            reply.dst = address;
            new_dst = port.or(new_dst);
        }
        match &mut reply.l4 {
            L4::Ports { src, dst } => {
                *src = new_src.unwrap_or(*src);
                *dst = new_dst.unwrap_or(*dst);
            }
            L4::Gre { src_key, dst_key } => {
                *src_key = port(Number::ReplySrcKey).unwrap_or(*src_key);
                *dst_key = port(Number::ReplyDstKey).unwrap_or(*dst_key);
            }
            L4::None | L4::Icmp { .. } => {}
        }
        reply
    }

    fn l4(&self, protocol: Protocol, of_reply: bool) -> Result<L4, String> {
        let need = |which: Number| {
            let missing = || format!("{protocol} needs {}", which.name());
            self.number(which).ok_or_else(missing)
        };
        let pair = |orig: [Number; 2], reply: [Number; 2]| {
            let [src, dst] = if of_reply { reply } else { orig };
            Ok::<_, String>((need(src)? as u16, need(dst)? as u16))
        };
        Ok(match protocol {
            Protocol::ICMP => L4::Icmp {
                kind: need(Number::IcmpType)? as u8,
                code: need(Number::IcmpCode)? as u8,
                id: need(Number::IcmpId)? as u16,
            },
            Protocol::ICMPV6 => L4::Icmp {
                kind: need(Number::Icmpv6Type)? as u8,
                code: need(Number::Icmpv6Code)? as u8,
                id: need(Number::Icmpv6Id)? as u16,
            },
            Protocol::GRE => {
                let orig = [Number::SrcKey, Number::DstKey];
                let (src_key, dst_key) = pair(orig, [Number::ReplySrcKey, Number::ReplyDstKey])?;
                L4::Gre { src_key, dst_key }
            }
            // Where the kernel does not track DCCP, conntrack prints it without ports.
            Protocol::DCCP if self.numbers.is_empty() => L4::Ports { src: 0, dst: 0 },
            protocol if protocol.has_ports() => {
                let orig = [Number::Sport, Number::Dport];
                let (src, dst) = pair(orig, [Number::ReplySport, Number::ReplyDport])?;
                L4::Ports { src, dst }
            }
            _ => L4::None,
        })
    }

    /// Status bits of what is translated.
    fn nat(&self, orig: &Tuple, reply: &Tuple) -> Status {
        let mirror = orig.mirror();
        let port_alone = |mine: (IpAddr, Option<u16>), mirrored: (IpAddr, Option<u16>)| {
            mine.0 == mirrored.0 && mine.1 != mirrored.1
        };
        let src = self.src_nat.is_some()
            || port_alone(
                (reply.dst, reply.dst_port()),
                (mirror.dst, mirror.dst_port()),
            );
        let dst = self.dst_nat.is_some()
            || port_alone(
                (reply.src, reply.src_port()),
                (mirror.src, mirror.src_port()),
            );
        let mut status = Status::empty();
        status.set(Status::SRC_NAT, src);
        status.set(Status::DST_NAT, dst);
        status.set(Status::SRC_NAT_DONE | Status::DST_NAT_DONE, src || dst);
        status
    }

    fn protoinfo(&self, protocol: Protocol) -> Result<Option<ProtoInfo>, String> {
        let name = self.state.as_deref();
        let unknown = |name: &str| format!("{protocol} has no state {}", shown(name));
        let needed = || name.ok_or_else(|| format!("{protocol} needs --state"));
        Ok(match protocol {
            Protocol::TCP => {
                let name = needed()?;
                // What was LISTEN in old kernels is SYN_SENT2 in new ones.
                let state = match TcpState::from_name(name) {
                    None if name.eq_ignore_ascii_case("LISTEN") => Some(TcpState::SYN_SENT2),
                    state => state,
                };
                Some(ProtoInfo::Tcp(TcpInfo {
                    state: Some(state.ok_or_else(|| unknown(name))?),
                    ..TcpInfo::default()
                }))
            }
            Protocol::SCTP => {
                let name = needed()?;
                let state = SctpState::from_name(name).ok_or_else(|| unknown(name))?;
                let tag = |which| Some(self.number(which).map_or(0, vtag));
                Some(ProtoInfo::Sctp(SctpInfo {
                    state: Some(state),
                    vtag_orig: tag(Number::OrigVtag),
                    vtag_reply: tag(Number::ReplyVtag),
                }))
            }
            Protocol::DCCP => match name {
                Some(name) => Some(ProtoInfo::Dccp(DccpInfo {
                    state: Some(DccpState::from_name(name).ok_or_else(|| unknown(name))?),
                    role: self.number(Number::Role).map(|role| role as u8),
                    handshake_seq: None,
                })),
                None => None,
            },
            _ => None,
        })
    }
}

impl Number {
    fn read(self, value: &str) -> Option<u32> {
        let largest = match self {
            Self::Role => {
                return match value {
                    "client" => Some(0),
                    "server" => Some(1),
                    _ => None,
                };
            }
            Self::IcmpType | Self::IcmpCode | Self::Icmpv6Type | Self::Icmpv6Code => 255,
            Self::OrigVtag | Self::ReplyVtag => u32::MAX,
            _ => 65535,
        };
        let number = match value.starts_with("0x") {
            true => based(value)?,
            false => value.parse().ok().filter(|_| !value.starts_with('+'))?,
        };
        (number <= largest).then_some(number)
    }

    const fn kind(self) -> &'static str {
        match self {
            Self::Role => "client or server",
            Self::IcmpType | Self::IcmpCode | Self::Icmpv6Type | Self::Icmpv6Code => {
                "a number from 0 to 255"
            }
            Self::OrigVtag | Self::ReplyVtag => "a number",
            _ => "a number from 0 to 65535",
        }
    }

    /// The option's first name.
    fn name(self) -> String {
        let option = KNOWN.iter().find(|known| known.what == What::Number(self));
        let name = option.and_then(|known| known.names.first());
        format!("--{}", name.unwrap_or(&""))
    }
}

/// Whether an option says something of a protocol's entries.
fn goes_with(what: What, protocol: Protocol) -> bool {
    let What::Number(number) = what else {
        let has_state = [Protocol::TCP, Protocol::SCTP, Protocol::DCCP];
        return what != What::State || has_state.contains(&protocol);
    };
    match number {
        Number::Sport | Number::Dport | Number::ReplySport | Number::ReplyDport => {
            protocol.has_ports()
        }
        Number::SrcKey | Number::DstKey | Number::ReplySrcKey | Number::ReplyDstKey => {
            protocol == Protocol::GRE
        }
        Number::IcmpType | Number::IcmpCode | Number::IcmpId => protocol == Protocol::ICMP,
        Number::Icmpv6Type | Number::Icmpv6Code | Number::Icmpv6Id => protocol == Protocol::ICMPV6,
        Number::OrigVtag | Number::ReplyVtag => protocol == Protocol::SCTP,
        Number::Role => protocol == Protocol::DCCP,
    }
}
