//! `tracklight top --connect`: over the socket, HTTP and HTTPS.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{TRACKLIGHT, bash};
use crate::run::Ran;
use crate::terminal::has;

/// A daemon over the demo's traffic.
struct Daemon {
    child: Child,
    /// Where it listens.
    url: String,
}

impl Daemon {
    fn start(folder: &Path) -> Self {
        let path = |name: &str| folder.join(name).display().to_string();
        let mut child = Command::new(TRACKLIGHT)
            .args(["--config", &path("tracklight.toml"), "demo", "serve"])
            .args(["--state", &path("state"), "--socket", &path("socket")])
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = lines.find_map(|line| {
            let line = line.unwrap();
            line.strip_prefix("Tracklight listens on ")
                .map(str::to_owned)
        });
        let url = url.expect("it says where it listens");
        // Whoever prints more must be read.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url }
    }

    fn end(&mut self) {
        let _ = kill(
            Pid::from_raw(self.child.id().cast_signed()),
            Signal::SIGTERM,
        );
        let _ = self.child.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.end();
    }
}

fn top(arguments: &[&str]) -> Ran {
    let mut command = Command::new(TRACKLIGHT);
    command.args(["top", "-b", "1", "-n", "3"]).args(arguments);
    command
        .env("HOME", "/nowhere")
        .env_remove("TRACKLIGHT_TOKEN");
    command.output().unwrap().into()
}

/// Makes a token and gives the file that it is in.
fn token(folder: &Path) -> String {
    let state = folder.join("state").display().to_string();
    let config = folder.join("tracklight.toml").display().to_string();
    let mut add = Command::new(TRACKLIGHT);
    add.args([
        "--config", &config, "token", "add", "top", "--state", &state,
    ]);
    let made: Ran = add.output().unwrap().into();
    let made = made.exits(0);
    let words = made
        .out
        .split_whitespace()
        .chain(made.err.split_whitespace());
    let token = words
        .into_iter()
        .find(|word| word.starts_with("tl_"))
        .unwrap();
    let file = folder.join("token");
    std::fs::write(&file, format!("{token}\n")).unwrap();
    file.display().to_string()
}

#[test]
fn top_asks_a_daemon_over_its_socket_and_over_http_with_a_token() {
    let Some(_) = testkit::TestNamespace::new() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tracklight.toml"), "").unwrap();
    let mut daemon = Daemon::start(folder.path());
    let socket = folder.path().join("socket").display().to_string();
    let out = top(&["--connect", &socket]).exits(0).out;
    assert!(out.contains(" connections of "), "{out}");

    let url = daemon.url.clone();
    let refused = top(&["--connect", &url]).exits(3);
    assert!(refused.err.contains("[not-signed-in]"), "{}", refused.err);
    let token = token(folder.path());
    let out = top(&["--connect", &url, "--token-file", &token])
        .exits(0)
        .out;
    assert!(out.contains(" connections of "), "{out}");
    // Nobody is there.
    let gone = top(&["--connect", "http://127.0.0.1:1"]).exits(4);
    assert!(gone.err.contains("[no-answer]"), "{}", gone.err);

    let terminal = bash(100, 24);
    terminal.shell(&format!("{TRACKLIGHT} top --connect {url}"));
    terminal.until("what is missing", has("You are signed out"));
    terminal.keys(&["q"]);
    terminal.until("the shell", has("ended: 0"));
    terminal.shell_line("clear");
    terminal.shell(&format!(
        "{TRACKLIGHT} top --connect {url} --token-file {token}"
    ));
    terminal.until("connections", |screen| {
        screen.contains(" connections of ") && screen.contains("tcp")
    });
    daemon.end();
    terminal.until("that it is gone", has("no answer"));
    terminal.keys(&["q"]);
    terminal.until("the shell", has("ended: 0"));
}

#[test]
fn top_speaks_tls_with_a_daemon_whose_certificate_it_trusts() {
    let Some(_) = testkit::TestNamespace::new() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(path("certificate.pem"), made.cert.pem()).unwrap();
    std::fs::write(path("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let config = format!(
        "[server]\ntls-certificate = {:?}\ntls-key = {:?}\n",
        path("certificate.pem"),
        path("key.pem")
    );
    std::fs::write(path("tracklight.toml"), config).unwrap();
    let daemon = Daemon::start(folder.path());
    assert!(daemon.url.starts_with("https://"), "{}", daemon.url);
    let token = token(folder.path());
    let asked = ["--connect", &daemon.url, "--token-file", &token];
    let refused = top(&asked).exits(4);
    assert!(refused.err.contains("--ca FILE"), "{}", refused.err);
    let ca = path("certificate.pem");
    let trusted = [&asked[..], &["--ca", &ca]].concat();
    let out = top(&trusted).exits(0).out;
    assert!(out.contains(" connections of "), "{out}");
}

#[test]
fn every_column_sorts_as_its_heading_says() {
    let Some(_) = testkit::TestNamespace::new() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tracklight.toml"), "").unwrap();
    let _daemon = Daemon::start(folder.path());
    let socket = folder.path().join("socket").display().to_string();
    let sorts = tui::column::COLUMNS.iter().map(|column| column.sort);
    for sort in sorts.filter(|sort| !sort.is_empty()) {
        let ran = top(&[
            "--connect",
            &socket,
            "--sort",
            sort,
            "--columns",
            "proto,source",
        ]);
        let out = ran.exits(0).out;
        assert!(out.contains("Source"), "{sort}: {out}");
    }
    let none = top(&["--connect", &socket, "--sort", "colour"]);
    assert_ne!(none.status, 0, "{}", none.out);
}
