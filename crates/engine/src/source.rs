//! Where entries are read from.

use ctnetlink::{Client, Dump, DumpOutcome, Entry, Table};
use ctwalk::{Refusal, Walk};
use query::Query;

use crate::failure::Failure;
use crate::kernel::{Kernel, Reading};
use crate::saved::{Header, Rereadable, Saved};

/// A table that can be read.
pub enum Source {
    /// The kernel's.
    Kernel(Box<Kernel>),
    /// One that was saved to a file.
    Saved(Rereadable),
}

impl Source {
    /// The kernel's table, for what only it can do.
    pub fn client(&self) -> Result<&Client, Failure> {
        match self {
            Self::Kernel(kernel) => Ok(kernel.client()),
            Self::Saved(_) => Err(Failure::new(
                "usage",
                "a saved table can only be read",
                "leave out --from for the kernel's own",
            )),
        }
    }

    /// What is known of a saved table; `None` for the kernel's.
    pub fn header(&self) -> Result<Option<Header>, Failure> {
        match self {
            Self::Kernel(_) => Ok(None),
            Self::Saved(file) => Ok(Some(file.read()?.header().clone())),
        }
    }

    /// The time by which ages are measured, in nanoseconds since the epoch: the present, or when
    /// the table was saved.
    pub fn now(&self) -> Result<u64, Failure> {
        Ok(match self.header()? {
            Some(Header {
                taken_ns: Some(taken),
                ..
            }) => taken,
            _ => crate::now(),
        })
    }

    /// In which way it was read last, where it is said how long a reading took.
    pub fn reading(&self) -> Reading {
        match self {
            Self::Kernel(kernel) => kernel.reading(),
            Self::Saved(_) => Reading {
                by: "file",
                because: None,
            },
        }
    }

    /// Reads a list of entries; at least those that a query selects.
    pub fn entries(&self, table: Table, query: &Query) -> Result<Entries, Failure> {
        match self {
            Self::Kernel(kernel) => kernel.entries(table, query),
            Self::Saved(file) if table == Table::Conntrack => {
                Ok(Entries::Saved(Box::new(file.read()?)))
            }
            Self::Saved(_) => Err(Failure::new(
                "usage",
                "a saved table has no such list",
                "leave out --table, or --from",
            )),
        }
    }

    /// Reads the selected entries into a value, beginning anew with a fresh one when the table
    /// changed under the reading. `progress` is told how many have been read.
    pub fn fold<S>(
        &self,
        table: Table,
        query: &Query,
        mut progress: impl FnMut(u64),
        fresh: impl Fn() -> S,
        mut step: impl FnMut(&mut S, &Entry),
    ) -> Result<(S, DumpOutcome), Failure> {
        let mut attempt = 1;
        loop {
            let mut state = fresh();
            let mut entries = self.entries(table, query)?;
            match entries.feed(query, &mut progress, |entry| step(&mut state, entry)) {
                Err(Fault::Walk(refusal)) if self.can_do_without_walk(&refusal) => continue,
                Err(fault) => return Err(fault.into()),
                Ok(()) => {}
            }
            if entries.outcome().complete || !entries.changes() || attempt >= ATTEMPTS {
                return Ok((state, entries.outcome()));
            }
            attempt += 1;
        }
    }

    fn can_do_without_walk(&self, refusal: &Refusal) -> bool {
        match self {
            Self::Kernel(kernel) => kernel.distrust(refusal.clone()),
            Self::Saved(_) => false,
        }
    }
}

/// A stream of entries.
pub enum Entries {
    /// From the kernel over netlink.
    Kernel(Box<Dump>),
    /// From the kernel by BPF, and the time by which the program compared ages.
    Walked(Box<Walk>, u64),
    /// From a file.
    Saved(Box<Saved>),
}

impl Entries {
    /// The next entry, `None` at the end. After an error the stream is over: what came before it
    /// is true but not all.
    pub fn next_entry(&mut self) -> Result<Option<&Entry>, Failure> {
        Ok(self.next()?)
    }

    fn next(&mut self) -> Result<Option<&Entry>, Fault> {
        match self {
            Self::Kernel(dump) => dump
                .next_entry()
                .map_err(|error| Fault::Other(error.into())),
            Self::Walked(walk, _) => walk.next_entry().map_err(Fault::Walk),
            Self::Saved(saved) => saved.next_entry().map_err(Fault::Other),
        }
    }

    fn feed(
        &mut self,
        query: &Query,
        mut progress: impl FnMut(u64),
        mut step: impl FnMut(&Entry),
    ) -> Result<(), Fault> {
        let (now, mut read) = (self.now(), 0);
        while let Some(entry) = self.next()? {
            read += 1;
            progress(read);
            if query.matches(entry, now) {
                step(entry);
            }
        }
        Ok(())
    }

    /// How it went so far; final at the end.
    pub fn outcome(&self) -> DumpOutcome {
        match self {
            Self::Kernel(dump) => dump.outcome(),
            Self::Walked(walk, _) => DumpOutcome {
                complete: walk.outcome().complete,
                requests: 1,
                fallbacks: 0,
            },
            Self::Saved(saved) => DumpOutcome {
                complete: saved.end().and_then(|end| end.complete).unwrap_or(true),
                requests: 0,
                fallbacks: 0,
            },
        }
    }

    /// The time by which ages are measured.
    pub fn now(&self) -> u64 {
        match self {
            Self::Kernel(_) => crate::now(),
            Self::Walked(_, now) => *now,
            Self::Saved(saved) => saved.now(),
        }
    }

    /// Whether reading it again could give something else.
    const fn changes(&self) -> bool {
        matches!(self, Self::Kernel(_) | Self::Walked(..))
    }
}

/// How often a reading that was interrupted is begun anew.
pub const ATTEMPTS: u32 = 3;

/// Why no more entries come.
enum Fault {
    /// The walk went wrong; netlink may do.
    Walk(Refusal),
    Other(Failure),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Walk(refusal) => refusal.into(),
            Fault::Other(failure) => failure,
        }
    }
}
