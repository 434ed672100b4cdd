use std::io::Read;
use std::process::{Command, Stdio};

use testkit::TestNamespace;

use crate::run::{Ran, client, command, tracklight, udp};

#[test]
fn a_wrong_flag_is_a_usage_error_that_says_what_was_expected() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let cases: &[(&[&str], &str)] = &[
        (&["list", "--proto", "tpc"], "did you mean tcp?"),
        (
            &["list", "--src", "10.0.0.300"],
            "is not an address or a network",
        ),
        (&["list", "--dport", "70000"], "ports go up to 65535"),
        (&["list", "--dport", "900-800"], "did you mean 800-900"),
        (&["list", "--state", "OPENED"], "is not a state"),
        (
            &["list", "--status", "SURE"],
            "expected UNREPLIED or EXPECTED",
        ),
        (&["list", "--mark", "0x11/0xf"], "bits outside the mask"),
        (&["list", "--sort", "size"], "expected one of"),
        (&["list", "-o", "xml"], "expected table, json"),
        (
            &["list", "-o", "json", "--columns", "id"],
            "goes with table and csv",
        ),
        (&["lst"], "list"),
        (
            &["get", "-p", "tcp", "-s", "10.0.0.1", "-d", "10.0.0.2"],
            "needs --sport and --dport",
        ),
        (
            &["get", "-p", "50", "-s", "10.0.0.1", "-d", "::1"],
            "different families",
        ),
        (&["update", "-p", "tcp"], "nothing to change"),
        (
            &["update", "-p", "tcp", "--set-status", "!ASSURED"],
            "be cleared",
        ),
        (
            &[
                "create", "-p", "tcp", "-s", "10.0.0.1", "-d", "10.0.0.2", "--sport", "1",
                "--dport", "2", "-t", "1", "--state", "OPEN",
            ],
            "tcp has no state OPEN",
        ),
    ];
    for (flags, expected) in cases {
        let ran = tracklight(&namespace, flags).exits(2);
        assert!(ran.err.contains(expected), "{flags:?}: {ran:?}");
        assert!(
            ran.err.contains("[usage]") && ran.err.contains("hint:"),
            "{flags:?}: {ran:?}"
        );
        assert!(ran.out.is_empty());
    }
}

#[test]
fn an_unknown_namespace_is_named() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    for name in [
        "no-such-namespace",
        "/no/such/file",
        "4294967295",
        "..",
        "/etc/passwd",
    ] {
        let ran = tracklight(&namespace, &["list", "--netns", name]).exits(2);
        assert!(
            ran.err.contains("[no-namespace]") && ran.err.contains("hint:"),
            "{name}: {ran:?}"
        );
    }
}

#[test]
fn another_namespace_is_read_by_path_and_by_process() {
    let Some(here) = TestNamespace::new() else {
        return;
    };
    let Some(there) = TestNamespace::new() else {
        return;
    };
    client(&there)
        .create(udp("10.0.0.1", 1, "10.0.0.2", 2))
        .unwrap();
    let path = there.path();
    let ran = tracklight(&here, &["count", "--netns", path.to_str().unwrap()]);
    assert_eq!(ran.exits(0).out, "1\n");
    let mut sleeper = there.command("sleep").arg("60").spawn().unwrap();
    let ran = tracklight(&here, &["count", "--netns", &sleeper.id().to_string()]);
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    assert_eq!(ran.exits(0).out, "1\n");
}

#[test]
fn without_privilege_it_says_so_and_how_to_get_it() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("tracklight");
    std::fs::copy(env!("CARGO_BIN_EXE_tracklight"), &program).unwrap();
    Command::new("chmod")
        .args(["-R", "a+rX"])
        .arg(folder.path())
        .status()
        .unwrap();
    for verb in [
        &["list"][..],
        &["count"],
        &["flush"],
        &["watch"],
        &["delete", "--all"],
    ] {
        let output = namespace
            .command("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(&program)
            .args(verb)
            .output()
            .unwrap();
        let ran = Ran::from(output).exits(3);
        assert!(ran.err.contains("[permission-denied]") && ran.err.contains("CAP_NET_ADMIN"));
        assert!(ran.out.is_empty(), "{ran:?}");
    }
}

#[test]
fn a_helper_that_does_not_exist_is_refused() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let flags = [
        "create", "-p", "tcp", "-s", "10.0.0.1", "-d", "10.0.0.2", "--sport", "1", "--dport", "2",
        "-t", "60", "--helper", "no-such",
    ];
    let ran = tracklight(&namespace, &flags).exits(4);
    assert!(
        ran.err.contains("[unsupported]") && ran.err.contains("must be loaded"),
        "{ran:?}"
    );
    tracklight(&namespace, &["count"]).exits(1);
}

#[test]
fn a_tuple_that_another_entry_has_is_refused() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let mut first = udp("10.0.0.1", 1, "192.0.2.1", 53);
    first.reply.dst = "203.0.113.5".parse().unwrap();
    client(&namespace).create(first).unwrap();
    // Another opener, the same reply.
    let flags = [
        "create",
        "-p",
        "udp",
        "-s",
        "10.0.0.2",
        "-d",
        "192.0.2.1",
        "--sport",
        "1",
        "--dport",
        "53",
        "-t",
        "60",
        "--reply-dst",
        "203.0.113.5",
    ];
    let ran = tracklight(&namespace, &flags).exits(1);
    assert!(ran.err.contains("[exists]"), "{ran:?}");
    assert_eq!(tracklight(&namespace, &["count"]).out, "1\n");
}

#[test]
fn a_closed_pipe_is_success() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let client = client(&namespace);
    for port in 0..5000 {
        client
            .create(udp("10.0.0.1", port, "192.0.2.1", 53))
            .unwrap();
    }
    for format in ["table", "json", "csv", "conntrack"] {
        let mut child = command(&namespace, &["list", "-o", format])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = child.stdout.take().unwrap();
        out.read_exact(&mut [0; 10]).unwrap();
        drop(out);
        let ran = Ran::from(child.wait_with_output().unwrap()).exits(0);
        assert!(ran.err.is_empty(), "{format}: {ran:?}");
    }
}

#[test]
fn a_full_device_is_an_error() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    client(&namespace)
        .create(udp("10.0.0.1", 1, "192.0.2.1", 53))
        .unwrap();
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let output = command(&namespace, &["list"])
        .stdout(full)
        .output()
        .unwrap();
    let ran = Ran::from(output).exits(4);
    assert!(ran.err.contains("[output-failed]"), "{ran:?}");
}
