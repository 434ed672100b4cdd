//! What Tracklight can do, behind every screen, command and API.

pub mod actions;
pub mod column;
pub mod failure;
pub mod render;
pub mod select;
pub mod top;

pub use column::{Column, Style};
pub use failure::Failure;
pub use select::Selection;
pub use top::Top;
