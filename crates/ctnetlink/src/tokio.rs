//! The same streams for programs that run on tokio.
//!
//! Receiving stays on a thread of its own, as in the blocking API: a dump's time passes inside
//! the kernel's receive call, which would hold up the reactor. What arrives crosses over in
//! batches.

use std::sync::Arc;

use ::tokio::sync::mpsc::{Receiver, UnboundedReceiver, channel, unbounded_channel};
use ::tokio::task::spawn_blocking;

use crate::{
    Client, DumpOutcome, DumpRequest, Entry, Error, EventBatch, EventOptions, EventStopper, Groups,
    Operation,
};

/// Entries that cross over together.
const BATCH: usize = 256;

/// Batches that may wait.
const QUEUE: usize = 4;

/// Runs any of a client's verbs off the reactor.
///
/// ```no_run
/// # async fn example() -> Result<(), ctnetlink::Error> {
/// let client = std::sync::Arc::new(ctnetlink::Client::open()?);
/// let stats = ctnetlink::tokio::call(&client, |client| client.global_stats()).await?;
/// println!("{:?} of {:?}", stats.entries, stats.max_entries);
/// # Ok(())
/// # }
/// ```
pub async fn call<T: Send + 'static>(
    client: &Arc<Client>,
    verb: impl FnOnce(&Client) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let client = Arc::clone(client);
    spawn_blocking(move || verb(&client))
        .await
        .unwrap_or_else(|failed| {
            if failed.is_panic() {
                std::panic::resume_unwind(failed.into_panic())
            }
            Err(Error::Io {
                operation: Operation::Open,
                source: std::io::Error::other("the runtime is shutting down"),
            })
        })
}

/// A running dump. Dropping it ends it.
#[derive(Debug)]
pub struct AsyncDump {
    batches: Receiver<Result<Batch, Error>>,
    outcome: Option<DumpOutcome>,
}

#[derive(Debug)]
struct Batch {
    entries: Vec<Entry>,
    /// With the last batch.
    outcome: Option<DumpOutcome>,
}

impl AsyncDump {
    /// Starts reading entries.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), ctnetlink::Error> {
    /// use ctnetlink::tokio::AsyncDump;
    /// let client = std::sync::Arc::new(ctnetlink::Client::open()?);
    /// let mut dump = AsyncDump::start(&client, ctnetlink::DumpRequest::default());
    /// while let Some(entries) = dump.next_batch().await? {
    ///     println!("{} more", entries.len());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn start(client: &Arc<Client>, request: DumpRequest) -> Self {
        let client = Arc::clone(client);
        let (sender, batches) = channel(QUEUE);
        spawn_blocking(move || {
            let send = |batch| sender.blocking_send(batch).is_ok();
            let read = || -> Result<(), Error> {
                let mut dump = client.dump(&request)?;
                loop {
                    let entries: Vec<Entry> =
                        dump.by_ref().take(BATCH).collect::<Result<_, _>>()?;
                    let is_last = entries.len() < BATCH;
                    let outcome = is_last.then(|| dump.outcome());
                    if !send(Ok(Batch { entries, outcome })) || is_last {
                        return Ok(());
                    }
                }
            };
            if let Err(error) = read() {
                send(Err(error));
            }
        });
        Self {
            batches,
            outcome: None,
        }
    }

    /// The next entries, `None` at the end.
    pub async fn next_batch(&mut self) -> Result<Option<Vec<Entry>>, Error> {
        match self.batches.recv().await {
            Some(Ok(batch)) => {
                self.outcome = batch.outcome;
                Ok(Some(batch.entries))
            }
            Some(Err(error)) => Err(error),
            None => Ok(None),
        }
    }

    /// How it went; `None` until everything has been read.
    pub const fn outcome(&self) -> Option<DumpOutcome> {
        self.outcome
    }
}

/// A subscription to events. Dropping it ends it.
#[derive(Debug)]
pub struct AsyncEvents {
    batches: UnboundedReceiver<Result<EventBatch, Error>>,
    stopper: EventStopper,
    receive_buffer: usize,
}

impl AsyncEvents {
    /// Subscribes. What waits for a slow reader is bounded by [`EventOptions::queue`].
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), ctnetlink::Error> {
    /// use ctnetlink::{EventOptions, Groups, tokio::AsyncEvents};
    /// let client = ctnetlink::Client::open()?;
    /// let mut events = AsyncEvents::start(&client, Groups::CONNTRACK, EventOptions::default())?;
    /// while let Some(batch) = events.next_batch().await? {
    ///     println!("{} events", batch.iter().count());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn start(client: &Client, groups: Groups, options: EventOptions) -> Result<Self, Error> {
        let mut events = client.events(groups, options)?;
        let stopper = events.stopper()?;
        let receive_buffer = events.receive_buffer();
        let (sender, batches) = unbounded_channel();
        spawn_blocking(move || {
            loop {
                let item = match events.next_batch(None) {
                    Ok(Some(batch)) => Ok(batch),
                    Ok(None) => return,
                    Err(error) => Err(error),
                };
                let is_last = item.is_err();
                if sender.send(item).is_err() || is_last {
                    return;
                }
            }
        });
        Ok(Self {
            batches,
            stopper,
            receive_buffer,
        })
    }

    /// The next batch, `None` once the stream has ended.
    pub async fn next_batch(&mut self) -> Result<Option<EventBatch>, Error> {
        self.batches.recv().await.transpose()
    }

    /// The real size of the kernel's receive buffer; see [`crate::Events::receive_buffer`].
    pub const fn receive_buffer(&self) -> usize {
        self.receive_buffer
    }
}

impl Drop for AsyncEvents {
    fn drop(&mut self) {
        self.stopper.stop();
    }
}
