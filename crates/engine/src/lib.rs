//! What Tracklight can do, behind every screen, command and API.

pub mod actions;
pub mod column;
pub mod config;
pub mod contract;
pub mod failure;
pub mod marks;
pub mod netdata;
pub mod render;
pub mod restore;
pub mod saved;
pub mod select;
pub mod top;

pub use column::{Column, Style};
pub use config::Config;
pub use failure::Failure;
pub use saved::Saved;
pub use select::Selection;
pub use top::Top;
