//! What nobody answers: connections to an address that is silent, and datagrams to it.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use socket2::Socket;

use super::Worker;
use super::conversation::begin_connect;
use super::stop::Halt;
use crate::address::{CLIENTS, SILENT, SILENT_V6, any_port, client, client_v6};

/// Between two datagrams.
const PAUSE: Duration = Duration::from_secs(2);

/// After so many datagrams the connections give up, and others begin.
const TURNS: usize = 8;

/// Where datagrams and connections go: a clock and a file server that are not there.
const CLOCK: u16 = 123;
const FILES: u16 = 445;

pub(super) fn run(worker: &Worker) -> Result<(), Halt> {
    let mut attempts: Vec<Socket> = Vec::new();
    for (turn, n) in (0..CLIENTS).cycle().enumerate() {
        if turn % TURNS == 0 {
            attempts.clear();
            worker.tolerate(begin_attempts(worker, n, &mut attempts))?;
        }
        let sources = sources(n, worker.context.ipv6);
        worker.tolerate(sources.into_iter().try_for_each(|(source, silent)| {
            UdpSocket::bind(source)?.send_to(&[0x1b; 48], (silent, CLOCK))?;
            Ok(())
        }))?;
        worker.stop().rest(PAUSE)?;
    }
    Ok(())
}

/// The kernel repeats the first packet by itself for as long as the socket is open.
fn begin_attempts(worker: &Worker, n: u8, attempts: &mut Vec<Socket>) -> Result<(), Halt> {
    for (source, silent) in sources(n + 3, worker.context.ipv6) {
        attempts.push(begin_connect(source, SocketAddr::new(silent, FILES))?);
    }
    Ok(())
}

fn sources(n: u8, ipv6: bool) -> Vec<(SocketAddr, IpAddr)> {
    let mut sources = vec![(any_port(client(n)), IpAddr::from(SILENT))];
    if ipv6 && n % 2 == 1 {
        sources.push((any_port(client_v6(n)), IpAddr::from(SILENT_V6)));
    }
    sources
}
