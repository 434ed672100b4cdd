//! Writes Tracklight's own format, block by block.

use std::io::{self, Write};

use ctnetlink::Entry;
use ctnetlink::wire::Writer;
use zstd::bulk::Compressor;

use super::format::{
    BLOCK, ENTRIES, ENTRY_LIMIT, HEADER, Head, MAGIC, NOTE_LIMIT, TRAILER, preamble,
};
use super::{End, Header};

/// zstd's fastest regular level: it keeps ahead of the kernel's dump, and the levels above it make
/// files little smaller.
const LEVEL: i32 = 1;

/// Writes a saved table as a stream; holds one block.
pub struct TableWriter<W> {
    out: W,
    compressor: Compressor<'static>,
    attributes: Writer,
    plain: Vec<u8>,
    packed: Vec<u8>,
    count: u32,
    entries: u64,
}

impl<W: Write> TableWriter<W> {
    /// Begins with the header.
    pub fn new(mut out: W, header: &Header) -> io::Result<Self> {
        out.write_all(&MAGIC)?;
        out.write_all(&preamble())?;
        let mut writer = Self {
            out,
            compressor: Compressor::new(LEVEL)?,
            attributes: Writer::new(),
            plain: Vec::with_capacity(BLOCK + 4096),
            packed: Vec::new(),
            count: 0,
            entries: 0,
        };
        writer.note(HEADER, header)?;
        Ok(writer)
    }

    /// Appends an entry.
    pub fn push(&mut self, entry: &Entry) -> io::Result<()> {
        self.attributes.clear();
        entry.encode(&mut self.attributes);
        let bytes = self.attributes.bytes();
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        if length > ENTRY_LIMIT {
            return Err(io::Error::other("an entry is larger than can be saved"));
        }
        self.plain.extend_from_slice(&length.to_le_bytes());
        self.plain.extend_from_slice(bytes);
        self.count += 1;
        self.entries += 1;
        if self.plain.len() >= BLOCK {
            self.block()?;
        }
        Ok(())
    }

    /// Writes the end. `complete` is how the reading of the table went, where that is known.
    pub fn finish(mut self, complete: Option<bool>) -> io::Result<W> {
        if self.count > 0 {
            self.block()?;
        }
        let entries = self.entries;
        self.note(TRAILER, &End { entries, complete })?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn block(&mut self) -> io::Result<()> {
        self.packed.clear();
        self.packed
            .reserve(zstd::zstd_safe::compress_bound(self.plain.len()));
        self.compressor
            .compress_to_buffer(&self.plain, &mut self.packed)?;
        let plain = u32::try_from(self.plain.len()).unwrap_or(u32::MAX);
        let head = Head::of(ENTRIES, self.count, plain, &self.packed);
        self.out.write_all(&head.to_bytes())?;
        self.out.write_all(&self.packed)?;
        self.plain.clear();
        self.count = 0;
        Ok(())
    }

    fn note(&mut self, kind: u8, value: &impl serde::Serialize) -> io::Result<()> {
        let bytes = serde_json::to_vec(value)?;
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        if length > NOTE_LIMIT {
            return Err(io::Error::other("the header is larger than can be saved"));
        }
        let head = Head::of(kind, 0, length, &bytes);
        self.out.write_all(&head.to_bytes())?;
        self.out.write_all(&bytes)
    }
}
