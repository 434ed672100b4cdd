//! What requests and answers may hold in memory while they wait for the other end: so much in all, so
//! much for each who asks, and apart from these a little for those of whom nobody knows who they are.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
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

/// Room for one kind of thing, in bytes.
#[derive(Debug)]
struct Room {
    known: Arc<Shares>,
    strangers: Arc<Shares>,
}

/// All that is held.
#[derive(Debug)]
pub(crate) struct Memory {
    bodies: Room,
    answers: Room,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            bodies: Room {
                known: Shares::new(30 * MIB, 8 * MIB),
                strangers: Shares::new(2 * MIB, 512 * KIB),
            },
            answers: Room {
                known: Shares::new(128 * MIB, 32 * MIB),
                strangers: Shares::new(8 * MIB, MIB),
            },
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

    fn take(&self, room: &Room, bytes: usize) -> Result<Share, Fault> {
        let shares = match self.0.is_known {
            true => &room.known,
            false => &room.strangers,
        };
        shares.take(&self.0.name, bytes).ok_or_else(Fault::too_busy)
    }

    fn hold_body(&self, bytes: usize) -> Result<(), Fault> {
        let share = self.take(&self.0.memory.bodies, bytes)?;
        let mut held = self.0.body.lock().unwrap_or_else(PoisonError::into_inner);
        *held = Some(share);
        Ok(())
    }
}

/// Reads a request's body, which is bounded in size and time. What it may hold is counted before any of
/// it is read.
pub(crate) async fn read(parts: &Parts, body: Body, limit: usize) -> Result<Bytes, Fault> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let said = parts.headers.get(header::CONTENT_LENGTH);
    let said = said.and_then(|length| length.to_str().ok()?.parse().ok());
    let most = said.unwrap_or(limit);
    if most > limit {
        return Err(too_large());
    }
    if let Some(holder) = parts.extensions.get::<Holder>() {
        holder.hold_body(most)?;
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
    timeout(PATIENCE, whole)
        .await
        .unwrap_or_else(|_| Err(late()))
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
    let (Some(holder), Some(size)) = (holder, size.filter(|size| *size > SHORT)) else {
        return response;
    };
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    match holder.take(&holder.0.memory.answers, size) {
        Ok(share) => response.map(|body| {
            Body::new(Held {
                body,
                _share: share,
            })
        }),
        Err(fault) => fault.into_response(),
    }
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

    fn parts(holder: &Holder, length: Option<usize>) -> Parts {
        let mut request = Request::new(());
        request.extensions_mut().insert(holder.clone());
        if let Some(length) = length {
            let length = length.to_string().parse().unwrap();
            request.headers_mut().insert(header::CONTENT_LENGTH, length);
        }
        request.into_parts().0
    }

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
        let late = read(&parts(&holder, None), silent(), MIB).await;
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
            let parts = parts(&holder, length);
            async move { (holder, read(&parts, silent(), MIB).await) }
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
            assert!(memory.bodies.known.taken() > 0);
            drop(holder);
        }
        assert_eq!(memory.bodies.known.taken(), 0);
    }

    #[tokio::test]
    async fn a_body_is_never_longer_than_is_taken() {
        let memory = Arc::default();
        let holder = Holder::stranger(&memory, None);
        let sent = || Body::from(vec![b'a'; 10]);
        let said = read(&parts(&holder, Some(10)), sent(), 9).await;
        assert_eq!(code(said), "too-large");
        let unsaid = read(&parts(&holder, None), sent(), 9).await;
        assert_eq!(code(unsaid), "too-large");
        let whole = read(&parts(&holder, None), sent(), 10).await;
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
        assert_eq!(memory.answers.known.taken(), 0);
    }
}
