//! Nothing is left behind. One test only: it counts what the whole process has.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use netlab::{Lab, Namespace};

#[test]
fn a_dropped_lab_leaves_no_descriptor_no_thread_no_child_and_no_name() {
    // Once before counting: what the standard library opens for good is open then.
    let Some(lab) = testkit::available(Lab::new()) else {
        return;
    };
    drop(lab);

    let before = (entries("/proc/self/fd"), entries("/proc/self/task"));
    let lab = Lab::new().unwrap();
    let traffic = lab.start_traffic().unwrap();
    lab.ready().unwrap();
    assert!(entries("/proc/self/task") > before.1);
    // It has no name, and never had one.
    assert!(!names_of_any(&[lab.client(), lab.gateway(), lab.server()]));
    let devices = fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    assert!(
        !devices.contains("lan0:") && !devices.contains("wan0:"),
        "{devices}"
    );

    let start = Instant::now();
    drop(traffic);
    drop(lab);
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );

    assert_eq!(
        (entries("/proc/self/fd"), entries("/proc/self/task")),
        before
    );
    assert_eq!(children(), "");
}

fn entries(folder: &str) -> usize {
    fs::read_dir(folder).unwrap().count()
}

/// The process ids of all children of all threads.
fn children() -> String {
    let threads = fs::read_dir("/proc/self/task").unwrap().flatten();
    threads
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
        .collect()
}

/// Whether `ip netns` knows one of them: its names are files that are the namespace.
fn names_of_any(namespaces: &[&Namespace]) -> bool {
    let inodes: BTreeSet<u64> = namespaces
        .iter()
        .map(|namespace| fs::metadata(namespace.path()).unwrap().ino())
        .collect();
    let Ok(names) = fs::read_dir("/run/netns") else {
        return false;
    };
    names.flatten().any(|name| {
        name.metadata()
            .is_ok_and(|file| inodes.contains(&file.ino()))
    })
}
