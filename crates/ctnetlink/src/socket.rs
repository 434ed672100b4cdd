//! The netlink socket: the one place, beside the namespace helper, where system calls are made
//! that Rust cannot check.
#![allow(unsafe_code)]

use std::io;
use std::mem::{MaybeUninit, size_of, zeroed};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// The longest datagram that is received whole: twice what the kernel puts in one.
pub(crate) const DATAGRAM: usize = 64 * 1024;

/// How many datagrams one system call receives at most.
const BATCH: usize = 64;

/// The longest event; they hold one entry or expectation each.
const EVENT: usize = 4 * 1024;

/// One nfnetlink socket, or the other end of whatever speaks netlink for it in a test.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
}

/// What a receive found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// So many bytes.
    Bytes(usize),
    /// Messages were lost because the socket's buffer was full (`ENOBUFS`).
    Overrun,
    /// Nothing came in time.
    Timeout,
    /// The other end is gone.
    Closed,
}

impl Socket {
    /// A socket in the calling thread's network namespace, bound and connected to the kernel.
    ///
    /// A connected netlink socket takes unicasts from its peer only, so that no other process
    /// can answer for the kernel.
    pub(crate) fn open() -> io::Result<OwnedFd> {
        // SAFETY: socket(2) takes no pointers; a non-negative result is a descriptor that nobody
        // else owns.
        let fd = unsafe {
            let fd = check(libc::socket(
                libc::AF_NETLINK,
                libc::SOCK_RAW | libc::SOCK_CLOEXEC,
                libc::NETLINK_NETFILTER,
            ))?;
            OwnedFd::from_raw_fd(fd)
        };
        // SAFETY: all-zero bytes are a valid sockaddr_nl.
        let mut address: libc::sockaddr_nl = unsafe { zeroed() };
        address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
        let length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
        // SAFETY: both calls read `length` bytes of `address`, which lives through them.
        unsafe {
            check(libc::bind(
                fd.as_raw_fd(),
                (&raw const address).cast(),
                length,
            ))?;
            check(libc::connect(
                fd.as_raw_fd(),
                (&raw const address).cast(),
                length,
            ))?;
        }
        Ok(fd)
    }

    /// Takes a descriptor and asks for extended acknowledgements without the echoed request.
    pub(crate) fn new(fd: OwnedFd) -> Self {
        let socket = Self { fd };
        // Kernels before 4.12 do not know them; the errno comes all the same.
        let _ = socket.set_option(libc::SOL_NETLINK, libc::NETLINK_EXT_ACK, 1);
        let _ = socket.set_option(libc::SOL_NETLINK, libc::NETLINK_CAP_ACK, 1);
        socket
    }

    /// Asks for a receive buffer of so many bytes, beyond the system's limit where allowed, and
    /// gives the real size. The kernel doubles what it is asked for, for its own bookkeeping, and
    /// reports the doubled value.
    pub(crate) fn set_receive_buffer(&self, bytes: usize) -> io::Result<usize> {
        let wanted = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
        if self
            .set_option(libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, wanted)
            .is_err()
        {
            self.set_option(libc::SOL_SOCKET, libc::SO_RCVBUF, wanted)?;
        }
        self.receive_buffer()
    }

    /// The real size of the receive buffer, as the kernel counts it.
    pub(crate) fn receive_buffer(&self) -> io::Result<usize> {
        let value: libc::c_int = self.option(libc::SOL_SOCKET, libc::SO_RCVBUF)?;
        Ok(usize::try_from(value).unwrap_or(0))
    }

    /// How many messages the kernel has dropped because the buffer was full. `None` before
    /// Linux 4.12, which cannot say.
    pub(crate) fn dropped(&self) -> Option<u32> {
        let [.., dropped] = self.memory()?;
        Some(dropped)
    }

    /// How much of the receive buffer is in use. `None` before Linux 4.12, which cannot say.
    pub(crate) fn waiting(&self) -> Option<u32> {
        let [waiting, ..] = self.memory()?;
        Some(waiting)
    }

    /// `SK_MEMINFO_RMEM_ALLOC` to `SK_MEMINFO_DROPS`.
    fn memory(&self) -> Option<[u32; 9]> {
        const SO_MEMINFO: libc::c_int = 55;
        self.option(libc::SOL_SOCKET, SO_MEMINFO).ok()
    }

