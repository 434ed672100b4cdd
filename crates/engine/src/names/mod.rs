//! Names of addresses, ports and interfaces.

use serde::{Deserialize, Serialize};

/// `[names]` of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Whether names are asked of the DNS.
    pub dns: bool,
}
