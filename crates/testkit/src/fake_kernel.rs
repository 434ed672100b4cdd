//! A kernel that says what a test tells it to.
#![allow(
    unsafe_code,
    reason = "socketpair(2) of type SOCK_SEQPACKET, which the standard library does not have"
)]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ctnetlink::constants::*;
use ctnetlink::wire::{Attrs, Cursor, Header, Messages, NfGen, Writer};
use ctnetlink::{Change, Client, Error, NewEntry};

/// What a client asked.
#[derive(Clone, Debug)]
pub struct Request {
    /// How many requests this kernel had before this one.
    pub number: usize,
    /// The socket that it came by: 0 is the client's own, each dump has another.
    pub socket: usize,
    /// Its netlink header.
    pub header: Header,
    /// Its nfnetlink header.
    pub nfgen: NfGen,
    /// Its attributes.
    pub attributes: Vec<u8>,
}

impl Request {
    /// The message's number in its subsystem, such as `IPCTNL_MSG_CT_GET`.
    pub const fn message(&self) -> u16 {
        self.header.kind & 0xff
    }

    /// Whether it asks for a list.
    pub const fn is_dump(&self) -> bool {
        self.header.flags & NLM_F_DUMP == NLM_F_DUMP
    }

    /// The payload of an attribute, if it is there.
    pub fn attribute(&self, kind: u16) -> Option<&[u8]> {
        Attrs::from_bytes(&self.attributes)
            .map_while(Result::ok)
            .find(|attr| attr.kind == kind)
            .map(|attr| attr.payload)
    }
}

/// What the kernel answers: datagrams of messages, in order.
///
/// Messages go into one datagram until [`split`](Self::split) begins another.
#[derive(Clone, Debug)]
pub struct Reply {
    sequence: u32,
    datagrams: Vec<Vec<u8>>,
    /// Where the last message begins in the last datagram.
    last: usize,
    closes: bool,
}

impl Reply {
    /// Says nothing, ever.
    pub const fn silence() -> Self {
        Self {
            sequence: 0,
            datagrams: Vec::new(),
            last: 0,
            closes: false,
        }
    }

    /// An answer to a request.
    pub fn to(request: &Request) -> Self {
        Self {
            sequence: request.header.sequence,
            ..Self::silence()
        }
    }

    /// A message of any kind.
    #[must_use]
    pub fn message(mut self, kind: u16, flags: u16, payload: &[u8]) -> Self {
        if self.datagrams.is_empty() {
            self.datagrams.push(Vec::new());
        }
        if let Some(datagram) = self.datagrams.last_mut() {
            self.last = datagram.len();
            let length = Header::SIZE + payload.len();
            datagram.extend_from_slice(&(length as u32).to_ne_bytes());
            datagram.extend_from_slice(&kind.to_ne_bytes());
            datagram.extend_from_slice(&flags.to_ne_bytes());
            datagram.extend_from_slice(&self.sequence.to_ne_bytes());
            datagram.extend_from_slice(&0u32.to_ne_bytes());
            datagram.extend_from_slice(payload);
            datagram.resize(datagram.len().next_multiple_of(4), 0);
        }
        self
    }

    /// An entry, as in a dump.
    #[must_use]
    pub fn entry(self, entry: &NewEntry, id: u32) -> Self {
        self.message(
            ct_message(IPCTNL_MSG_CT_NEW),
            NLM_F_MULTI,
            &entry_payload(entry, id),
        )
    }

