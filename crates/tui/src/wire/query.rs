//! Queries: what is wrong with a text, what can follow, what there is.

use serde::Deserialize;

use super::Fault;

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
