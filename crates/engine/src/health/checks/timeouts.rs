//! Timeouts that are far off what is usual.

use super::super::facts::Facts;
use super::super::{Finding, Severity, grouped};
use super::Check;

/// Whether timeouts are as usual.
pub(super) const TIMEOUTS: Check = Check {
    code: "timeout",
    what: "whether timeouts are as usual",
    when: "notice outside of the bounds in the table of this section",
    look: timeouts,
};

/// A timeout, in seconds.
pub(in super::super) struct Timeout {
    /// Its name behind `nf_conntrack_`.
    pub(in super::super) name: &'static str,
    /// The kernel's default.
    pub(in super::super) usual: u64,
    /// Less is far off.
    pub(in super::super) least: u64,
    /// More is far off.
    pub(in super::super) most: u64,
    /// What it is the timeout of.
    pub(in super::super) of: &'static str,
}

const fn timeout(name: &'static str, usual: u64, bounds: (u64, u64), of: &'static str) -> Timeout {
    Timeout {
        name,
        usual,
        least: bounds.0,
        most: bounds.1,
        of,
    }
}

/// Bounds within which distributions and gateways set them. RFC 5382 wants 2 hours and 4 minutes at least for an
/// established TCP connection, RFC 4787 2 minutes for UDP that is answered.
pub(in super::super) const ALL: &[Timeout] = &[
    timeout(
        "tcp_timeout_established",
        432_000,
        (1800, 432_000),
        "TCP connections that are open",
    ),
    timeout(
        "tcp_timeout_syn_sent",
        120,
        (10, 300),
        "TCP connections whose first packet has no answer",
    ),
    timeout(
        "tcp_timeout_syn_recv",
        60,
        (5, 300),
        "TCP connections that are half open",
    ),
    timeout(
        "tcp_timeout_fin_wait",
        120,
        (10, 600),
        "TCP connections that one end has closed",
    ),
    timeout(
        "tcp_timeout_close_wait",
        60,
        (10, 3600),
        "TCP connections that one end has not closed yet",
    ),
    timeout(
        "tcp_timeout_last_ack",
        30,
        (5, 300),
        "TCP connections whose last word is awaited",
    ),
    timeout(
        "tcp_timeout_time_wait",
        120,
        (5, 600),
        "TCP connections that both ends have closed",
    ),
    timeout(
        "tcp_timeout_close",
        10,
        (1, 120),
        "TCP connections that were reset",
    ),
    timeout(
        "tcp_timeout_max_retrans",
        300,
        (30, 3600),
        "TCP connections that repeat the same packet",
    ),
    timeout(
        "tcp_timeout_unacknowledged",
        300,
        (30, 3600),
        "TCP connections whose data is not acknowledged",
    ),
    timeout(
        "udp_timeout",
        30,
        (5, 180),
        "UDP without an answer, or with one exchange",
    ),
    timeout("udp_timeout_stream", 120, (60, 900), "UDP that goes on"),
    timeout("icmp_timeout", 30, (3, 120), "ICMP echoes"),
    timeout("icmpv6_timeout", 30, (3, 120), "ICMPv6 echoes"),
    timeout(
        "generic_timeout",
        600,
        (60, 3600),
        "protocols that the kernel does not know",
    ),
    timeout("gre_timeout", 30, (10, 600), "GRE without an answer"),
    timeout("gre_timeout_stream", 180, (60, 3600), "GRE that goes on"),
    timeout(
        "sctp_timeout_established",
        210,
        (60, 432_000),
        "SCTP associations that are open",
    ),
];

fn timeouts(facts: &Facts) -> Option<Vec<Finding>> {
    let known: Vec<(&Timeout, u64)> = ALL
        .iter()
        .filter_map(|timeout| Some((timeout, facts.setting(&file(timeout))?)))
        .collect();
    if known.is_empty() {
        return None;
    }
    let found = known
        .into_iter()
        .filter_map(|(timeout, seconds)| judge(facts, timeout, seconds));
    Some(found.collect())
}

fn file(timeout: &Timeout) -> String {
    format!("nf_conntrack_{}", timeout.name)
}

fn judge(facts: &Facts, timeout: &Timeout, seconds: u64) -> Option<Finding> {
    let Timeout {
        usual,
        least,
        most,
        of,
        ..
    } = *timeout;
    let name = file(timeout);
    let (word, consequence) = if seconds < least {
        (
            "short",
            format!(
                "Entries of {of} end while both ends still think that they are connected: what comes next is \
                 refused, loses its translation, or begins anew."
            ),
        )
    } else if seconds > most {
        (
            "long",
            format!("Entries of {of} stay long after they have ended, and fill the table."),
        )
    } else {
        return None;
    };
    Some(
        Finding::new(
            TIMEOUTS.code,
            Severity::Notice,
            format!("{name} is very {word}: {} seconds", grouped(seconds)),
        )
        .about(name.clone())
        .evidence(format!(
            "{name}, of {of}, is {} seconds; the kernel's default is {}, and {} to {} are in use elsewhere.",
            grouped(seconds),
            grouped(usual),
            grouped(least),
            grouped(most)
        ))
        .value("seconds", seconds)
        .value("usual_seconds", usual)
        .value("least_seconds", least)
        .value("most_seconds", most)
        .consequence(consequence)
        .steps(facts.place.set(&name, usual)),
    )
}

#[cfg(test)]
mod tests {
    use super::super::super::Step;
    use super::super::made::{facts, only, severity};
    use super::*;

    #[test]
    fn every_timeout_is_found_below_and_above_its_bounds_only() {
        for timeout in ALL {
            let found = |seconds| {
                severity(
                    &TIMEOUTS,
                    &facts(|facts| {
                        facts.settings.insert(file(timeout), seconds);
                    }),
                )
            };
            for fine in [timeout.least, timeout.usual, timeout.most] {
                assert_eq!(found(fine), Some(None), "{} {fine}", timeout.name);
            }
            for off in [timeout.least - 1, timeout.most + 1] {
                assert_eq!(
                    found(off),
                    Some(Some(Severity::Notice)),
                    "{} {off}",
                    timeout.name
                );
            }
        }
        assert_eq!(severity(&TIMEOUTS, &Facts::default()), None);
    }

    #[test]
    fn each_timeout_that_is_off_is_a_finding_with_the_command_for_the_default() {
        let name = "nf_conntrack_udp_timeout_stream";
        let both = facts(|facts| {
            facts.settings.insert(name.to_owned(), 3_601);
            facts
                .settings
                .insert("nf_conntrack_tcp_timeout_established".into(), 60);
        });
        assert_eq!(timeouts(&both).unwrap().len(), 2);
        let mut one = both;
        one.settings.remove("nf_conntrack_tcp_timeout_established");
        let found = only(&TIMEOUTS, &one);
        assert_eq!(found.subject.as_deref(), Some(name));
        let command = Step::Run(format!("sysctl -w net.netfilter.{name}=120"));
        assert_eq!(found.remedy[0], command);
    }
}
