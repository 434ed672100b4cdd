//! The kernel's table of one network namespace, read in the faster of two ways: by a BPF program
//! that walks it, or over netlink.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use ctnetlink::{Client, DumpRequest, Entry, Namespace, Table};
use ctwalk::{Refusal, WalkOutcome, Walker, Wish};
use query::Query;

use crate::failure::Failure;
use crate::source::{Entries, Wanted};

/// In which way the table is to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// By BPF where that is faster and the kernel allows it, else over netlink.
    #[default]
    Auto,
    /// Over netlink.
    Netlink,
    /// By BPF or not at all.
    Bpf,
}

/// In which way the table was read last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// `netlink` or `bpf`.
    pub by: &'static str,
    /// Why it was not by BPF, or not to the end: a code and words.
    pub because: Option<(&'static str, String)>,
}

/// The kernel's table of one network namespace.
pub struct Kernel {
    client: Client,
    namespace: Option<Namespace>,
    way: Way,
    walker: OnceLock<Result<Walker, Refusal>>,
    /// Why no walk is tried any more.
    distrust: Mutex<Option<Refusal>>,
    /// How often one failed for a reason that may pass.
    failed: AtomicU32,
    last: Mutex<Reading>,
}

/// How often a walk may fail for a reason that may pass, before none is tried any more.
const MOST_FAILED: u32 = 3;

/// What loading the program and finding the table costs, in nanoseconds.
const OPENING: u64 = 30_000_000;
/// What netlink costs: an entry that it sends, one that its filter leaves out, a bucket.
const SENT: u64 = 2_300;
const LEFT_OUT: u64 = 250;
const BUCKET: u64 = 20;

impl Kernel {
    /// The table of a namespace; `None` for the calling thread's.
    pub fn open(namespace: Option<Namespace>, way: Way) -> Result<Self, Failure> {
        let client = match &namespace {
            None => Client::open()?,
            Some(namespace) => Client::open_in(namespace)?,
        };
        Ok(Self::of(client, namespace, way))
    }

    fn of(client: Client, namespace: Option<Namespace>, way: Way) -> Self {
        Self {
            client,
            namespace,
            way,
            walker: OnceLock::new(),
            distrust: Mutex::default(),
            failed: AtomicU32::new(0),
            last: Mutex::new(Reading {
                by: "netlink",
                because: None,
            }),
        }
    }

    /// One that is not real, over netlink.
    #[cfg(test)]
    pub(crate) fn fake(client: Client) -> Self {
        Self::of(client, None, Way::Netlink)
    }

    /// For what only netlink can do.
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// In which way the table was read last.
    pub fn reading(&self) -> Reading {
        self.last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Reads a list of entries; at least those that a query selects.
    pub(crate) fn entries(&self, table: Table, query: &Query) -> Result<Entries, Failure> {
        // Ages are by one time, here and in the program.
        let now = crate::now();
        let walk = self
            .walker(table, query)
            .and_then(|walker| Ok(walker.walk(&query.walk_filter(now))?));
        match walk {
            Ok(walk) => {
                self.note("bpf", None);
                Ok(Entries::Walked(Box::new(walk), now))
            }
            Err(because) => {
                self.without_walk(because)?;
                self.dump(table, query)
            }
        }
    }

    /// Reads the selected entries into values, one a thread; `None` if it has to be netlink that
    /// tells them.
    pub(crate) fn fold<S: Send>(
        &self,
        wanted: &Wanted<'_>,
        progress: impl FnMut(u64),
        fresh: impl Fn() -> S + Sync,
        step: impl Fn(&mut S, &Entry) + Sync,
    ) -> Result<Folded<S>, Because> {
        let now = crate::now();
        let query = wanted.query;
        let step = |state: &mut S, entry: &Entry| {
            if query.matches(entry, now) {
                step(state, entry);
            }
        };
        let walker = self.walker(wanted.table, query)?;
        let filter = query.walk_filter(now);
        // What is left out by its size must have been selected by all else.
        let floor = wanted.floor.filter(|_| query.is_exact_in_walk());
        let wish = Wish {
            with_ids: wanted.with_ids || query.asks_for_ids(),
            floor: floor.cloned(),
        };
        let folded = walker.fold(&filter, &wish, progress, fresh, step)?;
        if !folded.1.complete && self.way == Way::Auto {
            return Err(Because::Gaps);
        }
        self.note("bpf", None);
        Ok(folded)
    }

    /// Notes why the table is read over netlink; an error where it must not be. What lasts is not tried
    /// again, nor what failed too often.
    pub(crate) fn without_walk(&self, because: Because) -> Result<(), Failure> {
        if let Because::Refused(refusal) = &because
            // Another walk is over soon.
            && *refusal != Refusal::Busy
            && (refusal.is_lasting()
                || self.failed.fetch_add(1, Ordering::Relaxed) + 1 >= MOST_FAILED)
        {
            *self.distrust.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal.clone());
        }
        if self.way == Way::Bpf {
            return Err(because.into());
        }
        self.note("netlink", because.told());
        Ok(())
    }

