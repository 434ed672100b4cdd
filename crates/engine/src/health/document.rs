//! docs/health.md says what is so: it has every check with its bounds, and a section for each.

use std::time::{Duration, Instant};

use ctnetlink::{CpuStats, Status};
use query::{Query, Vocabulary};

use super::checks::made::{masqueraded, tcp};
use super::checks::timeouts;
use super::*;
use crate::failure::Failure;

const TEXT: &str = include_str!("../../../../docs/health.md");

/// The rows of the table whose heading begins so.
fn table(heading: &str) -> Vec<String> {
    let start = TEXT.find(&format!("\n| {heading} |")).expect(heading) + 1;
    let rows = TEXT[start..]
        .lines()
        .take_while(|line| line.starts_with('|'));
    rows.skip(2).map(str::to_owned).collect()
}

#[track_caller]
fn assert_rows(found: &[String], expected: &[String]) {
    assert!(found == expected, "it should be:\n{}", expected.join("\n"));
}

fn all() -> impl Iterator<Item = &'static Check> {
    CHECKS.iter().chain(CHECKS_OF_DAEMON)
}

#[test]
fn every_check_is_in_the_table_with_its_bounds_and_has_a_section() {
    let rows: Vec<String> = all()
        .map(|check| {
            let Check {
                code, what, when, ..
            } = check;
            format!("| [`{code}`](#{code}) | {what} | {when} |")
        })
        .collect();
    assert_rows(&table("code"), &rows);
    let sections: Vec<&str> = TEXT
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .collect();
    let codes: Vec<&str> = all().map(|check| check.code).collect();
    assert_eq!(sections, codes);
    for section in TEXT.split("\n### ").skip(1) {
        let words = section.split_whitespace().count();
        assert!(words > 30, "{section}");
    }
}

#[test]
fn bounds_of_timeouts_are_as_in_the_document() {
    let rows: Vec<String> = timeouts::ALL
        .iter()
        .map(|timeout| {
            format!(
                "| `nf_conntrack_{}` | {} | {} | {} | {} |",
                timeout.name,
                grouped(timeout.usual),
                grouped(timeout.least),
                grouped(timeout.most),
                timeout.of
            )
        })
        .collect();
    assert_rows(&table("timeout"), &rows);
}

/// Facts of which every one is bad.
fn worst() -> Facts {
    let mut contents = Contents::default();
    for port in 0..50 {
        contents.add(&masqueraded(
            "198.51.100.1",
            443,
            2000 + port * 3,
            40_000 + port,
        ));
        contents.add(&tcp(
            "fd00::1",
            "ESTABLISHED",
            Status::OFFLOAD | Status::ASSURED,
        ));
    }
    let mut settings: BTreeMap<String, u64> = timeouts::ALL
        .iter()
        .map(|timeout| (format!("nf_conntrack_{}", timeout.name), timeout.most + 1))
        .collect();
    for (name, value) in [
        ("acct", 0),
        ("timestamp", 0),
        ("events", 0),
        ("tcp_loose", 1),
        ("tcp_be_liberal", 1),
        ("checksum", 0),
        ("helper", 1),
        ("expect_max", 1),
        ("buckets", 10),
    ] {
        settings.insert(format!("nf_conntrack_{name}"), value);
    }
    let stats = |value| CpuStats {
        drop: Some(value * 2),
        early_drop: Some(value),
        insert_failed: Some(value),
        chaintoolong: Some(value),
        invalid: Some(value),
        search_restart: Some(value),
        ..CpuStats::default()
    };
    let begin = Instant::now();
    Facts {
        usage: Some(Usage {
            entries: 100,
            limit: Some(101),
        }),
        counts: (0..60)
            .map(|second| Count {
                at: begin + Duration::from_secs(second),
                entries: 41 + second,
            })
            .collect(),
        counters: Some(Counters {
            now: stats(5000),
            earlier: Some(Earlier {
                stats: stats(0),
                ago: Duration::from_secs(1),
            }),
        }),
        settings,
        contents: Some(contents),
        written: Some(vec![Written {
            name: "nf_conntrack_acct".to_owned(),
            value: 1,
            file: "/etc/sysctl.conf".to_owned(),
        }]),
        expectations: Some(1),
        buffer: Some(Buffer {
            wanted: 100,
            granted: 1,
            limit: None,
        }),
        listeners: Some(vec![Listener {
            port: 1,
            program: None,
            lost: 1,
        }]),
        walk: Some(Walk::Refused {
            code: "lockdown",
            reason: "this kernel is locked down".to_owned(),
        }),
        filters: Some(Err("it ignores the protocol".to_owned())),
        daemon: Some(Daemon {
            events_lost: 1,
            losses: 1,
            losing_events: None,
            event_buffer: 1,
            config: "/etc/tracklight/tracklight.toml".into(),
            state: "/var/lib/tracklight".into(),
            is_complete: false,
            troubles: vec![Failure::new(
                "kernel-error",
                "it does not answer",
                "try again",
            )],
            history: Some(Failure::new("disk-full", "no space is left", "")),
            set_aside: Some("/var/lib/tracklight/x".to_owned()),
            names: Some(Failure::new("dns", "no server is named", "")),
        }),
        ..Facts::default()
    }
}

