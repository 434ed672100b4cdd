//! How full the table is.

use super::super::facts::Facts;
use super::super::{Finding, Severity, Step, grouped, percent};
use super::{Check, fine, one};

/// How full the table is.
pub(super) const FILL: Check = Check {
    code: "table-fill",
    what: "how full the table is",
    when: "notice from 70 %, warning from 80 %, critical from 95 % of `nf_conntrack_max`",
    look: fill,
};

/// A table without a limit.
pub(super) const NO_LIMIT: Check = Check {
    code: "no-limit",
    what: "whether the table has a limit",
    when: "notice where `nf_conntrack_max` is 0",
    look: no_limit,
};

/// What an entry may take in the kernel, extensions and both places in the hash table included.
const ENTRY_BYTES: u64 = 512;

/// The largest part of the memory that a raised limit may take, as a divisor.
const MEMORY_PART: u64 = 4;

fn fill(facts: &Facts) -> Option<Vec<Finding>> {
    if facts.usage?.is_limited()? {
        let (entries, limit) = facts.limited()?;
        one(fill_of(facts, entries, limit))
    } else {
        fine()
    }
}

fn fill_of(facts: &Facts, entries: u64, limit: u64) -> Option<Finding> {
    let share = percent(entries, limit);
    let severity = match share {
        95.0.. => Severity::Critical,
        80.0.. => Severity::Warning,
        70.0.. => Severity::Notice,
        _ => return None,
    };
    let title = if entries >= limit {
        "The connection table is full".to_owned()
    } else {
        format!("The connection table is {share:.0} % full")
    };
    let mut evidence = format!(
        "{} of {} entries (nf_conntrack_max).",
        grouped(entries),
        grouped(limit)
    );
    if let Some(contents) = &facts.contents {
        let held = contents.held(3);
        evidence.push_str(&format!(
            " {} are assured, {} are not and can be evicted, {} of the assured ones are closing.",
            grouped(held.assured),
            grouped(held.evictable),
            grouped(held.closing)
        ));
        let sources: Vec<String> = held
            .sources
            .iter()
            // The others do not matter.
            .filter(|source| source.entries * 100 >= held.entries)
            .map(|source| format!("{} ({})", source.address, grouped(source.entries)))
            .collect();
        if !sources.is_empty() {
            evidence.push_str(&format!(" Most are held by {}.", sources.join(", ")));
        }
    }
    let finding = Finding::new(FILL.code, severity, title)
        .evidence(evidence)
        .value("entries", entries)
        .value("limit", limit)
        .value("fill_percent", (share * 10.0).round() / 10.0)
        .consequence(
            "A full table evicts connections that are not assured; where it finds none, the packets \
             of every new connection are dropped, and old ones go on.",
        )
        .steps(raise(facts, entries, limit))
        .step(facts.place.tracklight("group --by src -n 10"));
    Some(shorten(facts, finding))
}

/// How to raise the limit, as far as there is memory for it.
pub(super) fn raise(facts: &Facts, entries: u64, limit: u64) -> Vec<Step> {
    let wanted = entries.max(limit).saturating_mul(2).next_power_of_two();
    let room = facts
        .memory
        .map(|bytes| bytes / MEMORY_PART / ENTRY_BYTES)
        .unwrap_or(u64::MAX);
    // The kernel's own type is int.
    let new = wanted.min(room).min(1 << 30);
    if new <= limit {
        return vec![Step::advise(format!(
            "this machine's memory has no room for a larger table (about {ENTRY_BYTES} bytes an entry, a \
             quarter of the memory at most): have connections end sooner, or end those of whoever holds most"
        ))];
    }
    let mut steps = facts
        .place
        .set_for_all("net.netfilter.nf_conntrack_max", new);
    if facts
        .setting("nf_conntrack_buckets")
        .is_some_and(|buckets| buckets < new / 4)
    {
        let buckets = facts
            .place
            .set_for_all("net.netfilter.nf_conntrack_buckets", new / 2);
        steps.extend(buckets.into_iter().take(2));
    }
    steps
}

pub(super) const ESTABLISHED: &str = "nf_conntrack_tcp_timeout_established";
pub(super) const DAY: u64 = 86_400;

