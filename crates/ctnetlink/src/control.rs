//! The socket that asks and is answered: one request at a time, or a batch of changes.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::constants::*;
use crate::error::{Error, Operation};
use crate::message::Change;
use crate::socket::{Received, Socket};
use crate::wire::{Ack, Attrs, DecodeError, Message, Messages, NfGen, Writer};

/// Receive buffer of the socket: room for the errors of a whole batch of changes.
const RECEIVE_BUFFER: usize = 4 << 20;

/// A socket, and what is written to it and read from it.
pub(crate) struct Control {
    patience: Duration,
    socket: Socket,
    writer: Writer,
    buffer: Vec<u8>,
}

impl Control {
    /// Takes a new socket.
    pub(crate) fn new(fd: OwnedFd, patience: Duration) -> Result<Self, Error> {
        let socket = Socket::new(fd);
        // Less room only means that fewer lost answers are noticed as such; see `apply`.
        let _ = socket.set_receive_buffer(RECEIVE_BUFFER);
        let mut control = Self {
            patience,
            socket,
            writer: Writer::new(),
            buffer: Vec::new(),
        };
        control.set_patience(patience)?;
        Ok(control)
    }

    /// How long an answer may take.
    pub(crate) fn set_patience(&mut self, patience: Duration) -> Result<(), Error> {
        let result = self.socket.set_receive_timeout(Some(patience));
        result.map_err(Error::io(Operation::Open))?;
        self.patience = patience;
        Ok(())
    }

