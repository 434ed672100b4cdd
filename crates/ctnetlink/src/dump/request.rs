//! One request of a dump: a socket, a thread that receives, and how far its answer has been read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use super::plan::Ask;
use super::{Dumper, QUEUE, Table};
use crate::constants::*;
use crate::control::sequence;
use crate::error::{Error, Operation};
use crate::message::{Entry, Family};
use crate::socket::{DATAGRAM, Received, Socket};
use crate::wire::{Ack, DecodeError, Messages, NfGen, Writer, align4};

/// Bytes that are handed to the decoder at once: waking it costs as much as decoding fifty entries,
/// and a datagram has only a hundred.
const BATCH: usize = 128 * 1024;

/// What a thread has received: the number of the request and a part of its answer.
pub(super) type Batch = (u32, Result<Vec<u8>, Error>);

/// A request that is being answered. Dropping it ends it.
pub(super) struct Running {
    pub(super) ask: Ask,
    /// The request's sequence number.
    pub(super) number: u32,
    /// Entries that the kernel sent for this request.
    pub(super) seen: u64,
    /// Whether the kernel said that the table changed under it.
    pub(super) interrupted: bool,
    recycle: SyncSender<Vec<u8>>,
    batch: Vec<u8>,
    offset: usize,
    is_over: Arc<AtomicBool>,
}

pub(super) enum Step {
    /// An entry, which has been decoded.
    Entry,
    /// A message that is no part of the answer.
    Foreign,
    NeedBatch,
    Done,
    Refused(Error),
}

impl Running {
    /// Sends the request; its answer goes to `batches`.
    pub(super) fn start(
        dumper: &Dumper,
        table: Table,
        ask: Ask,
        zero: bool,
        batches: SyncSender<Batch>,
    ) -> Result<Self, Error> {
        let io = Error::io(Operation::Dump);
        let socket = Socket::new(dumper.connect.connect().map_err(&io)?);
        let patience = dumper.patience;
        socket.set_receive_timeout(Some(patience)).map_err(&io)?;
        let number = sequence();
        socket
            .send(&encode(&ask, table, zero, number))
            .map_err(&io)?;
        let (recycle, empty) = sync_channel(QUEUE + 2);
        let is_over = Arc::new(AtomicBool::new(false));
        let receiver = Receiving {
            socket,
            patience,
            number,
            batches,
            empty,
            is_over: Arc::clone(&is_over),
        };
        std::thread::Builder::new()
            .name("dump".to_owned())
            .spawn(move || receiver.run())
            .map_err(&io)?;
        Ok(Self {
            ask,
            number,
            seen: 0,
            interrupted: false,
            recycle,
            batch: Vec::new(),
            offset: 0,
            is_over,
        })
    }

    /// Takes the next part of the answer, after the last one has been read.
    pub(super) fn read_on(&mut self, batch: Vec<u8>) {
        let _ = self
            .recycle
            .try_send(std::mem::replace(&mut self.batch, batch));
        self.offset = 0;
    }

