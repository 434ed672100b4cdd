//! Whether a connection is of use: whether an answer is under way on it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::watch;
use tokio::time::timeout;

/// Answers that are under way on a connection.
#[derive(Clone)]
pub(super) struct Activity(watch::Sender<Answers>);

#[derive(Clone, Copy, Default)]
struct Answers {
    /// Under way.
    now: usize,
    /// Ever begun.
    begun: u64,
}

/// One of them, until it is dropped.
pub(super) struct Answering(watch::Sender<Answers>);

impl Activity {
    pub(super) fn new() -> Self {
        Self(watch::Sender::default())
    }

    pub(super) fn begin(&self) -> Answering {
        self.0.send_modify(|answers| {
            answers.now += 1;
            answers.begun += 1;
        });
        Answering(self.0.clone())
    }

    /// Waits until nothing was asked: for so long at first, and for so long after an answer.
    pub(super) async fn is_idle(&self, first: Duration, later: Duration) {
        let mut answers = self.0.subscribe();
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
        self.0.send_modify(|answers| answers.now -= 1);
    }
}

impl Answering {
    /// The answer's body, until the end of which it is under way.
    pub(super) fn with(self, body: Body) -> Body {
        Body::new(Answer { body, _is: self })
    }
}

struct Answer {
    body: Body,
    _is: Answering,
}

impl HttpBody for Answer {
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
    use tokio::time::Instant;

    const FIRST: Duration = Duration::from_secs(10);
    const LATER: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_under_way_is_not_idle_however_long_it_takes() {
        let activity = Activity::new();
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
}
