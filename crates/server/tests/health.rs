//! What the daemon finds of itself.

mod support;

use std::path::{Path, PathBuf};

use engine::health::Step;
use engine::history::{History, Origin, Settings};
use support::{PATIENCE, daemon};

#[test]
fn remedies_name_the_files_in_use_and_not_the_usual_ones() {
    let Some(daemon) = daemon() else { return };
    let app = &daemon.app;
    assert_eq!(app.file(), Path::new(engine::config::PATH));
    app.set_file(PathBuf::from("/srv/other.toml"));
    assert_eq!(app.file(), Path::new("/srv/other.toml"));

    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("its state");
    // A file where the folder should be.
    std::fs::write(&state, "").unwrap();
    let history = History::open(&state, &Settings::default(), Origin::here()).unwrap();
    let end = std::time::Instant::now() + PATIENCE;
    while history.status().trouble.is_none() {
        assert!(std::time::Instant::now() < end, "no trouble is told");
        std::thread::yield_now();
    }
    app.set_history(history);
    app.watch.look(app).unwrap();
    let report = app.watch.report().unwrap();
    let mut findings = report.findings.iter();
    let found = findings.find(|finding| finding.code == "history").unwrap();
    let expected = Step::Run(format!("df -h '{}'", state.display()));
    assert!(found.remedy.contains(&expected), "{:?}", found.remedy);
}
