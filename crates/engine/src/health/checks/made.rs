//! Facts and entries that are made up, for tests of checks.

use std::net::IpAddr;

use ctnetlink::{Entry, ProtoInfo, Protocol, Status, TcpInfo, TcpState, Tuple};

use super::super::contents::Contents;
use super::super::facts::{Facts, Usage};
use super::super::{Finding, Severity};
use super::Check;

/// Facts of which only this is known.
pub(in super::super) fn facts(known: impl FnOnce(&mut Facts)) -> Facts {
    let mut facts = Facts::default();
    known(&mut facts);
    facts
}

/// How bad a check finds it: `None` where it knows too little, `Some(None)` where all is well.
pub(in super::super) fn severity(check: &Check, facts: &Facts) -> Option<Option<Severity>> {
    let found = (check.look)(facts)?;
    assert!(found.len() <= 1, "{found:?}");
    Some(found.first().map(|found| found.severity))
}

/// How bad a check finds the several things that it finds.
pub(in super::super) fn severities(check: &Check, facts: &Facts) -> Vec<Severity> {
    let found = (check.look)(facts).expect("enough is known");
    found.iter().map(|found| found.severity).collect()
}

/// The one thing that a check finds, which is complete.
#[track_caller]
pub(in super::super) fn only(check: &Check, facts: &Facts) -> Finding {
    let mut found = (check.look)(facts).expect("enough is known");
    assert_eq!(found.len(), 1, "{found:?}");
    let found = found.remove(0);
    assert_eq!(found.code, check.code);
    assert!(
        !found.title.is_empty() && !found.evidence.is_empty(),
        "{found:?}"
    );
    assert!(
        !found.consequence.is_empty() && !found.remedy.is_empty(),
        "{found:?}"
    );
    found
}

/// A TCP entry of a source.
pub(in super::super) fn tcp(src: &str, state: &str, status: Status) -> Entry {
    let (src, dst) = (src.parse().unwrap(), "192.0.2.1".parse().unwrap());
    let orig = Tuple::ports(Protocol::TCP, src, 40_000, dst, 443);
    let mut entry = Entry::new(orig, orig.mirror());
    entry.status = Some(status);
    entry.protoinfo = Some(ProtoInfo::Tcp(TcpInfo {
        state: TcpState::from_name(state),
        ..TcpInfo::default()
    }));
    assert_eq!(entry.state_name(), Some(state));
    entry
}

/// A TCP entry that goes to a server behind 203.0.113.5, from a port that NAT has made of another.
pub(in super::super) fn masqueraded(server: &str, port: u16, from: u16, made: u16) -> Entry {
    let server: IpAddr = server.parse().unwrap();
    let orig = Tuple::ports(
        Protocol::TCP,
        "10.0.0.7".parse().unwrap(),
        from,
        server,
        port,
    );
    let public = "203.0.113.5".parse().unwrap();
    let reply = Tuple::ports(Protocol::TCP, server, port, public, made);
    let mut entry = Entry::new(orig, reply);
    entry.status = Some(Status::SEEN_REPLY | Status::ASSURED | Status::SRC_NAT);
    entry
}

/// A table of so many entries of one source that are assured, and so many that are not.
pub(in super::super) fn mixed(assured: u64, evictable: u64) -> Facts {
    let mut contents = Contents::default();
    for index in 0..assured + evictable {
        let status = if index < assured {
            Status::SEEN_REPLY | Status::ASSURED
        } else {
            Status::SEEN_REPLY
        };
        contents.add(&tcp("10.0.0.1", "ESTABLISHED", status));
    }
    facts(|facts| facts.contents = Some(contents))
}

/// A table of so many assured entries of one source, with a limit.
pub(in super::super) fn filled(entries: u64, limit: u64) -> Facts {
    let mut facts = mixed(entries, 0);
    facts.usage = Some(Usage {
        entries,
        limit: Some(limit),
    });
    facts
}

/// A table of which only this is known.
pub(in super::super) fn usage(entries: u64, limit: u64) -> Facts {
    facts(|facts| {
        facts.usage = Some(Usage {
            entries,
            limit: Some(limit),
        });
    })
}
