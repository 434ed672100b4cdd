//! What only the daemon knows.

use super::super::facts::{Daemon, Facts};
use super::super::remedy::quoted;
use super::super::{Finding, Severity, Step, grouped};
use super::{Check, fine, one};
use crate::config::EVENT_BUFFER;
use crate::failure::Failure;

/// Whether events are lost.
pub(super) const EVENTS_LOST: Check = Check {
    code: "events-lost",
    what: "whether the daemon gets every event",
    when: "warning while events are being lost, notice if some were since the start",
    look: events_lost,
};

/// Whether the daemon's table is whole.
pub(super) const LIVE_INCOMPLETE: Check = Check {
    code: "live-incomplete",
    what: "whether the daemon's table is whole",
    when: "warning where the last reading was not",
    look: live_incomplete,
};

/// Whether the daemon can keep its table.
pub(super) const LIVE_TROUBLE: Check = Check {
    code: "live-trouble",
    what: "whether the daemon can keep its table",
    when: "critical where reading it or hearing of its events fails",
    look: live_trouble,
};

/// Whether history is recorded.
pub(super) const HISTORY: Check = Check {
    code: "history",
    what: "whether history is recorded",
    when: "warning where it is not, or not all",
    look: history,
};

/// Whether a database was damaged.
pub(super) const DATABASE: Check = Check {
    code: "database-set-aside",
    what: "whether the database is whole",
    when: "warning where it was damaged and a new one was begun",
    look: database,
};

/// Whether the DNS can be asked for names.
pub(super) const DNS: Check = Check {
    code: "dns",
    what: "whether the DNS can be asked for names, where it should be",
    when: "notice where it cannot",
    look: dns,
};

fn events_lost(facts: &Facts) -> Option<Vec<Finding>> {
    let daemon = facts.daemon.as_ref()?;
    let losing = daemon.losing_events.filter(|losing| losing.count > 0);
    let (severity, title) = match losing {
        Some(_) => (Severity::Warning, "Events are being lost"),
        None if daemon.losses > 0 => (Severity::Notice, "Events were lost"),
        None => return fine(),
    };
    let (times, events) = (grouped(daemon.losses), grouped(daemon.events_lost));
    let mut evidence = format!("Losses since the daemon's start: {times}");
    if let Some(losing) = losing {
        let over = losing.over.as_secs_f64();
        let recent = grouped(losing.count);
        evidence.push_str(&format!(
            ", {recent} of them within the last {over:.0} seconds"
        ));
    }
    evidence.push_str(&match daemon.events_lost {
        0 => ". How many events they were is not known.".to_owned(),
        _ => format!(". {events} events did not fit into the kernel's buffer."),
    });
    one(Some(
        Finding::new(EVENTS_LOST.code, severity, title)
            .evidence(evidence)
            .value("lost", daemon.events_lost)
            .value("losses", daemon.losses)
            .value("event_buffer_bytes", daemon.event_buffer)
            .consequence(
                "The table was read anew after each loss and is right; connections that lived in between were not \
                 seen, neither in lists nor in the history.",
            )
            .steps(keep_up(daemon)),
    ))
}

/// How to lose fewer events.
fn keep_up(daemon: &Daemon) -> Vec<Step> {
    let most = *EVENT_BUFFER.end() as u64;
    if daemon.event_buffer < most {
        let larger = daemon.event_buffer.saturating_mul(4).min(most);
        return vec![
            Step::advise(format!(
                "set event-buffer = {larger} in [live] of {}, then:",
                daemon.config.display()
            )),
            Step::run("systemctl restart tracklight"),
        ];
    }
    vec![
        Step::advise(
            "event-buffer is as large as can be: give the daemon more of the CPU (Nice= and CPUWeight= in its unit), or have \
             fewer events: a rule `notrack` for what need not be tracked, such as a resolver's own questions",
        ),
        Step::run("systemctl show tracklight -p Nice -p CPUWeight -p CPUQuotaPerSecUSec"),
    ]
}

