use testkit::TestNamespace;

use crate::run::{client, tcp, tracklight, udp};

#[test]
fn what_was_created_is_read_back_changed_and_deleted() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let tuple = [
        "-p",
        "tcp",
        "-s",
        "10.0.0.2",
        "-d",
        "192.0.2.1",
        "--sport",
        "40000",
        "--dport",
        "443",
    ];
    let run = |verb: &str, flags: &[&str]| tracklight(&namespace, &[&[verb], flags].concat());
    let with = |verb: &str, flags: &[&str]| run(verb, &[&tuple, flags].concat());

    with(
        "create",
        &[
            "-t",
            "600",
            "--reply-dst",
            "203.0.113.5",
            "-m",
            "0x10",
            "--status",
            "ASSURED,SEEN_REPLY",
            "--labels",
            "3,100",
        ],
    )
    .exits(0);
    let entry = with("get", &["-o", "json"]).exits(0).json();
    assert_eq!(entry["reply"]["dst"], "203.0.113.5");
    assert_eq!(entry["mark"], 16);
    assert_eq!(entry["state"], "ESTABLISHED");
    assert_eq!(entry["nat"], true);

    with("create", &["-t", "600"]).exits(1);
    let exists = with("create", &["-t", "600"]).err;
    assert!(exists.contains("[exists]"), "{exists}");

    run(
        "update",
        &[
            "-s",
            "10.0.0.2",
            "--set-mark",
            "0x3/0xf",
            "--set-timeout",
            "100",
        ],
    )
    .exits(0);
    let entry = with("get", &["-o", "json"]).exits(0).json();
    assert_eq!(entry["mark"], 0x13, "only the mask's bits change");
    assert!(entry["timeout"].as_u64() <= Some(100));

    run("update", &["-s", "10.0.0.2", "--set-state", "CLOSE_WAIT"]).exits(0);
    let text = with("get", &[]).exits(0).out;
    assert!(
        text.contains("CLOSE_WAIT") && text.contains("as 203.0.113.5"),
        "{text}"
    );

    let by_reply = [
        "get",
        "--reply",
        "-p",
        "tcp",
        "-s",
        "192.0.2.1",
        "-d",
        "203.0.113.5",
        "--sport",
        "443",
        "--dport",
        "40000",
    ];
    tracklight(&namespace, &by_reply).exits(0);

    assert_eq!(
        run("delete", &["-s", "10.0.0.2"]).exits(0).out,
        "1 matched: 1 deleted\n"
    );
    let gone = with("get", &[]).exits(1);
    assert!(gone.err.contains("[not-found]"), "{gone:?}");
}

#[test]
fn labels_are_set_and_cleared_where_a_rule_reserves_them() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    // Entries have room for labels only while a rule uses one.
    namespace
        .nft("table inet labels {\nchain in {\ntype filter hook input priority 1\nct label set 1\n}\n}\n")
        .unwrap();
    client(&namespace)
        .create(udp("10.0.0.1", 1, "10.0.0.2", 2))
        .unwrap();
    let labels = || {
        let out = tracklight(&namespace, &["list", "-o", "json"])
            .exits(0)
            .json();
        out[0]["labels"].clone()
    };
    tracklight(
        &namespace,
        &["update", "-p", "udp", "--add-labels", "3,100"],
    )
    .exits(0);
    assert_eq!(labels(), serde_json::json!([3, 100]));
    tracklight(
        &namespace,
        &[
            "update",
            "-p",
            "udp",
            "--clear-labels",
            "3",
            "--add-labels",
            "7",
        ],
    )
    .exits(0);
    assert_eq!(labels(), serde_json::json!([7, 100]));
}

