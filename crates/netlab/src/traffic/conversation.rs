use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::io::Errno;
use socket2::{Domain, SockRef, Socket, Type};

use super::stop::{Halt, Stop};
use crate::service::Ratio;

/// How long the other side may take before the connection counts as broken.
const PATIENCE: Duration = Duration::from_secs(2);

/// Who talks to whom, how much at a time, and how much comes back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Route {
    pub(super) source: SocketAddr,
    pub(super) target: SocketAddr,
    pub(super) ratio: Ratio,
    /// Bytes of one request.
    pub(super) request: usize,
}

/// A TCP connection to a server that answers by a ratio.
#[derive(Debug)]
pub(super) struct Conversation {
    stream: TcpStream,
    route: Route,
    told: usize,
    heard: usize,
}

impl Conversation {
    pub(super) fn open(route: Route, stop: &Stop) -> Result<Self, Halt> {
        let socket = begin_connect(route.source, route.target)?;
        stop.ready(&socket, PollFlags::OUT, PATIENCE)?;
        if let Some(cause) = socket.take_error()? {
            return Err(cause.into());
        }
        Ok(Self {
            stream: socket.into(),
            route,
            told: 0,
            heard: 0,
        })
    }

    /// One request and the answer to it.
    pub(super) fn exchange(&mut self, stop: &Stop) -> Result<(), Halt> {
        let request = vec![b'r'; self.route.request];
        let mut rest = request.as_slice();
        while !rest.is_empty() {
            match self.stream.write(rest) {
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(cause) => self.wait(cause, PollFlags::OUT, stop)?,
            }
        }
        self.told += request.len();
        let mut answer = [0; 16 * 1024];
        while self.heard < self.route.ratio.of(self.told) {
            match self.stream.read(&mut answer) {
                Ok(0) => return Err(io::Error::from(ErrorKind::UnexpectedEof).into()),
                Ok(read) => self.heard += read,
                Err(cause) => self.wait(cause, PollFlags::IN, stop)?,
            }
        }
        Ok(())
    }

    /// Ends the connection with a reset instead of a goodbye.
    pub(super) fn reset(self) -> io::Result<()> {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO))
    }

    fn wait(&self, cause: io::Error, flags: PollFlags, stop: &Stop) -> Result<(), Halt> {
        match cause.kind() {
            ErrorKind::WouldBlock => stop.ready(&self.stream, flags, PATIENCE),
            ErrorKind::Interrupted => Ok(()),
            _ => Err(cause.into()),
        }
    }
}

/// Sends the first packet and waits for nothing.
pub(super) fn begin_connect(source: SocketAddr, target: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(target), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&source.into())?;
    match socket.connect(&target.into()) {
        Err(cause) if Errno::from_io_error(&cause) != Some(Errno::INPROGRESS) => Err(cause),
        _ => Ok(socket),
    }
}
