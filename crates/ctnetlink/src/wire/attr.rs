use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Cursor, DecodeError, align4};

/// `NLA_TYPE_MASK`: the type without the nested and byte-order flags.
const NLA_TYPE_MASK: u16 = 0x3fff;

/// One attribute: type, payload, and where the payload stands.
#[derive(Clone, Copy, Debug)]
pub struct Attr<'a> {
    /// The type, flags removed.
    pub kind: u16,
    /// The payload without header and padding.
    pub payload: &'a [u8],
    /// Offset of the payload.
    pub offset: usize,
}

impl<'a> Attr<'a> {
    #[inline]
    fn exact<const N: usize>(&self, field: &'static str) -> Result<[u8; N], DecodeError> {
        self.payload.try_into().map_err(|_| DecodeError::Length {
            field,
            offset: self.offset,
            length: self.payload.len(),
            expected: N,
        })
    }

    /// One byte.
    #[inline]
    pub fn u8(&self, field: &'static str) -> Result<u8, DecodeError> {
        self.exact::<1>(field).map(|[byte]| byte)
    }

    /// Two bytes in network order.
    #[inline]
    pub fn be16(&self, field: &'static str) -> Result<u16, DecodeError> {
        self.exact(field).map(u16::from_be_bytes)
    }

    /// Four bytes in network order.
    #[inline]
    pub fn be32(&self, field: &'static str) -> Result<u32, DecodeError> {
        self.exact(field).map(u32::from_be_bytes)
    }

    /// Eight bytes in network order.
    #[inline]
    pub fn be64(&self, field: &'static str) -> Result<u64, DecodeError> {
        self.exact(field).map(u64::from_be_bytes)
    }

    /// Exactly `N` bytes.
    #[inline]
    pub fn bytes<const N: usize>(&self, field: &'static str) -> Result<[u8; N], DecodeError> {
        self.exact(field)
    }

    /// An IPv4 address.
    #[inline]
    pub fn ipv4(&self, field: &'static str) -> Result<Ipv4Addr, DecodeError> {
        self.exact::<4>(field).map(Ipv4Addr::from)
    }

    /// An IPv6 address.
    #[inline]
    pub fn ipv6(&self, field: &'static str) -> Result<Ipv6Addr, DecodeError> {
        self.exact::<16>(field).map(Ipv6Addr::from)
    }

    /// Text up to a closing zero byte, if there is one.
    #[inline]
    pub fn text(&self, field: &'static str) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.raw_text()).map_err(|_| DecodeError::Text {
            field,
            offset: self.offset,
        })
    }

    /// The bytes up to a closing zero byte, if there is one: text of which nobody checked the encoding.
    #[inline]
    pub fn raw_text(&self) -> &'a [u8] {
        let mut parts = self.payload.split(|&byte| byte == 0);
        parts.next().unwrap_or_default()
    }

    /// The attributes inside a nested one.
    #[inline]
    pub const fn nested(&self) -> Attrs<'a> {
        Attrs {
            cursor: Cursor::new(self.payload, self.offset),
        }
    }
}

/// The attributes of a message or of a nested attribute, in order.
#[derive(Clone, Copy, Debug)]
pub struct Attrs<'a> {
    cursor: Cursor<'a>,
}

impl<'a> Attrs<'a> {
    /// Attributes from where the cursor stands to its end.
    pub const fn new(cursor: Cursor<'a>) -> Self {
        Self { cursor }
    }

    /// Attributes that fill `bytes`.
    pub const fn from_bytes(bytes: &'a [u8]) -> Self {
        Self::new(Cursor::new(bytes, 0))
    }
}

impl<'a> Iterator for Attrs<'a> {
    type Item = Result<Attr<'a>, DecodeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.cursor.is_empty() {
            return None;
        }
        let offset = self.cursor.offset();
        let attr = take_attr(&mut self.cursor);
        if attr.is_none() {
            self.cursor = Cursor::new(&[], offset);
        }
        Some(attr.ok_or(DecodeError::Truncated {
            field: "nlattr",
            offset,
        }))
    }
}

#[inline]
fn take_attr<'a>(cursor: &mut Cursor<'a>) -> Option<Attr<'a>> {
    let length = usize::from(u16::from_ne_bytes(cursor.array()?));
    let kind = u16::from_ne_bytes(cursor.array()?) & NLA_TYPE_MASK;
    let offset = cursor.offset();
    let payload = cursor.take(length.checked_sub(4)?)?;
    cursor.skip_up_to(align4(length) - length);
    Some(Attr {
        kind,
        payload,
        offset,
    })
}
