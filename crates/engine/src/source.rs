//! Where entries are read from.

use std::ops::ControlFlow;

use ctnetlink::{Client, Dump, DumpOutcome, Entry, Table};
use ctwalk::{Floor, Refusal, Walk, WalkOutcome};
use query::Query;

use crate::failure::Failure;
use crate::kernel::{Because, Kernel, Reading};
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
    fn entries(&self, table: Table, query: &Query) -> Result<Entries, Failure> {
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

    /// Reads the selected entries one by one, as they come.
    ///
    /// What has been given out cannot be taken back, so an interrupted dump is not begun anew: the
    /// outcome says that it is not complete. Where a walk comes to no good end, netlink tells the rest.
    pub fn stream(
        &self,
        table: Table,
        query: &Query,
        mut each: impl FnMut(&Entry) -> Result<ControlFlow<()>, Failure>,
    ) -> Result<DumpOutcome, Failure> {
        let mut entries = self.entries(table, query)?;
        let because = match entries.feed(query, &mut each) {
            Ok(flow) if flow.is_break() || entries.outcome().complete => {
                return Ok(entries.outcome());
            }
            Ok(_) => Because::Gaps,
            Err(Fault::Walk(refusal)) => refusal.into(),
            Err(Fault::Other(failure)) => return Err(failure),
        };
        let outcome = entries.outcome();
        match (self, entries) {
            (Self::Kernel(kernel), Entries::Walked(walk, _)) => {
                if matches!(because, Because::Gaps) && !kernel.is_auto() {
                    return Ok(outcome);
                }
                let has_gaps = matches!(because, Because::Gaps);
                kernel.without_walk(because)?;
                let given = walk.into_given();
                let mut rest = kernel.dump(table, query)?;
                let _whole = rest.feed(query, |entry| {
                    if given.contains(entry) {
                        Ok(ControlFlow::Continue(()))
                    } else {
                        each(entry)
                    }
                })?;
                Ok(but_for(has_gaps, rest.outcome()))
            }
            _ => Ok(outcome),
        }
    }

    /// Reads the selected entries into a value, on several threads where that is faster: each has a
    /// `fresh` one, `step` adds an entry, `merge` what another thread has. It begins anew when
    /// the table changed under the reading. `progress` is told how many have been read.
    pub fn fold<S: Send>(
        &self,
        wanted: &Wanted<'_>,
        mut progress: impl FnMut(u64),
        fresh: impl Fn() -> S + Sync,
        step: impl Fn(&mut S, &Entry) + Sync,
        merge: impl Fn(&mut S, S),
    ) -> Result<Folded<S>, Failure> {
        let Wanted { table, query, .. } = *wanted;
        let mut has_gaps = false;
        if let Self::Kernel(kernel) = self {
            match kernel.fold(wanted, &mut progress, &fresh, &step) {
                Ok((states, outcome)) => {
                    let all = states.into_iter().reduce(|mut all, state| {
                        merge(&mut all, state);
                        all
                    });
                    return Ok(Folded {
                        value: all.unwrap_or_else(fresh),
                        below: outcome.below,
                        outcome: walked(outcome),
                    });
                }
                Err(because) => {
                    has_gaps = matches!(because, Because::Gaps);
                    kernel.without_walk(because)?;
                }
            }
        }
        let mut attempt = 1;
        loop {
            let (mut state, mut read) = (fresh(), 0);
            let mut entries = match self {
                Self::Kernel(kernel) => kernel.dump(table, query)?,
                Self::Saved(_) => self.entries(table, query)?,
            };
            let _whole = entries.feed(query, |entry| {
                read += 1;
                progress(read);
                step(&mut state, entry);
                Ok(ControlFlow::Continue(()))
            })?;
            let is_final = matches!(self, Self::Saved(_)) || attempt >= ATTEMPTS;
            if entries.outcome().complete || is_final {
                return Ok(Folded {
                    value: state,
                    below: 0,
                    outcome: but_for(has_gaps, entries.outcome()),
                });
            }
            attempt += 1;
        }
    }
}

/// A value that was made of entries.
#[derive(Debug)]
pub struct Folded<S> {
    /// The value.
    pub value: S,
    /// How many selected entries were left out because they are below the floor.
    pub below: u64,
    /// How the reading went.
    pub outcome: DumpOutcome,
}

/// What is to be read into a value.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The list.
    pub table: Table,
    /// Selects entries.
    pub query: &'a Query,
    /// Whether entries need their ids, beyond what the query asks of them.
    pub with_ids: bool,
    /// Which number must be how large, if only the largest are wanted.
    pub floor: Option<&'a Floor>,
}

