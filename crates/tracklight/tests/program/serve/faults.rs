//! What may go wrong around a running daemon.

use std::net::IpAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use ctnetlink::{Filter, NewEntry, Protocol, Status, Tuple};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use testkit::TestNamespace;
use testkit::fill::fill_with;

use super::{
    Daemon, ask, folder, get, is_answering, json as body_of, post, serve_from, wait_until,
};
use crate::run::{Ran, client, command};

fn codes(failures: &Value) -> Vec<&str> {
    let failures = failures.as_array().unwrap();
    failures
        .iter()
        .map(|failure| failure["code"].as_str().unwrap())
        .collect()
}

fn create(socket: &Path, port: u16) -> String {
    let connection = json!({
        "protocol": "udp", "src": "192.0.2.1", "sport": port, "dst": "192.0.2.2", "dport": 53,
        "timeout": 600,
    });
    post(socket, "/api/v1/connections", &connection)
}

/// Assured: the kernel gives none of them up.
fn entry(number: u32) -> NewEntry {
    let [_, a, b, c] = number.to_be_bytes();
    let src = IpAddr::from([10, a, b, c]);
    let dst = IpAddr::from([192, 0, 2, 9]);
    let mut entry = NewEntry::new(Tuple::ports(Protocol::UDP, src, 7, dst, 53), 600);
    entry.status = Status::SEEN_REPLY | Status::ASSURED;
    entry
}

#[test]
fn after_kill_9_it_starts_again_and_has_what_it_had_recorded() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let folder = folder();
    let socket = folder.path().join("socket");
    let mut daemon = Daemon::ready(command(&namespace, &[]), folder.path());
    assert!(create(&socket, 1).starts_with("HTTP/1.1 201"));
    let seconds = |socket: &Path| {
        let history = get(socket, "/api/v1/history?last=600&step=1");
        let points = history["points"].as_array().cloned().unwrap_or_default();
        let times = points
            .iter()
            .filter(|point| !point["connections"].is_null());
        times
            .filter_map(|point| point["time"].as_u64())
            .collect::<Vec<_>>()
    };
    wait_until("some recorded seconds", || seconds(&socket).len() >= 5);
    let before = seconds(&socket);
    daemon.0.kill().unwrap();
    daemon.0.wait().unwrap();
    assert!(socket.exists(), "it had no time to clear up");
    let _daemon = Daemon::ready(command(&namespace, &[]), folder.path());
    // What was in memory only may be lost, two seconds at most.
    wait_until("what was recorded", || {
        let now = seconds(&socket);
        before.iter().filter(|time| !now.contains(time)).count() <= 2
    });
    let audit = std::fs::read_to_string(folder.path().join("state/audit.log")).unwrap();
    assert!(audit.contains("create"), "{audit}");
}

#[test]
fn a_namespace_that_is_deleted_under_it_stays_as_long_as_it_looks() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let folder = folder();
    let socket = folder.path().join("socket");
    let mut program = Command::new(env!("CARGO_BIN_EXE_tracklight"));
    program.arg("--netns").arg(namespace.path());
    program.stdin(Stdio::null());
    // Its addresses would be this machine's.
    std::fs::write(
        folder.path().join("tracklight.toml"),
        "[server]\nlisten = []\n",
    )
    .unwrap();
    let mut daemon = Daemon::ready(program, folder.path());
    assert!(create(&socket, 1).starts_with("HTTP/1.1 201"));
    drop(namespace);
    assert!(create(&socket, 2).starts_with("HTTP/1.1 201"));
    daemon.signal(Signal::SIGHUP);
    wait_until("both", || {
        get(&socket, "/api/v1/connections?query=udp")["totals"]["connections"] == 2
    });
    let status = get(&socket, "/api/v1/status");
    assert_eq!(status["troubles"], json!([]));
    assert_eq!(status["truth"]["complete"], true);
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.0.wait().unwrap().code(), Some(0));
}

/// Refuses a process all that it asks of netlink, as the kernel would without the privilege.
struct Refusing(Child);