#[test]
fn delete_needs_a_filter_or_all_and_tells_exact_counts() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let client = client(&namespace);
    for port in 0..100 {
        client
            .create(udp("10.0.0.1", port, "192.0.2.1", 53))
            .unwrap();
        client
            .create(tcp("10.0.0.2", port, "192.0.2.1", 443))
            .unwrap();
    }
    let run = |flags: &[&str]| tracklight(&namespace, &[&["delete"], flags].concat());
    let count = || tracklight(&namespace, &["count"]).out.trim().to_owned();

    assert!(run(&[]).exits(1).err.contains("[refused]"));
    run(&["--all", "-p", "udp"]).exits(2);
    assert_eq!(count(), "200", "nothing was touched");

    let dry = run(&["-p", "udp", "--dport", "53", "--dry-run"]).exits(0);
    assert_eq!(dry.out.lines().count(), 101, "a heading and each entry");
    assert!(dry.err.contains("would delete 100"), "{dry:?}");
    assert_eq!(count(), "200");

    assert_eq!(
        run(&["-p", "udp", "--dport", "53"]).exits(0).out,
        "100 matched: 100 deleted\n"
    );
    assert_eq!(count(), "100");
    assert_eq!(run(&["-p", "udp"]).exits(1).out, "0 matched: 0 deleted\n");
    assert_eq!(run(&["--all"]).exits(0).out, "100 matched: 100 deleted\n");
    assert_eq!(count(), "0");
}

#[test]
fn flush_takes_what_it_is_told_and_no_more() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let client = client(&namespace);
    let fill = || {
        for port in 1..=10 {
            client
                .create(udp("10.0.0.1", port, "192.0.2.1", 53))
                .unwrap();
            client
                .create(tcp("10.0.0.2", port, "192.0.2.1", 443))
                .unwrap();
            client
                .create(tcp("2001:db8::1", port, "2001:db8::2", 443))
                .unwrap();
        }
    };
    let left = |flags: &[&str]| {
        fill();
        tracklight(&namespace, &[&["flush"], flags].concat()).exits(0);
        let left = tracklight(&namespace, &["count"])
            .out
            .trim()
            .parse::<u32>()
            .unwrap();
        client.flush(&ctnetlink::Filter::any()).unwrap();
        left
    };
    assert_eq!(left(&["-p", "udp"]), 20);
    assert_eq!(left(&["-s", "10.0.0.2"]), 20);
    assert_eq!(left(&["-f", "ipv6"]), 20);
    // The kernel compares IPv6 addresses the wrong way round: this must go one by one.
    assert_eq!(left(&["-s", "2001:db8::1"]), 20);
    assert_eq!(left(&[]), 0);
    assert_eq!(left(&["--dport", "443"]), 10);
    assert_eq!(left(&["--sport", "1-5"]), 15);
}

#[test]
fn expectations_are_made_listed_and_deleted() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let mut master = tcp("10.0.0.2", 40000, "192.0.2.1", 21);
    master.helper = Some(ctnetlink::HelperName::from("ftp").unwrap());
    client(&namespace).create(master).unwrap();
    let data = [
        "-p",
        "tcp",
        "-s",
        "10.0.0.2",
        "-d",
        "192.0.2.1",
        "--sport",
        "0",
        "--dport",
        "2000",
    ];
    let of = [
        "--master-src",
        "10.0.0.2",
        "--master-dst",
        "192.0.2.1",
        "--master-sport",
        "40000",
        "--master-dport",
        "21",
        "-t",
        "60",
    ];
    let run =
        |verb: &str, flags: &[&str]| tracklight(&namespace, &[&["expect", verb], flags].concat());
    run("create", &[&data[..], &of[..]].concat()).exits(0);
    let list = run("list", &["-o", "json"]).exits(0).json();
    assert_eq!(list[0]["tuple"]["dport"], 2000);
    assert_eq!(list[0]["master"]["dport"], 21);
    assert_eq!(list[0]["helper"], "ftp");
    let text = tracklight(&namespace, &["expect"]).exits(0).out;
    assert!(
        text.contains("10.0.0.2 any port → 192.0.2.1 port 2000"),
        "{text}"
    );
    run("get", &data).exits(0);
    run("delete", &data).exits(0);
    run("list", &[]).exits(1);
    run("create", &[&data[..], &of[..]].concat()).exits(0);
    run("flush", &[]).exits(0);
    run("list", &[]).exits(1);
}

