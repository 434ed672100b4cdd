use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::constants::*;
use crate::control::Control;
use crate::dump::{Dump, DumpOutcome, DumpRequest, Dumper};
use crate::error::{Error, ErrorKind, Operation};
use crate::events::{EventOptions, Events, Groups};
use crate::exchange::Exchange;
use crate::features::Features;
use crate::message::{
    Change, CpuStats, Entry, Expectation, ExpectationCpuStats, ExpectationKey, Family, Filter,
    GlobalStats, Key, NewEntry, NewExpectation, Tuple, Update,
};
use crate::netns::Namespace;
use crate::socket::Socket;
use crate::wire::{Attrs, DecodeError, NfGen, Writer};

/// How long an answer may take, if nothing else is said.
const PATIENCE: Duration = Duration::from_secs(30);

/// Changes sent to the kernel at once. The kernel works through a send before it returns; an
/// error takes about 1.3 kB of the receive buffer until it is read.
const CHANGES_A_SEND: usize = 256;

/// Where sockets come from.
pub(crate) trait Connect: Send + Sync {
    /// A new socket that speaks nfnetlink.
    fn connect(&self) -> io::Result<OwnedFd>;

    /// The size of the kernel's hash table, by which a resize is noticed.
    fn buckets(&self) -> Option<u64> {
        None
    }

    /// Whether this is the machine's own kernel, which can be probed.
    fn is_kernel(&self) -> bool {
        false
    }
}

/// The kernel that we run on, in one of its network namespaces.
struct Kernel {
    namespace: Option<Namespace>,
}

impl Connect for Kernel {
    fn connect(&self) -> io::Result<OwnedFd> {
        match &self.namespace {
            None => Socket::open(),
            Some(namespace) => namespace.run(Socket::open).map_err(|error| match error {
                Error::Namespace { source, .. } => source,
                error => io::Error::other(error),
            }),
        }
    }

    /// The table is one for all namespaces, so any of them tells its size.
    fn buckets(&self) -> Option<u64> {
        let text = std::fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_buckets").ok()?;
        text.trim().parse().ok()
    }

    fn is_kernel(&self) -> bool {
        true
    }
}

struct Opened<F>(F);

impl<F: Fn() -> io::Result<OwnedFd> + Send + Sync> Connect for Opened<F> {
    fn connect(&self) -> io::Result<OwnedFd> {
        (self.0)()
    }
}

/// A connection to the conntrack table of one network namespace.
///
/// Each dump and each subscription has a socket of its own; everything else shares one. A client
/// can be used from several threads.
///
/// ```
/// use ctnetlink::{Client, Filter, Namespace, Protocol};
///
/// # fn main() -> Result<(), ctnetlink::Error> {
/// # if Namespace::scratch().is_err() { return Ok(()) }
/// let namespace = Namespace::scratch()?; // or by_name, by_pid; Client::open() for this one
/// let client = Client::open_in(&namespace)?;
/// let filter = Filter { protocol: Some(Protocol::TCP), ..Filter::any() };
/// for entry in client.dump(&filter.into())? {
///     let entry = entry?;
///     println!("{} {:?}", entry.orig.src, entry.state_name());
/// }
/// # Ok(())
/// # }
/// ```
pub struct Client {
    connect: Arc<dyn Connect>,
    control: Mutex<Control>,
    features: Features,
    patience: Duration,
}

impl Client {
    /// The table of the calling thread's network namespace.
    pub fn open() -> Result<Self, Error> {
        Self::with(Arc::new(Kernel { namespace: None }))
    }

    /// The table of another network namespace.
    pub fn open_in(namespace: &Namespace) -> Result<Self, Error> {
        Self::with(Arc::new(Kernel {
            namespace: Some(namespace.try_clone()?),
        }))
    }

    /// A table behind whatever sockets `connect` gives: each must carry one netlink datagram a
    /// receive. For tests, and for sockets that another process opened.
    pub fn with_connector(
        connect: impl Fn() -> io::Result<OwnedFd> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        Self::with(Arc::new(Opened(connect)))
    }

    fn with(connect: Arc<dyn Connect>) -> Result<Self, Error> {
        let io = Error::io(Operation::Open);
        let control = Control::new(connect.connect().map_err(&io)?, PATIENCE)?;
        let features = Features::new(connect.is_kernel());
        Ok(Self {
            connect,
            control: Mutex::new(control),
            features,
            patience: PATIENCE,
        })
    }

