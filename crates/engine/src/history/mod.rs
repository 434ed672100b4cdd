//! What was recorded of the table: counts, births, deaths, the kernel's counters, second by second.

use serde::{Deserialize, Serialize};

/// `[history]` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Whether anything is recorded.
    pub enabled: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { enabled: true }
    }
}
