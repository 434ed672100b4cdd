//! The ways to addresses: which interface and gateway the kernel would take.
//!
//! The kernel is asked for one address at a time (`RTM_GETROUTE`, uapi/linux/rtnetlink.h): a
//! provider's router has a million routes, and rules (`ip rule`) decide by the mark which table
//! holds.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ctnetlink::Namespace;
use ctnetlink::constants::NLM_F_REQUEST;
use ctnetlink::wire::{Ack, Attr, Attrs, Cursor, DecodeError, Message, Messages, Writer};
use nix::libc;
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{self, AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockType};
use nix::sys::time::TimeVal;

use crate::failure::Failure;

/// How long an answer holds.
const HOLDS: Duration = Duration::from_secs(5);

/// How many answers are remembered; then all are forgotten.
const REMEMBERED: usize = 8_192;

/// How long the kernel, which answers at once, is waited for.
const PATIENCE: TimeVal = TimeVal::new(2, 0);

/// The longest answer: one route or one interface with all its attributes.
const ANSWER: usize = 32 << 10;

/// How the kernel reaches an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// What it does with packets to there.
    pub kind: RouteKind,
    /// The interface by which they leave, `lo` for this machine's own addresses.
    pub interface: Option<Arc<str>>,
    /// The router that they are given to; `None` where the address is on the interface's own link.
    pub gateway: Option<IpAddr>,
    /// The source address that this machine's own packets would have.
    pub source: Option<IpAddr>,
    /// The table that it was found in: 254 is `main`, 255 `local` (which the kernel keeps in `main` as
    /// long as there are no other rules), others are an admin's.
    pub table: u32,
}

/// What the kernel does with packets (`rtm_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteKind {
    /// Sends them on.
    Unicast,
    /// Takes them itself.
    Local,
    /// Sends them to all on the link.
    Broadcast,
    /// Sends them to a group.
    Multicast,
    /// Something else, such as translating them.
    Other,
}

impl RouteKind {
    /// Its name, as `ip route` has it where it has one.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unicast => "unicast",
            Self::Local => "local",
            Self::Broadcast => "broadcast",
            Self::Multicast => "multicast",
            Self::Other => "other",
        }
    }
}

/// Asks the kernel for routes, in one network namespace.
pub struct Routes {
    asker: Mutex<Asker>,
}

struct Asker {
    socket: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
    routes: HashMap<(IpAddr, u32), (Instant, Option<Route>)>,
    interfaces: HashMap<u32, (Instant, Option<Arc<str>>)>,
}

impl Routes {
    /// In a namespace; `None` for the calling thread's.
    ///
    /// Fails with `kernel-error` or `no-namespace` where a socket cannot be had. No privilege is needed.
    pub fn open(namespace: Option<&Namespace>) -> Result<Self, Failure> {
        let socket = match namespace {
            None => open().map_err(failed)?,
            // The socket stays in the namespace in which it was made.
            Some(namespace) => namespace.run(open)?,
        };
        let asker = Asker {
            socket,
            sequence: 0,
            buffer: vec![0; ANSWER],
            routes: HashMap::new(),
            interfaces: HashMap::new(),
        };
        Ok(Self {
            asker: Mutex::new(asker),
        })
    }

    /// How packets with a mark (0 for none) reach an address; `None` where no way leads there.
    ///
    /// The mark is the packet's: where a gateway chooses its uplink by the connection's mark, it
    /// copies that to its packets (`meta mark set ct mark`). Of several gateways of one route
    /// the kernel names the one that it takes for this address. Answers are up to five seconds old. Asking
    /// takes some microseconds.
    pub fn route(&self, address: IpAddr, mark: u32) -> Result<Option<Route>, Failure> {
        let address = address.to_canonical();
        let mut asker = self.asker.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some((since, route)) = asker.routes.get(&(address, mark))
            && now.duration_since(*since) < HOLDS
        {
            return Ok(route.clone());
        }
        let route = asker.ask_for_route(address, mark)?;
        if asker.routes.len() >= REMEMBERED {
            asker.routes.clear();
        }
        asker.routes.insert((address, mark), (now, route.clone()));
        Ok(route)
    }
}

