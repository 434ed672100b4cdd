//! `tracklight audit`, on a log that the daemon's own code wrote.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use server::audit::{Audit, Counts, FILE};
use server::who::{Role, Who};

use crate::run::Ran;

fn audit(state: &Path, arguments: &[&str]) -> Ran {
    Command::new(env!("CARGO_BIN_EXE_tracklight"))
        .args(["audit", "--state"])
        .arg(state)
        .args(arguments)
        .output()
        .unwrap()
        .into()
}

fn change(log: &Audit, who: &str, action: &str, query: &str) {
    let who = Who {
        name: who.to_owned(),
        role: Role::Operator,
        from: None,
    };
    let pending = log.begin(&who, action, json!({ "query": query })).unwrap();
    pending.done(Counts {
        matched: Some(3),
        changed: Some(3),
        failed: None,
    });
}

#[test]
fn a_change_is_one_row_however_it_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let log = Audit::open(folder.path()).unwrap();
    change(&log, "ops", "delete", "dport 53");
    change(&log, "uid 0", "update", "src = 10.0.0.1 \u{1b}[2J");

    let table = audit(folder.path(), &[]).exits(0);
    let lines: Vec<_> = table.out.lines().collect();
    assert_eq!(lines.len(), 3, "{}", table.out);
    assert!(lines[0].starts_with("TIME") && lines[0].ends_with("DETAILS"));
    for word in ["ops", "operator", "delete", "3", "done", "dport 53"] {
        assert!(lines[1].contains(word), "{word}: {}", lines[1]);
    }
    assert!(!table.out.contains('\u{1b}'), "nothing steers the terminal");

    let all = audit(folder.path(), &["-o", "json"]).exits(0).json();
    assert_eq!(all.as_array().unwrap().len(), 2);
    assert_eq!(all[0]["result"], "done");
    assert_eq!(all[0]["matched"], 3);
    assert!(all[0].get("failed").is_none(), "absent, never zero");

    let of = audit(
        folder.path(),
        &["--who", "uid 0", "--last", "1h", "-o", "ndjson"],
    )
    .exits(0);
    assert_eq!(of.out.lines().count(), 1);
    assert_eq!(of.json()["action"], "update");
    audit(folder.path(), &["--who", "nobody"]).exits(1);
}

#[test]
fn a_damaged_line_is_told_and_a_missing_log_is_no_empty_one() {
    let folder = tempfile::tempdir().unwrap();
    let missing = audit(folder.path(), &[]).exits(2);
    assert!(missing.err.contains("[unreadable]"), "{}", missing.err);

    change(&Audit::open(folder.path()).unwrap(), "ops", "flush", "");
    let log = folder.path().join(FILE);
    let mut log = OpenOptions::new().append(true).open(log).unwrap();
    log.write_all(b"{\"time\":\"2026-").unwrap();
    let told = audit(folder.path(), &["-o", "ndjson"]).exits(0);
    assert_eq!(told.out.lines().count(), 1);
    assert!(told.err.contains("line 3"), "{}", told.err);
}
