//! One connection, one datagram, one echo: for tests that want exactly this in the table.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Socket, Type};

use crate::echo::EchoSocket;
use crate::error::{Error, Result};
use crate::namespace::Namespace;

/// How long the other side may take; it is the same machine, but that may be busy.
const PATIENCE: Duration = Duration::from_secs(5);

/// The two ends of a TCP connection; it closes when they are dropped.
#[derive(Debug)]
pub struct TcpPair {
    /// The end that dialled.
    pub opener: TcpStream,
    /// The end that was listening.
    pub answerer: TcpStream,
}

/// The two ends of an exchange of datagrams, each connected to the other as it sees it.
#[derive(Debug)]
pub struct UdpPair {
    /// The end that sent first.
    pub opener: UdpSocket,
    /// The end that answered.
    pub answerer: UdpSocket,
}

/// Who calls whom. `listen` and `target` differ where the way translates the destination.
#[derive(Debug)]
pub(crate) struct Dial<'a> {
    pub(crate) from: &'a Namespace,
    pub(crate) source: SocketAddr,
    pub(crate) to: &'a Namespace,
    pub(crate) listen: SocketAddr,
    pub(crate) target: SocketAddr,
}

impl Dial<'_> {
    fn failed(&self, cause: io::Error) -> Error {
        Error::system(format!("connect {} to {}", self.source, self.target), cause)
    }

    fn not_bound(&self, cause: io::Error) -> Error {
        Error::system(format!("listen on {}", self.listen), cause)
    }

    /// The target, with the port that the listener got if any would do.
    fn target(&self, listener: SocketAddr) -> SocketAddr {
        let port = if self.target.port() == 0 {
            listener.port()
        } else {
            self.target.port()
        };
        SocketAddr::new(self.target.ip(), port)
    }
}

/// Opens a TCP connection between two namespaces that have a way to each other (or are the same).
///
/// Port 0 is any free port, on either side.
///
/// # Errors
///
/// [`Error::System`] when a port is taken or no connection comes about within five seconds.
pub fn tcp_connect(
    from: &Namespace,
    source: impl Into<SocketAddr>,
    to: &Namespace,
    target: impl Into<SocketAddr>,
) -> Result<TcpPair> {
    let target = target.into();
    tcp(&Dial {
        from,
        source: source.into(),
        to,
        listen: target,
        target,
    })
}

/// Sends one datagram from a namespace to another (or the same) and one back.
///
/// # Errors
///
/// As [`tcp_connect`].
pub fn udp_exchange(
    from: &Namespace,
    source: impl Into<SocketAddr>,
    to: &Namespace,
    target: impl Into<SocketAddr>,
) -> Result<UdpPair> {
    let target = target.into();
    udp(&Dial {
        from,
        source: source.into(),
        to,
        listen: target,
        target,
    })
}

/// Sends one echo request from an address of a namespace, waits for the reply, and gives back the time.
///
/// The namespace must allow ping sockets (`net/ipv4/ping_group_range`), as those of a lab do.
///
/// # Errors
///
/// [`Error::System`] when no answer comes within five seconds.
pub fn ping(
    from: &Namespace,
    source: impl Into<IpAddr>,
    target: impl Into<IpAddr>,
) -> Result<Duration> {
    let (source, target) = (source.into(), target.into());
    let failed = |cause| Error::system(format!("ping {target} from {source}"), cause);
    let mut socket = from
        .run(|| EchoSocket::open(source, target))?
        .map_err(failed)?;
    let start = Instant::now();
    socket.send().map_err(failed)?;
    while let Some(left) = PATIENCE.checked_sub(start.elapsed()) {
        await_readable(&socket, left).map_err(failed)?;
        if socket.receive().map_err(failed)? {
            return Ok(start.elapsed());
        }
    }
    Err(failed(io::ErrorKind::TimedOut.into()))
}

pub(crate) fn tcp(dial: &Dial<'_>) -> Result<TcpPair> {
    let listener = dial
        .to
        .run(|| listen(dial.listen))?
        .map_err(|cause| dial.not_bound(cause))?;
    let target = dial.target(
        listener
            .local_addr()
            .map_err(|cause| dial.not_bound(cause))?,
    );
    let opener = dial
        .from
        .run(|| connect(dial.source, target))?
        .map_err(|cause| dial.failed(cause))?;
    let answerer = accept(&listener).map_err(|cause| dial.failed(cause))?;
    Ok(TcpPair { opener, answerer })
}

pub(crate) fn udp(dial: &Dial<'_>) -> Result<UdpPair> {
    let answerer = dial
        .to
        .run(|| UdpSocket::bind(dial.listen))?
        .map_err(|cause| dial.not_bound(cause))?;
    let target = dial.target(
        answerer
            .local_addr()
            .map_err(|cause| dial.not_bound(cause))?,
    );
    let opener = dial
        .from
        .run(|| UdpSocket::bind(dial.source))?
        .map_err(|cause| dial.failed(cause))?;
    let talk = || {
        opener.connect(target)?;
        for socket in [&opener, &answerer] {
            socket.set_read_timeout(Some(PATIENCE))?;
        }
        let mut word = [0; 16];
        opener.send(b"question")?;
        let (_, peer) = answerer.recv_from(&mut word)?;
        answerer.connect(peer)?;
        answerer.send(b"answer")?;
        opener.recv(&mut word)?;
        Ok(())
    };
    talk().map_err(|cause| dial.failed(cause))?;
    Ok(UdpPair { opener, answerer })
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // A port that was in use a moment ago may be used again.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(1)?;
    Ok(socket.into())
}

fn connect(source: SocketAddr, target: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(source), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&source.into())?;
    socket.connect_timeout(&target.into(), PATIENCE)?;
    Ok(socket.into())
}

fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    await_readable(listener, PATIENCE)?;
    Ok(listener.accept()?.0)
}

fn await_readable(socket: &impl AsFd, patience: Duration) -> io::Result<()> {
    let timeout = Timespec::try_from(patience).map_err(|_| io::ErrorKind::InvalidInput)?;
    match poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&timeout))? {
        0 => Err(io::ErrorKind::TimedOut.into()),
        _ => Ok(()),
    }
}
