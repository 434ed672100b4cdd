//! `save` and `restore` against the real kernel, and against conntrack(8).

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use ctnetlink::{NewEntry, Status};
use netlab::address;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{Lab, Namespace, TestNamespace, available, conntrack, fill};

use crate::run::{Ran, client, command, tcp, tracklight, udp};

/// A rule that sets a label gives a namespace labels.
const LABELS: &str = "table inet labels {
    chain out { type filter hook output priority filter; ip daddr 203.0.113.99 ct label set 5; }
}";

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn names(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<String> = files
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

#[track_caller]
fn run(namespace: &Namespace, verb: &str, file: &Path, flags: &[&str]) -> Ran {
    let words = [&[verb, file.to_str().unwrap()], flags].concat();
    tracklight(namespace, &words)
}

/// The table without what is the kernel's own, by what names an entry; and the timeouts.
fn table(namespace: &Namespace) -> (BTreeMap<String, Value>, Vec<u64>) {
    let list = tracklight(namespace, &["list", "-o", "json"])
        .exits(0)
        .json();
    let mut timeouts = BTreeMap::new();
    let entries = list.as_array().unwrap().iter().map(|entry| {
        let mut entry = entry.clone();
        let object = entry.as_object_mut().unwrap();
        let timeout = object
            .remove("timeout")
            .and_then(|timeout| timeout.as_u64());
        for own in ["id", "use", "start_ns"] {
            object.remove(own);
        }
        for direction in ["orig", "reply"] {
            let tuple = object[direction].as_object_mut().unwrap();
            tuple.remove("packets");
            tuple.remove("bytes");
        }
        let name = [&object["orig"], &object["protocol_number"], &object["zone"]];
        let name = format!("{name:?}");
        timeouts.insert(name.clone(), timeout.unwrap());
        (name, entry)
    });
    let entries: BTreeMap<String, Value> = entries.collect();
    (entries, timeouts.into_values().collect())
}

/// Asserts that a table is the same again, but that time has passed.
#[track_caller]
fn assert_back(
    (before, left): &(BTreeMap<String, Value>, Vec<u64>),
    (after, left_now): &(BTreeMap<String, Value>, Vec<u64>),
) {
    assert_eq!(
        before.keys().collect::<Vec<_>>(),
        after.keys().collect::<Vec<_>>()
    );
    for (name, entry) in before {
        assert_eq!(entry, &after[name]);
    }
    for (before, after) in left.iter().zip(left_now) {
        assert!(
            after <= before && before - after < 60,
            "{before} and {after}"
        );
    }
}

#[test]
fn a_table_of_everything_comes_back_as_it_was() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    namespace.nft(LABELS).unwrap();
    let filled = fill(&client(&namespace), 3000).unwrap();
    assert_eq!(filled.without_labels, 0, "labels are part of it");
    let before = table(&namespace);
    let files = Files::new();
    let file = files.path("table");
    let saved = run(&namespace, "save", &file, &[]).exits(0);
    assert_eq!(saved.out, "3000 saved\n");
    let mode = file.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "a table tells who speaks with whom");
    assert_eq!(files.names(), ["table"], "nothing is left beside it");

    conntrack(&namespace, &["-F"]);
    let preview = run(&namespace, "restore", &file, &["--dry-run"]).exits(0);
    assert_eq!(preview.out, "3000 would be created\n");
    assert_eq!(namespace.conntrack_count().unwrap(), 0);
    let restored = run(&namespace, "restore", &file, &[]).exits(0);
    assert_eq!(
        (restored.out.as_str(), restored.err.as_str()),
        ("3000 created\n", "")
    );
    assert_back(&before, &table(&namespace));

    let again = run(&namespace, "restore", &file, &[]).exits(0);
    assert_eq!(again.out, "0 created, 3000 already there\n");
    let replaced = run(&namespace, "restore", &file, &["--replace", "-p", "tcp"]).exits(0);
    assert_eq!(
        replaced.out,
        "1500 created, 1500 of them in the place of others\n"
    );
    assert_back(&before, &table(&namespace));
}

