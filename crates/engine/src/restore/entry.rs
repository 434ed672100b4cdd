//! What to ask of the kernel so that an entry comes out as it was.

use ctnetlink::{Entry, L4, NatRange, NewEntry, ProtoInfo, Protocol, Status, TcpInfo, TcpState};

/// Seconds for an entry that was saved without a timeout, because a flow table forwarded its
/// packets: what the kernel gives it by default when it takes such a connection back.
const TIMEOUT: u32 = 120;
const TCP_TIMEOUT: u32 = 432_000;

/// The entry to be created, so that the kernel's own is like the saved one but for id, counters,
/// begin and use.
///
/// - Translation: packets are translated only where the kernel has set it up itself, which it does
///   not for a reply tuple that is merely not the mirror image. So where the status says that
///   source or destination are translated, the kernel is asked to, to the very address and port.
///   Where it says that translation was set up and came to nothing, the kernel is asked to
///   translate the source to itself.
/// - The timeout is the saved one: an entry lives as long from now on as it would have lived when
///   it was saved, and a second at least.
/// - Of an entry that a flow table forwarded, only the kernel knows the state: TCP is taken for
///   established.
pub fn to_create(entry: &Entry) -> NewEntry {
    let mut new = NewEntry::from(entry);
    let is_tcp = entry.orig.protocol == Protocol::TCP;
    new.timeout = entry
        .timeout
        .unwrap_or(if is_tcp { TCP_TIMEOUT } else { TIMEOUT })
        .max(1);
    if is_tcp && new.protoinfo.is_none() {
        new.protoinfo = Some(ProtoInfo::Tcp(TcpInfo {
            state: Some(TcpState::ESTABLISHED),
            ..TcpInfo::default()
        }));
    }
    translate(&mut new);
    new
}

fn translate(new: &mut NewEntry) {
    let status = new.status;
    let (is_src, is_dst) = (
        status.contains(Status::SRC_NAT),
        status.contains(Status::DST_NAT),
    );
    let is_set_up = status.intersects(Status::SRC_NAT_DONE | Status::DST_NAT_DONE);
    if !is_src && !is_dst && !is_set_up {
        return;
    }
    let reply = new.reply;
    let (src, dst) = numbers(reply.l4);
    let exactly = |address, number: Option<u16>| NatRange {
        addresses: (address, address),
        ports: number.map(|number| (number, number)),
    };
    // The kernel begins with what is not translated and rewrites the reply itself; a reply that is
    // right already is to it no translation.
    let mirror = new.orig.mirror();
    if is_dst {
        // The identifier of ICMP is no part of the destination.
        let number = src.filter(|_| !matches!(reply.l4, L4::Icmp { .. }));
        new.nat_dst = Some(exactly(reply.src, number));
        new.reply.src = mirror.src;
    }
    if is_src || !is_dst {
        new.nat_src = Some(exactly(reply.dst, dst));
    }
    if is_src {
        new.reply.dst = mirror.dst;
    }
    match (&mut new.reply.l4, mirror.l4) {
        (
            L4::Ports { src, dst },
            L4::Ports {
                src: from_src,
                dst: from_dst,
            },
        )
        | (
            L4::Gre {
                src_key: src,
                dst_key: dst,
            },
            L4::Gre {
                src_key: from_src,
                dst_key: from_dst,
            },
        ) => {
            *src = if is_dst { from_src } else { *src };
            *dst = if is_src { from_dst } else { *dst };
        }
        (L4::Icmp { id, .. }, L4::Icmp { id: from, .. }) => {
            *id = if is_src { from } else { *id };
        }
        _ => {}
    }
}

/// What translation can change beside the addresses: ports, keys, the identifier of ICMP.
const fn numbers(l4: L4) -> (Option<u16>, Option<u16>) {
    match l4 {
        L4::None => (None, None),
        L4::Ports { src, dst }
        | L4::Gre {
            src_key: src,
            dst_key: dst,
        } => (Some(src), Some(dst)),
        L4::Icmp { id, .. } => (Some(id), Some(id)),
    }
}