    /// Sends one request and reads its answers up to the acknowledgement or the end of the list.
    pub(crate) fn request(
        &mut self,
        operation: Operation,
        kind: u16,
        flags: u16,
        nfgen: NfGen,
        body: impl FnOnce(&mut Writer),
        mut each: impl FnMut(NfGen, Attrs<'_>) -> Result<(), DecodeError>,
    ) -> Result<(), Error> {
        let number = sequence();
        self.writer.clear();
        self.writer
            .message(kind, NLM_F_REQUEST | flags, number, nfgen, body);
        self.socket
            .send(self.writer.bytes())
            .map_err(Error::io(operation))?;
        let malformed = Error::malformed(operation);
        let mut failed = None;
        loop {
            self.receive(operation)?;
            for message in Messages::new(&self.buffer) {
                let message = message.map_err(&malformed)?;
                // A late answer to a request that was given up.
                if message.header.sequence != number {
                    continue;
                }
                if let Some(ack) = ack(&message).map_err(&malformed)? {
                    return match (ack.errno, failed) {
                        (0, None) => Ok(()),
                        (0, Some(error)) => Err(error),
                        _ => Err(Error::kernel(operation, &ack)),
                    };
                }
                let outcome = message
                    .nfnetlink()
                    .and_then(|(nfgen, attrs)| each(nfgen, attrs));
                if let Err(error) = outcome {
                    failed.get_or_insert_with(|| malformed(error));
                }
            }
        }
    }

    /// Sends one message that asks for no acknowledgement, and gives the error that the kernel has
    /// answered by the time the call returns: it works through a message before it does. What was
    /// answered to nothing is passed over.
    pub(crate) fn tell(&mut self, operation: Operation, bytes: &[u8]) -> Result<(), Error> {
        self.socket.send(bytes).map_err(Error::io(operation))?;
        self.buffer.clear();
        let received = self
            .socket
            .receive_after(&mut self.buffer, false)
            .map_err(Error::io(operation))?;
        match received {
            Received::Timeout => return Ok(()),
            Received::Overrun => return Err(Error::AnswerLost { operation }),
            Received::Closed => return Err(Error::Closed { operation }),
            Received::Bytes(length) if length > self.buffer.len() => {
                return Err(Error::Truncated { operation, length });
            }
            Received::Bytes(_) => {}
        }
        let malformed = Error::malformed(operation);
        for message in Messages::new(&self.buffer) {
            let message = message.map_err(&malformed)?;
            if let Some(ack) = ack(&message).map_err(&malformed)?
                && ack.errno != 0
            {
                return Err(Error::kernel(operation, &ack));
            }
        }
        Ok(())
    }

    /// Sends a batch of changes and gives each one's result.
    pub(crate) fn apply(&mut self, batch: &[Change]) -> Result<Vec<Result<(), Error>>, Error> {
        let operation = batch.first().map_or(Operation::Update, operation_of);
        let first = sequences(batch.len());
        self.writer.clear();
        for (index, change) in batch.iter().enumerate() {
            let is_last = index + 1 == batch.len();
            change.write(&mut self.writer, first.wrapping_add(index as u32), is_last);
        }
        self.socket
            .send(self.writer.bytes())
            .map_err(Error::io(operation))?;

        let mut results: Vec<Result<(), Error>> = batch.iter().map(|_| Ok(())).collect();
        let malformed = Error::malformed(operation);
        loop {
            match self.receive(operation) {
                Ok(()) => {}
                Err(Error::AnswerLost { .. }) => {
                    // Which of them failed is not known any more, so none may pass as done.
                    for (result, change) in results.iter_mut().zip(batch) {
                        if result.is_ok() {
                            *result = Err(Error::AnswerLost {
                                operation: operation_of(change),
                            });
                        }
                    }
                    return Ok(results);
                }
                Err(error) => return Err(error),
            }
            for message in Messages::new(&self.buffer) {
                let message = message.map_err(&malformed)?;
                let index = message.header.sequence.wrapping_sub(first) as usize;
                let (Some(result), Some(change)) = (results.get_mut(index), batch.get(index))
                else {
                    continue;
                };
                let Some(ack) = ack(&message).map_err(&malformed)? else {
                    continue;
                };
                if ack.errno != 0 {
                    *result = Err(Error::kernel(operation_of(change), &ack));
                }
                if index + 1 == batch.len() {
                    return Ok(results);
                }
            }
        }
    }

    fn receive(&mut self, operation: Operation) -> Result<(), Error> {
        match self
            .socket
            .receive(&mut self.buffer)
            .map_err(Error::io(operation))?
        {
            Received::Bytes(length) if length > self.buffer.len() => {
                Err(Error::Truncated { operation, length })
            }
            Received::Closed => Err(Error::Closed { operation }),
            Received::Bytes(_) => Ok(()),
            Received::Overrun => Err(Error::AnswerLost { operation }),
            Received::Timeout => Err(Error::Timeout {
                operation,
                seconds: self.patience.as_secs(),
            }),
        }
    }
}

/// What ends an answer: an acknowledgement, an error, or the end of a list.
fn ack<'a>(message: &Message<'a>) -> Result<Option<Ack<'a>>, DecodeError> {
    match message.header.kind {
        NLMSG_DONE => Ok(Some(Ack::decode_done(message))),
        NLMSG_ERROR => Ack::decode(message)
            .map(Some)
            .ok_or(DecodeError::Truncated {
                field: "nlmsgerr",
                offset: 0,
            }),
        _ => Ok(None),
    }
}

const fn operation_of(change: &Change) -> Operation {
    match change {
        Change::Create(_) | Change::Put(_) => Operation::Create,
        Change::Update(..) => Operation::Update,
        Change::Delete(_) => Operation::Delete,
        Change::CreateExpectation(_) => Operation::ExpectationCreate,
        Change::DeleteExpectation(_) => Operation::ExpectationDelete,
    }
}

/// A number that no other request of this process has; never 0, which events have.
pub(crate) fn sequence() -> u32 {
    sequences(1)
}

fn sequences(count: usize) -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    loop {
        let first = NEXT.fetch_add(count as u32, Ordering::Relaxed);
        if first != 0 && first.checked_add(count as u32).is_some() {
            return first;
        }
    }
}
