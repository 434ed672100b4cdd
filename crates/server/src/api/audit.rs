//! Every change leaves a trace: who, from where, what, how many.

use engine::Failure;
use serde::Serialize;

use super::error::Fault;
use crate::app::App;
use crate::who::Who;

/// What a change did, for the log.
pub trait Counts {
    /// How many connections were changed.
    fn done(&self) -> u64;
}

impl Counts for () {
    fn done(&self) -> u64 {
        1
    }
}

impl Counts for engine::actions::Changed {
    fn done(&self) -> u64 {
        self.done
    }
}

impl Counts for engine::restore::Restored {
    fn done(&self) -> u64 {
        self.created
    }
}

/// Does a change and notes it, whatever came of it. Runs where `work` may block.
pub fn audited<T: Counts>(
    app: &App,
    who: &Who,
    action: &'static str,
    details: &impl Serialize,
    work: impl FnOnce() -> Result<T, Failure>,
) -> Result<T, Fault> {
    let result = work();
    let outcome = match &result {
        Ok(done) => Ok(done.done()),
        Err(failure) => Err(failure.code),
    };
    note(app, who, action, details, outcome);
    result.map_err(Fault::from)
}

/// The one place where changes are noted: how many were made, or the code of the failure.
fn note(
    _app: &App,
    who: &Who,
    action: &'static str,
    details: &impl Serialize,
    outcome: Result<u64, &'static str>,
) {
    // Plain structs always serialise.
    let details = serde_json::to_string(details).unwrap_or_default();
    let from = who.from.map(|from| from.to_string()).unwrap_or_default();
    tracing::info!(target: "audit", who = who.name, from, action, details, ?outcome);
}