#[test]
fn translated_connections_go_on_after_they_were_restored() {
    let Some(lab) = available(Lab::builder().ftp_helper(true).build()) else {
        return;
    };
    let any = |ip: IpAddr| SocketAddr::new(ip, 0);
    let inside: IpAddr = address::client(1).into();
    let outside: IpAddr = address::server(0).into();
    let web = SocketAddr::new(outside, 8080);
    let mut out = lab.tcp_connect(any(inside), web).unwrap();
    let forward = SocketAddr::V4(address::FORWARD);
    let mut forwarded = lab.tcp_connect(any(outside), forward).unwrap();
    let control = SocketAddr::new(outside, 21);
    let _control = lab.tcp_connect(any(inside), control).unwrap();
    let _udp = lab
        .udp_exchange(any(inside), SocketAddr::new(outside, 53))
        .unwrap();
    lab.ping(inside, outside).unwrap();
    let gateway = lab.gateway();
    let before = table(gateway);
    let nat = before
        .0
        .values()
        .filter(|entry| entry["nat"] == json!(true));
    assert!(nat.count() >= 4);

    let files = Files::new();
    let file = files.path("table");
    run(gateway, "save", &file, &[]).exits(0);
    // Nothing but its entry lets the middle of a connection through.
    gateway
        .sysctl("net/netfilter/nf_conntrack_tcp_loose", "0")
        .unwrap();
    conntrack(gateway, &["-F"]);
    run(gateway, "restore", &file, &[]).exits(0);
    assert_back(&before, &table(gateway));
    for pair in [&mut out, &mut forwarded] {
        assert_heard(&mut pair.opener, &mut pair.answerer);
        assert_heard(&mut pair.answerer, &mut pair.opener);
    }
}

#[track_caller]
fn assert_heard(from: &mut TcpStream, to: &mut TcpStream) {
    to.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    from.write_all(b"still there?").unwrap();
    let mut heard = [0; 12];
    to.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"still there?");
}

/// Lines without their timeouts, sorted.
fn still(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text
        .lines()
        .map(|line| {
            let (timeout, rest) = line
                .strip_prefix("-A -t ")
                .unwrap()
                .split_once(' ')
                .unwrap();
            timeout.parse::<u32>().unwrap();
            rest.to_owned()
        })
        .collect();
    lines.sort();
    lines
}

/// Lines that only one of the two has.
fn difference(ours: &[String], theirs: &[String]) -> Vec<String> {
    let of = |sign: &str, lines: &[String], others: &[String]| {
        let alone = lines.iter().filter(|line| !others.contains(line));
        alone
            .map(|line| format!("{sign}{line}"))
            .collect::<Vec<_>>()
    };
    [of("-", theirs, ours), of("+", ours, theirs)].concat()
}

#[test]
fn conntrack_s_own_lines_are_written_byte_for_byte_and_read() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    fill(&client(&namespace), 1000).unwrap();
    for words in [
        "-p tcp -s 10.200.0.1 -d 10.0.0.2 --sport 1 --dport 2 --state SYN_SENT --src-nat 1.2.3.4:77",
        "-p udp -s 10.200.0.1 -d 10.0.0.2 --sport 3 --dport 2 --src-nat 1.2.3.4 --dst-nat 9.9.9.9:53",
        "-p udp -s 2001:db8::1 -d ::1.2.3.4 --sport 3 --dport 4 --src-nat ::ffff:5.6.7.8",
        "-p icmp -s 10.200.0.1 -d 10.0.0.4 --icmp-type 8 --icmp-code 0 --icmp-id 77 --src-nat 1.2.3.4",
        "-p 50 -s 10.200.0.1 -d 10.0.0.4 --dst-nat 1.2.3.4",
        "-p tcp -s 10.200.0.9 -d 10.0.0.2 --sport 7 --dport 2 --state LISTEN -u ASSURED,FIXED_TIMEOUT",
    ] {
        let words: Vec<&str> = ["-I", "-t", "5000"]
            .into_iter()
            .chain(words.split(' '))
            .collect();
        conntrack(&namespace, &words);
    }
    let theirs = conntrack(&namespace, &["-L", "-o", "save"]);
    let files = Files::new();
    let ours = files.path("ours");
    run(&namespace, "save", &ours, &["--format", "conntrack"]).exits(0);
    let ours_text = std::fs::read_to_string(&ours).unwrap();
    assert_eq!(still(&theirs).len(), 1006);
    let none = Vec::<String>::new();
    assert_eq!(difference(&still(&ours_text), &still(&theirs)), none);

    // What they wrote, we read; what we wrote, they read.
    let file = files.path("theirs");
    std::fs::write(&file, &theirs).unwrap();
    conntrack(&namespace, &["-F"]);
    let restored = run(&namespace, "restore", &file, &[]).exits(0);
    assert_eq!(restored.out, "1006 created\n");
    let back = still(&conntrack(&namespace, &["-L", "-o", "save"]));
    assert_eq!(difference(&back, &still(&theirs)), none);
    conntrack(&namespace, &["-F"]);
    conntrack(&namespace, &["-R", ours.to_str().unwrap()]);
    assert_eq!(namespace.conntrack_count().unwrap(), 1006);
}

