//! Streams of server-sent events, each in a thread of its own.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::event::{Event, Heard, Stream};
use crate::transport::{Request, Transport, whole};
use crate::wire::{Fault, Happened};

use super::ask::no_thread;

/// How many events are handed over together.
const BATCH: usize = 500;
/// How many batches may be on their way to the screen; what comes meanwhile is held.
const WAITING: usize = 4;
/// How many events are held; what comes beyond is counted only.
const HELD: usize = 2000;

/// Those that are listened to.
pub(super) struct Listeners {
    transport: Arc<dyn Transport>,
    sender: Sender<Event>,
    current: BTreeMap<Stream, Current>,
    /// The last event of each path, by which it is gone on with.
    last: BTreeMap<String, Arc<AtomicU64>>,
}

/// A stream that is listened to.
struct Current {
    number: u64,
    stop: Arc<AtomicBool>,
    way: Arc<Mutex<Way>>,
}

/// What is on its way to the screen, and what waits for room there.
#[derive(Default)]
struct Way {
    waiting: usize,
    held: Vec<Happened>,
    /// What came when no more could be held.
    skipped: u64,
}

impl Way {
    /// The next batch, where there is one and room for it.
    fn next(&mut self) -> Option<Heard> {
        if self.waiting >= WAITING || self.held.is_empty() && self.skipped == 0 {
            return None;
        }
        self.waiting += 1;
        let held = std::mem::take(&mut self.held);
        Some(Heard::Happened(held, std::mem::take(&mut self.skipped)))
    }
}

impl Listeners {
    pub(super) fn new(transport: Arc<dyn Transport>, sender: Sender<Event>) -> Self {
        Self {
            transport,
            sender,
            current: BTreeMap::new(),
            last: BTreeMap::new(),
        }
    }

    /// A batch of a stream is taken: gives what was held for want of room, so that nothing waits for more to happen.
    pub(super) fn is_taken(&self, number: u64) -> Option<Heard> {
        let mut all = self.current.values();
        let current = all.find(|current| current.number == number)?;
        let mut way = lock(&current.way);
        way.waiting = way.waiting.saturating_sub(1);
        way.next()
    }

    /// Listens no longer.
    pub(super) fn unlisten(&mut self, stream: Stream) {
        if let Some(current) = self.current.remove(&stream) {
            current.stop.store(true, Ordering::Relaxed);
        }
        if stream == Stream::Events {
            self.last.clear();
        }
    }

    /// Listens, instead of to the one before.
    pub(super) fn listen(&mut self, number: u64, stream: Stream, mut request: Request) {
        let (stop, way) = (Arc::<AtomicBool>::default(), Arc::<Mutex<Way>>::default());
        let current = Current {
            number,
            stop: Arc::clone(&stop),
            way: Arc::clone(&way),
        };
        if let Some(before) = self.current.insert(stream, current) {
            before.stop.store(true, Ordering::Relaxed);
        }
        let last = self.last.entry(request.path.clone()).or_default();
        let last = Arc::clone(last);
        if let (Stream::Events, id @ 1..) = (stream, last.load(Ordering::Relaxed)) {
            request.path.push_str(&format!("&last_event_id={id}"));
        }
        let listener = Listener {
            number,
            sender: self.sender.clone(),
            way,
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
    way: Arc<Mutex<Way>>,
    stop: Arc<AtomicBool>,
    last: Arc<AtomicU64>,
}

impl Listener {
    fn say(&self, heard: Heard) {
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
            match frame.event.as_str() {
                "summary" => {
                    if let Ok(summary) = serde_json::from_str(&frame.data) {
                        self.say(Heard::Summary(summary));
                    }
                }
                "new" | "update" | "destroy" => self.hold(&frame.data),
                "gap" | "lost" => self.say(Heard::Missed(missed(&frame.data))),
                "too-slow" | "signed-out" => {
                    return serde_json::from_str(&frame.data).unwrap_or_else(|_| ended());
                }
                _ => {}
            }
            let has_more = reader.buffer().windows(2).any(|two| two == b"\n\n");
            let next = {
                let mut way = lock(&self.way);
                let is_due = !has_more || way.held.len() >= BATCH;
                if is_due { way.next() } else { None }
            };
            if let Some(next) = next {
                self.say(next);
            }
        }
    }

    /// Something happened to a connection. What nobody could show any more is not even read.
    fn hold(&self, data: &str) {
        let is_full = lock(&self.way).held.len() >= HELD;
        let happened = (!is_full).then(|| serde_json::from_str(data).ok());
        let mut way = lock(&self.way);
        match happened.flatten() {
            Some(happened) => way.held.push(happened),
            None => way.skipped += 1,
        }
    }
}

fn lock(way: &Mutex<Way>) -> MutexGuard<'_, Way> {
    way.lock().unwrap_or_else(PoisonError::into_inner)
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
    use std::sync::mpsc::{Receiver, channel};

