//! The query language on the command line, saved tables in its place, deleting by it.

use ctnetlink::{Change, NewEntry};
use testkit::{Namespace, TestNamespace};

use crate::run::{Ran, client, command, tcp, tracklight, udp};

fn fill(namespace: &Namespace, entries: Vec<NewEntry>) {
    let changes = entries
        .into_iter()
        .map(|entry| Change::Create(Box::new(entry)));
    client(namespace)
        .apply(changes, |_, result| result.unwrap())
        .unwrap();
}

/// Three connections: web, DNS, and DNS over IPv6.
fn three(namespace: &Namespace) {
    fill(
        namespace,
        vec![
            tcp("10.0.0.2", 40_000, "192.0.2.1", 443),
            udp("10.0.0.3", 5353, "192.0.2.53", 53),
            udp("2001:db8::3", 5353, "2001:db8::53", 53),
        ],
    );
}

#[test]
fn a_query_and_its_flags_and_its_words_are_the_same() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    three(&namespace);
    let sources = |arguments: &[&str]| {
        let fixed = ["list", "-o", "csv", "--columns", "src", "--sort", "src"];
        let ran = tracklight(&namespace, &[&fixed, arguments].concat()).exits(0);
        ran.out
            .lines()
            .skip(1)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let expected = ["10.0.0.3", "2001:db8::3"];
    assert_eq!(sources(&["udp and dport == 53"]), expected);
    assert_eq!(sources(&["udp", "and", "dport", "==", "domain"]), expected);
    assert_eq!(sources(&["-p", "udp", "--dport", "domain"]), expected);
    assert_eq!(sources(&["-p", "udp", "dport == 53"]), expected);
    assert_eq!(
        sources(&["dport == 53 or dport == 443", "-p", "tcp,udp", "-f", "6"]),
        ["2001:db8::3"]
    );
    assert_eq!(sources(&["net 10.0.0.0/24"]), ["10.0.0.2", "10.0.0.3"]);
    for (query, count) in [
        ("", "3"),
        ("udp", "2"),
        ("age < 1h", "3"),
        ("tcp and udp", "0"),
    ] {
        let ran = tracklight(&namespace, &["count", query]);
        assert_eq!(ran.out.trim(), count, "{query}: {ran:?}");
    }
}

#[test]
fn a_wrong_query_is_marked_at_its_place() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    for subcommand in ["list", "count", "watch", "delete", "update", "flush"] {
        let ran = tracklight(&namespace, &[subcommand, "tcp and dprt == 53"]).exits(2);
        let lines: Vec<&str> = ran.err.lines().collect();
        assert!(lines[0].contains("\"dprt\"") && lines[0].contains("[query-unknown-name]"));
        assert_eq!(
            lines[1..3],
            ["  tcp and dprt == 53", "          ^^^^"],
            "{ran:?}"
        );
        assert!(lines[3].contains("did you mean dport"), "{ran:?}");
    }
}

#[test]
fn explain_shows_what_the_kernel_does_and_what_is_left() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let run =
        |arguments: &[&str]| tracklight(&namespace, &[&["query", "explain"], arguments].concat());
    let ran = run(&["host 10.0.0.5 and bytes > 1MB"]).exits(0);
    for line in [
        "query   host == 10.0.0.5 and bytes > 1MB",
        "kernel  ipv4 and src == 10.0.0.5",
        "    or  ipv4 and reply.dst == 10.0.0.5",
        "        in 4 walks of the table",
        "rest    bytes > 1MB",
    ] {
        assert!(ran.out.contains(line), "{line}: {}", ran.out);
    }
    let json = run(&["-o", "json", "tcp", "and", "udp"]).exits(0).json();
    assert_eq!(json["requests"], 0);
    assert_eq!(json["warnings"][0]["code"], "always-false");
    let json = run(&["-o", "json", "dport == htps"]).exits(2).json();
    assert_eq!(json["code"], "query-unknown-name");
    assert_eq!(
        (json["offset"].as_u64(), json["length"].as_u64()),
        (Some(9), Some(4))
    );
    assert!(json["hint"].as_str().unwrap().contains("https"));
    let ran = tracklight(&namespace, &["query", "complete", "state in {TIME_W"]).exits(0);
    assert_eq!(ran.out, "TIME_WAIT\t\n");
    let ran = tracklight(&namespace, &["query", "fields"]).exits(0);
    assert!(ran.out.contains("dport in {80, 443, 8000-8999}") && ran.out.contains("assured"));
}

