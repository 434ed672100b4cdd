//! On whose behalf something is done. The gate says so for a whole request, so that no handler can
//! forget to hand it on to what shares out places or looks whether the right to them still holds.

use std::future::Future;

use crate::api::error::Fault;
use crate::gate::Still;
use crate::who::{Role, Who};

tokio::task_local! {
    static NOW: Asker;
}

/// Who asks, and a way to look again whether they still may.
#[derive(Clone)]
pub(crate) struct Asker {
    who: Who,
    /// `None` where it does not matter any more.
    still: Option<Still>,
}

impl Asker {
    pub(crate) fn new(who: Who, still: Still) -> Self {
        Self {
            who,
            still: Some(still),
        }
    }

    /// On whose behalf something goes on after their own right to it has ended, since others have come to want
    /// it too.
    pub(crate) fn without_end(who: Who) -> Self {
        Self { who, still: None }
    }

    /// Who asks for what is done now; `None` for the daemon itself.
    pub(crate) fn now() -> Option<Self> {
        NOW.try_with(Self::clone).ok()
    }

    /// Does something on their behalf.
    pub(crate) async fn ask<F: Future>(self, work: F) -> F::Output {
        NOW.scope(self, work).await
    }

    pub(crate) const fn who(&self) -> &Who {
        &self.who
    }

    /// No other token has the name, nor a user of the socket.
    pub(crate) fn name(&self) -> &str {
        &self.who.name
    }

    pub(crate) fn is_operator(&self) -> bool {
        self.who.role == Role::Operator
    }

    /// Whether the right by which they ask still holds. Looks at the file of tokens.
    pub(crate) fn holds(&self) -> bool {
        self.still.as_ref().is_none_or(Still::holds)
    }

    /// Refuses what is asked by a right that has ended since. Looks at the file of tokens.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        if self.holds() {
            return Ok(());
        }
        Err(Fault::new(
            "signed-out",
            "the token or session does not hold any more; nothing was done",
            "sign in again",
        ))
    }
}
