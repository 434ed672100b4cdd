//! Reads Tracklight's own format, block by block.

use std::io::Read;

use ctnetlink::Entry;
use ctnetlink::wire::Attrs;
use zstd::bulk::Decompressor;

use super::format::{
    BLOCK_LIMIT, ENTRIES, HEADER, Head, MAGIC, NOTE_LIMIT, Next, ORDER, TRAILER, VERSION, Wrong,
};
use super::{End, Header};

/// Entries out of blocks; holds one block.
pub(super) struct TableReader<R> {
    input: R,
    decompressor: Decompressor<'static>,
    stored: Vec<u8>,
    plain: Vec<u8>,
    /// Where the next entry stands in `plain`.
    at: usize,
    /// Entries that the block should still have.
    left: u32,
    blocks: u64,
    entries: u64,
    entry: Option<Entry>,
}

impl<R: Read> TableReader<R> {
    /// Reads up to the first block.
    pub(super) fn open(mut input: R) -> Result<(Header, Self), Wrong> {
        let mut start = [0; MAGIC.len() + 4];
        input.read_exact(&mut start)?;
        let [.., low, high, order, _] = start;
        match u16::from_le_bytes([low, high]) {
            0 => return Err(Wrong::damaged("version 0 of the format has never been")),
            version if version > VERSION => return Err(Wrong::Newer(version)),
            _ => {}
        }
        if order != ORDER {
            return Err(match order {
                b'l' | b'b' => Wrong::OtherOrder,
                _ => Wrong::damaged("its byte order is unknown"),
            });
        }
        let mut reader = Self {
            input,
            decompressor: Decompressor::new()?,
            stored: Vec::new(),
            plain: Vec::new(),
            at: 0,
            left: 0,
            blocks: 0,
            entries: 0,
            entry: None,
        };
        let head = reader.section()?;
        if head.kind != HEADER {
            return Err(Wrong::damaged("it does not begin with its header"));
        }
        let header = serde_json::from_slice(&reader.stored)
            .map_err(|error| Wrong::damaged(format!("its header is not understood ({error})")))?;
        Ok((header, reader))
    }

    /// The next entry, or the end.
    pub(super) fn next_entry(&mut self) -> Result<Next<'_>, Wrong> {
        while self.left == 0 {
            if let Some(end) = self.next_block()? {
                return Ok(Next::End(end));
            }
        }
        let entry = self.decode()?;
        self.entries += 1;
        Ok(Next::Entry(self.entry.insert(entry)))
    }

    fn decode(&mut self) -> Result<Entry, Wrong> {
        let rest = self.plain.get(self.at..).unwrap_or_default();
        let attributes = rest
            .split_first_chunk::<4>()
            .and_then(|(length, rest)| rest.get(..u32::from_le_bytes(*length) as usize))
            .ok_or_else(|| self.in_block("an entry runs over its end"))?;
        let entry = Entry::decode(Attrs::from_bytes(attributes))
            .map_err(|error| self.in_block(&error.to_string()))?;
        if entry.orig.family() != entry.reply.family() {
            return Err(self.in_block("an entry is of two families"));
        }
        self.at += 4 + attributes.len();
        self.left -= 1;
        if self.left == 0 && self.at != self.plain.len() {
            return Err(self.in_block("it has more than its entries"));
        }
        Ok(entry)
    }

    /// Makes the next block ready, or reads the end.
    fn next_block(&mut self) -> Result<Option<End>, Wrong> {
        let head = self.section()?;
        match head.kind {
            ENTRIES => {
                self.blocks += 1;
                self.unpack(head.plain)?;
                (self.at, self.left) = (0, head.count);
                if head.count == 0 && head.plain != 0 {
                    return Err(self.in_block("it has more than its entries"));
                }
                Ok(None)
            }
            TRAILER => self.finish().map(Some),
            HEADER => Err(Wrong::damaged("it has two headers")),
            // Small letters are for what can be passed over.
            kind if kind.is_ascii_lowercase() => Ok(None),
            kind => Err(Wrong::damaged(format!("a section of unknown kind {kind}"))),
        }
    }

    /// Reads one section into `stored` and checks it.
    fn section(&mut self) -> Result<Head, Wrong> {
        let mut bytes = [0; Head::SIZE];
        self.input.read_exact(&mut bytes)?;
        let head = Head::from_bytes(&bytes).filter(|head| {
            let limit = if head.kind == ENTRIES {
                BLOCK_LIMIT
            } else {
                NOTE_LIMIT
            };
            head.stored <= limit && head.plain <= limit
        });
        let after = self.blocks;
        let broken = |what: &str| {
            Err(Wrong::damaged(match after {
                0 => format!("{what} at its begin"),
                after => format!("{what} after block {after}"),
            }))
        };
        let Some(head) = head else {
            return broken("lengths that cannot be");
        };
        self.stored.clear();
        let length = u64::from(head.stored);
        // Room comes with the bytes, not with what the head promises.
        let read = self
            .input
            .by_ref()
            .take(length)
            .read_to_end(&mut self.stored)?;
        if read as u64 != length {
            return Err(Wrong::CutOff);
        }
        if head.checksum != head.sum(&self.stored) {
            return broken("wrong checksum");
        }
        Ok(head)
    }

    fn unpack(&mut self, length: u32) -> Result<(), Wrong> {
        let length = length as usize;
        self.plain.clear();
        self.plain.reserve(length);
        let unpacked = self
            .decompressor
            .decompress_to_buffer(&self.stored, &mut self.plain);
        match unpacked {
            Ok(unpacked) if unpacked == length => Ok(()),
            Ok(_) => Err(self.in_block("its length is another than it says")),
            Err(error) => Err(self.in_block(&format!("it cannot be unpacked ({error})"))),
        }
    }

    fn finish(&mut self) -> Result<End, Wrong> {
        let end: End = serde_json::from_slice(&self.stored)
            .map_err(|error| Wrong::damaged(format!("its end is not understood ({error})")))?;
        if end.entries != self.entries {
            return Err(Wrong::damaged(format!(
                "it should have {} entries and has {}",
                end.entries, self.entries
            )));
        }
        if self.input.read(&mut [0])? != 0 {
            return Err(Wrong::damaged("something follows its end"));
        }
        Ok(end)
    }

    fn in_block(&self, what: &str) -> Wrong {
        Wrong::damaged(format!("block {}: {what}", self.blocks))
    }
}
