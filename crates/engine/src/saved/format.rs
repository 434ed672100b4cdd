//! What a saved table looks like in bytes: docs/saved.md in code.

use std::io;

use ctnetlink::Entry;

use super::{End, Format};
use crate::failure::Failure;

/// The first bytes. Like those of PNG: not text, and a transfer that takes it for text breaks it.
pub(super) const MAGIC: [u8; 8] = *b"\x89TLCT\r\n\x1a";

/// The version that is written, and the newest that is read.
pub(super) const VERSION: u16 = 1;

/// Entries of one block, in bytes before compression: this much is collected before it is written.
pub(super) const BLOCK: usize = 128 * 1024;

/// A larger entry is not written. The largest that the kernel has come with a security context of
/// 64 kB.
pub(super) const ENTRY_LIMIT: u32 = 1 << 20;

/// A block that is larger than this, packed or not, is not read.
pub(super) const BLOCK_LIMIT: u32 = 2 << 20;

/// Header and trailer, which are not compressed.
pub(super) const NOTE_LIMIT: u32 = 1 << 20;

/// What a section of the file holds.
pub(super) const HEADER: u8 = b'H';
pub(super) const ENTRIES: u8 = b'E';
pub(super) const TRAILER: u8 = b'T';

/// The bytes behind the magic: version, byte order of the attributes.
pub(super) fn preamble() -> [u8; 4] {
    let [low, high] = VERSION.to_le_bytes();
    [low, high, ORDER, 0]
}

/// Netlink attributes are in the byte order of the machine that wrote them.
pub(super) const ORDER: u8 = if cfg!(target_endian = "little") {
    b'l'
} else {
    b'b'
};

/// What stands before a section's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: u8,
    /// Entries in it.
    pub(super) count: u32,
    /// Bytes when decompressed.
    pub(super) plain: u32,
    /// Bytes that follow.
    pub(super) stored: u32,
    /// CRC-32 of the head up to here and of the bytes that follow.
    pub(super) checksum: u32,
}

impl Head {
    pub(super) const SIZE: usize = 20;

    /// The head of a section of these bytes, with its checksum.
    pub(super) fn of(kind: u8, count: u32, plain: u32, stored: &[u8]) -> Self {
        let mut head = Self {
            kind,
            count,
            plain,
            stored: u32::try_from(stored.len()).unwrap_or(u32::MAX),
            checksum: 0,
        };
        head.checksum = head.sum(stored);
        head
    }

    /// What the checksum should be.
    pub(super) fn sum(&self, stored: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        let bytes = self.to_bytes();
        hasher.update(bytes.split_at(Self::SIZE - 4).0);
        hasher.update(stored);
        hasher.finalize()
    }

    pub(super) fn to_bytes(self) -> [u8; Self::SIZE] {
        let words = [
            u32::from(self.kind),
            self.count,
            self.plain,
            self.stored,
            self.checksum,
        ];
        let mut bytes = [0; Self::SIZE];
        for (to, word) in bytes.chunks_exact_mut(4).zip(words) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// `None` where the kind is not one byte and three zeros.
    pub(super) fn from_bytes(bytes: &[u8; Self::SIZE]) -> Option<Self> {
        let mut words = bytes
            .chunks_exact(4)
            .map(|word| Some(u32::from_le_bytes(word.try_into().ok()?)));
        let mut next = || words.next().flatten();
        Some(Self {
            kind: u8::try_from(next()?).ok()?,
            count: next()?,
            plain: next()?,
            stored: next()?,
            checksum: next()?,
        })
    }
}

/// What reading on gives.
pub(super) enum Next<'a> {
    Entry(&'a Entry),
    End(End),
}

/// What is wrong with a file.
#[derive(Debug)]
pub(super) enum Wrong {
    Unreadable(io::Error),
    Empty,
    NotATable,
    /// Written by a later version of the format.
    Newer(u16),
    /// Written by a machine of the other byte order.
    OtherOrder,
    /// It ends before its trailer.
    CutOff,
    Damaged(String),
    /// A line of conntrack(8)'s.
    Line {
        number: u64,
        wrong: String,
    },
}

impl From<io::Error> for Wrong {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::CutOff,
            _ => Self::Unreadable(error),
        }
    }
}

impl Wrong {
    pub(super) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged(what.into())
    }

    /// The failure to show; `good` entries were read before.
    pub(super) fn failure(&self, name: &str, good: u64) -> Failure {
        let before = match good {
            0 => "no entry before that is good".to_owned(),
            1 => "the one entry before that is good".to_owned(),
            good => format!("the {good} entries before that are good"),
        };
        let give = "give a file that tracklight save or conntrack -L -o save wrote";
        let take = "take another copy; tracklight restore --damaged takes what is good";
        match self {
            Self::Unreadable(error) => {
                let mut failure = super::unreadable(name, error);
                if good > 0 {
                    failure.message += &format!("; {before}");
                }
                failure
            }
            Self::Empty => Failure::new("not-a-table", format!("{name} is empty"), give),
            Self::NotATable => {
                Failure::new("not-a-table", format!("{name} is not a saved table"), give)
            }
            Self::Newer(version) => Failure::new(
                "newer-format",
                format!(
                    "{name} has version {version} of the format; this program reads up to {VERSION}"
                ),
                "read it with a newer tracklight",
            ),
            Self::OtherOrder => Failure::new(
                "other-byte-order",
                format!("{name} was written by a machine of another byte order"),
                "read it on a machine like the one that wrote it",
            ),
            Self::CutOff => {
                Failure::new("cut-off", format!("{name} ends too early, {before}"), take)
            }
            Self::Damaged(what) => Failure::new(
                "damaged",
                format!("{name} is damaged: {what}; {before}"),
                take,
            ),
            Self::Line { number, wrong } => Failure::new(
                "bad-line",
                format!("{name}, line {number}: {wrong}; {before}"),
                "mend the line or take it out; tracklight restore --damaged takes what is before it",
            ),
        }
    }
}

/// Which kind of file begins so.
pub(super) fn recognise(first: &[u8]) -> Result<Format, Wrong> {
    if first.is_empty() {
        return Err(Wrong::Empty);
    }
    if first == MAGIC {
        return Ok(Format::Table);
    }
    if MAGIC.starts_with(first) {
        return Err(Wrong::CutOff);
    }
    // A line begins with an option or is a remark.
    let text = first.trim_ascii_start();
    match text.first() {
        None | Some(b'-' | b'#') if text.iter().all(|byte| *byte != 0) => Ok(Format::Conntrack),
        _ => Err(Wrong::NotATable),
    }
}
