//! The same lines where there are names of labels, and where there are no rights.

use crate::lines::{compare, entries};
use crate::twin::{Around, Twin};

/// The kernel has 128 labels, the file has room for 1,024.
const NAMES: &str =
    "0 zero\n1 one\n2 two\n3 a-b\n# remark\n127 last\n128 over\n1023 far\n1024 none\n";

/// Lines about labels; `!` in front as in `lines.txt`.
const LABELLED: &str = "\
-I -s 1.1.1.1 -d 2.2.2.2 -p udp -t 1000 --sport 1 --dport 1 --label-add one
-I -s 1.1.1.1 -d 2.2.2.2 -p udp -t 1000 --sport 1 --dport 2 --label-add one,two
-I -s 1.1.1.1 -d 2.2.2.2 -p udp -t 1000 --sport 1 --dport 3 --label-add zero --label-add last
-I -s 1.1.1.1 -d 2.2.2.2 -p udp -t 1000 --sport 1 --dport 4 --label-add over
-I -s 1.1.1.1 -d 2.2.2.2 -p udp -t 1000 --sport 1 --dport 5 --label-add one,far
-I -s 1.1.1.1 -d 2.2.2.2 -p udp -t 1000 --sport 1 --dport 6 --label-add none
-L -l one
-L -l one -o extended
-L -l one -o xml
-L -l one -o save
-L -l one,two
-L -l one -l two
-L -l last
-L -l over
-L -l far
-L -l one,over
-L -l none
-L -o labels
-L -o labels,xml
-L -p udp
-L dying -l one
-L -z -l one
-G -s 1.1.1.1 -d 2.2.2.2 -p udp --sport 1 --dport 2 -l one
-G -s 1.1.1.1 -d 2.2.2.2 -p udp --sport 1 --dport 2 -l over
-G -s 1.1.1.1 -d 2.2.2.2 -p udp --sport 1 --dport 2 -o labels
-L --label-del --label-add nosuch
-L --label-add nosuch --label-del
-L --label-del nosuch
-U -p udp --label-add a-b
-U -l one --label-del one
-U -l over -m 3
-D -l over
-D -l one,far
-D -s 1.1.1.1 --dport 1 -p udp -o labels
-D -l two
-L -o labels -s 1.1.1.1
!-U -s 1.1.1.1 --label-del over
";

#[test]
fn labels_are_named_and_looked_for_the_same() {
    let Some(twin) = Twin::within(Around::Labels(NAMES), entries()) else {
        return;
    };
    compare(&twin, LABELLED);
}

#[test]
fn updates_that_would_be_others_than_meant_are_refused() {
    let Some(twin) = Twin::within(Around::Labels(NAMES), entries()) else {
        return;
    };
    for (words, refusal) in [
        (
            "-Up udp -m 9",
            "`p' cannot stand in the same word as a command that deletes or changes",
        ),
        ("--update=x -m 9", "`x' cannot stand in the same word"),
        (
            "-U -p udp --label-add over",
            "Numerical result out of range",
        ),
        (
            "-U -p udp --label-del over",
            "Numerical result out of range",
        ),
    ] {
        let mut run = twin.our_command();
        let output = run.args(words.split(' ')).output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(
            !output.status.success() && err.contains(refusal),
            "{words}: {err}"
        );
        assert_eq!(twin.tables_differ(), None, "{words}");
    }
}

#[test]
fn the_kernel_s_last_label_is_taken_alone() {
    let Some(twin) = Twin::within(Around::Labels(NAMES), Vec::new()) else {
        return;
    };
    let run = |words: &str| {
        let mut run = twin.our_command();
        let output = run.args(words.split(' ')).output().unwrap();
        assert!(output.status.success(), "{words}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    run("-I -s 1.1.1.1 -d 2.2.2.2 -p udp -t 1000 --sport 1 --dport 1 --label-add zero,last");
    let updated = run("-U -s 1.1.1.1 --label-del last");
    assert!(updated.ends_with("labels=zero\n"), "{updated}");
    let listed = run("-L -o labels");
    assert!(listed.ends_with("labels=zero\n"), "{listed}");
}

/// What needs rights. `-F` says there that it has emptied the table, and `-C expect` prints 0.
const REFUSED: &str = "\
-L
-L -p tcp
-L dying
-L expect
-C
-S
-S expect
!-C expect
-G -s 1.1.1.1 -d 2.2.2.2 -p udp --sport 1 --dport 2
-I -s 1.1.1.1 -d 2.2.2.2 -p udp --sport 1 --dport 2 -t 10
-A -s 1.1.1.1 -d 2.2.2.2 -p udp --sport 1 --dport 2 -t 10
-D
-D -p udp
-E
-E -b 10000
-E expect
!-F
!-F expect
-V
";

#[test]
fn without_rights_it_is_refused_the_same_and_proc_tells_the_rest() {
    let Some(twin) = Twin::within(Around::NoRights, entries()) else {
        return;
    };
    compare(&twin, REFUSED);
}
