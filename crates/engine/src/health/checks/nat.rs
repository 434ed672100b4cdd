//! Whether NAT still has ports.

use std::net::IpAddr;

use ctnetlink::Protocol;

use super::super::contents::PortUse;
use super::super::facts::Facts;
use super::super::{Finding, Severity, Step, grouped, percent};
use super::{Check, fine};

/// Whether NAT runs out of ports.
pub(super) const PORTS: Check = Check {
    code: "nat-ports",
    what: "ports that NAT has left, by public address",
    when: "warning from 70 % of the ports towards one destination, critical from 90 %",
    look: ports,
};

/// What masquerade takes for a source port of 1024 or more, where the rule does not say otherwise.
const USUAL: (u16, u16) = (1024, 65_535);

/// Less ports in use than these do not show a range.
const FEWEST: u64 = 8;

/// How many destinations are looked at.
const DESTINATIONS: usize = 1000;

fn ports(facts: &Facts) -> Option<Vec<Finding>> {
    let contents = facts.contents.as_ref()?;
    let mut found: Vec<(IpAddr, Protocol, f64, Finding)> = Vec::new();
    for used in contents.ports(DESTINATIONS) {
        // One destination that is out of ports is enough to tell of an address.
        let Some((share, finding)) = judge(facts, &used) else {
            continue;
        };
        let same = found
            .iter_mut()
            .find(|(public, protocol, ..)| (*public, *protocol) == (used.public, used.protocol));
        match same {
            Some((.., worst, _)) if *worst >= share => {}
            Some(same) => *same = (used.public, used.protocol, share, finding),
            None => found.push((used.public, used.protocol, share, finding)),
        }
    }
    if found.is_empty() {
        return fine();
    }
    Some(found.into_iter().map(|(.., finding)| finding).collect())
}

fn judge(facts: &Facts, used: &PortUse) -> Option<(f64, Finding)> {
    let (range, assumed) = range(used);
    let size = u64::from(range.1 - range.0) + 1;
    let share = percent(used.used, size);
    let severity = match share {
        90.0.. => Severity::Critical,
        70.0.. => Severity::Warning,
        _ => return None,
    };
    let PortUse {
        public,
        protocol,
        remote,
        remote_port,
        ..
    } = *used;
    let to = if remote.is_ipv4() {
        format!("{remote}:{remote_port}")
    } else {
        format!("[{remote}]:{remote_port}")
    };
    let query = format!(
        "proto == {protocol} and snat and reply.dst == {public} and peer == {remote} and peer.port == {remote_port}"
    );
    let finding = Finding::new(
        PORTS.code,
        severity,
        format!("NAT runs out of {protocol} ports on {public}"),
    )
    .about(format!("{protocol} {public}"))
    .evidence(format!(
        "{} of {} ports of {public} are in use towards {to} ({share:.0} %). {assumed}",
        grouped(used.used),
        grouped(size)
    ))
    .value("public", public.to_string())
    .value("protocol", protocol.to_string())
    .value("remote", remote.to_string())
    .value("remote_port", remote_port)
    .value("used", used.used)
    .value("usable", size)
    .value("used_percent", (share * 10.0).round() / 10.0)
    .value("lowest_port", range.0)
    .value("highest_port", range.1)
    .consequence(format!(
        "When none is left, further connections from behind {public} to {to} are dropped (counter insert_failed); other \
         destinations can still be reached."
    ))
    .step(facts.place.tracklight(&format!("group '{query}' --by src,state -n 10")))
    .step(facts.place.tracklight(&format!(
        "delete '{query}{}' --dry-run",
        if protocol == Protocol::TCP { " and state == TIME_WAIT" } else { "" }
    )))
    .step(Step::advise(
        "delete those that have ended by the last command without --dry-run; give NAT more public addresses (snat to a \
         range of addresses) or a wider range of ports in its rule",
    ));
    Some((share, finding))
}

/// The range of ports that can be used, and what is assumed by that.
///
/// Rules are not read. But a rule with a range has nearly every port changed, and what it changes
/// them to lies close together: that range is seen.
fn range(used: &PortUse) -> ((u16, u16), String) {
    let span = u64::from(used.highest.saturating_sub(used.lowest)) + 1;
    let is_changed = used.changed * 5 >= used.used * 4;
    if used.used >= FEWEST && is_changed && used.used * 10 >= span * 7 {
        let (low, high) = (used.lowest, used.highest);
        return (
            (low, high),
            format!(
                "All of them lie between {low} and {high}, and sources had chosen others: a rule seems to allow this range \
                 only."
            ),
        );
    }
    let (low, high) = USUAL;
    (
        USUAL,
        format!("Assumed: the rule allows the usual ports, {low} to {high}."),
    )
}

#[cfg(test)]
mod tests {
    use super::super::super::contents::Contents;
    use super::super::made::{facts, masqueraded, only, severity};
    use super::*;

    fn used(entries: impl Iterator<Item = (u16, u16)>) -> Facts {
        let mut contents = Contents::default();
        for (from, made) in entries {
            contents.add(&masqueraded("198.51.100.1", 443, from, made));
        }
        contents.add(&masqueraded("198.51.100.2", 443, 1, 1));
        facts(|facts| facts.contents = Some(contents))
    }

    #[test]
    fn nat_runs_out_of_the_usual_ports_from_seventy_percent_on() {
        // 64,512 ports: 70 % are 45,158.4, 90 % are 58,060.8.
        for (count, expected) in [
            (45_158, None),
            (45_159, Some(Severity::Warning)),
            (58_060, Some(Severity::Warning)),
            (58_061, Some(Severity::Critical)),
        ] {
            let facts = used((0..count).map(|port| (1024 + port, 1024 + port)));
            assert_eq!(severity(&PORTS, &facts), Some(expected), "{count}");
        }
        let found = only(
            &PORTS,
            &used((0..60_000).map(|port| (1024 + port, 1024 + port))),
        );
        assert_eq!(found.subject.as_deref(), Some("tcp 203.0.113.5"));
        assert_eq!(found.values["usable"], 64_512);
        assert!(
            found.evidence.contains("60,000 of 64,512 ports"),
            "{}",
            found.evidence
        );
        assert_eq!(severity(&PORTS, &Facts::default()), None);
    }

    #[test]
    fn the_narrow_range_of_a_rule_is_seen_by_the_ports_that_it_makes() {
        let ranged = |count: u16| used((0..count).map(|port| (30_000 + port * 7, 40_000 + port)));
        assert_eq!(
            severity(&PORTS, &ranged(7)),
            Some(None),
            "too few to see a range"
        );
        let found = only(&PORTS, &ranged(20));
        assert_eq!(found.severity, Severity::Critical);
        assert_eq!(
            (&found.values["lowest_port"], &found.values["highest_port"]),
            (&40_000.into(), &40_019.into())
        );
        // Seven of ten in use, then fewer.
        let sparse =
            |count: u16| used((0..count).map(|port| (30_000 + port * 7, 40_000 + port * 10 / 7)));
        assert_eq!(severity(&PORTS, &sparse(70)), Some(Some(Severity::Warning)));
        let wide = used((0..100).map(|port| (30_000 + port * 7, 40_000 + port * 2)));
        assert_eq!(severity(&PORTS, &wide), Some(None));
    }

    #[test]
    fn ports_that_clients_chose_one_after_the_other_show_no_range() {
        let kept = used((0..500).map(|port| (50_000 + port, 50_000 + port)));
        assert_eq!(severity(&PORTS, &kept), Some(None));
    }
}
