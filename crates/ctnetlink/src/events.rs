//! Events: what the kernel tells of births, changes and deaths.

use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::constants::*;
use crate::error::{Error, Operation};
use crate::message::{Entry, Expectation};
use crate::socket::{BatchReceiver, Received, Socket, wake_pair};
use crate::wire::{DecodeError, Message, Messages};

bitflags::bitflags! {
    /// What to be told of.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Groups: u8 {
        /// Entries that are new in the table.
        const NEW = 1;
        /// Entries of which something but counters and timeout has changed.
        const UPDATE = 2;
        /// Entries that have left the table.
        const DESTROY = 4;
        /// Expectations that are new.
        const EXPECTATION_NEW = 8;
        /// Expectations that are gone.
        const EXPECTATION_DESTROY = 16;
        /// Everything about entries.
        const CONNTRACK = 7;
        /// Everything about expectations.
        const EXPECTATION = 24;
    }
}

impl Groups {
    fn numbers(self) -> impl Iterator<Item = u32> {
        self.iter().map(|group| match group {
            Self::NEW => NFNLGRP_CONNTRACK_NEW,
            Self::UPDATE => NFNLGRP_CONNTRACK_UPDATE,
            Self::DESTROY => NFNLGRP_CONNTRACK_DESTROY,
            Self::EXPECTATION_NEW => NFNLGRP_CONNTRACK_EXP_NEW,
            _ => NFNLGRP_CONNTRACK_EXP_DESTROY,
        })
    }
}

/// How events are received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventOptions {
    /// Bytes of the kernel's receive buffer to ask for. What it really is,
    /// [`Events::receive_buffer`] tells.
    pub receive_buffer: usize,
    /// Bytes of events that may wait in this process for a slow reader before the kernel's buffer
    /// begins to fill.
    pub queue: usize,
    /// Makes the kernel keep destroy events that do not fit and send them later
    /// (`NETLINK_BROADCAST_ERROR`), at the price of entries that stay in memory as long.
    pub reliable: bool,
}

