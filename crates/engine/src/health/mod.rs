//! What is wrong, what follows from it, and what mends it.
//!
//! Facts are gathered ([`gather`]) and then judged ([`examine`]), apart from each other: a judgement
//! needs no kernel, and whoever knows more than the kernel says, such as the daemon, adds it to the
//! [`Facts`]. What is not known is never judged, neither as wrong nor as fine.

mod checks;
mod contents;
#[cfg(test)]
mod document;
mod facts;
mod gather;
mod heavy;
mod remedy;
mod written;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

pub use checks::{CHECKS, CHECKS_OF_DAEMON, Check};
pub use contents::{Contents, Held, Holder, PortUse, StateCount};
pub use facts::{
    Buffer, Count, Counters, Daemon, Earlier, Facts, Listener, Place, Rising, Unseen, Usage, Walk,
    Written,
};
pub use gather::{Ask, counters, gather};

/// The document in which every finding has a section of its own, under its code.
pub const DOCUMENT: &str = "docs/health.md";

/// How bad it is; the worst is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know; nothing need be done.
    Info,
    /// Worth a look when there is time.
    Notice,
    /// Something is lost or will be soon.
    Warning,
    /// Connections are refused now, or will be within minutes.
    Critical,
}

impl Severity {
    /// The word in every output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// A word that stands for it and stays the same: that of a check.
    pub code: &'static str,
    /// What it is about, where there can be several of one code: a setting, an address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// How bad it is.
    pub severity: Severity,
    /// What it is, in a few words.
    pub title: String,
    /// What shows it, in sentences with numbers.
    pub evidence: String,
    /// The numbers for programs; their names end in their unit where they have one.
    pub values: BTreeMap<&'static str, Value>,
    /// What follows from it.
    pub consequence: String,
    /// What mends it.
    pub remedy: Vec<Step>,
    /// Where there is more about it.
    pub see: String,
}

/// A step of a remedy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", content = "text", rename_all = "lowercase")]
pub enum Step {
    /// A command for root's shell that mends it now, or shows more of it.
    Run(String),
    /// A command that makes it stay mended over a restart.
    Keep(String),
    /// What a person has to decide or do.
    Do(String),
}

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Fine,
    /// There are findings.
    Found,
    /// Too little is known to say.
    Unknown,
}

/// A check and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Looked {
    /// The check's code, which is that of its findings.
    pub code: &'static str,
    /// What was looked at.
    pub what: &'static str,
    /// What came of it.
    pub verdict: Verdict,
}

/// All that an examination found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// What is not as it should be, the worst first.
    pub findings: Vec<Finding>,
    /// Everything that was looked at.
    pub looked_at: Vec<Looked>,
    /// What could not be read, and why.
    pub unseen: Vec<Unseen>,
    /// How full the table is.
    pub usage: Option<Usage>,
    /// Who holds it.
    pub table: Option<Held>,
    /// How far the two readings of the kernel's counters were apart, in seconds.
    pub over_seconds: Option<f64>,
}

impl Report {
    /// How many findings are that bad.
    pub fn count(&self, severity: Severity) -> usize {
        let is = |finding: &&Finding| finding.severity == severity;
        self.findings.iter().filter(is).count()
    }

    /// How many checks ended so.
    pub fn ended(&self, verdict: Verdict) -> usize {
        let is = |looked: &&Looked| looked.verdict == verdict;
        self.looked_at.iter().filter(is).count()
    }
}

/// How many of those who hold most a report names.
const HOLDERS: usize = 10;

/// Judges what is known.
pub fn examine(facts: &Facts) -> Report {
    let mut findings = Vec::new();
    let mut looked_at = Vec::new();
    let of_daemon = if facts.daemon.is_some() {
        CHECKS_OF_DAEMON
    } else {
        &[]
    };
    for check in CHECKS.iter().chain(of_daemon) {
        let found = (check.look)(facts);
        looked_at.push(Looked {
            code: check.code,
            what: check.what,
            verdict: match &found {
                None => Verdict::Unknown,
                Some(found) if found.is_empty() => Verdict::Fine,
                Some(_) => Verdict::Found,
            },
        });
        findings.extend(found.into_iter().flatten());
    }
    // Stable: of equally bad ones the order of the checks stays.
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let earlier = facts
        .counters
        .as_ref()
        .and_then(|counters| counters.earlier);
    Report {
        findings,
        looked_at,
        unseen: facts.unseen.clone(),
        usage: facts.usage,
        table: facts.contents.as_ref().map(|table| table.held(HOLDERS)),
        over_seconds: earlier.map(|earlier| earlier.ago.as_secs_f64()),
    }
}

/// What is not as it should be, the worst first.
pub fn check(facts: &Facts) -> Vec<Finding> {
    examine(facts).findings
}

impl Finding {
    pub(crate) fn new(code: &'static str, severity: Severity, title: impl Into<String>) -> Self {
        Self {
            code,
            subject: None,
            severity,
            title: title.into(),
            evidence: String::new(),
            values: BTreeMap::new(),
            consequence: String::new(),
            remedy: Vec::new(),
            see: format!("{DOCUMENT}#{code}"),
        }
    }

    fn about(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    fn evidence(mut self, sentences: impl Into<String>) -> Self {
        self.evidence = sentences.into();
        self
    }

    fn value(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.values.insert(name, value.into());
        self
    }

    fn consequence(mut self, sentences: impl Into<String>) -> Self {
        self.consequence = sentences.into();
        self
    }

    fn steps(mut self, steps: impl IntoIterator<Item = Step>) -> Self {
        self.remedy.extend(steps);
        self
    }

    fn step(self, step: Step) -> Self {
        self.steps([step])
    }
}

impl Step {
    fn run(command: impl Into<String>) -> Self {
        Self::Run(command.into())
    }

    fn keep(command: impl Into<String>) -> Self {
        Self::Keep(command.into())
    }

    fn advise(sentence: impl Into<String>) -> Self {
        Self::Do(sentence.into())
    }
}

/// A number with its thousands set apart, for sentences.
pub fn grouped(number: impl Into<u64>) -> String {
    let digits = number.into().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A part of a whole in percent; 0 of nothing.
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    part as f64 * 100.0 / whole as f64
}
