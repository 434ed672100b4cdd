//! What is in the kernel for a walk is gone with it. Alone in its process, for it counts what the process
//! holds.
#![cfg(feature = "bpf")]

use std::time::{Duration, Instant};

use ctnetlink::{Client, Namespace};
use ctwalk::Walker;
use testkit::TestNamespace;

/// Ids of the programs that this process holds.
fn programs() -> Vec<u32> {
    let held = std::fs::read_dir("/proc/self/fdinfo").unwrap();
    let id = |file: std::io::Result<std::fs::DirEntry>| {
        let text = std::fs::read_to_string(file.ok()?.path()).ok()?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("prog_id:"))?;
        line.trim().parse().ok()
    };
    held.filter_map(id).collect()
}

#[test]
fn nothing_stays_in_the_kernel() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let inside = Namespace::by_path(&namespace.path()).unwrap();
    let client = Client::open_in(&inside).unwrap();
    let walker = Walker::open(&inside, client).unwrap();
    let loaded = programs();
    assert_eq!(loaded.len(), 3);
    let is_there = |id: &u32| libbpf_rs::query::ProgInfoIter::default().any(|info| info.id == *id);
    assert!(loaded.iter().all(is_there));
    drop(walker);
    assert_eq!(programs(), Vec::<u32>::new());
    // The kernel frees a program when nobody can be running it any more.
    let patience = Instant::now() + Duration::from_secs(20);
    while loaded.iter().any(is_there) {
        assert!(Instant::now() < patience, "a program is still there");
        std::thread::yield_now();
    }
}
