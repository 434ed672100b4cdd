//! Connections: as many as there may be, for as long as they are of use.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, Version, header};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use rustix::net::sockopt::{
    set_socket_keepalive, set_tcp_keepidle, set_tcp_keepintvl, set_tcp_user_timeout,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};
use tower::ServiceExt;

use super::activity::Activity;
use super::places::{Place, Places};
use super::{Listeners, Tls};
use crate::gate::Peer;

/// What one may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections over TCP at once.
    pub connections: usize,
    /// Of them, from one address or IPv6 network that is not this machine's.
    pub of_one: usize,
    /// Of all, those who have shown that they may ask, the rest being left for newcomers.
    pub known: usize,
    /// Of these, viewers, the rest being left for operators.
    pub viewers: usize,
    /// Of these, by one token.
    pub known_of_one: usize,
    /// Of all, those of whom nothing shows yet that they may ask.
    pub strangers: usize,
    /// Of those, from one address, IPv6 network, or from this machine.
    pub strangers_of_one: usize,
    /// Connections to the socket in the file system at once.
    pub unix: usize,
    /// For how long the head of a request, or of TLS, may take to come.
    pub head: Duration,
    /// For how long a connection of HTTP/2 may be of no use.
    pub idle: Duration,
    /// For how long an answer may wait for its reader to take more of it.
    pub stall: Duration,
    /// For how long answers may go on when the daemon ends.
    pub end: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            of_one: 256,
            known: 768,
            viewers: 704,
            known_of_one: 64,
            strangers: 256,
            strangers_of_one: 64,
            unix: 256,
            head: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            stall: Duration::from_secs(120),
            end: Duration::from_secs(4),
        }
    }
}

/// The longest head of a request. Over HTTP/2 it is made of fields that each may be a byte long, and lie in memory with
/// far more.
const HEAD: usize = 64 << 10;
const HEAD_OF_FIELDS: u32 = 32 << 10;
/// How much is asked for at once over one connection of HTTP/2, and how much of a body waits there for
/// somebody to read it.
const STREAMS: u32 = 64;
const WINDOW: u32 = 32 << 10;
/// For how long the other end of TCP may acknowledge nothing.
const SILENCE: Duration = Duration::from_secs(60);
/// How long to wait when the process has no descriptor left for a connection.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers on all listeners until `end` changes.
pub async fn serve(
    listeners: Listeners,
    router: Router,
    tls: Option<Arc<Tls>>,
    limits: Limits,
    end: watch::Receiver<bool>,
) -> io::Result<()> {
    let shared = Arc::new(Shared { router, limits });
    let places = Places::new(limits);
    let unix = Arc::new(Semaphore::new(limits.unix));
    let mut files = Vec::new();
    let mut accepting = JoinSet::new();
    for listener in listeners.tcp {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let (shared, places) = (Arc::clone(&shared), Arc::clone(&places));
        accepting.spawn(accept_tcp(
            listener,
            shared,
            places,
            tls.clone(),
            end.clone(),
        ));
    }
    for (listener, file) in listeners.unix {
        listener.set_nonblocking(true)?;
        let listener = UnixListener::from_std(listener)?;
        files.extend(file);
        let (shared, unix) = (Arc::clone(&shared), Arc::clone(&unix));
        accepting.spawn(accept_unix(listener, shared, unix, end.clone()));
    }
    while let Some(ended) = accepting.join_next().await {
        // One that panicked has said so.
        drop(ended);
    }
    drop(files);
    Ok(())
}

struct Shared {
    router: Router,
    limits: Limits,
}