fn open() -> io::Result<OwnedFd> {
    let socket = socket::socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        socket::SockProtocol::NetlinkRoute,
    )?;
    socket::setsockopt(&socket, ReceiveTimeout, &PATIENCE)?;
    socket::bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
    Ok(socket)
}

impl Asker {
    fn ask_for_route(&mut self, address: IpAddr, mark: u32) -> Result<Option<Route>, Failure> {
        let mut attrs = Writer::new();
        let (family, length) = match address {
            IpAddr::V4(address) => {
                attrs.attr(libc::RTA_DST, &address.octets());
                (libc::AF_INET, 32)
            }
            IpAddr::V6(address) => {
                attrs.attr(libc::RTA_DST, &address.octets());
                (libc::AF_INET6, 128)
            }
        };
        if mark != 0 {
            attrs.attr(libc::RTA_MARK, &mark.to_ne_bytes());
        }
        // struct rtmsg: family, lengths, type of service, table, protocol, scope, type, flags.
        let mut body = vec![family as u8, length, 0, 0, 0, 0, 0, 0];
        body.extend_from_slice(&RTM_F_LOOKUP_TABLE.to_ne_bytes());
        body.extend_from_slice(attrs.bytes());
        let found = match self.ask(libc::RTM_GETROUTE, libc::RTM_NEWROUTE, &body, Found::decode)? {
            Ok(found) => found,
            // No route, or one that says so: unreachable, prohibit, blackhole.
            Err(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::EACCES | libc::EINVAL) => {
                return Ok(None);
            }
            Err(errno) => return Err(failed(io::Error::from_raw_os_error(errno))),
        };
        // IPv6 answers with the route where IPv4 answers with an error.
        let Some(kind) = found.kind else {
            return Ok(None);
        };
        Ok(Some(Route {
            kind,
            interface: match found.interface {
                Some(number) => self.interface(number)?,
                None => None,
            },
            gateway: found.gateway,
            source: found.source,
            table: found.table,
        }))
    }

    fn interface(&mut self, number: u32) -> Result<Option<Arc<str>>, Failure> {
        let now = Instant::now();
        if let Some((since, name)) = self.interfaces.get(&number)
            && now.duration_since(*since) < HOLDS
        {
            return Ok(name.clone());
        }
        // struct ifinfomsg: family, padding, type, index, flags, change.
        let mut body = vec![0; 4];
        body.extend_from_slice(&number.to_ne_bytes());
        body.extend_from_slice(&[0; 8]);
        let name = match self.ask(libc::RTM_GETLINK, libc::RTM_NEWLINK, &body, decode_link)? {
            Ok(name) => name.map(Into::into),
            // It is gone since.
            Err(libc::ENODEV) => None,
            Err(errno) => return Err(failed(io::Error::from_raw_os_error(errno))),
        };
        if self.interfaces.len() >= REMEMBERED {
            self.interfaces.clear();
        }
        self.interfaces.insert(number, (now, name.clone()));
        Ok(name)
    }

