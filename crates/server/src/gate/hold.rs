//! Answers that go on end with the right to them.
//!
//! A stream is asked for once and may last for months; its token may be revoked meanwhile, or expire,
//! or the browser signs out.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::Response;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Interval, MissedTickBehavior, interval_at};

use super::{Gate, Token};
use crate::api::error::Fault;
use crate::api::sse::frame;

/// How often it is looked whether the right still holds.
const EVERY: Duration = Duration::from_secs(1);

/// By what somebody is let through.
#[derive(Clone)]
pub(super) enum Right {
    /// The unix socket: for as long as it is open.
    Socket,
    /// A token.
    Token(Token),
    /// A browser's session, by its secret.
    Session(String),
}

/// A way to look again whether a right still holds: what waited for its turn, or for the rest of its
/// request, may have been asked by one that has ended meanwhile.
#[derive(Clone)]
pub(crate) struct Still {
    gate: Arc<Gate>,
    right: Right,
}

impl Still {
    pub(super) fn new(gate: Arc<Gate>, right: Right) -> Self {
        Self { gate, right }
    }

    /// That of a token.
    #[cfg(test)]
    pub(crate) fn of_token(gate: &Arc<Gate>, token: Token) -> Self {
        Self::new(Arc::clone(gate), Right::Token(token))
    }

    /// Whether it holds. Looks at the file of tokens.
    pub(crate) fn holds(&self) -> bool {
        self.right.holds(&self.gate)
    }
}

impl Right {
    /// Whether it still holds. Where that cannot be found out, it does not.
    fn holds(&self, gate: &Gate) -> bool {
        match self {
            Self::Socket => true,
            Self::Token(token) => gate.tokens.holds(token).unwrap_or(false),
            Self::Session(secret) => {
                let found = gate.sessions.find(secret, &gate.tokens);
                found.is_ok_and(|token| token.is_some())
            }
        }
    }
}

/// The same answer, which breaks off when the right to it ends, if it is one that goes on.
pub(super) fn while_it_holds(response: Response, gate: &Arc<Gate>, right: Right) -> Response {
    let is_whole = response.body().size_hint().exact().is_some();
    if is_whole || matches!(right, Right::Socket) {
        return response;
    }
    let is_events = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value == "text/event-stream");
    let mut ticks = interval_at(tokio::time::Instant::now() + EVERY, EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let gate = Arc::clone(gate);
    response.map(|body| {
        Body::new(Held {
            body: Some(body),
            gate,
            right,
            ticks,
            is_events,
        })
    })
}

struct Held {
    /// `None` once the right has ended.
    body: Option<Body>,
    gate: Arc<Gate>,
    right: Right,
    ticks: Interval,
    is_events: bool,
}

/// Why an answer breaks off.
#[derive(Clone, Copy, Debug)]
struct SignedOut;

impl std::fmt::Display for SignedOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the token or session does not hold any more")
    }
}

impl std::error::Error for SignedOut {}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let held = &mut *self;
        while pin!(held.ticks.tick()).poll(context).is_ready() {
            if held.body.is_some() && !held.right.holds(&held.gate) {
                held.body = None;
                return Poll::Ready(Some(if held.is_events {
                    Ok(Frame::data(last_words()))
                } else {
                    Err(axum::Error::new(SignedOut))
                }));
            }
        }
        match &mut held.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

/// What a reader of events is told.
fn last_words() -> Bytes {
    let what = "the token or session does not hold any more";
    let body = Fault::new("signed-out", what, "sign in again").body();
    // A plain struct always serialises.
    let data = serde_json::to_vec(&body).unwrap_or_default();
    frame("signed-out", None, &data)
}