    /// The same client, which waits so long for an answer, and in a dump for its next part,
    /// before it gives up with [`Error::Timeout`]; 30 seconds unless this says otherwise.
    pub fn with_patience(mut self, patience: Duration) -> Result<Self, Error> {
        // The system takes zero for "for ever".
        let patience = patience.max(Duration::from_millis(1));
        let control = self
            .control
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        control.set_patience(patience)?;
        self.patience = patience;
        Ok(self)
    }

    /// What this kernel can do, found out by trying.
    pub const fn features(&self) -> &Features {
        &self.features
    }

    /// Reads entries as a stream.
    pub fn dump(&self, request: &DumpRequest) -> Result<Dump, Error> {
        Dump::start(self.dumper(), request, false)
    }

    /// Reads entries and sets their counters to zero in the same step.
    ///
    /// With a filter this needs a kernel that provably filters by every part of it, for entries
    /// outside the filter would lose their counters too.
    pub fn dump_and_zero(&self, filter: &Filter) -> Result<Dump, Error> {
        self.features.require_exact(filter, Operation::Dump)?;
        Dump::start(self.dumper(), &(*filter).into(), true)
    }

    /// Exactly what the kernel sends for a filter.
    pub(crate) fn dump_unproven(
        &self,
        filter: &Filter,
        family: Option<Family>,
        zero: bool,
    ) -> Result<Dump, Error> {
        let filter = Filter { family, ..*filter };
        Dump::start_unchecked(self.dumper(), filter, zero)
    }

    fn dumper(&self) -> Dumper {
        Dumper {
            connect: Arc::clone(&self.connect),
            features: self.features.clone(),
            patience: self.patience,
        }
    }

    /// Reads entries into a value, beginning anew with a fresh one when the dump was interrupted,
    /// up to `attempts` times in all. The last attempt's outcome says whether it is complete.
    pub fn fold<S>(
        &self,
        request: &DumpRequest,
        attempts: u32,
        fresh: impl Fn() -> S,
        mut step: impl FnMut(&mut S, &Entry),
    ) -> Result<(S, DumpOutcome), Error> {
        let mut attempt = 1;
        loop {
            let mut state = fresh();
            let mut dump = self.dump(request)?;
            while let Some(entry) = dump.next_entry()? {
                step(&mut state, entry);
            }
            if dump.outcome().complete || attempt >= attempts {
                return Ok((state, dump.outcome()));
            }
            attempt += 1;
        }
    }

    /// Reads one entry; an error of kind [`NotFound`](ErrorKind::NotFound) if there is none.
    pub fn get(&self, key: &Key) -> Result<Entry, Error> {
        let family = key.tuple.family();
        let mut found = None;
        self.request(
            Operation::Get,
            ct_message(IPCTNL_MSG_CT_GET),
            NLM_F_ACK,
            family.number(),
            |w| key.encode(w),
            |_, attrs| {
                found = Some(Entry::decode(attrs)?);
                Ok(())
            },
        )?;
        found.ok_or(Error::Malformed {
            operation: Operation::Get,
            source: DecodeError::Missing {
                field: "CTA_TUPLE_ORIG",
            },
        })
    }

    /// Creates one entry.
    pub fn create(&self, new: NewEntry) -> Result<(), Error> {
        self.apply_one(Operation::Create, Change::Create(Box::new(new)))
    }

    /// Changes one entry.
    pub fn update(&self, key: Key, update: Update) -> Result<(), Error> {
        self.apply_one(Operation::Update, Change::Update(key, Box::new(update)))
    }

    /// Deletes one entry.
    pub fn delete(&self, key: Key) -> Result<(), Error> {
        self.apply_one(Operation::Delete, Change::Delete(key))
    }

    /// Makes many changes, many in one system call; `each` is told what came of every one of
    /// them, in order. Fails as a whole only when the kernel cannot be talked to.
    ///
    /// Only the last message of a send asks for an acknowledgement. The kernel answers failures
    /// without being asked, and works in order, so what has not failed by then has succeeded.
    pub fn apply(
        &self,
        changes: impl IntoIterator<Item = Change>,
        mut each: impl FnMut(&Change, Result<(), Error>),
    ) -> Result<(), Error> {
        let mut changes = changes.into_iter();
        let mut control = self.control();
        loop {
            let batch: Vec<Change> = changes.by_ref().take(CHANGES_A_SEND).collect();
            if batch.is_empty() {
                return Ok(());
            }
            let results = control.apply(&batch)?;
            for (change, result) in batch.iter().zip(results) {
                each(change, result);
            }
        }
    }

