//! The two ways to read the table: whichever it is, the same comes out, and what it was is told.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use testkit::TestNamespace;
use testkit::fill::fill;

use crate::run::{Ran, client, command, tracklight};

fn filled(entries: u32) -> Option<TestNamespace> {
    let namespace = TestNamespace::new()?;
    fill(&client(&namespace), entries).unwrap();
    Some(namespace)
}

/// Lines in an order of their own, without what moves with the clock.
fn lines(ran: &Ran) -> Vec<String> {
    let is_steady = |word: &&str| !word.starts_with("delta-time=");
    let mut lines: Vec<String> = ran
        .out
        .lines()
        .map(|line| {
            let words = line.split_whitespace().filter(is_steady);
            // The time that is left is the fifth word of `extended`, where there is one.
            let steady = words.enumerate().filter(|(place, word)| {
                *place != 4 || !word.bytes().all(|byte| byte.is_ascii_digit())
            });
            steady.map(|(_, word)| word).collect::<Vec<_>>().join(" ")
        })
        .collect();
    lines.sort();
    lines
}

#[test]
fn every_command_says_the_same_by_bpf_as_over_netlink() {
    let Some(namespace) = filled(3_000) else {
        return;
    };
    let by = |way: &str, flags: &[&str]| {
        tracklight(&namespace, &[&["--source", way], flags].concat()).exits(0)
    };
    for flags in [
        &["list", "-o", "conntrack,extended,id"][..],
        &[
            "list",
            "-o",
            "conntrack,extended,id",
            "-p",
            "tcp",
            "--state",
            "ESTABLISHED",
        ],
        &[
            "list",
            "-o",
            "conntrack,extended,id",
            "not nat and dport < 9000",
        ],
        &[
            "list",
            "-o",
            "conntrack,extended,id",
            "has helper or not label 0",
        ],
        &["count", "mark & 1 == 1"],
        &["group", "--by", "proto,state", "-o", "ndjson"],
        &["group", "--by", "src/24", "-o", "csv", "--sort", "key"],
    ] {
        // Timeouts and ages are whole seconds: two that are asked for one after the other may be of two.
        let both = || (lines(&by("bpf", flags)), lines(&by("netlink", flags)));
        let (walked, told) = (0..20)
            .map(|_| both())
            .find(|(walked, told)| walked == told)
            .unwrap_or_else(both);
        assert!(!walked.is_empty(), "{flags:?}");
        assert_eq!(walked, told, "{flags:?}");
    }
}

#[test]
fn the_contract_answers_the_same_by_bpf() {
    let Some(namespace) = filled(500) else {
        return;
    };
    let by = |way: &str| {
        let mut read = command(&namespace, &["--source", way, "api", "read"]);
        let request =
            br#"{"action":"conntrack","protocol":"tcp","state":"ESTABLISHED","limit":25}"#;
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), request).unwrap();
        read.stdin(std::fs::File::open(file.path()).unwrap());
        let mut answer = Ran::from(read.output().unwrap()).exits(0).json();
        // What is left of the time may be a second less.
        for connection in answer["connections"].as_array_mut().unwrap() {
            connection["timeout"].take();
        }
        answer
    };
    let walked = by("bpf");
    assert_eq!(walked["connections"].as_array().unwrap().len(), 25);
    assert_eq!(walked, by("netlink"));
}

#[test]
fn what_was_walked_is_deleted_and_undone_as_what_was_dumped() {
    let Some(namespace) = filled(2_000) else {
        return;
    };
    let bpf = |flags: &[&str]| tracklight(&namespace, &[&["--source", "bpf"], flags].concat());
    let before = lines(&bpf(&["list", "-o", "conntrack,extended"]).exits(0));
    let file = tempfile::tempdir().unwrap();
    let undo = file.path().join("undo.tl");
    let undo = undo.to_str().unwrap();
    let udp = bpf(&["count", "udp"]).exits(0).out;
    let deleted = bpf(&["delete", "udp", "--undo-file", undo]).exits(0);
    assert!(
        deleted
            .out
            .starts_with(&format!("{} matched: {} deleted", udp.trim(), udp.trim())),
        "{deleted:?}"
    );
    bpf(&["count", "udp"]).exits(1);
    bpf(&["restore", undo]).exits(0);
    assert_eq!(
        lines(&bpf(&["list", "-o", "conntrack,extended"]).exits(0)),
        before
    );
}

