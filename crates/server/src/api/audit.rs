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
    // What cannot be written down is not done. Plain structs always serialise.
    let written = serde_json::to_value(details).unwrap_or_default();
    let pending = app
        .audit()
        .map(|audit| audit.begin(who, action, written))
        .transpose()?;
    let result = work();
    match (pending, &result) {
        (Some(pending), Ok(done)) => pending.done(crate::audit::Counts {
            changed: Some(done.done()),
            ..crate::audit::Counts::default()
        }),
        (Some(pending), Err(failure)) => pending.failed(failure),
        (None, _) => {}
    }
    result.map_err(Fault::from)
}
