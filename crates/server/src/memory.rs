//! What requests and answers may hold in memory while they wait for the other end: so much in all, so
//! much for each who asks, and apart from these a little for those of whom nobody knows who they are.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::api::error::Fault;
use crate::listen::network;
use crate::shares::{Share, Shares};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
/// Shorter answers are not counted: the listener bounds how many of them there can be.
const SHORT: u64 = 4 << 10;
/// For how long a body may come.
const PATIENCE: Duration = Duration::from_secs(20);

/// All that is held.
#[derive(Debug)]
pub(crate) struct Memory {
    bodies: Arc<Shares>,
    strangers_bodies: Arc<Strangers>,
    answers: Arc<Shares>,
    strangers_answers: Arc<Shares>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            bodies: Shares::new(30 * MIB, 8 * MIB),
            strangers_bodies: Strangers::new(2 * MIB, 512 * KIB),
            answers: Shares::new(128 * MIB, 32 * MIB),
            strangers_answers: Shares::new(8 * MIB, MIB),
        }
    }
}

/// On whose account something is held. The gate puts one into every request, and keeps it until the
/// answer's head is there.
#[derive(Clone, Debug)]
pub(crate) struct Holder(Arc<Account>);

#[derive(Debug)]
struct Account {
    memory: Arc<Memory>,
    /// A token's name, or a network's.
    name: String,
    is_known: bool,
    /// For the request's body, and what was made of it.
    body: Mutex<Option<Share>>,
}

impl Holder {
    /// Somebody who was let in.
    pub(crate) fn known(memory: &Arc<Memory>, name: &str) -> Self {
        Self::new(memory, name.to_owned(), true)
    }

    /// Somebody at an address.
    pub(crate) fn stranger(memory: &Arc<Memory>, address: Option<IpAddr>) -> Self {
        let name = address.map(|address| network(address).to_string());
        Self::new(memory, name.unwrap_or_default(), false)
    }

    fn new(memory: &Arc<Memory>, name: String, is_known: bool) -> Self {
        Self(Arc::new(Account {
            memory: Arc::clone(memory),
            name,
            is_known,
            body: Mutex::default(),
        }))
    }

    /// Room for an answer that waits to be taken.
    pub(crate) fn answer(&self, bytes: usize) -> Result<Share, Fault> {
        let Account { memory, name, .. } = &*self.0;
        let shares = match self.0.is_known {
            true => &memory.answers,
            false => &memory.strangers_answers,
        };
        shares.take(name, bytes).ok_or_else(Fault::too_busy)
    }

    /// Room for a body that has not come whole yet, and what lets it go where others need the room.
    fn body(&self, bytes: usize) -> Result<Option<Waiting>, Fault> {
        let Account { memory, name, .. } = &*self.0;
        if !self.0.is_known {
            return Ok(Some(memory.strangers_bodies.wait(name, bytes)));
        }
        let share = memory.bodies.take(name, bytes);
        let mut held = self.0.body.lock().unwrap_or_else(PoisonError::into_inner);
        *held = Some(share.ok_or_else(Fault::too_busy)?);
        Ok(None)
    }
}

/// Reads a request's body, which is bounded in size and time. What it may hold is counted before any of
/// it is waited for. Of the head, only what is handed in here lies in memory meanwhile.
pub(crate) async fn read(
    holder: Option<&Holder>,
    length: Option<usize>,
    body: Body,
    limit: usize,
) -> Result<Bytes, Fault> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let most = length.unwrap_or(limit);
    if most > limit {
        return Err(too_large());
    }
    let whole = async {
        let mut whole = Vec::new();
        let mut pieces = body.into_data_stream();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|_| broken())?;
            if piece.len() > limit - whole.len() {
                return Err(too_large());
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.into())
    };
    let mut whole = std::pin::pin!(whole);
    // What is there already needs no room to wait in; what is made of it does, if it is large.
    if most <= SHORT as usize
        && let Poll::Ready(whole) = futures_util::poll!(whole.as_mut())
    {
        return whole;
    }
    let waiting = match holder {
        Some(holder) => holder.body(most)?,
        None => None,
    };
    let is_needed = async {
        match &waiting {
            Some(waiting) => waiting.leave.notified().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        whole = timeout(PATIENCE, whole) => whole.unwrap_or_else(|_| Err(late())),
        () = is_needed => Err(late()),
    }
}

