use std::fmt;

use crate::wire::{Attr, DecodeError};

/// Labels of a connection: a set of bits 0 to 127, named by `connlabel.conf`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Labels(u128);

impl Labels {
    /// No label.
    pub const NONE: Self = Self(0);

    /// A set from its bits: bit *n* is label *n*.
    pub const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// The set as bits.
    pub const fn bits(self) -> u128 {
        self.0
    }

    /// Whether label `number` is set.
    pub const fn contains(self, number: u8) -> bool {
        number < 128 && self.0 >> number & 1 == 1
    }

    /// The numbers of the labels that are set, ascending.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..128).filter(move |&number| self.contains(number))
    }

    /// Reads the kernel's bitmap: an array of the machine's words, each in the machine's order.
    pub(crate) fn decode(attr: &Attr<'_>, field: &'static str) -> Result<Self, DecodeError> {
        const WORD: usize = size_of::<usize>();
        if attr.payload.len() > 16 {
            return Err(DecodeError::Length {
                field,
                offset: attr.offset,
                length: attr.payload.len(),
                expected: 16,
            });
        }
        let bits = attr
            .payload
            .chunks(WORD)
            .zip(0u32..)
            .fold(0, |bits, (chunk, index)| {
                let mut word = [0; WORD];
                word.iter_mut()
                    .zip(chunk)
                    .for_each(|(to, from)| *to = *from);
                bits | (usize::from_ne_bytes(word) as u128) << (index * usize::BITS)
            });
        Ok(Self(bits))
    }

    pub(crate) fn to_kernel(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        for (chunk, index) in bytes.chunks_mut(size_of::<usize>()).zip(0u32..) {
            chunk.copy_from_slice(&((self.0 >> (index * usize::BITS)) as usize).to_ne_bytes());
        }
        bytes
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