    /// Deletes every entry that matches, in one request; the kernel does not say how many.
    ///
    /// A kernel that does not know a part of the filter would ignore it and delete more, so
    /// anything but [`Filter::any`] is refused until a probe has shown that this kernel filters a
    /// flush by every part of it.
    pub fn flush(&self, filter: &Filter) -> Result<(), Error> {
        self.features.require_exact(filter, Operation::Flush)?;
        let families: Vec<Option<Family>> = if filter.has_tuple() {
            filter.families().map(Some).collect()
        } else {
            vec![filter.family]
        };
        families
            .into_iter()
            .try_for_each(|family| self.flush_unproven(filter, family))
    }

    /// Flushes by whatever the kernel makes of a filter.
    pub(crate) fn flush_unproven(
        &self,
        filter: &Filter,
        family: Option<Family>,
    ) -> Result<(), Error> {
        // Version 1 makes the kernel heed the family (Linux 5.3; the probe has seen it).
        let nfgen = NfGen {
            family: family.map_or(AF_UNSPEC, Family::number),
            version: u8::from(family.is_some()),
            resource: 0,
        };
        self.control().request(
            Operation::Flush,
            ct_message(IPCTNL_MSG_CT_DELETE),
            NLM_F_ACK,
            nfgen,
            |w| filter.encode(w),
            |_, _| Ok(()),
        )
    }

    /// How many entries there are. Kernels before 4.18 know no limit.
    pub fn global_stats(&self) -> Result<GlobalStats, Error> {
        let mut stats = None;
        self.request(
            Operation::Stats,
            ct_message(IPCTNL_MSG_CT_GET_STATS),
            NLM_F_ACK,
            AF_UNSPEC,
            |_| {},
            |_, attrs| {
                stats = Some(GlobalStats::decode(attrs)?);
                Ok(())
            },
        )?;
        stats.ok_or(Error::Malformed {
            operation: Operation::Stats,
            source: DecodeError::Missing {
                field: "CTA_STATS_GLOBAL_ENTRIES",
            },
        })
    }

    /// Counters of every possible CPU.
    pub fn cpu_stats(&self) -> Result<Vec<CpuStats>, Error> {
        self.list(
            Operation::Stats,
            ct_message(IPCTNL_MSG_CT_GET_STATS_CPU),
            AF_UNSPEC,
            |_| {},
            CpuStats::decode,
        )
    }

    /// Counters of expectations of every possible CPU.
    pub fn expectation_cpu_stats(&self) -> Result<Vec<ExpectationCpuStats>, Error> {
        self.list(
            Operation::Stats,
            exp_message(IPCTNL_MSG_EXP_GET_STATS_CPU),
            AF_UNSPEC,
            |_| {},
            ExpectationCpuStats::decode,
        )
    }

    /// Expectations: all, or those of one family.
    pub fn expectations(&self, family: Option<Family>) -> Result<Vec<Expectation>, Error> {
        self.list(
            Operation::ExpectationDump,
            exp_message(IPCTNL_MSG_EXP_GET),
            family.map_or(AF_UNSPEC, Family::number),
            |_| {},
            |_, attrs| Expectation::decode(attrs),
        )
    }

    /// Expectations that one connection has made; none if it has no helper.
    pub fn expectations_of(&self, master: &Tuple) -> Result<Vec<Expectation>, Error> {
        self.list(
            Operation::ExpectationDump,
            exp_message(IPCTNL_MSG_EXP_GET),
            master.family().number(),
            |w| master.encode(w, CTA_EXPECT_MASTER, None),
            |_, attrs| Expectation::decode(attrs),
        )
    }

    /// One expectation.
    pub fn expectation(&self, key: &ExpectationKey) -> Result<Expectation, Error> {
        let mut found = None;
        self.request(
            Operation::ExpectationGet,
            exp_message(IPCTNL_MSG_EXP_GET),
            NLM_F_ACK,
            key.tuple.family().number(),
            |w| key.encode(w),
            |_, attrs| {
                found = Some(Expectation::decode(attrs)?);
                Ok(())
            },
        )?;
        found.ok_or(Error::Malformed {
            operation: Operation::ExpectationGet,
            source: DecodeError::Missing {
                field: "CTA_EXPECT_TUPLE",
            },
        })
    }

