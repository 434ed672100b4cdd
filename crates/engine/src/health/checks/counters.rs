//! The kernel's counters of what went wrong, and whether they rise.

use ctnetlink::CpuStats;

use super::super::facts::{Facts, Rising};
use super::super::{Finding, Severity, Step, grouped};
use super::{Check, one};

/// Packets that were dropped because there was no entry for them.
pub(super) const DROP: Check = Check {
    code: "drops",
    what: "packets dropped because no entry could be made",
    when: "critical while the counter `drop` rises by more than `insert_failed`, notice while it rises by less or if it did \
           before",
    look: |facts| judge(facts, &DROPS),
};

/// Entries that were evicted.
pub(super) const EARLY_DROP: Check = Check {
    code: "evictions",
    what: "connections evicted to make room",
    when: "warning while the counter `early_drop` rises, notice if it did before",
    look: |facts| judge(facts, &EVICTIONS),
};

/// Entries that could not be put into the table.
pub(super) const INSERT_FAILED: Check = Check {
    code: "insert-failed",
    what: "connections that could not be put into the table",
    when: "warning from 1 a second in the counter `insert_failed`, notice while it rises less, info if it did before",
    look: |facts| judge(facts, &INSERTS),
};

/// Entries that were refused for their bucket's chain.
pub(super) const CHAIN_TOO_LONG: Check = Check {
    code: "chain-too-long",
    what: "connections refused because their chain was too long",
    when: "warning while the counter `chaintoolong` rises, notice if it did before",
    look: |facts| judge(facts, &CHAINS),
};

/// Packets that fit no connection.
pub(super) const INVALID: Check = Check {
    code: "invalid-packets",
    what: "packets that fit no connection",
    when: "notice from 10 a second in the counter `invalid`, warning from 1,000",
    look: |facts| judge(facts, &INVALIDS),
};

/// Look-ups that had to begin anew.
pub(super) const SEARCH_RESTART: Check = Check {
    code: "search-restarts",
    what: "searches that had to begin anew",
    when: "notice from 1,000 a second in the counter `search_restart`",
    look: |facts| judge(facts, &RESTARTS),
};

/// A counter and what is thought of it.
struct Counter {
    code: &'static str,
    /// The kernel's name.
    name: &'static str,
    value: fn(&CpuStats) -> Option<u32>,
    /// A counter of another finding that may have counted the same packets, and how bad it is that this one
    /// rose by no more than that one.
    shared: Option<(Shared, Severity)>,
    /// From how many a second on it is how bad, the worst first.
    rising: &'static [(f64, Severity)],
    /// How bad it is that it rose some time.
    before: Option<Severity>,
    title: &'static str,
    consequence: &'static str,
    remedy: fn(&Facts) -> Vec<Step>,
}

/// A counter that may have counted the same packets as another.
struct Shared {
    /// The kernel's name.
    name: &'static str,
    value: fn(&CpuStats) -> Option<u32>,
}

/// Any rise at all: less than one in the longest time between two readings.
const ANY: f64 = f64::MIN_POSITIVE;

const DROPS: Counter = Counter {
    code: DROP.code,
    name: "drop",
    value: |stats| stats.drop,
    // `nf_ct_resolve_clash` counts a packet in both. But `__nf_conntrack_confirm` counts chains that are too
    // long (Linux 5.15) and dying entries as failed inserts alone, and before Linux 5.10 clashes that were resolved
    // too; `nf_conntrack_in` counts a full table as a drop alone. So they cannot be taken off each other: all that
    // is certain is that what drops rose by more is no failed insert.
    shared: Some((
        Shared {
            name: "insert_failed",
            value: |stats| stats.insert_failed,
        },
        Severity::Notice,
    )),
    rising: &[(ANY, Severity::Critical)],
    before: Some(Severity::Notice),
    title: "Packets are dropped because no entry can be made for them",
    consequence: "Connections that were to begin with these packets did not come about, or late. The table was full, \
                  there was no memory, or another packet had made the same entry at the same time.",
    remedy: |facts| {
        vec![
            facts.place.tracklight("stats"),
            Step::run("dmesg | grep conntrack | tail"),
            Step::advise("where the table is full, raise its limit as `table-fill` says"),
        ]
    },
};

const EVICTIONS: Counter = Counter {
    code: EARLY_DROP.code,
    name: "early_drop",
    value: |stats| stats.early_drop,
    shared: None,
    rising: &[(ANY, Severity::Warning)],
    before: Some(Severity::Notice),
    title: "Connections are evicted because the table is full",
    consequence: "They were not assured yet; packets of theirs that come later may be refused. The next step is that new \
                  connections are dropped.",
    remedy: |facts| {
        vec![
            facts.place.tracklight("group --by src -n 10"),
            Step::advise("raise the limit: double nf_conntrack_max, as `table-fill` says"),
        ]
    },
};

