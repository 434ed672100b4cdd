//! How a command ends when it does not do what it was asked: conntrack(8)'s sentences and statuses.

use std::io::Write;

use ctnetlink::{Error, Operation};
use engine::Failure;

/// The name under which messages come.
pub(crate) const NAME: &str = "conntrack v1.4.8 (tracklight)";

/// Why a command ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The command line is wrong: status 2, and where help is.
    Usage(String),
    /// Something else is: status 1.
    Failed(String),
    /// Whoever read standard output is gone.
    Closed,
}

impl Fault {
    /// A wrong command line.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    /// What a request came to, in conntrack(8)'s words for it.
    pub(crate) fn of(error: &Error) -> Self {
        Self::Failed(format!("Operation failed: {}", words(error)))
    }

    /// Says it on standard error, and gives the exit status.
    pub(crate) fn report(&self) -> u8 {
        // Nobody is left to tell if this fails.
        let mut err = std::io::stderr().lock();
        match self {
            Self::Usage(text) => {
                let _ = writeln!(
                    err,
                    "{NAME}: {text}\nTry `conntrack -h' or 'conntrack --help' for more information."
                );
                2
            }
            Self::Failed(text) => {
                let _ = writeln!(err, "{NAME}: {text}");
                1
            }
            Self::Closed => 0,
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::of(&error)
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        if failure.code == "permission-denied" || failure.code == "not-permitted" {
            return Self::Failed(format!("Operation failed: {NOT_ROOT}"));
        }
        Self::Failed(format!("Operation failed: {}", failure.message))
    }
}

/// Says a sentence on standard error under the program's name.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{NAME}: {text}");
}

/// Says a sentence on standard error as it is.
pub(crate) fn warn(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

const NOT_ROOT: &str = "sorry, you must be root or get CAP_NET_ADMIN capability to do this";

/// conntrack(8)'s words for an errno, where it has its own.
fn words(error: &Error) -> String {
    let Some(errno) = error.errno() else {
        return error.to_string();
    };
    let is_read = matches!(error.operation(), Some(Operation::Get));
    let own = match (error.operation(), errno) {
        (Some(Operation::ExpectationCreate), libc::ENOENT) => "master conntrack not found",
        (
            Some(
                Operation::ExpectationGet
                | Operation::ExpectationDelete
                | Operation::ExpectationDump,
            ),
            libc::ENOENT,
        ) => return system(errno),
        (_, libc::ENOENT) if is_read => "such conntrack doesn't exist",
        (Some(Operation::Create), libc::EEXIST) => "Such conntrack exists, try -U to update",
        (Some(Operation::ExpectationCreate), libc::EEXIST) => return system(errno),
        (_, libc::EPERM) => NOT_ROOT,
        (_, libc::EINVAL) => "invalid parameters",
        _ => return system(errno),
    };
    own.to_owned()
}

/// The C library's words for an errno.
fn system(errno: i32) -> String {
    let text = std::io::Error::from_raw_os_error(errno).to_string();
    match text.find(" (os error") {
        Some(end) => text.get(..end).unwrap_or(&text).to_owned(),
        None => text,
    }
}