    use super::*;
    use crate::transport::Answer;

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

    /// A stream of pieces, each of which is read at once; it ends with the sender.
    struct Pieces(Mutex<Option<Receiver<String>>>);

    struct Piece(Receiver<String>, Vec<u8>);

    impl Read for Piece {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            if self.1.is_empty() {
                self.1 = self.0.recv().unwrap_or_default().into_bytes();
            }
            let many = self.1.len().min(into.len());
            into[..many].copy_from_slice(&self.1[..many]);
            self.1.drain(..many);
            Ok(many)
        }
    }

    impl Transport for Pieces {
        fn open(&self, _: &Request) -> Result<Answer, Fault> {
            let pieces = self.0.lock().unwrap().take().expect("it is opened once");
            Ok(Answer {
                status: 200,
                body: Box::new(Piece(pieces, Vec::new())),
            })
        }

        fn place(&self) -> String {
            String::new()
        }
    }

    fn births(many: usize) -> String {
        "event: new\ndata: {}\n\n".repeat(many)
    }

    /// Listens until the stream ends, with nothing taken meanwhile; gives what is on its way.
    fn heard(pieces: &[String]) -> (Listeners, Vec<Heard>) {
        let (sender, events) = channel();
        let (into, from) = channel();
        let transport = Arc::new(Pieces(Mutex::new(Some(from))));
        let mut listeners = Listeners::new(transport, sender);
        listeners.listen(7, Stream::Events, Request::get("/api/v1/events", &[]));
        for piece in pieces {
            into.send(piece.clone()).unwrap();
        }
        drop(into);
        let mut all = Vec::new();
        loop {
            let Ok(Event::Heard(7, heard)) = events.recv() else {
                panic!("something else came");
            };
            match heard {
                Heard::Ended(_) => return (listeners, all),
                other => all.push(other),
            }
        }
    }

    fn numbers(heard: &Heard) -> (usize, u64) {
        match heard {
            Heard::Happened(all, more) => (all.len(), *more),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_had_no_room_comes_as_soon_as_something_is_taken() {
        let pieces: Vec<String> = (0..10).map(|_| births(1)).collect();
        let (listeners, heard) = heard(&pieces);
        assert_eq!(heard.len(), WAITING);
        assert!(heard.iter().all(|heard| numbers(heard) == (1, 0)));
        // Nothing more happens, and the last are told all the same.
        let held = listeners.is_taken(7).expect("six were held");
        assert_eq!(numbers(&held), (10 - WAITING, 0));
        assert!(listeners.is_taken(7).is_none(), "all was told");
        assert!(listeners.is_taken(6).is_none(), "of another stream");
    }

    #[test]
    fn what_is_too_much_is_counted() {
        let mut pieces: Vec<String> = (0..WAITING).map(|_| births(1)).collect();
        pieces.push(births(HELD + 50));
        let (listeners, _) = heard(&pieces);
        let held = listeners.is_taken(7).map(|heard| numbers(&heard));
        assert_eq!(held, Some((HELD, 50)));
    }
}
