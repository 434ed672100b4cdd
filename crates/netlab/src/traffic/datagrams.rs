//! UDP that is answered: lookups that take one packet each way, and sessions that last.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use rustix::event::PollFlags;

use super::Worker;
use super::stop::Halt;
use crate::address::{CLIENTS, any_port, client, client_v6, server, server_v6};
use crate::service::{DNS, QUIC};

/// Between two turns; each is one lookup and one word over a session.
const PAUSE: Duration = Duration::from_millis(400);

const PATIENCE: Duration = Duration::from_secs(1);

/// Bytes of a lookup and of a word over a session.
const LOOKUP: usize = 40;
const WORD: usize = 100;

pub(super) fn run(worker: &Worker) -> Result<(), Halt> {
    let mut sessions = Vec::new();
    for (source, target) in session_routes(worker.context.ipv6) {
        let session = open(source, target)?;
        worker.tolerate(ask(worker, &session, WORD))?;
        sessions.push(session);
    }
    let mut next = sessions.iter().cycle();
    for n in (0..CLIENTS).cycle() {
        worker.tolerate(lookup(worker, n))?;
        if let Some(session) = next.next() {
            worker.tolerate(ask(worker, session, WORD))?;
        }
        worker.stop().rest(PAUSE)?;
    }
    Ok(())
}

fn session_routes(ipv6: bool) -> Vec<(SocketAddr, SocketAddr)> {
    let mut routes: Vec<_> = [(2, 0), (5, 3)]
        .map(|(from, to)| {
            (
                any_port(client(from)),
                SocketAddr::from((server(to), QUIC.port)),
            )
        })
        .into();
    if ipv6 {
        let target = SocketAddr::from((server_v6(0), QUIC.port));
        routes.push((any_port(client_v6(6)), target));
    }
    routes
}

/// A lookup from a port of its own, as a resolver does; over IPv6 by every fourth client.
fn lookup(worker: &Worker, n: u8) -> Result<(), Halt> {
    let (source, target) = if worker.context.ipv6 && n % 4 == 1 {
        (
            any_port(client_v6(n)),
            SocketAddr::from((server_v6(1), DNS.port)),
        )
    } else {
        (any_port(client(n)), SocketAddr::from((server(1), DNS.port)))
    };
    ask(worker, &open(source, target)?, LOOKUP)
}

fn open(source: SocketAddr, target: SocketAddr) -> Result<UdpSocket, Halt> {
    let socket = UdpSocket::bind(source)?;
    socket.connect(target)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn ask(worker: &Worker, socket: &UdpSocket, length: usize) -> Result<(), Halt> {
    socket.send(&vec![b'q'; length])?;
    worker.stop().ready(socket, PollFlags::IN, PATIENCE)?;
    socket.recv(&mut [0; 2048])?;
    Ok(())
}