#[test]
fn configured_names_and_own_addresses_are_known_to_queries() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    namespace.ip("addr add 203.0.113.5/24 dev lo\n").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("tracklight.toml");
    std::fs::write(
        &config,
        "[marks.uplink.names]\n1 = \"fibre\"\n2 = \"lte backup\"\n",
    )
    .unwrap();
    let config = config.to_str().unwrap();
    let mut marked = tcp("10.0.0.2", 1, "192.0.2.1", 443);
    marked.mark = Some(0x2_0000);
    let own = udp("203.0.113.5", 1, "192.0.2.1", 53);
    fill(&namespace, vec![marked, own]);
    let count = |query: &str| tracklight(&namespace, &["count", "--config", config, query]).out;
    assert_eq!(count("provider == \"lte backup\""), "1\n");
    assert_eq!(count("provider == fibre"), "0\n");
    assert_eq!(count("local"), "1\n");
    assert_eq!(count("local or has provider"), "2\n");
}

#[test]
fn a_saved_table_takes_the_kernel_s_place() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    testkit::fill(&client(&namespace), 200).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("table");
    let file = file.to_str().unwrap();
    tracklight(&namespace, &["save", file]).exits(0);
    let entry = tracklight(&namespace, &["list", "-o", "json", "-n", "1", "tcp"]).json();
    let get = |ran: Ran| ran.exits(0).json()["id"].clone();
    let text = |value: &serde_json::Value| value.to_string().trim_matches('"').to_owned();
    let (orig, zone) = (&entry[0]["orig"], text(&entry[0]["zone"]));
    let [src, dst, sport, dport] = ["src", "dst", "sport", "dport"].map(|name| text(&orig[name]));
    let tuple = [
        "get", "-o", "json", "-p", "tcp", "-s", &src, "-d", &dst, "--sport", &sport, "--dport",
        &dport, "-w", &zone,
    ];
    assert_eq!(
        get(tracklight(
            &namespace,
            &[&tuple[..], &["--from", file]].concat()
        )),
        entry[0]["id"]
    );

    // Whatever passes by in the kernel, ages and timeouts are those of the file.
    for arguments in [
        &[
            "list",
            "-o",
            "csv",
            "--columns",
            "src,dst,sport,dport,proto,mark,id",
            "--sort",
            "id",
            "udp or dport < 1000",
        ][..],
        &[
            "list",
            "-o",
            "csv",
            "--columns",
            "id",
            "--sort",
            "id",
            "-n",
            "7",
        ],
        &["count", "not nat and src in 10.0.0.0/8"],
        &[
            "group",
            "--by",
            "proto,zone",
            "-o",
            "csv",
            "--sort",
            "key",
            "ipv4",
        ],
    ] {
        let columns_that_stand = |ran: Ran| {
            let out = ran.exits(0).out;
            // The newest of a group ages.
            out.lines()
                .map(|line| line.split(',').take(7).collect::<Vec<_>>().join(","))
                .collect::<Vec<_>>()
        };
        let from_kernel = columns_that_stand(tracklight(&namespace, arguments));
        let from_file = columns_that_stand(tracklight(
            &namespace,
            &[arguments, &["--from", file]].concat(),
        ));
        assert_eq!(from_file, from_kernel, "{arguments:?}");
        assert!(from_file.iter().any(|line| !line.is_empty()));
    }

    // A part of it, from file to file, and through a pipe.
    let part = folder.path().join("part");
    let part = part.to_str().unwrap();
    tracklight(&namespace, &["save", "--from", file, "udp", part]).exits(0);
    let count = |arguments: &[&str]| tracklight(&namespace, &[&["count"], arguments].concat()).out;
    assert_eq!(count(&["--from", part]), count(&["--from", file, "udp"]));
    let mut piped = command(&namespace, &["count", "--from", "-", "udp"]);
    let piped: Ran = piped
        .stdin(std::fs::File::open(file).unwrap())
        .output()
        .unwrap()
        .into();
    assert_eq!(piped.out, count(&["--from", file, "udp"]));

    for (arguments, told) in [
        (&["list", "--from", file, "--zero"][..], "can only be read"),
        (
            &["list", "--from", file, "--table", "dying"],
            "no such list",
        ),
        (&["list", "--from", file, "--netns", "x"], "leave out one"),
        (&["list", "--from", "/nonexistent"], "cannot read"),
    ] {
        let ran = tracklight(&namespace, arguments).exits(2);
        assert!(ran.err.contains(told), "{ran:?}");
    }
}

