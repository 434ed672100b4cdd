//! Bodies that come over time, read like files.

use std::io::{self, Read};
use std::pin::Pin;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Body, Bytes};
use tokio::runtime::Handle;

/// Longer than streams are ever quiet.
const PATIENCE: Duration = Duration::from_secs(45);

/// A body, read piece by piece.
pub(super) struct Reader<B, G> {
    body: Pin<Box<B>>,
    piece: Bytes,
    runtime: Handle,
    /// What has to live as long as the body is read.
    _guard: G,
}

impl<B, G> Reader<B, G> {
    /// Reads a body; `guard` lives as long.
    pub(super) fn new(body: B, runtime: Handle, guard: G) -> Self {
        Self {
            body: Box::pin(body),
            piece: Bytes::new(),
            runtime,
            _guard: guard,
        }
    }
}

impl<B, G> Read for Reader<B, G>
where
    B: Body<Data = Bytes>,
    B::Error: std::fmt::Display,
{
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            let frame = async { tokio::time::timeout(PATIENCE, self.body.frame()).await };
            let frame = match self.runtime.block_on(frame) {
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(error))) => return Err(io::Error::other(error.to_string())),
                Ok(None) => return Ok(0),
                Err(_) => return Err(io::Error::new(io::ErrorKind::TimedOut, "nothing came")),
            };
            if let Ok(piece) = frame.into_data() {
                self.piece = piece;
            }
        }
        let many = self.piece.len().min(into.len());
        into[..many].copy_from_slice(&self.piece.split_to(many));
        Ok(many)
    }
}
