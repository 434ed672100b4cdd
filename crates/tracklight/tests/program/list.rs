use ctnetlink::{L4, NewEntry, Protocol, Status, TcpState, Tuple, Zone};
use testkit::TestNamespace;

use crate::run::{client, in_state, tcp, tracklight, udp};

/// Eight entries, each different in what a flag can tell apart.
fn mixed() -> Vec<NewEntry> {
    let mut waiting = tcp("10.0.0.1", 1001, "192.0.2.1", 443);
    waiting.protoinfo = Some(in_state(TcpState::TIME_WAIT));
    let mut marked = tcp("10.0.0.2", 1002, "192.0.2.1", 80);
    marked.mark = Some(0x5b03);
    let mut zoned = tcp("10.0.1.3", 1003, "192.0.2.2", 8080);
    zoned.zone = Zone::new(5);
    let mut source = tcp("10.0.1.4", 1004, "192.0.2.2", 8443);
    source.reply.dst = "203.0.113.5".parse().unwrap();
    let mut destination = tcp("198.51.100.5", 1005, "203.0.113.5", 8443);
    destination.reply.src = "10.0.0.9".parse().unwrap();
    let v6 = tcp("2001:db8::6", 1006, "2001:db8:1::1", 443);
    let query = udp("10.0.0.7", 1007, "192.0.2.53", 53);
    let echo = Tuple {
        src: "10.0.0.8".parse().unwrap(),
        dst: "192.0.2.1".parse().unwrap(),
        protocol: Protocol::ICMP,
        l4: L4::Icmp {
            kind: 8,
            code: 0,
            id: 1008,
        },
    };
    let mut echo = NewEntry::new(echo, 30);
    echo.status = Status::SEEN_REPLY;
    vec![waiting, marked, zoned, source, destination, v6, query, echo]
}

fn namespace_with(entries: Vec<NewEntry>) -> Option<TestNamespace> {
    let namespace = TestNamespace::new()?;
    let client = client(&namespace);
    for entry in entries {
        client.create(entry).unwrap();
    }
    Some(namespace)
}

/// Source ports name the entries; the echo has none.
fn selected(namespace: &TestNamespace, flags: &[&str]) -> Vec<String> {
    let flags = [
        &["list", "-o", "csv", "--columns", "sport", "--sort", "sport"],
        flags,
    ]
    .concat();
    let ran = tracklight(namespace, &flags);
    let mut lines: Vec<String> = ran.out.lines().map(|line| line.trim().to_owned()).collect();
    assert_eq!(lines.remove(0), "sport", "{ran:?}");
    assert_eq!(ran.status, i32::from(lines.is_empty()), "{ran:?}");
    lines
}

#[test]
fn each_filter_flag_selects_what_it_says() {
    let Some(namespace) = namespace_with(mixed()) else {
        return;
    };
    let all = ["1001", "1002", "1003", "1004", "1005", "1006", "1007", ""];
    assert_eq!(selected(&namespace, &[]), all);
    let cases: &[(&[&str], &[&str])] = &[
        (&["--proto", "udp"], &["1007"]),
        (&["--proto", "17,icmp"], &["1007", ""]),
        (&["--src", "10.0.0.2"], &["1002"]),
        (&["--src", "10.0.0.0/24"], &["1001", "1002", "1007", ""]),
        (
            &["--src", "10.0.0.2,10.0.1.0/24"],
            &["1002", "1003", "1004"],
        ),
        (&["--src", "2001:db8::6"], &["1006"]),
        (&["--src", "2001:db8::7"], &[]),
        (&["--dst", "2001:db8::/32"], &["1006"]),
        (&["--dst", "192.0.2.53"], &["1007"]),
        (&["--sport", "1003-1005"], &["1003", "1004", "1005"]),
        (&["--dport", "443"], &["1001", "1006"]),
        (&["--dport", "53,8000-8099"], &["1003", "1007"]),
        (&["--reply-src", "10.0.0.9"], &["1005"]),
        (&["--reply-dst", "203.0.113.5"], &["1004"]),
        (&["--reply-sport", "80"], &["1002"]),
        (&["--reply-dport", "1001"], &["1001"]),
        (&["--state", "TIME_WAIT"], &["1001"]),
        (&["--state", "time_wait,none"], &["1001"]),
        (&["--status", "UNREPLIED"], &["1007"]),
        (&["--status", "SEEN_REPLY,!ASSURED"], &[""]),
        (&["--mark", "0x5b03"], &["1002"]),
        (&["--mark", "3/0xff"], &["1002"]),
        (&["--zone", "5"], &["1003"]),
        (&["--zone", "0", "--proto", "icmp"], &[""]),
        (&["--family", "ipv6"], &["1006"]),
        (&["--nat"], &["1004", "1005"]),
        (&["--nat=src"], &["1004"]),
        (&["--nat=dst"], &["1005"]),
        (
            &["--nat=none", "--proto", "tcp", "-f", "4"],
            &["1001", "1002", "1003"],
        ),
        (
            &["--proto", "tcp", "--src", "10.0.0.1", "--dport", "80"],
            &[],
        ),
        (&["--src", "10.0.0.1", "--dst", "2001:db8:1::1"], &[]),
    ];
    for (flags, expected) in cases {
        assert_eq!(&selected(&namespace, flags), expected, "{flags:?}");
    }
}

