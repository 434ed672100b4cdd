//! Whether we can read the table well: buffers, overruns, the BPF walk.

use super::super::facts::{Facts, Walk};
use super::super::{Finding, Severity, Step, grouped};
use super::{Check, fine, one};

/// Whether the buffer for events is large enough.
pub(super) const BUFFER: Check = Check {
    code: "small-buffer",
    what: "the buffer that a listener to events gets",
    when: "notice below what the configuration wants",
    look: buffer,
};

/// Whether listeners lose messages.
pub(super) const LISTENERS: Check = Check {
    code: "listener-overrun",
    what: "whether other programs that listen to netfilter keep up",
    when: "notice where one has lost messages",
    look: listeners,
};

/// Whether the table can be read by BPF.
pub(super) const WALK: Check = Check {
    code: "walk-refused",
    what: "whether the table can be read by BPF",
    when: "info where not, notice from 100,000 entries",
    look: walk,
};

/// Whether the kernel filters dumps.
pub(super) const FILTERS: Check = Check {
    code: "no-kernel-filter",
    what: "whether the kernel filters what it sends",
    when: "info where it provably does not, notice from 100,000 entries",
    look: filters,
};

/// Whether the table was read whole.
pub(super) const INCOMPLETE: Check = Check {
    code: "incomplete-reading",
    what: "whether the table was read whole",
    when: "notice where it changed under the reading three times",
    look: incomplete,
};

/// From so many entries on the way in which they are read matters.
const MANY: u64 = 100_000;

fn by_size(facts: &Facts) -> Severity {
    if facts.usage.is_some_and(|usage| usage.entries >= MANY) {
        Severity::Notice
    } else {
        Severity::Info
    }
}

fn buffer(facts: &Facts) -> Option<Vec<Finding>> {
    let buffer = facts.buffer?;
    if buffer.granted >= buffer.wanted {
        return fine();
    }
    let mut evidence = format!(
        "A listener to events gets a buffer of {} bytes, and {} are wanted.",
        grouped(buffer.granted),
        grouped(buffer.wanted)
    );
    if let Some(limit) = buffer.limit {
        evidence.push_str(&format!(
            " net.core.rmem_max is {}; it holds for whoever lacks CAP_NET_ADMIN in the initial user namespace.",
            grouped(limit)
        ));
    }
    one(Some(
        Finding::new(BUFFER.code, Severity::Notice, "The buffer for events is small")
            .evidence(evidence)
            .value("granted_bytes", buffer.granted)
            .value("wanted_bytes", buffer.wanted)
            .consequence(format!(
                "Some {} births and deaths fill it. When more come at once, the kernel throws them away, and the table \
                 has to be read anew.",
                // What one event takes of it.
                grouped(buffer.granted / 1536)
            ))
            .steps(
                facts
                    .place
                    .set_for_all("net.core.rmem_max", buffer.wanted),
            )
            .step(Step::advise("or run the program as root or with CAP_NET_ADMIN, which needs no such setting")),
    ))
}

fn listeners(facts: &Facts) -> Option<Vec<Finding>> {
    let listeners = facts.listeners.as_ref()?;
    let losing = listeners.iter().filter(|listener| listener.lost > 0);
    let found = losing.map(|listener| {
        let name = match &listener.program {
            Some(program) => format!("{program} (process {})", listener.port),
            None => format!("the listener with port {}", listener.port),
        };
        Finding::new(
            LISTENERS.code,
            Severity::Notice,
            format!("{name} has lost messages of netfilter"),
        )
        .about(listener.port.to_string())
        .evidence(format!(
            "{} messages since its socket was opened: its buffer was full (/proc/net/netlink, column Drops).",
            grouped(listener.lost)
        ))
        .value("port", listener.port)
        .value("lost", listener.lost)
        .consequence("What it shows, logs or hands to another firewall has holes, unless it reads the table anew.")
        .step(Step::run("cat /proc/net/netlink"))
        .step(Step::advise(
            "give it a larger receive buffer in its own configuration (conntrackd: NetlinkBufferSize and \
             NetlinkBufferSizeMaxGrowth; ulogd: netlink_socket_buffer_size), and have it listen to less",
        ))
    });
    Some(found.collect())
}

fn walk(facts: &Facts) -> Option<Vec<Finding>> {
    let Walk::Refused { code, reason } = facts.walk.as_ref()? else {
        return fine();
    };
    let steps = match *code {
        "capabilities" => vec![Step::advise(
            "run it as root; for a service, have AmbientCapabilities=CAP_NET_ADMIN CAP_BPF CAP_PERFMON CAP_SYSLOG in its \
             unit (CAP_SYS_ADMIN too where nf_conntrack is a module)",
        )],
        "user-namespace" => vec![Step::advise(
            "run it outside of the user namespace; inside, netlink reads the same entries",
        )],
        "symbols" => {
            let mut steps = facts.place.set_for_all("kernel.kptr_restrict", 1);
            steps.push(Step::advise("and give the program CAP_SYSLOG"));
            steps
        }
        "no-lookup" => vec![
            Step::run("modprobe nf_conntrack"),
            Step::advise("it needs Linux 5.18 or newer with CONFIG_DEBUG_INFO_BTF_MODULES"),
        ],
        "not-built" => vec![Step::advise(
            "build the program where clang, libelf and zlib are installed",
        )],
        _ => vec![Step::advise(
            "nothing need be done: netlink reads the same entries; docs/bpf.md says what the walk needs",
        )],
    };
    one(Some(
        Finding::new(WALK.code, by_size(facts), "The table cannot be read by BPF")
            .about(*code)
            .evidence(format!("{}.", sentence(reason)))
            .value("reason", *code)
            .consequence(
                "Netlink reads the same entries, some ten times slower, which matters with hundreds of thousands of \
                 connections.",
            )
            .steps(steps),
    ))
}