const INSERTS: Counter = Counter {
    code: INSERT_FAILED.code,
    name: "insert_failed",
    value: |stats| stats.insert_failed,
    shared: None,
    rising: &[(1.0, Severity::Warning), (ANY, Severity::Notice)],
    before: Some(Severity::Info),
    title: "Connections cannot be put into the table",
    consequence: "Their first packet was dropped. Either two packets of one new connection came at once, as with \
                  resolvers that ask for both families from one port (seen as delays of 5 seconds), or NAT had no free port \
                  left.",
    remedy: |facts| {
        vec![
            facts
                .place
                .tracklight("group snat --by reply.dst,peer,peer.port -n 10"),
            Step::advise(
                "where thousands go from one public address to one destination, give NAT more public addresses; a range \
                 of ports in a rule of masquerade or snat may be too small",
            ),
            Step::advise(
                "where it is DNS, have a caching resolver on this network, or the option single-request-reopen in \
                 resolv.conf of the clients",
            ),
        ]
    },
};

const CHAINS: Counter = Counter {
    code: CHAIN_TOO_LONG.code,
    name: "chaintoolong",
    value: |stats| stats.chaintoolong,
    shared: None,
    rising: &[(ANY, Severity::Warning)],
    before: Some(Severity::Notice),
    title: "Connections are refused because their hash chain is too long",
    consequence: "Their first packet was dropped although the table has room: there are too few buckets, or many entries fall \
                  into one, as with one remote address in many zones.",
    remedy: |facts| {
        let buckets = facts.setting("nf_conntrack_buckets").unwrap_or(65_536);
        facts.place.set_for_all(
            "net.netfilter.nf_conntrack_buckets",
            buckets.saturating_mul(2),
        )
    },
};

const INVALIDS: Counter = Counter {
    code: INVALID.code,
    name: "invalid",
    value: |stats| stats.invalid,
    shared: None,
    rising: &[(1000.0, Severity::Warning), (10.0, Severity::Notice)],
    before: None,
    title: "Many packets fit no connection",
    consequence: "NAT does not translate them, and rules that drop what is invalid drop them. One direction may take another \
                  way than through this machine, checksums may be wrong, or entries end too soon.",
    remedy: |facts| {
        let log = |value: u8| {
            facts.place.inside(&format!(
                "sysctl -w net.netfilter.nf_conntrack_log_invalid={value}"
            ))
        };
        vec![
            Step::Run(log(255)),
            Step::run("dmesg --follow | grep -m 20 nf_ct_"),
            Step::Run(log(0)),
            Step::advise(
                "the first command has the kernel log such packets with its reason, the last ends that; in another \
                 namespace than the initial one nothing is logged unless net.netfilter.nf_log_all_netns is 1",
            ),
        ]
    },
};

const RESTARTS: Counter = Counter {
    code: SEARCH_RESTART.code,
    name: "search_restart",
    value: |stats| stats.search_restart,
    shared: None,
    rising: &[(1000.0, Severity::Notice)],
    before: None,
    title: "Searches of the table often begin anew",
    consequence: "Packets take longer: entries move between chains while they are searched, as when the table is resized or \
                  connections are born and die in great numbers.",
    remedy: |facts| {
        let buckets = facts.setting("nf_conntrack_buckets").unwrap_or(65_536);
        facts.place.set_for_all(
            "net.netfilter.nf_conntrack_buckets",
            buckets.saturating_mul(2),
        )
    },
};

