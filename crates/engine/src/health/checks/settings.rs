//! Switches of the namespace.

use super::super::facts::Facts;
use super::super::{Finding, Severity, Step, grouped, percent};
use super::{Check, fine, one};

const ACCT: &str = "nf_conntrack_acct";
const TIMESTAMP: &str = "nf_conntrack_timestamp";

/// Whether connections are counted.
pub(super) const ACCOUNTING: Check = Check {
    code: "accounting-off",
    what: "whether bytes and packets are counted",
    when: "notice where `nf_conntrack_acct` is 0",
    look: |facts| {
        switched(facts, ACCT, false, || {
            Finding::new(ACCOUNTING.code, Severity::Notice, "Bytes and packets are not counted")
                .evidence("nf_conntrack_acct is 0.")
                .consequence(
                    "Connections show no bytes, packets or rates. The switch holds for connections that begin \
                     after it; those from before never get counters.",
                )
                .steps(facts.place.set(ACCT, 1))
        })
    },
};

/// Whether connections have a start time.
pub(super) const TIMESTAMPS: Check = Check {
    code: "timestamps-off",
    what: "whether the start of connections is noted",
    when: "notice where `nf_conntrack_timestamp` is 0",
    look: |facts| {
        switched(facts, TIMESTAMP, false, || {
            Finding::new(TIMESTAMPS.code, Severity::Notice, "When connections began is not noted")
                .evidence("nf_conntrack_timestamp is 0.")
                .consequence(
                    "Connections show no age, and queries by age find nothing. The switch holds for connections \
                     that begin after it.",
                )
                .steps(facts.place.set(TIMESTAMP, 1))
        })
    },
};

/// Whether there are connections from before the counting.
pub(super) const UNCOUNTED: Check = Check {
    code: "uncounted",
    what: "connections without counters though counting is on",
    when: "info where there are any",
    look: uncounted,
};

/// Whether there are connections whose counters stand still.
pub(super) const OFFLOADED: Check = Check {
    code: "offloaded",
    what: "connections whose counters stand still",
    when: "info where there are any in a flow table",
    look: offloaded,
};

/// Whether the kernel tells of births and deaths.
pub(super) const EVENTS: Check = Check {
    code: "events-off",
    what: "whether the kernel tells of births and deaths",
    when: "warning where `nf_conntrack_events` is 0",
    look: |facts| {
        switched(facts, "nf_conntrack_events", false, || {
            Finding::new(EVENTS.code, Severity::Warning, "The kernel tells of no births and deaths")
                .evidence("nf_conntrack_events is 0.")
                .consequence(
                    "`tracklight watch` and every other listener stay silent; the daemon's table follows only by \
                     reading it again and again, and connections that live shortly are never seen.",
                )
                .steps(facts.place.set("nf_conntrack_events", 1))
                .step(Step::advise(
                    "since Linux 5.19, 2 tells only while somebody listens, which costs nothing otherwise",
                ))
        })
    },
};

/// Whether connections are picked up in their middle.
pub(super) const LOOSE: Check = Check {
    code: "loose-pickup",
    what: "whether TCP connections are picked up in their middle",
    when: "info where `nf_conntrack_tcp_loose` is not 0, as it is unless changed",
    look: |facts| {
        switched(facts, "nf_conntrack_tcp_loose", true, || {
            Finding::new(
                LOOSE.code,
                Severity::Info,
                "TCP connections are picked up in their middle",
            )
            .evidence("nf_conntrack_tcp_loose is not 0, which is the kernel's default.")
            .consequence(
                "A connection that was deleted is back with its next packet, unless a rule refuses it; \
                 packets that belong to no connection make one, as new. Off, a restart of this machine or of its \
                 tracking cuts every TCP connection that is under way.",
            )
            .steps(facts.place.set("nf_conntrack_tcp_loose", 0))
        })
    },
};

