//! `-I` and `-A`.

use std::net::IpAddr;

use ctnetlink::{
    Change, DccpInfo, DccpState, Entry, Error, Family, L4 as Fields, NatRange, NewEntry, ProtoInfo,
    Protocol, SctpInfo, SctpState, Status, TcpFlags, TcpInfo, TcpState, Tuple, Zone, ZoneDirection,
};

use super::Session;
use crate::exit::Fault;
use crate::l4::Pair;
use crate::options::Verb;
use crate::parse::Line;
use crate::template::{Addresses, NatTo, Template};

/// Makes one connection, or with `-A` changes the one that is there.
pub(super) fn create(session: &mut Session, line: &Line) -> Result<(), Fault> {
    let change = change(line)?;
    let mut outcome = Ok(());
    session
        .client()?
        .apply([change], |_, result| outcome = result)?;
    outcome.map_err(|error| fault(line.verb, &error))
}

/// What a line asks of the kernel.
pub(super) fn change(line: &Line) -> Result<Change, Fault> {
    let new = new_entry(&line.template).map_err(|fault| plain(line.verb, fault))?;
    let new = Box::new(new);
    Ok(if line.verb == Verb::Add {
        Change::Put(new)
    } else {
        Change::Create(new)
    })
}

/// What the kernel says to half a tuple.
pub(super) fn invalid() -> Fault {
    Fault::Failed(INVALID.to_owned())
}

const INVALID: &str = "Operation failed: invalid parameters";
const EXISTS: &str = "Operation failed: Such conntrack exists, try -U to update";

/// What a request came to. The original has no words of its own for `-A`.
pub(super) fn fault(verb: Verb, error: &Error) -> Fault {
    plain(verb, Fault::of(error))
}

fn plain(verb: Verb, fault: Fault) -> Fault {
    match fault {
        Fault::Failed(text) if verb == Verb::Add && text == INVALID => {
            Fault::Failed("Operation failed: Invalid argument".to_owned())
        }
        // One of its tuples is that of another connection.
        Fault::Failed(text) if verb == Verb::Add && text == EXISTS => {
            Fault::Failed("Operation failed: File exists".to_owned())
        }
        fault => fault,
    }
}

fn new_entry(template: &Template) -> Result<NewEntry, Fault> {
    let (orig, reply) = tuples(template)?;
    let protocol = orig.protocol;
    let is_v6 = orig.family() == Family::Ipv6;
    let is_bare = template.l4.is_some_and(|l4| l4.is_plain()) && orig.l4 != Fields::None;
    if is_bare || protocol == Protocol::ICMP && is_v6 || protocol == Protocol::ICMPV6 && !is_v6 {
        return Err(invalid());
    }
    let mut new = NewEntry::new(orig, template.timeout.unwrap_or(0));
    new.reply = reply;
    new.zone = zone(template)?;
    // CONFIRMED says that a status was given, even if no bit was.
    new.status = template
        .status
        .map_or(Status::empty(), |status| status | Status::CONFIRMED);
    if template
        .status
        .is_some_and(|status| status.contains(Status::EXPECTED))
    {
        return Err(Fault::Failed(
            "Operation failed: Device or resource busy".to_owned(),
        ));
    }
    new.mark = template.mark.map(|mark| mark.value);
    new.labels = template.labels_added;
    new.protoinfo = protoinfo(template, protocol);
    // The original sends ports to translate to for these two only.
    let has_ports = matches!(protocol, Protocol::TCP | Protocol::UDP);
    new.nat_src = range(template.source_nat, has_ports);
    new.nat_dst = range(template.destination_nat, has_ports);
    Ok(new)
}

/// Both tuples: one that is not said at all is the other's mirror image.
fn tuples(template: &Template) -> Result<(Tuple, Tuple), Fault> {
    if template.reply.is_none() {
        let orig = orig(template)?;
        return Ok((orig, orig.mirror()));
    }
    let is_whole = |addresses: Addresses| addresses.src.is_some() && addresses.dst.is_some();
    if !is_whole(template.orig) && is_whole(template.reply) {
        let values = &template.values;
        let ports = if values.reply == Pair::default() {
            Pair {
                src: values.orig.dst,
                dst: values.orig.src,
            }
        } else {
            values.reply
        };
        let reply = tuple(template, template.reply, ports)?;
        let orig = reply.mirror();
        // ICMP's fields are those of the original direction, wherever the addresses stand.
        if let Fields::Icmp { .. } = reply.l4 {
            let orig = Tuple {
                l4: reply.l4,
                ..orig
            };
            return Ok((orig, orig.mirror()));
        }
        return Ok((orig, reply));
    }
    let orig = orig(template)?;
    let pair = template.values.reply;
    let needs_ports = orig.protocol.has_ports() || orig.protocol == Protocol::GRE;
    if needs_ports && (pair.src.is_none() || pair.dst.is_none()) {
        return Err(invalid());
    }
    // Half of it is said: the rest is as without translation.
    let mirror = orig.mirror();
    let addresses = Addresses {
        src: template.reply.src.or(Some(mirror.src)),
        dst: template.reply.dst.or(Some(mirror.dst)),
    };
    let mut reply = tuple(template, addresses, pair)?;
    if let Fields::Icmp { .. } = orig.l4 {
        reply.l4 = mirror.l4;
    }
    Ok((orig, reply))
}

