//! How answers are written: what is accepted, bodies that are made while they are sent, tags.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::timeout;

use super::error::Fault;

/// How an answer is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object.
    Json,
    /// RFC 4180.
    Csv,
    /// One JSON object a line.
    Ndjson,
}

const TYPES: [(&str, &str, Format); 3] = [
    ("application", "json", Format::Json),
    ("text", "csv", Format::Csv),
    ("application", "x-ndjson", Format::Ndjson),
];

/// The best of the formats that can be had. Without `Accept`, JSON.
pub fn wanted(headers: &HeaderMap) -> Result<Format, Fault> {
    let mut best: Option<(f32, usize, Format)> = None;
    let mut is_asked = false;
    for value in headers.get_all(header::ACCEPT) {
        for range in value.to_str().unwrap_or_default().split(',') {
            let mut parts = range.split(';');
            let Some((kind, sub)) = parts.next().and_then(|kind| kind.trim().split_once('/'))
            else {
                continue;
            };
            is_asked = true;
            let quality = parts.find_map(|part| part.trim().strip_prefix("q=")?.parse().ok());
            let quality: f32 = quality.unwrap_or(1.0);
            let matching = TYPES.iter().find(|(ours, subtype, _)| {
                (kind == "*" || kind.eq_ignore_ascii_case(ours))
                    && (sub == "*" || sub.eq_ignore_ascii_case(subtype))
            });
            let exact = usize::from(kind != "*") + usize::from(sub != "*");
            if let Some((.., format)) = matching
                && quality > 0.0
                && best.is_none_or(|(most, how, _)| (quality, exact) > (most, how))
            {
                best = Some((quality, exact, *format));
            }
        }
    }
    match best {
        Some((.., format)) => Ok(format),
        None if !is_asked => Ok(Format::Json),
        None => Err(Fault::new(
            "not-acceptable",
            "none of the types in Accept can be had",
            "ask for application/json, text/csv or application/x-ndjson",
        )
        .about("Accept")),
    }
}

/// How many pieces wait for a reader.
const PIECES: usize = 8;
/// How large a piece is, in bytes.
const PIECE: usize = 64 << 10;
/// For how long a reader may take nothing. Some read a burst into a buffer and then nothing for a while.
const STALL: Duration = Duration::from_secs(120);
/// For how long a reader may be as slow as it likes, and bytes a second after that.
const GRACE: Duration = Duration::from_secs(60);
const SLOWEST: u64 = 4 << 10;

/// The end of a body that is written where one may block. What is not finished ends in an error,
/// so that half an answer never looks like a whole one.
pub struct Pieces {
    sender: Sender<Result<Bytes, Stopped>>,
    runtime: Handle,
    buffer: Vec<u8>,
    sent: u64,
    /// For how long the reader was waited for, in all.
    waited: Duration,
}

/// The body was not written to its end.
#[derive(Clone, Copy, Debug)]
pub struct Stopped;

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the answer ended before its end")
    }
}

impl std::error::Error for Stopped {}

/// A body and the end into which it is written.
pub fn body() -> (Pieces, Body) {
    let (sender, receiver) = channel(PIECES);
    let pieces = Pieces {
        sender,
        runtime: Handle::current(),
        buffer: Vec::with_capacity(PIECE + 4096),
        sent: 0,
        waited: Duration::ZERO,
    };
    let ends = |mut receiver: Receiver<Result<Bytes, Stopped>>| async move {
        match receiver.recv().await {
            Some(Ok(bytes)) if bytes.is_empty() => None,
            Some(piece) => Some((piece, Some(receiver))),
            None => Some((Err(Stopped), None)),
        }
    };
    let stream = stream::unfold(Some(receiver), move |receiver| async move {
        ends(receiver?).await
    });
    // Who packs it asks on after the end.
    (pieces, Body::from_stream(stream.fuse()))
}

impl Pieces {
    /// What is appended here is sent.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Sends what has come together, if it is enough; waits for the reader. An error if that is
    /// gone, or takes nothing.
    pub fn spill(&mut self) -> Result<(), Stopped> {
        if self.buffer.len() < PIECE {
            return Ok(());
        }
        self.send()
    }

