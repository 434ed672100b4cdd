mod faults;
mod reload;
mod schema;
mod service;
mod systemd;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testkit::{Namespace, TestNamespace};

use crate::run::{command, tracklight};

/// For how long something is waited for before a test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A daemon on the socket of a folder, and on no address: those are its namespace's.
struct Daemon(Child);

impl Daemon {
    fn start(namespace: &Namespace, folder: &Path) -> Self {
        let mut command = command(namespace, &[]);
        serve_from(&mut command, folder);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    /// The same, which answers.
    fn ready(mut command: Command, folder: &Path) -> Self {
        serve_from(&mut command, folder);
        let daemon = Self(command.spawn().unwrap());
        wait_until("an answer", || is_answering(&folder.join("socket")));
        daemon
    }

    /// What it prints to its end.
    fn out(&mut self) -> String {
        let mut out = String::new();
        let mut pipe = self.0.stdout.take().unwrap();
        pipe.read_to_string(&mut out).unwrap();
        out
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id().cast_signed()), signal).unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The subcommand, with all that it keeps in a folder.
fn serve_from(command: &mut Command, folder: &Path) {
    let path = |name: &str| folder.join(name);
    command.arg("--config").arg(path("tracklight.toml"));
    command.arg("serve").arg("--state").arg(path("state"));
    command.arg("--socket").arg(path("socket"));
}

fn is_answering(socket: &Path) -> bool {
    std::os::unix::net::UnixStream::connect(socket).is_ok()
        && ask(socket, "/readyz").starts_with("HTTP/1.1 200")
}

/// A folder with an empty configuration.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tracklight.toml"), "").unwrap();
    folder
}

/// What the socket answers to a GET, which is JSON.
fn get(socket: &Path, path: &str) -> serde_json::Value {
    json(&ask(socket, path))
}

fn json(answer: &str) -> serde_json::Value {
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error} in {answer}"))
}

/// What the socket answers to a POST of JSON.
fn post(socket: &Path, path: &str, body: &serde_json::Value) -> String {
    let body = body.to_string();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    exchange(socket, &head)
}

#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What the socket answers.
fn ask(socket: &Path, path: &str) -> String {
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    exchange(socket, &head)
}

fn exchange(socket: &Path, request: &str) -> String {
    let mut stream = std::os::unix::net::UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn the_first_start_prints_a_link_and_sigterm_ends_it_with_0_and_without_its_socket() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let folder = folder();
    let socket = folder.path().join("socket");
    for is_first in [true, false] {
        let mut daemon = Daemon::start(&namespace, folder.path());
        wait_until("the socket", || socket.exists());
        let answer = ask(&socket, "/api/v1/session");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        daemon.signal(Signal::SIGTERM);
        assert_eq!(daemon.0.wait().unwrap().code(), Some(0));
        assert!(!socket.exists());
        let out = daemon.out();
        assert_eq!(out.contains("/signin?code="), is_first, "{out}");
        let mut err = String::new();
        let mut pipe = daemon.0.stderr.take().unwrap();
        pipe.read_to_string(&mut err).unwrap();
        assert!(!err.contains("code="), "{err}");
    }
}

#[test]
fn where_it_cannot_listen_it_says_why() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().to_str().unwrap();
    let serve = |listen: &str| {
        let flags = [
            "serve", "--state", state, "--socket", "", "--listen", listen,
        ];
        tracklight(&namespace, &flags).exits(4).err
    };
    assert!(serve("0.0.0.0:8470").contains("[plain-http]"));
    // Sockets that this process makes are in its own namespace, so is the daemon's without one.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = taken.local_addr().unwrap();
    assert!(TcpStream::connect(address).is_ok());
    let program = std::process::Command::new(env!("CARGO_BIN_EXE_tracklight"))
        .args(["serve", "--state", state, "--socket", ""])
        .args(["--listen", &address.to_string()])
        .output()
        .unwrap();
    let err = String::from_utf8(program.stderr).unwrap();
    assert!(err.contains("[address-in-use]"), "{err}");
    assert!(err.contains(&address.to_string()), "{err}");
}
