use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;
use testkit::TestNamespace;
use testkit::fill::fill;

use crate::run::{Ran, client, tcp, tracklight, udp};

/// A table of all protocols, both families, zones, translation, marks, labels and helpers.
fn filled() -> Option<TestNamespace> {
    let namespace = TestNamespace::new()?;
    fill(&client(&namespace), 3000).unwrap();
    Some(namespace)
}

fn group(namespace: &TestNamespace, flags: &[&str]) -> Ran {
    tracklight(namespace, &[&["group"], flags].concat())
}

/// Connections of each group: its key as JSON, and how many.
type Counts = BTreeMap<String, u64>;

fn counts<'a>(rows: impl IntoIterator<Item = &'a Value>) -> Counts {
    let rows = rows.into_iter();
    rows.map(|row| (row["key"].to_string(), row["connections"].as_u64().unwrap()))
        .collect()
}

/// The same, out of the list of all entries.
fn counted(entries: &[Value], key: impl Fn(&Value) -> Value) -> Counts {
    let mut counts = Counts::new();
    for entry in entries {
        *counts.entry(key(entry).to_string()).or_default() += 1;
    }
    counts
}

#[test]
fn groups_of_a_mixed_table_are_what_its_list_adds_up_to() {
    let Some(namespace) = filled() else { return };
    let list = tracklight(&namespace, &["list", "-o", "json"])
        .exits(0)
        .json();
    let entries = list.as_array().unwrap();
    let protocol = |entry: &Value| {
        let number = entry["protocol_number"].to_string();
        entry["protocol"].as_str().map_or(number, str::to_owned)
    };
    let field = |name: &str, entry: &Value| match name {
        "proto" => protocol(entry).into(),
        "family" | "state" | "mark" | "zone" | "helper" => entry[name].clone(),
        "label" => entry["labels"].clone(),
        "src" | "dst" | "sport" | "dport" => entry["orig"][name].clone(),
        "peer" => entry["reply"]["src"].clone(),
        "reply.dst" => entry["reply"]["dst"].clone(),
        "reply.dport" => entry["reply"]["dport"].clone(),
        _ => panic!("{name}"),
    };
    for by in [
        &["src"][..],
        &["proto"],
        &["dport"],
        &["state", "family"],
        &["peer", "mark", "zone"],
        &["helper", "label"],
        &["reply.dst", "reply.dport", "dst", "sport"],
    ] {
        let ran = group(&namespace, &["--by", &by.join(","), "-o", "json"]).exits(0);
        let json = ran.json();
        assert_eq!(json["by"], Value::from(by));
        let expected = counted(entries, |entry| {
            by.iter()
                .map(|name| ((*name).to_owned(), field(name, entry)))
                .collect()
        });
        assert_eq!(
            counts(json["groups"].as_array().unwrap()),
            expected,
            "{by:?}"
        );
        assert_eq!(json["total"]["connections"], entries.len());
        assert_eq!(json["total"]["groups"], expected.len());
        assert_eq!(json["complete"], true);
        assert_eq!(json.get("others"), None);
    }
}

