//! Who holds the table.

use super::super::facts::Facts;
use super::super::{Finding, Severity, Step, grouped, percent};
use super::{Check, fine, one};

/// Whether one source holds much of it.
pub(super) const SOURCE: Check = Check {
    code: "one-source",
    what: "whether one source holds much of the table",
    when: "notice from 10 % of `nf_conntrack_max`, warning from 25 %",
    look: source,
};

/// Whether much of it was never answered.
pub(super) const UNANSWERED: Check = Check {
    code: "unanswered",
    what: "whether many connections have no answer",
    when: "at least half of the entries, and of `nf_conntrack_max`: notice from 5 %, warning from 25 %",
    look: unanswered,
};

/// Whether much of it has ended already.
pub(super) const CLOSING: Check = Check {
    code: "closing",
    what: "whether connections that are closing fill the table",
    when: "at least half of the entries, and of `nf_conntrack_max`: notice from 5 %, warning from 25 %",
    look: closing,
};

fn source(facts: &Facts) -> Option<Vec<Finding>> {
    let contents = facts.contents.as_ref()?;
    if !facts.usage?.is_limited()? {
        return fine();
    }
    let (_, limit) = facts.limited()?;
    let Some(source) = contents.sources(1).first().copied() else {
        return fine();
    };
    let share = percent(source.entries, limit);
    let severity = match share {
        25.0.. => Severity::Warning,
        10.0.. => Severity::Notice,
        _ => return fine(),
    };
    let address = source.address;
    let family = if address.is_ipv4() { "ip" } else { "ip6" };
    let kind = if address.is_ipv4() {
        "ipv4_addr"
    } else {
        "ipv6_addr"
    };
    let most = (limit / 20).max(100);
    // What was never answered is the first to go.
    let idle = if source.unreplied > 0 {
        " and unreplied"
    } else {
        ""
    };
    let nft = |command: String| Step::run(facts.place.inside(&format!("nft '{command}'")));
    one(Some(
        Finding::new(
            SOURCE.code,
            severity,
            format!("{address} holds {share:.0} % of what the table can have"),
        )
        .about(address.to_string())
        .evidence(format!(
            "{} of {} possible entries have the source {address}; {} of them have no answer.",
            grouped(source.entries),
            grouped(limit),
            grouped(source.unreplied)
        ))
        .value("address", address.to_string())
        .value("entries", source.entries)
        .value("unreplied", source.unreplied)
        .value("limit", limit)
        .consequence(
            "One host that is infected, scans, shares files or has a fault can fill the table for all others. A proxy \
             or another router with many users behind it may be right to hold so much.",
        )
        .step(facts.place.tracklight(&format!("group 'src == {address}' --by dport,state -n 10")))
        .step(facts.place.tracklight(&format!("delete 'src == {address}{idle}' --dry-run")))
        .step(Step::advise(
            "delete by the last command without --dry-run; to allow every source only so many from now on:",
        ))
        .steps([
            nft("add table inet per-source".to_owned()),
            nft(format!(
                "add set inet per-source counted-{family} {{ type {kind}; size 65535; flags dynamic; }}"
            )),
            nft("add chain inet per-source new { type filter hook forward priority -10; }".to_owned()),
            nft(format!(
                "add rule inet per-source new ct state new add @counted-{family} {{ {family} saddr ct count over {most} }} \
                 counter drop"
            )),
        ]),
    ))
}

/// The share of the limit that a kind of entries has, if it is half of all entries.
fn majority(facts: &Facts, part: u64, entries: u64) -> Option<Option<(Severity, u64)>> {
    if !facts.usage?.is_limited()? {
        return Some(None);
    }
    let (_, limit) = facts.limited()?;
    let severity = match percent(part, limit) {
        _ if part.saturating_mul(2) < entries => return Some(None),
        25.0.. => Severity::Warning,
        5.0.. => Severity::Notice,
        _ => return Some(None),
    };
    Some(Some((severity, limit)))
}

fn unanswered(facts: &Facts) -> Option<Vec<Finding>> {
    let held = facts.contents.as_ref()?.held(3);
    let Some((severity, limit)) = majority(facts, held.unreplied, held.entries)? else {
        return fine();
    };
    let mut evidence = format!(
        "{} of {} entries have seen packets of one direction only.",
        grouped(held.unreplied),
        grouped(held.entries)
    );
    let sources: Vec<String> = held
        .sources
        .iter()
        .filter(|source| source.unreplied > 0)
        .map(|source| format!("{} ({})", source.address, grouped(source.unreplied)))
        .collect();
    if !sources.is_empty() {
        evidence.push_str(&format!(
            " Among those who hold most: {}.",
            sources.join(", ")
        ));
    }
    one(Some(
        Finding::new(UNANSWERED.code, severity, "Most connections have no answer")
            .evidence(evidence)
            .value("unreplied", held.unreplied)
            .value("entries", held.entries)
            .value("limit", limit)
            .consequence(
                "This is what a scan or a flood looks like, or answers that take another way than through this \
                 machine. A full table evicts such entries first.",
            )
            .step(facts.place.tracklight("group unreplied --by src,dport -n 10"))
            .step(facts.place.tracklight("delete unreplied --dry-run"))
            .step(Step::advise("delete them by the last command without --dry-run")),
    ))
}

