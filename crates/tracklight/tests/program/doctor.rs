//! `tracklight doctor`: what it finds, what it says of it, and that its commands are right.

use std::process::Command;

use serde_json::Value;
use testkit::{Namespace, TestNamespace};

use crate::run::{Ran, client, tracklight, udp};

const TRACKLIGHT: &str = env!("CARGO_BIN_EXE_tracklight");

fn doctor(namespace: &Namespace, flags: &[&str]) -> Ran {
    tracklight(namespace, &[&["doctor"], flags].concat())
}

fn finding<'a>(report: &'a Value, code: &str) -> Option<&'a Value> {
    let findings = report["findings"].as_array().unwrap();
    findings.iter().find(|finding| finding["code"] == code)
}

/// The commands that it prints: lines that are indented further than text is.
fn commands(text: &str) -> Vec<&str> {
    let lines = text.lines().filter(|line| line.starts_with("      "));
    lines.map(str::trim).collect()
}

#[test]
fn a_healthy_table_ends_well_and_a_warning_does_not() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    client(&namespace)
        .create(udp("10.0.0.7", 1, "192.0.2.1", 53))
        .unwrap();
    let report = doctor(&namespace, &["-o", "json"]).exits(0).json();
    assert_eq!(report["usage"]["entries"], 1);
    assert_eq!(report["table"]["evictable"], 1);
    assert_eq!(report["table"]["sources"][0]["address"], "10.0.0.7");
    assert!(report["over_seconds"].as_f64() >= Some(1.0));
    assert_eq!(report["unseen"], Value::Array(Vec::new()));
    let once = doctor(&namespace, &["-o", "json", "--seconds", "0"]).exits(0);
    assert_eq!(once.json()["over_seconds"], Value::Null);

    namespace
        .sysctl("net/netfilter/nf_conntrack_events", "0")
        .unwrap();
    let report = doctor(&namespace, &["-o", "json", "--seconds", "0"])
        .exits(1)
        .json();
    assert_eq!(report["findings"][0]["code"], "events-off");
    assert_eq!(report["findings"][0]["severity"], "warning");
}

#[test]
fn commands_stand_on_lines_of_their_own_and_do_what_they_should() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let name = "net/netfilter/nf_conntrack_acct";
    namespace.sysctl(name, "0").unwrap();
    // From outside, as with another namespace by --netns.
    let path = namespace.path();
    let path = path.to_str().unwrap();
    let ran: Ran = Command::new(TRACKLIGHT)
        .args(["--netns", path, "doctor", "--seconds", "0"])
        .output()
        .unwrap()
        .into();
    let ran = ran.exits(0);
    let notice = "notice: Bytes and packets are not counted [accounting-off]\n";
    assert!(ran.out.contains(notice), "{}", ran.out);
    let command = format!("nsenter --net={path} sysctl -w net.netfilter.nf_conntrack_acct=1");
    assert!(
        commands(&ran.out).contains(&command.as_str()),
        "{}",
        ran.out
    );
    assert!(!ran.out.contains("/etc/sysctl.d/90"), "{}", ran.out);
    let mended = Command::new("sh").args(["-c", &command]).output().unwrap();
    assert!(mended.status.success(), "{mended:?}");
    assert_eq!(namespace.read_sysctl(name).unwrap(), "1");
    let after = doctor(&namespace, &["--seconds", "0"]).exits(0);
    assert!(!after.out.contains("accounting-off"), "{}", after.out);
}

#[test]
fn everything_that_was_looked_at_is_counted_and_can_be_listed() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let report = doctor(&namespace, &["-o", "json", "--seconds", "0"])
        .exits(0)
        .json();
    let looked = report["looked_at"].as_array().unwrap();
    let text = doctor(&namespace, &["--all", "--seconds", "0"])
        .exits(0)
        .out;
    for one in looked {
        let code = one["code"].as_str().unwrap();
        let verdict = one["verdict"].as_str().unwrap();
        let mut lines = text.lines();
        let is_its =
            |line: &str| line.starts_with(verdict) && line.contains(&format!("  {code}: "));
        assert!(lines.any(is_its), "{code} {verdict} in {text}");
    }
    let sum = format!("{} things looked at: 0 to mend", looked.len());
    assert!(text.contains(&sum), "{text}");
    let colored = doctor(&namespace, &["--color", "always", "--seconds", "0"]).exits(0);
    assert!(colored.out.contains('\u{1b}') && !text.contains('\u{1b}'));
}