#[test]
fn every_format_says_the_same() {
    let Some(namespace) = filled() else { return };
    let flags = ["--by", "proto,dport", "-n", "5", "-o"];
    let run = |format: &str| group(&namespace, &[&flags[..], &[format]].concat()).exits(0);
    let json = run("json").json();
    let rows = json["groups"].as_array().unwrap();
    assert_eq!(rows.len(), 5);

    let lines: Vec<Value> = run("ndjson")
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (last, groups) = lines.split_last().unwrap();
    assert_eq!(counts(groups), counts(rows));
    assert_eq!(last["total"]["connections"], json["total"]["connections"]);
    assert_eq!(last["others"]["groups"], json["others"]["groups"]);
    assert_eq!(last["complete"], true);

    let cells = |text: &Value| match text {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let key = |row: &Value| [&row["key"]["proto"], &row["key"]["dport"]].map(cells);
    let csv = run("csv").out;
    let mut lines = csv.split("\r\n");
    let heading: Vec<&str> = lines.next().unwrap().split(',').collect();
    let mut table: Vec<BTreeMap<&str, &str>> = lines
        .filter(|line| !line.is_empty())
        .map(|line| heading.iter().copied().zip(line.split(',')).collect())
        .collect();
    let others = table.pop().unwrap();
    assert_eq!((others["row"], others["proto"]), ("others", ""));
    assert_eq!(
        others["connections"],
        json["others"]["connections"].to_string()
    );
    assert_eq!(table.len(), 5);
    for (line, row) in table.iter().zip(rows) {
        assert_eq!([line["proto"], line["dport"]], key(row));
        for name in ["connections", "bytes", "bytes_orig", "packets", "uncounted"] {
            assert_eq!(line[name], row[name].to_string(), "{name}");
        }
        let share: f64 = line["share"].parse().unwrap();
        assert_eq!(Some(share), row["share"].as_f64());
        assert_eq!(line["row"], "group");
    }

    let out = run("table").out;
    let mut lines = out.lines();
    let heading: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(heading[..4], ["PROTO", "DPORT", "CONNECTIONS", "SHARE"]);
    for row in rows {
        let line = lines.next().unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        let mut expected: Vec<String> = key(row).into();
        expected.retain(|cell| !cell.is_empty());
        expected.push(row["connections"].to_string());
        expected.push(format!("{:.1}", row["share"].as_f64().unwrap() * 100.0));
        assert_eq!(words.get(..expected.len()).unwrap(), expected, "{line}");
    }
    let groups = &json["others"]["groups"];
    assert!(
        lines
            .next()
            .unwrap()
            .starts_with(&format!("{groups} others "))
    );
    let groups = &json["total"]["groups"];
    assert!(
        lines
            .next()
            .unwrap()
            .starts_with(&format!("{groups} groups "))
    );
    assert_eq!(lines.next(), None);
}

#[test]
fn orders_limits_and_filters() {
    let Some(namespace) = filled() else { return };
    let keys = |flags: &[&str]| -> Vec<Value> {
        let json = group(&namespace, &[flags, &["-o", "json"]].concat())
            .exits(0)
            .json();
        let rows = json["groups"].as_array().unwrap();
        rows.iter().map(|row| row["key"].clone()).collect()
    };
    let ports: Vec<Option<u64>> = keys(&["--by", "dport", "--sort", "key"])
        .iter()
        .map(|key| key["dport"].as_u64())
        .collect();
    assert_eq!(ports.first(), Some(&Some(21)));
    assert_eq!(ports.last(), Some(&None), "what has no port comes last");
    assert!(ports.iter().rev().skip(1).is_sorted_by(|a, b| a > b));
    let all = keys(&["--by", "dport"]);
    let mut reversed = keys(&["--by", "dport", "--reverse"]);
    reversed.reverse();
    assert_eq!(all, reversed);
    assert_eq!(keys(&["--by", "dport", "-n", "7"]), all.get(..7).unwrap());
    assert_eq!(keys(&["--by", "dport", "-n", "0"]), [Value::Null; 0]);

    let udp = keys(&["--by", "proto,family", "-p", "udp", "-f", "6"]);
    assert_eq!(udp, [serde_json::json!({"proto": "udp", "family": "ipv6"})]);
    for sort in ["bytes", "packets", "newest"] {
        let mut sorted: Vec<String> = keys(&["--by", "proto", "--sort", sort])
            .iter()
            .map(Value::to_string)
            .collect();
        let mut all: Vec<String> = keys(&["--by", "proto"])
            .iter()
            .map(Value::to_string)
            .collect();
        sorted.sort();
        all.sort();
        assert_eq!(sorted, all, "{sort}");
    }

    let ran = group(
        &namespace,
        &["--by", "sport,src", "--max-groups", "10", "-o", "json"],
    )
    .exits(0);
    let json = ran.json();
    assert_eq!(json["total"]["groups"], 10);
    assert_eq!(json["total"]["connections"], 3000);
    assert_eq!(json["ungrouped"]["connections"], 2990);
    assert!(
        ran.err.contains("more than 10 groups: 2990 connections"),
        "{}",
        ran.err
    );
    let table = group(&namespace, &["--by", "sport,src", "--max-groups", "10"]).exits(0);
    assert!(table.out.contains("\nnot grouped "), "{}", table.out);
}

#[test]
fn what_was_not_counted_is_absent_and_said() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let switch = |name: &str, on: &str| {
        namespace
            .sysctl(&format!("net/netfilter/nf_conntrack_{name}"), on)
            .unwrap();
    };
    switch("acct", "0");
    switch("timestamp", "0");
    let client = client(&namespace);
    client
        .create(tcp("10.0.0.1", 1001, "192.0.2.1", 443))
        .unwrap();
    client
        .create(udp("10.0.0.2", 1002, "192.0.2.1", 53))
        .unwrap();
    let flags = ["--by", "src", "--sort", "key"];
    let off = group(&namespace, &flags).exits(0);
    let heading = off.out.lines().next().unwrap();
    assert_eq!(
        heading, "SRC       CONNECTIONS    SHARE",
        "what is empty everywhere is not shown"
    );
    assert_eq!(off.err, "");
    let json = group(&namespace, &[&flags[..], &["-o", "json"]].concat())
        .exits(0)
        .json();
    for row in json["groups"]
        .as_array()
        .unwrap()
        .iter()
        .chain([&json["total"]])
    {
        for name in [
            "bytes",
            "bytes_orig",
            "share_bytes",
            "packets",
            "newest_start_ns",
        ] {
            assert_eq!(row.get(name), None, "{name} in {row}");
        }
        assert_eq!(row["uncounted"], row["connections"]);
    }

    switch("acct", "1");
    switch("timestamp", "1");
    client
        .create(tcp("10.0.0.1", 1003, "192.0.2.1", 443))
        .unwrap();
    let on = group(&namespace, &flags).exits(0);
    assert!(
        on.err.contains("2 of 3 connections have no counters"),
        "{}",
        on.err
    );
    let json = group(&namespace, &[&flags[..], &["-o", "json"]].concat())
        .exits(0)
        .json();
    let [first, second] = &json["groups"].as_array().unwrap()[..] else {
        panic!("{json}");
    };
    // Zero is what somebody counted: nothing has passed.
    assert_eq!(
        (&first["bytes"], &first["uncounted"]),
        (&0.into(), &1.into())
    );
    assert!(first["newest_start_ns"].as_u64() > Some(0));
    assert_eq!(
        (second.get("bytes"), second.get("newest_start_ns")),
        (None, None)
    );
    assert_eq!(
        json["total"].get("share_bytes"),
        None,
        "there is nothing to share"
    );
}

