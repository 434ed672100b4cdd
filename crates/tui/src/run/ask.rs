//! Requests, each in a thread of its own: none waits for another, and the screen for none.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Instant;

use serde::de::DeserializeOwned;

use crate::event::{Answer, Event, Kind, Reply};
use crate::transport::{Request, Transport, ask, whole};
use crate::wire::Fault;

/// Asks, and sends what is answered.
pub(super) struct Asker {
    transport: Arc<dyn Transport>,
    sender: Sender<Event>,
}

impl Asker {
    pub(super) fn new(transport: Arc<dyn Transport>, sender: Sender<Event>) -> Self {
        Self { transport, sender }
    }

    /// Asks; the answer comes as an event.
    pub(super) fn ask(&self, number: u64, kind: Kind, request: Request) {
        let (transport, sender) = (Arc::clone(&self.transport), self.sender.clone());
        let answer = move |reply, took_ms| {
            let answer = Answer {
                number,
                kind,
                took_ms,
                reply,
            };
            // Nobody waits for it any more where this fails.
            let _ = sender.send(Event::Answer(Box::new(answer)));
        };
        let failed = answer.clone();
        let work = move || {
            let began = Instant::now();
            let reply = reply(&*transport, kind, &request);
            let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            answer(reply, took);
        };
        if let Err(error) = thread::Builder::new().name("ask".to_owned()).spawn(work) {
            failed(Err(no_thread(&error)), 0);
        }
    }

    /// Asks, and forgets what is answered.
    pub(super) fn tell(&self, request: Request) {
        let transport = Arc::clone(&self.transport);
        let work = move || {
            let _is_forgotten = transport.open(&request).and_then(whole);
        };
        let _ = thread::Builder::new().name("tell".to_owned()).spawn(work);
    }
}

/// There is no room for another thread.
pub(super) fn no_thread(error: &std::io::Error) -> Fault {
    let message = format!("no thread could be begun: {error}");
    Fault::new(
        "internal",
        message,
        "see the limits of this session: ulimit -u",
    )
}

fn reply(transport: &dyn Transport, kind: Kind, request: &Request) -> Result<Reply, Fault> {
    fn read<T: DeserializeOwned>(
        transport: &dyn Transport,
        request: &Request,
        reply: impl FnOnce(T) -> Reply,
    ) -> Result<Reply, Fault> {
        ask(transport, request).map(reply)
    }
    match kind {
        Kind::Page => read(transport, request, Reply::Page),
        Kind::Groups => read(transport, request, Reply::Groups),
        Kind::Known => read(transport, request, Reply::Known),
        Kind::Health => read(transport, request, Reply::Health),
        Kind::Status => read(transport, request, Reply::Status),
        Kind::Fields => read(transport, request, Reply::Fields),
        Kind::Check => read(transport, request, Reply::Check),
        Kind::Complete => read(transport, request, Reply::Complete),
        Kind::Deletion => read(transport, request, Reply::Deletion),
    }
}
