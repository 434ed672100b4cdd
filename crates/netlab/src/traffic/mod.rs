//! Continuous traffic: threads in the client's and the server's namespace.

mod answerer;
mod conversation;
mod datagrams;
mod echoes;
mod stop;
mod streams;
mod unanswered;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::address::{CLIENTS, FORWARD, SERVERS, any_port, client, client_v6, server, server_v6};
use crate::error::Error;
use crate::lab::Lab;
use crate::namespace::Namespace;
use crate::service::{HTTP, HTTPS, IMAPS, RSYNC, SSH, Service};
use answerer::Answerer;
use conversation::Route;
use stop::{Halt, Stop, StopHandle};

/// Between two turns of lasting connections, whichever's turn it is.
const LASTING_PAUSE: Duration = Duration::from_millis(80);

/// The same for the few that come through the port forward.
const FORWARDED_PAUSE: Duration = Duration::from_millis(400);

/// So that what fails at once (too many open files) does not fail a million times a second.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(50);

/// Traffic through a [`Lab`] for as long as the value lives.
///
/// Fewer than a hundred packets a second in all: lasting TCP connections that move bytes both ways, short
/// ones that open and close or are reset, ones to an address that never answers; requests and replies
/// over UDP, and UDP that nobody answers; ICMP echo; the same over IPv6 where the lab has it; connections
/// from outside through the port forward. Connections that break are opened again. Dropping the value
/// stops and joins all threads, in a few milliseconds.
#[derive(Debug)]
pub struct Traffic {
    stop: Option<StopHandle>,
    threads: Vec<JoinHandle<()>>,
    troubles: Troubles,
}

impl Traffic {
    pub(crate) fn start(lab: &Lab) -> crate::Result<Self> {
        let (handle, stop) =
            stop::pair().map_err(|cause| Error::system("make a socket pair", cause))?;
        let troubles = Troubles::default();
        // Before the first thread: if one cannot be started, dropping this ends those that were.
        let mut traffic = Self {
            stop: Some(handle),
            threads: Vec::new(),
            troubles: troubles.clone(),
        };
        let context = Context {
            stop,
            troubles,
            ipv6: lab.has_ipv6(),
        };

        traffic.serve(lab.server(), &context, "server", |ipv6| {
            Answerer::on_server(ipv6)
        })?;
        if lab.has_nat() {
            traffic.serve(lab.client(), &context, "client-server", |_| {
                Answerer::on_client()
            })?;
            let routes = [(forwarded(server(1)), 1), (forwarded(server(2)), 4)];
            traffic.spawn(lab.server(), &context, "forwarded", move |worker| {
                streams::lasting(worker, FORWARDED_PAUSE, &routes)
            })?;
        }
        let (lasting, short) = (lasting_routes(context.ipv6), short_routes(context.ipv6));
        traffic.spawn(lab.client(), &context, "lasting", move |worker| {
            streams::lasting(worker, LASTING_PAUSE, &lasting)
        })?;
        traffic.spawn(lab.client(), &context, "short", move |worker| {
            streams::short(worker, &short)
        })?;
        traffic.spawn(lab.client(), &context, "unanswered", unanswered::run)?;
        traffic.spawn(lab.client(), &context, "datagrams", datagrams::run)?;
        traffic.spawn(lab.client(), &context, "echoes", echoes::run)?;
        Ok(traffic)
    }

    /// The last failure of each kind of traffic since the start, by the kind's name: empty when all is well.
    ///
    /// A connection that was cut in between and came back leaves its trace here too.
    pub fn troubles(&self) -> BTreeMap<&'static str, String> {
        self.troubles
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Opens the listening sockets before the thread starts, so that a taken port is an error here.
    fn serve(
        &mut self,
        namespace: &Namespace,
        context: &Context,
        kind: &'static str,
        open: impl FnOnce(bool) -> io::Result<Answerer> + Send,
    ) -> crate::Result<()> {
        let answerer = namespace
            .run(|| open(context.ipv6))?
            .map_err(|cause| Error::system(format!("listen as {kind}"), cause))?;
        self.spawn(namespace, context, kind, move |context| {
            answerer.run(context)
        })
    }

