//! What the kernel is asked, what is left, what is warned of, what can be typed next.

use query::{MarkNames, Query, Vocabulary, complete};

fn vocabulary() -> Vocabulary {
    Vocabulary {
        provider: MarkNames {
            shift: 16,
            mask: 0xffff,
            names: vec![(1, "wan1".to_owned()), (2, "lte backup".to_owned())],
        },
        local: Box::new(|| Ok(vec!["203.0.113.5/32".parse().unwrap()])),
        ..Vocabulary::default()
    }
}

/// What the kernel filters, how often it is asked, what is left.
fn plan(text: &str) -> (Vec<String>, usize, Option<String>) {
    let explanation = Query::parse(text, &vocabulary()).unwrap().explain();
    (explanation.kernel, explanation.requests, explanation.rest)
}

#[test]
fn the_kernel_takes_what_it_can_compare() {
    for (text, kernel, requests, rest) in [
        ("", &[][..], 1, None),
        ("tcp", &["tcp"], 2, None),
        ("ipv4 and tcp", &["ipv4 and tcp"], 1, None),
        ("src == 10.0.0.5", &["ipv4 and src == 10.0.0.5"], 1, None),
        ("src in 10.0.0.5/32", &["ipv4 and src == 10.0.0.5"], 1, None),
        ("src in 10.0.0.0/8", &["ipv4"], 1, Some("src in 10.0.0.0/8")),
        ("udp and dport == 53", &["udp and dport == 53"], 2, None),
        ("dport == 53", &[], 1, Some("dport == 53")),
        ("sctp and dport == 53", &["sctp"], 2, Some("dport == 53")),
        (
            "proto in {tcp, udp} and dport == 53",
            &["tcp and dport == 53", "udp and dport == 53"],
            4,
            None,
        ),
        (
            "udp and dport in {53, 123} and bytes > 1MB",
            &["udp and dport == 53", "udp and dport == 123"],
            4,
            Some("bytes > 1MB"),
        ),
        (
            "host 10.0.0.5",
            &[
                "ipv4 and src == 10.0.0.5",
                "ipv4 and dst == 10.0.0.5",
                "ipv4 and peer == 10.0.0.5",
                "ipv4 and reply.dst == 10.0.0.5",
            ],
            4,
            None,
        ),
        // Ports would add walks and leave out little beside addresses.
        (
            "tcp and dport in {80, 443} and src in {10.0.0.1, 10.0.0.2}",
            &[
                "ipv4 and tcp and src == 10.0.0.1",
                "ipv4 and tcp and src == 10.0.0.2",
            ],
            2,
            Some("dport in {80, 443}"),
        ),
        ("mark & 0xff == 3", &["mark & 0xff == 0x3"], 1, None),
        ("mark == 3", &["mark == 0x3"], 1, None),
        (
            "provider == wan1",
            &["mark & 0xffff0000 == 0x10000"],
            1,
            None,
        ),
        (
            "provider == wan1 and mark & 0xff == 1",
            &["mark & 0xffff00ff == 0x10001"],
            1,
            None,
        ),
        (
            "assured and not expected",
            &["status & 0x5 == 0x4"],
            1,
            None,
        ),
        ("zone == 3", &["zone == 3"], 1, None),
        ("zone in {3, 4}", &["zone == 3", "zone == 4"], 2, None),
        (
            "icmp and icmp.type == 8",
            &["icmp and icmp.type == 8"],
            2,
            None,
        ),
        ("icmp.type == 8", &[], 1, Some("icmp.type == 8")),
        (
            "state == TIME_WAIT",
            &["tcp"],
            2,
            Some("state == TIME_WAIT"),
        ),
        ("state == ESTABLISHED", &[], 1, Some("state == ESTABLISHED")),
        ("tcp or udp", &[], 1, Some("tcp or udp")),
        (
            "tcp.flags == CLOSE_INIT",
            &["tcp"],
            2,
            Some("tcp.flags == CLOSE_INIT"),
        ),
        (
            "src == 10.0.0.5 or dst == 10.0.0.6 and udp",
            &[
                "ipv4 and src == 10.0.0.5",
                "ipv4 and udp and dst == 10.0.0.6",
            ],
            2,
            None,
        ),
        (
            "(src == 10.0.0.5 or dst == 10.0.0.5) and tcp",
            &[
                "ipv4 and tcp and src == 10.0.0.5",
                "ipv4 and tcp and dst == 10.0.0.5",
            ],
            2,
            None,
        ),
        (
            "src == 10.0.0.5 or bytes > 1GB",
            &[],
            1,
            Some("src == 10.0.0.5 or bytes > 1GB"),
        ),
        (
            "src == 10.0.0.5 or ipv4 and src == 10.0.0.5",
            &["ipv4 and src == 10.0.0.5"],
            1,
            None,
        ),
        // What changes meanwhile must not decide which request brings an entry.
        (
            "src == 10.0.0.5 and mark == 1 or dst == 10.0.0.5 and mark == 2",
            &["ipv4 and src == 10.0.0.5", "ipv4 and dst == 10.0.0.5"],
            2,
            Some("(src == 10.0.0.5 and mark == 1) or (dst == 10.0.0.5 and mark == 2)"),
        ),
        (
            "host 10.0.0.5 and assured",
            &[
                "ipv4 and src == 10.0.0.5 and status & 0x4 == 0x4",
                "ipv4 and dst == 10.0.0.5 and status & 0x4 == 0x4",
                "ipv4 and peer == 10.0.0.5 and status & 0x4 == 0x4",
                "ipv4 and reply.dst == 10.0.0.5 and status & 0x4 == 0x4",
            ],
            4,
            None,
        ),
        ("tcp and udp", &[], 0, None),
        (
            "udp and (nat or dport > 1024)",
            &["udp"],
            2,
            Some("nat or dport > 1024"),
        ),
        ("not unreplied", &["status & 0x2 == 0x2"], 1, None),
        ("nat", &[], 1, Some("nat")),
        (
            "src in 10.0.0.0/29 and udp",
            &["ipv4 and udp"],
            1,
            Some("src in 10.0.0.0/29"),
        ),
        (
            "src in {10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4, 10.0.0.5, 10.0.0.6, 10.0.0.7}",
            &["ipv4"],
            1,
            Some("src in {10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4, 10.0.0.5, 10.0.0.6, 10.0.0.7}"),
        ),
    ] {
        let expected = (
            kernel.iter().map(|&text| text.to_owned()).collect(),
            requests,
            rest.map(str::to_owned),
        );
        assert_eq!(plan(text), expected, "{text}");
    }
}

