//! Connections: rows, pages, and all that is known of one.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Fault, Rates, Truth};

/// One direction of a connection.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Way {
    /// Source address.
    pub src: String,
    /// Destination address.
    pub dst: String,
    /// Source port.
    pub sport: Option<u16>,
    /// Destination port.
    pub dport: Option<u16>,
    /// Type of ICMP.
    #[serde(rename = "type")]
    pub kind: Option<u8>,
    /// Code of ICMP.
    pub code: Option<u8>,
    /// Identifier of ICMP.
    pub id: Option<u16>,
    /// Packets, with accounting on.
    pub packets: Option<u64>,
    /// Bytes, with accounting on.
    pub bytes: Option<u64>,
}

/// What an address is called.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Name {
    /// The name.
    pub name: String,
    /// Who says so.
    pub from: String,
}

/// A connection.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Row {
    /// Its name in the API.
    pub name: String,
    /// `ipv4` or `ipv6`.
    pub family: String,
    /// The protocol's name.
    pub protocol: Option<String>,
    /// IANA number.
    pub protocol_number: u8,
    /// The kernel's name of its state.
    pub state: Option<String>,
    /// As opened.
    pub orig: Way,
    /// As answered.
    pub reply: Way,
    /// Whether it is translated.
    pub nat: bool,
    /// Zone.
    pub zone: u16,
    /// Names of the status bits that are set.
    pub status: Option<Vec<String>>,
    /// Seconds until it is dropped.
    pub timeout: Option<u32>,
    /// Mark.
    pub mark: Option<u32>,
    /// Id.
    pub id: Option<u32>,
    /// Begin, nanoseconds since the epoch.
    pub start_ns: Option<u64>,
    /// End, nanoseconds since the epoch.
    pub stop_ns: Option<u64>,
    /// Name of the helper.
    pub helper: Option<String>,
    /// Numbers of the labels that are set.
    pub labels: Vec<u8>,
    /// Original direction of the connection that expected this one.
    pub master: Option<Way>,
    /// Uplink, by the mark.
    pub provider: Option<String>,
    /// Application, by the mark.
    pub app: Option<String>,
    /// Traffic class, by the mark.
    pub prio: Option<String>,
    /// Service that was addressed.
    pub service: Option<String>,
    /// Names of its addresses.
    pub names: BTreeMap<String, Name>,
    /// How much it moves.
    pub rates: Option<Rates>,
}

impl Row {
    /// The protocol's name, or its number.
    pub fn protocol(&self) -> String {
        let name = self.protocol.clone();
        name.unwrap_or_else(|| self.protocol_number.to_string())
    }

    /// Whether a status bit is set.
    pub fn has(&self, bit: &str) -> bool {
        let bits = self.status.iter().flatten();
        bits.into_iter().any(|set| set == bit)
    }

    /// Whether a flow table forwards it.
    pub fn is_offloaded(&self) -> bool {
        self.has("OFFLOAD") || self.has("HW_OFFLOAD")
    }

    /// Bytes of both directions, where any are counted.
    pub fn bytes(&self) -> Option<u64> {
        sum(self.orig.bytes, self.reply.bytes)
    }

    /// Packets of both directions, where any are counted.
    pub fn packets(&self) -> Option<u64> {
        sum(self.orig.packets, self.reply.packets)
    }
}

fn sum(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (None, None) => None,
        (one, other) => Some(one.unwrap_or(0).saturating_add(other.unwrap_or(0))),
    }
}

/// Sums over connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Totals {
    /// How many.
    pub connections: u64,
    /// Their bytes, of those that have counters.
    pub bytes: Option<u64>,
    /// How much they move.
    pub rates: Option<Rates>,
}

/// Some rows of all that are selected.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Page {
    /// The rows, in order.
    pub connections: Vec<Row>,
    /// Sums of all that is selected.
    pub totals: Totals,
    /// Names this result for the pages behind.
    pub cursor: Option<String>,
    /// How far it can be believed.
    pub truth: Truth,
}

/// The four ends of a connection.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Path {
    /// All of it in one sentence.
    pub sentence: String,
}

/// A way to an address.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct OneWay {
    /// To where.
    pub to: String,
    /// The way; absent where none is known.
    pub route: Option<Route>,
    /// Why it is not known.
    pub failure: Option<Fault>,
}

/// A route.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Route {
    /// What the kernel does with packets.
    pub kind: String,
    /// The interface.
    pub interface: Option<String>,
    /// The router.
    pub gateway: Option<String>,
    /// The routing table.
    pub table: u32,
}

/// Both ways.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Routes {
    /// Of the original direction.
    pub orig: OneWay,
    /// Of the reply direction.
    pub reply: OneWay,
}

/// A setting of the kernel's.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// What it is now, in seconds.
    pub seconds: Option<u64>,
}

/// All that is known of a connection.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Known {
    /// The connection.
    pub connection: Row,
    /// Who really speaks with whom.
    pub path: Path,
    /// How packets leave.
    pub routes: Routes,
    /// What its state means.
    pub state_meaning: Option<String>,
    /// Where its timeout comes from.
    pub timeout_setting: Option<Setting>,
    /// That it is the connection by which you ask.
    pub own_session: Option<String>,
    /// What deserves a word.
    pub notes: Vec<String>,
}

/// Something that happened to a connection.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Happened {
    /// `new`, `update` or `destroy`.
    pub event: String,
    /// When.
    pub time_ns: u64,
    /// The connection, as far as the kernel told.
    pub entry: Row,
}
