//! What a full table could give up, and the lists beside the table.

use super::super::facts::Facts;
use super::super::{Finding, Severity, Step, grouped, percent};
use super::fill::{DAY, ESTABLISHED, raise};
use super::{Check, fine, one};

/// How much a full table could give up.
pub(super) const EVICTION: Check = Check {
    code: "little-to-evict",
    what: "what a full table could evict",
    when: "from 80 % full: warning below 5 % of the entries, critical below 1 %",
    look: eviction,
};

/// How long the chains are.
pub(super) const CHAINS: Check = Check {
    code: "long-chains",
    what: "how long the hash table's chains are",
    when: "notice above 4 places a bucket on average or above 16 with a full table, warning above 8",
    look: chains,
};

/// How many expectations there are.
pub(super) const EXPECTATIONS: Check = Check {
    code: "expectations-fill",
    what: "how many expectations helpers have",
    when: "warning from 80 % of `nf_conntrack_expect_max`, critical from 100 %",
    look: expectations,
};

/// Whether anything is tracked.
pub(super) const TRACKING: Check = Check {
    code: "not-tracking",
    what: "whether connections are tracked",
    when: "notice where no rule makes the kernel track",
    look: tracking,
};

fn eviction(facts: &Facts) -> Option<Vec<Finding>> {
    let (entries, limit) = match facts.usage?.is_limited()? {
        true => facts.limited()?,
        false => return fine(),
    };
    if percent(entries, limit) < 80.0 {
        return fine();
    }
    let held = facts.contents.as_ref()?.held(0);
    let share = percent(held.evictable, held.entries);
    let severity = match share {
        ..1.0 => Severity::Critical,
        ..5.0 => Severity::Warning,
        _ => return fine(),
    };
    // A fifth of the time without a packet is a long silence.
    let lifetime = facts.setting(ESTABLISHED).unwrap_or(5 * DAY);
    let query = format!(
        "'tcp and assured and state == ESTABLISHED and timeout < {}s'",
        lifetime / 5 * 4
    );
    one(Some(
        Finding::new(
            EVICTION.code,
            severity,
            "There is hardly anything that a full table could evict",
        )
        .evidence(format!(
            "{} of {} entries ({share:.1} %) are not assured; {} assured TCP connections are closing.",
            grouped(held.evictable),
            grouped(held.entries),
            grouped(held.closing)
        ))
        .value("evictable", held.evictable)
        .value("evictable_percent", (share * 10.0).round() / 10.0)
        .value("closing", held.closing)
        .value("assured", held.assured)
        .value("entries", held.entries)
        .consequence(
            "Assured connections are never evicted, so once the table is full nearly every new \
             connection is dropped. The kernel looks for a victim in eight buckets only.",
        )
        .steps(raise(facts, entries, limit))
        .step(facts.place.tracklight(&format!("group {query} --by src -n 10")))
        .step(facts.place.tracklight(&format!("delete {query} --dry-run")))
        .step(Step::advise(
            "delete connections that have been idle for long, by the last command without --dry-run",
        )),
    ))
}

fn chains(facts: &Facts) -> Option<Vec<Finding>> {
    let buckets = facts
        .setting("nf_conntrack_buckets")
        .filter(|&buckets| buckets > 0)?;
    let usage = facts.usage?;
    // Each entry has two places: one for each direction.
    let average = |entries: u64| entries as f64 * 2.0 / buckets as f64;
    let now = average(usage.entries);
    let full = usage.limit.map(average);
    let severity = match now {
        now if now > 8.0 => Severity::Warning,
        now if now > 4.0 => Severity::Notice,
        _ if full > Some(16.0) => Severity::Notice,
        _ => return fine(),
    };
    let wanted = usage
        .entries
        .max(usage.limit.unwrap_or(0))
        .next_power_of_two();
    let mut evidence = format!(
        "{} entries in {} buckets: {now:.1} places a bucket on average, of this namespace alone.",
        grouped(usage.entries),
        grouped(buckets)
    );
    if let Some(full) = full {
        evidence.push_str(&format!(" A full table would have {full:.1}."));
    }
    one(Some(
        Finding::new(CHAINS.code, severity, "The hash table has too few buckets")
            .evidence(evidence)
            .value("buckets", buckets)
            .value("entries", usage.entries)
            .value("places_per_bucket", (now * 10.0).round() / 10.0)
            .consequence(
                "Every packet searches its chain: the longer it is, the more time each packet takes. Since Linux 5.15 \
                 new connections are refused where a chain grows to some dozens.",
            )
            .steps(
                facts
                    .place
                    .set_for_all("net.netfilter.nf_conntrack_buckets", wanted),
            )
            .step(Step::advise(format!(
                "a bucket takes 8 bytes: {} MiB for all of them",
                grouped((wanted * 8).div_ceil(1 << 20))
            ))),
    ))
}

