//! Fills the table of this network namespace with so many entries: `fill 1000000`.
//!
//! A provider's gateway as it might be: 60,000 clients, 100,000 servers. Of 64 entries, 8 are IPv6,
//! 1 is ICMP, 13 to 16 are UDP, the rest TCP. Every other IPv4 entry has its source translated; one
//! of 32 comes from outside to a published server. An eighth is UDP to port 53, a quarter of these
//! unanswered. No two are alike up to 16 million.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ctnetlink::{
    Change, Client, L4, NewEntry, ProtoInfo, Protocol, Status, TcpInfo, TcpState, Tuple,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let count: u32 = std::env::args()
        .nth(1)
        .ok_or("usage: fill COUNT")?
        .parse()?;
    let client = Client::open()?;
    let started = std::time::Instant::now();
    let mut failed = 0;
    client.apply((0..count).map(entry), |_, result| {
        if let Err(error) = result {
            if failed == 0 {
                eprintln!("{error}");
            }
            failed += 1;
        }
    })?;
    let took = started.elapsed();
    let made = count - failed;
    let rate = f64::from(made) / took.as_secs_f64();
    println!("{made} entries in {took:.2?}, {failed} failed, {rate:.0} a second");
    if failed > 0 {
        return Err("not all entries could be made".into());
    }
    Ok(())
}

fn entry(number: u32) -> Change {
    let orig = opened(number);
    let is_tcp = orig.protocol == Protocol::TCP;
    let is_lost_query = number % 32 == 2;
    let mut new = NewEntry::new(
        orig,
        if is_tcp {
            3600 + number % 400_000
        } else {
            3600
        },
    );
    new.reply = answered(number, &orig);
    new.status = if is_lost_query {
        Status::empty()
    } else {
        Status::SEEN_REPLY | Status::ASSURED
    };
    new.mark = Some(number % 16);
    if is_tcp {
        let state = if number.is_multiple_of(5) {
            TcpState::TIME_WAIT
        } else {
            TcpState::ESTABLISHED
        };
        new.protoinfo = Some(ProtoInfo::Tcp(TcpInfo {
            state: Some(state),
            ..TcpInfo::default()
        }));
    }
    Change::Create(Box::new(new))
}

/// The tuple as the client opened it.
fn opened(number: u32) -> Tuple {
    let (client, round) = (number % 60_000, number / 60_000);
    let server = number.wrapping_mul(7919) % 100_000;
    let (src, dst): (IpAddr, IpAddr) = if is_ipv6(number) {
        let network = 0x2001_0db8_u128 << 96;
        (
            Ipv6Addr::from_bits(network | u128::from(2 + client)).into(),
            Ipv6Addr::from_bits(network | 1 << 64 | u128::from(server)).into(),
        )
    } else {
        (
            Ipv4Addr::from(0x0a00_0002 + client).into(),
            Ipv4Addr::from(0xc612_0000 + server).into(),
        )
    };
    // A client's ports differ in every round, and one client's from the next one's.
    let src_port = 1024 + ((round * 947 + client * 31) % 64_000) as u16;
    if is_ping(number) {
        let l4 = L4::Icmp {
            kind: 8,
            code: 0,
            id: src_port,
        };
        let protocol = Protocol::ICMP;
        return Tuple {
            src,
            dst,
            protocol,
            l4,
        };
    }
    let (protocol, dst_port) = match number % 8 {
        0 => (Protocol::TCP, 443),
        1 => (Protocol::TCP, 80),
        2 => (Protocol::UDP, 53),
        3 => (Protocol::TCP, 22),
        4 => (Protocol::TCP, 8443),
        5 => (Protocol::TCP, 25),
        6 => (Protocol::TCP, 993),
        _ => (Protocol::UDP, 123),
    };
    Tuple::ports(protocol, src, src_port, dst, dst_port)
}

/// The tuple as the other end answers it, after translation.
fn answered(number: u32, orig: &Tuple) -> Tuple {
    let mut reply = orig.mirror();
    if is_ipv6(number) {
        return reply;
    }
    if number % 2 == 1 {
        let public = Ipv4Addr::from(0xcb00_7100 + 1 + number / 64_000 % 254);
        let port = 1024 + (number % 64_000) as u16;
        reply.dst = public.into();
        match &mut reply.l4 {
            L4::Ports { dst, .. } => *dst = port,
            L4::Icmp { id, .. } => *id = port,
            _ => {}
        }
    } else if number % 32 == 4 {
        reply.src = Ipv4Addr::from(0xc0a8_0000 + number / 32 % 200).into();
    }
    reply
}

const fn is_ipv6(number: u32) -> bool {
    number / 8 % 8 == 3
}

const fn is_ping(number: u32) -> bool {
    number % 64 == 7
}
