use super::{Attrs, Cursor, Message};
use crate::constants::{NLM_F_ACK_TLVS, NLM_F_CAPPED, NLMSGERR_ATTR_MSG, NLMSGERR_ATTR_OFFS};

/// What `NLMSG_ERROR` and the tail of `NLMSG_DONE` say: success or an errno, and with extended
/// acknowledgements the kernel's own sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack<'a> {
    /// 0 for success, else a positive errno.
    pub errno: i32,
    /// The kernel's sentence, where it has one.
    pub message: Option<&'a str>,
    /// Offset in the request of the attribute at fault, where the kernel says so.
    pub offset: Option<u32>,
}

impl<'a> Ack<'a> {
    /// Reads an `NLMSG_ERROR` message; `None` if it is too short to hold an errno.
    ///
    /// Extended attributes that cannot be read are passed over: the errno is what counts.
    pub fn decode(message: &Message<'a>) -> Option<Self> {
        let mut cursor = Cursor::new(message.payload, 0);
        let errno = i32::from_ne_bytes(cursor.array()?).saturating_neg();
        let mut ack = Self {
            errno,
            message: None,
            offset: None,
        };
        if message.header.flags & NLM_F_ACK_TLVS != 0
            && let Some(request_length) = cursor.rest().first_chunk()
        {
            let echoed = if message.header.flags & NLM_F_CAPPED != 0 || errno == 0 {
                super::Header::SIZE
            } else {
                super::align4(u32::from_ne_bytes(*request_length) as usize)
            };
            if cursor.take(echoed).is_some() {
                ack.read_attributes(Attrs::new(cursor));
            }
        }
        Some(ack)
    }

    /// Reads the errno and attributes that `NLMSG_DONE` ends a dump with.
    pub fn decode_done(message: &Message<'a>) -> Self {
        let mut cursor = Cursor::new(message.payload, 0);
        let errno = cursor
            .array()
            .map_or(0, |bytes| i32::from_ne_bytes(bytes).saturating_neg());
        let mut ack = Self {
            errno: errno.max(0),
            message: None,
            offset: None,
        };
        if message.header.flags & NLM_F_ACK_TLVS != 0 {
            ack.read_attributes(Attrs::new(cursor));
        }
        ack
    }

    fn read_attributes(&mut self, attrs: Attrs<'a>) {
        for attr in attrs.map_while(Result::ok) {
            match attr.kind {
                NLMSGERR_ATTR_MSG => self.message = attr.text("NLMSGERR_ATTR_MSG").ok(),
                NLMSGERR_ATTR_OFFS => {
                    self.offset = attr
                        .bytes("NLMSGERR_ATTR_OFFS")
                        .ok()
                        .map(u32::from_ne_bytes);
                }
                _ => {}
            }
        }
    }
}
