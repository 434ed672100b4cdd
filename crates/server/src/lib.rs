//! Tracklight over HTTP: the daemon.

pub mod api;
pub mod app;
pub mod who;

pub use app::App;
