//! What one pass over the table finds, in memory that does not grow with it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ctnetlink::{Entry, Protocol, Status};
use query::Query;
use serde::{Serialize, Serializer};

use super::heavy::{Heavy, Notes};
use crate::failure::Failure;
use crate::source::{Source, Wanted};

/// How many sources, and how many destinations behind NAT, are told apart: more of them, and the
/// rare ones are counted too low.
const TOLD_APART: usize = 8192;

/// What is in the table.
#[derive(Clone, Debug)]
pub struct Contents {
    entries: u64,
    assured: u64,
    evictable: u64,
    closing: u64,
    unreplied: u64,
    offloaded: u64,
    uncounted: u64,
    states: BTreeMap<(Protocol, Option<&'static str>), u64>,
    sources: Heavy<IpAddr, Share>,
    ports: Heavy<Remote, Ports>,
    is_whole: bool,
}

/// Who holds the table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Held {
    /// Entries that were read.
    pub entries: u64,
    /// Those that a full table never gives up early.
    pub assured: u64,
    /// Those that the kernel may drop at once to make room: not assured.
    pub evictable: u64,
    /// Assured TCP connections that are closing, which the kernel gives up next (Linux 4.12).
    pub closing: u64,
    /// Connections without an answer.
    pub unreplied: u64,
    /// Connections in a flow table, whose counters stand still.
    pub offloaded: u64,
    /// Connections without counters.
    pub uncounted: u64,
    /// Entries by protocol and state, the most first.
    pub states: Vec<StateCount>,
    /// The sources that hold most.
    pub sources: Vec<Holder>,
    /// The destinations for which NAT has used most ports.
    pub ports: Vec<PortUse>,
    /// How many more entries than told a source or a destination may have; 0 where there are
    /// few enough of them to count each.
    pub error: u64,
    /// Whether the table was read whole.
    pub complete: bool,
}

/// Entries of a protocol in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct StateCount {
    /// The protocol's name or number.
    #[serde(serialize_with = "displayed")]
    pub protocol: Protocol,
    /// The kernel's name of the state, where the protocol has states.
    pub state: Option<&'static str>,
    /// How many.
    pub entries: u64,
}

/// A source and what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Holder {
    /// Who opened the connections.
    pub address: IpAddr,
    /// How many.
    pub entries: u64,
    /// How many of them nobody has answered.
    pub unreplied: u64,
}

/// Ports that NAT uses for one destination. To another destination the same ports can be used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PortUse {
    /// The address that the destination sees.
    pub public: IpAddr,
    /// The protocol.
    #[serde(serialize_with = "displayed")]
    pub protocol: Protocol,
    /// The destination.
    pub remote: IpAddr,
    /// Its port.
    pub remote_port: u16,
    /// Ports in use.
    pub used: u64,
    /// The lowest of them.
    pub lowest: u16,
    /// The highest of them.
    pub highest: u16,
    /// How many of them are not the port that the source had chosen.
    pub changed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Remote {
    public: IpAddr,
    protocol: Protocol,
    remote: IpAddr,
    port: u16,
}

#[derive(Clone, Debug, Default)]
struct Share {
    unreplied: u64,
}

impl Notes for Share {
    fn merge(&mut self, other: Self) {
        self.unreplied += other.unreplied;
    }
}

#[derive(Clone, Debug)]
struct Ports {
    lowest: u16,
    highest: u16,
    changed: u64,
}

impl Default for Ports {
    fn default() -> Self {
        Self {
            lowest: u16::MAX,
            highest: 0,
            changed: 0,
        }
    }
}

impl Notes for Ports {
    fn merge(&mut self, other: Self) {
        self.lowest = self.lowest.min(other.lowest);
        self.highest = self.highest.max(other.highest);
        self.changed += other.changed;
    }
}

impl Default for Contents {
    fn default() -> Self {
        Self::of_room(TOLD_APART)
    }
}

