//! Numbers that a test made up, and what became of them.

use std::time::Duration;

use engine::live::{Moved, Rates, Summary, Truth};
use server::metrics::catalogue::KERNEL;
use server::metrics::{Inputs, Process, Table};

/// With something for every metric.
pub(crate) fn full() -> Inputs {
    let now = 1_764_115_200_000_000_000;
    Inputs {
        version: "1.2.3",
        table: Some(Table {
            summary: Summary {
                time_ns: now,
                connections: 1_000,
                limit: Some(65_536),
                births: 5_000,
                deaths: 4_000,
                moved: Some(Moved {
                    bytes: 123_456_789_012,
                    packets: 987_654_321,
                }),
                rates: Some(Rates {
                    bytes_orig: 1_024.0,
                    bytes_reply: 2_048.5,
                    packets_orig: 10.0,
                    packets_reply: 20.0,
                }),
                protocols: vec![(6, 700), (17, 250), (99, 50)],
                states: vec![(6, "ESTABLISHED", 600), (6, "SYN_SENT", 100)],
                assured: 600,
                unreplied: 120,
                nat: 900,
            },
            truth: Truth {
                events: true,
                unheard: 9,
                taken_ns: now - 2_500_000_000,
                source: "netlink",
                source_reason: Some(("small", "few entries".to_owned())),
                complete: true,
                events_lost: 3,
                losses: 1,
                accounting: true,
                timestamps: true,
                offloaded: 4,
            },
            reading_time: Duration::from_millis(125),
        }),
        troubles: vec!["permission-denied", "permission-denied"],
        kernel: Some(KERNEL.iter().map(|(name, _)| (*name, 17)).collect()),
        findings: Some([("critical", 0), ("warning", 3)].into()),
        sources: vec![("10.0.0.5".to_owned(), 400), ("2001:db8::5".to_owned(), 30)],
        process: Process {
            cpu: Duration::from_millis(1_500),
            resident: Some(20 << 20),
            virtual_size: Some(200 << 20),
            open_files: Some(20),
            most_files: Some(1_024),
            threads: Some(6),
            start: Some(1_764_115_000.5),
        },
    }
}

/// The series of a text, and their values.
pub(crate) fn series(text: &str) -> impl Iterator<Item = (&str, f64)> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(series, value)| (series, value.parse().unwrap()))
}

/// The value of one series.
pub(crate) fn value(text: &str, wanted: &str) -> Option<f64> {
    series(text)
        .find(|(series, _)| *series == wanted)
        .map(|(_, value)| value)
}
