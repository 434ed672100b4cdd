//! Namespaces without names.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use netlab::Namespace;

fn namespace() -> Option<Namespace> {
    testkit::available(Namespace::new())
}

/// The kernel's name of the namespace that the calling thread is in, as in `net:[4026531840]`.
fn here() -> PathBuf {
    fs::read_link("/proc/thread-self/ns/net").unwrap()
}

#[test]
fn a_closure_runs_inside_and_the_caller_stays_outside() {
    let Some(namespace) = namespace() else { return };
    let before = here();
    let inside = namespace.run(here).unwrap();
    assert_ne!(inside, before);
    assert_eq!(here(), before);
    assert_eq!(namespace.run(here).unwrap(), inside);
}

#[test]
fn a_closure_may_borrow_and_gives_back_its_result() {
    let Some(namespace) = namespace() else { return };
    let words = ["one", "two"];
    let joined = namespace.run(|| words.join(" and ")).unwrap();
    assert_eq!(joined, "one and two");
}

#[test]
fn a_panic_inside_goes_on_in_the_caller() {
    let Some(namespace) = namespace() else { return };
    let outcome = catch_unwind(AssertUnwindSafe(|| namespace.run(|| panic!("inside"))));
    let panic = outcome.unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"inside"));
}

#[test]
fn a_thread_left_running_is_inside_and_outlives_the_value() {
    let Some(namespace) = namespace() else { return };
    let inside = namespace.run(here).unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let (let_go, wait) = std::sync::mpsc::channel::<()>();
    let thread = namespace
        .spawn("inside", move || {
            let _ = wait.recv();
            tell.send(here()).unwrap();
        })
        .unwrap();
    drop(namespace);
    drop(let_go);
    assert_eq!(told.recv().unwrap(), inside);
    thread.join().unwrap();
}

#[test]
fn a_program_starts_inside_and_sees_only_loopback() {
    let Some(namespace) = namespace() else { return };
    let inside = namespace.run(here).unwrap();
    let told = namespace
        .output("readlink", &["/proc/self/ns/net"], "")
        .unwrap();
    assert_eq!(Path::new(told.trim()), inside);
    let links = namespace.output("ip", &["-o", "link"], "").unwrap();
    assert_eq!(links.lines().count(), 1, "{links}");
}

#[test]
fn a_program_can_be_started_after_the_value_is_gone() {
    let Some(namespace) = namespace() else { return };
    let inside = namespace.run(here).unwrap();
    let mut command = namespace.command("readlink");
    drop(namespace);
    let output = command.arg("/proc/self/ns/net").output().unwrap();
    assert_eq!(
        Path::new(String::from_utf8(output.stdout).unwrap().trim()),
        inside
    );
}

#[test]
fn the_path_names_it_for_other_programs() {
    let Some(namespace) = namespace() else { return };
    let inside = namespace.run(here).unwrap();
    assert_eq!(fs::read_link(namespace.path()).unwrap(), inside);
    let other = self::namespace().unwrap();
    let net = format!("--net={}", namespace.path().display());
    let told = other
        .output("nsenter", &[&net, "readlink", "/proc/self/ns/net"], "")
        .unwrap();
    assert_eq!(Path::new(told.trim()), inside);
}

#[test]
fn a_setting_is_written_inside_only() {
    let Some(namespace) = namespace() else { return };
    let other = self::namespace().unwrap();
    let name = "net/ipv4/ip_forward";
    let outside = fs::read_to_string(Path::new("/proc/sys").join(name)).unwrap();
    namespace.sysctl(name, "1").unwrap();
    other.sysctl(name, "0").unwrap();
    assert_eq!(namespace.read_sysctl(name).unwrap(), "1");
    assert_eq!(other.read_sysctl(name).unwrap(), "0");
    assert_eq!(
        fs::read_to_string(Path::new("/proc/sys").join(name)).unwrap(),
        outside
    );
}

#[test]
fn an_unknown_setting_is_an_error_that_names_it() {
    let Some(namespace) = namespace() else { return };
    let error = namespace
        .sysctl("net/ipv4/no_such_setting", "1")
        .unwrap_err();
    assert_eq!(error.code(), "sysctl_failed");
    assert!(
        error.to_string().contains("net/ipv4/no_such_setting"),
        "{error}"
    );
    assert!(error.hint().contains("no such setting"), "{}", error.hint());
}

#[test]
fn a_program_that_fails_is_an_error_with_its_own_words() {
    let Some(namespace) = namespace() else { return };
    let error = namespace.ip("link set no-such-device up\n").unwrap_err();
    assert_eq!(error.code(), "program_failed");
    assert!(error.to_string().contains("no-such-device"), "{error}");
    let error = namespace.nft("table inet t { nonsense }").unwrap_err();
    assert!(error.to_string().contains("nonsense"), "{error}");
}

#[test]
fn a_program_that_is_not_there_is_an_error_of_its_own() {
    let Some(namespace) = namespace() else { return };
    let error = namespace.output("no-such-program", &[], "").unwrap_err();
    assert_eq!(error.code(), "program_missing");
    assert!(error.hint().contains("no-such-program"), "{}", error.hint());
}

#[test]
fn a_new_namespace_tracks_nothing() {
    let Some(namespace) = namespace() else { return };
    // The kernel may not have loaded conntrack yet, then the counter is not there.
    if let Ok(count) = namespace.conntrack_count() {
        assert_eq!(count, 0);
        assert_eq!(namespace.table().unwrap().total, 0);
    }
}
