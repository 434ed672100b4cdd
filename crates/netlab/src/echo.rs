//! Ping sockets: ICMP echo without raw sockets. The kernel chooses the id and sees to the checksum.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use socket2::{Domain, Protocol, Socket, Type};

const ECHO_REQUEST: u8 = 8;
const ECHO_REQUEST_V6: u8 = 128;

/// Like the `ping` program's: 56 bytes after the header of 8.
const LENGTH: usize = 64;

/// One conversation of echo requests and replies: one entry in the table.
#[derive(Debug)]
pub(crate) struct EchoSocket {
    socket: Socket,
    kind: u8,
    sequence: u16,
}

impl EchoSocket {
    /// To be called inside the namespace. Nothing blocks afterwards.
    pub(crate) fn open(source: IpAddr, target: IpAddr) -> io::Result<Self> {
        let (domain, protocol, kind) = match target {
            IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4, ECHO_REQUEST),
            IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6, ECHO_REQUEST_V6),
        };
        let socket = Socket::new(domain, Type::DGRAM, Some(protocol))?;
        socket.set_nonblocking(true)?;
        socket.bind(&SocketAddr::new(source, 0).into())?;
        socket.connect(&SocketAddr::new(target, 0).into())?;
        Ok(Self {
            socket,
            kind,
            sequence: 0,
        })
    }

    pub(crate) fn send(&mut self) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut packet = [0; LENGTH];
        packet[0] = self.kind;
        packet[6..8].copy_from_slice(&self.sequence.to_be_bytes());
        (&self.socket).write(&packet).map(drop)
    }

    /// Whether the reply to the last request is here. A ping socket hears replies to its own id only.
    pub(crate) fn receive(&mut self) -> io::Result<bool> {
        let mut packet = [0; LENGTH];
        match (&self.socket).read(&mut packet) {
            Ok(length) => Ok(length == LENGTH && packet[6..8] == self.sequence.to_be_bytes()),
            Err(cause) if cause.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(cause) => Err(cause),
        }
    }
}

impl AsFd for EchoSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
