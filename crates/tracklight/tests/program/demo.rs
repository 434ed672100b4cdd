use std::process::Command;

use crate::run::Ran;

fn run(program: &str, arguments: &[&str]) -> Ran {
    Command::new(program)
        .args(arguments)
        .output()
        .unwrap()
        .into()
}

const TRACKLIGHT: &str = env!("CARGO_BIN_EXE_tracklight");

#[test]
fn demo_runs_a_subcommand_on_real_traffic_and_leaves_nothing_behind() {
    let Some(_) = testkit::TestNamespace::new() else {
        return;
    };
    let links = || run("ip", &["-o", "link"]).out.lines().count();
    let before = links();
    let list = run(TRACKLIGHT, &["demo", "list", "-o", "json"])
        .exits(0)
        .json();
    let entries = list.as_array().unwrap();
    let has = |key: &str, value: &str| entries.iter().any(|entry| entry[key] == value);
    for protocol in ["tcp", "udp", "icmp", "icmpv6"] {
        assert!(has("protocol", protocol), "{protocol}");
    }
    assert!(has("family", "ipv6") && has("family", "ipv4"));
    assert!(entries.iter().any(|entry| entry["nat"] == true));
    assert!(
        entries
            .iter()
            .any(|entry| entry["orig"]["bytes"].as_u64() > Some(0))
    );
    assert_eq!(links(), before);
    assert!(
        run(TRACKLIGHT, &["demo"])
            .exits(0)
            .out
            .contains("ESTABLISHED"),
        "list by itself"
    );
    let out = run(TRACKLIGHT, &["demo", "delete", "-p", "udp"])
        .exits(0)
        .out;
    assert!(out.ends_with(" deleted\n"), "{out}");
    run(TRACKLIGHT, &["demo", "list", "-p", "sctp"]).exits(1);
    run(TRACKLIGHT, &["demo", "demo"]).exits(2);
    // What is said before it holds for the subcommand.
    run(
        TRACKLIGHT,
        &[
            "--config",
            "/nowhere.toml",
            "demo",
            "group",
            "--by",
            "proto",
        ],
    )
    .exits(4);
    run(TRACKLIGHT, &["--source", "netlink", "demo", "list"]).exits(0);
}

#[test]
fn demo_needs_no_root() {
    let Some(_) = testkit::TestNamespace::new() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("tracklight");
    std::fs::copy(TRACKLIGHT, &program).unwrap();
    run("chmod", &["-R", "a+rX", folder.path().to_str().unwrap()]).exits(0);
    let ran = run(
        "setpriv",
        &[
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            program.to_str().unwrap(),
            "demo",
            "list",
        ],
    );
    assert!(ran.exits(0).out.contains("ESTABLISHED"));
}

#[test]
fn completions_and_manual_pages_know_every_subcommand() {
    let names = [
        "list",
        "get",
        "create",
        "update",
        "delete",
        "flush",
        "watch",
        "count",
        "group",
        "stats",
        "doctor",
        "protocols",
        "expect",
        "api",
        "demo",
        "completions",
        "man",
    ];
    for shell in ["bash", "zsh", "fish"] {
        let script = run(TRACKLIGHT, &["completions", shell]).exits(0).out;
        for name in names {
            assert!(script.contains(name), "{shell}: {name}");
        }
    }
    assert!(run(TRACKLIGHT, &["man"]).exits(0).out.starts_with(".ie"));
    let folder = tempfile::tempdir().unwrap();
    run(
        TRACKLIGHT,
        &["man", "--all-into", folder.path().to_str().unwrap()],
    )
    .exits(0);
    for name in names {
        let page = folder.path().join(format!("tracklight-{name}.1"));
        assert!(page.exists(), "{}", page.display());
    }
    run(TRACKLIGHT, &["man", "nothing"]).exits(2);
}

#[test]
fn the_subcommand_ends_with_a_demo_that_is_killed() {
    let Some(_) = testkit::TestNamespace::new() else {
        return;
    };
    let mut demo = Command::new(TRACKLIGHT)
        .args(["demo", "watch", "-o", "ndjson"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = std::io::BufReader::new(demo.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    demo.kill().unwrap();
    demo.wait().unwrap();
    // The pipe ends only when the subcommand, which holds its other end, has ended as well.
    std::io::Read::read_to_end(&mut out, &mut Vec::new()).unwrap();
}
