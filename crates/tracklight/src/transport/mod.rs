//! Whom `tracklight top` asks: the API in this process, or a daemon's.

mod body;
mod daemon;
mod local;
mod tls;

use tui::wire::Fault;

pub(crate) use daemon::{Daemon, Place};
pub(crate) use local::Local;

/// The way there failed.
fn no_way(message: impl Into<String>, hint: &str) -> Fault {
    Fault::new("no-answer", message, hint)
}