/// What the BPF program compares, and what is left.
fn walk(text: &str) -> (Vec<String>, Option<String>) {
    let explanation = Query::parse(text, &vocabulary()).unwrap().explain();
    (explanation.walk, explanation.walk_rest)
}

#[test]
fn the_walk_takes_what_it_can_compare() {
    for (text, compared, rest) in [
        ("", &[][..], None),
        ("tcp and udp", &[], None),
        ("tcp", &["tcp"], None),
        ("proto == 50", &["proto == 50"], None),
        ("not tcp", &["not tcp"], None),
        ("ipv6", &["ipv6"], None),
        ("src in 10.0.0.0/8", &["src in 10.0.0.0/8"], None),
        (
            "dst in {10.0.0.1-10.0.0.9, 2001:db8::/32}",
            &["dst in {10.0.0.1-10.0.0.9, 2001:db8::/32}"],
            None,
        ),
        ("dport == 53", &["dport == 53"], None),
        ("dport != 53", &["dport != 53"], None),
        ("has dport and dport >= 53", &["dport >= 53"], None),
        ("has dport", &["has dport"], None),
        ("not has state", &["not has state"], None),
        ("state != SYN_SENT", &["state != SYN_SENT"], None),
        ("bytes > 1MB", &["bytes >= 1000001"], None),
        ("not bytes > 1MB", &["not bytes >= 1000001"], None),
        // A clock goes on between the two.
        ("age > 1h", &["age >= 3600"], Some("age > 1h")),
        ("provider == wan1", &["mark & 0xffff0000 == 0x10000"], None),
        ("mark == 3", &["mark == 0x3"], None),
        ("unreplied", &["status != SEEN_REPLY"], None),
        ("status & 0x6 == 2", &["status & 0x6 == 0x2"], None),
        (
            "tcp.flags.orig == CLOSE_INIT",
            &["tcp.flags.orig == CLOSE_INIT"],
            None,
        ),
        ("gre.key == 5", &["gre.key == 5"], None),
        (
            "host 10.0.0.5",
            &[
                "src == 10.0.0.5",
                "dst == 10.0.0.5",
                "peer == 10.0.0.5",
                "reply.dst == 10.0.0.5",
            ],
            None,
        ),
        ("tcp and nat", &["tcp"], Some("nat")),
        ("tcp or nat", &[], Some("tcp or nat")),
        (
            "tcp and (bytes > 1MB or nat)",
            &["tcp"],
            Some("bytes > 1MB or nat"),
        ),
        (
            "sctp.vtag.orig == 7",
            &["sctp"],
            Some("sctp.vtag.orig == 7"),
        ),
        (
            "helper == ftp and zone == 7",
            &["zone == 7"],
            Some("helper == ftp"),
        ),
    ] {
        let rest = rest.map(str::to_owned);
        assert_eq!(
            walk(text),
            (compared.iter().map(|&text| text.to_owned()).collect(), rest),
            "{text}"
        );
    }
}