#[test]
fn what_an_entry_cannot_have_here_is_left_out_and_counted() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    namespace.nft(LABELS).unwrap();
    let table = client(&namespace);
    let master = tcp("10.0.0.1", 1000, "192.0.2.1", 21);
    let child = |port| NewEntry {
        master: Some(master.orig),
        ..tcp("10.0.0.1", port, "192.0.2.1", 20)
    };
    let grandchild = NewEntry {
        master: Some(child(1).orig),
        ..tcp("10.0.0.1", 5, "192.0.2.1", 20)
    };
    let labelled = NewEntry {
        labels: Some(ctnetlink::Labels::from_bits(9)),
        ..udp("10.0.0.3", 1, "192.0.2.1", 53)
    };
    for entry in [master.clone(), child(1), child(2), grandchild, labelled] {
        table.create(entry).unwrap();
    }
    let files = Files::new();
    let file = files.path("table");
    run(&namespace, "save", &file, &[]).exits(0);

    let Some(elsewhere) = TestNamespace::new() else {
        return;
    };
    let restored = run(&elsewhere, "restore", &file, &[]).exits(0);
    assert_eq!(restored.out, "5 created\n");
    assert!(
        restored.err.contains("1 created without labels"),
        "{}",
        restored.err
    );
    let expected = tracklight(&elsewhere, &["count", "--status", "EXPECTED"]).exits(0);
    assert_eq!(expected.out.trim(), "3");
    let Some(orphans) = TestNamespace::new() else {
        return;
    };
    let restored = run(&orphans, "restore", &file, &["--dport", "20"]).exits(0);
    assert_eq!(restored.out, "3 created\n");
    assert!(
        restored
            .err
            .contains("2 created without the connection that expected them"),
        "{}",
        restored.err
    );
}

#[test]
fn what_is_in_the_way_stays_unless_it_is_to_be_replaced() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let table = client(&namespace);
    let saved = udp("10.0.0.1", 1, "192.0.2.1", 53);
    table.create(saved.clone()).unwrap();
    let files = Files::new();
    let file = files.path("table");
    run(&namespace, "save", &file, &[]).exits(0);
    conntrack(&namespace, &["-F"]);
    // Two others have one of its tuples each.
    let mut opener = saved.clone();
    opener.reply.dst = "198.51.100.1".parse().unwrap();
    let mut answerer = udp("10.0.0.2", 1, "192.0.2.1", 53);
    answerer.reply = saved.reply;
    for entry in [opener, answerer] {
        table.create(entry).unwrap();
    }

    let preview = run(&namespace, "restore", &file, &["-N"]).exits(0);
    assert_eq!(
        preview.out,
        "0 would be created, 1 with another in the way\n"
    );
    let refused = run(&namespace, "restore", &file, &[]).exits(1);
    assert_eq!(refused.out, "0 created, 1 refused by the kernel\n");
    assert!(refused.err.contains("[exists]"), "{}", refused.err);
    assert_eq!(namespace.conntrack_count().unwrap(), 2);
    let replaced = run(&namespace, "restore", &file, &["--replace"]).exits(0);
    assert_eq!(
        replaced.out,
        "1 created, 1 of them in the place of others\n"
    );
    assert_eq!(namespace.conntrack_count().unwrap(), 1);
    let nothing = run(&namespace, "restore", &file, &["-p", "tcp"]).exits(1);
    assert_eq!(nothing.out, "0 created\n");
}

