//! What is installed, and taken away again.

use std::path::{Path, PathBuf};
use std::process::Command;

const TREE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

#[test]
fn all_that_was_installed_is_taken_away() {
    let root = tempfile::tempdir().unwrap();
    let destination = root.path().to_str().unwrap();
    let installed = Command::new("scripts/install")
        .current_dir(TREE)
        .args([env!("CARGO_BIN_EXE_tracklight"), "/usr", destination])
        .output()
        .unwrap();
    assert!(installed.status.success(), "{installed:?}");
    for name in [
        "bin/tracklight",
        "libexec/tracklight/connections/read",
        "libexec/tracklight/bin/conntrack",
        "lib/systemd/system/tracklight.service",
    ] {
        assert!(root.path().join("usr").join(name).exists(), "{name}");
    }
    let gone = Command::new("make")
        .current_dir(TREE)
        .args(["uninstall", "PREFIX=/usr"])
        .arg(format!("DESTDIR={destination}"))
        .output()
        .unwrap();
    assert!(gone.status.success(), "{gone:?}");
    assert_eq!(files(root.path()), Vec::<PathBuf>::new());
}