    /// Creates one expectation.
    pub fn create_expectation(&self, new: NewExpectation) -> Result<(), Error> {
        let change = Change::CreateExpectation(Box::new(new));
        self.apply_one(Operation::ExpectationCreate, change)
    }

    /// Deletes one expectation.
    pub fn delete_expectation(&self, key: ExpectationKey) -> Result<(), Error> {
        self.apply_one(Operation::ExpectationDelete, Change::DeleteExpectation(key))
    }

    /// Deletes all expectations.
    pub fn flush_expectations(&self) -> Result<(), Error> {
        self.request(
            Operation::ExpectationFlush,
            exp_message(IPCTNL_MSG_EXP_DELETE),
            NLM_F_ACK,
            AF_UNSPEC,
            |_| {},
            |_, _| Ok(()),
        )
    }

    /// Subscribes to events.
    ///
    /// With `nf_conntrack_events` at 2, as kernels since 5.19 have it, the kernel sends no events
    /// of entries that were born while nobody in their namespace listened, not even of their end.
    pub fn events(&self, groups: Groups, options: EventOptions) -> Result<Events, Error> {
        let socket = self
            .connect
            .connect()
            .map_err(Error::io(Operation::Events))?;
        Events::start(Socket::new(socket), groups, options)
    }

    /// A socket of its own for requests that the other verbs do not make: attributes are written
    /// and read by the caller.
    pub fn exchange(&self) -> Result<Exchange, Error> {
        let socket = self.connect.connect().map_err(Error::io(Operation::Open))?;
        Ok(Exchange::new(Control::new(socket, self.patience)?))
    }

    /// Whether packets of a family are tracked in this namespace: the kernel tracks only where a
    /// rule needs it. `None` if this kernel cannot tell (before Linux 5.14, or built without
    /// `CONFIG_NETFILTER_NETLINK_HOOK`).
    pub fn is_tracking(&self, family: Family) -> Result<Option<bool>, Error> {
        /// `NF_INET_PRE_ROUTING`
        const PRE_ROUTING: u32 = 0;
        let functions = self.list(
            Operation::Hooks,
            NFNL_SUBSYS_HOOK << 8 | NFNL_MSG_HOOK_GET,
            family.number(),
            |w| w.be32(NFNLA_HOOK_HOOKNUM, PRE_ROUTING),
            |_, attrs| {
                for attr in attrs {
                    let attr = attr?;
                    if attr.kind == NFNLA_HOOK_FUNCTION_NAME {
                        return Ok(attr
                            .text("NFNLA_HOOK_FUNCTION_NAME")?
                            .contains("conntrack_in"));
                    }
                }
                Ok(false)
            },
        );
        match functions {
            Ok(functions) => Ok(Some(functions.contains(&true))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Some(false)),
            Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::Invalid) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn apply_one(&self, operation: Operation, change: Change) -> Result<(), Error> {
        let results = self.control().apply(std::slice::from_ref(&change))?;
        results
            .into_iter()
            .next()
            .unwrap_or(Err(Error::AnswerLost { operation }))
    }

    fn request(
        &self,
        operation: Operation,
        kind: u16,
        flags: u16,
        family: u8,
        body: impl FnOnce(&mut Writer),
        each: impl FnMut(NfGen, Attrs<'_>) -> Result<(), DecodeError>,
    ) -> Result<(), Error> {
        let nfgen = NfGen {
            family,
            version: 0,
            resource: 0,
        };
        self.control()
            .request(operation, kind, flags, nfgen, body, each)
    }

    fn list<T>(
        &self,
        operation: Operation,
        kind: u16,
        family: u8,
        body: impl FnOnce(&mut Writer),
        decode: impl Fn(NfGen, Attrs<'_>) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, Error> {
        let mut items = Vec::new();
        // A list that cannot have anything in it, such as the expectations of a connection without
        // helper, is answered by nothing but the acknowledgement. A list that begins has none.
        let flags = NLM_F_DUMP | NLM_F_ACK;
        self.request(operation, kind, flags, family, body, |nfgen, attrs| {
            items.push(decode(nfgen, attrs)?);
            Ok(())
        })?;
        Ok(items)
    }

    fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
