//! What the API answers, as far as the screen shows it. docs/api.md explains the members.

mod connection;
mod deletion;
mod group;
mod health;
mod query;

use serde::Deserialize;

pub use connection::{
    Happened, Known, Name, OneWay, Page, Path, Route, Routes, Row, Setting, Totals, Way,
};
pub use deletion::{Deletion, Outcome, Owner};
pub use group::{Group, Groups};
pub use health::{Finding, Health, Looked, Step, Unseen};
pub use query::{Candidate, Checked, Completion, Explanation, Fields, Meaning, Warning};

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
    pub offset: Option<u32>,
    /// Of a query: how many characters.
    pub length: Option<u32>,
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
    /// Milliseconds that the last reading of the table took.
    pub reading_ms: u64,
    /// Why the table cannot be kept just now.
    pub troubles: Vec<Fault>,
    /// Who asks.
    pub you: You,
}