#[test]
fn a_contradiction_selects_nothing_and_touches_nothing() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    client(&namespace)
        .create(tcp("10.0.0.1", 1, "10.0.0.2", 2))
        .unwrap();
    for verb in ["flush", "delete"] {
        let flags = [verb, "--status", "SEEN_REPLY,UNREPLIED"];
        assert_eq!(
            tracklight(&namespace, &flags).exits(1).out,
            "0 matched: 0 deleted\n"
        );
        let flags = [verb, "--src", "10.0.0.1", "--dst", "2001:db8::1"];
        assert_eq!(
            tracklight(&namespace, &flags).exits(1).out,
            "0 matched: 0 deleted\n"
        );
    }
    let zero = ["list", "--zero", "--status", "SEEN_REPLY,UNREPLIED"];
    assert!(
        tracklight(&namespace, &zero)
            .exits(4)
            .err
            .contains("[unsupported]")
    );
    assert_eq!(tracklight(&namespace, &["count"]).out, "1\n");
}

#[test]
fn everything_by_another_name_needs_all_as_well() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    client(&namespace)
        .create(tcp("10.0.0.1", 1, "10.0.0.2", 2))
        .unwrap();
    for flags in [["--mark", "0/0"], ["--src", "0.0.0.0/0,::/0"]] {
        let ran = tracklight(&namespace, &[&["delete"][..], &flags].concat()).exits(1);
        assert!(ran.err.contains("[refused]"), "{ran:?}");
    }
    assert_eq!(tracklight(&namespace, &["count"]).out, "1\n");
}

#[test]
fn zone_0_is_flushed_alone() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let mut zoned = udp("10.0.0.1", 1, "10.0.0.2", 2);
    zoned.zone = ctnetlink::Zone::new(3);
    client(&namespace).create(zoned).unwrap();
    client(&namespace)
        .create(tcp("10.0.0.1", 1, "10.0.0.2", 2))
        .unwrap();
    tracklight(&namespace, &["flush", "--zone", "0"]).exits(0);
    let left = tracklight(&namespace, &["list", "-o", "json"])
        .exits(0)
        .json();
    assert_eq!(left.as_array().map(Vec::len), Some(1));
    assert_eq!(left[0]["zone"], 3);
}

#[test]
fn what_the_kernel_would_pass_over_is_refused_with_a_word() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    client(&namespace)
        .create(udp("10.0.0.1", 1, "10.0.0.2", 2))
        .unwrap();
    let entry = ["-s", "10.0.0.3", "-d", "10.0.0.4", "-t", "60"];
    let ports = ["--sport", "1", "--dport", "2"];
    let cases: &[(&[&str], &[&str], &str)] = &[
        (
            &["-p", "udp", "--nat-src", "2001:db8::1"],
            &ports,
            "another family",
        ),
        (
            &["-p", "udp", "--status", "!ASSURED"],
            &ports,
            "to be cleared",
        ),
        (
            &["-p", "icmp", "--icmp-type", "8", "--reply-sport", "1"],
            &[],
            "has no ports",
        ),
        (
            &["-p", "icmpv6", "--icmp-type", "128"],
            &[],
            "icmpv6 with IPv6",
        ),
    ];
    for (flags, more, expected) in cases {
        let ran = tracklight(&namespace, &[&["create"][..], &entry, flags, more].concat()).exits(2);
        assert!(ran.err.contains(expected), "{flags:?}: {ran:?}");
    }
    let update =
        |flags: &[&str]| tracklight(&namespace, &[&["update", "-p", "udp"], flags].concat());
    assert!(
        update(&["--set-status", "SRC_NAT"])
            .exits(2)
            .err
            .contains("kernel's own")
    );
    let ran = update(&["--set-state", "CLOSE"]).exits(1);
    assert!(
        ran.out.contains("0 changed, 1 refused") && ran.err.contains("only TCP"),
        "{ran:?}"
    );
    assert_eq!(tracklight(&namespace, &["count"]).out, "1\n");
}
