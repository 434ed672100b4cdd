//! Saved tables: the table of one moment in a file, to be looked at or restored later.
//!
//! [`Saved`] reads them as a stream of entries, whichever of two kinds they are: Tracklight's own
//! (docs/saved.md), which keeps everything, or the lines of conntrack(8) `-L -o save`, which keep
//! less. Files are not trusted: lengths are bounded, checksums are checked, and what is wrong is
//! said with the number of entries that were good.

mod file;
mod format;
pub mod line;
mod reader;
mod save;
mod text;
mod words;
mod writer;

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use ctnetlink::Entry;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

pub use file::Target;
pub use save::save;
pub use writer::TableWriter;

/// What a saved table says of itself, before its entries.
///
/// Whatever is absent was not known when it was written; the lines of conntrack(8) say nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Header {
    /// Program and version that wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// When the reading of the table began, in nanoseconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taken_ns: Option<u64>,
    /// Name of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Release of the kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// Which entries were asked for, as it was typed; absent where all were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Whether bytes and packets were counted (`nf_conntrack_acct`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accounting: Option<bool>,
    /// Whether begins were noted (`nf_conntrack_timestamp`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamps: Option<bool>,
    /// The addresses of the network namespace itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local: Option<Vec<String>>,
}

/// What a saved table says of itself, after its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// How many entries there are.
    pub entries: u64,
    /// Whether the table stood still enough while it was read: if not, entries may be missing or
    /// twice. Absent where the file does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complete: Option<bool>,
}

/// Which of the two kinds of file it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Tracklight's own: everything that the kernel said.
    #[default]
    Table,
    /// The lines of conntrack(8) `-o save`: no marks, labels, helpers, counters, ids or begins.
    Conntrack,
}

/// A saved table that is being read.
///
/// ```no_run
/// # fn main() -> Result<(), engine::Failure> {
/// let mut saved = engine::Saved::open("yesterday.tracklight".as_ref())?;
/// println!("taken at {:?}", saved.header().taken_ns);
/// while let Some(entry) = saved.next_entry()? {
///     println!("{} -> {}", entry.orig.src, entry.orig.dst);
/// }
/// # Ok(())
/// # }
/// ```
pub struct Saved {
    format: Format,
    header: Header,
    end: Option<End>,
    read: u64,
    name: String,
    source: Source,
    failed: Option<Failure>,
}

enum Source {
    Table(Box<reader::TableReader<Input>>),
    Text(Box<text::TextReader<BufReader<Input>>>),
}

/// A file from its first byte, some of which have been looked at.
type Input = io::Chain<Cursor<Vec<u8>>, Box<dyn Read + Send>>;

