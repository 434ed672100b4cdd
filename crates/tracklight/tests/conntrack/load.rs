//! `-R`: files and standard input.

use crate::lines::entries;
use crate::twin::Twin;

/// Files whose lines give the same: what is between two lines of dashes is one.
const FILES: &[&str] = &[
    "-I -s 1.1.1.1 -d 2.2.2.2 -p udp -t 1000 --sport 1 --dport 2\n-I -s 1.1.1.1 -d 2.2.2.2 -p udp -t 1000 --sport 1 --dport 3\n",
    "# remark\n\n  \n\t# another\n-A -s 1.1.1.1 -d 2.2.2.2 -p udp -t 1000 --sport 1 --dport 5\n",
    // The first fails, the second is not done.
    "-I -s 1.1.1.1 -d 2.2.2.2 -p udp -t 1000 --sport 1 --dport 2\n-I -s 1.1.1.1 -d 2.2.2.2 -p udp -t 1000 --sport 1 --dport 4\n",
    // The last is wrong: nothing is done.
    "-I -s 1.1.1.1 -d 2.2.2.2 -p udp -t 1000 --sport 1 --dport 6\n-I -s 1.1.1.1 -d 2.2.2.2 -p udp -t 1000 --sport 1\n",
    "foo\n",
    "-L\n",
    "-C\n",
    "-S\n",
    "-E\n",
    "-G -s 1.1.1.1 -d 2.2.2.2 -p udp --sport 1 --dport 8\n",
    "-R -\n",
    "conntrack -I -s 1.1.1.1 -d 2.2.2.2 -p udp -t 1000 --sport 1 --dport 9\n",
    "-I -s 1.1.1.1 -d 2.2.2.2 -p \"udp\" -t 1000 --sport 1 --dport 15\n",
    "-I -s 1.1.1.1 -d 2.2.2.2 -p 'udp' -t 1000 --sport 1 --dport 16\n",
    "-I -s 1.1.1.1 -d 2.2.2.2 -p udp -t 1000 --sport 1 --dport 7 # behind\n",
    "-I -s 1.1.1.1 -d 2.2.2.2 -p udp -t 1000 --sport 1 --dport 8",
    "-D -s 9.9.9.9\n-I -s 1.1.1.1 -d 2.2.2.2 -p udp -t 1000 --sport 1 --dport 12\n",
    "-D -p udp -d 2.2.2.2\n",
    "-I -s 1.1.1.1 -d 2.2.2.2 -p udp -t 1000 --sport 1 --dport 14 -L\n",
    "-I -w 123 -s 1.1.1.1 -d 2.2.2.2 -p tcp --sport 1 --dport 1 --state LISTEN -u SEEN_REPLY -t 50\n-D -w 123 -s 1.1.1.1 -d 2.2.2.2 -p tcp --sport 1 --dport 1 --state LISTEN -u SEEN_REPLY\n",
    "-I -s 1.1.1.1 -d 2.2.2.2 -r 2.2.2.2 -p udp -t 1000 --sport 1 --dport 2\n-F\n",
    "-F\n",
    "-I -s 1.1.1.1 -d 2.2.2.2 -p udp -t 1000 --sport 1 --dport 31\n-A -s 1.1.1.3 -d 2.2.2.3 -r 2.2.2.2 -q 1.1.1.1 -p udp -t 1000 --sport 1 --dport 31 --reply-port-src 31 --reply-port-dst 1\n",
    "",
    // Nothing is done about expectations.
    "-F expect\n",
    "-D expect -s 1.1.1.1 -d 2.2.2.2 -r 2.2.2.2 -q 1.1.1.1 -p udp --sport 1 --dport 2 --reply-port-src 1 --reply-port-dst 2\n",
    "-I expect -s 1.1.1.1 -d 2.2.2.2 -p esp -t 10 --tuple-src 1.1.1.1 --tuple-dst 2.2.2.2 --mask-src 255.0.0.0 --mask-dst 255.0.0.0\n",
    "-L expect\n",
    "-C expect\n",
    "-S expect\n",
    "-E expect\n",
    "-G expect -s 1.1.1.1 -d 2.2.2.2 -p esp\n",
    "-L dying\n",
    "-h\n",
    // All lines are read before a command is refused.
    "-L\n-I -s foo\n",
    "-L\n-I -s 1.1.1.1 -d 2.2.2.2 -p udp -t 1000 --sport 1 --dport 40\n-C\n",
    // Words.
    "-I -s 1.1.1.1 -d 2.2.2.2 -p udp -t 1000 --sport \"\" --dport 41\n",
    "-I -s 1.1.1.1 -d 2.2.2.2 -p udp -t \"10\"00 --sport 1 --dport 42\n",
    "-I -s 1.1.1.1 -d 2.2.2.2 -p udp -t 1000 --sport 1 --dport 43 \"\" \n",
    "\"\"\n",
    "-I -s 1.1.1.1/32 -d 2.2.2.2/32 -p udp -t 1000 --sport 1 --dport 44 -u SEEN_REPLY -u ASSURED\n",
];

