//! The servers of one namespace, all in one thread: they answer what they hear by their service's ratio.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};

use rustix::event::{PollFd, PollFlags};
use socket2::{Domain, Socket, Type};

use super::Worker;
use super::stop::Halt;
use crate::address::{SERVERS, server, server_v6};
use crate::service::{HTTPS, Ratio, SERVICES, Service, Transport};

/// More open connections than the lab's own traffic ever has.
const MOST_STREAMS: usize = 256;

/// The longest answer in one datagram.
const LONGEST: usize = 1400;

#[derive(Debug)]
pub(super) struct Answerer {
    listeners: Vec<(TcpListener, Ratio)>,
    datagrams: Vec<(UdpSocket, Ratio)>,
    streams: Vec<Stream>,
}

#[derive(Debug)]
struct Stream {
    socket: TcpStream,
    ratio: Ratio,
    heard: usize,
    answered: usize,
}

impl Answerer {
    /// All services, at all addresses of the server. To be called inside its namespace.
    pub(super) fn on_server(ipv6: bool) -> io::Result<Self> {
        let mut answerer = Self {
            listeners: Vec::new(),
            datagrams: Vec::new(),
            streams: Vec::new(),
        };
        for service in SERVICES {
            match service.transport {
                Transport::Tcp => answerer.listen(service, ipv6)?,
                Transport::Udp => answerer.bind(service, ipv6)?,
            }
        }
        Ok(answerer)
    }

    /// What the port forward leads to. To be called inside the client's namespace.
    pub(super) fn on_client() -> io::Result<Self> {
        let mut answerer = Self {
            listeners: Vec::new(),
            datagrams: Vec::new(),
            streams: Vec::new(),
        };
        answerer.listen(HTTPS, false)?;
        Ok(answerer)
    }

    /// Serves until the stop.
    pub(super) fn run(mut self, worker: &Worker) -> Result<(), Halt> {
        loop {
            let ready = self.poll(worker)?;
            let mut ready = ready.into_iter();
            let (mut arrived, mut gone) = (Vec::new(), Vec::new());
            for ((listener, ratio), ready) in self.listeners.iter().zip(&mut ready) {
                if ready {
                    worker
                        .tolerate(accept(listener, *ratio).map(|stream| arrived.extend(stream)))?;
                }
            }
            for ((socket, ratio), ready) in self.datagrams.iter().zip(&mut ready) {
                if ready {
                    worker.tolerate(answer_datagram(socket, *ratio))?;
                }
            }
            for (n, (stream, ready)) in self.streams.iter_mut().zip(&mut ready).enumerate() {
                // A reset by the other side is how some of its connections end.
                if ready && !stream.serve().unwrap_or(false) {
                    gone.push(n);
                }
            }
            for n in gone.into_iter().rev() {
                self.streams.swap_remove(n);
            }
            self.streams.extend(arrived);
            self.streams.truncate(MOST_STREAMS);
        }
    }

    /// Which are ready, in the order of the fields.
    fn poll(&self, worker: &Worker) -> Result<Vec<bool>, Halt> {
        let mut sockets = vec![worker.stop().watch()];
        sockets.extend(
            self.listeners
                .iter()
                .map(|(socket, _)| PollFd::new(socket, PollFlags::IN)),
        );
        sockets.extend(
            self.datagrams
                .iter()
                .map(|(socket, _)| PollFd::new(socket, PollFlags::IN)),
        );
        sockets.extend(
            self.streams
                .iter()
                .map(|stream| PollFd::new(&stream.socket, stream.wanted())),
        );
        worker.stop().poll(&mut sockets, None)?;
        Ok(sockets
            .iter()
            .skip(1)
            .map(|socket| !socket.revents().is_empty())
            .collect())
    }

    fn listen(&mut self, service: Service, ipv6: bool) -> io::Result<()> {
        let any: IpAddr = if ipv6 {
            Ipv6Addr::UNSPECIFIED.into()
        } else {
            Ipv4Addr::UNSPECIFIED.into()
        };
        let address = SocketAddr::new(any, service.port);
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        if ipv6 {
            socket.set_only_v6(false)?;
        }
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(16)?;
        self.listeners.push((socket.into(), service.ratio));
        Ok(())
    }

    /// One socket for each address, so that the answer comes from the address that was asked.
    fn bind(&mut self, service: Service, ipv6: bool) -> io::Result<()> {
        for n in 0..SERVERS {
            let addresses = [
                Some(IpAddr::from(server(n))),
                ipv6.then(|| server_v6(n).into()),
            ];
            for address in addresses.into_iter().flatten() {
                let socket = UdpSocket::bind((address, service.port))?;
                socket.set_nonblocking(true)?;
                self.datagrams.push((socket, service.ratio));
            }
        }
        Ok(())
    }
}

impl Stream {
    fn owed(&self) -> usize {
        self.ratio.of(self.heard).saturating_sub(self.answered)
    }

    fn wanted(&self) -> PollFlags {
        if self.owed() > 0 {
            PollFlags::IN | PollFlags::OUT
        } else {
            PollFlags::IN
        }
    }

    /// Hears and answers what it can without waiting; `false` at the other side's end.
    fn serve(&mut self) -> io::Result<bool> {
        let mut bytes = [b'a'; 16 * 1024];
        match self.socket.read(&mut bytes) {
            Ok(0) => return Ok(false),
            Ok(read) => self.heard += read,
            Err(cause) if is_temporary(&cause) => {}
            Err(cause) => return Err(cause),
        }
        while self.owed() > 0 {
            let length = self.owed().min(bytes.len());
            match self.socket.write(&bytes[..length]) {
                Ok(written) => self.answered += written,
                Err(cause) if is_temporary(&cause) => break,
                Err(cause) => return Err(cause),
            }
        }
        Ok(true)
    }
}

fn accept(listener: &TcpListener, ratio: Ratio) -> Result<Option<Stream>, Halt> {
    match listener.accept() {
        Ok((socket, _)) => {
            socket.set_nonblocking(true)?;
            Ok(Some(Stream {
                socket,
                ratio,
                heard: 0,
                answered: 0,
            }))
        }
        Err(cause) if is_temporary(&cause) => Ok(None),
        Err(cause) => Err(cause.into()),
    }
}

fn answer_datagram(socket: &UdpSocket, ratio: Ratio) -> Result<(), Halt> {
    let mut bytes = [b'a'; 2048];
    let (length, peer) = match socket.recv_from(&mut bytes) {
        Err(cause) if is_temporary(&cause) => return Ok(()),
        outcome => outcome?,
    };
    socket.send_to(&bytes[..ratio.of(length).min(LONGEST)], peer)?;
    Ok(())
}

/// Nothing there now, or the other side gave up before it was accepted.
fn is_temporary(cause: &io::Error) -> bool {
    matches!(
        cause.kind(),
        ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionAborted
    )
}
