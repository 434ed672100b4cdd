//! What takes long is done beside the threads that answer, so many at once and no more; nobody who asks
//! has all of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use engine::Failure;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::Fault;
use crate::asker::Asker;
use crate::shares::{Share, Shares};

/// How many look at the whole table at once. One of them is an operator: a change need not wait for
/// all who look.
const AT_ONCE: usize = 4;
const VIEWERS_AT_ONCE: usize = AT_ONCE - 1;
/// How many of them are of one who asks: who asks for much at once waits for oneself, and not others for them.
const AT_ONCE_OF_ONE: usize = 2;
/// How many may wait for that, in all and of one who asks.
const WAITING: usize = 64;
const WAITING_OF_ONE: usize = WAITING / 2;
/// How many answers are written while the table is read.
const STREAMS: usize = 8;
const STREAMS_OF_ONE: usize = STREAMS / 2;
/// How many listen at once.
const LISTENERS: usize = 256;
const LISTENERS_OF_ONE: usize = LISTENERS / 4;

/// What is under way.
#[derive(Debug)]
pub struct Work {
    turns: Arc<Semaphore>,
    viewers: Arc<Semaphore>,
    each: Mutex<HashMap<String, Weak<Semaphore>>>,
    waiting: Arc<Shares>,
    streams: Arc<Shares>,
    listeners: Arc<Shares>,
}

impl Default for Work {
    fn default() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            viewers: Arc::new(Semaphore::new(VIEWERS_AT_ONCE)),
            each: Mutex::default(),
            waiting: Shares::new(WAITING, WAITING_OF_ONE),
            streams: Shares::new(STREAMS, STREAMS_OF_ONE),
            listeners: Shares::new(LISTENERS, LISTENERS_OF_ONE),
        }
    }
}

/// A turn; of a viewer's, one of those that viewers have too.
struct Turn(#[expect(dead_code)] Vec<OwnedSemaphorePermit>);

impl Work {
    /// Does something that reads the table or asks the kernel, when it is its turn. Who asks and
    /// goes away while it waits gives its place up; whose right has ended meanwhile is refused.
    pub async fn run<T, F>(
        &self,
        work: impl FnOnce() -> Result<T, F> + Send + 'static,
    ) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: Into<Fault> + Send + 'static,
    {
        let asker = Asker::now();
        let turn = self.turn(asker.as_ref()).await?;
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            if let Some(asker) = asker {
                asker.check()?;
            }
            work().map_err(Into::into)
        });
        done.await.unwrap_or_else(|error| Err(broken(&error)))
    }

    /// The right to write an answer while the table is read.
    pub(super) fn stream(&self) -> Result<Share, Fault> {
        take(&self.streams, Asker::now().as_ref())
    }

    /// The right to listen.
    pub(super) fn listener(&self) -> Result<Share, Fault> {
        take(&self.listeners, Asker::now().as_ref())
    }

    async fn turn(&self, asker: Option<&Asker>) -> Result<Turn, Fault> {
        // In this order: nobody holds a place of all while they wait for one of their own.
        let own = asker.map(|asker| self.own(asker.name()));
        let mut lanes: Vec<_> = own.into_iter().collect();
        if !asker.is_some_and(Asker::is_operator) {
            lanes.push(Arc::clone(&self.viewers));
        }
        lanes.push(Arc::clone(&self.turns));
        let free = lanes
            .iter()
            .map(|lane| Arc::clone(lane).try_acquire_owned());
        if let Ok(free) = free.collect() {
            return Ok(Turn(free));
        }
        let _waits = take(&self.waiting, asker)?;
        let mut turn = Vec::with_capacity(lanes.len());
        for lane in lanes {
            // It is never closed.
            let permit = lane.acquire_owned().await;
            turn.push(permit.map_err(|_| Fault::too_busy())?);
        }
        Ok(Turn(turn))
    }

    /// The turns of one who asks, for as long as they hold or wait for any.
    fn own(&self, name: &str) -> Arc<Semaphore> {
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = each.get(name).and_then(Weak::upgrade) {
            return own;
        }
        each.retain(|_, own| own.strong_count() > 0);
        let own = Arc::new(Semaphore::new(AT_ONCE_OF_ONE));
        each.insert(name.to_owned(), Arc::downgrade(&own));
        own
    }
}

