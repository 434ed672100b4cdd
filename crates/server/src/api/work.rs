//! What takes long is done beside the threads that answer, so many at once and no more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use engine::Failure;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::Fault;

/// How many look at the whole table at once.
const AT_ONCE: usize = 4;
/// How many may wait for that.
const WAITING: usize = 64;
/// How many answers are written while the table is read.
const STREAMS: usize = 8;
/// How many listen at once.
const LISTENERS: usize = 256;

/// What is under way.
#[derive(Debug)]
pub struct Work {
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
    streams: Arc<Semaphore>,
    listeners: Arc<Semaphore>,
}

impl Default for Work {
    fn default() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            waiting: AtomicUsize::new(0),
            streams: Arc::new(Semaphore::new(STREAMS)),
            listeners: Arc::new(Semaphore::new(LISTENERS)),
        }
    }
}

/// Counts somebody who waits, for as long as it lives.
struct Waits<'a>(&'a AtomicUsize);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Work {
    /// Does something that reads the table or asks the kernel, when it is its turn. Who asks and
    /// goes away while it waits gives its place up.
    pub async fn run<T, F>(
        &self,
        work: impl FnOnce() -> Result<T, F> + Send + 'static,
    ) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: Into<Fault> + Send + 'static,
    {
        let turn = self.turn().await?;
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        match done.await {
            Ok(done) => done.map_err(Into::into),
            Err(error) => Err(broken(&error)),
        }
    }

    /// The right to write an answer while the table is read.
    pub fn stream(&self) -> Result<OwnedSemaphorePermit, Fault> {
        let permit = Arc::clone(&self.streams).try_acquire_owned();
        permit.map_err(|_| Fault::too_busy())
    }

    /// The right to listen.
    pub fn listener(&self) -> Result<OwnedSemaphorePermit, Fault> {
        let permit = Arc::clone(&self.listeners).try_acquire_owned();
        permit.map_err(|_| Fault::too_busy())
    }

    async fn turn(&self) -> Result<OwnedSemaphorePermit, Fault> {
        let turns = Arc::clone(&self.turns);
        if let Ok(turn) = Arc::clone(&turns).try_acquire_owned() {
            return Ok(turn);
        }
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waits = Waits(&self.waiting);
        if waiting >= WAITING {
            return Err(Fault::too_busy());
        }
        turns.acquire_owned().await.map_err(|_| Fault::too_busy())
    }
}

fn broken(error: &tokio::task::JoinError) -> Fault {
    tracing::error!("an answer could not be made: {error}");
    Failure::new(
        "internal",
        "the answer could not be made: this is a fault of the program's",
        "see the daemon's log, and report it",
    )
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_comes_when_the_queue_is_full_is_told_to_come_again() {
        let work = Arc::new(Work::default());
        let all = Arc::clone(&work.turns).try_acquire_many_owned(AT_ONCE as u32);
        let waiting: Vec<_> = (0..WAITING)
            .map(|_| {
                let work = Arc::clone(&work);
                tokio::spawn(async move {
                    work.run(|| Ok::<_, Failure>(7))
                        .await
                        .map_err(|fault| fault.status())
                })
            })
            .collect();
        while work.waiting.load(Ordering::Relaxed) < WAITING {
            tokio::task::yield_now().await;
        }
        let fault = work.run(|| Ok::<_, Failure>(7)).await.unwrap_err();
        assert_eq!(fault.status(), 503);
        assert_eq!(fault.body().code, "too-busy");
        drop(all);
        for waiting in waiting {
            assert_eq!(waiting.await.unwrap(), Ok(7));
        }
        assert_eq!(work.waiting.load(Ordering::Relaxed), 0);
    }
}