impl Shared {
    /// Answers one connection; `place` is that of one over TCP.
    async fn answer(
        self: Arc<Self>,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: Peer,
        place: Option<Arc<Place>>,
        watcher: hyper_util::server::graceful::Watcher,
    ) {
        let activity = Activity::default();
        let (router, active) = (self.router.clone(), activity.clone());
        let here = place.clone();
        let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
            let answering = active.begin();
            let mut request: Request = request.map(axum::body::Body::new);
            request.extensions_mut().insert(peer);
            if let Some(place) = &here {
                request.extensions_mut().insert(Arc::clone(place));
            }
            put_host(&mut request);
            let answer = router.clone().oneshot(request);
            async move {
                let answer = answer.await;
                answer.map(|answer| answer.map(|body| answering.with(body)))
            }
        });
        let builder = self.builder();
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        let connection = watcher.watch(connection.into_owned());
        let is_needed = async {
            match &place {
                Some(place) => tokio::select! {
                    () = place.is_needed() => {}
                    () = place.watch() => {}
                },
                None => std::future::pending().await,
            }
        };
        // The limit on heads begins when it is known which HTTP is spoken, and HTTP/2 has none: who
        // says nothing, or too little to tell, would stay for ever. Whatever went wrong, the other
        // end knows.
        tokio::select! {
            _ = connection => {}
            () = activity.is_idle(self.limits.head, self.limits.idle) => {}
            () = activity.is_stalled(self.limits.stall) => {}
            () = is_needed => {}
        }
    }

    fn builder(&self) -> Builder<TokioExecutor> {
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            // Who has said all may close that half, and is answered all the same.
            .half_close(true)
            .header_read_timeout(self.limits.head)
            .max_buf_size(HEAD);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(HEAD_OF_FIELDS)
            .max_concurrent_streams(STREAMS)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(2 * WINDOW)
            .max_send_buf_size(2 * WINDOW as usize)
            .keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(20));
        builder
    }
}

/// HTTP/2 says in another place which host is meant; what comes after looks in one.
fn put_host(request: &mut Request) {
    if request.version() == Version::HTTP_2
        && let Some(authority) = request.uri().authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        request.headers_mut().insert(header::HOST, host);
    }
}

/// Ends connections whose other end went without a word, or takes nothing of what is sent.
fn watch_over(stream: &TcpStream) {
    // Without, they last as long as the kernel's own patience.
    let _ = set_socket_keepalive(stream, true);
    let _ = set_tcp_keepidle(stream, SILENCE);
    let _ = set_tcp_keepintvl(stream, SILENCE / 4);
    let milliseconds = u32::try_from(SILENCE.as_millis()).unwrap_or(u32::MAX);
    let _ = set_tcp_user_timeout(stream, milliseconds);
}

async fn accept_tcp(
    listener: TcpListener,
    shared: Arc<Shared>,
    places: Arc<Places>,
    tls: Option<Arc<Tls>>,
    mut end: watch::Receiver<bool>,
) {
    let graceful = GracefulShutdown::new();
    loop {
        let room = tokio::select! {
            room = places.room() => room,
            _ = end.changed() => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = end.changed() => break,
        };
        let Ok((stream, from)) = accepted else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let Some(place) = places.take(room, from.ip()) else {
            continue;
        };
        let _ = stream.set_nodelay(true);
        watch_over(&stream);
        let peer = Peer {
            from: Some(from),
            uid: None,
            is_tls: tls.is_some(),
        };
        let (shared, watcher) = (Arc::clone(&shared), graceful.watcher());
        let acceptor = tls.as_ref().map(|tls| tls.acceptor());
        tokio::spawn(async move {
            let until = Instant::now() + shared.limits.head;
            let spoken = tokio::select! {
                spoken = timeout_at(until, stream.readable()) => spoken,
                () = place.is_needed() => return,
            };
            if !matches!(spoken, Ok(Ok(()))) {
                return;
            }
            place.spoken();
            let Some(acceptor) = acceptor else {
                return shared.answer(stream, peer, Some(place), watcher).await;
            };
            let accepted = tokio::select! {
                accepted = timeout_at(until, acceptor.accept(stream)) => accepted,
                () = place.is_needed() => return,
            };
            if let Ok(Ok(stream)) = accepted {
                shared.answer(stream, peer, Some(place), watcher).await;
            }
        });
    }
    drop(listener);
    let _ = timeout(shared.limits.end, graceful.shutdown()).await;
}

async fn accept_unix(
    listener: UnixListener,
    shared: Arc<Shared>,
    room: Arc<Semaphore>,
    mut end: watch::Receiver<bool>,
) {
    let graceful = GracefulShutdown::new();
    loop {
        let taken = tokio::select! {
            taken = Arc::clone(&room).acquire_owned() => taken,
            _ = end.changed() => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = end.changed() => break,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let Ok(credentials) = stream.peer_cred() else {
            continue;
        };
        let peer = Peer {
            from: None,
            uid: Some(credentials.uid()),
            is_tls: false,
        };
        let answer = Arc::clone(&shared).answer(stream, peer, None, graceful.watcher());
        tokio::spawn(async move {
            answer.await;
            drop(taken);
        });
    }
    drop(listener);
    let _ = timeout(shared.limits.end, graceful.shutdown()).await;
}
