//! Streams of server-sent events, each in a thread of its own.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::thread;

use crate::event::{Event, Heard, Stream};
use crate::transport::{Request, Transport, whole};
use crate::wire::Fault;

use super::ask::no_thread;

/// How many events are handed over together.
const BATCH: usize = 500;
/// How many batches may wait; what comes beyond is counted only.
const WAITING: usize = 4;

/// Those that are listened to.
pub(super) struct Listeners {
    transport: Arc<dyn Transport>,
    sender: Sender<Event>,
    stops: BTreeMap<Stream, Arc<AtomicBool>>,
    /// The last event of each path, by which it is gone on with.
    last: BTreeMap<String, Arc<AtomicU64>>,
    waiting: Arc<AtomicUsize>,
}

impl Listeners {
    pub(super) fn new(transport: Arc<dyn Transport>, sender: Sender<Event>) -> Self {
        Self {
            transport,
            sender,
            stops: BTreeMap::new(),
            last: BTreeMap::new(),
            waiting: Arc::default(),
        }
    }

    /// Something that was heard is taken.
    pub(super) fn is_taken(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    /// Listens no longer.
    pub(super) fn unlisten(&mut self, stream: Stream) {
        if let Some(stop) = self.stops.remove(&stream) {
            stop.store(true, Ordering::Relaxed);
        }
        if stream == Stream::Events {
            self.last.clear();
        }
    }

    /// Listens, instead of to the one before.
    pub(super) fn listen(&mut self, number: u64, stream: Stream, mut request: Request) {
        if let Some(stop) = self.stops.remove(&stream) {
            stop.store(true, Ordering::Relaxed);
        }
        let stop = Arc::new(AtomicBool::new(false));
        self.stops.insert(stream, Arc::clone(&stop));
        let last = self.last.entry(request.path.clone()).or_default();
        let last = Arc::clone(last);
        if let (Stream::Events, id @ 1..) = (stream, last.load(Ordering::Relaxed)) {
            request.path.push_str(&format!("&last_event_id={id}"));
        }
        let listener = Listener {
            number,
            sender: self.sender.clone(),
            waiting: Arc::clone(&self.waiting),
            stop,
            last,
        };
        let failed = listener.clone();
        let transport = Arc::clone(&self.transport);
        let work = move || {
            let why = listener.hear_all(&*transport, &request);
            listener.say(Heard::Ended(why));
        };
        if let Err(error) = thread::Builder::new().name("listen".to_owned()).spawn(work) {
            failed.say(Heard::Ended(no_thread(&error)));
        }
    }
}

#[derive(Clone)]
struct Listener {
    number: u64,
    sender: Sender<Event>,
    waiting: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    last: Arc<AtomicU64>,
}

impl Listener {
    fn say(&self, heard: Heard) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        // Nobody listens any more where this fails.
        let _ = self.sender.send(Event::Heard(self.number, heard));
    }

    /// Hears until the end, and says why it came.
    fn hear_all(&self, transport: &dyn Transport, request: &Request) -> Fault {
        let answer = match transport.open(request) {
            Ok(answer) if answer.status == 200 => answer,
            Ok(answer) => {
                let refused = whole(answer).err();
                return refused.unwrap_or_else(ended);
            }
            Err(fault) => return fault,
        };
        let mut reader = BufReader::with_capacity(64 << 10, answer.body);
        let mut batch = Vec::new();
        let mut skipped = 0;
        loop {
            let frame = match Frame::read(&mut reader) {
                Ok(Some(frame)) => frame,
                Ok(None) => return ended(),
                Err(error) => return broken(&error),
            };
            if self.stop.load(Ordering::Relaxed) {
                return ended();
            }
            if let Some(id) = frame.id {
                self.last.store(id, Ordering::Relaxed);
            }
            let is_crowded = self.waiting.load(Ordering::Relaxed) > WAITING;
            match frame.event.as_str() {
                "summary" => {
                    if let Ok(summary) = serde_json::from_str(&frame.data) {
                        self.say(Heard::Summary(summary));
                    }
                }
                "new" | "update" | "destroy" if is_crowded => skipped += 1,
                "new" | "update" | "destroy" => match serde_json::from_str(&frame.data) {
                    Ok(happened) => batch.push(happened),
                    Err(_) => skipped += 1,
                },
                "gap" | "lost" => self.say(Heard::Missed(missed(&frame.data))),
                "too-slow" | "signed-out" => {
                    return serde_json::from_str(&frame.data).unwrap_or_else(|_| ended());
                }
                _ => {}
            }
            let has_more = reader.buffer().windows(2).any(|two| two == b"\n\n");
            let is_due = !has_more || batch.len() >= BATCH;
            if is_due && !is_crowded && (!batch.is_empty() || skipped > 0) {
                let batch = std::mem::take(&mut batch);
                self.say(Heard::Happened(batch, std::mem::take(&mut skipped)));
            }
        }
    }
}

fn ended() -> Fault {
    Fault::new("ended", "the stream ended", "it is asked again by itself")
}

fn broken(error: &std::io::Error) -> Fault {
    let message = format!("the stream broke off: {error}");
    Fault::new("broken-off", message, "it is asked again by itself")
}

fn missed(data: &str) -> Option<u64> {
    let value: serde_json::Value = serde_json::from_str(data).ok()?;
    value.get("missed").or_else(|| value.get("lost"))?.as_u64()
}

/// The longest line that is taken.
const LONGEST: u64 = 1 << 20;

/// A server-sent event.
#[derive(Debug, Default, PartialEq, Eq)]
struct Frame {
    event: String,
    id: Option<u64>,
    data: String,
}

impl Frame {
    /// The next one that has something in it; `None` at the end.
    fn read(reader: &mut impl BufRead) -> std::io::Result<Option<Self>> {
        let mut frame = Self::default();
        let mut line = String::new();
        loop {
            line.clear();
            if reader.by_ref().take(LONGEST).read_line(&mut line)? == 0 {
                return Ok(None);
            }
            let line = line.trim_end_matches(['\r', '\n']);
            if line.is_empty() {
                if frame.event.is_empty() && frame.data.is_empty() {
                    frame = Self::default();
                    continue;
                }
                return Ok(Some(frame));
            }
            match line.split_once(": ") {
                Some(("event", event)) => event.clone_into(&mut frame.event),
                Some(("id", id)) => frame.id = id.parse().ok(),
                Some(("data", data)) => frame.data.push_str(data),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_and_comments_are_not() {
        let text = "retry: 3000\n\n: here\n\nid: 7\nevent: new\ndata: {}\n\nevent: gap\ndata: {\"missed\":3}\n\n";
        let mut reader = text.as_bytes();
        let first = Frame::read(&mut reader).unwrap().unwrap();
        assert_eq!((first.event.as_str(), first.id), ("new", Some(7)));
        let second = Frame::read(&mut reader).unwrap().unwrap();
        assert_eq!(missed(&second.data), Some(3));
        assert_eq!(Frame::read(&mut reader).unwrap(), None);
    }
}