fn judge(facts: &Facts, counter: &Counter) -> Option<Vec<Finding>> {
    let counters = facts.counters.as_ref()?;
    let (total, rising) = counters.of(counter.value)?;
    let shared = counter.shared.as_ref().and_then(|(shared, severity)| {
        let (_, shared_rising) = counters.of(shared.value)?;
        Some((shared.name, shared_rising?.count, *severity))
    });
    let speed = rising.map_or(0.0, |rising| rising.per_second());
    let severity =
        counter
            .rising
            .iter()
            .find(|(from, _)| speed >= *from)
            .map(|(_, severity)| match (shared, rising) {
                (Some((_, others, less)), Some(rising)) if rising.count <= others => less,
                _ => *severity,
            });
    let is_rising = severity.is_some();
    let severity = severity.or(counter.before.filter(|_| total > 0));
    if severity.is_none() && rising.is_none() && counter.before.is_none() {
        // How it was at one moment says nothing of how fast it rises.
        return None;
    }
    one(severity.map(|severity| {
        let title = if is_rising {
            counter.title.to_owned()
        } else {
            format!("{} – not now, but before", counter.title)
        };
        let mut finding = Finding::new(counter.code, severity, title)
            .evidence(evidence(counter, total, rising, shared))
            .value("counter", counter.name)
            .value("total", total)
            .consequence(counter.consequence)
            .steps((counter.remedy)(facts));
        if let Some(rising) = rising {
            finding = finding
                .value("rose_by", rising.count)
                .value("over_seconds", rising.over.as_secs_f64())
                .value("per_second", (speed * 1000.0).round() / 1000.0);
        }
        if let Some((_, others, _)) = shared {
            finding = finding.value("insert_failed_rose_by", others);
        }
        finding
    }))
}

