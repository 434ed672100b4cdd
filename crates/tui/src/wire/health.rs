//! Findings.

use serde::Deserialize;

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
