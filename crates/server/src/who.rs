//! Who asks, and what they may.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// What somebody may do.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
    Hash,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// See.
    Viewer,
    /// See and change.
    Operator,
}

/// Who asks. Put into the request's extensions by sign-in, before any handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// A token's name, or `uid 0` of the unix socket.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// From where; `None` for the unix socket.
    pub from: Option<SocketAddr>,
}
