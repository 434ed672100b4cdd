//! The audit log on a disk that is full.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::json;
use server::audit::{self, Audit, Counts, DONE, Filter};
use server::who::{Role, Who};

/// Names the small disk to the part that is run alone.
const DISK: &str = "TRACKLIGHT_TEST_DISK";

#[test]
fn a_full_disk_refuses_changes_until_there_is_room_again() {
    let Some(namespace) = testkit::TestNamespace::new() else {
        return;
    };
    let disk = tempfile::tempdir().unwrap();
    // Nobody else sees what is mounted, and it goes with the process.
    let script = format!("mount -t tmpfs -o size=64k tmpfs \"${DISK}\" && exec \"$0\" \"$@\"");
    let output = namespace
        .command("unshare")
        .args(["--mount", "sh", "-c", &script])
        .arg(std::env::current_exe().unwrap())
        .args(["part_fills", "--exact", "--ignored", "--nocapture"])
        .env(DISK, disk.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{err}");
    assert!(text.contains("refused, and resumed"), "{text}{err}");
}

#[test]
#[ignore = "run by a test, alone"]
fn part_fills() {
    let Some(disk) = std::env::var_os(DISK).map(PathBuf::from) else {
        return;
    };
    let who = Who {
        name: "ops".to_owned(),
        role: Role::Operator,
        from: None,
    };
    let log = Audit::open(&disk).unwrap();
    let begin = |action: &str| log.begin(&who, action, json!({ "query": "x".repeat(700) }));
    begin("before").unwrap().done(Counts::default());

    let filler = disk.join("filler");
    let mut file = File::create(&filler).unwrap();
    while file.write_all(&[0; 1024]).is_ok() {}
    // The last page of the log has room for some; then the disk is full, within a line.
    let failure = (0..64).find_map(|_| match begin("more") {
        Ok(pending) => {
            pending.done(Counts::default());
            None
        }
        Err(failure) => Some(failure),
    });
    let failure = failure.expect("the disk is full");
    assert_eq!(failure.code, "audit-failed");

    fs::remove_file(&filler).unwrap();
    drop(file);
    begin("after").unwrap().done(Counts::default());
    let rows: Vec<_> = audit::read(&disk.join(audit::FILE), Filter::default())
        .unwrap()
        .collect();
    let actions: Vec<&str> = rows
        .iter()
        .filter_map(|row| Some(row.as_ref().ok()?.action.as_str()))
        .collect();
    assert_eq!(actions.first(), Some(&"before"));
    let last = rows.last().unwrap().as_ref().unwrap();
    assert_eq!(
        (last.action.as_str(), last.result.as_str()),
        ("after", DONE)
    );
    println!("\nrefused, and resumed");
}