impl Default for EventOptions {
    /// 64 MiB in the kernel, 256 MiB here at worst, not reliable.
    fn default() -> Self {
        Self {
            receive_buffer: 64 << 20,
            queue: 256 << 20,
            reliable: false,
        }
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// An entry is new.
    New(Entry),
    /// Something of an entry has changed; only what has changed need be in it.
    Update(Entry),
    /// An entry is gone; with its last counters, if accounting is on.
    Destroy(Entry),
    /// An expectation is new.
    ExpectationNew(Box<Expectation>),
    /// An expectation is gone.
    ExpectationDestroy(Box<Expectation>),
    /// The kernel's buffer was full and events are lost: what was known of the table is to be
    /// read anew. The stream goes on. It comes before the first event that followed the loss;
    /// some that preceded it may come after.
    Overrun {
        /// How many, where the kernel can say (Linux 4.12).
        lost: Option<u32>,
    },
}

/// A subscription: a stream of batches of events. Dropping it ends it.
///
/// ```
/// use ctnetlink::{Event, EventOptions, Groups};
///
/// # fn main() -> Result<(), ctnetlink::Error> {
/// # let Ok(namespace) = ctnetlink::Namespace::scratch() else { return Ok(()) };
/// # let client = ctnetlink::Client::open_in(&namespace)?;
/// let mut events = client.events(Groups::NEW | Groups::DESTROY, EventOptions::default())?;
/// # events.stopper()?.stop();
/// while let Some(batch) = events.next_batch(None)? {
///     for event in batch.iter() {
///         match event? {
///             Event::New(entry) => println!("new {}", entry.orig.src),
///             Event::Overrun { lost } => eprintln!("lost {lost:?}"),
///             _ => {}
///         }
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Events {
    items: Receiver<Item>,
    socket: Arc<Socket>,
    queue: Arc<Queue>,
    waker: std::fs::File,
    thread: Option<std::thread::JoinHandle<()>>,
    receive_buffer: usize,
}

/// Events that were received together.
#[derive(Debug)]
pub struct EventBatch {
    content: Content,
    emptied: Option<Instant>,
    queue: Arc<Queue>,
}

#[derive(Debug)]
enum Content {
    Messages(Vec<u8>),
    Overrun { lost: Option<u32> },
}

enum Item {
    Batch(Content, Option<Instant>),
    Failed(Error),
}

/// Tells, from any thread, whether events wait to be read.
#[derive(Debug)]
pub struct EventBacklog {
    socket: Arc<Socket>,
    queue: Arc<Queue>,
}

/// Bytes that wait for the reader.
#[derive(Debug)]
struct Queue {
    limit: usize,
    waiting: AtomicUsize,
    stopped: Mutex<bool>,
    room: Condvar,
}

impl Events {
    pub(crate) fn start(
        socket: Socket,
        groups: Groups,
        options: EventOptions,
    ) -> Result<Self, Error> {
        let io = Error::io(Operation::Events);
        // A small buffer still works, and its real size is told.
        let _ = socket.set_receive_buffer(options.receive_buffer);
        let receive_buffer = socket.receive_buffer().map_err(&io)?;
        if options.reliable {
            socket.set_reliable().map_err(&io)?;
        }
        // From before the first event, which may be lost before the thread has begun.
        let losses = Losses::new(&socket);
        for group in groups.numbers() {
            socket.join(group).map_err(&io)?;
        }
        let queue = Arc::new(Queue {
            limit: options.queue,
            waiting: AtomicUsize::new(0),
            stopped: Mutex::new(false),
            room: Condvar::new(),
        });
        let (wake, waker) = wake_pair().map_err(&io)?;
        let (sender, items) = channel();
        let socket = Arc::new(socket);
        let thread = std::thread::Builder::new()
            .name("events".to_owned())
            .spawn({
                let (queue, socket) = (Arc::clone(&queue), Arc::clone(&socket));
                move || {
                    if let Err(error) = receive_all(&socket, &wake, groups, losses, &queue, &sender)
                    {
                        let _ = sender.send(Item::Failed(error));
                    }
                }
            })
            .map_err(&io)?;
        Ok(Self {
            items,
            socket,
            queue,
            waker,
            thread: Some(thread),
            receive_buffer,
        })
    }

    /// The real size of the kernel's receive buffer in bytes, as the kernel counts it: about
    /// 1.5 kB of it hold one event.
    pub const fn receive_buffer(&self) -> usize {
        self.receive_buffer
    }

    /// Waits for the next batch, at most so long; `None` if nothing came in time, or after
    /// [`stop`](Self::stopper) once everything received has been read.
    ///
    /// After an error nothing more comes.
    pub fn next_batch(&mut self, timeout: Option<Duration>) -> Result<Option<EventBatch>, Error> {
        let item = match timeout {
            None => self
                .items
                .recv()
                .map_err(|_| RecvTimeoutError::Disconnected),
            Some(timeout) => self.items.recv_timeout(timeout),
        };
        match item {
            Ok(Item::Batch(content, emptied)) => Ok(Some(EventBatch {
                content,
                emptied,
                queue: Arc::clone(&self.queue),
            })),
            Ok(Item::Failed(error)) => Err(error),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Ok(None),
        }
    }

    /// A handle by which another thread sees whether events wait.
    pub fn backlog(&self) -> EventBacklog {
        EventBacklog {
            socket: Arc::clone(&self.socket),
            queue: Arc::clone(&self.queue),
        }
    }