    /// Reads a list over netlink.
    pub(crate) fn dump(&self, table: Table, query: &Query) -> Result<Entries, Failure> {
        let filters = query.filters().to_vec();
        let dump = self.client.dump(&DumpRequest { table, filters })?;
        Ok(Entries::Kernel(Box::new(dump)))
    }

    /// Whether a walk that is not complete is to be made so over netlink.
    pub(crate) fn is_auto(&self) -> bool {
        self.way == Way::Auto
    }

    fn note(&self, by: &'static str, because: Option<(&'static str, String)>) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Reading { by, because };
    }

    /// What walks the table, where that is possible and faster.
    fn walker(&self, table: Table, query: &Query) -> Result<&Walker, Because> {
        if self.way == Way::Netlink {
            return Err(Because::Asked);
        }
        if table != Table::Conntrack {
            return Err(Because::List);
        }
        if !ctwalk::IS_BUILT {
            return Err(Refusal::NotBuilt.into());
        }
        if self.way == Way::Auto && self.walker.get().is_none() {
            self.is_worth_it(query)?;
        }
        if let Some(refusal) = &*self.distrust.lock().unwrap_or_else(PoisonError::into_inner) {
            return Err(refusal.clone().into());
        }
        let walker = self.walker.get_or_init(|| {
            let (namespace, client) = match &self.namespace {
                None => (Namespace::current(), Client::open()),
                Some(namespace) => (namespace.try_clone(), Client::open_in(namespace)),
            };
            let failed = |error: ctnetlink::Error| Refusal::System {
                what: "opening the namespace",
                error: error.to_string(),
            };
            Walker::open(&namespace.map_err(failed)?, client.map_err(failed)?)
        });
        walker.as_ref().map_err(|refusal| refusal.clone().into())
    }

    /// Whether netlink would take longer than it takes to load the program.
    fn is_worth_it(&self, query: &Query) -> Result<(), Because> {
        let stats = self.client.global_stats().ok();
        let Some(entries) = stats.and_then(|stats| stats.entries) else {
            return Ok(());
        };
        let text = std::fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_buckets");
        let buckets = text.ok().and_then(|text| text.trim().parse::<u64>().ok());
        let entry = if query.filters().iter().all(ctnetlink::Filter::is_any) {
            SENT
        } else {
            LEFT_OUT
        };
        let netlink = u64::from(entries) * entry + buckets.unwrap_or(0) * BUCKET;
        if netlink > OPENING {
            Ok(())
        } else {
            Err(Because::Small(entries))
        }
    }
}

/// Why the table is not read by BPF.
pub(crate) enum Because {
    Asked,
    List,
    Small(u32),
    Gaps,
    Refused(Refusal),
}

/// Values, one a thread, and how the walk went.
type Folded<S> = (Vec<S>, WalkOutcome);

impl Because {
    fn told(&self) -> Option<(&'static str, String)> {
        Some(match self {
            Self::Asked => return None,
            Self::List => ("list", "only netlink has that list".to_owned()),
            Self::Small(entries) => (
                "small",
                format!("{entries} entries are read faster so than a BPF program is loaded"),
            ),
            Self::Gaps => (
                "gaps",
                "the walk could not be made whole, for the table changed too much".to_owned(),
            ),
            Self::Refused(refusal) => (refusal.code(), refusal.to_string()),
        })
    }
}

impl From<Refusal> for Because {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Because> for Failure {
    fn from(because: Because) -> Self {
        match because {
            Because::Refused(refusal) => refusal.into(),
            other => {
                let (_, words) = other.told().unwrap_or_default();
                Self::new(
                    "walk-refused",
                    format!("the table cannot be read by BPF: {words}"),
                    "leave out --source bpf",
                )
            }
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let hint = refusal
            .hint()
            .map_or_else(String::new, |hint| format!("{hint}, or "));
        Self::new(
            "walk-refused",
            format!("the table cannot be read by BPF: {refusal}"),
            format!("{hint}leave out --source bpf: netlink reads the same entries"),
        )
    }
}