#[test]
fn both_ways_to_read_the_table_find_the_same() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    testkit::fill(&client(&namespace), 2000).unwrap();
    let by = |way: &str| {
        let ran = doctor(
            &namespace,
            &["--source", way, "-o", "json", "--seconds", "0"],
        );
        let mut report = ran.exits(0).json();
        report["usage"].take();
        report
    };
    let netlink = by("netlink");
    assert_eq!(netlink["table"]["entries"], 2000);
    // Where BPF is not possible, it is told that the table was not seen.
    let bpf = by("bpf");
    match bpf["unseen"].as_array().unwrap().as_slice() {
        [] => assert_eq!(bpf["table"], netlink["table"]),
        [unseen] => {
            assert_eq!(unseen["code"], "walk-refused");
            assert!(finding(&bpf, "walk-refused").is_some());
            assert_eq!(bpf["table"], Value::Null);
        }
        more => panic!("{more:?}"),
    }
}

#[test]
fn without_privilege_it_says_what_it_can_and_what_it_did_not_see() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("tracklight");
    std::fs::copy(TRACKLIGHT, &program).unwrap();
    let opened = Command::new("chmod")
        .args(["-R", "a+rX"])
        .arg(folder.path())
        .status()
        .unwrap();
    assert!(opened.success());
    namespace
        .sysctl("net/netfilter/nf_conntrack_acct", "0")
        .unwrap();
    let nobody = |flags: &[&str]| -> Ran {
        let mut command = namespace.command("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        command.arg(&program).arg("doctor").args(flags);
        command.output().unwrap().into()
    };
    let report = nobody(&["-o", "json", "--seconds", "0"]).exits(0).json();
    assert!(finding(&report, "accounting-off").is_some(), "{report:#}");
    assert_eq!(report["table"], Value::Null);
    let unseen = report["unseen"].as_array().unwrap();
    let table = unseen
        .iter()
        .find(|unseen| unseen["what"] == "table")
        .unwrap();
    assert_eq!(table["code"], "permission-denied");
    let verdict = |code: &str| {
        let looked = report["looked_at"].as_array().unwrap();
        let found = looked.iter().find(|looked| looked["code"] == code);
        found.unwrap()["verdict"].as_str().unwrap().to_owned()
    };
    assert_eq!(verdict("nat-ports"), "unknown");
    assert_eq!(verdict("loose-pickup"), "found");
    let text = nobody(&["--seconds", "0"]).exits(0).out;
    assert!(text.contains("Not seen: "), "{text}");
    assert!(text.contains("[permission-denied]"), "{text}");
}

#[test]
fn a_demo_can_be_examined() {
    let Some(_) = TestNamespace::new() else {
        return;
    };
    let ran: Ran = Command::new(TRACKLIGHT)
        .args(["demo", "doctor", "-o", "json", "--seconds", "0"])
        .output()
        .unwrap()
        .into();
    let report = ran.exits(0).json();
    assert!(report["table"]["entries"].as_u64() > Some(10));
    let ports = report["table"]["ports"].as_array().unwrap();
    assert!(ports.iter().any(|port| port["public"] == "203.0.113.5"));
}

#[test]
fn a_namespace_that_is_not_there_is_a_failure_not_a_finding() {
    let ran: Ran = Command::new(TRACKLIGHT)
        .args(["--netns", "no-such-namespace", "doctor"])
        .output()
        .unwrap()
        .into();
    let ran = ran.exits(2);
    assert!(ran.err.contains("[no-namespace]"), "{}", ran.err);
    assert_eq!(ran.out, "");
}
