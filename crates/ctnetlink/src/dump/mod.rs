//! Reading the table: threads receive, the caller decodes.
//!
//! Nearly all of a dump's time passes in the kernel, inside the receive call. A thread of its own
//! for each request spends that time, so that decoding, filtering and printing cost nothing beside
//! it, and two requests are answered at the same time.

mod plan;
mod request;

use std::iter::FusedIterator;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use crate::client::Connect;
use crate::error::Error;
use crate::features::{Feature, Features};
use crate::message::{Entry, Filter};
use plan::{Ask, Plan};
use request::{Batch, Running, Step};

/// How many requests are answered at the same time: the kernel works through each on one core, and
/// a request that the caller cannot keep up with would only wait.
const AT_ONCE: usize = 2;

/// How many batches may wait for the decoder.
const QUEUE: usize = 4;

/// Which list of entries to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Table {
    /// The connection tracking table.
    #[default]
    Conntrack,
    /// Entries that have been removed and whose destroy event could not be delivered yet.
    Dying,
    /// Entries whose first packet has not left the machine; always empty since Linux 6.3.
    Unconfirmed,
}

/// What to read: the entries of a list that match at least one of the filters, each once.
///
/// [`DumpRequest::default`] is the whole table; no filter at all selects nothing, and the kernel is
/// not asked.
///
/// The kernel takes one filter a request, and walks its whole table for each. Filters that are
/// covered by others are not sent, and of several that may bring the same entry because they differ
/// in mark or status, what was read is remembered: some 100 bytes for each such entry. An entry
/// whose mark or status changes, while it is read, from what a later filter selects to what an
/// earlier one did is like one that comes and goes: it may or may not be in the dump.
///
/// ```
/// use ctnetlink::{DumpRequest, Filter, Protocol};
/// let [mut dns, mut web] = [Filter { protocol: Some(Protocol::UDP), ..Filter::any() }; 2];
/// dns.orig.dst_port = Some(53);
/// web.orig.dst_port = Some(443);
/// let request = DumpRequest::from(vec![dns, web]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DumpRequest {
    /// Which list.
    pub table: Table,
    /// Which entries of it: those that any of these selects.
    pub filters: Vec<Filter>,
}

impl DumpRequest {
    /// Whether it selects an entry.
    pub fn matches(&self, entry: &Entry) -> bool {
        self.filters.iter().any(|filter| filter.matches(entry))
    }
}

impl Default for DumpRequest {
    fn default() -> Self {
        Filter::any().into()
    }
}

impl From<Filter> for DumpRequest {
    fn from(filter: Filter) -> Self {
        vec![filter].into()
    }
}

impl From<Vec<Filter>> for DumpRequest {
    fn from(filters: Vec<Filter>) -> Self {
        Self {
            table: Table::Conntrack,
            filters,
        }
    }
}

/// How a dump went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DumpOutcome {
    /// Whether the table stood still enough: not interrupted (`NLM_F_DUMP_INTR`) and not resized
    /// meanwhile. If not, entries may be missing or twice in it. Entries that come and go during
    /// any dump may or may not be in it.
    pub complete: bool,
    /// How many requests were sent: each makes the kernel walk its whole table.
    pub requests: u32,
    /// How often the kernel's filter could not be used and another request was sent.
    pub fallbacks: u32,
}

/// A running dump: a stream of entries. Dropping it ends it.
///
/// ```
/// # fn main() -> Result<(), ctnetlink::Error> {
/// # let Ok(namespace) = ctnetlink::Namespace::scratch() else { return Ok(()) };
/// # let client = ctnetlink::Client::open_in(&namespace)?;
/// let mut dump = client.dump(&ctnetlink::DumpRequest::default())?;
/// while let Some(entry) = dump.next_entry()? {
///     println!("{} -> {}", entry.orig.src, entry.orig.dst);
/// }
/// assert!(dump.outcome().complete);
/// # Ok(())
/// # }
/// ```
pub struct Dump {
    dumper: Dumper,
    table: Table,
    zero: bool,
    plan: Plan,
    running: Vec<Running>,
    /// Which of them the batch at hand belongs to.
    current: usize,
    sender: SyncSender<Batch>,
    batches: Receiver<Batch>,
    /// The one that was read last: decoded in place, for an entry is long.
    entry: Entry,
    buckets: Option<u64>,
    outcome: DumpOutcome,
    /// Whether the kernel's answer is taken as it is.
    trusting: bool,
}

