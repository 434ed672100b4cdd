//! Tracklight over HTTP: the daemon.

pub mod app;
pub mod metrics;
pub mod who;

pub use app::App;