#[test]
fn json_has_every_entry_and_leaves_out_what_is_not_known() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    namespace
        .sysctl("net/netfilter/nf_conntrack_acct", "0")
        .unwrap();
    namespace
        .sysctl("net/netfilter/nf_conntrack_timestamp", "0")
        .unwrap();
    mixed()
        .into_iter()
        .for_each(|entry| client(&namespace).create(entry).unwrap());
    let list = tracklight(&namespace, &["list", "-o", "json"])
        .exits(0)
        .json();
    let entries = list.as_array().unwrap();
    assert_eq!(entries.len(), 8);
    for entry in entries {
        assert_eq!(
            entry["orig"].get("bytes"),
            None,
            "accounting is off, so no zero: {entry}"
        );
        assert_eq!(entry.get("start_ns"), None);
    }
    let lines = tracklight(&namespace, &["list", "-o", "ndjson"])
        .exits(0)
        .out;
    let mut lines: Vec<serde_json::Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let mut entries = entries.clone();
    for list in [&mut lines, &mut entries] {
        list.sort_by_key(|entry| entry["id"].as_u64());
        // It ticks on between the two readings.
        list.iter_mut()
            .for_each(|entry| entry["timeout"] = serde_json::Value::Null);
    }
    assert_eq!(lines, entries);
}

#[test]
fn a_sort_with_a_limit_prints_the_first_of_the_order() {
    // Far enough apart that none overtakes another while the test runs.
    let timeout = |port: u16| 100_000 + 100 * (u32::from(port) * 7 % 300);
    let entries = (0..300).map(|port| {
        let mut entry = udp("10.0.0.1", port, "192.0.2.1", 53);
        entry.timeout = timeout(port);
        entry
    });
    let Some(namespace) = namespace_with(entries.collect()) else {
        return;
    };
    let ports = |flags: &[&str]| -> Vec<u16> {
        let flags = [
            &[
                "list",
                "-o",
                "csv",
                "--columns",
                "sport",
                "--sort",
                "timeout",
            ],
            flags,
        ];
        let out = tracklight(&namespace, &flags.concat()).exits(0).out;
        out.lines()
            .skip(1)
            .map(|line| line.trim().parse().unwrap())
            .collect()
    };
    let mut all: Vec<u16> = (0..300).collect();
    all.sort_by_key(|&port| std::cmp::Reverse(timeout(port)));
    assert_eq!(ports(&[]), all, "from the largest");
    assert_eq!(ports(&["--limit", "5"]), all[..5]);
    all.reverse();
    assert_eq!(
        ports(&["--reverse", "--limit", "7"]),
        all[..7],
        "turned round"
    );
}

#[test]
fn the_table_shows_translation_and_loses_nothing_but_width() {
    let Some(namespace) = namespace_with(mixed()) else {
        return;
    };
    let out = tracklight(&namespace, &["list", "--nat"]).exits(0).out;
    assert!(out.contains("as 203.0.113.5:1004"), "{out}");
    assert!(out.contains("to 10.0.0.9:8443"), "{out}");
    assert!(!out.contains('\u{1b}'), "no colour where nobody looks");
    let out = tracklight(&namespace, &["list", "--nat", "--color", "always"])
        .exits(0)
        .out;
    assert!(out.contains("\u{1b}["), "{out:?}");
    let out = tracklight(
        &namespace,
        &["list", "--columns", "id,mark", "-m", "0x5b03"],
    )
    .exits(0)
    .out;
    assert!(out.starts_with("ID ") && out.contains("0x5b03"), "{out}");
}

#[test]
fn a_pipe_gets_every_cell_whole_however_late_it_comes() {
    // The widths come from the first rows; the long ones come last.
    let mut entries: Vec<NewEntry> = (1..=300)
        .map(|port| udp("10.0.0.1", port, "192.0.2.1", 53))
        .collect();
    let mut late = tcp(
        "2001:db8:1111:2222:3333:4444:5555:6666",
        65000,
        "2001:db8::1",
        443,
    );
    late.reply.dst = "2001:db8:7777::1".parse().unwrap();
    late.timeout = 1000;
    entries.push(late);
    let Some(namespace) = namespace_with(entries) else {
        return;
    };
    let out = tracklight(&namespace, &["list", "--sort", "timeout"])
        .exits(0)
        .out;
    let last = out.lines().last().unwrap();
    for cell in [
        "[2001:db8:1111:2222:3333:4444:5555:6666]:65000",
        "as [2001:db8:7777::1]:65000",
        "ESTABLISHED",
    ] {
        assert!(last.contains(cell), "{last}");
    }
    let chosen = tracklight(
        &namespace,
        &["list", "-p", "udp", "--columns", "proto,helper,zone"],
    );
    assert!(
        chosen.exits(0).out.starts_with("PROTO  HELPER  ZONE"),
        "a chosen column stays"
    );
}