fn closing(facts: &Facts) -> Option<Vec<Finding>> {
    const NAME: &str = "nf_conntrack_tcp_timeout_time_wait";
    const SHORT: u64 = 30;
    let held = facts.contents.as_ref()?.held(0);
    let Some((severity, limit)) = majority(facts, held.closing, held.entries)? else {
        return fine();
    };
    let mut finding = Finding::new(
        CLOSING.code,
        severity,
        "Most of the table are connections that have ended",
    )
    .evidence(format!(
        "{} of {} entries are TCP connections that are closing or wait to be forgotten.",
        grouped(held.closing),
        grouped(held.entries)
    ))
    .value("closing", held.closing)
    .value("entries", held.entries)
    .value("limit", limit)
    .consequence("Many short connections take the place of those that live.");
    if facts.setting(NAME).is_some_and(|seconds| seconds > SHORT) {
        finding = finding.steps(facts.place.set(NAME, SHORT));
    }
    one(Some(finding.step(facts.place.tracklight(
        "group 'tcp and state == TIME_WAIT' --by src,dport -n 10",
    ))))
}

#[cfg(test)]
mod tests {
    use ctnetlink::Status;

    use super::super::super::contents::Contents;
    use super::super::super::facts::Usage;
    use super::super::made::{facts, filled, mixed, only, severity, tcp};
    use super::*;

    #[test]
    fn a_source_holds_much_from_a_tenth_of_the_limit_on() {
        for (entries, expected) in [
            (99, None),
            (100, Some(Severity::Notice)),
            (249, Some(Severity::Notice)),
            (250, Some(Severity::Warning)),
        ] {
            assert_eq!(
                severity(&SOURCE, &filled(entries, 1000)),
                Some(expected),
                "{entries}"
            );
        }
        let found = only(&SOURCE, &filled(250, 1000));
        assert_eq!(found.subject.as_deref(), Some("10.0.0.1"));
        assert_eq!(severity(&SOURCE, &filled(0, 1000)), Some(None));
        assert_eq!(
            severity(&SOURCE, &mixed(250, 0)),
            None,
            "the limit is not known"
        );
        let mut unread = filled(250, 1000);
        unread.contents = None;
        assert_eq!(severity(&SOURCE, &unread), None);
    }

    fn table(state: &str, status: Status, part: u64, others: u64) -> Facts {
        let mut contents = Contents::default();
        for _ in 0..part {
            contents.add(&tcp("10.0.0.2", state, status));
        }
        for _ in 0..others {
            let status = Status::SEEN_REPLY | Status::ASSURED;
            contents.add(&tcp("10.0.0.1", "ESTABLISHED", status));
        }
        facts(|facts| {
            facts.contents = Some(contents);
            facts.usage = Some(Usage {
                entries: part + others,
                limit: Some(1000),
            });
        })
    }

    #[test]
    fn what_half_of_the_entries_are_is_found_from_a_twentieth_of_the_limit_on() {
        let assured = Status::SEEN_REPLY | Status::ASSURED;
        for (check, state, status) in [
            (&UNANSWERED, "SYN_SENT", Status::empty()),
            (&CLOSING, "TIME_WAIT", assured),
        ] {
            for (part, others, expected) in [
                (49, 0, None),
                (50, 50, Some(Severity::Notice)),
                (50, 51, None),
                (249, 249, Some(Severity::Notice)),
                (250, 250, Some(Severity::Warning)),
                (250, 251, None),
            ] {
                let facts = table(state, status, part, others);
                assert_eq!(
                    severity(check, &facts),
                    Some(expected),
                    "{part} and {others}"
                );
            }
            let mut unlimited = table(state, status, 900, 0);
            unlimited.usage = Some(Usage {
                entries: 900,
                limit: None,
            });
            assert_eq!(severity(check, &unlimited), None);
        }
        let found = only(&UNANSWERED, &table("SYN_SENT", Status::empty(), 60, 10));
        assert!(
            found.evidence.ends_with("10.0.0.2 (60)."),
            "{}",
            found.evidence
        );
    }
}
