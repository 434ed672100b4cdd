use super::{Attrs, Cursor, DecodeError, align4};

/// `struct nlmsghdr`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Length of the message with this header, in bytes.
    pub length: u32,
    /// Message type; for nfnetlink the subsystem in the upper byte and the message in the lower.
    pub kind: u16,
    /// `NLM_F_…` bits.
    pub flags: u16,
    /// The request's number, 0 for events.
    pub sequence: u32,
    /// The receiving socket's port.
    pub port: u32,
}

impl Header {
    /// Bytes of a header on the wire.
    pub const SIZE: usize = 16;

    fn decode(cursor: &mut Cursor<'_>) -> Option<Self> {
        Some(Self {
            length: u32::from_ne_bytes(cursor.array()?),
            kind: u16::from_ne_bytes(cursor.array()?),
            flags: u16::from_ne_bytes(cursor.array()?),
            sequence: u32::from_ne_bytes(cursor.array()?),
            port: u32::from_ne_bytes(cursor.array()?),
        })
    }
}

/// `struct nfgenmsg`, the header of every nfnetlink message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NfGen {
    /// Address family: 2 is IPv4, 10 is IPv6, 0 any.
    pub family: u8,
    /// Always 0 from today's kernels.
    pub version: u8,
    /// A small number whose meaning depends on the message; the CPU in statistics.
    pub resource: u16,
}

impl NfGen {
    /// Bytes of a header on the wire.
    pub const SIZE: usize = 4;

    fn decode(cursor: &mut Cursor<'_>) -> Option<Self> {
        let [family, version] = cursor.array()?;
        Some(Self {
            family,
            version,
            resource: u16::from_be_bytes(cursor.array()?),
        })
    }
}

/// One netlink message: its header and what follows it.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The message's header.
    pub header: Header,
    /// Everything after the header, without padding.
    pub payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads the payload as nfnetlink: a [`NfGen`] and attributes.
    #[inline]
    pub fn nfnetlink(&self) -> Result<(NfGen, Attrs<'a>), DecodeError> {
        let mut cursor = Cursor::new(self.payload, 0);
        let nfgen = NfGen::decode(&mut cursor).ok_or(DecodeError::Truncated {
            field: "nfgenmsg",
            offset: 0,
        })?;
        Ok((nfgen, Attrs::new(cursor)))
    }
}

/// The messages of one datagram, in order.
///
/// A broken header ends the iteration with an error: what follows it cannot be found.
#[derive(Clone, Copy, Debug)]
pub struct Messages<'a> {
    cursor: Cursor<'a>,
}

impl<'a> Messages<'a> {
    /// Reads a datagram as received.
    pub const fn new(datagram: &'a [u8]) -> Self {
        Self {
            cursor: Cursor::new(datagram, 0),
        }
    }

    /// What has not been read yet.
    pub const fn rest(&self) -> &'a [u8] {
        self.cursor.rest()
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, DecodeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.cursor.is_empty() {
            return None;
        }
        let offset = self.cursor.offset();
        let cut = DecodeError::Truncated {
            field: "nlmsghdr",
            offset,
        };
        let Some(header) = Header::decode(&mut self.cursor) else {
            self.cursor = Cursor::new(&[], offset);
            return Some(Err(cut));
        };
        let length = header.length as usize;
        let payload = length
            .checked_sub(Header::SIZE)
            .and_then(|payload| self.cursor.take(payload));
        let Some(payload) = payload else {
            self.cursor = Cursor::new(&[], offset);
            return Some(Err(cut));
        };
        self.cursor.skip_up_to(align4(length) - length);
        Some(Ok(Message { header, payload }))
    }
}
