//! The daemon and its service manager.

use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;

use ctnetlink::{Key, NewEntry, Protocol, Tuple};
use nix::sys::signal::Signal;
use serde_json::json;
use testkit::TestNamespace;

use super::{Daemon, PATIENCE, folder, get, json as body_of, post, serve_from, wait_until};
use crate::run::{client, command};

#[test]
fn the_service_manager_is_told_when_it_is_ready_alive_reloading_and_ending() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let folder = folder();
    let path = folder.path().join("manager");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = namespace.command("sh");
    let script = r#"WATCHDOG_USEC=200000 WATCHDOG_PID=$$ exec "$0" "$@""#;
    command.args(["-c", script, env!("CARGO_BIN_EXE_tracklight")]);
    command.env("NOTIFY_SOCKET", &path).stdin(Stdio::null());
    let mut daemon = Daemon::ready(command, folder.path());
    let told = |word: &str| {
        loop {
            let mut bytes = [0; 4096];
            let length = manager.recv(&mut bytes).expect(word);
            let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
            if text.lines().any(|line| line == word) {
                return text;
            }
        }
    };
    told("READY=1");
    told("WATCHDOG=1");
    daemon.signal(Signal::SIGHUP);
    let reloading = told("RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    told("READY=1");
    daemon.signal(Signal::SIGTERM);
    told("STOPPING=1");
    assert_eq!(daemon.0.wait().unwrap().code(), Some(0));
}

#[test]
fn sockets_that_are_handed_over_are_listened_on_and_none_of_its_own() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let folder = folder();
    let listener = namespace.run(|| TcpListener::bind("127.0.0.1:0").unwrap());
    let listener = listener.unwrap();
    let address = listener.local_addr().unwrap();
    let mut command = namespace.command("sh");
    // As systemd does it: from the third on, for this process.
    let script = r#"exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@""#;
    command.args(["-c", script, env!("CARGO_BIN_EXE_tracklight")]);
    serve_from(&mut command, folder.path());
    command.stdin(std::os::fd::OwnedFd::from(listener));
    let _daemon = Daemon(command.spawn().unwrap());
    wait_until("an answer", || {
        let curl = namespace
            .command("curl")
            .args(["-s", &format!("http://{address}/healthz")])
            .output();
        curl.unwrap().stdout == b"ok\n"
    });
    assert!(!folder.path().join("socket").exists());
}

#[test]
fn it_keeps_the_few_privileges_that_it_needs() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let folder = folder();
    let daemon = Daemon::ready(command(&namespace, &[]), folder.path());
    let threads = format!("/proc/{}/task", daemon.0.id());
    let mut count = 0;
    for thread in std::fs::read_dir(threads).unwrap() {
        // One that ends meanwhile has none.
        let Ok(status) = std::fs::read_to_string(thread.unwrap().path().join("status")) else {
            continue;
        };
        let value = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.strip_prefix(':')).unwrap().trim()
        };
        let bits = |name: &str| u64::from_str_radix(value(name), 16).unwrap();
        // NET_ADMIN, BPF, PERFMON, SYSLOG; SYS_ADMIN only where the types of a module need it.
        let is_module = std::path::Path::new("/sys/kernel/btf/nf_conntrack").exists();
        let admin = if is_module { 1 << 21 } else { 0 };
        let few = 1 << 12 | 1 << 39 | 1 << 38 | 1 << 34 | admin;
        for set in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
            assert_eq!(bits(set) & !few, 0, "{set}: {status}");
        }
        assert_ne!(bits("CapEff") & 1 << 12, 0, "{status}");
        assert_eq!(value("NoNewPrivs"), "1");
        count += 1;
    }
    assert!(count > 3, "{count} threads");
}

#[test]
fn what_was_deleted_can_be_put_back_by_a_daemon_that_may_write_to_its_own_folders_only() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let folder = folder();
    let socket = folder.path().join("socket");
    let _daemon = Daemon::ready(command(&namespace, &[]), folder.path());
    for port in [1, 2] {
        let connection = json!({
            "protocol": "udp", "src": "192.0.2.1", "sport": port, "dst": "192.0.2.2", "dport": 53,
            "timeout": 600,
        });
        let made = post(&socket, "/api/v1/connections", &connection);
        assert!(made.starts_with("HTTP/1.1 201"), "{made}");
    }
    wait_until("both", || {
        get(&socket, "/api/v1/connections?query=udp")["totals"]["connections"] == 2
    });
    let ask =
        |path: &str, body| body_of(&post(&socket, &format!("/api/v1/deletions{path}"), &body));
    let shown = ask("", json!({"query": "udp"}));
    assert_eq!(
        (&shown["matched"], &shown["undoable"]),
        (&json!(2), &json!(true))
    );
    let id = shown["id"].as_str().unwrap();
    // One ends by itself before the rest is deleted, and does not come back.
    let ended = NewEntry::new(
        Tuple::ports(
            Protocol::UDP,
            [192, 0, 2, 1].into(),
            1,
            [192, 0, 2, 2].into(),
            53,
        ),
        600,
    );
    client(&namespace)
        .delete(Key::original(ended.orig))
        .unwrap();
    let done = ask(&format!("/{id}/confirm"), json!({}));
    assert_eq!(done["state"], "confirmed", "{done}");
    let undone = ask(&format!("/{id}/undo"), json!({}));
    assert_eq!(undone["undone"]["created"], 1, "{undone}");
    assert_eq!(namespace.conntrack_count().unwrap(), 1);
}