#[test]
fn what_is_deleted_can_be_put_back() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    three(&namespace);
    let folder = tempfile::tempdir().unwrap();
    let undo = folder.path().join("undo");
    let undo = undo.to_str().unwrap();
    let ran = tracklight(&namespace, &["delete", "udp", "--undo-file", undo]).exits(0);
    assert_eq!(ran.out, "2 matched: 2 deleted\n");
    let count = |query: &str| tracklight(&namespace, &["count", query]).out;
    assert_eq!(count(""), "1\n");
    // The only way back is not written over.
    let ran = tracklight(&namespace, &["delete", "tcp", "--undo-file", undo]).exits(1);
    assert!(ran.err.contains("[file-exists]"), "{ran:?}");
    assert_eq!(count(""), "1\n");
    tracklight(&namespace, &["restore", undo]).exits(0);
    assert_eq!(count("udp"), "2\n");
    // Nothing matched, nothing kept.
    let nothing = folder.path().join("nothing");
    let nothing = nothing.to_str().unwrap();
    let ran = tracklight(&namespace, &["delete", "sctp", "--undo-file", nothing]).exits(1);
    assert_eq!(ran.out, "0 matched: 0 deleted\n");
    assert!(!std::path::Path::new(nothing).exists());
    // Only a file that is not there yet is a way back.
    for path in ["-", "/dev/null", folder.path().to_str().unwrap()] {
        let ran = tracklight(&namespace, &["delete", "udp", "--undo-file", path]).exits(1);
        assert!(
            ran.err.contains("name a file that is not there yet"),
            "{ran:?}"
        );
    }
    assert_eq!(count("udp"), "2\n");
}

#[test]
fn the_own_session_is_not_cut_unless_forced() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let refill = || {
        fill(
            &namespace,
            vec![
                tcp("192.0.2.7", 50_000, "10.0.0.1", 22),
                udp("192.0.2.7", 1, "10.0.0.1", 53),
            ],
        );
    };
    refill();
    let folder = tempfile::tempdir().unwrap();
    let undo = folder.path().join("undo");
    let undo = undo.to_str().unwrap();
    let run = |arguments: &[&str]| -> Ran {
        let mut command = command(&namespace, arguments);
        command
            .env("SSH_CONNECTION", "192.0.2.7 50000 10.0.0.1 22")
            .output()
            .unwrap()
            .into()
    };
    for arguments in [
        &["delete", "src == 192.0.2.7"][..],
        &["delete", "--all"],
        &["delete", "tcp", "--undo-file", undo],
        &["flush"],
        &["flush", "tcp"],
        &["flush", "age >= 0"],
    ] {
        let ran = run(arguments).exits(1);
        assert!(ran.err.contains("[own-session]"), "{arguments:?}: {ran:?}");
        assert!(
            ran.err.contains("SSH from 192.0.2.7:50000 to 10.0.0.1:22"),
            "{ran:?}"
        );
    }
    assert!(!std::path::Path::new(undo).exists());
    assert_eq!(run(&["count"]).out, "2\n");
    let ran = run(&["delete", "-N", "tcp"]).exits(0);
    assert!(ran.err.contains("is among them"), "{ran:?}");

    // Picked up by an answer, it stands the other way round.
    fill(&namespace, vec![tcp("10.0.0.1", 23, "192.0.2.8", 50_001)]);
    let mut turned = command(&namespace, &["delete", "host == 192.0.2.8"]);
    turned.env("SSH_CONNECTION", "192.0.2.8 50001 10.0.0.1 23");
    Ran::from(turned.output().unwrap()).exits(1);
    run(&["delete", "host == 192.0.2.8"]).exits(0);

    // The hint's own words leave it out.
    let hint = run(&["delete", "src == 192.0.2.7"]).err;
    let rest = hint
        .split_once("… and ")
        .unwrap()
        .1
        .split_once("; or")
        .unwrap()
        .0;
    let ran = run(&["delete", &format!("src == 192.0.2.7 and {rest}")]).exits(0);
    assert_eq!(ran.out, "1 matched: 1 deleted\n");
    run(&["delete", "udp"]).exits(1);
    assert_eq!(
        run(&["delete", "tcp", "--force"]).exits(0).out,
        "1 matched: 1 deleted\n"
    );
    refill();
    run(&["flush", "--force"]).exits(0);
    assert_eq!(run(&["count"]).out, "0\n");
}

#[test]
fn the_good_entries_of_a_file_that_was_cut_are_listed_before_the_error() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    testkit::fill(&client(&namespace), 3000).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("table");
    tracklight(&namespace, &["save", file.to_str().unwrap()]).exits(0);
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() * 2 / 3]).unwrap();
    let list = |format: &str| {
        let arguments = ["list", "-o", format, "--from", file.to_str().unwrap()];
        tracklight(&namespace, &arguments).exits(4)
    };
    let ran = list("ndjson");
    let good = ran.out.lines().count();
    assert!(good > 500 && good < 3000, "{good}");
    let told = format!("the {good} entries before that are good [cut-off]");
    assert!(ran.err.contains(&told), "{}", ran.err);
    for format in ["conntrack", "table", "csv"] {
        let lines = list(format).out.lines().count();
        assert_eq!(lines, good + usize::from(format != "conntrack"), "{format}");
    }
}
