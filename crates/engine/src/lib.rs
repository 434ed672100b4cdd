//! What Tracklight can do, behind every screen, command and API.

pub mod failure;

pub use failure::Failure;
