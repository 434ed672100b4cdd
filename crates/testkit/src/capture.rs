//! Bytes as the kernel sends them, for fixtures.
#![allow(
    unsafe_code,
    reason = "a netlink socket, without the code that the bytes are to test"
)]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use ctnetlink::constants::*;
use ctnetlink::wire::Messages;
use ctnetlink::{Error, Namespace};

/// A raw netlink socket in a namespace.
pub struct Capture {
    fd: OwnedFd,
}

impl Capture {
    /// Opens one that asks for extended acknowledgements and belongs to these multicast groups.
    pub fn open(namespace: &Namespace, groups: &[u32]) -> Result<Self, Error> {
        let groups = groups.to_vec();
        namespace.run(move || {
            let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
            // SAFETY: socket(2) takes no pointers; the result belongs to nobody else.
            let fd = unsafe {
                let fd = libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_NETFILTER);
                if fd < 0 {
                    return Err(io::Error::last_os_error());
                }
                OwnedFd::from_raw_fd(fd)
            };
            // Without a port of its own a socket is taken for the sender of every event.
            // SAFETY: all-zero bytes are a valid sockaddr_nl.
            let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
            address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
            // SAFETY: the kernel reads `address`, whose size it is told.
            let result = unsafe {
                libc::bind(
                    fd.as_raw_fd(),
                    (&raw const address).cast(),
                    size_of_val(&address) as libc::socklen_t,
                )
            };
            if result < 0 {
                return Err(io::Error::last_os_error());
            }
            let options = [(libc::NETLINK_EXT_ACK, 1), (libc::NETLINK_CAP_ACK, 1)];
            let groups = groups
                .into_iter()
                .map(|group| (libc::NETLINK_ADD_MEMBERSHIP, group));
            for (name, value) in options.into_iter().chain(groups) {
                // SAFETY: the kernel reads the four bytes of `value`.
                let result = unsafe {
                    libc::setsockopt(
                        fd.as_raw_fd(),
                        libc::SOL_NETLINK,
                        name,
                        (&raw const value).cast(),
                        4,
                    )
                };
                if result < 0 {
                    return Err(io::Error::last_os_error());
                }
            }
            // Nothing is long in coming; a test that waits for too much is to fail.
            let patience = libc::timeval {
                tv_sec: 10,
                tv_usec: 0,
            };
            // SAFETY: the kernel reads `patience`, whose size it is told.
            let result = unsafe {
                libc::setsockopt(
                    fd.as_raw_fd(),
                    libc::SOL_SOCKET,
                    libc::SO_RCVTIMEO,
                    (&raw const patience).cast(),
                    size_of_val(&patience) as libc::socklen_t,
                )
            };
            if result < 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(Self { fd })
        })
    }

    /// Sends requests.
    pub fn send(&self, bytes: &[u8]) -> io::Result<()> {
        // SAFETY: the kernel reads `bytes.len()` bytes of `bytes`.
        let sent =
            unsafe { libc::send(self.fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0) };
        if sent < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// One datagram.
    pub fn receive(&self) -> io::Result<Vec<u8>> {
        let mut buffer = vec![0u8; 1 << 16];
        // SAFETY: the kernel writes at most `buffer.len()` bytes into `buffer`.
        let length = unsafe {
            libc::recv(
                self.fd.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                0,
            )
        };
        let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
        buffer.truncate(length);
        buffer.resize(length.next_multiple_of(4), 0);
        Ok(buffer)
    }

    /// Everything up to the end of a list or an acknowledgement.
    pub fn answer(&self) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            let datagram = self.receive()?;
            let is_last = Messages::new(&datagram)
                .flatten()
                .any(|m| matches!(m.header.kind, NLMSG_DONE | NLMSG_ERROR));
            all.extend(datagram);
            if is_last {
                return Ok(all);
            }
        }
    }
}