/// One for who asks. What the daemon does by itself has a share like everybody.
fn take(shares: &Arc<Shares>, asker: Option<&Asker>) -> Result<Share, Fault> {
    let taken = shares.take(asker.map_or("", Asker::name), 1);
    taken.ok_or_else(Fault::too_busy)
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
    use crate::who::{Role, Who};

    fn asker(name: &str, role: Role) -> Asker {
        let who = Who {
            name: name.to_owned(),
            role,
            from: None,
        };
        Asker::without_end(who)
    }

    /// So many who wait for a turn on behalf of one.
    async fn wait(
        work: &Arc<Work>,
        asker: &Asker,
        many: usize,
    ) -> Vec<tokio::task::JoinHandle<Result<i32, u16>>> {
        let before = work.waiting.taken();
        let waiting = (0..many).map(|_| {
            let (work, asker) = (Arc::clone(work), asker.clone());
            tokio::spawn(asker.ask(async move {
                let done = work.run(|| Ok::<_, Failure>(7)).await;
                done.map_err(|fault| fault.status().as_u16())
            }))
        });
        let waiting = waiting.collect();
        while work.waiting.taken() < before + many {
            tokio::task::yield_now().await;
        }
        waiting
    }

    #[tokio::test]
    async fn who_comes_when_the_queue_is_full_is_told_to_come_again() {
        let work = Arc::new(Work::default());
        let all = Arc::clone(&work.turns).try_acquire_many_owned(AT_ONCE as u32);
        let mut waiting = Vec::new();
        for name in ["one", "other"] {
            let asker = asker(name, Role::Viewer);
            waiting.extend(wait(&work, &asker, WAITING_OF_ONE).await);
            let fault = asker.ask(work.run(|| Ok::<_, Failure>(7))).await;
            let fault = fault.unwrap_err();
            assert_eq!(fault.status(), 503);
            assert_eq!(fault.body().code, "too-busy");
        }
        let third = asker("third", Role::Operator);
        let full = third.ask(work.run(|| Ok::<_, Failure>(7))).await;
        assert_eq!(full.unwrap_err().status(), 503);
        drop(all);
        for waiting in waiting {
            assert_eq!(waiting.await.unwrap(), Ok(7));
        }
        assert_eq!(work.waiting.taken(), 0);
    }

    #[tokio::test]
    async fn an_operator_has_a_turn_while_viewers_have_all_of_theirs() {
        let work = Arc::new(Work::default());
        let viewer = asker("viewer", Role::Viewer);
        let mut turns = Vec::new();
        for number in 0..VIEWERS_AT_ONCE {
            let other = asker(&format!("viewer {number}"), Role::Viewer);
            turns.push(work.turn(Some(&other)).await.unwrap());
        }
        let waiting = wait(&work, &viewer, 2).await;
        let operator = asker("operator", Role::Operator);
        let done = operator.ask(work.run(|| Ok::<_, Failure>(8))).await;
        assert_eq!(done.unwrap(), 8);
        assert_eq!(work.waiting.taken(), 2, "the viewer waits on");
        drop(turns);
        for waiting in waiting {
            assert_eq!(waiting.await.unwrap(), Ok(7));
        }
    }

    #[tokio::test]
    async fn one_has_two_turns_at_once_and_others_have_theirs_meanwhile() {
        let work = Arc::new(Work::default());
        for role in [Role::Viewer, Role::Operator] {
            let one = asker("one", role);
            let mut turns = Vec::new();
            for _ in 0..AT_ONCE_OF_ONE {
                turns.push(work.turn(Some(&one)).await.unwrap());
            }
            let waiting = wait(&work, &one, 8).await;
            let other = asker("other", Role::Viewer);
            let done = other.ask(work.run(|| Ok::<_, Failure>(8))).await;
            assert_eq!(done.unwrap(), 8);
            assert_eq!(work.waiting.taken(), 8, "the first waits for oneself");
            drop(turns);
            for waiting in waiting {
                assert_eq!(waiting.await.unwrap(), Ok(7));
            }
        }
        // Who has gone leaves nothing behind.
        let other = asker("other", Role::Viewer);
        drop(work.turn(Some(&other)).await.unwrap());
        assert_eq!(work.each.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn one_who_listens_and_reads_as_often_as_they_may_leaves_room_for_others() {
        let work = Work::default();
        let mut held = Vec::new();
        for name in ["one", "other"] {
            let asker = asker(name, Role::Viewer);
            let taken = asker.ask(async {
                let listeners: Vec<_> = std::iter::from_fn(|| work.listener().ok()).collect();
                let streams: Vec<_> = std::iter::from_fn(|| work.stream().ok()).collect();
                (listeners, streams)
            });
            let (listeners, streams) = taken.await;
            assert_eq!(listeners.len(), LISTENERS_OF_ONE, "{name}");
            assert_eq!(streams.len(), STREAMS_OF_ONE, "{name}");
            held.push((listeners, streams));
        }
    }
}
