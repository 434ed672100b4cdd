//! Connections: as many as there may be, for as long as they are of use.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
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
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tower::ServiceExt;

use super::{Listeners, Tls};
use crate::gate::Peer;

/// What one may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// Of them, from one address that is not this machine's.
    pub of_one: usize,
    /// For how long the head of a request, or of TLS, may take to come.
    pub head: Duration,
    /// For how long answers may go on when the daemon ends.
    pub end: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            of_one: 256,
            head: Duration::from_secs(10),
            end: Duration::from_secs(4),
        }
    }
}

/// The longest head of a request.
const HEAD: usize = 64 << 10;
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
    let shared = Arc::new(Shared {
        router,
        room: Arc::new(Semaphore::new(limits.connections)),
        each: Mutex::default(),
        limits,
    });
    let mut files = Vec::new();
    let mut accepting = JoinSet::new();
    for listener in listeners.tcp {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        accepting.spawn(accept_tcp(
            listener,
            Arc::clone(&shared),
            tls.clone(),
            end.clone(),
        ));
    }
    for (listener, file) in listeners.unix {
        listener.set_nonblocking(true)?;
        let listener = UnixListener::from_std(listener)?;
        files.extend(file);
        accepting.spawn(accept_unix(listener, Arc::clone(&shared), end.clone()));
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
    room: Arc<Semaphore>,
    each: Mutex<HashMap<IpAddr, usize>>,
    limits: Limits,
}

/// A connection's place among all of them, and among those from its address.
struct Place {
    _room: OwnedSemaphorePermit,
    of: Option<(Arc<Shared>, IpAddr)>,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some((shared, address)) = &self.of {
            let mut each = shared.each.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(many) = each.get_mut(address) {
                *many -= 1;
                if *many == 0 {
                    each.remove(address);
                }
            }
        }
    }
}

impl Shared {
    /// `None` where one address has too many.
    fn place(
        self: &Arc<Self>,
        room: OwnedSemaphorePermit,
        address: Option<IpAddr>,
    ) -> Option<Place> {
        let address = address
            .map(|address| address.to_canonical())
            .filter(|address| !address.is_loopback());
        if let Some(address) = address {
            let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
            let many = each.entry(address).or_insert(0);
            if *many >= self.limits.of_one {
                return None;
            }
            *many += 1;
        }
        Some(Place {
            _room: room,
            of: address.map(|address| (Arc::clone(self), address)),
        })
    }

    /// Waits for room, so that what comes too much waits in the kernel's queue.
    async fn room(&self) -> OwnedSemaphorePermit {
        match Arc::clone(&self.room).acquire_owned().await {
            Ok(permit) => permit,
            // It is never closed.
            Err(_) => std::future::pending().await,
        }
    }

    async fn answer(
        self: Arc<Self>,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: Peer,
        place: Place,
        watcher: hyper_util::server::graceful::Watcher,
    ) {
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
            .max_header_list_size(HEAD as u32)
            .max_concurrent_streams(64)
            .keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(20));
        let router = self.router.clone();
        let asked = Arc::new(Notify::new());
        let first = Arc::clone(&asked);
        let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
            first.notify_one();
            let mut request: Request = request.map(axum::body::Body::new);
            request.extensions_mut().insert(peer);
            put_host(&mut request);
            router.clone().oneshot(request)
        });
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        let mut connection = pin!(watcher.watch(connection.into_owned()));
        // The limit on heads begins when it is known which HTTP is spoken: who says nothing, or too
        // little to tell, would stay for ever. Whatever went wrong, the other end knows.
        tokio::select! {
            _ = &mut connection => {}
            () = asked.notified() => drop(connection.await),
            () = sleep(self.limits.head) => {}
        }
        drop(place);
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
    tls: Option<Arc<Tls>>,
    mut end: watch::Receiver<bool>,
) {
    let graceful = GracefulShutdown::new();
    loop {
        let room = tokio::select! {
            room = shared.room() => room,
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
        let Some(place) = shared.place(room, Some(from.ip())) else {
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
        match &tls {
            None => {
                tokio::spawn(shared.answer(stream, peer, place, watcher));
            }
            Some(tls) => {
                let acceptor = tls.acceptor();
                tokio::spawn(async move {
                    let patience = shared.limits.head;
                    if let Ok(Ok(stream)) = timeout(patience, acceptor.accept(stream)).await {
                        shared.answer(stream, peer, place, watcher).await;
                    }
                });
            }
        }
    }
    drop(listener);
    let _ = timeout(shared.limits.end, graceful.shutdown()).await;
}

async fn accept_unix(listener: UnixListener, shared: Arc<Shared>, mut end: watch::Receiver<bool>) {
    let graceful = GracefulShutdown::new();
    loop {
        let room = tokio::select! {
            room = shared.room() => room,
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
        let (Some(place), Ok(credentials)) = (shared.place(room, None), stream.peer_cred()) else {
            continue;
        };
        let peer = Peer {
            from: None,
            uid: Some(credentials.uid()),
            is_tls: false,
        };
        tokio::spawn(Arc::clone(&shared).answer(stream, peer, place, graceful.watcher()));
    }
    drop(listener);
    let _ = timeout(shared.limits.end, graceful.shutdown()).await;
}