    /// Reads on; decodes into `entry` if that is what comes.
    #[inline]
    pub(super) fn next_message(&mut self, entry: &mut Entry) -> Step {
        let Some(rest) = self
            .batch
            .get(self.offset..)
            .filter(|rest| !rest.is_empty())
        else {
            return Step::NeedBatch;
        };
        let malformed = Error::malformed(Operation::Dump);
        let mut messages = Messages::new(rest);
        let message = match messages.next() {
            Some(Ok(message)) => message,
            Some(Err(error)) => return Step::Refused(malformed(error)),
            None => return Step::NeedBatch,
        };
        self.offset = self.batch.len() - messages.rest().len();
        if message.header.sequence != self.number {
            return Step::Foreign;
        }
        self.interrupted |= message.header.flags & NLM_F_DUMP_INTR != 0;
        match message.header.kind {
            NLMSG_DONE => match Ack::decode_done(&message) {
                Ack { errno: 0, .. } => Step::Done,
                ack => Step::Refused(Error::kernel(Operation::Dump, &ack)),
            },
            NLMSG_ERROR => match Ack::decode(&message) {
                Some(Ack { errno: 0, .. }) => Step::Done,
                Some(ack) => Step::Refused(Error::kernel(Operation::Dump, &ack)),
                None => Step::Refused(malformed(DecodeError::Truncated {
                    field: "nlmsgerr",
                    offset: 0,
                })),
            },
            NLMSG_NOOP => Step::Foreign,
            _ => match message
                .nfnetlink()
                .and_then(|(_, attrs)| entry.decode_into(attrs))
            {
                Ok(()) => Step::Entry,
                Err(error) => Step::Refused(malformed(error)),
            },
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

fn encode(ask: &Ask, table: Table, zero: bool, number: u32) -> Vec<u8> {
    let message = match (table, zero) {
        (Table::Conntrack, false) => IPCTNL_MSG_CT_GET,
        (Table::Conntrack, true) => IPCTNL_MSG_CT_GET_CTRZERO,
        (Table::Dying, _) => IPCTNL_MSG_CT_GET_DYING,
        (Table::Unconfirmed, _) => IPCTNL_MSG_CT_GET_UNCONFIRMED,
    };
    let mut writer = Writer::new();
    let nfgen = NfGen {
        family: ask.kernel.family.map_or(AF_UNSPEC, Family::number),
        version: 0,
        resource: 0,
    };
    let flags = NLM_F_REQUEST | NLM_F_DUMP;
    writer.message(ct_message(message), flags, number, nfgen, |w| {
        ask.kernel.encode(w);
    });
    writer.bytes().to_vec()
}

/// What the thread has.
struct Receiving {
    socket: Socket,
    patience: Duration,
    number: u32,
    batches: SyncSender<Batch>,
    empty: Receiver<Vec<u8>>,
    /// Whether nobody waits for the answer any more.
    is_over: Arc<AtomicBool>,
}

impl Receiving {
    /// Receives until the dump's end and passes every datagram on.
    fn run(self) {
        let mut buffer = Vec::with_capacity(BATCH + DATAGRAM);
        while !self.is_over.load(Ordering::Relaxed) {
            let start = buffer.len();
            // What has come is not held back for what has not.
            let failed = match self.socket.receive_after(&mut buffer, start == 0) {
                Ok(Received::Timeout) if start > 0 => {
                    if !self.pass_on(Ok(buffer)) {
                        return;
                    }
                    buffer = self.recycled();
                    continue;
                }
                Ok(Received::Bytes(length)) if length > buffer.len() - start => Error::Truncated {
                    operation: Operation::Dump,
                    length,
                },
                Ok(Received::Closed) => Error::Closed {
                    operation: Operation::Dump,
                },
                Ok(Received::Bytes(_)) => {
                    let datagram = buffer.get(start..).unwrap_or_default();
                    let last = ends_dump(datagram, self.number);
                    // So that the batch reads as one sequence of messages.
                    buffer.resize(align4(buffer.len()), 0);
                    if buffer.len() < BATCH && !last {
                        continue;
                    }
                    if !self.pass_on(Ok(buffer)) || last {
                        return;
                    }
                    buffer = self.recycled();
                    continue;
                }
                Ok(Received::Overrun) => Error::AnswerLost {
                    operation: Operation::Dump,
                },
                Ok(Received::Timeout) => Error::Timeout {
                    operation: Operation::Dump,
                    seconds: self.patience.as_secs(),
                },
                Err(error) => Error::io(Operation::Dump)(error),
            };
            // What came before it is true.
            buffer.truncate(start);
            if !buffer.is_empty() {
                self.pass_on(Ok(buffer));
            }
            self.pass_on(Err(failed));
            return;
        }
    }

    /// Whether somebody took it.
    fn pass_on(&self, part: Result<Vec<u8>, Error>) -> bool {
        self.batches.send((self.number, part)).is_ok()
    }

    /// An empty buffer, one that was used before if there is one.
    fn recycled(&self) -> Vec<u8> {
        let mut buffer = self
            .empty
            .try_recv()
            .unwrap_or_else(|_| Vec::with_capacity(BATCH + DATAGRAM));
        buffer.clear();
        buffer
    }
}

/// Whether a datagram holds the dump's last message.
fn ends_dump(datagram: &[u8], number: u32) -> bool {
    Messages::new(datagram).any(|message| {
        message.is_ok_and(|message| {
            matches!(message.header.kind, NLMSG_DONE | NLMSG_ERROR)
                && message.header.sequence == number
        })
    })
}
