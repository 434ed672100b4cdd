//! Server-sent events: bodies that go on.

use std::fmt::Write as _;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use tokio::sync::mpsc::{Sender, channel};
use tokio::time::timeout;

/// After so long without anything else a comment is sent, by which both ends see that the other is there.
pub const HEARTBEAT: Duration = Duration::from_secs(15);
/// For how long a reader may take nothing.
const STALL: Duration = Duration::from_secs(30);
/// How many pieces wait for a reader.
const PIECES: usize = 16;

/// Where frames are sent to.
#[derive(Clone, Debug)]
pub struct Frames(Sender<Bytes>);

/// The reader is gone, or takes nothing.
#[derive(Clone, Copy, Debug)]
pub struct Gone;

/// A body of frames, and where to send them. It begins with how long to wait before coming again.
pub fn open() -> (Frames, Response) {
    let (sender, receiver) = channel::<Bytes>(PIECES);
    let first = Bytes::from_static(b"retry: 3000\n\n");
    let frames = stream::unfold(
        (Some(first), receiver),
        |(first, mut receiver)| async move {
            let frame = match first {
                Some(first) => first,
                None => receiver.recv().await?,
            };
            Some((Ok::<_, std::convert::Infallible>(frame), (None, receiver)))
        },
    );
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
        Frames(sender),
        (headers, Body::from_stream(frames.fuse())).into_response(),
    )
}

impl Frames {
    /// Sends; waits for the reader, but not for ever.
    pub async fn send(&self, frame: Bytes) -> Result<(), Gone> {
        match timeout(STALL, self.0.send(frame)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Gone),
        }
    }

    /// Sends a comment.
    pub async fn heartbeat(&self) -> Result<(), Gone> {
        self.send(Bytes::from_static(b": here\n\n")).await
    }

    /// Waits until the reader is gone.
    pub async fn gone(&self) {
        self.0.closed().await;
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