/// Whether sequence numbers are checked.
pub(super) const LIBERAL: Check = Check {
    code: "liberal-tcp",
    what: "whether TCP sequence numbers are checked",
    when: "notice where `nf_conntrack_tcp_be_liberal` is not 0",
    look: |facts| {
        switched(facts, "nf_conntrack_tcp_be_liberal", true, || {
            Finding::new(LIBERAL.code, Severity::Notice, "TCP sequence numbers are not checked")
                .evidence("nf_conntrack_tcp_be_liberal is not 0.")
                .consequence(
                    "Packets outside of a connection's window pass as part of it, resets aside: who can guess addresses and \
                     ports can push packets through. It may be on purpose, where one direction takes another way.",
                )
                .steps(facts.place.set("nf_conntrack_tcp_be_liberal", 0))
        })
    },
};

/// Whether checksums are checked.
pub(super) const CHECKSUM: Check = Check {
    code: "checksum-off",
    what: "whether checksums of packets are checked",
    when: "notice where `nf_conntrack_checksum` is 0",
    look: |facts| {
        switched(facts, "nf_conntrack_checksum", false, || {
            Finding::new(CHECKSUM.code, Severity::Notice, "Checksums are not checked")
                .evidence("nf_conntrack_checksum is 0.")
                .consequence(
                    "A damaged packet can change the state of a connection, or end it, though its receiver throws it \
                     away.",
                )
                .steps(facts.place.set("nf_conntrack_checksum", 1))
        })
    },
};

/// Whether helpers are assigned by port.
pub(super) const AUTOMATIC_HELPERS: Check = Check {
    code: "automatic-helpers",
    what: "whether helpers are assigned by port alone",
    when: "warning where `nf_conntrack_helper` is not 0; Linux 6.0 has no such setting",
    look: |facts| {
        // A kernel that shows its settings and lacks this one cannot do it.
        if facts.settings.is_empty() {
            return None;
        }
        if facts.switch("nf_conntrack_helper") != Some(true) {
            return fine();
        }
        one(Some(
            Finding::new(
                AUTOMATIC_HELPERS.code,
                Severity::Warning,
                "Helpers are assigned to whoever uses their port",
            )
            .evidence("nf_conntrack_helper is not 0.")
            .consequence(
                "Anybody who speaks to such a port, as 21 of FTP, can have the firewall expect connections of their \
                 choice and let them in.",
            )
            .steps(facts.place.set("nf_conntrack_helper", 0))
            .step(Step::advise(
                "assign helpers by rules (nft: ct helper set; iptables: -j CT --helper) to the servers that need them",
            )),
        ))
    },
};

/// A finding where a switch is as it should not be.
fn switched(
    facts: &Facts,
    name: &str,
    bad: bool,
    finding: impl FnOnce() -> Finding,
) -> Option<Vec<Finding>> {
    let value = facts.setting(name)?;
    one(((value != 0) == bad).then(|| finding().value("setting", value)))
}

fn uncounted(facts: &Facts) -> Option<Vec<Finding>> {
    let is_counting = facts.switch(ACCT)?;
    let held = facts.contents.as_ref()?.held(0);
    if !is_counting || held.uncounted == 0 {
        return fine();
    }
    one(Some(
        Finding::new(
            UNCOUNTED.code,
            Severity::Info,
            "Some connections have no counters",
        )
        .evidence(format!(
            "{} of {} entries ({:.1} %) are from before nf_conntrack_acct was switched on.",
            grouped(held.uncounted),
            grouped(held.entries),
            percent(held.uncounted, held.entries)
        ))
        .value("uncounted", held.uncounted)
        .value("entries", held.entries)
        .consequence(
            "What they move is in no sum and no rate. It gets better by itself as they end.",
        )
        .step(Step::advise(
            "nothing need be done; a connection that is deleted and picked up again gets counters",
        )),
    ))
}