/// What a client lends to its dumps.
pub(crate) struct Dumper {
    pub(crate) connect: Arc<dyn Connect>,
    pub(crate) features: Features,
    /// How long to wait for the kernel's next datagram.
    pub(crate) patience: Duration,
}

impl Dump {
    pub(crate) fn start(dumper: Dumper, request: &DumpRequest, zero: bool) -> Result<Self, Error> {
        let plan = Plan::new(request.table, &request.filters);
        Self::with_plan(dumper, request.table, plan, zero)
    }

    /// A dump that yields what the kernel sends for a filter, right or wrong.
    pub(crate) fn start_unchecked(
        dumper: Dumper,
        kernel: Filter,
        zero: bool,
    ) -> Result<Self, Error> {
        let mut dump = Self::with_plan(dumper, Table::Conntrack, Plan::of(kernel), zero)?;
        dump.trusting = true;
        Ok(dump)
    }

    fn with_plan(dumper: Dumper, table: Table, plan: Plan, zero: bool) -> Result<Self, Error> {
        let buckets = dumper.connect.buckets();
        let (sender, batches) = sync_channel(QUEUE);
        let mut dump = Self {
            dumper,
            table,
            zero,
            plan,
            running: Vec::new(),
            current: 0,
            sender,
            batches,
            entry: Entry::blank(),
            buckets,
            outcome: DumpOutcome {
                complete: true,
                requests: 0,
                fallbacks: 0,
            },
            trusting: false,
        };
        dump.send_waiting()?;
        Ok(dump)
    }

    /// The next entry, `None` at the end.
    ///
    /// After an error the dump is over: what came before it is true but not all.
    #[inline]
    pub fn next_entry(&mut self) -> Result<Option<&Entry>, Error> {
        loop {
            let Some(running) = self.running.get_mut(self.current) else {
                if self.running.is_empty() {
                    return Ok(None);
                }
                self.receive()?;
                continue;
            };
            match running.next_message(&mut self.entry) {
                Step::Entry => {
                    running.seen += 1;
                    if self.trusting || self.plan.takes(&running.ask, &self.entry) {
                        return Ok(Some(&self.entry));
                    }
                    if running.seen == 1 && !self.zero && running.ask.contradicted_by(&self.entry) {
                        self.ask_again_without_addresses()?;
                    }
                }
                Step::Foreign => {}
                Step::NeedBatch => self.receive()?,
                Step::Done => self.finish_request()?,
                Step::Refused(error) => self.refused(error)?,
            }
        }
    }

    /// How it went so far; final once [`next_entry`](Self::next_entry) has given `None`.
    pub const fn outcome(&self) -> DumpOutcome {
        self.outcome
    }

    /// All entries in memory, and how it went.
    pub fn collect(mut self) -> Result<(Vec<Entry>, DumpOutcome), Error> {
        let mut entries = Vec::new();
        while let Some(entry) = self.next_entry()? {
            entries.push(entry.clone());
        }
        Ok((entries, self.outcome))
    }

    /// Sends what can be sent now; at the end, compares the table's size with what it was: a
    /// resize moves entries behind the dump's back and the kernel does not say so.
    fn send_waiting(&mut self) -> Result<(), Error> {
        self.current = usize::MAX;
        while self.running.len() < AT_ONCE
            && let Some(ask) = self.plan.next()
        {
            let sender = self.sender.clone();
            match Running::start(&self.dumper, self.table, ask, self.zero, sender) {
                Ok(running) => self.running.push(running),
                Err(error) => return Err(self.over(error)),
            }
            self.outcome.requests += 1;
        }
        if self.running.is_empty() && self.dumper.connect.buckets() != self.buckets {
            self.outcome.complete = false;
        }
        Ok(())
    }

