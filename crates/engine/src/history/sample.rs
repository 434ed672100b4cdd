//! What is recorded in one second.

use ctnetlink::{CpuStats, DccpState, Protocol, SctpState, TcpState};

/// The table in one second: how it was at one moment of it, and what happened since the sample before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Seconds since the epoch.
    pub time: u64,
    /// Connections in the table, by the kernel's count.
    pub connections: u64,
    /// What the kernel allows (`nf_conntrack_max`).
    pub limit: Option<u32>,
    /// What kinds of connections they are; `None` while the table is not followed.
    pub parts: Option<Parts>,
    /// Births and deaths; `None` in the first second, after a gap, after a restart, and while the table is not
    /// followed: what happened then is in the first sample after it.
    pub changes: Option<Changes>,
    /// Bytes and packets, likewise; `None` also in seconds in which nobody read the counters, and where
    /// accounting is off.
    pub traffic: Option<Traffic>,
    /// The kernel's counters; `None` also where they could not be read.
    pub kernel: Option<Counted>,
}

/// What kinds of connections there are. In a sample, their numbers; for a longer while, the sums of each
/// second's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Of how many seconds they are sums; never 0, and 1 in a sample.
    pub seconds: u64,
    /// Connections by protocol, in the order of [`PROTOCOLS`].
    pub protocols: [u64; PROTOCOLS.len()],
    /// Connections by state, ascending, without those that have none.
    pub states: Vec<(State, u64)>,
    /// Connections that a full table gives up last.
    pub assured: u64,
    /// Connections without an answer.
    pub unreplied: u64,
    /// Connections with translated addresses or ports.
    pub nat: u64,
}

/// The protocols that are told apart, and what the others are summed up as.
pub const PROTOCOLS: [&str; 7] = ["tcp", "udp", "icmp", "icmpv6", "sctp", "gre", "other"];

/// Which of [`PROTOCOLS`] it is.
pub(super) fn protocol_index(protocol: u8) -> usize {
    const NUMBERS: [Protocol; PROTOCOLS.len() - 1] = [
        Protocol::TCP,
        Protocol::UDP,
        Protocol::ICMP,
        Protocol::ICMPV6,
        Protocol::SCTP,
        Protocol::GRE,
    ];
    let known = NUMBERS.iter().position(|known| known.0 == protocol);
    known.unwrap_or(NUMBERS.len())
}

/// A state of a protocol, by the kernel's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct State {
    /// The protocol's IANA number.
    pub protocol: u8,
    /// The state's number.
    pub state: u8,
}

impl State {
    /// The state of a name; `None` for a protocol without states and a name that it does not have.
    pub fn of(protocol: u8, name: &str) -> Option<Self> {
        let state = match Protocol(protocol) {
            Protocol::TCP => TcpState::from_name(name)?.0,
            Protocol::SCTP => SctpState::from_name(name)?.0,
            Protocol::DCCP => DccpState::from_name(name)?.0,
            _ => return None,
        };
        Some(Self { protocol, state })
    }

    /// The protocol's name and the kernel's name of the state.
    pub fn names(self) -> Option<(&'static str, &'static str)> {
        let protocol = Protocol(self.protocol);
        let state = match protocol {
            Protocol::TCP => TcpState(self.state).name(),
            Protocol::SCTP => SctpState(self.state).name(),
            Protocol::DCCP => DccpState(self.state).name(),
            _ => None,
        };
        protocol.name().zip(state)
    }
}

/// Births and deaths of a while.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// How long the while is, in milliseconds; never 0.
    pub millis: u64,
    /// Connections that began.
    pub births: u64,
    /// Connections that ended.
    pub deaths: u64,
}

/// Bytes and packets of a while. Between two readings of the counters nobody knows how fast they rose, so
/// whoever makes points of samples spreads them evenly over [`millis`](field@Self::millis).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// How long the while is, in milliseconds, never 0: from one reading of the counters to the next,
    /// which on a large table is more than a second.
    pub millis: u64,
    /// Bytes of all connections, both directions.
    pub bytes: u64,
    /// Packets of all connections, both directions.
    pub packets: u64,
}

/// What happened in a while, and can be spread over it.
pub(super) trait Spread: Copy {
    /// How long the while is, in milliseconds.
    fn millis(self) -> u64;

    /// One of several equal parts, counted from 0; together they are the whole.
    fn share(self, part: u64, of: u64) -> Self;
}

impl Spread for Traffic {
    fn millis(self) -> u64 {
        self.millis
    }

    fn share(self, part: u64, of: u64) -> Self {
        Self {
            millis: share(self.millis, part, of).max(1),
            bytes: share(self.bytes, part, of),
            packets: share(self.packets, part, of),
        }
    }
}

impl Spread for Changes {
    fn millis(self) -> u64 {
        self.millis
    }

    fn share(self, part: u64, of: u64) -> Self {
        Self {
            millis: share(self.millis, part, of).max(1),
            births: share(self.births, part, of),
            deaths: share(self.deaths, part, of),
        }
    }
}

fn share(whole: u64, part: u64, of: u64) -> u64 {
    let until = |parts: u64| u128::from(whole) * u128::from(parts) / u128::from(of.max(1));
    u64::try_from(until(part + 1) - until(part)).unwrap_or(whole)
}

/// By how much the kernel's counters rose in a while.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// How long the while is, in milliseconds; never 0.
    pub millis: u64,
    /// In the order of [`COUNTERS`]; `None` for one that this kernel does not have.
    pub counters: [Option<u64>; COUNTERS.len()],
}

/// The kernel's names of its counters (`struct ip_conntrack_stat`). Their order is that of the file:
/// new ones go to the end.
pub const COUNTERS: [&str; 15] = [
    "searched",
    "found",
    "new",
    "invalid",
    "ignore",
    "delete",
    "delete_list",
    "insert",
    "insert_failed",
    "drop",
    "early_drop",
    "error",
    "search_restart",
    "clash_resolve",
    "chaintoolong",
];

/// The counters in the order of [`COUNTERS`].
pub(super) fn counters_of(stats: &CpuStats) -> [Option<u32>; COUNTERS.len()] {
    COUNTERS.map(|wanted| {
        let mut fields = stats.fields();
        fields.find_map(|(name, value)| (name == wanted).then_some(value).flatten())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_of_the_kernel_s_has_its_place() {
        let names: Vec<_> = CpuStats::default().fields().map(|(name, _)| name).collect();
        for name in names {
            assert!(COUNTERS.contains(&name), "{name}");
        }
        let stats = CpuStats {
            drop: Some(7),
            ..CpuStats::default()
        };
        let counted = counters_of(&stats);
        assert_eq!(counted[9], Some(7));
        assert_eq!(counted.iter().flatten().count(), 1);
    }

    #[test]
    fn a_state_is_a_number_in_the_file_and_a_name_outside() {
        let state = State::of(6, "TIME_WAIT").unwrap();
        assert_eq!(state.names(), Some(("tcp", "TIME_WAIT")));
        assert_eq!(State::of(17, "ESTABLISHED"), None);
        assert_eq!(State::of(6, "OPEN"), None);
        assert_eq!(PROTOCOLS[protocol_index(58)], "icmpv6");
        assert_eq!(PROTOCOLS[protocol_index(250)], "other");
    }
}
