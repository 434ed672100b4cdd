//! Bytes of netlink: bounded readers, headers, attributes, acknowledgements, a writer.
//!
//! Nothing here does I/O, indexes a slice or trusts a length. Numbers in netlink and nfnetlink
//! headers and attribute headers are in host order; what attributes of conntrack carry is in
//! network order.

mod ack;
mod attr;
mod cursor;
mod header;
mod writer;

pub use ack::Ack;
pub use attr::{Attr, Attrs};
pub use cursor::Cursor;
pub use header::{Header, Message, Messages, NfGen};
pub use writer::Writer;

/// Why some bytes could not be decoded.
///
/// `field` names the attribute or header as the kernel's headers do; `offset` counts bytes from
/// the start of the datagram's attribute area that was handed to the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A length says more than there is, or less than its own header.
    #[error("{field}: cut short at byte {offset}")]
    Truncated {
        /// What was being read.
        field: &'static str,
        /// Where, in bytes.
        offset: usize,
    },
    /// A known attribute has a length that its type cannot have.
    #[error("{field}: {length} bytes long at byte {offset}, where {expected} were expected")]
    Length {
        /// The attribute's name in the kernel's header.
        field: &'static str,
        /// Where, in bytes.
        offset: usize,
        /// How long it is.
        length: usize,
        /// How long it should be.
        expected: usize,
    },
    /// An attribute without which the message means nothing is not there.
    #[error("{field} is missing")]
    Missing {
        /// The attribute's name in the kernel's header.
        field: &'static str,
    },
    /// Text that is not UTF-8, or longer than the kernel allows.
    #[error("{field}: not a name at byte {offset}")]
    Text {
        /// The attribute's name in the kernel's header.
        field: &'static str,
        /// Where, in bytes.
        offset: usize,
    },
}

/// Rounds up to netlink's alignment of four bytes (`NLMSG_ALIGN`, `NLA_ALIGN`).
pub(crate) const fn align4(length: usize) -> usize {
    length.saturating_add(3) & !3
}
