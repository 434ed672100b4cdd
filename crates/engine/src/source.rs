//! Where entries are read from.

use ctnetlink::{Client, Dump, DumpOutcome, DumpRequest, Entry, Table};
use query::Query;

use crate::failure::Failure;
use crate::saved::{Header, Rereadable, Saved};

/// A table that can be read.
pub enum Source {
    /// The kernel's, over netlink.
    Kernel(Client),
    /// One that was saved to a file.
    Saved(Rereadable),
}

impl Source {
    /// The kernel's table, for what only it can do.
    pub fn client(&self) -> Result<&Client, Failure> {
        match self {
            Self::Kernel(client) => Ok(client),
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

    /// What it is called where it is said how long a reading took.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Kernel(_) => "netlink",
            Self::Saved(_) => "file",
        }
    }

    /// Reads a list of entries; at least those that a query selects.
    pub fn entries(&self, table: Table, query: &Query) -> Result<Entries, Failure> {
        match self {
            Self::Kernel(client) => Entries::of_kernel(client, table, query),
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
        progress: impl FnMut(u64),
        fresh: impl Fn() -> S,
        step: impl FnMut(&mut S, &Entry),
    ) -> Result<(S, DumpOutcome), Failure> {
        fold(|| self.entries(table, query), query, progress, fresh, step)
    }
}

/// A stream of entries.
pub enum Entries {
    /// From the kernel.
    Kernel(Box<Dump>),
    /// From a file.
    Saved(Box<Saved>),
}

impl Entries {
    /// Reads a list of the kernel's.
    pub fn of_kernel(client: &Client, table: Table, query: &Query) -> Result<Self, Failure> {
        let filters = query.filters().to_vec();
        let dump = client.dump(&DumpRequest { table, filters })?;
        Ok(Self::Kernel(Box::new(dump)))
    }

    /// The next entry, `None` at the end. After an error the stream is over: what came before it
    /// is true but not all.
    pub fn next_entry(&mut self) -> Result<Option<&Entry>, Failure> {
        match self {
            Self::Kernel(dump) => Ok(dump.next_entry()?),
            Self::Saved(saved) => saved.next_entry(),
        }
    }

    /// How it went so far; final at the end.
    pub fn outcome(&self) -> DumpOutcome {
        match self {
            Self::Kernel(dump) => dump.outcome(),
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
            Self::Saved(saved) => saved.now(),
        }
    }

    /// Whether reading it again could give something else.
    const fn changes(&self) -> bool {
        matches!(self, Self::Kernel(_))
    }
}

/// How often a reading that was interrupted is begun anew.
pub const ATTEMPTS: u32 = 3;

/// Reads the selected entries into a value, beginning anew with a fresh one when the reading was
/// interrupted.
pub(crate) fn fold<S>(
    open: impl Fn() -> Result<Entries, Failure>,
    query: &Query,
    mut progress: impl FnMut(u64),
    fresh: impl Fn() -> S,
    mut step: impl FnMut(&mut S, &Entry),
) -> Result<(S, DumpOutcome), Failure> {
    let mut attempt = 1;
    loop {
        let (mut state, mut read) = (fresh(), 0);
        let mut entries = open()?;
        let now = entries.now();
        while let Some(entry) = entries.next_entry()? {
            read += 1;
            progress(read);
            if query.matches(entry, now) {
                step(&mut state, entry);
            }
        }
        if entries.outcome().complete || !entries.changes() || attempt >= ATTEMPTS {
            return Ok((state, entries.outcome()));
        }
        attempt += 1;
    }
}