    /// A handle by which another thread ends the stream.
    pub fn stopper(&self) -> Result<EventStopper, Error> {
        let waker = self
            .waker
            .try_clone()
            .map_err(Error::io(Operation::Events))?;
        Ok(EventStopper {
            waker,
            queue: Arc::clone(&self.queue),
        })
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        stop(&mut &self.waker, &self.queue);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Ends a stream of events from another thread.
#[derive(Debug)]
pub struct EventStopper {
    waker: std::fs::File,
    queue: Arc<Queue>,
}

impl EventStopper {
    /// Stops receiving. What has been received can still be read.
    pub fn stop(&self) {
        stop(&mut &self.waker, &self.queue);
    }
}

impl EventBacklog {
    /// Whether everything that the kernel has told until now was read, and each batch dropped.
    ///
    /// Where the kernel cannot say what is in its buffer (before Linux 4.12), what waits there is not
    /// seen.
    pub fn is_empty(&self) -> bool {
        // In this order: what leaves the kernel's buffer is in the queue's count before.
        self.socket.waiting().unwrap_or(0) == 0 && self.queue.waiting.load(Ordering::Acquire) == 0
    }
}

impl EventBatch {
    /// A moment before which nothing was told that is not in this batch or in one before it:
    /// the kernel's buffer was found empty after it. `None` where more was there, and where events
    /// were lost since the buffer was empty last. After a loss there is always a batch that has it, if need be without
    /// events.
    pub const fn emptied(&self) -> Option<Instant> {
        self.emptied
    }

    /// The events, in the order in which the kernel sent them. An event that cannot be read is an
    /// error of its own; those after it are still there unless its very length is wrong.
    pub fn iter(&self) -> impl Iterator<Item = Result<Event, Error>> {
        let (messages, overrun) = match &self.content {
            Content::Messages(bytes) => (Messages::new(bytes), None),
            Content::Overrun { lost } => (Messages::new(&[]), Some(Event::Overrun { lost: *lost })),
        };
        let malformed = Error::malformed(Operation::Events);
        overrun
            .into_iter()
            .map(Ok)
            .chain(messages.filter_map(move |message| {
                message
                    .and_then(|message| Event::decode(&message))
                    .map_err(&malformed)
                    .transpose()
            }))
    }
}

impl EventBatch {
    /// The messages as they came, for who needs their headers or decodes them in a way of its own
    /// ([`Event::decode`] is the usual one); none where events were lost.
    pub fn messages(&self) -> Messages<'_> {
        match &self.content {
            Content::Messages(bytes) => Messages::new(bytes),
            Content::Overrun { .. } => Messages::new(&[]),
        }
    }

    /// How many events were lost before this batch, where the kernel can say; `None` where none was.
    pub const fn overrun(&self) -> Option<Option<u32>> {
        match self.content {
            Content::Messages(_) => None,
            Content::Overrun { lost } => Some(lost),
        }
    }
}

impl Drop for EventBatch {
    fn drop(&mut self) {
        self.queue.remove(self.content.weight());
    }
}

impl Content {
    /// What it counts in the queue: even a loss is waited for.
    const fn weight(&self) -> usize {
        match self {
            Self::Messages(bytes) => bytes.capacity() + 1,
            Self::Overrun { .. } => 1,
        }
    }
}

impl Event {
    /// Reads one message; `None` for one that is no event of conntrack.
    pub fn decode(message: &Message<'_>) -> Result<Option<Self>, DecodeError> {
        let is_new = message.header.flags & NLM_F_CREATE != 0;
        let subsystem = message.header.kind >> 8;
        let kind = message.header.kind & 0xff;
        let attrs = || message.nfnetlink().map(|(_, attrs)| attrs);
        Ok(Some(match (subsystem, kind) {
            (NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_NEW) if is_new => {
                Self::New(Entry::decode(attrs()?)?)
            }
            (NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_NEW) => Self::Update(Entry::decode(attrs()?)?),
            (NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_DELETE) => {
                Self::Destroy(Entry::decode(attrs()?)?)
            }
            (NFNL_SUBSYS_CTNETLINK_EXP, IPCTNL_MSG_EXP_NEW) => {
                Self::ExpectationNew(Box::new(Expectation::decode(attrs()?)?))
            }
            (NFNL_SUBSYS_CTNETLINK_EXP, IPCTNL_MSG_EXP_DELETE) => {
                Self::ExpectationDestroy(Box::new(Expectation::decode(attrs()?)?))
            }
            _ => return Ok(None),
        }))
    }
}

/// Moves events from the kernel's buffer into the queue until it is stopped.
fn receive_all(
    socket: &Socket,
    wake: &OwnedFd,
    groups: Groups,
    mut losses: Losses,
    queue: &Queue,
    items: &Sender<Item>,
) -> Result<(), Error> {
    let io = Error::io(Operation::Events);
    let mut receiver = BatchReceiver::new();
    // Events were lost, and what was in the buffer then may still be there.
    let mut is_behind = false;
    loop {
        let is_stopped =
            !queue.wait_for_room() || !(is_behind || socket.wait(wake.as_fd()).map_err(&io)?);
        if is_stopped {
            // Nothing more comes; what has come is still read. A group that was left already is
            // no matter.
            groups.numbers().for_each(|group| drop(socket.leave(group)));
        }
        // Until it is in the queue, what is taken from the buffer counts there by this.
        queue.add(1);
        let began = Instant::now();
        let mut batch = Vec::with_capacity(ENOUGH + 16 * 1024);
        let end = loop {
            match receiver.receive(socket, &mut batch).map_err(&io)? {
                Received::Bytes(_) if batch.len() < ENOUGH => {}
                end => break end,
            }
        };
        if is_stopped && batch.is_empty() && end != Received::Overrun {
            return Ok(());
        }
        // What waits is memory: under light load most of the room for a batch is not used.
        batch.shrink_to_fit();
        // First what was lost: no event that followed a loss may be read before it is told.
        let lost = losses.since(socket, end == Received::Overrun, receiver.take_too_long());
        // What was lost after the buffer had been found empty had filled it again.
        let emptied = (end == Received::Timeout && lost.is_none()).then_some(began);
        let is_told = !batch.is_empty() || (is_behind && emptied.is_some());
        is_behind = lost.is_some() || (is_behind && emptied.is_none());
        let batch = is_told.then_some((Content::Messages(batch), emptied));
        for (content, emptied) in lost.map(|lost| (lost, None)).into_iter().chain(batch) {
            queue.add(content.weight());
            if items.send(Item::Batch(content, emptied)).is_err() {
                return Ok(());
            }
        }
        queue.remove(1);
        if end == Received::Closed {
            return Err(Error::Closed {
                operation: Operation::Events,
            });
        }
    }
}

/// A batch is passed on when it is this long, or when nothing more is there.
const ENOUGH: usize = 128 * 1024;

/// What has been lost and told of.
///
/// The kernel announces an overrun once (`ENOBUFS`) and goes on dropping, silently, until the
/// buffer has been read empty; the socket's count of drops has them all. Asked after every
/// batch, it leaves none untold.
struct Losses {
    /// The kernel's count that has been told of; `None` if it has none.
    told: Option<u32>,
}

impl Losses {
    fn new(socket: &Socket) -> Self {
        Self {
            told: socket.dropped(),
        }
    }

