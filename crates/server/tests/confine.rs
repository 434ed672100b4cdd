//! What is left of a process's rights. Each test looks at a process of its own, since rights are
//! never given back, and since only a process with one thread may give them up: this program once
//! more, running a part of it. That is why the usual harness, which makes threads, is not used.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use ctnetlink::{Client, Namespace};
use server::confine::{Landlock, Paths, drop_capabilities, landlock};
use server::notify;
use testkit::TestNamespace;

/// A test or a part of one, by its name.
type Named = (&'static str, fn());

const TESTS: [Named; 5] = [
    (
        "only_what_the_daemon_needs_is_left_of_its_capabilities",
        only_what_the_daemon_needs_is_left_of_its_capabilities,
    ),
    (
        "other_namespaces_can_be_entered_where_that_was_asked_for",
        other_namespaces_can_be_entered_where_that_was_asked_for,
    ),
    (
        "files_are_left_as_far_as_the_daemon_needs_them",
        files_are_left_as_far_as_the_daemon_needs_them,
    ),
    (
        "nothing_is_given_up_half_while_other_threads_run",
        nothing_is_given_up_half_while_other_threads_run,
    ),
    (
        "the_service_manager_is_told_what_the_daemon_does",
        the_service_manager_is_told_what_the_daemon_does,
    ),
];

const PARTS: [Named; 4] = [
    ("part_drops", part_drops),
    ("part_drops_but_admin", part_drops_but_admin),
    ("part_locks", part_locks),
    ("part_tells", part_tells),
];

/// Lists or runs tests by the flags of the usual harness that runners give.
fn main() {
    if let Ok(part) = std::env::var(PART) {
        let mut parts = PARTS.iter();
        let (_, run) = parts.find(|(name, _)| *name == part).expect("a part");
        return run();
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let mut words = arguments.iter().filter(|word| !word.starts_with('-'));
    let wanted = words.find(|word| *word != "terse");
    for (name, run) in TESTS {
        if has("--list") && !has("--ignored") {
            println!("{name}: test");
        } else if !has("--list") && wanted.is_none_or(|wanted| name.contains(wanted.as_str())) {
            run();
            println!("test {name} ... ok");
        }
    }
}

/// Names the part that is run alone.
const PART: &str = "TRACKLIGHT_TEST_PART";

/// Names the folder in which the part that is run alone may write.
const FOLDER: &str = "TRACKLIGHT_TEST_FOLDER";

/// Bits of the capabilities that are kept (linux/capability.h).
const KEPT: u64 = 1 << 12 | 1 << 34 | 1 << 38 | 1 << 39;
const SYS_ADMIN: u64 = 1 << 21;

/// This program, to run one part of it, on its only thread.
fn alone(mut command: Command, part: &str, folder: &Path) -> Command {
    command
        .env(PART, part)
        .env(FOLDER, folder)
        .stdin(Stdio::null());
    command
}

/// Runs a part in a namespace of its own as root, and gives what it printed.
fn run(part: &str) -> Option<String> {
    let namespace = TestNamespace::new()?;
    let folder = tempfile::tempdir().unwrap();
    let program = std::env::current_exe().unwrap();
    let program = namespace.command(program.to_str().unwrap());
    let output = alone(program, part, folder.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{err}");
    Some(text)
}

/// The folder of the part that is run alone.
fn folder() -> PathBuf {
    std::env::var_os(FOLDER).map(PathBuf::from).expect("named")
}

fn print_status() {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    println!("\n{status}");
}

fn rights(text: &str) -> BTreeMap<&str, u64> {
    let lines = text.lines().filter_map(|line| line.split_once(":\t"));
    lines
        .filter(|(name, _)| name.starts_with("Cap") || *name == "NoNewPrivs")
        .map(|(name, bits)| (name, u64::from_str_radix(bits, 16).unwrap()))
        .collect()
}

fn only_what_the_daemon_needs_is_left_of_its_capabilities() {
    let Some(text) = run("part_drops") else {
        return;
    };
    let rights = rights(&text);
    for (set, bits) in [
        ("CapInh", 0),
        ("CapPrm", KEPT),
        ("CapEff", KEPT),
        ("CapBnd", KEPT),
        ("CapAmb", 0),
        ("NoNewPrivs", 1),
    ] {
        assert_eq!(rights[set], bits, "{set}: {text}");
    }
}

fn part_drops() {
    let names = drop_capabilities(false).unwrap();
    assert_eq!(
        names,
        ["CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON", "CAP_SYSLOG"]
    );
    // The table is as readable as before, on threads that are made now as well.
    let thread = std::thread::spawn(|| Client::open().unwrap().global_stats().map(drop));
    thread.join().unwrap().unwrap();
    print_status();
}

fn other_namespaces_can_be_entered_where_that_was_asked_for() {
    let Some(text) = run("part_drops_but_admin") else {
        return;
    };
    assert_eq!(rights(&text)["CapEff"], KEPT | SYS_ADMIN, "{text}");
}

fn part_drops_but_admin() {
    let other = Namespace::scratch().unwrap();
    drop_capabilities(true).unwrap();
    Client::open_in(&other).unwrap();
    print_status();
}

fn files_are_left_as_far_as_the_daemon_needs_them() {
    let Some(text) = run("part_locks") else {
        return;
    };
    assert!(text.contains("confined as it should be"), "{text}");
}

fn part_locks() {
    let folder = folder();
    let [state, elsewhere, tls] = ["state", "elsewhere", "tls"].map(|name| folder.join(name));
    for folder in [&state, &elsewhere, &tls] {
        fs::create_dir(folder).unwrap();
    }
    let (secret, key) = (elsewhere.join("secret"), tls.join("key.pem"));
    fs::write(&secret, "s").unwrap();
    fs::write(&key, "k").unwrap();
    let other = Namespace::scratch().unwrap();

    let paths = Paths {
        read: vec![key.clone()],
        write: vec![state.clone()],
    };
    let how = landlock(&paths).unwrap();
    if how == Landlock::Absent {
        testkit::skip(&how.to_string());
        println!("\nconfined as it should be: {how}");
        return;
    }
    fs::write(state.join("new"), "n").unwrap();
    fs::rename(state.join("new"), state.join("renamed")).unwrap();
    fs::remove_file(state.join("renamed")).unwrap();
    fs::read(&key).unwrap();
    for read in [
        "/etc/passwd",
        "/proc/self/status",
        "/proc/sys/net/core/somaxconn",
        "/etc/resolv.conf",
    ] {
        if Path::new(read).exists() {
            fs::read(read).unwrap_or_else(|error| panic!("{read}: {error}"));
        }
    }
    let types = Path::new("/sys/kernel/btf/vmlinux");
    if types.exists() {
        fs::File::open(types).unwrap();
    }
    let denied = |result: std::io::Result<()>, what: &str| {
        let kind = result.expect_err(what).kind();
        assert_eq!(kind, std::io::ErrorKind::PermissionDenied, "{what}");
    };
    denied(fs::read(&secret).map(drop), "reading");
    denied(fs::write(elsewhere.join("new"), "n"), "making");
    denied(fs::write(&key, "x"), "overwriting");
    denied(Command::new("/bin/true").status().map(drop), "executing");

    // Sockets, the table and namespaces that are open or the daemon's own go on as before.
    TcpListener::bind("127.0.0.1:0").unwrap();
    Client::open().unwrap().global_stats().unwrap();
    Client::open_in(&other).unwrap().global_stats().unwrap();
    Namespace::by_path(Path::new("/proc/self/ns/net")).unwrap();
    let thread = std::thread::spawn(move || fs::read(secret).is_err());
    assert!(thread.join().unwrap(), "other threads are confined too");
    println!("\nconfined as it should be");
}

fn nothing_is_given_up_half_while_other_threads_run() {
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let other = std::thread::spawn(move || ended.recv());
    let failure = drop_capabilities(false).unwrap_err();
    assert_eq!(failure.code, "confine-failed");
    assert!(failure.message.contains("threads"), "{failure}");
    drop(end);
    assert!(other.join().unwrap().is_err());
}

fn the_service_manager_is_told_what_the_daemon_does() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    let patience = Some(Duration::from_secs(30));
    manager.set_read_timeout(patience).unwrap();
    // The shell's number becomes the program's, which takes its place.
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "WATCHDOG_PID=$$ exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .env("NOTIFY_SOCKET", &socket)
        .env("WATCHDOG_USEC", "20000000");
    let output = alone(shell, "part_tells", folder.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let told = || {
        let mut buffer = [0; 4096];
        let length = manager.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    assert_eq!(told(), "READY=1\nSTATUS=17 connections\n");
    assert_eq!(told(), "WATCHDOG=1\n");
    let reloading = told();
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert_eq!(told(), "STATUS=reading\n");
    assert_eq!(told(), "STOPPING=1\n");
}

fn part_tells() {
    notify::ready("17 connections");
    assert_eq!(notify::interval(), Some(Duration::from_secs(10)));
    notify::alive();
    notify::reloading();
    notify::status("reading");
    notify::stopping();
}
