//! Listeners and gate as the daemon has them, and a client that sends what it is told to.

use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Extension, Router};
use engine::config::Server;
use futures_util::{StreamExt, stream};
use server::gate::{self, Gate, Tokens};
use server::listen::{self, Limits, Listeners, Tls};
use server::who::{Role, Who};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::tls::TlsFiles;

/// For how long an answer is waited for before a test fails.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Daemon {
    address: SocketAddr,
    folder: TempDir,
    end: watch::Sender<bool>,
    serving: Option<JoinHandle<std::io::Result<()>>>,
    runtime: Runtime,
}

impl Daemon {
    pub(crate) fn start() -> Self {
        Self::start_with(|_| ())
    }

    pub(crate) fn start_with(change: impl FnOnce(&mut Server)) -> Self {
        Self::begin(change, Limits::default())
    }

    pub(crate) fn start_limited(limits: Limits) -> Self {
        Self::begin(|_| (), limits)
    }

    pub(crate) fn start_tls(files: &TlsFiles) -> Self {
        Self::begin(
            |server| {
                server.tls_certificate = Some(files.certificate());
                server.tls_key = Some(files.key());
            },
            Limits::default(),
        )
    }

    fn begin(change: impl FnOnce(&mut Server), limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Server {
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            socket: folder.path().join("socket"),
            ..Server::default()
        };
        change(&mut server);
        let listeners = Listeners::open(&server).unwrap();
        let address = listeners.addresses()[0];
        let uid = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap());
        let tokens = Tokens::open(folder.path()).unwrap();
        let gate = Arc::new(Gate::new(tokens, &server, uid));
        let who =
            |Extension(who): Extension<Who>| async move { format!("{} {:?}", who.name, who.role) };
        let router = Router::new()
            .route("/look", get(who))
            .route("/change", post(who))
            .route("/large", get(|| async { vec![b'a'; 1 << 20] }))
            .route("/events", get(|| without_end("text/event-stream")))
            .route("/rows", get(|| without_end("text/csv")))
            .merge(gate::routes(Arc::clone(&gate)))
            .layer(from_fn_with_state(gate, gate::check));
        let tls = Tls::open(&server).unwrap().map(Arc::new);
        let runtime = Runtime::new().unwrap();
        let (end, ended) = watch::channel(false);
        let serving = runtime.spawn(listen::serve(listeners, router, tls, limits, ended));
        Self {
            address,
            folder,
            end,
            serving: Some(serving),
            runtime,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn state(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// The tokens as another process has them.
    pub(crate) fn tokens(&self) -> Tokens {
        Tokens::open(self.state()).unwrap()
    }

    /// The line that a browser sends with what a page of the daemon asks for.
    pub(crate) fn origin(&self) -> String {
        format!("Origin: http://{}\r\n", self.address)
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    pub(crate) fn get(&self, path: &str, head: &str) -> Answer {
        self.ask("GET", path, head, "")
    }

    pub(crate) fn post(&self, path: &str, head: &str, kind: &str, body: &str) -> Answer {
        let head = format!("{head}Content-Type: {kind}\r\n");
        self.ask("POST", path, &head, body)
    }

    pub(crate) fn sign_in(&self, form: &str) -> Answer {
        let kind = "application/x-www-form-urlencoded";
        self.post("/signin", &self.origin(), kind, form)
    }

    /// A browser's line with a session of a new operator.
    pub(crate) fn signed_in(&self) -> String {
        let secret = self.tokens().add("me", Role::Operator, None).unwrap();
        self.sign_in(&format!("token={secret}")).cookie()
    }

    pub(crate) fn ask(&self, method: &str, path: &str, head: &str, body: &str) -> Answer {
        let (host, length) = (self.address, body.len());
        self.raw(
            format!(
                "{method} {path} HTTP/1.1\r\nHost: {host}\r\n{head}Content-Length: {length}\r\n\
                 Connection: close\r\n\r\n{body}"
            )
            .as_bytes(),
        )
    }

    pub(crate) fn raw(&self, request: &[u8]) -> Answer {
        exchange(self.connect(), request)
    }

    pub(crate) fn raw_unix(&self, request: &[u8]) -> Answer {
        let stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        exchange(stream, request)
    }

    /// Ends it, and waits until it has ended.
    pub(crate) fn end(&mut self) {
        let _ = self.end.send(true);
        if let Some(serving) = self.serving.take() {
            let served = self
                .runtime
                .block_on(async { tokio::time::timeout(PATIENCE, serving).await });
            served.expect("it ends").unwrap().unwrap();
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.end();
        }
    }
}

/// An answer that begins and goes on.
async fn without_end(kind: &'static str) -> impl IntoResponse {
    let first = stream::once(async { Ok::<_, Infallible>("first\n") });
    let body = Body::from_stream(first.chain(stream::pending()));
    ([(CONTENT_TYPE, kind)], body)
}

fn exchange(mut stream: impl Read + Write, request: &[u8]) -> Answer {
    stream.write_all(request).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    Answer::parse(&String::from_utf8(bytes).unwrap())
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").expect("an answer");
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap();
        let headers = lines.filter_map(|line| line.split_once(": "));
        Self {
            status: status.parse().unwrap(),
            headers: headers
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                .collect(),
            body: body.to_owned(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// The code of a failure.
    #[track_caller]
    pub(crate) fn failure(&self) -> String {
        self.json()["code"].as_str().unwrap().to_owned()
    }

    /// What a browser sends from now on.
    #[track_caller]
    pub(crate) fn cookie(&self) -> String {
        let set = self.header("set-cookie").expect("a cookie");
        format!("Cookie: {}\r\n", set.split(';').next().unwrap())
    }
}