impl Contents {
    /// Nothing yet, with room to tell so many sources and destinations apart.
    fn of_room(room: usize) -> Self {
        Self {
            entries: 0,
            assured: 0,
            evictable: 0,
            closing: 0,
            unreplied: 0,
            offloaded: 0,
            uncounted: 0,
            states: BTreeMap::new(),
            sources: Heavy::new(room),
            ports: Heavy::new(room),
            is_whole: true,
        }
    }

    /// The same, of a reading that was not whole.
    #[must_use]
    pub fn interrupted(self) -> Self {
        Self {
            is_whole: false,
            ..self
        }
    }

    /// Reads a table. `progress` is told how many entries have been read.
    pub fn read(source: &Source, progress: impl FnMut(u64)) -> Result<Self, Failure> {
        let query = Query::any();
        let folded = source.fold(
            &Wanted::of(&query).without_ids(),
            progress,
            Self::default,
            Self::add,
            Self::merge,
        )?;
        let mut contents = folded.value;
        contents.is_whole = folded.outcome.complete;
        Ok(contents)
    }

    /// Adds an entry.
    pub fn add(&mut self, entry: &Entry) {
        let is_assured = entry.has_status(Status::ASSURED);
        let is_unreplied = !entry.has_status(Status::SEEN_REPLY);
        let is_offloaded = entry
            .status
            .is_some_and(|status| status.intersects(Status::OFFLOAD | Status::HW_OFFLOAD));
        let state = entry.state_name();
        self.entries += 1;
        self.assured += u64::from(is_assured);
        self.evictable += u64::from(!is_assured && !is_offloaded);
        self.closing += u64::from(is_assured && !is_offloaded && is_closing(entry, state));
        self.unreplied += u64::from(is_unreplied);
        self.offloaded += u64::from(is_offloaded);
        self.uncounted +=
            u64::from(entry.counters_orig.is_none() && entry.counters_reply.is_none());
        *self.states.entry((entry.orig.protocol, state)).or_default() += 1;
        self.sources.add(entry.orig.src, |share| {
            share.unreplied += u64::from(is_unreplied);
        });
        self.add_port(entry);
    }

    fn add_port(&mut self, entry: &Entry) {
        let reply = &entry.reply;
        if !entry.is_source_nat() {
            return;
        }
        if let (Some(port), Some(used)) = (reply.src_port(), reply.dst_port()) {
            let remote = Remote {
                public: reply.dst,
                protocol: reply.protocol,
                remote: reply.src,
                port,
            };
            let is_changed = entry.orig.src_port() != Some(used);
            self.ports.add(remote, |ports| {
                ports.lowest = ports.lowest.min(used);
                ports.highest = ports.highest.max(used);
                ports.changed += u64::from(is_changed);
            });
        }
    }

    /// How many entries were read.
    pub const fn entries(&self) -> u64 {
        self.entries
    }

    /// Adds what another one has found, of other entries.
    pub fn merge(&mut self, other: Self) {
        self.entries += other.entries;
        self.assured += other.assured;
        self.evictable += other.evictable;
        self.closing += other.closing;
        self.unreplied += other.unreplied;
        self.offloaded += other.offloaded;
        self.uncounted += other.uncounted;
        for (state, entries) in other.states {
            *self.states.entry(state).or_default() += entries;
        }
        self.sources.merge(other.sources);
        self.ports.merge(other.ports);
        self.is_whole &= other.is_whole;
    }

    /// Who holds the table; so many of those who hold most.
    pub fn held(&self, limit: usize) -> Held {
        let mut states: Vec<StateCount> = self
            .states
            .iter()
            .map(|(&(protocol, state), &entries)| StateCount {
                protocol,
                state,
                entries,
            })
            .collect();
        states.sort_by_key(|count| std::cmp::Reverse(count.entries));
        Held {
            entries: self.entries,
            assured: self.assured,
            evictable: self.evictable,
            closing: self.closing,
            unreplied: self.unreplied,
            offloaded: self.offloaded,
            uncounted: self.uncounted,
            states,
            sources: self.sources(limit),
            ports: self.ports(limit),
            error: self.sources.error().max(self.ports.error()),
            complete: self.is_whole,
        }
    }