#[test]
fn the_parsed_form_shows_what_binds() {
    for (text, parsed) in [
        ("tcp or udp and nat", "tcp or (udp and nat)"),
        ("!(tcp||udp)&&nat", "not (tcp or udp) and nat"),
        ("src 10.0.0.0/8", "src in 10.0.0.0/8"),
        ("src 10.0.0.7", "src == 10.0.0.7"),
        ("PROTO = TCP", "proto == tcp"),
        (
            "dport in{80,443 , 8000-8999,}",
            "dport in {80, 443, 8000-8999}",
        ),
        ("not not tcp", "not not tcp"),
        ("orig.src 10.0.0.9/24", "src in 10.0.0.0/24"),
        ("provider 'lte backup'", "provider == \"lte backup\""),
        ("helper ~ f*", "helper ~ f*"),
        ("mark & 255 = 3", "mark & 0xff == 3"),
        ("has app or has   helper", "has app or has helper"),
    ] {
        let query = Query::parse(text, &vocabulary()).unwrap();
        assert_eq!(query.explain().parsed, parsed);
        let again = Query::parse(parsed, &vocabulary()).unwrap();
        assert_eq!(again.to_string(), parsed);
    }
}

#[test]
fn what_is_hardly_meant_is_warned_of() {
    for (text, code, marked) in [
        ("tcp and udp", "always-false", "tcp and udp"),
        (
            "tcp and state == SHUTDOWN_SENT",
            "always-false",
            "tcp and state == SHUTDOWN_SENT",
        ),
        (
            "udp and state == ESTABLISHED",
            "always-false",
            "udp and state == ESTABLISHED",
        ),
        (
            "icmp and dport == 53",
            "always-false",
            "icmp and dport == 53",
        ),
        (
            "ipv6 and src == 10.0.0.5",
            "always-false",
            "ipv6 and src == 10.0.0.5",
        ),
        (
            "dport == 53 and dport == 80",
            "always-false",
            "dport == 53 and dport == 80",
        ),
        (
            "nat and (tcp and udp or zone == 3)",
            "always-false",
            "tcp and udp",
        ),
        (
            "mark & 0xff == 3 and mark & 0xf == 4",
            "always-false",
            "mark & 0xff == 3 and mark & 0xf == 4",
        ),
        ("nat and not nat", "always-false", "nat and not nat"),
        (
            "assured and status & 0x4 == 0",
            "always-false",
            "assured and status & 0x4 == 0",
        ),
        ("nat and (tcp or not tcp)", "always-true", "tcp or not tcp"),
        (
            "src in 0.0.0.0/0 or ipv6",
            "always-true",
            "src in 0.0.0.0/0 or ipv6",
        ),
        ("dport == 53 and bytes > 1MB", "no-protocol", "dport == 53"),
        (
            "nat and dport in {80, 443}",
            "no-protocol",
            "dport in {80, 443}",
        ),
    ] {
        let query = Query::parse(text, &vocabulary()).unwrap();
        let warnings = query.explain().warnings;
        let [warning] = warnings.as_slice() else {
            panic!("{text}: {warnings:?}");
        };
        let at: String = text
            .chars()
            .skip(warning.offset)
            .take(warning.length)
            .collect();
        assert_eq!((warning.code, at.as_str()), (code, marked), "{text}");
    }
    for text in [
        "tcp",
        "tcp and dport == 53",
        "nat and bytes > 0",
        "zone == 0 or zone == 1",
    ] {
        assert_eq!(
            Query::parse(text, &vocabulary())
                .unwrap()
                .explain()
                .warnings,
            []
        );
    }
}