    /// How long a receive waits; `None` for ever.
    pub(crate) fn set_receive_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = timeout.unwrap_or_default();
        let value = libc::timeval {
            tv_sec: timeout.as_secs() as libc::time_t,
            tv_usec: timeout.subsec_micros() as libc::suseconds_t,
        };
        self.set_option(libc::SOL_SOCKET, libc::SO_RCVTIMEO, value)
    }

    /// Joins a multicast group.
    pub(crate) fn join(&self, group: u32) -> io::Result<()> {
        self.set_option(libc::SOL_NETLINK, libc::NETLINK_ADD_MEMBERSHIP, group)
    }

    /// Leaves a multicast group.
    pub(crate) fn leave(&self, group: u32) -> io::Result<()> {
        self.set_option(libc::SOL_NETLINK, libc::NETLINK_DROP_MEMBERSHIP, group)
    }

    /// Makes the kernel hold back destroy events that find the buffer full, and send them again.
    pub(crate) fn set_reliable(&self) -> io::Result<()> {
        self.set_option(libc::SOL_NETLINK, libc::NETLINK_BROADCAST_ERROR, 1)
    }

    /// Sends one buffer of messages.
    pub(crate) fn send(&self, bytes: &[u8]) -> io::Result<()> {
        loop {
            // SAFETY: the kernel reads `bytes.len()` bytes of `bytes`, which lives through the
            // call.
            let sent = unsafe {
                libc::send(
                    self.fd.as_raw_fd(),
                    bytes.as_ptr().cast(),
                    bytes.len(),
                    libc::MSG_NOSIGNAL,
                )
            };
            match check_size(sent) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Receives one datagram into `buffer`, replacing what it held. `Bytes` may say more than
    /// the buffer holds: then the datagram was cut short.
    pub(crate) fn receive(&self, buffer: &mut Vec<u8>) -> io::Result<Received> {
        buffer.clear();
        self.receive_after(buffer, true)
    }

    /// Receives one datagram to the end of what `buffer` holds. `Bytes` may say more than was
    /// added: then the datagram was cut short. Without `waits`, `Timeout` if nothing is there.
    pub(crate) fn receive_after(&self, buffer: &mut Vec<u8>, waits: bool) -> io::Result<Received> {
        let flags = if waits {
            libc::MSG_TRUNC
        } else {
            libc::MSG_TRUNC | libc::MSG_DONTWAIT
        };
        buffer.reserve(DATAGRAM);
        loop {
            let spare = buffer.spare_capacity_mut();
            let room = spare.len().min(DATAGRAM);
            // SAFETY: the kernel writes at most `room` bytes into the vector's own memory.
            let received =
                unsafe { libc::recv(self.fd.as_raw_fd(), spare.as_mut_ptr().cast(), room, flags) };
            match check_size(received) {
                Ok(0) => return Ok(Received::Closed),
                Ok(length) => {
                    // SAFETY: the kernel has written the smaller of the two counts.
                    unsafe { buffer.set_len(buffer.len() + length.min(room)) };
                    return Ok(Received::Bytes(length));
                }
                Err(error) => match outcome(error)? {
                    Some(received) => return Ok(received),
                    None => continue,
                },
            }
        }
    }

    /// Waits until there is something to receive or `wake` is readable; `true` for the former.
    pub(crate) fn wait(&self, wake: BorrowedFd<'_>) -> io::Result<bool> {
        let poll = |fd: RawFdOf<'_>| libc::pollfd {
            fd: fd.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        let mut fds = [poll(self.fd.as_fd()), poll(wake)];
        loop {
            // SAFETY: the kernel reads and writes the two elements of `fds`.
            let ready = unsafe { libc::poll(fds.as_mut_ptr(), 2, -1) };
            match check(ready) {
                Ok(_) => return Ok(fds.last().is_some_and(|wake| wake.revents == 0)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

type RawFdOf<'a> = BorrowedFd<'a>;

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Receives many small datagrams with one system call.
pub(crate) struct BatchReceiver {
    buffers: Box<[[MaybeUninit<u8>; EVENT]; BATCH]>,
    /// Datagrams that did not fit since somebody asked.
    too_long: u32,
}

impl BatchReceiver {
    pub(crate) fn new() -> Self {
        let buffers: Vec<[MaybeUninit<u8>; EVENT]> = vec![[MaybeUninit::uninit(); EVENT]; BATCH];
        match buffers.into_boxed_slice().try_into() {
            Ok(buffers) => Self {
                buffers,
                too_long: 0,
            },
            Err(_) => unreachable!("the vector has BATCH elements"),
        }
    }

    /// How many datagrams were longer than an event may be, since this was asked last. Nothing is known of them.
    pub(crate) fn take_too_long(&mut self) -> u32 {
        std::mem::take(&mut self.too_long)
    }

    /// Appends what is there now to `out`, each datagram padded to netlink's alignment, so that
    /// `out` reads as one sequence of messages. Does not wait: `Timeout` is that nothing is there.
    pub(crate) fn receive(&mut self, socket: &Socket, out: &mut Vec<u8>) -> io::Result<Received> {
        // SAFETY: all-zero bytes are valid for these structures of plain C.
        let mut vectors: [libc::iovec; BATCH] = unsafe { zeroed() };
        // SAFETY: as above.
        let mut headers: [libc::mmsghdr; BATCH] = unsafe { zeroed() };
        for ((buffer, vector), header) in
            self.buffers.iter_mut().zip(&mut vectors).zip(&mut headers)
        {
            vector.iov_base = buffer.as_mut_ptr().cast();
            vector.iov_len = EVENT;
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
        }
        // SAFETY: each header points to one vector and each vector to one buffer of its stated
        // length; all of them outlive the call.
        let received = unsafe {
            libc::recvmmsg(
                socket.fd.as_raw_fd(),
                headers.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        let count = match check(received) {
            Ok(count) => usize::try_from(count).unwrap_or(0),
            Err(error) => {
                return Ok(match outcome(error)? {
                    Some(received) => received,
                    None => Received::Bytes(0),
                });
            }
        };
        let before = out.len();
        for (buffer, header) in self.buffers.iter().zip(&headers).take(count) {
            if header.msg_len == 0 {
                return Ok(Received::Closed);
            }
            let length = (header.msg_len as usize).min(EVENT);
            if header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0 {
                self.too_long += 1;
                continue;
            }
            // SAFETY: the kernel has written `length` bytes into this buffer.
            let datagram =
                unsafe { std::slice::from_raw_parts(buffer.as_ptr().cast::<u8>(), length) };
            out.extend_from_slice(datagram);
            out.resize(crate::wire::align4(out.len()), 0);
        }
        Ok(Received::Bytes(out.len() - before))
    }
}

/// A descriptor that is written to once and stays readable from then on.
pub(crate) fn wake_pair() -> io::Result<(OwnedFd, std::fs::File)> {
    // SAFETY: eventfd(2) takes no pointers; the result is a descriptor that nobody else owns.
    let fd = unsafe { OwnedFd::from_raw_fd(check(libc::eventfd(0, libc::EFD_CLOEXEC))?) };
    let writer = std::fs::File::from(fd.try_clone()?);
    Ok((fd, writer))
}

impl Socket {
    fn set_option<T>(&self, level: libc::c_int, name: libc::c_int, value: T) -> io::Result<()> {
        // SAFETY: the kernel reads `size_of::<T>()` bytes of `value`, plain data that lives
        // through the call.
        check(unsafe {
            libc::setsockopt(
                self.fd.as_raw_fd(),
                level,
                name,
                (&raw const value).cast(),
                size_of::<T>() as libc::socklen_t,
            )
        })
        .map(drop)
    }

    fn option<T: Plain>(&self, level: libc::c_int, name: libc::c_int) -> io::Result<T> {
        let mut value = T::default();
        let mut length = size_of::<T>() as libc::socklen_t;
        // SAFETY: the kernel writes at most `length` bytes of `value`, for which all bit
        // patterns are valid.
        check(unsafe {
            libc::getsockopt(
                self.fd.as_raw_fd(),
                level,
                name,
                (&raw mut value).cast(),
                &raw mut length,
            )
        })?;
        if length as usize == size_of::<T>() {
            Ok(value)
        } else {
            Err(io::Error::from_raw_os_error(libc::EINVAL))
        }
    }
}

/// Types of which every bit pattern is a value.
trait Plain: Default {}
impl Plain for libc::c_int {}
impl Plain for [u32; 9] {}

/// What a failed receive means; `None` is to try again.
fn outcome(error: io::Error) -> io::Result<Option<Received>> {
    match error.raw_os_error() {
        Some(libc::EINTR) => Ok(None),
        Some(libc::ENOBUFS) => Ok(Some(Received::Overrun)),
        Some(libc::EAGAIN) => Ok(Some(Received::Timeout)),
        _ => Err(error),
    }
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

fn check_size(result: libc::ssize_t) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}