fn offloaded(facts: &Facts) -> Option<Vec<Finding>> {
    let held = facts.contents.as_ref()?.held(0);
    if held.offloaded == 0 {
        return fine();
    }
    one(Some(
        Finding::new(OFFLOADED.code, Severity::Info, "Counters of some connections stand still")
            .evidence(format!(
                "{} of {} entries are in a flow table, whose packets pass tracking by.",
                grouped(held.offloaded),
                grouped(held.entries)
            ))
            .value("offloaded", held.offloaded)
            .value("entries", held.entries)
            .consequence(
                "Their bytes, packets, rates and timeouts are those of the moment when they were offloaded, or come late.",
            )
            .step(Step::advise(
                "nothing need be done; the word `counter` in the rule's flow table (nft, Linux 5.7) has the kernel count \
                 there too",
            ))
            .step(facts.place.tracklight("list offloaded")),
    ))
}

#[cfg(test)]
mod tests {
    use ctnetlink::{Counters, Status};

    use super::super::super::contents::Contents;
    use super::super::made::{facts, only, severity, tcp};
    use super::*;

    fn set(name: &str, value: u64) -> Facts {
        facts(|facts| {
            facts.settings.insert(name.to_owned(), value);
        })
    }

    #[test]
    fn each_switch_is_found_where_it_is_off_or_on_as_it_should_not_be() {
        for (check, name, good, bad, expected) in [
            (&ACCOUNTING, ACCT, 1, 0, Severity::Notice),
            (&TIMESTAMPS, TIMESTAMP, 1, 0, Severity::Notice),
            (&EVENTS, "nf_conntrack_events", 2, 0, Severity::Warning),
            (&LOOSE, "nf_conntrack_tcp_loose", 0, 1, Severity::Info),
            (
                &LIBERAL,
                "nf_conntrack_tcp_be_liberal",
                0,
                1,
                Severity::Notice,
            ),
            (&CHECKSUM, "nf_conntrack_checksum", 1, 0, Severity::Notice),
            (
                &AUTOMATIC_HELPERS,
                "nf_conntrack_helper",
                0,
                1,
                Severity::Warning,
            ),
        ] {
            assert_eq!(severity(check, &set(name, good)), Some(None), "{name}");
            assert_eq!(
                severity(check, &set(name, bad)),
                Some(Some(expected)),
                "{name}"
            );
            assert_eq!(severity(check, &Facts::default()), None, "{name}");
            let found = only(check, &set(name, bad));
            let mended = Step::run(format!("sysctl -w net.netfilter.{name}="));
            let mends = |step: &Step| match (step, &mended) {
                (Step::Run(step), Step::Run(mended)) => step.starts_with(mended),
                _ => false,
            };
            assert!(found.remedy.iter().any(mends), "{:?}", found.remedy);
        }
    }

    #[test]
    fn connections_from_before_the_counting_are_told_only_while_it_is_on() {
        let mut contents = Contents::default();
        let mut counted = tcp("10.0.0.1", "ESTABLISHED", Status::ASSURED);
        counted.counters_orig = Some(Counters::default());
        contents.add(&counted);
        let mut facts = set(ACCT, 1);
        assert_eq!(severity(&UNCOUNTED, &facts), None);
        facts.contents = Some(contents.clone());
        assert_eq!(severity(&UNCOUNTED, &facts), Some(None));
        contents.add(&tcp("10.0.0.1", "ESTABLISHED", Status::ASSURED));
        facts.contents = Some(contents);
        assert_eq!(only(&UNCOUNTED, &facts).values["uncounted"], 1);
        facts.settings.insert(ACCT.to_owned(), 0);
        assert_eq!(severity(&UNCOUNTED, &facts), Some(None));
    }

    #[test]
    fn offloaded_connections_are_told() {
        let mut contents = Contents::default();
        contents.add(&tcp("10.0.0.1", "ESTABLISHED", Status::ASSURED));
        let mut facts = facts(|facts| facts.contents = Some(contents.clone()));
        assert_eq!(severity(&OFFLOADED, &facts), Some(None));
        contents.add(&tcp("10.0.0.1", "ESTABLISHED", Status::OFFLOAD));
        facts.contents = Some(contents);
        assert_eq!(only(&OFFLOADED, &facts).severity, Severity::Info);
        assert_eq!(severity(&OFFLOADED, &Facts::default()), None);
    }
}
