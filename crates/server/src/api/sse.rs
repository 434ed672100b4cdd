//! Server-sent events: bodies that go on.

use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use tokio::sync::mpsc::{Sender, channel};
use tokio::time::timeout;

use super::error::Fault;

/// After so long without anything else a comment is sent, by which both ends see that the other is there.
pub const HEARTBEAT: Duration = Duration::from_secs(15);
/// For how long a reader may take nothing.
const STALL: Duration = Duration::from_secs(30);

/// Where frames are sent to.
#[derive(Clone, Debug)]
pub struct Frames {
    sender: Sender<Bytes>,
    /// Sent when all else was taken.
    last: Arc<OnceLock<Bytes>>,
}

/// The reader is gone, or takes nothing.
#[derive(Clone, Copy, Debug)]
pub struct Gone;

/// A body of frames, so many of which wait for its reader, and where to send them. It begins with how long to wait before coming again.
pub fn open(pieces: usize) -> (Frames, Response) {
    let (sender, receiver) = channel::<Bytes>(pieces);
    let last = Arc::new(OnceLock::<Bytes>::new());
    let first = Bytes::from_static(b"retry: 3000\n\n");
    let state = (Some(first), Some(receiver), Arc::clone(&last));
    let frames = stream::unfold(state, |(first, receiver, last)| async move {
        let (frame, receiver) = match (first, receiver) {
            (Some(first), receiver) => (first, receiver),
            (None, Some(mut receiver)) => match receiver.recv().await {
                Some(frame) => (frame, Some(receiver)),
                None => (last.get()?.clone(), None),
            },
            (None, None) => return None,
        };
        let frame = Ok::<_, std::convert::Infallible>(frame);
        Some((frame, (None, receiver, last)))
    });
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/event-stream"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // Proxies that would wait for the end.
        (
            HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ),
    ];
    (
        Frames { sender, last },
        (headers, Body::from_stream(frames.fuse())).into_response(),
    )
}

impl Frames {
    /// Sends; waits for the reader, but not for ever.
    pub async fn send(&self, frame: Bytes) -> Result<(), Gone> {
        match timeout(STALL, self.sender.send(frame)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Gone),
            Err(_) => Err(self.too_slow("this was not read for half a minute", "come again")),
        }
    }

    /// Lets the reader go, who is told why when it has taken what waits for it.
    pub fn too_slow(&self, message: &str, hint: &str) -> Gone {
        tracing::info!("the reader of a stream is too slow and is let go: {message}");
        let body = Fault::new("too-slow", message, hint).body();
        // A plain struct always serialises.
        let data = serde_json::to_vec(&body).unwrap_or_default();
        let _is_said_already = self.last.set(frame("too-slow", None, &data));
        Gone
    }

    /// Sends a comment.
    pub async fn heartbeat(&self) -> Result<(), Gone> {
        self.send(Bytes::from_static(b": here\n\n")).await
    }

    /// Waits until the reader is gone.
    pub async fn gone(&self) {
        self.sender.closed().await;
    }
}

/// One event. `data` has no line's end in it, as JSON of ours has none.
pub fn frame(event: &str, id: Option<u64>, data: &[u8]) -> Bytes {
    let mut head = String::with_capacity(64);
    if let Some(id) = id {
        // Writing to a string does not fail.
        let _ = writeln!(head, "id: {id}");
    }
    let _ = write!(head, "event: {event}\ndata: ");
    let mut frame = head.into_bytes();
    frame.extend_from_slice(data);
    frame.extend_from_slice(b"\n\n");
    frame.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_let_go_and_told_why_behind_what_it_has_not_taken() {
        const PIECES: usize = 16;
        let (frames, response) = open(PIECES);
        for number in 0..PIECES {
            let sent = frames.send(frame("n", Some(number as u64), b"0")).await;
            assert!(sent.is_ok(), "{number} waits");
        }
        let began = tokio::time::Instant::now();
        let late = frames.send(frame("n", None, b"late")).await;
        assert!(late.is_err() && began.elapsed() >= STALL);
        drop(frames);
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await;
        let text = String::from_utf8(body.unwrap().to_vec()).unwrap();
        assert_eq!(text.matches("event: n\n").count(), PIECES, "{text}");
        let (_, last) = text.rsplit_once("event: ").unwrap();
        assert!(
            last.starts_with("too-slow\n") && last.contains("half a minute"),
            "{last}"
        );
        assert!(!text.contains("late"));
    }
}