fn expectations(facts: &Facts) -> Option<Vec<Finding>> {
    let count = facts.expectations?;
    let limit = facts
        .setting("nf_conntrack_expect_max")
        .filter(|&limit| limit > 0)?;
    let share = percent(count, limit);
    let severity = match share {
        100.0.. => Severity::Critical,
        80.0.. => Severity::Warning,
        _ => return fine(),
    };
    one(Some(
        Finding::new(
            EXPECTATIONS.code,
            severity,
            format!("The list of expectations is {share:.0} % full"),
        )
        .evidence(format!(
            "{} of {} expectations (nf_conntrack_expect_max).",
            grouped(count),
            grouped(limit)
        ))
        .value("expectations", count)
        .value("limit", limit)
        .consequence(
            "Helpers can expect no further connections: transfers of FTP, calls of SIP and the like fail.",
        )
        .steps(
            facts
                .place
                .set_for_all("net.netfilter.nf_conntrack_expect_max", limit * 2),
        )
        .step(facts.place.tracklight("expect list")),
    ))
}

fn tracking(facts: &Facts) -> Option<Vec<Finding>> {
    if facts.tracking? || facts.usage.is_some_and(|usage| usage.entries > 0) {
        return fine();
    }
    let nft = |command: &str| Step::run(facts.place.inside(&format!("nft '{command}'")));
    one(Some(
        Finding::new(TRACKING.code, Severity::Notice, "Nothing tracks connections here")
            .evidence(
                "The table is empty, and no function of connection tracking is on the way of packets of \
                 either family.",
            )
            .consequence(
                "There is nothing to see. The kernel tracks only where a firewall rule asks for the state of \
                 connections or translates addresses.",
            )
            .steps([
                nft("add table inet tracking"),
                nft("add chain inet tracking in { type filter hook prerouting priority 0; }"),
                nft("add chain inet tracking out { type filter hook output priority 0; }"),
                nft("add rule inet tracking in ct state new counter"),
                nft("add rule inet tracking out ct state new counter"),
            ]),
    ))
}

#[cfg(test)]
mod tests {
    use super::super::super::facts::Usage;
    use super::super::made::{facts, mixed, severities, severity, usage};
    use super::*;

    #[test]
    fn a_full_table_of_assured_connections_has_nothing_to_evict() {
        for (evictable, expected) in [
            (0, Some(Severity::Critical)),
            (9, Some(Severity::Critical)),
            (10, Some(Severity::Warning)),
            (49, Some(Severity::Warning)),
            (50, None),
        ] {
            let mut facts = mixed(1000 - evictable, evictable);
            facts.usage = Some(Usage {
                entries: 800,
                limit: Some(1000),
            });
            assert_eq!(severity(&EVICTION, &facts), Some(expected), "{evictable}");
            facts.usage = Some(Usage {
                entries: 799,
                limit: Some(1000),
            });
            assert_eq!(severity(&EVICTION, &facts), Some(None), "there is room");
        }
        assert_eq!(
            severity(&EVICTION, &usage(90, 100)),
            None,
            "nobody knows who holds it"
        );
    }

    #[test]
    fn chains_are_long_with_more_than_four_places_a_bucket() {
        for (entries, limit, expected) in [
            (2_000, 4_000, None),
            (2_001, 4_000, Some(Severity::Notice)),
            (4_000, 4_000, Some(Severity::Notice)),
            (4_001, 4_000, Some(Severity::Warning)),
            (10, 8_000, None),
            (10, 8_001, Some(Severity::Notice)),
        ] {
            let mut facts = usage(entries, limit);
            facts.settings.insert("nf_conntrack_buckets".into(), 1_000);
            assert_eq!(severity(&CHAINS, &facts), Some(expected), "{entries}");
        }
        assert_eq!(severity(&CHAINS, &usage(2_001, 4_000)), None);
    }

    #[test]
    fn expectations_fill_their_list() {
        for (count, expected) in [
            (79, None),
            (80, Some(Severity::Warning)),
            (99, Some(Severity::Warning)),
            (100, Some(Severity::Critical)),
        ] {
            let facts = facts(|facts| {
                facts.expectations = Some(count);
                facts.settings.insert("nf_conntrack_expect_max".into(), 100);
            });
            assert_eq!(
                severities(&EXPECTATIONS, &facts),
                expected.into_iter().collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn an_empty_table_that_nothing_fills_is_found() {
        let untracked = |tracking, entries| {
            let mut facts = usage(entries, 100);
            facts.tracking = tracking;
            severity(&TRACKING, &facts)
        };
        assert_eq!(untracked(Some(false), 0), Some(Some(Severity::Notice)));
        assert_eq!(untracked(Some(false), 1), Some(None));
        assert_eq!(untracked(Some(true), 0), Some(None));
        assert_eq!(untracked(None, 0), None);
    }
}
