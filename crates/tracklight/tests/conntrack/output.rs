//! Standard output that cannot be written: what was asked for is done all the same.

use std::fs::OpenOptions;
use std::process::Stdio;

use crate::twin::Twin;

/// More than are deleted at once.
const ENTRIES: u32 = 6000;

#[test]
fn deleting_goes_on_where_it_cannot_be_printed() {
    let Some(twin) = Twin::new((0..ENTRIES).map(testkit::fill::entry).collect()) else {
        return;
    };
    let full = || OpenOptions::new().write(true).open("/dev/full").unwrap();
    let run = |command: &str, out: Stdio| {
        let mut run = twin.our_command();
        let output = run.arg(command).stdout(out).output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), err)
    };
    let deleted = format!("{ENTRIES} flow entries have been deleted.\n");
    let cannot = "cannot write to standard output: No space left on device\n";

    let (status, err) = run("-L", full().into());
    assert_eq!((status, err.ends_with(cannot)), (Some(1), true), "{err}");

    let (status, err) = run("-D", full().into());
    assert_eq!(status, Some(1));
    assert!(err.contains(&deleted) && err.ends_with(cannot), "{err}");
    assert_eq!(twin.our_table().global_stats().unwrap().entries, Some(0));

    twin.refill();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let (status, err) = run("-D", writer.into());
    assert_eq!((status, err.ends_with(&deleted)), (Some(0), true), "{err}");
    assert_eq!(twin.our_table().global_stats().unwrap().entries, Some(0));
}
