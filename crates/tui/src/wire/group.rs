//! Groups.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::Truth;
use super::connection::Name;

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
