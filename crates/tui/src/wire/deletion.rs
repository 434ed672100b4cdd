//! Deletions.

use serde::Deserialize;

use super::connection::Row;
use super::{Fault, Truth};

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
