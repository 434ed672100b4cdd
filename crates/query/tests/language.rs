//! The language as its users meet it: what selects what, and what is wrong with wrong text.

use std::net::IpAddr;

use ctnetlink::{
    Counters, Entry, HelperName, L4, Labels, ProtoInfo, Protocol, SctpInfo, SctpState, Status,
    TcpFlags, TcpInfo, TcpState, Timestamps, Tuple, Zone,
};
use query::{MarkNames, Query, Vocabulary};

const NOW: u64 = 1_000_000 * SECOND;
const SECOND: u64 = 1_000_000_000;

fn vocabulary() -> Vocabulary {
    let names = |shift, mask, names: &[(u32, &str)]| MarkNames {
        shift,
        mask,
        names: names
            .iter()
            .map(|&(number, name)| (number, name.to_owned()))
            .collect(),
    };
    Vocabulary {
        provider: names(16, 0xffff, &[(1, "wan1"), (2, "lte backup")]),
        app: names(8, 0xff, &[(5, "DNS"), (91, "SSL"), (92, "SSH")]),
        prio: names(0, 0xff, &[(0, "default"), (1, "high")]),
        labels: vec![("voip".to_owned(), 7)],
        local: Box::new(|| Ok(vec!["203.0.113.5/32".parse().unwrap()])),
        ..Vocabulary::default()
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A TCP connection from inside, with its source translated.
fn web() -> Entry {
    let orig = Tuple::ports(
        Protocol::TCP,
        address("10.0.0.5"),
        40_000,
        address("192.0.2.1"),
        443,
    );
    let reply = Tuple::ports(
        Protocol::TCP,
        address("192.0.2.1"),
        443,
        address("203.0.113.5"),
        1025,
    );
    let flags = |flags| Some(TcpFlags { flags, mask: 0 });
    Entry {
        zone: Zone::new(3),
        id: Some(77),
        status: Some(Status::SEEN_REPLY | Status::ASSURED | Status::CONFIRMED | Status::SRC_NAT),
        timeout: Some(431_990),
        mark: Some(0x0001_5b01),
        use_count: Some(1),
        counters_orig: Some(Counters {
            packets: 10,
            bytes: 1_500,
        }),
        counters_reply: Some(Counters {
            packets: 20,
            bytes: 30_000_000,
        }),
        timestamps: Some(Timestamps {
            start: Some(NOW - 7_300 * SECOND),
            stop: None,
        }),
        protoinfo: Some(ProtoInfo::Tcp(TcpInfo {
            state: Some(TcpState::ESTABLISHED),
            wscale_orig: Some(7),
            wscale_reply: Some(9),
            flags_orig: flags(0x03),
            flags_reply: flags(0x0b),
        })),
        labels: Some(Labels::from_bits(1 << 7)),
        ..Entry::new(orig, reply)
    }
}

/// A DNS question without an answer; counters and timestamps are off.
fn dns() -> Entry {
    let orig = Tuple::ports(
        Protocol::UDP,
        address("2001:db8::5"),
        5353,
        address("2001:db8:1::53"),
        53,
    );
    Entry {
        status: Some(Status::CONFIRMED),
        timeout: Some(29),
        ..Entry::new(orig, orig.mirror())
    }
}

/// The data of FTP, whose destination is translated.
fn ftp() -> Entry {
    let orig = Tuple::ports(
        Protocol::TCP,
        address("198.51.100.7"),
        20,
        address("203.0.113.5"),
        21,
    );
    let reply = Tuple::ports(
        Protocol::TCP,
        address("10.0.0.9"),
        2121,
        address("198.51.100.7"),
        20,
    );
    Entry {
        status: Some(Status::SEEN_REPLY | Status::EXPECTED | Status::DST_NAT | Status::OFFLOAD),
        helper: Some(HelperName::from("ftp").unwrap()),
        ..Entry::new(orig, reply)
    }
}

fn ping() -> Entry {
    let orig = Tuple {
        src: address("10.0.0.5"),
        dst: address("192.0.2.1"),
        protocol: Protocol::ICMP,
        l4: L4::Icmp {
            kind: 8,
            code: 0,
            id: 4711,
        },
    };
    Entry {
        status: Some(Status::SEEN_REPLY),
        ..Entry::new(orig, orig.mirror())
    }
}

fn sctp() -> Entry {
    let orig = Tuple::ports(
        Protocol::SCTP,
        address("10.1.0.1"),
        9,
        address("10.1.0.2"),
        10,
    );
    Entry {
        protoinfo: Some(ProtoInfo::Sctp(SctpInfo {
            state: Some(SctpState::ESTABLISHED),
            vtag_orig: Some(0xcafe),
            vtag_reply: Some(0),
        })),
        ..Entry::new(orig, orig.mirror())
    }
}

fn gre() -> Entry {
    let orig = Tuple {
        src: address("10.0.0.5"),
        dst: address("192.0.2.1"),
        protocol: Protocol::GRE,
        l4: L4::Gre {
            src_key: 1,
            dst_key: 0x1a,
        },
    };
    Entry::new(orig, orig.mirror())
}

/// Which of the entries above a query selects, by their letters.
fn selected(text: &str) -> String {
    let query = Query::parse(text, &vocabulary())
        .unwrap_or_else(|error| panic!("{text}: {error}; {}", error.hint));
    let all = [
        ('w', web()),
        ('d', dns()),
        ('f', ftp()),
        ('p', ping()),
        ('s', sctp()),
        ('g', gre()),
    ];
    for (letter, entry) in &all {
        let in_kernel = query.filters().iter().any(|filter| filter.matches(entry));
        assert!(
            in_kernel || !query.matches(entry, NOW),
            "{text}: the kernel would hide {letter}"
        );
    }
    all.iter()
        .filter(|(_, entry)| query.matches(entry, NOW))
        .map(|(letter, _)| letter)
        .collect()
}

#[test]
fn every_field_selects_by_its_value() {
    for (query, expected) in [
        ("", "wdfpsg"),
        ("tcp", "wf"),
        ("proto == tcp", "wf"),
        ("proto in {icmp, 47}", "pg"),
        ("protocol != tcp", "dpsg"),
        ("family == ipv6", "d"),
        ("ipv4 and not tcp", "psg"),
        ("state == ESTABLISHED", "ws"),
        ("state == established and tcp", "w"),
        ("state != ESTABLISHED", "dfpg"),
        ("has state", "ws"),
        ("src in 10.0.0.0/8", "wpsg"),
        ("src 10.0.0.0/8", "wpsg"),
        ("src == 10.0.0.5", "wpg"),
        ("src in 10.0.0.0-10.0.0.5", "wpg"),
        ("src in {10.1.0.1, 2001:db8::/32}", "ds"),
        ("dst != 192.0.2.1", "dfs"),
        ("peer in 10.0.0.0/16", "f"),
        ("reply.dst == 203.0.113.5", "w"),
        ("host 10.0.0.9", "f"),
        ("host 203.0.113.5", "wf"),
        ("host != 203.0.113.5", "dpsg"),
        ("net 2001:db8::/32", "d"),
        ("sport >= 1024", "wd"),
        ("dport in {80, 443, 8000-8999}", "w"),
        ("dport == https", "w"),
        ("dport in domain", "d"),
        ("dport in ftp-https", "wfd"),
        ("not dport == 53", "wfpsg"),
        ("dport != 53", "wfpsg"),
        ("dport < 22", "fs"),
        ("peer.port == 2121", "f"),
        ("reply.dport == 1025", "w"),
        ("port 20", "f"),
        ("port != 20", "wdpsg"),
        ("has dport", "wdfs"),
        ("icmp.type == 8", "p"),
        ("icmp.code > 0", ""),
        ("icmp.id == 4711", "p"),
        ("gre.key == 0x1a", "g"),
        ("bytes > 10MB", "w"),
        ("bytes.orig == 1.5kB", "w"),
        ("bytes.reply <= 30MB and bytes.reply > 28MiB", "w"),
        ("not bytes > 10MB", "dfpsg"),
        ("packets == 30", "w"),
        ("packets.orig in 5-10", "w"),
        ("packets.reply < 1k", "w"),
        ("has bytes", "w"),
        ("age > 2h", "w"),
        ("age in 2h1m-2h2m", "w"),
        ("age >= 2h1m40s", "w"),
        ("age < 2h", ""),
        ("timeout < 30s", "d"),
        ("timeout > 4d", "w"),
        ("not has timeout", "fpsg"),
        ("mark & 0xff == 1", "w"),
        ("mark & 0xff != 1", "dfpsg"),
        ("mark == 0", "dfpsg"),
        ("has mark", "w"),
        ("mark & 0xff00 > 0x5a00", "w"),
        ("provider == \"wan1\"", "w"),
        ("provider == WAN1", "w"),
        ("provider in {'lte backup', 1}", "w"),
        ("provider ~ \"wan*\"", "w"),
        ("provider !~ \"wan*\"", "dfpsg"),
        ("has provider", "w"),
        ("app == SSL", "w"),
        ("app in {DNS, SSL}", "w"),
        ("prio == high", "w"),
        ("prio == default", "dfpsg"),
        ("status == ASSURED", "w"),
        ("status in {EXPECTED, SRC_NAT}", "wf"),
        ("status & 0x4 == 4", "w"),
        ("assured", "w"),
        ("unreplied", "dsg"),
        ("offloaded", "f"),
        ("expected", "f"),
        ("zone == 3", "w"),
        ("zone in 1-9", "w"),
        ("label == 7", "w"),
        ("label voip", "w"),
        ("label != voip", "dfpsg"),
        ("has label", "w"),
        ("helper == ftp", "f"),
        ("helper ~ \"F*\"", "f"),
        ("helper != ftp", "wdpsg"),
        ("not has helper", "wdpsg"),
        ("tcp.flags == BE_LIBERAL", "w"),
        ("tcp.flags.orig == BE_LIBERAL", ""),
        ("tcp.flags.orig & 0x9 == 1", "w"),
        ("tcp.flags.reply == 0x0b", "w"),
        ("tcp.wscale.orig == 7", "w"),
        ("tcp.wscale.reply > 7", "w"),
        ("sctp.vtag.orig == 0xcafe", "s"),
        ("sctp.vtag.reply == 0", "s"),
        ("id == 77", "w"),
        ("use >= 1", "w"),
        ("nat", "wf"),
        ("snat", "w"),
        ("dnat", "f"),
        ("not nat", "dpsg"),
        ("local", ""),
        ("master.src == 10.0.0.5", ""),
        ("nat and provider == \"wan1\" and not app in {\"DNS\"}", "w"),
        ("tcp and (state == ESTABLISHED or dnat)", "wf"),
        ("udp or tcp and snat", "wd"),
        ("(udp or tcp) and snat", "w"),
        ("!udp && !tcp || ipv6", "dpsg"),
        ("dport not in {443, 53} # but these", "fpsg"),
        ("dport = 443", "w"),
        ("DPORT == 443 AND NAT", "w"),
    ] {
        let mut expected: Vec<char> = expected.chars().collect();
        let mut found: Vec<char> = selected(query).chars().collect();
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected, "{query}");
    }
}

/// Query, code, the text that is marked, and a part of message or hint.
const WRONG: &[(&str, &str, &str, &str)] = &[
    (
        "prot == tcp",
        "query-unknown-name",
        "prot",
        "did you mean proto",
    ),
    (
        "tcp and dprt == 53",
        "query-unknown-name",
        "dprt",
        "did you mean dport",
    ),
    (
        "ESTABLISHED",
        "query-unknown-name",
        "ESTABLISHED",
        "did you mean state == ESTABLISHED?",
    ),
    (
        "10.0.0.5",
        "query-unknown-name",
        "10.0.0.5",
        "did you mean host == 10.0.0.5?",
    ),
    (
        "443",
        "query-unknown-name",
        "443",
        "did you mean port == 443?",
    ),
    (
        "proto == tpc",
        "query-unknown-name",
        "tpc",
        "did you mean tcp?",
    ),
    (
        "state == ESTABLISHD",
        "query-unknown-name",
        "ESTABLISHD",
        "did you mean ESTABLISHED?",
    ),
    (
        "dport == htps",
        "query-unknown-name",
        "htps",
        "did you mean https",
    ),
    (
        "provider == wan2",
        "query-unknown-name",
        "wan2",
        "did you mean wan1?",
    ),
    (
        "provider == fibre",
        "query-unknown-name",
        "fibre",
        "known are wan1, \"lte backup\"",
    ),
    (
        "label == viop",
        "query-unknown-name",
        "viop",
        "did you mean voip?",
    ),
    ("label == 128", "query-unknown-name", "128", "0 to 127"),
    (
        "src == 10.0.0.0/8",
        "query-value",
        "10.0.0.0/8",
        "write src in 10.0.0.0/8",
    ),
    (
        "src != 10.0.0.0/8",
        "query-value",
        "10.0.0.0/8",
        "write src not in 10.0.0.0/8",
    ),
    (
        "src == 10.0.0.300",
        "query-value",
        "10.0.0.300",
        "is not an address",
    ),
    (
        "src in 10.0.0.0/33",
        "query-value",
        "10.0.0.0/33",
        "at most 32",
    ),
    (
        "src == example.org",
        "query-value",
        "example.org",
        "not looked up",
    ),
    (
        "src in 10.0.0.9-10.0.0.1",
        "query-value",
        "10.0.0.9-10.0.0.1",
        "did you mean 10.0.0.1-10.0.0.9",
    ),
    (
        "src in 10.0.0.9-::1",
        "query-value",
        "10.0.0.9-::1",
        "one family",
    ),
    (
        "src > 10.0.0.1",
        "query-comparison",
        ">",
        "not compared by size",
    ),
    (
        "src ~ \"10.*\"",
        "query-comparison",
        "~",
        "write src in 10.0.0.0/8",
    ),
    ("proto < 6", "query-comparison", "<", "not compared by size"),
    (
        "state >= ESTABLISHED",
        "query-comparison",
        ">=",
        "not compared by size",
    ),
    (
        "dport == 80-90",
        "query-value",
        "80-90",
        "write dport in 80-90",
    ),
    (
        "dport > 65535",
        "query-comparison",
        "dport > 65535",
        "from 0 to 65535",
    ),
    ("dport < 0", "query-comparison", "dport < 0", "can never be"),
    ("dport == 65536", "query-value", "65536", "up to 65535"),
    ("dport == {80, 443}", "query-comparison", "{", "write: in"),
    (
        "dport in {80 443}",
        "query-syntax",
        "443",
        "separated by commas",
    ),
    ("dport in {80,", "query-syntax", "", "expected a port"),
    ("bytes > 10 MB", "query-syntax", "MB", "and, or"),
    ("bytes > 10XB", "query-value", "10XB", "units are"),
    ("age > 2y", "query-value", "2y", "units are"),
    ("age > 30m1h", "query-value", "30m1h", "largest first"),
    (
        "mark & 0xff == 0x100",
        "query-value",
        "0x100",
        "can never be",
    ),
    ("mark & 0 == 0", "query-value", "0", "no set of bits"),
    ("mark & 0xff", "query-syntax", "", "expected an operator"),
    (
        "src & 0xff == 3",
        "query-comparison",
        "&",
        "no bits to mask",
    ),
    (
        "status == ASURED",
        "query-unknown-name",
        "ASURED",
        "did you mean ASSURED?",
    ),
    (
        "tcp dport == 80",
        "query-syntax",
        "dport",
        "put and, or or, between",
    ),
    ("tcp andd udp", "query-syntax", "andd", "did you mean and?"),
    ("tcp and", "query-syntax", "", "expected a field or a flag"),
    (
        "(tcp or udp",
        "query-syntax",
        "",
        "character 1 is not closed",
    ),
    ("tcp)", "query-syntax", ")", "closes none"),
    ("()", "query-syntax", ")", "expected a field"),
    ("helper", "query-syntax", "", "did you mean has helper?"),
    ("helper == \"ftp", "query-syntax", "\"", "no end"),
    ("\"ftp\"", "query-syntax", "\"ftp\"", "behind a field"),
    ("has nat", "query-unknown-name", "nat", ""),
    ("has", "query-syntax", "", "expected a field"),
    ("dport not 80", "query-syntax", "80", "expected in"),
    (
        "src == ::ffff:10.0.0.1",
        "query-value",
        "::ffff:10.0.0.1",
        "write 10.0.0.1",
    ),
    (
        "helper == 'a\u{1b}[31m'",
        "query-syntax",
        "\u{1b}",
        "U+001B",
    ),
    ("tcp; udp", "query-syntax", ";", "joined by and"),
    ("tcp | udp", "query-syntax", "|", "by ||"),
    ("größe > 5 and tcp", "query-unknown-name", "größe", ""),
];

#[test]
fn what_is_wrong_is_marked_and_mended() {
    for &(text, code, marked, told) in WRONG {
        let error = Query::parse(text, &vocabulary()).expect_err(text);
        let at: String = text.chars().skip(error.offset).take(error.length).collect();
        assert_eq!(
            (error.code, at.as_str()),
            (code, marked),
            "{text}: {error} ({})",
            error.hint
        );
        let said = format!("{error} {}", error.hint);
        assert!(said.contains(told), "{text}: {said}");
    }
}

#[test]
fn what_no_query_can_have_no_flag_has_either() {
    for text in ["a\u{11}b", "\u{202e}", "\u{1b}[31m", &"x".repeat(257)] {
        let checked = query::check_value(query::Field::Helper, text, &vocabulary());
        assert!(checked.is_err(), "{text:?}");
        let query = Query::parse(&format!("helper == \"{text}\""), &vocabulary());
        assert!(query.is_err(), "{text:?}");
    }
    assert!(query::check_value(query::Field::Helper, &"x".repeat(256), &vocabulary()).is_ok());
}

#[test]
fn an_error_is_json_for_screens() {
    let error = Query::parse("größe == 1 or dport == x1", &vocabulary()).unwrap_err();
    let json = serde_json::to_value(&error).unwrap();
    assert_eq!(json["code"], "query-unknown-name");
    assert_eq!(
        (json["offset"].as_u64(), json["length"].as_u64()),
        (Some(0), Some(5))
    );
    assert_eq!(json["expected"][0], "a field");
    assert!(json["hint"].is_string() && json["message"].is_string());
}

#[test]
fn the_place_is_marked_below_the_text() {
    let text = "tcp and dprt == 53";
    let error = Query::parse(text, &vocabulary()).unwrap_err();
    assert_eq!(error.marked(text), "tcp and dprt == 53\n        ^^^^");
    let long = format!(
        "{} dprt == 53 and {}",
        "tcp or ".repeat(100),
        "udp or ".repeat(100)
    );
    let error = Query::parse(&long, &vocabulary()).unwrap_err();
    let marked = error.marked(&long);
    let (line, carets) = marked.split_once('\n').unwrap();
    assert!(line.chars().count() < 120 && line.starts_with('…') && line.ends_with('…'));
    let at = carets.chars().position(|c| c == '^').unwrap();
    assert_eq!(line.chars().skip(at).take(4).collect::<String>(), "dprt");
}

#[test]
fn hostile_queries_are_refused_and_do_no_harm() {
    let million = "tcp or ".repeat(150_000);
    assert_eq!(
        Query::parse(&million, &vocabulary()).unwrap_err().code,
        "query-too-large"
    );
    for deep in [
        format!("{}tcp{}", "(".repeat(10_000), ")".repeat(10_000)),
        "(".repeat(10_000),
        format!("{} tcp", "not ".repeat(10_000)),
        format!("{}tcp", "!".repeat(10_000)),
        format!("{} tcp", "not (".repeat(10_000)),
    ] {
        assert_eq!(
            Query::parse(&deep, &vocabulary()).unwrap_err().code,
            "query-too-large"
        );
    }
    let deep = format!("{}tcp{}", "(".repeat(99), ")".repeat(99));
    assert!(Query::parse(&deep, &vocabulary()).is_ok());
}

/// Each took minutes, or would, were what is looked at not bounded.
#[test]
fn long_queries_of_machines_are_understood() {
    let joined = |word: &str, term: &dyn Fn(u32) -> String| {
        (1..4_000).map(term).collect::<Vec<_>>().join(word)
    };
    let mask = |n: u32| format!("mark & {n} == 0");
    for text in [
        joined(" and ", &mask),
        format!("not ({})", joined(" or ", &mask)),
        joined(" and ", &|n| format!("(mark & {n} == 0 or zone == {n})")),
        joined(" or ", &|n| {
            format!("(udp and dport == {n} and bytes > {n})")
        }),
        joined(" and ", &|n| {
            format!("host != 10.0.{}.{}", n / 256, n % 256)
        }),
    ] {
        let query = Query::parse(&text, &vocabulary()).unwrap();
        assert_eq!(query.explain().rest.is_some(), !query.filters().is_empty());
        assert!(query.walk_filter(NOW).fits());
    }
}

#[test]
fn ten_thousand_addresses_are_one_test() {
    let addresses: Vec<String> = (0..10_000u32)
        .map(|n| format!("10.{}.{}.5", n / 256, n % 256))
        .collect();
    let text = format!("src in {{{}}} and tcp", addresses.join(", "));
    assert_eq!(selected(&text), "w");
    let chain: Vec<String> = addresses
        .iter()
        .take(8_000)
        .map(|a| format!("host {a}"))
        .collect();
    assert_eq!(selected(&chain.join(" or ")), "wpg");
}

/// In time that grows with their number, not with its square.
#[test]
fn ten_thousand_patterns_are_understood() {
    let patterns: Vec<String> = (0..10_000).map(|n| format!("helper !~ a{n}*")).collect();
    let query = Query::parse(&patterns.join(" and "), &vocabulary()).unwrap();
    assert!(query.matches(&ftp(), NOW));
    assert!(query.explain().warnings.is_empty());
}

#[test]
fn what_says_nothing_is_the_query_for_everything() {
    for text in [
        "",
        "  # nothing",
        "nat or not nat",
        "host in {0.0.0.0/0, ::/0}",
        "tcp or not tcp",
    ] {
        assert!(
            Query::parse(text, &vocabulary()).unwrap().is_any(),
            "{text}"
        );
    }
    for text in ["tcp", "dport in 0-65535", "bytes >= 0", "nat or tcp"] {
        assert!(
            !Query::parse(text, &vocabulary()).unwrap().is_any(),
            "{text}"
        );
    }
}

#[test]
fn addresses_of_this_machine_that_cannot_be_had_are_an_error() {
    let error = Query::parse("local", &Vocabulary::default()).unwrap_err();
    assert_eq!(error.code, "query-value");
    assert!(error.to_string().contains("not known"), "{error}");
    assert_eq!(selected("local or ipv6"), "d");
    let query = Query::parse("local", &vocabulary()).unwrap();
    let orig = Tuple::ports(
        Protocol::UDP,
        address("203.0.113.5"),
        1,
        address("1.1.1.1"),
        53,
    );
    assert!(query.matches(&Entry::new(orig, orig.mirror()), NOW));
    assert!(query.matches(&Entry::new(orig.mirror(), orig), NOW));
}