/// The default of five days keeps connections that ended long ago without a word.
fn shorten(facts: &Facts, finding: Finding) -> Finding {
    match facts.setting(ESTABLISHED) {
        Some(seconds) if seconds > DAY => {
            finding.steps(
                facts.place.set(ESTABLISHED, DAY).into_iter().filter(
                    |step| !matches!(step, Step::Keep(text) if text.contains("modules-load")),
                ),
            )
        }
        _ => finding,
    }
}

fn no_limit(facts: &Facts) -> Option<Vec<Finding>> {
    let usage = facts.usage?;
    if usage.is_limited()? {
        return fine();
    }
    let buckets = facts.setting("nf_conntrack_buckets").unwrap_or(262_144);
    let limit = usage
        .entries
        .saturating_mul(4)
        .max(buckets)
        .next_power_of_two();
    one(Some(
        Finding::new(
            NO_LIMIT.code,
            Severity::Notice,
            "The connection table has no limit",
        )
        .evidence("nf_conntrack_max is 0, which the kernel takes for no limit.")
        .value("entries", usage.entries)
        .consequence("A flood of connections can take all memory of the machine.")
        .steps(
            facts
                .place
                .set_for_all("net.netfilter.nf_conntrack_max", limit.min(1 << 30)),
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::super::made::{filled, only, severity, usage};
    use super::*;

    #[test]
    fn a_table_is_found_full_from_seventy_percent_on() {
        for (entries, expected) in [
            (0, None),
            (6_999, None),
            (7_000, Some(Severity::Notice)),
            (7_999, Some(Severity::Notice)),
            (8_000, Some(Severity::Warning)),
            (9_499, Some(Severity::Warning)),
            (9_500, Some(Severity::Critical)),
            (10_000, Some(Severity::Critical)),
            (10_500, Some(Severity::Critical)),
        ] {
            assert_eq!(
                severity(&FILL, &usage(entries, 10_000)),
                Some(expected),
                "{entries}"
            );
        }
        let full = only(&FILL, &usage(10_000, 10_000));
        assert_eq!(full.title, "The connection table is full");
        assert_eq!(full.values["limit"], 10_000);
    }

    #[test]
    fn the_limit_is_raised_to_twice_as_far_as_there_is_memory() {
        let mut facts = usage(250_000, 262_144);
        let raised = Step::run("sysctl -w net.netfilter.nf_conntrack_max=524288");
        assert!(only(&FILL, &facts).remedy.contains(&raised));
        facts.memory = Some(1 << 30);
        assert!(only(&FILL, &facts).remedy.contains(&raised));
        // A quarter of it holds as many as there may be already.
        facts.memory = Some(512 << 20);
        let steps = only(&FILL, &facts).remedy;
        assert!(
            matches!(&steps[0], Step::Do(text) if text.contains("memory")),
            "{steps:?}"
        );
        facts.memory = None;
        facts.settings.insert("nf_conntrack_buckets".into(), 65_536);
        let steps = only(&FILL, &facts).remedy;
        let buckets = Step::run("sysctl -w net.netfilter.nf_conntrack_buckets=262144");
        assert!(steps.contains(&buckets), "{steps:?}");
    }

    #[test]
    fn a_full_table_is_told_by_whom_it_is_held() {
        let mut facts = filled(90, 100);
        facts
            .settings
            .insert("nf_conntrack_tcp_timeout_established".into(), 432_000);
        let found = only(&FILL, &facts);
        assert!(
            found.evidence.contains("Most are held by 10.0.0.1 (90)"),
            "{}",
            found.evidence
        );
        let shorter = "sysctl -w net.netfilter.nf_conntrack_tcp_timeout_established=86400";
        assert!(
            found.remedy.contains(&Step::run(shorter)),
            "{:?}",
            found.remedy
        );
    }

    #[test]
    fn a_table_without_limit_is_found_and_is_not_full() {
        let facts = usage(1_000, 0);
        assert_eq!(severity(&NO_LIMIT, &facts), Some(Some(Severity::Notice)));
        assert_eq!(severity(&FILL, &facts), Some(None));
        assert_eq!(severity(&NO_LIMIT, &usage(1, 1)), Some(None));
    }
}