#[test]
fn a_damaged_file_restores_nothing_unless_the_good_part_is_asked_for() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    fill(&client(&namespace), 5000).unwrap();
    let files = Files::new();
    let file = files.path("table");
    run(&namespace, "save", &file, &[]).exits(0);
    conntrack(&namespace, &["-F"]);
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 30]).unwrap();

    let refused = run(&namespace, "restore", &file, &[]).exits(4);
    assert!(refused.err.contains("[cut-off]"), "{}", refused.err);
    assert!(
        refused.err.contains("nothing was restored"),
        "{}",
        refused.err
    );
    assert_eq!(namespace.conntrack_count().unwrap(), 0);
    let partly = run(&namespace, "restore", &file, &["--damaged"]).exits(1);
    assert!(partly.err.contains("[cut-off]"), "{}", partly.err);
    let count = namespace.conntrack_count().unwrap();
    assert_eq!(partly.out, format!("{count} created\n"));
    assert!(count > 1000);

    let text = files.path("text");
    std::fs::write(&text, "-A -t 9 -s 10.0.0.1 -d 10.0.0.2 -p 50\n-D -p udp\n").unwrap();
    let refused = run(&namespace, "restore", &text, &[]).exits(4);
    assert!(
        refused.err.contains("line 2: -D does not belong"),
        "{}",
        refused.err
    );
    assert!(refused.err.contains("[bad-line]"), "{}", refused.err);
}

#[test]
fn files_that_are_none_of_ours_and_files_that_are_there_are_refused_in_words() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    client(&namespace)
        .create(udp("10.0.0.1", 1, "192.0.2.1", 53))
        .unwrap();
    let files = Files::new();
    let (there, empty) = (files.path("there"), files.path("empty"));
    std::fs::write(&there, "precious").unwrap();
    std::fs::write(&empty, "").unwrap();
    for (file, status, code) in [
        (there.as_path(), 2, "[not-a-table]"),
        (&empty, 2, "[not-a-table]"),
        (files.0.path(), 2, "[unreadable]"),
        (&files.path("missing"), 2, "[unreadable]"),
    ] {
        let refused = run(&namespace, "restore", file, &[]).exits(status);
        assert!(refused.err.contains(code), "{}", refused.err);
    }
    let refused = run(&namespace, "save", &there, &[]).exits(1);
    assert!(refused.err.contains("[file-exists]"), "{}", refused.err);
    for place in [files.0.path(), &files.path("no/such/folder")] {
        let refused = run(&namespace, "save", place, &["--force"]).exits(4);
        assert!(refused.err.contains("[output-failed]"), "{}", refused.err);
    }
    assert_eq!(std::fs::read_to_string(&there).unwrap(), "precious");
    assert_eq!(files.names(), ["empty", "there"]);

    let link = files.path("link");
    std::os::unix::fs::symlink(&there, &link).unwrap();
    run(&namespace, "save", &link, &["--force"]).exits(0);
    assert!(link.is_symlink(), "what the link points to is replaced");
    let already = run(&namespace, "restore", &there, &[]).exits(0);
    assert_eq!(already.out, "0 created, 1 already there\n");
    // A device is written to, not replaced.
    run(&namespace, "save", Path::new("/dev/null"), &["--force"]).exits(0);
    assert!(!Path::new("/dev/null").is_file());
}

#[test]
fn a_table_goes_through_pipes() {
    let Some((from, to)) = TestNamespace::new().zip(TestNamespace::new()) else {
        return;
    };
    fill(&client(&from), 500).unwrap();
    for flags in [&[][..], &["--format", "conntrack"]] {
        let mut save = command(&from, &[&["save", "-"], flags].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let restore = command(&to, &["restore", "-"])
            .stdin(save.stdout.take().unwrap())
            .output()
            .unwrap();
        let saved = Ran::from(save.wait_with_output().unwrap()).exits(0);
        assert!(saved.err.contains("500 saved"), "{}", saved.err);
        let restored = Ran::from(restore).exits(0);
        assert_eq!(restored.out, "500 created\n");
        conntrack(&to, &["-F"]);
    }
}

#[test]
fn saving_says_what_was_asked() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let mut entry = tcp("10.0.0.1", 1, "192.0.2.1", 443);
    entry.status |= Status::ASSURED;
    client(&namespace).create(entry).unwrap();
    let files = Files::new();
    let file = files.path("table");
    run(&namespace, "save", &file, &["-p", "tcp", "--force"]).exits(0);
    let saved = engine::Saved::open(&file).unwrap();
    let header = saved.header();
    assert_eq!(header.filter.as_deref(), Some("proto == tcp"));
    assert_eq!(
        (header.accounting, header.timestamps),
        (Some(true), Some(true))
    );
    assert!(header.taken_ns.is_some() && header.host.is_some() && header.kernel.is_some());
}
