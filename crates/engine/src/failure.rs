//! The one shape of an error: a stable code, what happened, what to do.

use std::fmt;

use ctnetlink::{ErrorKind, Operation};

/// Why an action failed, in words for a person and a code for a program.
///
/// The same in the terminal, in JSON and over HTTP. Codes never change their meaning;
/// docs/errors.md lists them.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Failure {
    /// Stable word, such as `permission-denied`.
    pub code: &'static str,
    /// What happened, one line.
    pub message: String,
    /// What to do about it, one line.
    pub hint: String,
    /// Where in a text it is, if it is about one.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub place: Option<Box<Place>>,
}

/// A place in a query.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Place {
    /// Where it begins, in characters.
    pub offset: usize,
    /// How many characters; 0 at the end of the text.
    pub length: usize,
    /// What could have stood there.
    pub expected: Vec<String>,
    /// The text with the place marked below it: two lines.
    #[serde(skip)]
    pub marked: String,
}

impl Failure {
    /// A failure with its three parts.
    pub fn new(code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: hint.into(),
            place: None,
        }
    }

    /// What is wrong with a query, and where.
    pub fn of_query(error: &query::QueryError, text: &str) -> Self {
        Self {
            place: Some(Box::new(Place {
                offset: error.offset,
                length: error.length,
                expected: error.expected.clone(),
                marked: error.marked(text),
            })),
            ..Self::new(error.code, &error.message, &error.hint)
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<ctnetlink::Error> for Failure {
    fn from(error: ctnetlink::Error) -> Self {
        let (code, hint) = describe(&error);
        Self::new(code, error.to_string(), hint)
    }
}

fn describe(error: &ctnetlink::Error) -> (&'static str, &'static str) {
    match error.kind() {
        ErrorKind::PermissionDenied => (
            "permission-denied",
            "run it as root, or give the program CAP_NET_ADMIN: setcap cap_net_admin+ep FILE",
        ),
        ErrorKind::NotFound => (
            "not-found",
            "it may have ended in the meantime; list again to see what is there",
        ),
        ErrorKind::Exists => (
            "exists",
            "an entry with one of these tuples is in the table already; show it with: tracklight get",
        ),
        ErrorKind::TableFull => (
            "table-full",
            "most likely the table is full: raise the limit (sysctl -w \
             net.netfilter.nf_conntrack_max=…) or delete entries first",
        ),
        ErrorKind::Busy => (
            "busy",
            "the kernel does not change this; status bits can be set but not cleared, and a helper \
             is not replaced",
        ),
        ErrorKind::Unsupported => match error.operation() {
            Some(Operation::Create | Operation::Update | Operation::ExpectationCreate) => (
                "unsupported",
                "a helper that is named must be loaded (modprobe nf_conntrack_NAME), NAT needs \
                 nf_nat",
            ),
            Some(Operation::Open) => (
                "unsupported",
                "this kernel has no nfnetlink: modprobe nf_conntrack_netlink",
            ),
            _ => (
                "unsupported",
                "this kernel cannot do it; delete by list instead of by flush",
            ),
        },
        ErrorKind::Invalid => (
            "invalid",
            "the kernel found the values contradictory; check tuples and protocol",
        ),
        ErrorKind::Namespace => (
            "no-namespace",
            "name one of `ip netns list`, a path, or a running process's number",
        ),
        ErrorKind::BadAnswer => (
            "bad-answer",
            "try again; if it stays so, report it with the kernel's version",
        ),
        _ => ("kernel-error", "see the kernel's log (dmesg) for more"),
    }
}
