//! Every change leaves a trace: who, from where, what, how many.

use engine::Failure;
use engine::actions::Changed;
use engine::restore::Restored;
use serde::Serialize;

use super::error::Fault;
use crate::app::App;
use crate::audit::Counts;
use crate::who::Who;

/// What a change did, for the log.
pub trait Told {
    /// How many entries it was about.
    fn counts(&self) -> Counts;

    /// Why a part of it was not made.
    fn failure(&self) -> Option<&Failure> {
        None
    }
}

/// One entry.
impl Told for () {
    fn counts(&self) -> Counts {
        Counts {
            matched: Some(1),
            changed: Some(1),
            failed: Some(0),
        }
    }
}

impl Told for Changed {
    fn counts(&self) -> Counts {
        Counts {
            matched: Some(self.selected),
            changed: Some(self.done),
            failed: Some(self.refused),
        }
    }

    fn failure(&self) -> Option<&Failure> {
        self.ended_by.as_ref()
    }
}

impl Told for Restored {
    fn counts(&self) -> Counts {
        Counts {
            matched: Some(self.selected),
            changed: Some(self.created),
            failed: Some(self.refused),
        }
    }

    fn failure(&self) -> Option<&Failure> {
        self.ended_by.as_ref()
    }
}

/// Makes a change that is in the audit log before it begins, and again when it has ended. A change that cannot
/// be written down is not made. Runs where one may block.
pub fn audited<T: Told>(
    app: &App,
    who: &Who,
    action: &'static str,
    details: &impl Serialize,
    work: impl FnOnce() -> Result<T, Failure>,
) -> Result<T, Fault> {
    // Plain structs always serialise.
    let details = serde_json::to_value(details).unwrap_or_default();
    let log = app.audit();
    let pending = log.map(|log| log.begin(who, action, details)).transpose()?;
    let result = work();
    if let Some(pending) = pending {
        match &result {
            Ok(told) => match told.failure() {
                Some(failure) => pending.failed_after(failure, told.counts()),
                None => pending.done(told.counts()),
            },
            Err(failure) => pending.failed(failure),
        }
    }
    result.map_err(Fault::from)
}