#[test]
fn a_small_table_is_read_over_netlink_and_a_large_one_by_bpf() {
    let Some(small) = filled(100) else { return };
    let said = |namespace: &TestNamespace, flags: &[&str]| {
        tracklight(
            namespace,
            &[&["--verbose", "list", "-n", "1"], flags].concat(),
        )
        .exits(0)
        .err
    };
    let why = said(&small, &[]);
    assert!(
        why.contains("1 entries by netlink") && why.contains("not by BPF (small): 100 entries"),
        "{why}"
    );
    assert!(!said(&small, &["--source", "netlink"]).contains("not by BPF"));
    assert!(said(&small, &["--source", "bpf"]).contains("1 entries by bpf"));
    drop(small);
    let Some(large) = filled(20_000) else { return };
    assert!(said(&large, &[]).contains("1 entries by bpf"));
}

/// The program in a user namespace of its own, where nobody may load a BPF program.
fn in_user_namespace(flags: &[&str]) -> Ran {
    let script = r#"
        ip link set lo up
        nft 'add table t; add chain t c { type filter hook input priority 0; }; add rule t c ct state new counter'
        "$0" create -p udp -s 192.0.2.1 -d 192.0.2.2 --sport 1 --dport 2 --timeout 600 || exit 9
        exec "$0" "$@""#;
    let program = env!("CARGO_BIN_EXE_tracklight");
    let output = Command::new("unshare")
        .args([
            "--user",
            "--map-root-user",
            "--net",
            "sh",
            "-c",
            script,
            program,
        ])
        .args(flags)
        .output()
        .unwrap();
    output.into()
}

#[test]
fn where_the_kernel_refuses_netlink_reads_and_says_why() {
    if TestNamespace::new().is_none() {
        return;
    }
    let refused = in_user_namespace(&["--source", "bpf", "list"]).exits(4);
    assert!(refused.err.contains("[walk-refused]"), "{refused:?}");
    assert!(
        refused.err.contains("initial user namespace"),
        "{refused:?}"
    );
    assert!(refused.err.contains("--source bpf"), "{refused:?}");
    let refused = in_user_namespace(&["--source", "bpf", "count"]).exits(4);
    assert_eq!(refused.out, "", "{refused:?}");
    let read = in_user_namespace(&["list", "-o", "conntrack"]).exits(0);
    assert!(read.out.contains("src=192.0.2.1"), "{read:?}");
}

/// The program as a plain user with these capabilities and no others, in a namespace that it is in
/// already.
fn with_capabilities(namespace: &TestNamespace, program: &str, names: &[&str]) -> Ran {
    let only = format!(
        "-all,{}",
        names
            .iter()
            .map(|name| format!("+{name}"))
            .collect::<Vec<_>>()
            .join(",")
    );
    let mut command = namespace.command("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .args([
            format!("--inh-caps={only}"),
            format!("--ambient-caps={only}"),
        ])
        .args([
            format!("--bounding-set={only}"),
            "--no-new-privs".to_owned(),
        ])
        .args([program, "--source", "bpf", "list", "-o", "conntrack"])
        .stdin(Stdio::null());
    command.output().unwrap().into()
}

#[test]
fn four_capabilities_are_enough_and_each_is_needed() {
    const NEEDED: [&str; 4] = ["bpf", "perfmon", "net_admin", "syslog"];
    let Some(namespace) = filled(100) else {
        return;
    };
    if std::path::Path::new("/sys/kernel/btf/nf_conntrack").exists() {
        testkit::skip("nf_conntrack is a module here, whose types are for the administrator");
        return;
    }
    // Where a plain user finds it.
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("tracklight");
    std::fs::copy(env!("CARGO_BIN_EXE_tracklight"), &program).unwrap();
    for path in [folder.path(), &program] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let program = program.to_str().unwrap();

    let listed = with_capabilities(&namespace, program, &NEEDED).exits(0);
    assert_eq!(listed.out.lines().count(), 100, "{listed:?}");
    for missing in NEEDED {
        let others: Vec<&str> = NEEDED.into_iter().filter(|name| *name != missing).collect();
        let refused = with_capabilities(&namespace, program, &others);
        let name = format!("CAP_{}", missing.to_uppercase());
        assert!(
            refused.err.contains(&format!("{name} is missing")),
            "{refused:?}"
        );
        refused.exits(4);
    }
}