#[test]
fn marks_have_the_configured_names() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let client = client(&namespace);
    for (port, mark) in [(1, 0x0001_0501), (2, 0x0002_0501), (3, 0x0003_5b01), (4, 0)] {
        let mut entry = tcp("10.0.0.1", port, "192.0.2.1", 443);
        entry.mark = Some(mark);
        client.create(entry).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("tracklight.toml");
    std::fs::write(
        &config,
        "[marks.uplink]\nnames = { 1 = 'fibre', 2 = 'fibre', 3 = 'lte' }\n",
    )
    .unwrap();
    let config = config.to_str().unwrap();
    let rows = |by: &str| {
        let flags = ["--by", by, "--config", config, "-o", "json"];
        counts(
            group(&namespace, &flags).exits(0).json()["groups"]
                .as_array()
                .unwrap(),
        )
    };
    let expected = |rows: &[(&str, u64)]| -> Counts {
        rows.iter()
            .map(|(key, count)| ((*key).to_owned(), *count))
            .collect()
    };
    assert_eq!(
        rows("provider"),
        expected(&[
            (r#"{"provider":"fibre"}"#, 2),
            (r#"{"provider":"lte"}"#, 1),
            (r#"{"provider":null}"#, 1),
        ])
    );
    assert_eq!(
        rows("app,prio"),
        expected(&[
            (r#"{"app":"DNS","prio":"high"}"#, 2),
            (r#"{"app":"SSL","prio":"high"}"#, 1),
            (r#"{"app":null,"prio":"default"}"#, 1),
        ])
    );
    let missing = group(&namespace, &["--by", "app", "--config", "/nonexistent"]).exits(4);
    assert!(missing.err.contains("[configuration]"), "{}", missing.err);
}

#[test]
fn networks_of_both_families() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let client = client(&namespace);
    for (src, dst) in [
        ("10.0.0.1", "192.0.2.1"),
        ("10.0.0.200", "192.0.2.1"),
        ("10.0.1.1", "192.0.2.1"),
        ("2001:db8:0:1::1", "2001:db8:f::1"),
        ("2001:db8:0:1::2", "2001:db8:f::1"),
        ("2001:db8:0:2::1", "2001:db8:f::1"),
    ] {
        client.create(tcp(src, 1000, dst, 443)).unwrap();
    }
    let rows = |by: &str| -> Vec<String> {
        let csv = group(&namespace, &["--by", by, "-o", "csv", "--sort", "key"])
            .exits(0)
            .out;
        let cells = csv
            .lines()
            .map(|line| line.split(',').take(2).collect::<Vec<_>>().join(" "));
        cells.collect()
    };
    assert_eq!(
        rows("/24"),
        [
            "src/24 connections",
            "10.0.0.0/24 2",
            "10.0.1.0/24 1",
            "2001:db8:0:1::/64 2",
            "2001:db8:0:2::/64 1",
        ]
    );
    assert_eq!(
        rows("src/8/48"),
        ["src/8/48 connections", "10.0.0.0/8 3", "2001:db8::/48 3"]
    );
    assert_eq!(
        rows("src/48"),
        [
            "src/48 connections",
            "10.0.0.1 1",
            "10.0.0.200 1",
            "10.0.1.1 1",
            "2001:db8::/48 3",
        ]
    );
}

#[test]
fn wrong_usage_and_empty_tables_are_told_apart() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    for (flags, part) in [
        (&["--by", "scr"][..], "did you mean src?"),
        (
            &["--by", "src,dst,sport,dport,proto"],
            "there is nothing to group by 5 fields",
        ),
        (&["--by", "src,src"], "src is to be grouped by twice"),
        (&["--by", "src/99/1"], "0 to 32 for IPv4"),
        (
            &["--by", "src", "-o", "conntrack"],
            "a group is not an entry",
        ),
        (
            &["--by", "src", "-o", "conntrack,id"],
            "a group is not an entry",
        ),
        (
            &["--by", "src", "-o", "xml"],
            "expected table, json, ndjson or csv",
        ),
        (&["--by", "src", "--sort", "size"], "size"),
        (&["--by", "src", "--max-groups", "0"], "--max-groups"),
        (
            &["--by", "src", "--max-groups", "9999999999"],
            "--max-groups",
        ),
        (&[], "--by"),
    ] {
        let ran = group(&namespace, flags).exits(2);
        assert!(
            ran.err.contains(part) && ran.err.contains("[usage]"),
            "{flags:?}: {}",
            ran.err
        );
        assert_eq!(ran.out, "");
    }
    let help = group(&namespace, &["--by", "help"]).exits(0);
    assert!(help.out.contains("peer.port "), "{}", help.out);

    let empty = group(&namespace, &["--by", "src"]).exits(1);
    assert!(
        empty.err.contains("the connection table is empty"),
        "{}",
        empty.err
    );
    assert_eq!(empty.out, "");
    client(&namespace)
        .create(udp("10.0.0.1", 1, "192.0.2.1", 53))
        .unwrap();
    let none = group(&namespace, &["--by", "src", "-p", "tcp", "-o", "json"]).exits(1);
    assert!(
        none.err.contains("none of the 1 connections is such"),
        "{}",
        none.err
    );
    assert_eq!(none.json()["total"]["connections"], 0);
}

#[test]
fn behind_translation_the_peer_is_the_true_other_end() {
    let Some(_) = TestNamespace::new() else {
        return;
    };
    let ran: Ran = Command::new(env!("CARGO_BIN_EXE_tracklight"))
        .args([
            "demo",
            "group",
            "--by",
            "nat,dst,peer,reply.dst",
            "-o",
            "json",
        ])
        .output()
        .unwrap()
        .into();
    let json = ran.exits(0).json();
    let rows = json["groups"].as_array().unwrap();
    let of =
        |nat: &str| -> Vec<&Value> { rows.iter().filter(|row| row["key"]["nat"] == nat).collect() };
    let published = of("dnat");
    assert!(!published.is_empty(), "{json}");
    for row in published {
        assert_eq!(
            row["key"]["dst"], "203.0.113.5",
            "what the opener sent it to"
        );
        assert_eq!(row["key"]["peer"], "10.0.0.2", "who answers in truth");
    }
    let outward = of("snat");
    assert!(!outward.is_empty(), "{json}");
    for row in &outward {
        assert_eq!(row["key"]["dst"], row["key"]["peer"]);
        assert_eq!(
            row["key"]["reply.dst"], "203.0.113.5",
            "the address that is seen"
        );
    }
    assert!(!of("none").is_empty(), "IPv6 is not translated: {json}");
    let moved = outward.iter().filter_map(|row| row["bytes"].as_u64());
    assert!(moved.sum::<u64>() > 0);
    let now = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap()
        .as_nanos();
    for row in rows {
        let newest = row["newest_start_ns"].as_u64().unwrap();
        assert!(row["oldest_start_ns"].as_u64().unwrap() <= newest && u128::from(newest) <= now);
    }
}
