//! `tracklight config`.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::run::Ran;

fn config(arguments: &[&str], path: &Path) -> Ran {
    Command::new(env!("CARGO_BIN_EXE_tracklight"))
        .arg("config")
        .args(arguments)
        .arg(path)
        .output()
        .unwrap()
        .into()
}

#[test]
fn what_init_writes_is_good_and_is_never_overwritten_unasked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("new/tracklight.toml");
    config(&["init"], &file).exits(0);
    let good = config(&["check"], &file).exits(0);
    assert!(good.out.ends_with("is good\n"), "{}", good.out);

    fs::write(&file, "[live]\ncpu-percent = 5\n").unwrap();
    let refused = config(&["init"], &file).exits(1);
    assert!(refused.err.contains("[file-exists]"), "{}", refused.err);
    assert!(fs::read_to_string(&file).unwrap().contains("= 5"));
    config(&["init", "--force"], &file).exits(0);
    assert!(!fs::read_to_string(&file).unwrap().contains("= 5"));
    assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn init_writes_the_file_that_is_read_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let program = |file: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tracklight"));
        command.arg("--config").arg(folder.path().join(file));
        command.env("TRACKLIGHT_CONFIG", folder.path().join("variable.toml"));
        command
    };
    let run = |command: &mut Command| Ran::from(command.output().unwrap()).exits(0);
    run(program("flag.toml").args(["config", "init"]));
    run(program("flag.toml").args(["config", "check"]));
    let named = folder.path().join("named.toml");
    run(program("flag.toml").args(["config", "init"]).arg(&named));
    assert!(named.exists());
    assert!(!folder.path().join("variable.toml").exists());
}

#[test]
fn a_mistake_is_told_with_line_and_the_setting_that_was_meant() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("f.toml");
    for (text, expected) in [
        (
            "[server]\n\nlisen = []",
            "line 3: unknown setting `lisen`: did you mean `listen`?",
        ),
        (
            "[livee]",
            "line 1: unknown setting `livee`: did you mean `live`?",
        ),
        (
            "[live]\nshortest-seconds = 90",
            "line 2: shortest-seconds = 90 is more than longest-seconds = 60",
        ),
    ] {
        fs::write(&file, text).unwrap();
        let told = config(&["check"], &file).exits(4);
        assert!(told.err.contains(expected), "{}", told.err);
        assert!(told.err.contains("[configuration]"), "{}", told.err);
    }
}

#[test]
fn show_prints_every_setting_so_that_it_can_be_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("f.toml");
    fs::write(&file, "[live]\ncpu-percent = 5\n").unwrap();
    let shown = config(&["show", "--config"], &file).exits(0);
    assert!(shown.out.contains(file.to_str().unwrap()), "its origin");
    assert!(shown.out.contains("cpu-percent = 5"));
    assert!(shown.out.contains("cpu-percent-watched = 25"));

    let again = folder.path().join("again.toml");
    fs::write(&again, &shown.out).unwrap();
    let json = config(&["show", "-o", "json", "--config"], &file).exits(0);
    let same = config(&["show", "-o", "json", "--config"], &again).exits(0);
    assert_eq!(json.json(), same.json());
    assert_eq!(json.json()["server"]["listen"][0], "127.0.0.1:8470");
}
