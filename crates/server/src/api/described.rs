//! The shapes of what the engine writes itself: for the API's description, and tests hold them to it.

#![expect(dead_code, reason = "only their descriptions are used")]

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

/// What was found when the daemon looked last. docs/health.md has all findings.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthReport {
    /// What is not as it should be, the worst first.
    findings: Vec<Finding>,
    /// Everything that was looked at.
    looked_at: Vec<Looked>,
    /// What could not be read, and why.
    unseen: Vec<Unseen>,
    /// How full the table is; null where the kernel did not say.
    #[schema(required = true)]
    usage: Option<Usage>,
    /// Who holds it; null where it could not be read.
    #[schema(required = true)]
    table: Option<Held>,
    /// How far the two readings of the kernel's counters were apart, in seconds; null before the second.
    #[schema(required = true)]
    over_seconds: Option<f64>,
}

/// Something that is not as it should be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// A word that stands for it and stays the same: that of a check.
    code: String,
    /// What it is about, where there can be several of one code.
    subject: Option<String>,
    /// How bad it is.
    severity: Severity,
    /// What it is, in a few words.
    title: String,
    /// What shows it, in sentences with numbers.
    evidence: String,
    /// The numbers for programs; their names end in their unit where they have one.
    values: BTreeMap<String, Value>,
    /// What follows from it.
    consequence: String,
    /// What mends it.
    remedy: Vec<Step>,
    /// Where there is more about it.
    see: String,
}

/// How bad a finding is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It costs nothing, and is good to know.
    Info,
    /// It may cost something one day.
    Notice,
    /// It will cost connections, or does at times.
    Warning,
    /// It costs connections now.
    Critical,
}

/// A step of a remedy.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What it is.
    kind: StepKind,
    /// The command, or what to do.
    text: String,
}

/// What a step of a remedy is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StepKind {
    /// A command for root's shell that mends it now, or shows more of it.
    Run,
    /// A command that makes it stay mended over a restart.
    Keep,
    /// What a person has to decide or do.
    Do,
}

/// A check and what came of it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Looked {
    /// The check's code, which is that of its findings.
    code: String,
    /// What was looked at.
    what: String,
    /// What came of it.
    verdict: Verdict,
}

/// What came of a check.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Fine,
    /// There are findings.
    Found,
    /// Too little is known to say.
    Unknown,
}

/// What could not be read.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Unseen {
    /// What it is.
    what: String,
    /// Stable word for why.
    code: String,
    /// Why, one line.
    message: String,
    /// What to do about it, one line; may be empty.
    hint: String,
}

/// How full the table is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// Entries of this namespace.
    entries: u64,
    /// How many may be (`nf_conntrack_max`); 0 is no limit, null is not known.
    #[schema(required = true)]
    limit: Option<u64>,
}

/// Who holds the table.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// Entries that were read.
    entries: u64,
    /// Those that a full table never gives up early.
    assured: u64,
    /// Those that the kernel may drop at once to make room: not assured.
    evictable: u64,
    /// Assured TCP connections that are closing, which the kernel gives up next.
    closing: u64,
    /// Connections without an answer.
    unreplied: u64,
    /// Connections in a flow table, whose counters stand still.
    offloaded: u64,
    /// Connections without counters.
    uncounted: u64,
    /// Entries by protocol and state, the most first.
    states: Vec<StateCount>,
    /// The sources that hold most.
    sources: Vec<Holder>,
    /// The destinations for which NAT has used most ports.
    ports: Vec<PortUse>,
    /// How many more entries than told a source or a destination may have.
    error: u64,
    /// Whether the table was read whole.
    complete: bool,
}

/// Entries of a protocol in a state.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StateCount {
    /// The protocol's name or number.
    protocol: String,
    /// The kernel's name of the state; null where the protocol has none.
    #[schema(required = true)]
    state: Option<String>,
    /// How many.
    entries: u64,
}

/// A source and what it holds.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Holder {
    /// Who opened the connections.
    address: String,
    /// How many.
    entries: u64,
    /// How many of them nobody has answered.
    unreplied: u64,
}

/// Ports that NAT uses for one destination.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PortUse {
    /// The address that the destination sees.
    public: String,
    /// The protocol.
    protocol: String,
    /// The destination.
    remote: String,
    /// Its port.
    remote_port: u16,
    /// Ports in use.
    used: u64,
    /// The lowest of them.
    lowest: u16,
    /// The highest of them.
    highest: u16,
    /// How many of them are not the port that the source had chosen.
    changed: u64,
}

/// What was recorded. docs/history.md has more.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// From when, in seconds since the epoch: the begin of the first step.
    from: u64,
    /// Until when, in seconds since the epoch, itself not.
    to: u64,
    /// How many seconds a point is of: those that were asked for, or more where nothing so fine is kept.
    step: u64,
    /// From which rows the points were made.
    rows: Rows,
    /// Whose table it is.
    origin: Origin,
    /// Rows that could not be read, and are not in any point.
    unreadable: u64,
    /// The points, the oldest first. Where nothing is known there is none.
    points: Vec<Point>,
}

/// How fine something is recorded.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Rows {
    /// A row a second.
    Second,
    /// A row every ten seconds.
    TenSeconds,
    /// A row a minute.
    Minute,
    /// A row an hour.
    Hour,
}

/// A network namespace, as far as it can be known again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// This run of the kernel.
    boot: String,
    /// The namespace's number; null where it could not be read.
    #[schema(required = true)]
    namespace: Option<u64>,
}

/// What is known of one step.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// When it begins, in seconds since the epoch.
    time: u64,
    /// How many of its seconds are known.
    known_seconds: u64,
    /// Connections in the table.
    connections: Range,
    /// What the kernel allows, as it was last.
    limit: Option<u32>,
    /// Connections by protocol, on average.
    protocols: Option<BTreeMap<String, f64>>,
    /// Connections by protocol and state, on average, without those that had none.
    states: Option<BTreeMap<String, BTreeMap<String, f64>>>,
    /// Connections that a full table gives up last, on average.
    assured: Option<f64>,
    /// Connections without an answer, on average.
    unreplied: Option<f64>,
    /// Connections with translated addresses or ports, on average.
    nat: Option<f64>,
    /// Connections that began. Those of seconds in which the table was not followed are spread evenly over them.
    births: Option<Amount>,
    /// Connections that ended, like those that began.
    deaths: Option<Amount>,
    /// Bytes of both directions; absent after the last reading of the counters.
    bytes: Option<Amount>,
    /// Packets of both directions, like the bytes.
    packets: Option<Amount>,
    /// By how much the kernel's counters rose, by their names in `conntrack -S`.
    kernel: Option<BTreeMap<String, Amount>>,
}

/// A number that was taken every second.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// Its average over the seconds that are known.
    mean: f64,
    /// The smallest.
    min: u64,
    /// The largest.
    max: u64,
}

/// Something that happened so often.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Amount {
    /// How often, in the part that is known.
    sum: u64,
    /// How often a second.
    per_second: f64,
}