#[test]
fn commands_of_this_program_in_remedies_have_queries_that_it_understands() {
    let mut report = examine(&worst());
    // An IPv6 source is written otherwise.
    let mut v6 = worst();
    let mut contents = Contents::default();
    for _ in 0..200 {
        contents.add(&tcp("fd00::1", "TIME_WAIT", Status::empty()));
    }
    v6.contents = Some(contents);
    report.findings.extend(check(&v6));
    let mut count = 0;
    for finding in &report.findings {
        for step in &finding.remedy {
            let Step::Run(command) = step else { continue };
            let Some(words) = command.strip_prefix("tracklight ") else {
                continue;
            };
            let (verb, rest) = words.split_once(' ').unwrap_or((words, ""));
            let query = match rest.strip_prefix('\'') {
                Some(quoted) => quoted.split('\'').next().unwrap(),
                None => rest.split(" -").next().unwrap(),
            };
            if query.starts_with('-') || !["list", "group", "delete"].contains(&verb) {
                continue;
            }
            Query::parse(query, &Vocabulary::default())
                .unwrap_or_else(|error| panic!("{command}: {error}"));
            count += 1;
        }
    }
    assert!(count > 8, "only {count}");
}

#[test]
fn every_finding_says_what_shows_it_what_follows_and_what_to_do() {
    let report = examine(&worst());
    let not_here = [
        "uncounted",
        "no-limit",
        "not-tracking",
        "unanswered",
        "closing",
        "incomplete-reading",
    ];
    for looked in &report.looked_at {
        if looked.verdict != Verdict::Found {
            assert!(not_here.contains(&looked.code), "{looked:?}");
        }
    }
    for finding in &report.findings {
        for text in [&finding.title, &finding.evidence, &finding.consequence] {
            assert!(!text.is_empty() && !text.contains("  "), "{finding:#?}");
        }
        assert!(finding.evidence.ends_with('.') && finding.consequence.ends_with('.'));
        assert!(!finding.remedy.is_empty(), "{finding:#?}");
        assert_eq!(finding.see, format!("{DOCUMENT}#{}", finding.code));
    }
}

#[test]
fn the_worst_comes_first() {
    let report = examine(&worst());
    let severities = report.findings.iter().map(|finding| finding.severity);
    assert!(severities.rev().is_sorted());
    assert_eq!(report.findings[0].code, "table-fill");
    let all: usize = [
        Severity::Info,
        Severity::Notice,
        Severity::Warning,
        Severity::Critical,
    ]
    .map(|severity| report.count(severity))
    .iter()
    .sum();
    assert_eq!(all, report.findings.len());
}

#[test]
fn what_is_not_known_is_neither_found_nor_fine() {
    let report = examine(&Facts::default());
    assert_eq!(report.findings, []);
    assert_eq!(report.ended(Verdict::Unknown), CHECKS.len());
}

#[test]
fn the_json_of_a_finding_stays_as_it_is() {
    let report = examine(&worst());
    let found = |code: &str| {
        let finding = report.findings.iter().find(|finding| finding.code == code);
        serde_json::to_value(finding.unwrap()).unwrap()
    };
    let finding = serde_json::json!({
        "code": "accounting-off",
        "severity": "notice",
        "title": "Bytes and packets are not counted",
        "evidence": "nf_conntrack_acct is 0.",
        "values": {"setting": 0},
        "consequence": "Connections show no bytes, packets or rates. The switch holds for connections that begin \
                        after it; those from before never get counters.",
        "remedy": [
            {"kind": "run", "text": "sysctl -w net.netfilter.nf_conntrack_acct=1"},
            {"kind": "keep", "text": "echo 'net.netfilter.nf_conntrack_acct = 1' >> /etc/sysctl.d/90-conntrack.conf"},
        ],
        "see": "docs/health.md#accounting-off",
    });
    assert_eq!(found("accounting-off"), finding);
    assert_eq!(found("nat-ports")["subject"], "tcp 203.0.113.5");
    assert_eq!(found("events-off")["severity"], "warning");
    assert_eq!(found("walk-refused")["remedy"][0]["kind"], "do");
    let whole = serde_json::to_value(&report).unwrap();
    let members: Vec<&String> = whole.as_object().unwrap().keys().collect();
    let expected = [
        "findings",
        "looked_at",
        "over_seconds",
        "table",
        "unseen",
        "usage",
    ];
    assert_eq!(members, expected);
    assert_eq!(whole["looked_at"][0]["verdict"], "found");
    assert_eq!(whole["table"]["states"][0]["protocol"], "tcp");
}