    /// Sends a request and reads its answer, or the kernel's errno.
    fn ask<T>(
        &mut self,
        request: u16,
        expected: u16,
        body: &[u8],
        decode: impl Fn(&Message<'_>) -> Result<T, DecodeError>,
    ) -> Result<Result<T, i32>, Failure> {
        self.sequence = self.sequence.wrapping_add(1).max(1);
        let mut message = Vec::with_capacity(16 + body.len());
        message.extend_from_slice(&(16 + body.len() as u32).to_ne_bytes());
        message.extend_from_slice(&request.to_ne_bytes());
        message.extend_from_slice(&NLM_F_REQUEST.to_ne_bytes());
        message.extend_from_slice(&self.sequence.to_ne_bytes());
        message.extend_from_slice(&[0; 4]);
        message.extend_from_slice(body);
        let socket = self.socket.as_raw_fd();
        socket::send(socket, &message, MsgFlags::empty()).map_err(|errno| failed(errno.into()))?;
        loop {
            let length = match socket::recv(socket, &mut self.buffer, MsgFlags::empty()) {
                Ok(length) => length,
                Err(nix::errno::Errno::EINTR) => continue,
                Err(errno) => return Err(failed(errno.into())),
            };
            for message in Messages::new(self.buffer.get(..length).unwrap_or_default()) {
                let message = message.map_err(unreadable)?;
                // An answer to a question that was given up.
                if message.header.sequence != self.sequence {
                    continue;
                }
                if message.header.kind == expected {
                    return decode(&message).map(Ok).map_err(unreadable);
                }
                if i32::from(message.header.kind) == libc::NLMSG_ERROR
                    && let Some(ack) = Ack::decode(&message)
                    && ack.errno != 0
                {
                    return Ok(Err(ack.errno));
                }
            }
        }
    }
}

/// The table's number is wanted, not only `main` (uapi/linux/rtnetlink.h; since Linux 4.4).
const RTM_F_LOOKUP_TABLE: u32 = 0x1000;

/// A route as the kernel told it.
#[derive(Debug, Default, PartialEq)]
struct Found {
    /// `None` for one that leads nowhere.
    kind: Option<RouteKind>,
    interface: Option<u32>,
    gateway: Option<IpAddr>,
    source: Option<IpAddr>,
    table: u32,
}

impl Found {
    fn decode(message: &Message<'_>) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(message.payload, 0);
        let header: [u8; 12] = cursor.array().ok_or(DecodeError::Truncated {
            field: "rtmsg",
            offset: 0,
        })?;
        let [_, _, _, _, table, _, _, kind, ..] = header;
        let mut found = Self {
            kind: kind_of(kind),
            table: table.into(),
            ..Self::default()
        };
        for attr in Attrs::new(cursor) {
            let attr = attr?;
            match attr.kind {
                libc::RTA_OIF => found.interface = Some(host32(&attr, "RTA_OIF")?),
                libc::RTA_TABLE => found.table = host32(&attr, "RTA_TABLE")?,
                libc::RTA_GATEWAY => found.gateway = address(attr.payload),
                // A router of the other family: its family, then its address.
                RTA_VIA => found.gateway = attr.payload.get(2..).and_then(address),
                libc::RTA_PREFSRC => found.source = address(attr.payload),
                _ => {}
            }
        }
        Ok(found)
    }
}

/// uapi/linux/rtnetlink.h; since Linux 4.1.
const RTA_VIA: u16 = 18;

fn kind_of(kind: u8) -> Option<RouteKind> {
    Some(match kind {
        libc::RTN_UNICAST => RouteKind::Unicast,
        libc::RTN_LOCAL => RouteKind::Local,
        libc::RTN_BROADCAST => RouteKind::Broadcast,
        libc::RTN_ANYCAST => RouteKind::Local,
        libc::RTN_MULTICAST => RouteKind::Multicast,
        libc::RTN_BLACKHOLE | libc::RTN_UNREACHABLE | libc::RTN_PROHIBIT => return None,
        _ => RouteKind::Other,
    })
}

fn decode_link(message: &Message<'_>) -> Result<Option<String>, DecodeError> {
    let mut cursor = Cursor::new(message.payload, 0);
    let _header: [u8; 16] = cursor.array().ok_or(DecodeError::Truncated {
        field: "ifinfomsg",
        offset: 0,
    })?;
    for attr in Attrs::new(cursor) {
        let attr = attr?;
        if attr.kind == libc::IFLA_IFNAME {
            return attr.text("IFLA_IFNAME").map(|name| Some(name.to_owned()));
        }
    }
    Ok(None)
}

/// Numbers of rtnetlink are in host order.
fn host32(attr: &Attr<'_>, field: &'static str) -> Result<u32, DecodeError> {
    attr.bytes(field).map(u32::from_ne_bytes)
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(octets).into());
    }
    <[u8; 16]>::try_from(bytes)
        .ok()
        .map(|octets| Ipv6Addr::from(octets).into())
}

fn failed(error: io::Error) -> Failure {
    Failure::new(
        "kernel-error",
        format!("cannot ask the kernel for a route: {error}"),
        "see the kernel's log (dmesg) for more",
    )
}

fn unreadable(error: DecodeError) -> Failure {
    Failure::new(
        "bad-answer",
        format!("the kernel's answer about a route cannot be read: {error}"),
        "try again; if it stays so, report it with the kernel's version",
    )
}
