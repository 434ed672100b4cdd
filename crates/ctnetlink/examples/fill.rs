//! Fills the table of this network namespace with so many entries: `fill 1000000`.

use ctnetlink::{Change, Client, NewEntry, ProtoInfo, Protocol, Status, TcpInfo, TcpState, Tuple};

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
    println!(
        "{} entries in {:.2?}, {failed} failed",
        count - failed,
        started.elapsed()
    );
    Ok(())
}

#[expect(clippy::indexing_slicing, reason = "the remainder is in range")]
fn entry(number: u32) -> Change {
    let protocol = if matches!(number % 8, 2 | 7) {
        Protocol::UDP
    } else {
        Protocol::TCP
    };
    let ports = [443, 80, 53, 22, 8443, 25, 993, 123];
    let src = std::net::Ipv4Addr::from(0x0a00_0002 + number % 60_000);
    let dst = std::net::Ipv4Addr::from(0xc612_0000 + number.wrapping_mul(7919) % 100_000);
    let src_port = 1024 + (number / 7 % 60_000) as u16;
    let dst_port = ports
        .into_iter()
        .nth(number as usize % ports.len())
        .unwrap_or(443);
    let orig = Tuple::ports(protocol, src.into(), src_port, dst.into(), dst_port);
    let mut new = NewEntry::new(orig, 3600 + number % 400_000);
    if number % 2 == 1 {
        let public = std::net::Ipv4Addr::new(203, 0, 113, 5);
        let port = 1024 + (number % 64_000) as u16;
        new.reply = Tuple::ports(protocol, dst.into(), dst_port, public.into(), port);
    }
    new.status = Status::SEEN_REPLY | Status::ASSURED;
    new.mark = Some(number % 16);
    if protocol == Protocol::TCP {
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