#[test]
fn counters_are_zeroed_only_where_the_kernel_can_select_so() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let at = (std::net::Ipv4Addr::LOCALHOST, 0);
    let _pair = netlab::tcp_connect(&namespace, at, &namespace, at).unwrap();
    let bytes = |flags: &[&str]| {
        let flags = [&["list", "-o", "json", "-p", "tcp"], flags].concat();
        let list = tracklight(&namespace, &flags).exits(0).json();
        list[0]["orig"]["bytes"].as_u64().unwrap()
    };
    assert!(bytes(&[]) > 0);
    assert!(bytes(&["--zero"]) > 0, "what was there is shown");
    assert_eq!(bytes(&[]), 0, "and then is gone");
    tracklight(&namespace, &["list", "--zero", "--limit", "1"]).exits(2);
    let refused = tracklight(&namespace, &["list", "--zero", "--src", "127.0.0.0/8"]).exits(4);
    assert!(refused.err.contains("unsupported"), "{refused:?}");
}

#[test]
fn an_empty_list_says_why() {
    let Some(tracked) = TestNamespace::new() else {
        return;
    };
    let ran = tracklight(&tracked, &["list"]).exits(1);
    assert!(ran.out.is_empty());
    assert!(ran.err.contains("table is empty"), "{ran:?}");
    // Where the kernel can tell that something tracks, nobody is told to turn it on.
    if client(&tracked)
        .is_tracking(ctnetlink::Family::Ipv4)
        .unwrap()
        == Some(true)
    {
        assert!(!ran.err.contains("nft"), "{ran:?}");
    }
    let untracked = testkit::Namespace::new().unwrap();
    let ran = tracklight(&untracked, &["list"]).exits(1);
    assert!(
        ran.err.contains("nft add table"),
        "how to turn it on: {ran:?}"
    );
    client(&tracked)
        .create(udp("10.0.0.1", 1, "10.0.0.2", 2))
        .unwrap();
    let ran = tracklight(&tracked, &["list", "-p", "tcp"]).exits(1);
    assert!(ran.err.contains("none of the 1 connections"), "{ran:?}");
}

#[test]
fn the_way_to_turn_tracking_on_turns_it_on() {
    let Some(_) = TestNamespace::new() else {
        return;
    };
    let namespace = testkit::Namespace::new().unwrap();
    namespace.ip("link set lo up\n").unwrap();
    let hint = tracklight(&namespace, &["list"]).exits(1).err;
    for line in hint
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("nft "))
    {
        let status = namespace.command("sh").args(["-c", line]).status().unwrap();
        assert!(status.success(), "{line}");
    }
    let at = (std::net::Ipv4Addr::LOCALHOST, 0);
    let _pair = netlab::tcp_connect(&namespace, at, &namespace, at).unwrap();
    let out = tracklight(&namespace, &["list"]).exits(0).out;
    assert!(out.contains("ESTABLISHED"), "{out}");
}

#[test]
fn count_counts_with_and_without_a_filter() {
    let Some(namespace) = namespace_with(mixed()) else {
        return;
    };
    assert_eq!(tracklight(&namespace, &["count"]).exits(0).out, "8\n");
    assert_eq!(
        tracklight(&namespace, &["count", "-p", "tcp"]).exits(0).out,
        "6\n"
    );
    assert_eq!(
        tracklight(&namespace, &["count", "-p", "sctp"])
            .exits(1)
            .out,
        "0\n"
    );
}

#[test]
fn stats_and_protocols_are_told() {
    let Some(namespace) = namespace_with(mixed()) else {
        return;
    };
    let stats = tracklight(&namespace, &["stats", "-o", "json"])
        .exits(0)
        .json();
    assert_eq!(stats["entries"], 8);
    assert_eq!(stats["accounting"], true);
    assert!(stats["max_entries"].as_u64() > Some(0));
    assert!(!stats["cpus"].as_array().unwrap().is_empty());
    let text = tracklight(&namespace, &["stats", "--all"]).exits(0).out;
    assert!(
        text.contains("insert_failed") && text.contains("cpu0"),
        "{text}"
    );
    namespace
        .sysctl("net/netfilter/nf_conntrack_acct", "0")
        .unwrap();
    let text = tracklight(&namespace, &["stats"]).exits(0).out;
    assert!(text.contains("accounting   off; to turn it on"), "{text}");
    let protocols = tracklight(&namespace, &["protocols", "-o", "json"])
        .exits(0)
        .json();
    assert_eq!(protocols["tcp"]["states"][3], "ESTABLISHED");
    assert_eq!(protocols["udp"]["states"].as_array().unwrap().len(), 0);
}
