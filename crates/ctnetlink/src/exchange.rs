//! Requests in the caller's own words.

use crate::constants::NLM_F_REQUEST;
use crate::control::{Control, sequence};
use crate::error::{Error, Operation};
use crate::wire::{Attrs, DecodeError, NfGen, Writer};

/// A socket for requests whose attributes the caller writes, one after another.
///
/// For what [`Client`](crate::Client)'s verbs do not say: an entry with half a tuple, other
/// subsystems of nfnetlink. Numbers of messages and attributes are in
/// [`constants`](crate::constants).
pub struct Exchange {
    control: Control,
}

impl Exchange {
    pub(crate) const fn new(control: Control) -> Self {
        Self { control }
    }

    /// Sends one request and gives each message of the answer to `each`, up to the acknowledgement
    /// or the end of the list: `flags` must ask for one of them (`NLM_F_ACK`, `NLM_F_DUMP`).
    pub fn request(
        &mut self,
        operation: Operation,
        kind: u16,
        flags: u16,
        nfgen: NfGen,
        body: impl FnOnce(&mut Writer),
        each: impl FnMut(NfGen, Attrs<'_>) -> Result<(), DecodeError>,
    ) -> Result<(), Error> {
        self.control
            .request(operation, kind, flags, nfgen, body, each)
    }

    /// Sends one message that [`Exchange::message`] wrote, and gives the error if there is one. The
    /// kernel works through it before the call returns.
    pub fn tell(&mut self, operation: Operation, message: &[u8]) -> Result<(), Error> {
        self.control.tell(operation, message)
    }

    /// Writes one message that asks for no answer but an error.
    pub fn message(
        writer: &mut Writer,
        kind: u16,
        flags: u16,
        nfgen: NfGen,
        body: impl FnOnce(&mut Writer),
    ) {
        writer.message(kind, NLM_F_REQUEST | flags, sequence(), nfgen, body);
    }
}
