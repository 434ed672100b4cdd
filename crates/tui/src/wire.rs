//! What the API answers, as far as the screen shows it. docs/api.md explains the members.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// Why something was not done.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Fault {
    /// Stable word.
    pub code: String,
    /// What happened, one line.
    pub message: String,
    /// What to do about it, one line; may be empty.
    pub hint: String,
    /// Of a query: where the mistake begins, in characters.
    pub offset: Option<usize>,
    /// Of a query: how many characters.
    pub length: Option<usize>,
    /// Of a query: what could have stood there.
    pub expected: Vec<String>,
}

impl Fault {
    /// With its three parts.
    pub fn new(code: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
            hint: hint.into(),
            ..Self::default()
        }
    }
}

/// How far an answer can be believed.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Truth {
    /// When counters were read last; 0 before the first reading.
    pub taken_ns: u64,
    /// How the table was read.
    pub source: String,
    /// Whether the table is known whole.
    pub complete: bool,
    /// Whether the kernel tells of births and deaths.
    pub events: bool,
    /// Events that were lost.
    pub events_lost: u64,
    /// How often something was lost.
    pub losses: u64,
    /// Whether new connections get counters.
    pub accounting: bool,
    /// Whether new connections get start times.
    pub timestamps: bool,
    /// Connections whose counters stand still.
    pub offloaded: u64,
}

/// How much moves, a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Rates {
    /// Bytes of the original direction.
    pub bytes_orig: f64,
    /// Bytes of the reply direction.
    pub bytes_reply: f64,
    /// Packets of the original direction.
    pub packets_orig: f64,
    /// Packets of the reply direction.
    pub packets_reply: f64,
}

impl Rates {
    /// Bytes of both directions.
    pub fn bytes(&self) -> f64 {
        self.bytes_orig + self.bytes_reply
    }
}

/// The table in numbers.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// Nanoseconds since the epoch.
    pub time_ns: u64,
    /// Connections in the table.
    pub connections: u64,
    /// What the kernel allows.
    pub limit: Option<u64>,
    /// Births since the daemon's start.
    pub births: u64,
    /// Deaths since the daemon's start.
    pub deaths: u64,
    /// How much moves.
    pub rates: Option<Rates>,
    /// How far it can be believed.
    pub truth: Truth,
}

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

/// Connections that have something in common.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Group {
    /// What they have in common.
    pub key: BTreeMap<String, Value>,
    /// How many.
    pub connections: u64,
    /// Part of all, 0 to 1.
    pub share: Option<f64>,
    /// Bytes, of those that have counters.
    pub bytes: Option<u64>,
    /// Packets, of those that have counters.
    pub packets: Option<u64>,
    /// Bytes a second.
    pub rate: Option<f64>,
    /// Begin of the newest.
    pub newest_start_ns: Option<u64>,
    /// How many groups these sums are of; sums alone have it.
    pub groups: Option<u64>,
}

/// Groups and their sums.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Groups {
    /// What they are grouped by.
    pub by: Vec<String>,
    /// The groups, in order.
    pub groups: Vec<Group>,
    /// Those that were left off.
    pub others: Option<Group>,
    /// Connections whose groups could not be told apart.
    pub ungrouped: Option<Group>,
    /// All of it.
    pub total: Group,
    /// Names of addresses.
    pub names: BTreeMap<String, Name>,
    /// How far it can be believed.
    pub truth: Truth,
}

/// Somebody who holds connections.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Owner {
    /// The address.
    pub src: String,
    /// How many.
    pub connections: u64,
    /// Their bytes.
    pub bytes: Option<u64>,
}

/// What came of deleting, or of putting back.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Outcome {
    /// How many were named.
    pub matched: u64,
    /// How many were deleted.
    pub done: u64,
    /// How many had ended.
    pub gone: u64,
    /// How many were put back.
    pub created: u64,
    /// How many were there again already.
    pub there: u64,
    /// How many the kernel refused.
    pub refused: u64,
    /// Of how many the answer was lost.
    pub unknown: u64,
    /// How many had no turn.
    pub not_tried: u64,
    /// Why the first was not.
    pub first: Option<Fault>,
    /// Why it ended early.
    pub ended_by: Option<Fault>,
}

/// A deletion from its preview on.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Deletion {
    /// Names it.
    pub id: String,
    /// What was asked for.
    pub query: String,
    /// How many connections it names.
    pub matched: u64,
    /// Whose they are.
    pub owners: Vec<Owner>,
    /// How many sources there are.
    pub owners_total: u64,
    /// Some of them.
    pub sample: Vec<Row>,
    /// That the session that you are in is among them.
    pub own_session: Option<String>,
    /// Whether it can be undone.
    pub undoable: bool,
    /// Until when.
    pub expires_ns: u64,
    /// What came of it.
    pub result: Option<Outcome>,
    /// What came of undoing it.
    pub undone: Option<Outcome>,
    /// How far the table could be believed.
    pub truth: Truth,
}

/// What became of a text.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Checked {
    /// Whether it is a query.
    pub ok: bool,
    /// What is wrong with it.
    pub error: Option<Fault>,
    /// How it is understood.
    pub explanation: Option<Explanation>,
}

/// How a query is understood.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Explanation {
    /// What looks like a mistake.
    pub warnings: Vec<Warning>,
}

/// What is hardly meant.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Warning {
    /// What is the matter.
    pub message: String,
}

/// What can stand at a place of a query.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Completion {
    /// Where the word begins, in characters.
    pub offset: usize,
    /// How many characters of it are there.
    pub length: usize,
    /// What it can become.
    pub candidates: Vec<Candidate>,
}

/// One way to go on.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Candidate {
    /// What takes the word's place.
    pub text: String,
    /// What it means.
    pub meaning: String,
}

/// A name and what it means.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Meaning {
    /// The name.
    pub name: String,
    /// What it means.
    pub meaning: String,
    /// Of a column: whether lists are sorted by it.
    pub sorts: bool,
    /// Of a column: whether the largest comes first.
    pub quantity: bool,
}

/// What can be sorted and grouped by.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Fields {
    /// Columns.
    pub columns: Vec<Meaning>,
    /// What to group by.
    pub groups: Vec<Meaning>,
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

/// What is not as it should be.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Finding {
    /// Stable word.
    pub code: String,
    /// What it is about.
    pub subject: Option<String>,
    /// `critical`, `warning`, `notice`, `info`.
    pub severity: String,
    /// What it is.
    pub title: String,
    /// What shows it.
    pub evidence: String,
    /// What follows from it.
    pub consequence: String,
    /// What mends it.
    pub remedy: Vec<Step>,
}

/// A step that mends something.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Step {
    /// `run`, `keep`, `do`.
    pub kind: String,
    /// The command, or what to do.
    pub text: String,
}

/// Something that was looked at.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Looked {
    /// What.
    pub what: String,
    /// `fine`, `found`, `unknown`.
    pub verdict: String,
}

/// Something that could not be read.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Unseen {
    /// What.
    pub what: String,
    /// Why.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Health {
    /// The worst first.
    pub findings: Vec<Finding>,
    /// Everything that was looked at.
    pub looked_at: Vec<Looked>,
    /// What could not be read.
    pub unseen: Vec<Unseen>,
}

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct You {
    /// Name.
    pub name: String,
    /// `viewer` or `operator`.
    pub role: String,
}

/// The daemon.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Status {
    /// Its version.
    pub version: String,
    /// Why the table cannot be kept just now.
    pub troubles: Vec<Fault>,
    /// Who asks.
    pub you: You,
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
