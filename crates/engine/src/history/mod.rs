//! What was recorded of the table: counts, births, deaths, the kernel's counters, second by second.
//!
//! docs/history.md has the file's tables and what they guarantee. The daemon opens a [`History`] and lets a
//! [`Follower`] record the live table; anybody reads with [`series`], also without a daemon.

mod aside;
mod code;
mod fault;
mod follow;
mod origin;
mod point;
mod read;
mod recorder;
mod sample;
mod schema;
mod series;
mod span;
mod step;
mod store;
#[cfg(test)]
mod tests;
mod writer;

use std::path::{Path, PathBuf};

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};

pub use aside::SetAside;
pub use follow::{Follower, Seen};
pub use origin::Origin;
pub use point::{Amount, Point, Range};
pub use recorder::{Reading, Recorder};
pub use sample::{COUNTERS, Changes, Counted, PROTOCOLS, Parts, Sample, State, Traffic};
pub(crate) use series::counts;
pub use series::{Ask, Series, series};
pub use step::Step;
pub use writer::{History, Status, Trouble};

/// The file's name in the daemon's folder.
const FILE: &str = "history.sqlite";

/// The file in a daemon's folder (`[server] state`).
pub fn path(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

/// `[history]` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Whether anything is recorded.
    pub enabled: bool,
    /// For how many days there is a row a second: 1 to 31.
    #[serde(deserialize_with = "second_days")]
    pub second_days: u32,
    /// For how many days there is a row every ten seconds: 1 to 366.
    #[serde(deserialize_with = "ten_second_days")]
    pub ten_second_days: u32,
    /// For how many days there is a row a minute: 1 to 3660.
    #[serde(deserialize_with = "minute_days")]
    pub minute_days: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: true,
            second_days: 1,
            ten_second_days: 7,
            minute_days: 365,
        }
    }
}

fn second_days<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    days(deserializer, 31)
}

fn ten_second_days<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    days(deserializer, 366)
}

fn minute_days<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    days(deserializer, 3_660)
}

fn days<'de, D: Deserializer<'de>>(deserializer: D, most: u32) -> Result<u32, D::Error> {
    let days = i64::deserialize(deserializer)?;
    u32::try_from(days)
        .ok()
        .filter(|days| (1..=most).contains(days))
        .ok_or_else(|| D::Error::custom(format!("{days} is not between 1 and {most} days")))
}