fn completions(text: &str) -> (usize, usize, Vec<String>) {
    let completion = complete(text, text.chars().count(), &vocabulary()).unwrap();
    let candidates = completion
        .candidates
        .into_iter()
        .map(|candidate| candidate.text)
        .collect();
    (completion.offset, completion.length, candidates)
}

#[test]
fn what_can_follow_is_offered() {
    let words = |words: &[&str]| {
        words
            .iter()
            .map(|&word| word.to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(completions("prot"), (0, 4, words(&["proto", "protocol"])));
    assert_eq!(completions("tcp and dp"), (8, 2, words(&["dport"])));
    assert_eq!(completions("proto == t"), (9, 1, words(&["tcp"])));
    assert_eq!(
        completions("state in {TIME_WAIT, EST"),
        (21, 3, words(&["ESTABLISHED"]))
    );
    assert_eq!(
        completions("state in {TIME_WAIT"),
        (10, 9, words(&["TIME_WAIT"]))
    );
    assert_eq!(
        completions("state in {TIME_WAIT "),
        (20, 0, words(&[",", "}"]))
    );
    assert_eq!(completions("tcp "), (4, 0, words(&["and", "or"])));
    assert_eq!(completions("(tcp "), (5, 0, words(&["and", "or", ")"])));
    assert_eq!(
        completions("provider == \"l"),
        (12, 2, words(&["\"lte backup\""]))
    );
    assert_eq!(
        completions("provider == l"),
        (12, 1, words(&["\"lte backup\""]))
    );
    assert_eq!(completions("has hel"), (4, 3, words(&["helper"])));
    assert_eq!(
        completions("src "),
        (4, 0, words(&["==", "!=", "in", "not in"]))
    );
    assert_eq!(completions("src not "), (8, 0, words(&["in"])));
    assert_eq!(
        completions("helper == \"a\\\"b").1,
        5,
        "a quotation is a word"
    );
    assert!(completions("dport == ").2.contains(&"https".to_owned()));
    assert!(completions("").2.contains(&"assured".to_owned()));
    assert!(completions("mark & 0xff ").2.contains(&"==".to_owned()));
    // Within the text as well as at its end.
    let completion = complete("pro and tcp", 3, &vocabulary()).unwrap();
    assert_eq!(completion.candidates.len(), 3, "{completion:?}");
    assert!(complete("dprt == 1 and ", 14, &vocabulary()).is_err());
}

/// Every candidate, put where it was offered, is right there: nothing but the end is missing.
#[test]
fn what_is_offered_is_right() {
    for text in [
        "",
        "tcp ",
        "tcp and ",
        "(tcp ",
        "src ",
        "dport ",
        "state in {",
        "state in {NONE ",
        "has ",
        "mark & 1 ",
        "provider == ",
        "status == ",
        "tcp.flags in {",
        "helper ",
        "not ",
        "family ",
    ] {
        let completion = complete(text, text.chars().count(), &vocabulary()).unwrap();
        assert!(!completion.candidates.is_empty(), "{text}");
        for candidate in completion.candidates {
            let longer = format!("{text}{}", candidate.text);
            let end = longer.chars().count();
            if let Err(error) = Query::parse(&longer, &vocabulary()) {
                assert_eq!((error.offset, error.length), (end, 0), "{longer}: {error}");
            }
        }
    }
}