    /// Sends the rest, and says that it was all.
    pub fn finish(mut self) -> Result<(), Stopped> {
        if !self.buffer.is_empty() {
            self.send()?;
        }
        self.push(Bytes::new())
    }

    fn send(&mut self) -> Result<(), Stopped> {
        let bytes = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE + 4096));
        self.push(bytes.into())
    }

    fn push(&mut self, bytes: Bytes) -> Result<(), Stopped> {
        self.sent += bytes.len() as u64;
        let began = Instant::now();
        let sent = async { timeout(STALL, self.sender.send(Ok(bytes))).await };
        let sent = self.runtime.block_on(sent);
        self.waited += began.elapsed();
        if !matches!(sent, Ok(Ok(()))) || is_too_slow(self.sent, self.waited) {
            return Err(Stopped);
        }
        Ok(())
    }
}

/// What a reader has not taken is memory and a place that others wait for.
fn is_too_slow(sent: u64, waited: Duration) -> bool {
    waited > GRACE && sent < SLOWEST * waited.as_secs()
}

/// A text that seldom changes, with a tag by which a browser knows that it has it already.
pub fn tagged(headers: &HeaderMap, content_type: &'static str, text: Bytes) -> Response {
    let tag = tag_of(&text);
    if is_known(headers, &tag) {
        return with_tag(StatusCode::NOT_MODIFIED, &tag);
    }
    with_tag(([(header::CONTENT_TYPE, content_type)], text), &tag)
}

/// A tag of something.
pub fn tag_of(something: &impl Hash) -> String {
    let mut hasher = DefaultHasher::new();
    something.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

/// Whether who asks has what a tag names.
pub fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let known = headers.get(header::IF_NONE_MATCH);
    let known = known.and_then(|value| value.to_str().ok());
    known.unwrap_or_default().split(',').any(|known| {
        let known = known.trim();
        known == "*" || known.trim_start_matches("W/") == tag
    })
}

/// An answer with its tag, which is to be asked about each time.
pub fn with_tag(response: impl IntoResponse, tag: &str) -> Response {
    let mut response = response.into_response();
    let headers = response.headers_mut();
    if let Ok(tag) = HeaderValue::from_str(tag) {
        headers.insert(header::ETAG, tag);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(accept: &str) -> Result<Format, u16> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        wanted(&headers).map_err(|fault| fault.status().as_u16())
    }

    #[test]
    fn the_best_that_can_be_had_is_chosen() {
        assert_eq!(wanted(&HeaderMap::new()).unwrap(), Format::Json);
        assert_eq!(of("*/*"), Ok(Format::Json));
        assert_eq!(of("text/csv"), Ok(Format::Csv));
        assert_eq!(of("text/html, text/*;q=0.5"), Ok(Format::Csv));
        assert_eq!(
            of("application/json;q=0.1, application/x-ndjson"),
            Ok(Format::Ndjson)
        );
        assert_eq!(of("*/*;q=1, text/csv;q=1"), Ok(Format::Csv));
        assert_eq!(of("image/png"), Err(406));
        assert_eq!(of("text/csv;q=0"), Err(406));
    }

    #[test]
    fn a_reader_may_be_slow_but_not_for_hours() {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        assert!(!is_too_slow(1, minutes(1)));
        assert!(is_too_slow(100 << 10, minutes(2)));
        // 600 MB by way of 1 Mbit/s.
        assert!(!is_too_slow(600 << 20, minutes(80)));
    }

    #[tokio::test]
    async fn half_an_answer_is_an_error_and_a_whole_one_is_not() {
        for is_finished in [true, false] {
            let (mut pieces, body) = body();
            let writer = tokio::task::spawn_blocking(move || {
                pieces.buffer().extend_from_slice(b"row\n");
                if is_finished {
                    pieces.finish()
                } else {
                    pieces.send()
                }
            });
            let read = axum::body::to_bytes(body, usize::MAX).await;
            assert_eq!(read.is_ok(), is_finished);
            writer.await.unwrap().unwrap();
        }
    }
}
