//! What Tracklight can do, behind every screen, command and API.

pub mod actions;
pub mod column;
pub mod config;
pub mod contract;
pub mod failure;
pub mod group;
pub mod health;
pub mod history;
pub mod kernel;
pub mod live;
pub mod marks;
pub mod names;
pub mod naming;
pub mod netdata;
mod once;
pub mod printable;
pub mod render;
pub mod restore;
pub mod saved;
pub mod session;
pub mod source;
pub mod top;
pub mod undo;
pub mod vocabulary;

pub use column::{Column, Sort, Style};
pub use config::Config;
pub use failure::Failure;
pub use kernel::{Kernel, Way};
pub use query::Query;
pub use saved::Saved;
pub use source::Source;
pub use top::Top;
pub use vocabulary::vocabulary;

/// Nanoseconds since the epoch.
pub fn now() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::SystemTime::UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
        })
}
