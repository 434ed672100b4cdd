//! `-I` and `-A`.

use std::net::IpAddr;

use ctnetlink::{
    Change, DccpInfo, DccpState, Entry, Error, Family, L4 as Fields, Labels, NatRange, NewEntry,
    Operation, ProtoInfo, Protocol, SctpInfo, SctpState, Status, TcpFlags, TcpInfo, TcpState,
    Tuple, Zone, ZoneDirection,
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
        .apply([change], |_, result| outcome = result)
        .and(outcome)
        .map_err(|error| fault(line.verb, &error))
}

/// What a line asks of the kernel.
pub(super) fn change(line: &Line) -> Result<Change, Fault> {
    let new = new_entry(&line.template).map_err(|errno| refused(line.verb, errno))?;
    let new = Box::new(new);
    Ok(if line.verb == Verb::Add {
        Change::Put(new)
    } else {
        Change::Create(new)
    })
}

/// What a request came to.
pub(super) fn fault(verb: Verb, error: &Error) -> Fault {
    match error.errno() {
        Some(errno) => refused(verb, errno),
        None => Fault::of(error),
    }
}

fn refused(verb: Verb, errno: i32) -> Fault {
    match errno {
        // The original has no words of its own for these of `-A`.
        libc::EINVAL | libc::EEXIST if verb == Verb::Add => Fault::plain(errno),
        _ => Fault::refused(Some(Operation::Create), errno),
    }
}

/// What the kernel says to half a tuple.
pub(super) fn invalid() -> Fault {
    Fault::refused(Some(Operation::Create), libc::EINVAL)
}

/// What the kernel would say to a template.
type Errno = i32;

fn new_entry(template: &Template) -> Result<NewEntry, Errno> {
    let (orig, reply) = tuples(template)?;
    let protocol = orig.protocol;
    let is_v6 = orig.family() == Family::Ipv6;
    let is_bare = template.l4.is_some_and(|l4| l4.is_plain()) && orig.l4 != Fields::None;
    if is_bare || protocol == Protocol::ICMP && is_v6 || protocol == Protocol::ICMPV6 && !is_v6 {
        return Err(libc::EINVAL);
    }
    let mut new = NewEntry::new(orig, template.timeout.unwrap_or(0));
    new.reply = reply;
    new.zone = zone(template)?;
    new.status = status(template)?;
    new.mark = template.mark.map(|mark| mark.value);
    new.labels = labels(template)?;
    new.protoinfo = protoinfo(template, protocol);
    // The original sends ports to translate to for these two only.
    let has_ports = matches!(protocol, Protocol::TCP | Protocol::UDP);
    new.nat_src = range(template.source_nat, has_ports);
    new.nat_dst = range(template.destination_nat, has_ports);
    Ok(new)
}

/// The status. CONFIRMED says that one was given, even if no bit was.
fn status(template: &Template) -> Result<Status, Errno> {
    match template.status {
        Some(bits) if bits.set.contains(Status::EXPECTED) => Err(libc::EBUSY),
        Some(bits) => Ok(bits.set | Status::CONFIRMED),
        None => Ok(Status::empty()),
    }
}

/// The labels: nothing less than all that are asked for.
fn labels(template: &Template) -> Result<Option<Labels>, Errno> {
    match template.labels_added {
        Some(added) => added.whole().map(Some).ok_or(libc::ERANGE),
        None => Ok(None),
    }
}

/// Both tuples: what is not said of one is the other's mirror image.
fn tuples(template: &Template) -> Result<(Tuple, Tuple), Errno> {
    let (orig, reply) = (template.orig, template.reply);
    if !orig.is_none() && !reply.is_none() {
        return both(template);
    }
    let (of_orig, of_reply) = (template.values.orig, template.values.reply);
    if reply.is_none() {
        let orig = tuple(template, orig, of_orig)?;
        return Ok((orig, orig.mirror()));
    }
    let ports = if of_reply == Pair::default() {
        of_orig.mirror()
    } else {
        of_reply
    };
    let reply = tuple(template, reply, ports)?;
    let mut orig = reply.mirror();
    // ICMP's fields are those of the original direction, wherever the addresses stand.
    if let Fields::Icmp { .. } = reply.l4 {
        orig.l4 = reply.l4;
    }
    Ok((orig, orig.mirror()))
}

/// Both tuples where something is said of either: the other half of half a tuple is as without
/// translation.
fn both(template: &Template) -> Result<(Tuple, Tuple), Errno> {
    let values = &template.values;
    let protocol = template.l4.map(|l4| l4.protocol);
    let needs_ports = protocol.is_some_and(|l4| l4.has_ports() || l4 == Protocol::GRE);
    if needs_ports && (values.reply.src.is_none() || values.reply.dst.is_none()) {
        return Err(libc::EINVAL);
    }
    let orig_ports = values.orig.or(values.reply.mirror());
    let orig = tuple(
        template,
        template.orig.or(template.reply.mirror()),
        orig_ports,
    )?;
    let reply_addresses = template.reply.or(template.orig.mirror());
    let mut reply = tuple(template, reply_addresses, values.reply)?;
    if let Fields::Icmp { .. } = orig.l4 {
        reply.l4 = orig.mirror().l4;
    }
    Ok((orig, reply))
}

/// The tuple of the original direction. What is missing of a protocol's fields is zero.
pub(super) fn orig(template: &Template) -> Result<Tuple, Fault> {
    tuple(template, template.orig, template.values.orig).map_err(|_| invalid())
}

fn tuple(template: &Template, addresses: Addresses, pair: Pair) -> Result<Tuple, Errno> {
    let (Some(src), Some(dst)) = (addresses.src, addresses.dst) else {
        return Err(libc::EINVAL);
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
fn zone(template: &Template) -> Result<Zone, Errno> {
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
        Some(_) => Err(libc::EINVAL),
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