/// Files that differ on purpose: `docs/compat.md` has the reasons.
const OTHERS: &[&str] = &[
    "-I -s 1.1.1.1 -d 2.2.2.2 -p udp -t \"1000 --sport 1 --dport 45\n",
    "\r\n-I -s 1.1.1.1 -d 2.2.2.2 -p udp -t 1000 --sport 1 --dport 46\r\n",
    "-I -s 1.1.1.1 -d 2.2.2.2 -p udp -t 1000 --sport 1 --dport 47\n  ",
];

/// A line of so many words, a name among them.
fn long(words: usize) -> String {
    let line = "-I -s 1.1.1.1 -d 2.2.2.2 -p udp -t 1000 --sport 1 --dport 48";
    let given = line.split(' ').count();
    format!("{line}{}\n", " x".repeat(words - given))
}

#[test]
fn files_give_the_same() {
    let Some(twin) = Twin::new(entries()) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lines");
    let path = path.to_str().unwrap();
    let mut wrong = Vec::new();
    let long = [long(253), long(254)];
    let parameters = ["x".repeat(1023), "x".repeat(1024)].map(|word| format!("-F {word}\n"));
    let made = long.iter().chain(&parameters).map(String::as_str);
    for file in FILES.iter().copied().chain(made) {
        if twin.is_old() && file.contains("-A -s 1.1.1.3") {
            // 1.4.7 says nothing of an entry that it cannot add.
            continue;
        }
        std::fs::write(path, file).unwrap();
        for (words, input) in [(["-R", path], ""), (["--load-file", "-"], file)] {
            if let Some(how) = twin.differs(&words, input) {
                wrong.push(format!("{words:?} {file:?}\n  {how}"));
                twin.refill();
            }
        }
    }
    for file in OTHERS {
        if twin.differs(&["-R", "-"], file).is_none() {
            wrong.push(format!("{file:?}\n  is said to differ, and does not"));
        }
        twin.refill();
    }
    let odd: [&[&str]; 7] = [
        &["-R"],
        &["-R", "/nowhere/lines"],
        &["-R", "-", "-L"],
        &["-L", "-R", "-"],
        &["--load", "-"],
        &["-R-"],
        &["-R", "--", "-"],
    ];
    for words in odd {
        if let Some(how) = twin.differs(words, "") {
            wrong.push(format!("{words:?}\n  {how}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// What is listed with `-o save` makes the same table again, through either program.
#[test]
fn what_one_saves_the_other_loads() {
    let Some(twin) = Twin::new(entries()) else {
        return;
    };
    let (theirs, ours) = (twin.their_command(), twin.our_command());
    let saved = |mut command: std::process::Command| {
        let output = command.args(["-L", "-o", "save"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let (theirs, ours) = (saved(theirs), saved(ours));
    assert_eq!(theirs.lines().count(), 60);
    assert_eq!(ours.lines().count(), 60);
    for text in [theirs, ours] {
        twin.differs(&["-F"], "");
        assert_eq!(twin.differs(&["-R", "-"], &text), None);
    }
}
