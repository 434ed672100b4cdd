use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};

use ctnetlink::Filter;
use testkit::TestNamespace;

use crate::run::{Ran, client, command, tcp, udp};

/// Starts `watch` and waits until it is subscribed: it says so with `--verbose`.
fn watch(
    namespace: &TestNamespace,
    flags: &[&str],
) -> (Child, BufReader<std::process::ChildStderr>) {
    let flags = [&["watch", "--verbose"], flags].concat();
    let mut child = command(namespace, &flags)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut err = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    err.read_line(&mut line).unwrap();
    assert!(line.contains("buffer has"), "{line}");
    (child, err)
}

fn finish((child, mut err): (Child, BufReader<std::process::ChildStderr>)) -> Ran {
    let mut rest = String::new();
    err.read_to_string(&mut rest).unwrap();
    let mut ran = Ran::from(child.wait_with_output().unwrap());
    ran.err = rest;
    ran
}

#[test]
fn births_changes_and_deaths_are_printed_and_counted() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let child = watch(&namespace, &["-o", "ndjson", "--limit", "3"]);
    let client = client(&namespace);
    client
        .create(tcp("10.0.0.2", 40000, "192.0.2.1", 443))
        .unwrap();
    let ran = crate::run::tracklight(&namespace, &["update", "-p", "tcp", "--set-mark", "7"]);
    ran.exits(0);
    client.flush(&Filter::any()).unwrap();
    let ran = finish(child).exits(0);
    let events: Vec<serde_json::Value> = ran
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let kinds: Vec<_> = events
        .iter()
        .map(|event| event["event"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["new", "update", "destroy"]);
    assert_eq!(events[1]["entry"]["mark"], 7);
    assert!(ran.err.contains("3 events, none lost"), "{ran:?}");
}

#[test]
fn a_filter_selects_events_and_text_is_for_people() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let child = watch(&namespace, &["-p", "udp", "-e", "new", "-n", "1"]);
    let client = client(&namespace);
    client
        .create(tcp("10.0.0.2", 40000, "192.0.2.1", 443))
        .unwrap();
    client
        .create(udp("10.0.0.3", 40001, "192.0.2.1", 53))
        .unwrap();
    let out = finish(child).exits(0).out;
    assert_eq!(out.lines().count(), 1, "{out}");
    assert!(
        out.contains(" new ") && out.contains("10.0.0.3:40001 → 192.0.2.1:53"),
        "{out}"
    );
}

#[test]
fn an_interrupt_ends_it_with_a_count() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let (mut child, err) = watch(&namespace, &["-o", "conntrack"]);
    client(&namespace)
        .create(udp("10.0.0.3", 40001, "192.0.2.1", 53))
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert!(
        line.starts_with("    [NEW] udp      17 1800 src=10.0.0.3 dst=192.0.2.1"),
        "{line}"
    );
    let id = child.id().to_string();
    assert!(
        std::process::Command::new("kill")
            .args(["-INT", &id])
            .status()
            .unwrap()
            .success()
    );
    let ran = finish((child, err)).exits(0);
    assert!(ran.err.contains("1 events, none lost"), "{ran:?}");
}

#[test]
fn events_that_do_not_fit_are_counted_as_lost() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let (mut child, err) = watch(&namespace, &["--buffer", "0", "-e", "new", "-o", "ndjson"]);
    // Stopped, it reads nothing, and the smallest buffer is soon full.
    let id = child.id().to_string();
    let signal = |name: &str| {
        assert!(
            std::process::Command::new("kill")
                .args([name, &id])
                .status()
                .unwrap()
                .success()
        );
    };
    signal("-STOP");
    let client = client(&namespace);
    for port in 1..=500 {
        client
            .create(udp("10.0.0.1", port, "192.0.2.1", 53))
            .unwrap();
    }
    signal("-CONT");
    // The marker is printed once there is room again.
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        let mut seen = 0;
        for line in out.by_ref().lines().map(Result::unwrap) {
            seen += 1;
            if line.contains("\"192.0.2.99\"") {
                break;
            }
        }
        (seen, out)
    });
    let mut markers = 0;
    while !reader.is_finished() {
        markers += 1;
        assert!(markers < 60_000, "the marker never came through");
        client
            .create(udp("10.0.0.1", markers, "192.0.2.99", 53))
            .unwrap();
    }
    let (mut seen, out) = reader.join().unwrap();
    signal("-INT");
    seen += out.lines().count() as u64;
    let ran = finish((child, err)).exits(0);
    let tally = ran.err.lines().last().unwrap_or_default();
    let numbers: Vec<u64> = tally
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect();
    assert_eq!(numbers.first(), Some(&seen), "{ran:?}");
    assert_eq!(
        numbers.get(1),
        Some(&(500 + u64::from(markers) - seen)),
        "exactly: {ran:?}"
    );
    assert!(ran.err.contains("events were lost"), "{ran:?}");
}