    fn spawn(
        &mut self,
        namespace: &Namespace,
        context: &Context,
        kind: &'static str,
        work: impl FnOnce(&Worker) -> Result<(), Halt> + Send + 'static,
    ) -> crate::Result<()> {
        let worker = Worker {
            kind,
            context: context.clone(),
        };
        let thread = namespace.spawn(kind, move || {
            if let Err(Halt::Failed(cause)) = work(&worker) {
                worker.note(&cause);
            }
        })?;
        self.threads.push(thread);
        Ok(())
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        drop(self.stop.take());
        for thread in self.threads.drain(..) {
            // A panic has been reported where it happened.
            let _ = thread.join();
        }
    }
}

/// What all threads share.
#[derive(Debug, Clone)]
struct Context {
    stop: Stop,
    troubles: Troubles,
    ipv6: bool,
}

/// What one thread has.
#[derive(Debug)]
struct Worker {
    kind: &'static str,
    context: Context,
}

impl Worker {
    fn stop(&self) -> &Stop {
        &self.context.stop
    }

    fn note(&self, cause: &io::Error) {
        let mut troubles = self
            .context
            .troubles
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        troubles.insert(self.kind, cause.to_string());
    }

    /// Notes a failure and goes on after a pause; only the stop ends a worker.
    fn tolerate(&self, outcome: Result<(), Halt>) -> Result<(), Halt> {
        match outcome {
            Err(Halt::Failed(cause)) => {
                self.note(&cause);
                self.stop().rest(PAUSE_AFTER_FAILURE)
            }
            other => other,
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Troubles(Arc<Mutex<BTreeMap<&'static str, String>>>);

fn route(from: u8, to: u8, service: Service, request: usize) -> Route {
    let target = SocketAddr::from((server(to), service.port));
    Route {
        source: any_port(client(from)),
        target,
        ratio: service.ratio,
        request,
    }
}

fn route_v6(from: u8, to: u8, service: Service, request: usize) -> Route {
    let target = SocketAddr::from((server_v6(to), service.port));
    Route {
        source: any_port(client_v6(from)),
        target,
        ratio: service.ratio,
        request,
    }
}

fn forwarded(from: std::net::Ipv4Addr) -> Route {
    Route {
        source: any_port(from),
        target: FORWARD.into(),
        ratio: HTTPS.ratio,
        request: 200,
    }
}

/// Each with the number of rounds between its words: some are busy, some nearly asleep.
fn lasting_routes(ipv6: bool) -> Vec<(Route, usize)> {
    let mut routes = vec![
        (route(0, 0, HTTPS, 300), 1),
        (route(1, 1, HTTPS, 600), 2),
        (route(2, 0, SSH, 48), 1),
        (route(3, 2, IMAPS, 120), 10),
        (route(4, 3, RSYNC, 8192), 1),
        (route(5, 1, HTTPS, 90), 5),
        (route(6, 2, HTTP, 400), 3),
        (route(7, 0, HTTPS, 150), 20),
    ];
    if ipv6 {
        routes.extend([
            (route_v6(0, 0, HTTPS, 500), 1),
            (route_v6(3, 1, SSH, 64), 4),
            (route_v6(5, 2, IMAPS, 100), 10),
        ]);
    }
    routes
}

/// Every client in turn, to every server in turn.
fn short_routes(ipv6: bool) -> Vec<Route> {
    (0..CLIENTS)
        .flat_map(|n| {
            let service = if n % 3 == 0 { HTTP } else { HTTPS };
            let v4 = route(n, n % SERVERS, service, 200);
            [
                Some(v4),
                (ipv6 && n % 2 == 0).then(|| route_v6(n, n % SERVERS, HTTPS, 200)),
            ]
        })
        .flatten()
        .collect()
}