impl Refusing {
    fn of(process: u32) -> Self {
        // What HTTP is spoken by over a socket in the file system is not among them.
        let calls = "socket,sendto,recvmmsg";
        let mut strace = Command::new("strace");
        strace.args(["-f", "-o", "/dev/null", "-p", &process.to_string()]);
        strace.args(["-e", &format!("trace={calls}")]);
        strace.args(["-e", &format!("inject={calls}:error=EPERM")]);
        Self(strace.stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Refusing {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

#[test]
fn netlink_that_is_refused_at_start_ends_it_with_a_word_and_the_next_start_is_the_first() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let folder = folder();
    let socket = folder.path().join("socket");
    let mut refused = namespace.command("setpriv");
    refused.args(["--bounding-set=-net_admin", "--inh-caps=-net_admin"]);
    refused.arg(env!("CARGO_BIN_EXE_tracklight"));
    serve_from(&mut refused, folder.path());
    let refused = Ran::from(refused.stdin(Stdio::null()).output().unwrap()).exits(3);
    assert!(refused.err.contains("[permission-denied]"), "{refused:?}");
    assert!(refused.err.contains("CAP_NET_ADMIN"), "{refused:?}");
    assert!(!refused.out.contains("code="), "{refused:?}");
    assert!(!socket.exists());

    let mut daemon = Daemon::start(&namespace, folder.path());
    wait_until("an answer", || is_answering(&socket));
    daemon.signal(Signal::SIGTERM);
    let out = daemon.out();
    assert!(out.contains("/signin?code="), "{out}");
}

#[test]
fn netlink_that_is_refused_later_is_told_and_made_good_when_it_is_allowed_again() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let folder = folder();
    let socket = folder.path().join("socket");
    let config = "[live]\nlongest-seconds = 1\n";
    std::fs::write(folder.path().join("tracklight.toml"), config).unwrap();
    let program = command(&namespace, &["--source", "netlink"]);
    let daemon = Daemon::ready(program, folder.path());
    let status = || get(&socket, "/api/v1/status");
    wait_until("a whole table", || status()["truth"]["complete"] == true);

    let refusing = Refusing::of(daemon.0.id());
    wait_until("a word of it", || !codes(&status()["troubles"]).is_empty());
    let troubles = status()["troubles"].clone();
    assert_eq!(codes(&troubles)[0], "permission-denied", "{troubles}");
    assert_eq!(status()["truth"]["complete"], false);
    let answer = create(&socket, 7);
    assert_eq!(body_of(&answer)["code"], "permission-denied", "{answer}");
    assert!(ask(&socket, "/healthz").starts_with("HTTP/1.1 200"));
    // Somebody else, of whom the daemon hears nothing.
    client(&namespace).create(entry(7)).unwrap();

    drop(refusing);
    wait_until("all is well again", || {
        let status = status();
        status["troubles"] == json!([]) && status["truth"]["complete"] == true
    });
    let found = get(&socket, "/api/v1/connections?query=src==10.0.0.7");
    assert_eq!(found["totals"]["connections"], 1, "{found}");
}

#[test]
fn a_full_table_refuses_what_is_new_and_the_daemon_tells_so() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let folder = folder();
    let socket = folder.path().join("socket");
    let _daemon = Daemon::ready(command(&namespace, &[]), folder.path());
    let limit = get(&socket, "/api/v1/summary")["limit"].as_u64().unwrap();
    let limit = u32::try_from(limit).unwrap();
    let client = client(&namespace);
    fill_with(&client, (0..limit).map(entry)).unwrap();
    let answer = create(&socket, 9);
    assert!(answer.starts_with("HTTP/1.1 409"), "{answer}");
    assert_eq!(body_of(&answer)["code"], "table-full", "{answer}");
    wait_until("it knows all", || {
        get(&socket, "/api/v1/summary")["connections"] == limit
    });
    // It looks every half a minute.
    wait_until("the finding", || {
        codes(&get(&socket, "/api/v1/health")["findings"]).contains(&"table-fill")
    });
    // So that the namespace goes at once.
    client.flush(&Filter::any()).unwrap();
}
