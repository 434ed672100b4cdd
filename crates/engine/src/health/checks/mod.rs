//! What is looked at, and what is thought of it.

mod counters;
mod daemon;
mod fill;
mod holders;
mod kept;
#[cfg(test)]
pub(super) mod made;
mod nat;
mod reading;
mod settings;
mod table;
pub(super) mod timeouts;
mod trend;

use super::Finding;
use super::facts::Facts;

/// Something that is looked at.
pub struct Check {
    /// The code of its findings.
    pub code: &'static str,
    /// What is looked at, in a few words.
    pub what: &'static str,
    /// From when on it is a finding, and how bad a one.
    pub when: &'static str,
    /// Judges: `None` where too little is known, nothing where all is well.
    pub look: fn(&Facts) -> Option<Vec<Finding>>,
}

/// Everything that is looked at, in the order of the document.
pub const CHECKS: &[Check] = &[
    fill::FILL,
    trend::TIME_TO_FULL,
    fill::NO_LIMIT,
    table::EVICTION,
    table::CHAINS,
    table::EXPECTATIONS,
    table::TRACKING,
    holders::SOURCE,
    holders::UNANSWERED,
    holders::CLOSING,
    counters::DROP,
    counters::EARLY_DROP,
    counters::INSERT_FAILED,
    counters::CHAIN_TOO_LONG,
    counters::INVALID,
    counters::SEARCH_RESTART,
    nat::PORTS,
    settings::ACCOUNTING,
    settings::TIMESTAMPS,
    settings::UNCOUNTED,
    settings::OFFLOADED,
    settings::EVENTS,
    settings::LOOSE,
    settings::LIBERAL,
    settings::CHECKSUM,
    settings::AUTOMATIC_HELPERS,
    timeouts::TIMEOUTS,
    kept::KEPT,
    reading::BUFFER,
    reading::LISTENERS,
    reading::WALK,
    reading::FILTERS,
    reading::INCOMPLETE,
];

/// What is looked at only where there is a daemon to be looked at.
pub const CHECKS_OF_DAEMON: &[Check] = &[
    daemon::EVENTS_LOST,
    daemon::LIVE_INCOMPLETE,
    daemon::LIVE_TROUBLE,
    daemon::HISTORY,
    daemon::DATABASE,
    daemon::DNS,
];

/// One finding or none.
fn one(finding: Option<Finding>) -> Option<Vec<Finding>> {
    Some(finding.into_iter().collect())
}

/// Nothing to find.
fn fine() -> Option<Vec<Finding>> {
    Some(Vec::new())
}