fn live_incomplete(facts: &Facts) -> Option<Vec<Finding>> {
    if facts.daemon.as_ref()?.is_complete {
        return fine();
    }
    one(Some(
        Finding::new(
            LIVE_INCOMPLETE.code,
            Severity::Warning,
            "The daemon's table is not whole",
        )
        .evidence("The last reading of the kernel's table was interrupted, or events are missing since.")
        .consequence("Lists and counts may lack connections, or have some that have ended.")
        .step(Step::advise(
            "nothing need be done if it passes with the next reading; if it stays, see the daemon's log:",
        ))
        .step(Step::run("journalctl -u tracklight -n 50")),
    ))
}

fn history(facts: &Facts) -> Option<Vec<Finding>> {
    let daemon = facts.daemon.as_ref()?;
    let Some(trouble) = &daemon.history else {
        return fine();
    };
    let folder = daemon.state.to_string_lossy();
    one(Some(
        Finding::new(
            HISTORY.code,
            Severity::Warning,
            "History is not recorded as it should be",
        )
        .about(trouble.code)
        .evidence(sentence(&trouble.message))
        .value("reason", trouble.code)
        .consequence("Charts and the contract's stats have a gap.")
        .steps(hint(trouble))
        .step(Step::run(format!("df -h {}", quoted(&folder))))
        .step(Step::run("journalctl -u tracklight -n 50")),
    ))
}

fn dns(facts: &Facts) -> Option<Vec<Finding>> {
    let Some(trouble) = &facts.daemon.as_ref()?.names else {
        return fine();
    };
    one(Some(
        Finding::new(
            DNS.code,
            Severity::Notice,
            "The DNS cannot be asked for names",
        )
        .evidence(sentence(&trouble.message))
        .consequence("Addresses have names only where the configuration or files give them some.")
        .steps(hint(trouble))
        .step(Step::run("cat /etc/resolv.conf")),
    ))
}

fn live_trouble(facts: &Facts) -> Option<Vec<Finding>> {
    let troubles = facts.daemon.as_ref()?.troubles.iter();
    let found = troubles.map(|trouble| {
        Finding::new(
            LIVE_TROUBLE.code,
            Severity::Critical,
            "The daemon cannot keep its table",
        )
        .about(trouble.code)
        .evidence(sentence(&trouble.message))
        .value("reason", trouble.code)
        .consequence(if trouble.code.starts_with("namespace-") {
            "What it shows is the table of the namespace that it was started with."
        } else {
            "What it shows is as old as its last reading. It tries again each second."
        })
        .steps(hint(trouble))
        .step(Step::run("journalctl -u tracklight -n 50"))
    });
    Some(found.collect())
}

fn hint(trouble: &Failure) -> Option<Step> {
    (!trouble.hint.is_empty()).then(|| Step::advise(trouble.hint.as_str()))
}

fn sentence(message: &str) -> String {
    format!("{}.", message.trim_end_matches('.'))
}