fn evidence(
    counter: &Counter,
    total: u64,
    rising: Option<Rising>,
    shared: Option<(&str, u64, Severity)>,
) -> String {
    let mut text = format!(
        "The counter {} is at {} since the namespace was made",
        counter.name,
        grouped(total)
    );
    text.push_str(&match rising {
        Some(rising) if rising.count > 0 => format!(
            "; it rose by {} within the last {:.1} seconds ({:.1} a second).",
            grouped(rising.count),
            rising.over.as_secs_f64(),
            rising.per_second()
        ),
        Some(rising) => format!(
            "; it did not rise within the last {:.1} seconds.",
            rising.over.as_secs_f64()
        ),
        None => "; whether it rises was not measured.".to_owned(),
    });
    if let (Some(rising), Some((name, others, _))) = (rising, shared)
        && rising.count > 0
        && others > 0
    {
        text.push_str(&format!(
            " The counter {name} rose by {} meanwhile: packets may be counted in both",
            grouped(others)
        ));
        match rising.count.saturating_sub(others) {
            0 => text.push('.'),
            more => text.push_str(&format!(
                ", but {} at least in this one alone.",
                grouped(more)
            )),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::super::facts::{Counters, Earlier};
    use super::super::made::{facts, only, severity};
    use super::*;

    fn counted(
        set: impl Fn(&mut CpuStats, u32),
        before: Option<u32>,
        now: u32,
        seconds: u64,
    ) -> Facts {
        let stats = |value| {
            let mut stats = CpuStats::default();
            set(&mut stats, value);
            stats
        };
        facts(|facts| {
            facts.counters = Some(Counters {
                now: stats(now),
                earlier: before.map(|before| Earlier {
                    stats: stats(before),
                    ago: Duration::from_secs(seconds),
                }),
            });
        })
    }

    #[test]
    fn drops_are_critical_while_they_rise_and_told_afterwards() {
        let drops = |before, now| counted(|stats, value| stats.drop = Some(value), before, now, 60);
        assert_eq!(severity(&DROP, &drops(Some(0), 0)), Some(None));
        assert_eq!(
            severity(&DROP, &drops(Some(5), 5)),
            Some(Some(Severity::Notice))
        );
        assert_eq!(
            severity(&DROP, &drops(Some(5), 6)),
            Some(Some(Severity::Critical))
        );
        assert_eq!(severity(&DROP, &drops(None, 0)), Some(None));
        assert_eq!(
            severity(&DROP, &drops(None, 7)),
            Some(Some(Severity::Notice))
        );
        assert_eq!(severity(&DROP, &Facts::default()), None);
        let found = only(&DROP, &drops(Some(5), 11));
        assert_eq!(found.values["rose_by"], 6);
        assert_eq!(found.values["per_second"], 0.1);
    }

    #[test]
    fn drops_that_may_be_failed_inserts_are_told_as_they_are_counted() {
        let both = |drop, failed| {
            let set = |stats: &mut CpuStats, value: u32| {
                stats.drop = Some(value.min(1) * drop);
                stats.insert_failed = Some(value.min(1) * failed);
            };
            counted(set, Some(0), 1, 10)
        };
        for (drop, failed, expected) in [
            (0, 5, None),
            (5, 5, Some(Severity::Notice)),
            (5, 6, Some(Severity::Notice)),
            (6, 5, Some(Severity::Critical)),
            (6, 0, Some(Severity::Critical)),
        ] {
            let facts = both(drop, failed);
            assert_eq!(severity(&DROP, &facts), Some(expected), "{drop} {failed}");
            if expected.is_some() {
                let found = only(&DROP, &facts);
                assert_eq!(
                    (&found.values["total"], &found.values["rose_by"]),
                    (&drop.into(), &drop.into())
                );
                assert_eq!(found.values["insert_failed_rose_by"], failed);
            }
        }
        let evidence = only(&DROP, &both(6, 5)).evidence;
        assert!(evidence.contains("it rose by 6 within"), "{evidence}");
        assert!(
            evidence.ends_with("but 1 at least in this one alone."),
            "{evidence}"
        );
    }

    #[test]
    fn chains_that_are_too_long_hide_no_drops() {
        // The kernel counts them as failed inserts and not as drops.
        let set = |stats: &mut CpuStats, value: u32| {
            stats.drop = Some(value * 40);
            stats.insert_failed = Some(value * 100);
            stats.chaintoolong = Some(value * 100);
        };
        let facts = counted(set, Some(0), 1, 10);
        assert_eq!(only(&DROP, &facts).values["rose_by"], 40);
        let before = counted(set, Some(1), 1, 10);
        assert_eq!(only(&DROP, &before).values["total"], 40);
    }

    #[test]
    fn a_counter_that_wraps_has_risen_by_little() {
        let wrapped = counted(
            |stats, value| stats.drop = Some(value),
            Some(u32::MAX),
            1,
            1,
        );
        assert_eq!(only(&DROP, &wrapped).values["rose_by"], 2);
    }

    #[test]
    fn evictions_and_long_chains_are_warnings_while_they_rise() {
        let evicted = |before, now| {
            counted(
                |stats, value| stats.early_drop = Some(value),
                before,
                now,
                1,
            )
        };
        let refused = |before, now| {
            counted(
                |stats, value| stats.chaintoolong = Some(value),
                before,
                now,
                1,
            )
        };
        for (check, facts) in [
            (
                &EARLY_DROP,
                [
                    evicted(Some(1), 1),
                    evicted(Some(1), 2),
                    evicted(Some(0), 0),
                ],
            ),
            (
                &CHAIN_TOO_LONG,
                [
                    refused(Some(1), 1),
                    refused(Some(1), 2),
                    refused(Some(0), 0),
                ],
            ),
        ] {
            assert_eq!(severity(check, &facts[0]), Some(Some(Severity::Notice)));
            assert_eq!(severity(check, &facts[1]), Some(Some(Severity::Warning)));
            assert_eq!(severity(check, &facts[2]), Some(None));
            only(check, &facts[1]);
        }
        // This kernel does not have that counter.
        assert_eq!(severity(&CHAIN_TOO_LONG, &evicted(Some(0), 0)), None);
    }

    #[test]
    fn failed_inserts_are_a_warning_from_one_a_second() {
        let failed = |before, now| {
            counted(
                |stats, value| stats.insert_failed = Some(value),
                Some(before),
                now,
                10,
            )
        };
        for (before, now, expected) in [
            (0, 0, None),
            (3, 3, Some(Severity::Info)),
            (0, 1, Some(Severity::Notice)),
            (0, 9, Some(Severity::Notice)),
            (0, 10, Some(Severity::Warning)),
        ] {
            assert_eq!(
                severity(&INSERT_FAILED, &failed(before, now)),
                Some(expected),
                "{now}"
            );
        }
        only(&INSERT_FAILED, &failed(0, 10));
    }

    #[test]
    fn invalid_packets_and_restarts_matter_when_there_are_many_a_second() {
        let invalid = |now| counted(|stats, value| stats.invalid = Some(value), Some(0), now, 10);
        for (now, expected) in [
            (99, None),
            (100, Some(Severity::Notice)),
            (9_999, Some(Severity::Notice)),
            (10_000, Some(Severity::Warning)),
        ] {
            assert_eq!(severity(&INVALID, &invalid(now)), Some(expected), "{now}");
        }
        let restarts = |now| {
            counted(
                |stats, value| stats.search_restart = Some(value),
                Some(0),
                now,
                10,
            )
        };
        assert_eq!(severity(&SEARCH_RESTART, &restarts(9_999)), Some(None));
        assert_eq!(
            severity(&SEARCH_RESTART, &restarts(10_000)),
            Some(Some(Severity::Notice))
        );
        only(&INVALID, &invalid(10_000));
        only(&SEARCH_RESTART, &restarts(10_000));
        let once = counted(
            |stats, value| stats.invalid = Some(value),
            None,
            1_000_000,
            0,
        );
        assert_eq!(
            severity(&INVALID, &once),
            None,
            "nobody knows how fast it rises"
        );
    }
}