/// The tuple of the original direction. What is missing of a protocol's fields is zero.
pub(super) fn orig(template: &Template) -> Result<Tuple, Fault> {
    tuple(template, template.orig, template.values.orig)
}

fn tuple(template: &Template, addresses: Addresses, pair: Pair) -> Result<Tuple, Fault> {
    let (Some(src), Some(dst)) = (addresses.src, addresses.dst) else {
        return Err(invalid());
    };
    Ok(Tuple {
        src,
        dst,
        protocol: template.l4.map_or(Protocol(0), |l4| l4.protocol),
        l4: fields(template, pair),
    })
}

fn fields(template: &Template, pair: Pair) -> Fields {
    let (src, dst) = (pair.src.unwrap_or(0), pair.dst.unwrap_or(0));
    let values = &template.values;
    match template.l4.map(|l4| l4.protocol) {
        Some(Protocol::ICMP | Protocol::ICMPV6) => Fields::Icmp {
            kind: values.icmp_type.unwrap_or(0),
            code: values.icmp_code.unwrap_or(0),
            id: values.icmp_id.unwrap_or(0),
        },
        Some(Protocol::GRE) => Fields::Gre {
            src_key: src,
            dst_key: dst,
        },
        Some(protocol) if protocol.has_ports() => Fields::Ports { src, dst },
        _ => Fields::None,
    }
}

/// The zone; an entry has one only.
fn zone(template: &Template) -> Result<Zone, Fault> {
    let zones = [
        (template.zone, ZoneDirection::Both),
        (template.orig_zone, ZoneDirection::Original),
        (template.reply_zone, ZoneDirection::Reply),
    ];
    let mut given = zones
        .into_iter()
        .filter_map(|(id, direction)| id.map(|id| Zone { id, direction }))
        .filter(|zone| zone.id != 0);
    let zone = given.next().unwrap_or_default();
    match given.next() {
        None => Ok(zone),
        Some(_) => Err(invalid()),
    }
}

fn range(to: Option<Option<NatTo>>, has_ports: bool) -> Option<NatRange> {
    let (address, port) = to??;
    let address: IpAddr = address;
    Some(NatRange {
        addresses: (address, address),
        ports: port.filter(|_| has_ports).map(|port| (port, port)),
    })
}

/// The state of the protocol, as far as the options said it.
pub(super) fn protoinfo(template: &Template, protocol: Protocol) -> Option<ProtoInfo> {
    let values = &template.values;
    // The original forgets that tags are in network order.
    let tag = |tag: u32| u32::from_ne_bytes(tag.to_be_bytes());
    match protocol {
        Protocol::TCP => values
            .state
            .map(|state| ProtoInfo::Tcp(tcp(TcpState(state)))),
        Protocol::SCTP if values.state.is_some() || values.vtag != (None, None) => {
            Some(ProtoInfo::Sctp(SctpInfo {
                state: values.state.map(SctpState),
                vtag_orig: values.vtag.0.map(tag),
                vtag_reply: values.vtag.1.map(tag),
            }))
        }
        Protocol::DCCP => values.state.map(|state| {
            ProtoInfo::Dccp(DccpInfo {
                state: Some(DccpState(state)),
                role: values.role,
                handshake_seq: None,
            })
        }),
        _ => None,
    }
}

/// A state that the kernel did not see come about: its windows are not known, so that packets out of
/// them must pass.
fn tcp(state: TcpState) -> TcpInfo {
    const SACK_PERM: u8 = 2;
    const CLOSE_INIT: u8 = 4;
    const BE_LIBERAL: u8 = 8;
    let closing = if state >= TcpState::TIME_WAIT {
        CLOSE_INIT
    } else {
        0
    };
    let flags = SACK_PERM | BE_LIBERAL | closing;
    let flags = Some(TcpFlags { flags, mask: flags });
    TcpInfo {
        state: Some(state),
        flags_orig: flags,
        flags_reply: flags,
        ..TcpInfo::default()
    }
}

/// The state of the protocol as it is to be in an entry: what is not said stays.
pub(super) fn changed_protoinfo(template: &Template, entry: &Entry) -> Option<ProtoInfo> {
    let wanted = protoinfo(template, entry.orig.protocol)?;
    Some(match (wanted, entry.protoinfo) {
        (ProtoInfo::Sctp(wanted), Some(ProtoInfo::Sctp(found))) => ProtoInfo::Sctp(SctpInfo {
            state: wanted.state.or(found.state),
            vtag_orig: wanted.vtag_orig.or(found.vtag_orig),
            vtag_reply: wanted.vtag_reply.or(found.vtag_reply),
        }),
        (ProtoInfo::Dccp(wanted), Some(ProtoInfo::Dccp(found))) => ProtoInfo::Dccp(DccpInfo {
            role: wanted.role.or(found.role),
            ..wanted
        }),
        (wanted, _) => wanted,
    })
}