impl<'a> Wanted<'a> {
    /// Connections with all that is known of them.
    pub const fn of(query: &'a Query) -> Self {
        Self {
            table: Table::Conntrack,
            query,
            with_ids: true,
            floor: None,
        }
    }

    /// The same without their ids, which is faster.
    pub const fn without_ids(self) -> Self {
        Self {
            with_ids: false,
            ..self
        }
    }
}

/// A stream of entries.
pub(crate) enum Entries {
    /// From the kernel over netlink.
    Kernel(Box<Dump>),
    /// From the kernel by BPF, and the time by which the program compared ages.
    Walked(Box<Walk>, u64),
    /// From a file.
    Saved(Box<Saved>),
}

impl Entries {
    fn next(&mut self) -> Result<Option<&Entry>, Fault> {
        match self {
            Self::Kernel(dump) => dump
                .next_entry()
                .map_err(|error| Fault::Other(error.into())),
            Self::Walked(walk, _) => {
                #[cfg(test)]
                tests::go_wrong().map_err(Fault::Walk)?;
                walk.next_entry().map_err(Fault::Walk)
            }
            Self::Saved(saved) => saved.next_entry().map_err(Fault::Other),
        }
    }

    /// Gives the selected entries to `each`, until it says that it is enough.
    fn feed(
        &mut self,
        query: &Query,
        mut each: impl FnMut(&Entry) -> Result<ControlFlow<()>, Failure>,
    ) -> Result<ControlFlow<()>, Fault> {
        let now = match self {
            Self::Kernel(_) => crate::now(),
            Self::Walked(_, now) => *now,
            Self::Saved(saved) => saved.now(),
        };
        while let Some(entry) = self.next()? {
            if query.matches(entry, now) && each(entry).map_err(Fault::Other)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// How it went so far; final at the end.
    fn outcome(&self) -> DumpOutcome {
        match self {
            Self::Kernel(dump) => dump.outcome(),
            Self::Walked(walk, _) => walked(walk.outcome()),
            Self::Saved(saved) => DumpOutcome {
                complete: saved.end().and_then(|end| end.complete).unwrap_or(true),
                requests: 0,
                fallbacks: 0,
            },
        }
    }
}

/// Where the table was resized so often that a walk had gaps, a dump may have some too, and not notice:
/// it knows by the number of buckets at its begin and end, which may be the same again.
fn but_for(has_gaps: bool, outcome: DumpOutcome) -> DumpOutcome {
    DumpOutcome {
        complete: outcome.complete && !has_gaps,
        ..outcome
    }
}

fn walked(outcome: WalkOutcome) -> DumpOutcome {
    DumpOutcome {
        complete: outcome.complete,
        requests: 1,
        fallbacks: 0,
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        /// How many more entries a walk gives before it goes wrong.
        static LEFT: Cell<Option<u32>> = const { Cell::new(None) };
    }

    pub(super) fn go_wrong() -> Result<(), Refusal> {
        let left = LEFT
            .get()
            .map(|left| left.checked_sub(1).ok_or(Refusal::Table));
        LEFT.set(left.transpose()?);
        Ok(())
    }

    #[cfg(feature = "bpf")]
    #[test]
    fn where_a_walk_goes_wrong_netlink_tells_the_rest_once() {
        use std::collections::HashSet;

        use crate::kernel::Way;

        /// More than are read over netlink anyway.
        const ALL: u32 = 20_000;
        let Some(namespace) = testkit::TestNamespace::new() else {
            return;
        };
        let inside = || ctnetlink::Namespace::by_path(&namespace.path()).unwrap();
        testkit::fill(&Client::open_in(&inside()).unwrap(), ALL).unwrap();
        for (way, given) in [(Way::Auto, 0), (Way::Auto, ALL / 2), (Way::Bpf, ALL / 2)] {
            let kernel = Kernel::open(Some(inside()), way).unwrap();
            let source = Source::Kernel(Box::new(kernel));
            let mut seen = HashSet::new();
            LEFT.set(Some(given));
            let outcome = source.stream(Table::Conntrack, &Query::any(), |entry| {
                assert!(seen.insert(entry.key()), "twice: {entry:?}");
                Ok(ControlFlow::Continue(()))
            });
            if way == Way::Bpf {
                assert_eq!(outcome.unwrap_err().code, "walk-refused");
                assert_eq!(seen.len(), given as usize);
                continue;
            }
            assert!(outcome.unwrap().complete);
            assert_eq!(seen.len(), ALL as usize);
            let Reading { by, because } = source.reading();
            assert_eq!((by, because.unwrap().0), ("netlink", "table"));
        }
    }
}
