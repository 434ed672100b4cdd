//! Whom `tracklight top` asks: the API in this process, or a daemon's.

mod body;
mod daemon;
mod local;
mod tls;

use engine::Failure;
use tokio::runtime::{Builder, Runtime};
use tui::wire::Fault;

pub(crate) use daemon::{Daemon, Place};
pub(crate) use local::Local;

/// Threads on which is asked or answered.
fn runtime(name: &str, threads: usize) -> Result<Runtime, Failure> {
    let mut builder = Builder::new_multi_thread();
    builder
        .worker_threads(threads)
        .enable_all()
        .thread_name(name);
    builder.build().map_err(|error| {
        Failure::new(
            "kernel-error",
            format!("cannot begin threads: {error}"),
            "see the limits of this session: ulimit -u",
        )
    })
}

/// The way there failed.
fn no_way(message: impl Into<String>, hint: &str) -> Fault {
    Fault::new("no-answer", message, hint)
}
