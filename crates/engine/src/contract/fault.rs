//! What goes wrong in the contract, in the shapes that its panels know.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::failure::Failure;

/// The stable machine word of a failure (`type` in the answer), and the HTTP status that fits it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// No JSON object: nothing, too much, malformed, nested too deep, or another kind of value.
    InvalidInput,
    /// A field is missing or wrong; the answer lists each.
    NotValid,
    /// The caller may not read or change the table.
    PermissionDenied,
    /// No entry matches.
    NotFound,
    /// The table is in a state in which this cannot be done.
    Conflict,
    /// Some of it was done and some was refused.
    Incomplete,
    /// The configuration, or what it names, cannot be used.
    ConfigurationError,
    /// The kernel refused, or its answer could not be read.
    KernelError,
    /// The kernel cannot do this, or a module is not loaded.
    Unsupported,
    /// Nobody answered with recorded counts of connections.
    NoStatistics,
}

impl Kind {
    /// The word in `type`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidInput => "InvalidInput",
            Self::NotValid => "NotValid",
            Self::PermissionDenied => "PermissionDenied",
            Self::NotFound => "NotFound",
            Self::Conflict => "Conflict",
            Self::Incomplete => "Incomplete",
            Self::ConfigurationError => "ConfigurationError",
            Self::KernelError => "KernelError",
            Self::Unsupported => "Unsupported",
            Self::NoStatistics => "NoStatistics",
        }
    }

    /// The same as a code of the kind that all of Tracklight uses.
    pub const fn code(self) -> &'static str {
        match self {
            Self::InvalidInput | Self::NotValid => "usage",
            Self::PermissionDenied => "permission-denied",
            Self::NotFound => "not-found",
            Self::Conflict => "conflict",
            Self::Incomplete => "incomplete",
            Self::ConfigurationError => "configuration",
            Self::KernelError => "kernel-error",
            Self::Unsupported => "unsupported",
            Self::NoStatistics => "no-statistics",
        }
    }

    /// The HTTP status for it.
    pub const fn http_status(self) -> u16 {
        match self {
            Self::InvalidInput | Self::NotValid => 400,
            Self::PermissionDenied => 403,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::Incomplete | Self::ConfigurationError | Self::KernelError => 500,
            Self::Unsupported | Self::NoStatistics => 503,
        }
    }

    /// The kind of a [`Failure`]'s code.
    fn of_code(code: &str) -> Self {
        match code {
            "permission-denied" => Self::PermissionDenied,
            "not-found" => Self::NotFound,
            "busy" | "exists" | "table-full" => Self::Conflict,
            "unsupported" => Self::Unsupported,
            "no-statistics" => Self::NoStatistics,
            "configuration" | "no-namespace" | "audit-failed" => Self::ConfigurationError,
            _ => Self::KernelError,
        }
    }
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attribute {
    /// The field's name.
    pub parameter: &'static str,
    /// What it was, as text; empty if it was missing.
    pub value: String,
    /// One of [`word`].
    pub error: &'static str,
    /// What it may be, where that is a short list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid: Option<Vec<&'static str>>,
}

/// The words in an attribute's `error`. They never change their meaning.
pub mod word {
    /// Required, and absent, `null` or an empty string.
    pub const MISSING: &str = "missing";
    /// Given more than once, so which one is meant is not known.
    pub const DUPLICATE: &str = "duplicate";
    /// A list, an object, a truth value, or a number where a text is wanted.
    pub const WRONG_TYPE: &str = "wrong_type";
    /// Neither a whole number nor a string of digits.
    pub const NOT_AN_INTEGER: &str = "not_an_integer";
    /// A whole number that is too small or too large.
    pub const OUT_OF_RANGE: &str = "out_of_range";
    /// Neither an IPv4 nor an IPv6 address.
    pub const NOT_AN_ADDRESS: &str = "not_an_address";
    /// An address of another family than the other address or the protocol has.
    pub const WRONG_FAMILY: &str = "wrong_family";
    /// Not one of the known words; `valid` lists those.
    pub const UNKNOWN: &str = "unknown";
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) kind: Kind,
    pub(super) message: String,
    pub(super) attributes: Vec<Attribute>,
}

impl Fault {
    pub(super) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            attributes: Vec::new(),
        }
    }

    pub(super) fn no_json() -> Self {
        Self::new(Kind::InvalidInput, "no_json_data_available")
    }

    pub(super) fn not_valid(attributes: Vec<Attribute>) -> Self {
        Self {
            attributes,
            ..Self::new(Kind::NotValid, "validation_failed")
        }
    }

    /// The answer's body, with the time of the failure as its id.
    pub(super) fn body(&self, at: SystemTime) -> impl Serialize {
        Body {
            id: at
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs()),
            kind: self.kind.name(),
            message: &self.message,
            attributes: (self.kind == Kind::NotValid).then_some(&self.attributes),
        }
    }
}

#[derive(Serialize)]
struct Body<'a> {
    id: u64,
    #[serde(rename = "type")]
    kind: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    attributes: Option<&'a Vec<Attribute>>,
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        let message = if failure.hint.is_empty() {
            failure.message
        } else {
            format!("{}; {}", failure.message, failure.hint)
        };
        Self::new(Kind::of_code(failure.code), message)
    }
}

impl From<ctnetlink::Error> for Fault {
    fn from(error: ctnetlink::Error) -> Self {
        Failure::from(error).into()
    }
}