/// How long a body says it is.
pub(crate) fn length(headers: &HeaderMap) -> Option<usize> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// Bodies of strangers that have not come whole. Where there is no room for another one, the earliest goes of who
/// has most: nobody is refused because of what others do not send.
#[derive(Debug)]
struct Strangers {
    most: usize,
    most_of_one: usize,
    waiting: Mutex<Bodies>,
}

#[derive(Debug, Default)]
struct Bodies {
    next: u64,
    all: VecDeque<Pending>,
}

#[derive(Debug)]
struct Pending {
    number: u64,
    name: String,
    bytes: usize,
    leave: Arc<Notify>,
}

/// A place among them, until it is dropped.
struct Waiting {
    number: u64,
    leave: Arc<Notify>,
    strangers: Arc<Strangers>,
}

impl Strangers {
    fn new(most: usize, most_of_one: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            most_of_one,
            waiting: Mutex::default(),
        })
    }

    fn wait(self: &Arc<Self>, name: &str, bytes: usize) -> Waiting {
        let mut bodies = self.lock();
        loop {
            let mut of_each: HashMap<&str, usize> = HashMap::new();
            for pending in &bodies.all {
                *of_each.entry(&pending.name).or_default() += pending.bytes;
            }
            let own = of_each.get(name).copied().unwrap_or_default();
            let crowded = if own + bytes > self.most_of_one {
                Some(name)
            } else if of_each.values().sum::<usize>() + bytes > self.most {
                let most = of_each.iter().max_by_key(|(_, bytes)| **bytes);
                most.map(|(name, _)| *name)
            } else {
                None
            };
            let goes = crowded.and_then(|name| {
                let mut all = bodies.all.iter();
                all.position(|pending| pending.name == name)
            });
            let Some(gone) = goes.and_then(|place| bodies.all.remove(place)) else {
                break;
            };
            gone.leave.notify_one();
        }
        let (number, leave) = (bodies.next, Arc::new(Notify::new()));
        bodies.next += 1;
        bodies.all.push_back(Pending {
            number,
            name: name.to_owned(),
            bytes,
            leave: Arc::clone(&leave),
        });
        Waiting {
            number,
            leave,
            strangers: Arc::clone(self),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Bodies> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut bodies = self.strangers.lock();
        bodies.all.retain(|pending| pending.number != self.number);
    }
}

/// A body that is longer than is taken.
fn too_large() -> Fault {
    Fault::new(
        "too-large",
        "the body is longer than is taken",
        "send less at once",
    )
}

fn late() -> Fault {
    let seconds = PATIENCE.as_secs();
    Fault::new(
        "body-late",
        format!("the body did not come within {seconds} seconds"),
        "send it at once, or less",
    )
}

fn broken() -> Fault {
    Fault::usage("body", "the body could not be read", "send it whole")
}

/// Answers whose size is known are whole in memory, until the other end has taken them. To be put before
/// what compresses them.
pub(crate) async fn hold_answer(request: Request, next: Next) -> Response {
    let holder = request.extensions().get::<Holder>().cloned();
    let response = next.run(request).await;
    let size = response.body().size_hint().exact();
    let is_counted = response.extensions().get::<Counted>().is_some();
    let (Some(holder), Some(size)) = (holder, size.filter(|size| *size > SHORT && !is_counted))
    else {
        return response;
    };
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    match holder.answer(size) {
        Ok(share) => response.map(|body| held(body, share)),
        Err(fault) => fault.into_response(),
    }
}

/// Whose room was taken already.
#[derive(Clone, Copy)]
struct Counted;

/// An answer that has its room.
pub(crate) fn counted(response: Response, share: Share) -> Response {
    let mut response = response.map(|body| held(body, share));
    response.extensions_mut().insert(Counted);
    response
}

/// A body that keeps its room until it was taken.
pub(crate) fn held(body: Body, share: Share) -> Body {
    Body::new(Held {
        body,
        _share: share,
    })
}

struct Held {
    body: Body,
    _share: Share,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;

