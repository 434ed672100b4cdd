//! A table of everything: protocols, families, zones, translation, marks, labels, helpers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ctnetlink::{
    Change, Client, Error, ErrorKind, L4, Labels, NewEntry, ProtoInfo, Protocol, SctpInfo,
    SctpState, Status, TcpInfo, TcpState, Tuple, Zone, ZoneDirection,
};

/// What [`fill`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filled {
    /// Entries created.
    pub created: u32,
    /// How many of them would have had labels, which a namespace has only while one of its rules
    /// sets them.
    pub without_labels: u32,
}

/// Creates the first `count` of [`entry`]'s entries.
pub fn fill(client: &Client, count: u32) -> Result<Filled, Error> {
    fill_with(client, (0..count).map(entry))
}

/// Creates these entries.
pub fn fill_with(
    client: &Client,
    entries: impl IntoIterator<Item = NewEntry>,
) -> Result<Filled, Error> {
    let mut filled = Filled::default();
    let mut unlabelled = Vec::new();
    let mut failed = None;
    let changes = entries
        .into_iter()
        .map(|entry| Change::Create(Box::new(entry)));
    client.apply(changes, |change, result| match (change, result) {
        (_, Ok(())) => filled.created += 1,
        // ENOSPC: no room for labels.
        (Change::Create(new), Err(error))
            if new.labels.is_some() && error.kind() == ErrorKind::TableFull =>
        {
            let mut new = new.clone();
            new.labels = None;
            unlabelled.push(Change::Create(new));
        }
        (_, Err(error)) => failed = Some(error),
    })?;
    client.apply(unlabelled, |_, result| match result {
        Ok(()) => {
            filled.created += 1;
            filled.without_labels += 1;
        }
        Err(error) => failed = Some(error),
    })?;
    failed.map_or(Ok(filled), Err)
}

/// Entry number `index` of the table; the same on every machine, different from all others up
/// to 16 million.
pub fn entry(index: u32) -> NewEntry {
    let protocol = protocol(index);
    let is_v6 = index % 5 == 4 && protocol != Protocol::ICMP || protocol == Protocol::ICMPV6;
    let orig = Tuple {
        src: inside(index, is_v6),
        dst: outside(index, is_v6),
        protocol,
        l4: l4(index, protocol),
    };
    let mut entry = NewEntry::new(orig, 3600 + index.wrapping_mul(7919) % 86_400);
    if index % 2 == 0 {
        entry.reply = translated(index, entry.reply, is_v6);
    }
    entry.zone = match index % 16 {
        3 => Zone::new(5),
        7 => Zone {
            id: 6,
            direction: ZoneDirection::Original,
        },
        11 => Zone {
            id: 7,
            direction: ZoneDirection::Reply,
        },
        _ => Zone::new(0),
    };
    entry.status = match index % 4 {
        0 => Status::empty(),
        1 => Status::SEEN_REPLY,
        _ => Status::SEEN_REPLY | Status::ASSURED,
    };
    entry.mark = (index % 3 == 0).then_some(1 + index % 7 * 0x100);
    entry.labels =
        (index % 13 == 0).then(|| Labels::from_bits(1 << (index % 127) | 1 << (index % 61)));
    entry.protoinfo = protoinfo(index, protocol);
    if protocol == Protocol::TCP && index % 41 == 0 {
        entry.helper = "ftp".try_into().ok();
    }
    entry
}

const fn protocol(index: u32) -> Protocol {
    match index % 10 {
        0..=4 => Protocol::TCP,
        5..=7 => Protocol::UDP,
        8 if index % 20 == 8 => Protocol::ICMP,
        8 => Protocol::ICMPV6,
        _ => match index / 10 % 5 {
            0 => Protocol::SCTP,
            1 => Protocol::GRE,
            2 => Protocol::UDPLITE,
            // ESP, of which the kernel knows addresses only.
            3 => Protocol(50),
            _ => Protocol::UDP,
        },
    }
}

fn inside(index: u32, is_v6: bool) -> IpAddr {
    let [_, a, b, c] = index.to_be_bytes();
    if is_v6 {
        let [high, low] = [(index >> 16) as u16, index as u16];
        Ipv6Addr::new(0xfd00, 0, 0, 1, 0, 0, high, low).into()
    } else {
        Ipv4Addr::new(10, a, b, c).into()
    }
}

fn outside(index: u32, is_v6: bool) -> IpAddr {
    let host = index % 200 + 1;
    if is_v6 {
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, host as u16).into()
    } else {
        Ipv4Addr::new(192, 0, 2, host as u8).into()
    }
}

const fn l4(index: u32, protocol: Protocol) -> L4 {
    match protocol {
        Protocol::ICMP => L4::Icmp {
            kind: 8,
            code: 0,
            id: index as u16,
        },
        Protocol::ICMPV6 => L4::Icmp {
            kind: 128,
            code: 0,
            id: index as u16,
        },
        Protocol::GRE => L4::Gre {
            src_key: index as u16,
            dst_key: (index >> 3) as u16,
        },
        protocol if protocol.has_ports() => L4::Ports {
            src: 1024 + (index % 60_000) as u16,
            dst: match index % 6 {
                0 => 443,
                1 => 80,
                2 => 53,
                3 => 21,
                4 => 22,
                _ => 8000 + (index % 1000) as u16,
            },
        },
        _ => L4::None,
    }
}

/// The answer to a connection whose source is translated.
fn translated(index: u32, mut reply: Tuple, is_v6: bool) -> Tuple {
    // The inside's own number, in the range of addresses of the outside.
    reply.dst = match inside(index, is_v6) {
        IpAddr::V4(address) => {
            let [_, a, b, c] = address.octets();
            Ipv4Addr::new(100, a, b, c).into()
        }
        IpAddr::V6(address) => {
            let mut segments = address.segments();
            segments[0] = 0xfd99;
            Ipv6Addr::from(segments).into()
        }
    };
    if let L4::Ports { dst, .. } = &mut reply.l4 {
        *dst = 1024 + (index % 50_000) as u16;
    }
    reply
}

fn protoinfo(index: u32, protocol: Protocol) -> Option<ProtoInfo> {
    match protocol {
        Protocol::TCP => Some(ProtoInfo::Tcp(TcpInfo {
            state: Some(match index % 8 {
                0 => TcpState::SYN_SENT,
                1 => TcpState::SYN_RECV,
                2 => TcpState::TIME_WAIT,
                3 => TcpState::CLOSE_WAIT,
                _ => TcpState::ESTABLISHED,
            }),
            ..TcpInfo::default()
        })),
        Protocol::SCTP => Some(ProtoInfo::Sctp(SctpInfo {
            state: Some(SctpState::ESTABLISHED),
            vtag_orig: Some(index),
            vtag_reply: Some(!index),
        })),
        _ => None,
    }
}
