//! Whether a connection is of use: whether an answer is under way on it, and is taken.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

/// How much of an answer is handed on at a time. A whole answer at once would lie with the connection
/// until its reader has taken it, and nobody could tell whether it does.
const PIECE: usize = 16 << 10;

/// Answers that are under way on a connection.
#[derive(Clone, Default)]
pub(super) struct Activity {
    answers: watch::Sender<Answers>,
    untaken: Arc<Untaken>,
}

#[derive(Clone, Copy, Default)]
struct Answers {
    /// Under way.
    now: usize,
    /// Ever begun.
    begun: u64,
}

/// Since when a piece of each answer has been waiting to be taken.
#[derive(Default)]
struct Untaken(Mutex<HashMap<u64, Instant>>);

impl Untaken {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of them, until it is dropped.
pub(super) struct Answering {
    number: u64,
    activity: Activity,
}

impl Activity {
    pub(super) fn begin(&self) -> Answering {
        let mut number = 0;
        self.answers.send_modify(|answers| {
            answers.now += 1;
            answers.begun += 1;
            number = answers.begun;
        });
        Answering {
            number,
            activity: self.clone(),
        }
    }

    /// Waits until a piece of an answer has not been taken for so long.
    pub(super) async fn is_stalled(&self, patience: Duration) {
        loop {
            let since = self.untaken.lock().values().min().copied();
            let waited = since.map_or(Duration::ZERO, |since| since.elapsed());
            let Some(left) = patience.checked_sub(waited).filter(|left| !left.is_zero()) else {
                return;
            };
            sleep(left).await;
        }
    }

    /// Waits until nothing was asked: for so long at first, and for so long after an answer.
    pub(super) async fn is_idle(&self, first: Duration, later: Duration) {
        let mut answers = self.answers.subscribe();
        let mut patience = first;
        // It is never closed: there is a sender in here.
        loop {
            let answered = answers.wait_for(|answers| answers.now == 0).await;
            let Ok(begun) = answered.map(|answers| answers.begun) else {
                return;
            };
            // One may be over before anybody sees it.
            let asked = answers.wait_for(|answers| answers.begun > begun);
            if timeout(patience, asked).await.is_err() {
                return;
            }
            patience = later;
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.activity.untaken.lock().remove(&self.number);
        self.activity
            .answers
            .send_modify(|answers| answers.now -= 1);
    }
}

impl Answering {
    /// Something waits to be taken from now on.
    fn wait(&self) {
        let now = Instant::now();
        self.activity.untaken.lock().insert(self.number, now);
    }

    fn wait_no_more(&self) {
        self.activity.untaken.lock().remove(&self.number);
    }

    /// The answer's body, until the end of which it is under way.
    pub(super) fn with(self, body: Body) -> Body {
        // HTTP/2 asks for nothing before its reader has room for something.
        self.wait();
        Body::new(Answer {
            body,
            rest: Bytes::new(),
            is: self,
        })
    }
}

struct Answer {
    body: Body,
    /// Of a frame that is handed on in pieces.
    rest: Bytes,
    is: Answering,
}

impl Answer {
    /// The next piece.
    fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                other => return other,
            }
        }
        let piece = self.rest.split_to(PIECE.min(self.rest.len()));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        // Who asks for more has taken what was there.
        let polled = self.poll_piece(context);
        match polled {
            Poll::Ready(Some(Ok(_))) => self.is.wait(),
            _ => self.is.wait_no_more(),
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, of_body) = (self.rest.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(of_body.lower() + rest);
        if let Some(upper) = of_body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    const FIRST: Duration = Duration::from_secs(10);
    const LATER: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_under_way_is_not_idle_however_long_it_takes() {
        let activity = Activity::default();
        let began = Instant::now();
        activity.is_idle(FIRST, LATER).await;
        assert_eq!(began.elapsed().as_secs(), 10);
        let body = activity.begin().with(Body::from("text"));
        let began = Instant::now();
        let idle = activity.is_idle(FIRST, LATER);
        let answered = async {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            drop(body);
            tokio::time::sleep(Duration::from_secs(5)).await;
            drop(activity.begin());
        };
        tokio::join!(idle, answered);
        assert_eq!(began.elapsed().as_secs(), 3600 + 5 + 60);
    }

    async fn frame(body: &mut Body) -> Frame<Bytes> {
        let frame = std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await;
        frame.unwrap().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_of_which_no_more_is_taken_is_stalled_and_one_that_has_nothing_to_give_is_not()
     {
        let activity = Activity::default();
        let mut long = activity.begin().with(Body::from(vec![b'a'; 3 * PIECE]));
        let silent = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
        let mut silent = activity.begin().with(Body::from_stream(silent));
        let began = Instant::now();
        let stalled = activity.is_stalled(FIRST);
        let reads = async {
            assert!(
                timeout(Duration::from_secs(5), frame(&mut silent))
                    .await
                    .is_err()
            );
            for _ in 0..2 {
                let frame = frame(&mut long).await;
                assert_eq!(frame.into_data().unwrap().len(), PIECE);
                sleep(FIRST - Duration::from_secs(1)).await;
            }
            assert_eq!(long.size_hint().exact(), Some(PIECE as u64));
        };
        tokio::join!(stalled, reads);
        assert_eq!(began.elapsed().as_secs(), 5 + 9 + 10);
        drop(long);
        assert!(timeout(LATER, activity.is_stalled(FIRST)).await.is_err());
    }
}
