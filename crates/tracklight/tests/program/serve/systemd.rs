//! The unit, under a systemd of its own.

use std::process::Command;

use testkit::skip;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/in-systemd");
const CHECK: &str = include_str!("systemd.py");

#[test]
fn the_unit_runs_reloads_is_watched_and_is_started_by_its_socket() {
    let is_root = std::fs::metadata("/proc/self")
        .is_ok_and(|data| std::os::unix::fs::MetadataExt::uid(&data) == 0);
    let has_cgroups = std::fs::read_to_string("/proc/filesystems")
        .is_ok_and(|text| text.lines().any(|line| line.ends_with("\tcgroup2")));
    if !is_root || !has_cgroups || !std::path::Path::new("/lib/systemd/systemd").exists() {
        return skip("this needs root, systemd, and cgroups of the second version");
    }
    let ran = Command::new(SCRIPT)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .args([env!("CARGO_BIN_EXE_tracklight"), "python3", "-c", CHECK])
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&ran.stdout);
    let err = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{out}\n{err}");
    assert!(out.ends_with("the socket starts it\n"), "{out}\n{err}");
}
