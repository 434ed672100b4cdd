//! Reading the table: one thread receives, the caller decodes.
//!
//! Nearly all of a dump's time passes in the kernel, inside the receive call. A thread of its own
//! spends that time, so that decoding, filtering and printing cost nothing beside it.

use std::iter::FusedIterator;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use crate::client::Connect;
use crate::constants::*;
use crate::control::sequence;
use crate::error::{Error, Operation};
use crate::features::{Feature, Features};
use crate::message::{Entry, Family, Filter};
use crate::socket::{DATAGRAM, Received, Socket};
use crate::wire::{Ack, Messages, NfGen, Writer, align4};

/// Bytes that are handed to the decoder at once: waking it costs as much as decoding fifty entries,
/// and a datagram has only a hundred.
const BATCH: usize = 128 * 1024;

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

/// What to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DumpRequest {
    /// Which list.
    pub table: Table,
    /// Which entries of it.
    pub filter: Filter,
}

impl From<Filter> for DumpRequest {
    fn from(filter: Filter) -> Self {
        Self {
            table: Table::Conntrack,
            filter,
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
    request: DumpRequest,
    zero: bool,
    /// What is still to be asked, last first.
    plan: Vec<Ask>,
    current: Option<Running>,
    entry: Option<Entry>,
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

/// One request: what the kernel is asked to filter by, in one family or all.
#[derive(Clone, Copy, Debug)]
struct Ask {
    family: Option<Family>,
    filter: Filter,
}

/// A request that is being answered.
struct Running {
    ask: Ask,
    /// The request's sequence number.
    number: u32,
    batches: Receiver<Batch>,
    recycle: SyncSender<Vec<u8>>,
    batch: Vec<u8>,
    offset: usize,
    /// Entries that the kernel sent for this request.
    seen: u64,
    /// Whether the kernel said that the table changed under it.
    interrupted: bool,
}

enum Batch {
    Messages(Vec<u8>),
    Failed(Error),
}

impl Dump {
    pub(crate) fn start(dumper: Dumper, request: DumpRequest, zero: bool) -> Result<Self, Error> {
        let filter = request.filter;
        let mut plan: Vec<Ask> = if filter.has_tuple() && request.table == Table::Conntrack {
            filter
                .families()
                .map(|family| Ask {
                    family: Some(family),
                    filter,
                })
                .collect()
        } else {
            vec![Ask {
                family: filter.family,
                filter,
            }]
        };
        plan.reverse();
        Self::with_plan(dumper, request, plan, zero)
    }

    /// A dump that yields what the kernel sends for a filter, right or wrong.
    pub(crate) fn start_unchecked(
        dumper: Dumper,
        filter: &Filter,
        family: Option<Family>,
        zero: bool,
    ) -> Result<Self, Error> {
        let plan = vec![Ask {
            family,
            filter: *filter,
        }];
        let mut dump = Self::with_plan(dumper, DumpRequest::default(), plan, zero)?;
        dump.trusting = true;
        Ok(dump)
    }

    fn with_plan(
        dumper: Dumper,
        request: DumpRequest,
        plan: Vec<Ask>,
        zero: bool,
    ) -> Result<Self, Error> {
        let buckets = dumper.connect.buckets();
        let mut dump = Self {
            dumper,
            request,
            zero,
            plan,
            current: None,
            entry: None,
            buckets,
            outcome: DumpOutcome {
                complete: true,
                fallbacks: 0,
            },
            trusting: false,
        };
        dump.advance()?;
        Ok(dump)
    }

    /// The next entry, `None` at the end.
    ///
    /// After an error the dump is over: what came before it is true but not all.
    #[inline]
    pub fn next_entry(&mut self) -> Result<Option<&Entry>, Error> {
        loop {
            let Some(running) = &mut self.current else {
                return Ok(None);
            };
            match running.next_message() {
                Step::Entry(entry) => {
                    running.seen += 1;
                    if self.trusting || self.request.filter.matches(&entry) {
                        return Ok(Some(self.entry.insert(entry)));
                    }
                    if running.seen == 1 && !self.zero && running.ask.contradicted_by(&entry) {
                        self.ask_again_without_addresses()?;
                    }
                }
                Step::Foreign => {}
                Step::NeedBatch => {
                    if let Err(error) = running.receive() {
                        self.current = None;
                        return Err(error);
                    }
                }
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

    /// Starts the next request of the plan; at the end, compares the table's size with what it
    /// was: a resize moves entries behind the dump's back and the kernel does not say so.
    fn advance(&mut self) -> Result<(), Error> {
        self.current = match self.plan.pop() {
            Some(ask) => Some(Running::start(&self.dumper, &self.request, ask, self.zero)?),
            None => {
                if self.dumper.connect.buckets() != self.buckets {
                    self.outcome.complete = false;
                }
                None
            }
        };
        Ok(())
    }

    fn finish_request(&mut self) -> Result<(), Error> {
        self.outcome.complete &= self
            .current
            .as_ref()
            .is_none_or(|running| !running.interrupted);
        if let Some(running) = &self.current
            && running.seen == 0
            && running.ask.filter.has_ipv6_address()
            && !self.trusting
            && !self.zero
            && self
                .dumper
                .features
                .proves(Feature::FilteredDump, &running.ask.filter)
                .is_err()
        {
            return self.ask_again_without_addresses();
        }
        self.advance()
    }

    /// Up to Linux 6.18 at least, `ctnetlink_filter_match_tuple` compares IPv6 addresses the wrong
    /// way round: it sends everything but what was asked for. An answer that begins with an entry
    /// that was not asked for, or an empty one, is therefore no answer.
    fn ask_again_without_addresses(&mut self) -> Result<(), Error> {
        if let Some(Running { ask, .. }) = self.current.take() {
            self.outcome.fallbacks += 1;
            self.plan.push(Ask {
                filter: ask.filter.without_addresses(),
                ..ask
            });
        }
        self.advance()
    }

    /// A kernel that does not know a filter may refuse it; the family it always knew.
    fn refused(&mut self, error: Error) -> Result<(), Error> {
        let refusable = matches!(error.errno(), Some(libc::EOPNOTSUPP | libc::EINVAL));
        match self.current.take() {
            Some(Running { ask, seen: 0, .. })
                if refusable && !self.zero && !self.trusting && !ask.filter.is_any() =>
            {
                self.outcome.fallbacks += 1;
                self.plan.push(Ask {
                    filter: Filter::any(),
                    ..ask
                });
                self.advance()
            }
            _ => Err(error),
        }
    }
}

/// Entries by value.
impl Iterator for Dump {
    type Item = Result<Entry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.next_entry() {
            Ok(Some(_)) => self.entry.take().map(Ok),
            Ok(None) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

impl FusedIterator for Dump {}

impl Ask {
    /// Whether an entry proves that the kernel took no or a wrong notice of the IPv6 addresses.
    fn contradicted_by(&self, entry: &Entry) -> bool {
        self.filter.has_ipv6_address() && !self.filter.matches(entry)
    }

    fn encode(&self, table: Table, zero: bool, number: u32) -> Vec<u8> {
        let message = match (table, zero) {
            (Table::Conntrack, false) => IPCTNL_MSG_CT_GET,
            (Table::Conntrack, true) => IPCTNL_MSG_CT_GET_CTRZERO,
            (Table::Dying, _) => IPCTNL_MSG_CT_GET_DYING,
            (Table::Unconfirmed, _) => IPCTNL_MSG_CT_GET_UNCONFIRMED,
        };
        let family = self.family.map_or(AF_UNSPEC, Family::number);
        let mut writer = Writer::new();
        let nfgen = NfGen {
            family,
            version: 0,
            resource: 0,
        };
        let flags = NLM_F_REQUEST | NLM_F_DUMP;
        writer.message(ct_message(message), flags, number, nfgen, |w| {
            if table == Table::Conntrack {
                self.filter.encode(w);
            }
        });
        writer.bytes().to_vec()
    }
}

#[expect(
    clippy::large_enum_variant,
    reason = "nearly every step is an entry, made in place"
)]
enum Step {
    Entry(Entry),
    /// A message that is no part of the answer.
    Foreign,
    NeedBatch,
    Done,
    Refused(Error),
}

impl Running {
    fn start(dumper: &Dumper, request: &DumpRequest, ask: Ask, zero: bool) -> Result<Self, Error> {
        let io = Error::io(Operation::Dump);
        let socket = Socket::new(dumper.connect.connect().map_err(&io)?);
        let patience = dumper.patience;
        socket.set_receive_timeout(Some(patience)).map_err(&io)?;
        let number = sequence();
        socket
            .send(&ask.encode(request.table, zero, number))
            .map_err(&io)?;
        let (batch_sender, batches) = sync_channel(QUEUE);
        let (recycle, empty) = sync_channel(QUEUE + 2);
        std::thread::Builder::new()
            .name("dump".to_owned())
            .spawn(move || receive_all(&socket, patience, number, &batch_sender, &empty))
            .map_err(&io)?;
        Ok(Self {
            ask,
            number,
            batches,
            recycle,
            batch: Vec::new(),
            offset: 0,
            seen: 0,
            interrupted: false,
        })
    }

    #[inline]
    fn next_message(&mut self) -> Step {
        let Some(rest) = self
            .batch
            .get(self.offset..)
            .filter(|rest| !rest.is_empty())
        else {
            return Step::NeedBatch;
        };
        let malformed = Error::malformed(Operation::Dump);
        let mut messages = Messages::new(rest);
        let message = match messages.next() {
            Some(Ok(message)) => message,
            Some(Err(error)) => return Step::Refused(malformed(error)),
            None => return Step::NeedBatch,
        };
        self.offset = self.batch.len() - messages.rest().len();
        if message.header.sequence != self.number {
            return Step::Foreign;
        }
        self.interrupted |= message.header.flags & NLM_F_DUMP_INTR != 0;
        match message.header.kind {
            NLMSG_DONE => match Ack::decode_done(&message) {
                Ack { errno: 0, .. } => Step::Done,
                ack => Step::Refused(Error::kernel(Operation::Dump, &ack)),
            },
            NLMSG_ERROR => match Ack::decode(&message) {
                Some(Ack { errno: 0, .. }) => Step::Done,
                Some(ack) => Step::Refused(Error::kernel(Operation::Dump, &ack)),
                None => Step::Refused(malformed(crate::wire::DecodeError::Truncated {
                    field: "nlmsgerr",
                    offset: 0,
                })),
            },
            NLMSG_NOOP => Step::Foreign,
            _ => match message
                .nfnetlink()
                .and_then(|(_, attrs)| Entry::decode(attrs))
            {
                Ok(entry) => Step::Entry(entry),
                Err(error) => Step::Refused(malformed(error)),
            },
        }
    }

    fn receive(&mut self) -> Result<(), Error> {
        let _ = self.recycle.try_send(std::mem::take(&mut self.batch));
        self.offset = 0;
        match self.batches.recv() {
            Ok(Batch::Messages(batch)) => {
                self.batch = batch;
                Ok(())
            }
            Ok(Batch::Failed(error)) => Err(error),
            // The thread ends only with the dump's last message, which has been read.
            Err(_) => Err(Error::Closed {
                operation: Operation::Dump,
            }),
        }
    }
}

/// Receives until the dump's end and passes every datagram on.
fn receive_all(
    socket: &Socket,
    patience: Duration,
    number: u32,
    batches: &SyncSender<Batch>,
    empty: &Receiver<Vec<u8>>,
) {
    let mut buffer = Vec::with_capacity(BATCH + DATAGRAM);
    loop {
        let start = buffer.len();
        // What has come is not held back for what has not.
        let failed = match socket.receive_after(&mut buffer, start == 0) {
            Ok(Received::Timeout) if start > 0 => {
                if batches.send(Batch::Messages(buffer)).is_err() {
                    return;
                }
                buffer = recycled(empty);
                continue;
            }
            Ok(Received::Bytes(length)) if length > buffer.len() - start => Error::Truncated {
                operation: Operation::Dump,
                length,
            },
            Ok(Received::Closed) => Error::Closed {
                operation: Operation::Dump,
            },
            Ok(Received::Bytes(_)) => {
                let datagram = buffer.get(start..).unwrap_or_default();
                let last = ends_dump(datagram, number);
                // So that the batch reads as one sequence of messages.
                buffer.resize(align4(buffer.len()), 0);
                if buffer.len() < BATCH && !last {
                    continue;
                }
                if batches.send(Batch::Messages(buffer)).is_err() || last {
                    return;
                }
                buffer = recycled(empty);
                continue;
            }
            Ok(Received::Overrun) => Error::AnswerLost {
                operation: Operation::Dump,
            },
            Ok(Received::Timeout) => Error::Timeout {
                operation: Operation::Dump,
                seconds: patience.as_secs(),
            },
            Err(error) => Error::io(Operation::Dump)(error),
        };
        // What came before it is true.
        buffer.truncate(start);
        if !buffer.is_empty() {
            let _ = batches.send(Batch::Messages(buffer));
        }
        let _ = batches.send(Batch::Failed(failed));
        return;
    }
}

/// An empty buffer, one that was used before if there is one.
fn recycled(empty: &Receiver<Vec<u8>>) -> Vec<u8> {
    let mut buffer = empty
        .try_recv()
        .unwrap_or_else(|_| Vec::with_capacity(BATCH + DATAGRAM));
    buffer.clear();
    buffer
}

/// Whether a datagram holds the dump's last message.
fn ends_dump(datagram: &[u8], number: u32) -> bool {
    Messages::new(datagram).any(|message| {
        message.is_ok_and(|message| {
            matches!(message.header.kind, NLMSG_DONE | NLMSG_ERROR)
                && message.header.sequence == number
        })
    })
}