    /// Entries, `in_each` of them a datagram; their ids count from 1.
    #[must_use]
    pub fn entries<'a>(
        self,
        entries: impl IntoIterator<Item = &'a NewEntry>,
        in_each: usize,
    ) -> Self {
        entries
            .into_iter()
            .zip(1u32..)
            .fold(self, |reply, (entry, id)| {
                let reply = reply.entry(entry, id);
                if id as usize % in_each == 0 {
                    reply.split()
                } else {
                    reply
                }
            })
    }

    /// The end of a list; `errno` 0 is success.
    #[must_use]
    pub fn done(self, errno: i32) -> Self {
        self.message(NLMSG_DONE, NLM_F_MULTI, &(-errno).to_ne_bytes())
    }

    /// An acknowledgement, as a socket with `NETLINK_CAP_ACK` gets it; `errno` 0 is success.
    #[must_use]
    pub fn ack(self, errno: i32) -> Self {
        let mut payload = (-errno).to_ne_bytes().to_vec();
        payload.extend_from_slice(&[0; Header::SIZE]);
        self.message(NLMSG_ERROR, NLM_F_CAPPED, &payload)
    }

    /// An acknowledgement with the kernel's sentence and the offset of what is wrong.
    #[must_use]
    pub fn ack_with_text(self, errno: i32, text: &str, offset: u32) -> Self {
        let mut payload = (-errno).to_ne_bytes().to_vec();
        payload.extend_from_slice(&[0; Header::SIZE]);
        let mut tail = Writer::new();
        tail.text(NLMSGERR_ATTR_MSG, text);
        tail.attr(NLMSGERR_ATTR_OFFS, &offset.to_ne_bytes());
        payload.extend_from_slice(tail.bytes());
        self.message(NLMSG_ERROR, NLM_F_CAPPED | NLM_F_ACK_TLVS, &payload)
    }

    /// What follows comes in another datagram.
    #[must_use]
    pub fn split(mut self) -> Self {
        self.datagrams.push(Vec::new());
        self
    }

    /// Sets flags in the last message's header, such as `NLM_F_DUMP_INTR`.
    #[must_use]
    pub fn with_flags(mut self, flags: u16) -> Self {
        if let Some(slot) = self.last_header().and_then(|h| h.get_mut(6..8)) {
            let old = slot.first_chunk().map_or(0, |b| u16::from_ne_bytes(*b));
            slot.copy_from_slice(&(old | flags).to_ne_bytes());
        }
        self
    }

    /// Makes the last message say another length than it has.
    #[must_use]
    pub fn with_length(mut self, length: u32) -> Self {
        if let Some(slot) = self.last_header().and_then(|h| h.get_mut(..4)) {
            slot.copy_from_slice(&length.to_ne_bytes());
        }
        self
    }

    /// What follows answers another request than the one that came.
    #[must_use]
    pub const fn with_sequence(mut self, sequence: u32) -> Self {
        self.sequence = sequence;
        self
    }

    /// Takes bytes away from the end of the last datagram.
    #[must_use]
    pub fn cut(mut self, bytes: usize) -> Self {
        if let Some(datagram) = self.datagrams.last_mut() {
            datagram.truncate(datagram.len().saturating_sub(bytes));
        }
        self
    }

    /// Bytes as they are, as a datagram of their own.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.datagrams.push(bytes.to_vec());
        self
    }

    /// Closes the socket after it.
    #[must_use]
    pub const fn close(mut self) -> Self {
        self.closes = true;
        self
    }

    fn last_header(&mut self) -> Option<&mut [u8]> {
        let last = self.last;
        self.datagrams.last_mut()?.get_mut(last..)
    }
}

/// What the kernel sends of an entry: a `nfgenmsg` and attributes.
pub fn entry_payload(entry: &NewEntry, id: u32) -> Vec<u8> {
    let mut writer = Writer::new();
    Change::Create(Box::new(entry.clone())).write(&mut writer, 0, false);
    writer.be32(CTA_ID, id);
    writer
        .bytes()
        .get(Header::SIZE..)
        .unwrap_or_default()
        .to_vec()
}

/// A kernel at the other end of a client's sockets.
pub struct FakeKernel {
    state: Arc<State>,
}

struct State {
    script: Box<dyn Fn(&Request) -> Reply + Send + Sync>,
    sockets: AtomicUsize,
    requests: Mutex<Vec<Request>>,
}

impl FakeKernel {
    /// A kernel that answers each request by `script`.
    pub fn new(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self {
            state: Arc::new(State {
                script: Box::new(script),
                sockets: AtomicUsize::new(0),
                requests: Mutex::default(),
            }),
        }
    }

    /// A client of it.
    pub fn client(&self) -> Result<Client, Error> {
        let state = Arc::clone(&self.state);
        Client::with_connector(move || {
            let (ours, theirs) = seqpacket_pair()?;
            let socket = state.sockets.fetch_add(1, Ordering::SeqCst);
            let state = Arc::clone(&state);
            std::thread::Builder::new()
                .name("fake kernel".to_owned())
                .spawn(move || state.serve(&ours.into(), socket))?;
            Ok(theirs)
        })
    }

    /// Every request that came so far.
    pub fn requests(&self) -> Vec<Request> {
        self.state.requests().clone()
    }
}

impl State {
    fn requests(&self) -> std::sync::MutexGuard<'_, Vec<Request>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers one socket until the client or the script closes it.
    fn serve(&self, fd: &UnixDatagram, socket: usize) {
        let mut buffer = vec![0; 1 << 20];
        while let Ok(length @ 1..) = fd.recv(&mut buffer) {
            let datagram = buffer.get(..length).unwrap_or_default();
            for message in Messages::new(datagram).map_while(Result::ok) {
                let Ok((nfgen, _)) = message.nfnetlink() else {
                    continue;
                };
                let mut cursor = Cursor::new(message.payload, 0);
                let _ = cursor.take(NfGen::SIZE);
                let request = {
                    let mut requests = self.requests();
                    let request = Request {
                        number: requests.len(),
                        socket,
                        header: message.header,
                        nfgen,
                        attributes: cursor.rest().to_vec(),
                    };
                    requests.push(request.clone());
                    request
                };
                let reply = (self.script)(&request);
                for datagram in reply.datagrams.iter().filter(|d| !d.is_empty()) {
                    if fd.send(datagram).is_err() {
                        return;
                    }
                }
                if reply.closes {
                    return;
                }
            }
        }
    }
}

/// Two ends that keep datagrams whole and notice when the other end is closed.
fn seqpacket_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [-1; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: the kernel writes two descriptors into `fds`.
    if unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, fds.as_mut_ptr()) } < 0 {
        return Err(io::Error::last_os_error());
    }
    let [ours, theirs] = fds;
    // SAFETY: both were just made and belong to nobody else.
    Ok(unsafe { (OwnedFd::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)) })
}
