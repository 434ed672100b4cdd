//! Tracklight over HTTP: the daemon.

pub mod app;
pub mod audit;
pub mod confine;
pub mod gate;
pub mod listen;
pub mod notify;
pub mod run;
pub mod who;

pub use app::App;
pub use run::{Options, run};