    /// `too_long`: how many could not be taken for their length.
    fn since(&mut self, socket: &Socket, announced: bool, too_long: u32) -> Option<Content> {
        let (Some(told), Some(now)) = (self.told, socket.dropped()) else {
            let lost = (!announced).then_some(too_long);
            return (announced || too_long > 0).then_some(Content::Overrun { lost });
        };
        self.told = Some(now);
        let lost = now.wrapping_sub(told).saturating_add(too_long);
        (lost > 0).then_some(Content::Overrun { lost: Some(lost) })
    }
}

impl Queue {
    /// Waits while too much is waiting; `false` once it is stopped.
    fn wait_for_room(&self) -> bool {
        let mut stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        while !*stopped && self.waiting.load(Ordering::Acquire) > self.limit {
            stopped = self
                .room
                .wait(stopped)
                .unwrap_or_else(PoisonError::into_inner);
        }
        !*stopped
    }

    fn add(&self, bytes: usize) {
        self.waiting.fetch_add(bytes, Ordering::AcqRel);
    }

    fn remove(&self, bytes: usize) {
        let before = self.waiting.fetch_sub(bytes, Ordering::AcqRel);
        if before > self.limit {
            drop(self.stopped.lock());
            self.room.notify_all();
        }
    }
}

fn stop(mut waker: impl Write, queue: &Queue) {
    *queue.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
    queue.room.notify_all();
    let _ = waker.write_all(&1u64.to_ne_bytes());
}