    /// Waits for the next part of any answer.
    fn receive(&mut self) -> Result<(), Error> {
        // There is a sender as long as there is this receiver, and each request's thread ends with
        // the answer's end or an error.
        let Ok((number, part)) = self.batches.recv() else {
            return Ok(());
        };
        let is_it = |running: &Running| running.number == number;
        // What is left of a request that has been dropped is of no interest.
        let Some(at) = self.running.iter().position(is_it) else {
            return Ok(());
        };
        match part {
            Ok(batch) => {
                self.current = at;
                if let Some(running) = self.running.get_mut(at) {
                    running.read_on(batch);
                }
                Ok(())
            }
            Err(error) => Err(self.over(error)),
        }
    }

    /// Takes the request at hand from those that run.
    fn take_current(&mut self) -> Option<Running> {
        let is_there = self.current < self.running.len();
        is_there.then(|| self.running.swap_remove(self.current))
    }

    fn over(&mut self, error: Error) -> Error {
        self.running.clear();
        self.plan.give_up();
        error
    }

    fn finish_request(&mut self) -> Result<(), Error> {
        let Some(running) = self.running.get(self.current) else {
            return Ok(());
        };
        self.outcome.complete &= !running.interrupted;
        let filter = &running.ask.kernel;
        if running.seen == 0
            && filter.has_ipv6_address()
            && !self.trusting
            && !self.zero
            && self
                .dumper
                .features
                .proves(Feature::FilteredDump, filter)
                .is_err()
        {
            return self.ask_again_without_addresses();
        }
        self.take_current();
        self.send_waiting()
    }

    /// Up to Linux 6.18 at least, `ctnetlink_filter_match_tuple` compares IPv6 addresses the wrong
    /// way round: it sends everything but what was asked for. An answer that begins with an entry
    /// that was not asked for, or an empty one, is therefore no answer.
    fn ask_again_without_addresses(&mut self) -> Result<(), Error> {
        let Some(Running { ask, .. }) = self.take_current() else {
            return Ok(());
        };
        let unread = self.running.iter().filter(|running| running.seen == 0);
        let kernel = self
            .plan
            .without_addresses(&ask, unread.map(|running| &running.ask));
        self.ask_instead(ask, kernel)
    }

    /// A kernel that does not know a filter may refuse it; the family it always knew.
    fn refused(&mut self, error: Error) -> Result<(), Error> {
        let refusable = matches!(error.errno(), Some(libc::EOPNOTSUPP | libc::EINVAL));
        if let Some(Running { ask, seen: 0, .. }) = self.take_current()
            && refusable
            && !self.zero
            && !self.trusting
        {
            let kernel = Filter {
                family: ask.kernel.family,
                ..Filter::any()
            };
            if ask.kernel != kernel {
                return self.ask_instead(ask, kernel);
            }
        }
        Err(self.over(error))
    }

    /// Asks more widely, and for nothing besides that the wider request brings as well, so that
    /// several filters that this kernel cannot use do not cost as many whole dumps.
    fn ask_instead(&mut self, ask: Ask, kernel: Filter) -> Result<(), Error> {
        let covered =
            |running: &mut Running| running.seen == 0 && running.ask.kernel.implies(&kernel);
        let unread = self.running.extract_if(.., covered);
        let asks = unread.map(|running| running.ask).chain([ask]).collect();
        self.plan.replace(asks, kernel);
        self.outcome.fallbacks += 1;
        self.send_waiting()
    }
}

/// Entries by value.
impl Iterator for Dump {
    type Item = Result<Entry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.next_entry() {
            Ok(Some(_)) => Some(Ok(std::mem::replace(&mut self.entry, Entry::blank()))),
            Ok(None) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

impl FusedIterator for Dump {}