fn database(facts: &Facts) -> Option<Vec<Finding>> {
    let Some(path) = &facts.daemon.as_ref()?.set_aside else {
        return fine();
    };
    one(Some(
        Finding::new(DATABASE.code, Severity::Warning, "A database was damaged")
            .evidence(format!("It is kept as {path}, and a new one was begun."))
            .value("path", path.as_str())
            .consequence("What had been recorded until then is not shown.")
            .step(Step::advise(
                "look for the cause first: a full or failing disk; then save what can be read of it, as with sqlite3's \
                 .recover, and delete it",
            ))
            .step(Step::run(format!("ls -l {}", quoted(path)))),
    ))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::super::facts::{Daemon, Rising};
    use super::super::made::{facts, only, severities, severity};
    use super::*;

    fn daemon(change: impl FnOnce(&mut Daemon)) -> Facts {
        let mut daemon = Daemon {
            events_lost: 0,
            losses: 0,
            losing_events: Some(Rising {
                count: 0,
                over: Duration::from_secs(60),
            }),
            event_buffer: 64 << 20,
            config: "/srv/t.toml".into(),
            state: "/srv/it's here".into(),
            is_complete: true,
            troubles: Vec::new(),
            history: None,
            set_aside: None,
            names: None,
        };
        change(&mut daemon);
        facts(|facts| facts.daemon = Some(daemon))
    }

    #[test]
    fn a_daemon_that_is_well_has_nothing_and_without_one_nothing_is_known() {
        for check in [
            &EVENTS_LOST,
            &LIVE_INCOMPLETE,
            &LIVE_TROUBLE,
            &HISTORY,
            &DATABASE,
            &DNS,
        ] {
            assert_eq!(
                severity(check, &daemon(|_| {})),
                Some(None),
                "{}",
                check.code
            );
            assert_eq!(severity(check, &Facts::default()), None, "{}", check.code);
        }
    }

    #[test]
    fn lost_events_are_a_warning_while_they_are_being_lost() {
        let lost = daemon(|daemon| daemon.losses = 1);
        let found = only(&EVENTS_LOST, &lost);
        assert_eq!(found.severity, Severity::Notice);
        assert!(found.evidence.ends_with("is not known."), "{found:?}");
        let losing = daemon(|daemon| {
            (daemon.losses, daemon.events_lost) = (3, 7);
            daemon.losing_events = Some(Rising {
                count: 2,
                over: Duration::from_secs(60),
            });
        });
        let found = only(&EVENTS_LOST, &losing);
        assert_eq!(found.severity, Severity::Warning);
        assert_eq!(
            found.evidence,
            "Losses since the daemon's start: 3, 2 of them within the last 60 seconds. 7 events did not fit into \
             the kernel's buffer."
        );
    }

    #[test]
    fn a_larger_buffer_is_advised_only_where_the_configuration_takes_it() {
        let steps = |event_buffer| {
            let facts = daemon(|daemon| {
                daemon.losses = 1;
                daemon.event_buffer = event_buffer;
            });
            only(&EVENTS_LOST, &facts).remedy
        };
        let advised = |event_buffer| match &steps(event_buffer)[0] {
            Step::Do(text) => {
                let value = text.strip_prefix("set event-buffer = ").expect(text);
                let (value, rest) = value.split_once(' ').unwrap();
                assert_eq!(rest, "in [live] of /srv/t.toml, then:");
                format!("[live]\nevent-buffer = {value}")
            }
            other => panic!("{other:?}"),
        };
        for event_buffer in [1 << 16, 64 << 20, 300_000_000, 999_999_999] {
            let text = advised(event_buffer);
            let config = crate::Config::parse(&text, "t.toml".as_ref()).unwrap();
            assert!(config.live.event_buffer as u64 > event_buffer, "{text}");
        }
        for step in steps(1_000_000_000) {
            if let Step::Do(text) = step {
                assert!(text.contains("as large as can be"), "{text}");
            }
        }
    }

    #[test]
    fn remedies_name_the_folder_that_is_in_use() {
        let trouble = Failure::new("disk-full", "cannot write: no space left", "");
        let found = only(&HISTORY, &daemon(|daemon| daemon.history = Some(trouble)));
        let expected = Step::run(r"df -h '/srv/it'\''s here'");
        assert!(found.remedy.contains(&expected), "{:?}", found.remedy);
    }

    #[test]
    fn troubles_of_the_daemon_are_told_with_their_words() {
        only(
            &LIVE_INCOMPLETE,
            &daemon(|daemon| daemon.is_complete = false),
        );
        let trouble = Failure::new("disk-full", "cannot write: no space left", "make room");
        let failing = daemon(|daemon| daemon.troubles = vec![trouble.clone(), trouble.clone()]);
        let found = severities(&LIVE_TROUBLE, &failing);
        assert_eq!(found, [Severity::Critical, Severity::Critical]);
        let found = only(&HISTORY, &daemon(|daemon| daemon.history = Some(trouble)));
        assert_eq!(found.evidence, "cannot write: no space left.");
        assert_eq!(found.subject.as_deref(), Some("disk-full"));
        let dns = Failure::new("dns", "no server is named", "");
        let found = only(&DNS, &daemon(|daemon| daemon.names = Some(dns)));
        assert_eq!(found.evidence, "no server is named.");
        let aside = daemon(|daemon| daemon.set_aside = Some("/var/lib/x.damaged".to_owned()));
        assert!(
            only(&DATABASE, &aside)
                .evidence
                .contains("/var/lib/x.damaged")
        );
    }
}
