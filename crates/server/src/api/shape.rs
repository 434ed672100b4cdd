//! The JSON of what is answered. docs/api.md and docs/output.md say what the members mean.
//!
//! What is not known is left out, never zero.

use engine::live;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// How far an answer can be believed.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Truth {
    /// When counters were read last, in nanoseconds since the epoch; 0 before the first reading.
    pub taken_ns: u64,
    /// How the table was read: `bpf` or `netlink`.
    pub source: String,
    /// Why not by BPF.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_reason: Option<Reason>,
    /// Whether the last reading was whole, nothing was lost since it began, and what happened until a second
    /// ago is in the table, but for connections that are `unheard`.
    pub complete: bool,
    /// Whether the kernel tells of births, changes and deaths (`nf_conntrack_events`).
    pub events: bool,
    /// Connections of which no event has told yet: the kernel may never tell that they change or end, as they
    /// were born while nobody listened. They are as they were at `taken_ns`.
    pub unheard: u64,
    /// Events that were lost since the daemon's start, as far as their number is known.
    pub events_lost: u64,
    /// How often something was lost since the daemon's start.
    pub losses: u64,
    /// Whether new connections get counters.
    pub accounting: bool,
    /// Whether new connections get start times.
    pub timestamps: bool,
    /// Connections in a flow table, whose counters stand still.
    pub offloaded: u64,
}

/// A code and a sentence.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// Stable word.
    pub code: String,
    /// One sentence.
    pub message: String,
}

/// How much moves, a second.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// Bytes of the original direction.
    pub bytes_orig: f32,
    /// Bytes of the reply direction.
    pub bytes_reply: f32,
    /// Packets of the original direction.
    pub packets_orig: f32,
    /// Packets of the reply direction.
    pub packets_reply: f32,
}

/// Sums over connections.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Totals {
    /// How many.
    pub connections: u64,
    /// Bytes of both directions, of those that have counters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Packets of both directions, of those that have counters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packets: Option<u64>,
    /// How much they move.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rates: Option<Rates>,
}

/// The table in numbers.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// Nanoseconds since the epoch.
    pub time_ns: u64,
    /// Connections in the table.
    pub connections: u64,
    /// What the kernel allows (`nf_conntrack_max`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Births since the daemon's start.
    pub births: u64,
    /// Deaths since the daemon's start.
    pub deaths: u64,
    /// How much moved since the daemon's start, as far as it was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved: Option<Moved>,
    /// How much moves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rates: Option<Rates>,
    /// Connections by protocol.
    pub protocols: Vec<OfProtocol>,
    /// Connections by protocol and state.
    pub states: Vec<OfState>,
    /// Assured connections: the last that a full table gives up.
    pub assured: u64,
    /// Connections without an answer.
    pub unreplied: u64,
    /// Connections with translated addresses or ports.
    pub nat: u64,
    /// How far it can be believed.
    pub truth: Truth,
}

/// Bytes and packets.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Moved {
    /// Bytes.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
}

/// Connections of a protocol.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OfProtocol {
    /// Its name, or its number where it has none.
    pub protocol: String,
    /// Its IANA number.
    pub protocol_number: u8,
    /// How many.
    pub connections: u64,
}

/// Connections of a protocol in a state.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OfState {
    /// The protocol's name.
    pub protocol: String,
    /// Its IANA number.
    pub protocol_number: u8,
    /// The kernel's name of the state.
    pub state: String,
    /// How many.
    pub connections: u64,
}

/// A page of connections.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page {
    /// The rows, in order.
    #[schema(value_type = Vec<super::connection::PageRow>)]
    pub connections: Vec<Box<RawValue>>,
    /// Sums of all that is selected, not of this page alone.
    pub totals: Totals,
    /// Names this result for the pages behind; absent where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Where the page behind begins; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_offset: Option<u64>,
    /// How far it can be believed.
    pub truth: Truth,
}

impl From<&live::Truth> for Truth {
    fn from(truth: &live::Truth) -> Self {
        let reason = truth.source_reason.as_ref();
        Self {
            taken_ns: truth.taken_ns,
            source: truth.source.to_owned(),
            source_reason: reason.map(|(code, message)| Reason {
                code: (*code).to_owned(),
                message: message.clone(),
            }),
            complete: truth.complete,
            events: truth.events,
            unheard: truth.unheard,
            events_lost: truth.events_lost,
            losses: truth.losses,
            accounting: truth.accounting,
            timestamps: truth.timestamps,
            offloaded: truth.offloaded,
        }
    }
}

impl From<live::Rates> for Rates {
    fn from(rates: live::Rates) -> Self {
        Self {
            bytes_orig: rates.bytes_orig,
            bytes_reply: rates.bytes_reply,
            packets_orig: rates.packets_orig,
            packets_reply: rates.packets_reply,
        }
    }
}

impl From<live::Totals> for Totals {
    fn from(totals: live::Totals) -> Self {
        Self {
            connections: totals.connections,
            bytes: totals.bytes,
            packets: totals.packets,
            rates: totals.rates.map(Rates::from),
        }
    }
}

impl Summary {
    /// The table as it is now.
    pub fn of(live: &live::Live) -> Self {
        let summary = live.summary();
        let name = |number: u8| ctnetlink::Protocol(number).to_string();
        let protocols = summary.protocols.iter();
        let states = summary.states.iter();
        Self {
            time_ns: summary.time_ns,
            connections: summary.connections,
            limit: summary.limit,
            births: summary.births,
            deaths: summary.deaths,
            moved: summary
                .moved
                .map(|live::Moved { bytes, packets }| Moved { bytes, packets }),
            rates: summary.rates.map(Rates::from),
            protocols: protocols
                .map(|&(number, connections)| OfProtocol {
                    protocol: name(number),
                    protocol_number: number,
                    connections,
                })
                .collect(),
            states: states
                .map(|&(number, state, connections)| OfState {
                    protocol: name(number),
                    protocol_number: number,
                    state: state.to_owned(),
                    connections,
                })
                .collect(),
            assured: summary.assured,
            unreplied: summary.unreplied,
            nat: summary.nat,
            truth: Truth::from(&live.truth()),
        }
    }
}

/// JSON that was written by the engine.
pub fn raw(bytes: Vec<u8>) -> Result<Box<RawValue>, engine::Failure> {
    let text = String::from_utf8(bytes).map_err(|error| error.to_string());
    let raw = text.and_then(|text| RawValue::from_string(text).map_err(|error| error.to_string()));
    raw.map_err(|error| {
        engine::Failure::new(
            "internal",
            format!("the answer could not be written: {error}"),
            "report it: this is a fault of the program's",
        )
    })
}
