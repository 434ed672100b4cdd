//! Tracklight over HTTP: the daemon.

pub mod api;
pub mod app;
mod asker;
pub mod audit;
pub mod confine;
pub mod gate;
pub mod listen;
mod memory;
pub mod metrics;
pub mod notify;
pub mod page;
mod reload;
mod run;
mod shares;
pub mod watch;
pub mod who;

pub use app::App;
pub use run::{Options, run};
