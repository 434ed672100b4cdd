//! How a command ends when it does not do what it was asked: conntrack(8)'s sentences and statuses.

use std::io::Write;

use ctnetlink::{Error, Operation};
use engine::Failure;

/// The name under which messages come.
pub(crate) const NAME: &str = "conntrack v1.4.8 (tracklight)";

/// Why a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
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
        match error.errno() {
            Some(errno) => Self::refused(error.operation(), errno),
            None => Self::Failed(format!("Operation failed: {error}")),
        }
    }

    /// The same for an errno, be it the kernel's or what the kernel would say.
    pub(crate) fn refused(operation: Option<Operation>, errno: i32) -> Self {
        match words(operation, errno) {
            Some(own) => Self::Failed(format!("Operation failed: {own}")),
            None => Self::plain(errno),
        }
    }

    /// The same in the C library's words.
    pub(crate) fn plain(errno: i32) -> Self {
        let error = std::io::Error::from_raw_os_error(errno);
        Self::Failed(format!("Operation failed: {}", system(&error)))
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
        match errno_in(&failure.message) {
            Some(errno) => Self::refused(Some(Operation::Dump), errno),
            None => Self::Failed(format!("Operation failed: {}", failure.message)),
        }
    }
}

/// The errno that the standard library puts behind the C library's words: a failure to read the table has it
/// nowhere else.
fn errno_in(message: &str) -> Option<i32> {
    let (_, errno) = message.rsplit_once("(os error ")?;
    errno.strip_suffix(')')?.parse().ok()
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

/// What the kernel says to what it has no function for; no errno of the C library.
const ENOTSUPP: i32 = 524;

/// conntrack(8)'s words for an errno, where it has its own.
fn words(operation: Option<Operation>, errno: i32) -> Option<&'static str> {
    use Operation::{Create, Delete, Dump, ExpectationCreate, Get};
    Some(match (operation?, errno) {
        (_, libc::EPERM) => NOT_ROOT,
        (_, libc::EINVAL) => "invalid parameters",
        (Dump, ENOTSUPP) => "function not implemented",
        (Create, libc::EEXIST) => "Such conntrack exists, try -U to update",
        (Create | Get | Delete, libc::ENOENT) => "such conntrack doesn't exist",
        (Create | Get, libc::ENOMEM) => "not enough memory",
        (Get, libc::EAFNOSUPPORT) => "protocol not supported",
        (Create, libc::ETIME) => "conntrack has expired",
        (ExpectationCreate, libc::ENOENT) => "master conntrack not found",
        _ => return None,
    })
}

/// The C library's words for an error.
pub(crate) fn system(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_to_read_is_told_in_the_words_of_its_errno() {
        let message = "cannot read the table: Cannot allocate memory (os error 12)";
        let fault = Fault::from(Failure::new("system", message, ""));
        assert_eq!(
            fault,
            Fault::Failed("Operation failed: Cannot allocate memory".to_owned())
        );
    }

    #[test]
    fn an_errno_has_the_words_of_the_command_that_it_answers() {
        let text = |operation, errno| match Fault::refused(Some(operation), errno) {
            Fault::Failed(text) => text,
            other => format!("{other:?}"),
        };
        for (operation, errno, words) in [
            (Operation::Create, libc::ENOMEM, "not enough memory"),
            (Operation::Get, libc::ENOMEM, "not enough memory"),
            (Operation::Dump, libc::ENOMEM, "Cannot allocate memory"),
            (Operation::Create, libc::ETIME, "conntrack has expired"),
            (Operation::Update, libc::ETIME, "Timer expired"),
            (
                Operation::Create,
                libc::ENOENT,
                "such conntrack doesn't exist",
            ),
            (
                Operation::Delete,
                libc::ENOENT,
                "such conntrack doesn't exist",
            ),
            (
                Operation::ExpectationDelete,
                libc::ENOENT,
                "No such file or directory",
            ),
        ] {
            assert_eq!(
                text(operation, errno),
                format!("Operation failed: {words}"),
                "{operation}"
            );
        }
    }
}
