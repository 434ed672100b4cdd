//! A point of a curve, as programs get it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::sample::{COUNTERS, PROTOCOLS, Parts};
use super::span::Span;

/// What is known of one step. What is not known is absent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Point {
    /// When it begins, in seconds since the epoch.
    pub time: u64,
    /// How many of its seconds are known.
    pub known_seconds: u64,
    /// Connections in the table.
    pub connections: Range,
    /// What the kernel allows (`nf_conntrack_max`), as it was last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Connections by protocol, on average: tcp, udp, icmp, icmpv6, sctp, gre, other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocols: Option<BTreeMap<&'static str, f64>>,
    /// Connections by protocol and state, on average, without those that had none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub states: Option<BTreeMap<&'static str, BTreeMap<&'static str, f64>>>,
    /// Connections that a full table gives up last, on average.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assured: Option<f64>,
    /// Connections without an answer, on average.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreplied: Option<f64>,
    /// Connections with translated addresses or ports, on average.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nat: Option<f64>,
    /// Connections that began. Those of seconds in which the table was not followed are spread evenly over them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub births: Option<Amount>,
    /// Connections that ended, like those that began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deaths: Option<Amount>,
    /// Bytes of both directions. The counters of a large table are read every few seconds: what moved between two
    /// readings is spread evenly over the time between them. Absent after the last reading.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<Amount>,
    /// Packets of both directions, like the bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packets: Option<Amount>,
    /// By how much the kernel's counters rose, by their names in `conntrack -S`; without those that
    /// this kernel does not have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<BTreeMap<&'static str, Amount>>,
}

/// A number that was taken every second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Range {
    /// Its average over the seconds that are known.
    pub mean: f64,
    /// The smallest.
    pub min: u64,
    /// The largest.
    pub max: u64,
}

/// Something that happened so often.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Amount {
    /// How often, in the part that is known.
    pub sum: u64,
    /// How often a second.
    pub per_second: f64,
}

impl Point {
    pub(super) fn new(time: u64, span: &Span) -> Self {
        let parts = span.parts.as_ref();
        let mean = |of: fn(&Parts) -> u64| parts.map(|parts| quotient(of(parts), parts.seconds));
        Self {
            time,
            known_seconds: span.seconds,
            connections: Range {
                mean: quotient(span.connections, span.seconds),
                min: span.least,
                max: span.most,
            },
            limit: span.limit,
            protocols: parts.map(protocols),
            states: parts.map(states),
            assured: mean(|parts| parts.assured),
            unreplied: mean(|parts| parts.unreplied),
            nat: mean(|parts| parts.nat),
            births: span.changes.map(|c| Amount::new(c.births, c.millis)),
            deaths: span.changes.map(|c| Amount::new(c.deaths, c.millis)),
            bytes: span.traffic.map(|t| Amount::new(t.bytes, t.millis)),
            packets: span.traffic.map(|t| Amount::new(t.packets, t.millis)),
            kernel: span.kernel.map(|kernel| {
                let known = COUNTERS.into_iter().zip(kernel.counters);
                known
                    .filter_map(|(name, sum)| Some((name, Amount::new(sum?, kernel.millis))))
                    .collect()
            }),
        }
    }

    /// One of the kernel's counters.
    pub fn counter(&self, name: &str) -> Option<Amount> {
        self.kernel.as_ref()?.get(name).copied()
    }
}

fn protocols(parts: &Parts) -> BTreeMap<&'static str, f64> {
    let sums = PROTOCOLS.into_iter().zip(parts.protocols);
    sums.map(|(name, sum)| (name, quotient(sum, parts.seconds)))
        .collect()
}

fn states(parts: &Parts) -> BTreeMap<&'static str, BTreeMap<&'static str, f64>> {
    let mut states: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for &(state, sum) in &parts.states {
        if let Some((protocol, name)) = state.names() {
            let of_protocol = states.entry(protocol).or_default();
            of_protocol.insert(name, quotient(sum, parts.seconds));
        }
    }
    states
}

impl Amount {
    fn new(sum: u64, millis: u64) -> Self {
        Self {
            sum,
            per_second: quotient(sum.saturating_mul(1_000), millis),
        }
    }
}

/// To three places behind the point, which is enough for curves and short in JSON.
#[expect(
    clippy::cast_precision_loss,
    reason = "16 digits are more than anybody sees"
)]
fn quotient(sum: u64, by: u64) -> f64 {
    (sum as f64 / by.max(1) as f64 * 1_000.0).round() / 1_000.0
}
