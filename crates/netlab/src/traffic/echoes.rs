//! ICMP echo, answered by the other side's kernel.

use std::net::IpAddr;
use std::time::Duration;

use rustix::event::PollFlags;

use super::Worker;
use super::stop::Halt;
use crate::address::{client, client_v6, server, server_v6};
use crate::echo::EchoSocket;

/// Between two requests, whichever conversation's turn it is.
const PAUSE: Duration = Duration::from_millis(700);

const PATIENCE: Duration = Duration::from_secs(1);

pub(super) fn run(worker: &Worker) -> Result<(), Halt> {
    let mut pairs: Vec<(IpAddr, IpAddr)> = vec![
        (client(1).into(), server(0).into()),
        (client(6).into(), server(3).into()),
    ];
    if worker.context.ipv6 {
        pairs.push((client_v6(2).into(), server_v6(1).into()));
    }
    let mut sockets = Vec::new();
    for (source, target) in pairs {
        let mut socket = EchoSocket::open(source, target)?;
        worker.tolerate(ask(worker, &mut socket))?;
        sockets.push(socket);
    }
    loop {
        for socket in &mut sockets {
            worker.stop().rest(PAUSE)?;
            worker.tolerate(ask(worker, socket))?;
        }
    }
}

fn ask(worker: &Worker, socket: &mut EchoSocket) -> Result<(), Halt> {
    socket.send()?;
    // An earlier reply that came too late may be first.
    loop {
        worker.stop().ready(socket, PollFlags::IN, PATIENCE)?;
        if socket.receive()? {
            return Ok(());
        }
    }
}
