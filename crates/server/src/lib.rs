//! Tracklight over HTTP: the daemon.

pub mod app;
pub mod audit;
pub mod who;

pub use app::App;