fn filters(facts: &Facts) -> Option<Vec<Finding>> {
    let Err(reason) = facts.filters.as_ref()? else {
        return fine();
    };
    one(Some(
        Finding::new(FILTERS.code, by_size(facts), "The kernel does not filter what it sends")
            .evidence(format!("{}.", sentence(reason)))
            .consequence(
                "Every entry comes over netlink and is compared here: the result is the same, but one connection \
                 takes as long as all of them.",
            )
            .step(Step::advise("filters of dumps came with Linux 5.8; nothing else need be done")),
    ))
}

fn incomplete(facts: &Facts) -> Option<Vec<Finding>> {
    let held = facts.contents.as_ref()?.held(0);
    if held.complete {
        return fine();
    }
    one(Some(
        Finding::new(
            INCOMPLETE.code,
            Severity::Notice,
            "The table could not be read whole",
        )
        .evidence(format!(
            "{} entries were read, and the table changed under each of three readings.",
            grouped(held.entries)
        ))
        .value("entries_read", held.entries)
        .consequence("What is said here of who holds it may be wrong by some entries.")
        .step(facts.place.tracklight("doctor"))
        .step(Step::advise(
            "try again; the table may just have been resized",
        )),
    ))
}

/// A reason as the begin of a sentence.
fn sentence(reason: &str) -> String {
    let reason = reason.trim_end_matches('.');
    let mut chars = reason.chars();
    match chars.next() {
        // The names of functions and capabilities stay as they are.
        Some(first)
            if reason
                .split(' ')
                .next()
                .is_some_and(|word| !word.contains('_')) =>
        {
            first.to_uppercase().chain(chars).collect()
        }
        _ => reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::contents::Contents;
    use super::super::super::facts::{Buffer, Listener, Usage};
    use super::super::made::{facts, only, severity};
    use super::*;

    #[test]
    fn a_buffer_is_small_below_what_is_wanted() {
        for (granted, expected) in [
            (16_000, None),
            (15_999, Some(Severity::Notice)),
            (0, Some(Severity::Notice)),
        ] {
            let facts = facts(|facts| {
                facts.buffer = Some(Buffer {
                    wanted: 16_000,
                    granted,
                    limit: Some(212_992),
                });
            });
            assert_eq!(severity(&BUFFER, &facts), Some(expected), "{granted}");
            if expected.is_some() {
                let command = Step::run("sysctl -w net.core.rmem_max=16000");
                assert_eq!(only(&BUFFER, &facts).remedy[0], command);
            }
        }
        assert_eq!(severity(&BUFFER, &Facts::default()), None);
    }

    #[test]
    fn a_listener_that_lost_messages_is_named() {
        let listener = |port, program: Option<&str>, lost| Listener {
            port,
            program: program.map(str::to_owned),
            lost,
        };
        let mut facts = facts(|facts| facts.listeners = Some(vec![listener(1, None, 0)]));
        assert_eq!(severity(&LISTENERS, &facts), Some(None));
        facts.listeners = Some(vec![
            listener(1, None, 0),
            listener(77, Some("conntrackd"), 1),
        ]);
        let found = only(&LISTENERS, &facts);
        assert_eq!(found.severity, Severity::Notice);
        assert!(
            found.title.starts_with("conntrackd (process 77)"),
            "{}",
            found.title
        );
        assert_eq!(severity(&LISTENERS, &Facts::default()), None);
    }

    #[test]
    fn a_refused_walk_matters_with_a_large_table() {
        let refused = |code: &'static str, entries| {
            facts(|facts| {
                facts.walk = Some(Walk::Refused {
                    code,
                    reason: "CAP_BPF is missing".to_owned(),
                });
                facts.usage = Some(Usage {
                    entries,
                    limit: None,
                });
            })
        };
        assert_eq!(
            severity(&WALK, &refused("lockdown", 99_999)),
            Some(Some(Severity::Info))
        );
        assert_eq!(
            severity(&WALK, &refused("lockdown", 100_000)),
            Some(Some(Severity::Notice))
        );
        for code in [
            "capabilities",
            "user-namespace",
            "symbols",
            "no-lookup",
            "not-built",
            "load",
        ] {
            let found = only(&WALK, &refused(code, 1));
            assert_eq!(found.evidence, "CAP_BPF is missing.");
            assert_eq!(found.subject.as_deref(), Some(code));
        }
        let works = facts(|facts| facts.walk = Some(Walk::Works));
        assert_eq!(severity(&WALK, &works), Some(None));
        assert_eq!(severity(&WALK, &Facts::default()), None);
    }

    #[test]
    fn a_kernel_that_does_not_filter_is_told() {
        let filters = |proof| facts(|facts| facts.filters = Some(proof));
        assert_eq!(severity(&FILTERS, &filters(Ok(()))), Some(None));
        let found = only(
            &FILTERS,
            &filters(Err("this kernel ignores the protocol".to_owned())),
        );
        assert_eq!(found.evidence, "This kernel ignores the protocol.");
        assert_eq!(severity(&FILTERS, &Facts::default()), None);
    }

    #[test]
    fn a_reading_that_was_not_whole_is_told() {
        let whole = facts(|facts| facts.contents = Some(Contents::default()));
        assert_eq!(severity(&INCOMPLETE, &whole), Some(None));
        let part = facts(|facts| facts.contents = Some(Contents::default().interrupted()));
        only(&INCOMPLETE, &part);
        assert_eq!(severity(&INCOMPLETE, &Facts::default()), None);
    }
}