    /// A body of which nothing comes.
    fn silent() -> Body {
        Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>())
    }

    fn code<T: std::fmt::Debug>(read: Result<T, Fault>) -> String {
        read.unwrap_err().body().code
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_not_waited_for_for_ever() {
        let memory = Arc::default();
        let holder = Holder::known(&memory, "one");
        let began = tokio::time::Instant::now();
        let late = read(Some(&holder), None, silent(), MIB).await;
        assert_eq!(late.as_ref().unwrap_err().status(), 408);
        assert_eq!(code(late), "body-late");
        assert_eq!(began.elapsed(), PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_of_one_leave_room_for_those_of_others() {
        let memory = Arc::default();
        let mut waiting = Vec::new();
        let ask = |name: &str, length| {
            let holder = Holder::known(&memory, name);
            async move {
                let read = read(Some(&holder), length, silent(), MIB).await;
                (holder, read)
            }
        };
        for _ in 0..8 {
            waiting.push(tokio::spawn(ask("one", None)));
        }
        tokio::task::yield_now().await;
        assert_eq!(code(ask("one", Some(1)).await.1), "too-busy");
        assert_eq!(code(ask("other", Some(1)).await.1), "body-late");
        // They are held until their answers have begun, and not longer.
        for waiting in waiting {
            let (holder, read) = waiting.await.unwrap();
            assert_eq!(code(read), "body-late");
            assert!(memory.bodies.taken() > 0);
            drop(holder);
        }
        assert_eq!(memory.bodies.taken(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn strangers_that_send_slowly_keep_no_other_stranger_out() {
        let memory = Arc::default();
        let from = |last: u8| Holder::stranger(&memory, Some([192, 0, 2, last].into()));
        let wait = |holder: Holder| {
            tokio::spawn(async move { code(read(Some(&holder), None, silent(), 4 * KIB).await) })
        };
        let mut slow = Vec::new();
        for last in 1..=4 {
            for _ in 0..130 {
                slow.push(wait(from(last)));
            }
        }
        let other = wait(from(9));
        // All that can go on has gone on.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let held = |memory: &Memory| {
            let bodies = memory.strangers_bodies.lock();
            bodies
                .all
                .iter()
                .map(|pending| pending.bytes)
                .sum::<usize>()
        };
        assert!(held(&memory) <= 2 * MIB);
        assert!(!other.is_finished());
        // What comes at once waits for nothing.
        let sent = read(Some(&from(1)), Some(1), Body::from("a"), 4 * KIB).await;
        assert_eq!(sent.unwrap(), "a");
        let gone = slow.iter().filter(|slow| slow.is_finished()).count();
        assert_eq!(gone, 4 * 2 + 1);
        for slow in slow {
            assert_eq!(slow.await.unwrap(), "body-late");
        }
        assert_eq!(other.await.unwrap(), "body-late");
        assert_eq!(held(&memory), 0);
    }

    #[tokio::test]
    async fn a_body_is_never_longer_than_is_taken() {
        let memory = Arc::default();
        let holder = Holder::stranger(&memory, None);
        let sent = || Body::from(vec![b'a'; 10]);
        let said = read(Some(&holder), Some(10), sent(), 9).await;
        assert_eq!(code(said), "too-large");
        let unsaid = read(Some(&holder), None, sent(), 9).await;
        assert_eq!(code(unsaid), "too-large");
        let whole = read(Some(&holder), None, sent(), 10).await;
        assert_eq!(whole.unwrap(), vec![b'a'; 10]);
    }

    #[tokio::test]
    async fn whole_answers_that_nobody_takes_are_of_a_bounded_size_in_all() {
        use axum::Router;
        use axum::routing::get;
        use tower::ServiceExt;

        const SIZE: usize = 10 * MIB;
        let memory: Arc<Memory> = Arc::default();
        let router = Router::new()
            .route("/", get(|| async { vec![0; SIZE] }))
            .layer(axum::middleware::from_fn(hold_answer));
        let ask = |name: &str| {
            let mut request = Request::new(Body::empty());
            let holder = Holder::known(&memory, name);
            request.extensions_mut().insert(holder);
            router.clone().oneshot(request)
        };
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(ask("one").await.unwrap());
        }
        assert_eq!(ask("one").await.unwrap().status(), 503);
        assert_eq!(ask("other").await.unwrap().status(), 200);
        let whole = axum::body::to_bytes(held.remove(0).into_body(), SIZE).await;
        assert_eq!(whole.unwrap().len(), SIZE);
        assert_eq!(ask("one").await.unwrap().status(), 200);
        drop(held);
        assert_eq!(memory.answers.taken(), 0);
    }
}