    /// The sources that hold most, the first first.
    pub fn sources(&self, limit: usize) -> Vec<Holder> {
        let holder = |(address, entries, share): (IpAddr, u64, &Share)| Holder {
            address,
            entries,
            unreplied: share.unreplied.min(entries),
        };
        self.sources.first(limit).into_iter().map(holder).collect()
    }

    /// The destinations for which NAT uses most ports, the first first.
    pub fn ports(&self, limit: usize) -> Vec<PortUse> {
        let port_use = |(remote, used, ports): (Remote, u64, &Ports)| PortUse {
            public: remote.public,
            protocol: remote.protocol,
            remote: remote.remote,
            remote_port: remote.port,
            used,
            lowest: ports.lowest,
            highest: ports.highest,
            changed: ports.changed.min(used),
        };
        self.ports.first(limit).into_iter().map(port_use).collect()
    }
}

/// TCP's states that the kernel's garbage collection gives up early when the table is nearly full
/// (`tcp_can_early_drop`).
fn is_closing(entry: &Entry, state: Option<&'static str>) -> bool {
    entry.orig.protocol == Protocol::TCP
        && matches!(
            state,
            Some("FIN_WAIT" | "LAST_ACK" | "TIME_WAIT" | "CLOSE" | "CLOSE_WAIT")
        )
}

fn displayed<S: Serializer>(protocol: &Protocol, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(protocol)
}

#[cfg(test)]
mod tests {
    use super::super::checks::made::{masqueraded, tcp};
    use super::*;

    #[test]
    fn a_full_table_can_evict_what_is_not_assured_and_then_what_is_closing() {
        let mut contents = Contents::default();
        for (state, status) in [
            ("ESTABLISHED", Status::SEEN_REPLY | Status::ASSURED),
            ("TIME_WAIT", Status::SEEN_REPLY | Status::ASSURED),
            ("SYN_SENT", Status::empty()),
            ("SYN_RECV", Status::SEEN_REPLY),
            (
                "ESTABLISHED",
                Status::SEEN_REPLY | Status::ASSURED | Status::OFFLOAD,
            ),
        ] {
            contents.add(&tcp("10.0.0.1", state, status));
        }
        let held = contents.held(5);
        assert_eq!(
            (held.entries, held.assured, held.evictable, held.closing),
            (5, 3, 2, 1)
        );
        assert_eq!((held.unreplied, held.offloaded, held.uncounted), (1, 1, 5));
        assert_eq!(held.states[0].state, Some("ESTABLISHED"));
        assert_eq!(held.states[0].entries, 2);
    }

    #[test]
    fn ports_are_counted_for_each_destination_by_itself() {
        let mut contents = Contents::default();
        let mut other = Contents::default();
        for port in 0..10 {
            contents.add(&masqueraded("198.51.100.1", 443, 2000 + port, 2000 + port));
            other.add(&masqueraded("198.51.100.1", 443, 2000, 3000 + port));
            other.add(&masqueraded("198.51.100.2", 443, 4000 + port, 4000 + port));
        }
        other.add(&tcp("10.0.0.1", "ESTABLISHED", Status::ASSURED));
        contents.merge(other);
        let ports = contents.ports(5);
        assert_eq!(ports.len(), 2, "what is not translated takes no port");
        assert_eq!(ports[0].remote.to_string(), "198.51.100.1");
        assert_eq!((ports[0].used, ports[0].changed), (20, 10));
        assert_eq!((ports[0].lowest, ports[0].highest), (2000, 3009));
        assert_eq!(ports[1].used, 10);
    }

    #[test]
    fn memory_is_bounded_and_the_error_is_told() {
        let mut contents = Contents::of_room(4);
        for host in 0..200 {
            contents.add(&tcp(&format!("10.0.1.{host}"), "SYN_SENT", Status::empty()));
            contents.add(&tcp("10.0.0.9", "SYN_SENT", Status::empty()));
        }
        let held = contents.held(10);
        assert!(held.sources.len() <= 4);
        assert_eq!(held.sources[0].address.to_string(), "10.0.0.9");
        assert!(held.sources[0].entries + held.error >= 200);
        assert!(held.error > 0);
    }
}