impl Saved {
    /// Opens a file; `-` is standard input.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        if path.as_os_str() == "-" {
            return Self::from_reader(io::stdin(), "standard input");
        }
        Self::from_reader(file::open(path)?, &shown(path))
    }

    /// Reads from anything; `name` is what it is called in failures.
    pub fn from_reader(
        mut reader: impl Read + Send + 'static,
        name: &str,
    ) -> Result<Self, Failure> {
        let mut first = Vec::new();
        let length = format::MAGIC.len() as u64;
        reader
            .by_ref()
            .take(length)
            .read_to_end(&mut first)
            .map_err(|error| unreadable(name, &error))?;
        let kind = format::recognise(&first).map_err(|wrong| wrong.failure(name, 0))?;
        let boxed: Box<dyn Read + Send> = Box::new(reader);
        let input = Cursor::new(first).chain(boxed);
        let (header, source) = match kind {
            Format::Table => {
                let (header, reader) =
                    reader::TableReader::open(input).map_err(|wrong| wrong.failure(name, 0))?;
                (header, Source::Table(Box::new(reader)))
            }
            Format::Conntrack => {
                let reader = text::TextReader::new(BufReader::with_capacity(1 << 16, input));
                (Header::default(), Source::Text(Box::new(reader)))
            }
        };
        Ok(Self {
            format: kind,
            header,
            end: None,
            read: 0,
            name: name.to_owned(),
            source,
            failed: None,
        })
    }

    /// Which kind of file it is.
    pub const fn format(&self) -> Format {
        self.format
    }

    /// What the file says of itself.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// What the file says at its end, once all entries have been read.
    pub const fn end(&self) -> Option<End> {
        self.end
    }

    /// The time by which ages are measured: when it was taken; the present where it does not say.
    pub fn now(&self) -> u64 {
        self.header.taken_ns.unwrap_or_else(crate::now)
    }

    /// How many good entries have been read.
    pub const fn read(&self) -> u64 {
        self.read
    }

    /// The next entry, `None` at the end of a file that is whole. A file that is damaged gives the
    /// entries before the damage first, then the failure, as often as it is asked.
    pub fn next_entry(&mut self) -> Result<Option<&Entry>, Failure> {
        if let Some(failure) = &self.failed {
            return Err(failure.clone());
        }
        if self.end.is_some() {
            return Ok(None);
        }
        let next = match &mut self.source {
            Source::Table(reader) => reader.next_entry(),
            Source::Text(reader) => reader.next_entry(),
        };
        match next {
            Ok(format::Next::Entry(entry)) => {
                self.read += 1;
                Ok(Some(entry))
            }
            Ok(format::Next::End(end)) => {
                self.end = Some(end);
                Ok(None)
            }
            Err(wrong) => {
                let failure = wrong.failure(&self.name, self.read);
                self.failed = Some(failure.clone());
                Err(failure)
            }
        }
    }
}

/// A saved table that can be read from its beginning as often as need be, also where it came by a
/// pipe.
pub struct Rereadable {
    kept: Kept,
    name: String,
}

enum Kept {
    File(File),
    Memory(Arc<[u8]>),
}

impl Rereadable {
    /// Opens a file; `-` is standard input. What cannot be rewound is copied to a temporary file
    /// first.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        if path.as_os_str() == "-" {
            return Self::copy(io::stdin(), "standard input");
        }
        let file = file::open(path)?;
        let is_regular = file.metadata().is_ok_and(|metadata| metadata.is_file());
        if is_regular {
            let (kept, name) = (Kept::File(file), shown(path));
            return Ok(Self { kept, name });
        }
        Self::copy(file, &shown(path))
    }

    /// What was never on a disk; `name` is what it is called in failures.
    pub fn in_memory(bytes: &[u8], name: &str) -> Self {
        let (kept, name) = (Kept::Memory(bytes.into()), name.to_owned());
        Self { kept, name }
    }

    fn copy(mut from: impl Read, name: &str) -> Result<Self, Failure> {
        let copied = tempfile::tempfile().and_then(|mut file| {
            io::copy(&mut from, &mut file)?;
            Ok(file)
        });
        let kept = Kept::File(copied.map_err(|error| unreadable(name, &error))?);
        let name = name.to_owned();
        Ok(Self { kept, name })
    }

    /// Reads it from its beginning. One reading at a time.
    pub fn read(&self) -> Result<Saved, Failure> {
        let mut file = match &self.kept {
            Kept::File(file) => file,
            Kept::Memory(bytes) => {
                return Saved::from_reader(Cursor::new(Arc::clone(bytes)), &self.name);
            }
        };
        let rewound = file.seek(SeekFrom::Start(0));
        let file = rewound.and_then(|_| file.try_clone());
        let file = file.map_err(|error| unreadable(&self.name, &error))?;
        Saved::from_reader(file, &self.name)
    }
}

/// A path as it may be printed.
fn shown(path: &Path) -> String {
    path.display().to_string().escape_debug().to_string()
}

fn unreadable(name: &str, error: &io::Error) -> Failure {
    Failure::new(
        "unreadable",
        format!("cannot read {name}: {error}"),
        "name a file that tracklight save or conntrack -L -o save wrote, and that you may read",
    )
}

#[cfg(test)]
mod tests;
