//! Where entries are read from.

use ctnetlink::{Client, Dump, DumpOutcome, DumpRequest, Entry, Table};
use query::Query;

use crate::failure::Failure;

/// A table that can be read.
pub enum Source {
    /// The kernel's, over netlink.
    Kernel(Client),
}

impl Source {
    /// The kernel's table, for what only it can do.
    pub fn client(&self) -> Result<&Client, Failure> {
        match self {
            Self::Kernel(client) => Ok(client),
        }
    }

    /// Reads a list of entries; at least those that a query selects.
    pub fn entries(&self, table: Table, query: &Query) -> Result<Entries, Failure> {
        match self {
            Self::Kernel(client) => Entries::of_kernel(client, table, query),
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
        }
    }

    /// How it went so far; final at the end.
    pub fn outcome(&self) -> DumpOutcome {
        match self {
            Self::Kernel(dump) => dump.outcome(),
        }
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
    let now = crate::now();
    let mut attempt = 1;
    loop {
        let (mut state, mut read) = (fresh(), 0);
        let mut entries = open()?;
        while let Some(entry) = entries.next_entry()? {
            read += 1;
            progress(read);
            if query.matches(entry, now) {
                step(&mut state, entry);
            }
        }
        if entries.outcome().complete || attempt >= ATTEMPTS {
            return Ok((state, entries.outcome()));
        }
        attempt += 1;
    }
}
