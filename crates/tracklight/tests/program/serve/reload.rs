//! SIGHUP.

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::ChildStderr;

use nix::sys::signal::Signal;
use testkit::{Namespace, TestNamespace};

use super::{Daemon, PATIENCE, ask, folder, get, is_answering, wait_until};

/// What a daemon writes to its log.
struct Log(Lines<BufReader<ChildStderr>>);

impl Log {
    fn of(daemon: &mut Daemon) -> Self {
        Self(BufReader::new(daemon.0.stderr.take().unwrap()).lines())
    }

    /// Reads on until a line with these words.
    #[track_caller]
    fn says(&mut self, words: &str) -> String {
        let mut lines = Vec::new();
        for line in self.0.by_ref().map_while(Result::ok) {
            if line.contains(words) {
                return line;
            }
            lines.push(line);
        }
        panic!("{words} was not said: {lines:#?}");
    }
}

#[test]
fn what_needs_a_new_start_is_said_each_time_and_shown_as_it_is_in_force() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let folder = folder();
    let file = folder.path().join("tracklight.toml");
    let socket = folder.path().join("socket");
    let mut daemon = Daemon::start(&namespace, folder.path());
    let mut log = Log::of(&mut daemon);
    wait_until("an answer", || is_answering(&socket));
    let text = "[server]\nlisten = ['127.0.0.1:1234']\nnames = ['gateway.example.org']\n";
    std::fs::write(&file, text).unwrap();
    for _ in 0..2 {
        daemon.signal(Signal::SIGHUP);
        log.says("server.listen has changed");
        log.says("was read anew");
        let shown = get(&socket, "/api/v1/configuration");
        assert_eq!(shown["server"]["listen"][0], "127.0.0.1:8470", "{shown}");
        assert_eq!(shown["server"]["names"][0], "gateway.example.org");
    }
}

#[test]
fn a_wrong_file_changes_nothing() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let folder = folder();
    let file = folder.path().join("tracklight.toml");
    let socket = folder.path().join("socket");
    let mut daemon = Daemon::start(&namespace, folder.path());
    let mut log = Log::of(&mut daemon);
    wait_until("an answer", || is_answering(&socket));
    std::fs::write(&file, "[server]\nlisen = []\n").unwrap();
    daemon.signal(Signal::SIGHUP);
    log.says("`lisen`");
    assert!(ask(&socket, "/api/v1/session").starts_with("HTTP/1.1 200"));
    daemon.signal(Signal::SIGTERM);
    log.says("it ends");
}

/// The certificate that is shown to whoever connects in the namespace, in PEM.
fn shown_certificate(namespace: &Namespace) -> Option<String> {
    let mut python = namespace.command("python3");
    python.arg("-c").arg(format!(
        "import ssl, socket; socket.setdefaulttimeout({}); \
         print(ssl.get_server_certificate(('127.0.0.1', 8470)))",
        PATIENCE.as_secs()
    ));
    let output = python.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    output.status.success().then(|| text.trim().to_owned())
}

/// A new certificate and its key, in the files of the configuration.
fn write_certificate(folder: &Path) -> String {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(folder.join("certificate.pem"), made.cert.pem()).unwrap();
    // As python writes it: with other ends of lines.
    let lines = made.cert.pem();
    lines.lines().collect::<Vec<_>>().join("\n")
}

#[test]
fn renewed_certificates_are_shown_after_a_reload_and_damaged_ones_never() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    let first = write_certificate(folder.path());
    let text = format!(
        "[server]\ntls-certificate = '{}'\ntls-key = '{}'\n",
        path("certificate.pem").display(),
        path("key.pem").display(),
    );
    std::fs::write(path("tracklight.toml"), &text).unwrap();
    let mut daemon = Daemon::start(&namespace, folder.path());
    let mut log = Log::of(&mut daemon);
    wait_until("an answer", || is_answering(&path("socket")));
    assert_eq!(shown_certificate(&namespace).as_deref(), Some(&*first));
    let second = write_certificate(folder.path());
    assert_eq!(shown_certificate(&namespace).as_deref(), Some(&*first));
    daemon.signal(Signal::SIGHUP);
    log.says("was read anew");
    assert_eq!(shown_certificate(&namespace).as_deref(), Some(&*second));
    // All or nothing: the names that come with it are not taken either.
    std::fs::write(path("certificate.pem"), "no certificate").unwrap();
    std::fs::write(path("tracklight.toml"), format!("{text}names = ['new']\n")).unwrap();
    daemon.signal(Signal::SIGHUP);
    log.says("[tls-unusable]");
    let shown = get(&path("socket"), "/api/v1/configuration");
    assert_eq!(shown["server"]["names"], serde_json::json!([]));
    // It may read no other folders than those of its start.
    let elsewhere = tempfile::tempdir().unwrap();
    write_certificate(elsewhere.path());
    let old = folder.path().display().to_string();
    let text = text.replace(&old, &elsewhere.path().display().to_string());
    std::fs::write(path("tracklight.toml"), text).unwrap();
    daemon.signal(Signal::SIGHUP);
    let line = log.says("[tls-unusable]");
    assert!(line.contains("needs a new start"), "{line}");
    assert_eq!(shown_certificate(&namespace).as_deref(), Some(&*second));
}
