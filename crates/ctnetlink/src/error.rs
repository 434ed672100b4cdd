use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::features::Feature;
use crate::wire::DecodeError;

/// What was being done when something failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Opening a netlink socket.
    Open,
    /// Reading the table.
    Dump,
    /// Reading one entry.
    Get,
    /// Creating an entry.
    Create,
    /// Changing an entry.
    Update,
    /// Deleting an entry.
    Delete,
    /// Emptying the table or a part of it.
    Flush,
    /// Reading statistics.
    Stats,
    /// Subscribing to events, or receiving them.
    Events,
    /// Reading expectations.
    ExpectationDump,
    /// Reading one expectation.
    ExpectationGet,
    /// Creating an expectation.
    ExpectationCreate,
    /// Deleting an expectation.
    ExpectationDelete,
    /// Deleting all expectations.
    ExpectationFlush,
    /// Asking which hooks are registered.
    Hooks,
    /// Reading timeout policies.
    TimeoutPolicies,
    /// Reading one timeout policy.
    TimeoutPolicyGet,
    /// Creating a timeout policy.
    TimeoutPolicyCreate,
    /// Deleting a timeout policy.
    TimeoutPolicyDelete,
    /// Reading the namespace's own times of a protocol.
    DefaultTimeouts,
    /// Changing the namespace's own times of a protocol.
    DefaultTimeoutsUpdate,
    /// Reading helpers of user space.
    Helpers,
    /// Finding out what the kernel can do.
    Probe,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open a netlink socket",
            Self::Dump => "read the table",
            Self::Get => "read the entry",
            Self::Create => "create the entry",
            Self::Update => "change the entry",
            Self::Delete => "delete the entry",
            Self::Flush => "flush",
            Self::Stats => "read statistics",
            Self::Events => "receive events",
            Self::ExpectationDump => "read expectations",
            Self::ExpectationGet => "read the expectation",
            Self::ExpectationCreate => "create the expectation",
            Self::ExpectationDelete => "delete the expectation",
            Self::ExpectationFlush => "delete all expectations",
            Self::Hooks => "read the registered hooks",
            Self::TimeoutPolicies => "read timeout policies",
            Self::TimeoutPolicyGet => "read the timeout policy",
            Self::TimeoutPolicyCreate => "create the timeout policy",
            Self::TimeoutPolicyDelete => "delete the timeout policy",
            Self::DefaultTimeouts => "read the namespace's own times",
            Self::DefaultTimeoutsUpdate => "change the namespace's own times",
            Self::Helpers => "read helpers of user space",
            Self::Probe => "probe the kernel",
        })
    }
}

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel refused. `errno` is its number, `message` its sentence where it has one.
    #[error("cannot {operation}: {}{}", describe(*errno), message.as_ref().map(|m| format!(" ({m})")).unwrap_or_default())]
    Kernel {
        /// What was asked.
        operation: Operation,
        /// The kernel's errno.
        errno: i32,
        /// The kernel's extended acknowledgement.
        message: Option<String>,
    },
    /// A system call failed.
    #[error("cannot {operation}: {source}")]
    Io {
        /// What was being done.
        operation: Operation,
        /// The system's error.
        source: io::Error,
    },
    /// What the kernel sent cannot be read.
    #[error("cannot {operation}: the kernel's answer is malformed: {source}")]
    Malformed {
        /// What was asked.
        operation: Operation,
        /// Where and why.
        source: DecodeError,
    },
    /// A message was longer than any that the kernel sends.
    #[error("cannot {operation}: a message of {length} bytes was cut short")]
    Truncated {
        /// What was asked.
        operation: Operation,
        /// Its length.
        length: usize,
    },
    /// No answer came in time.
    #[error("cannot {operation}: the kernel did not answer within {seconds} seconds")]
    Timeout {
        /// What was asked.
        operation: Operation,
        /// How long was waited.
        seconds: u64,
    },
    /// The other end closed the socket in the middle of an answer. The kernel never does; what
    /// [`Client::with_connector`](crate::Client::with_connector) was given may.
    #[error("cannot {operation}: the socket was closed in the middle of the answer")]
    Closed {
        /// What was asked.
        operation: Operation,
    },
    /// The kernel's answers overflowed the socket: whether the change was made is not known.
    #[error("cannot {operation}: the answer was lost, whether it was done is not known")]
    AnswerLost {
        /// What was asked.
        operation: Operation,
    },
    /// This kernel cannot do it, or does it wrongly.
    #[error("cannot {operation}: this kernel cannot {feature} ({reason})")]
    Unsupported {
        /// What was asked.
        operation: Operation,
        /// What it needs.
        feature: Feature,
        /// What the probe saw, or the least version.
        reason: String,
    },
    /// A network namespace could not be opened or entered.
    #[error("cannot use network namespace {}: {source}", path.display())]
    Namespace {
        /// Its file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// What kind of failure it is, for programs that decide by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The caller may not; `CAP_NET_ADMIN` in the namespace's user namespace is needed.
    PermissionDenied,
    /// No such entry or expectation.
    NotFound,
    /// It exists already, or one of its tuples belongs to another entry.
    Exists,
    /// The table is full, or the kernel is out of memory.
    TableFull,
    /// The kernel will not change this, such as clearing a status bit.
    Busy,
    /// The kernel cannot do this, or a helper or module is not loaded.
    Unsupported,
    /// The kernel found the request wrong.
    Invalid,
    /// No such namespace.
    Namespace,
    /// The kernel's answer could not be read or did not come.
    BadAnswer,
    /// Anything else.
    Other,
}

impl Error {
    pub(crate) fn kernel(operation: Operation, ack: &crate::wire::Ack<'_>) -> Self {
        Self::Kernel {
            operation,
            errno: ack.errno,
            message: ack.message.map(str::to_owned),
        }
    }

    pub(crate) fn io(operation: Operation) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io { operation, source }
    }

    pub(crate) fn malformed(operation: Operation) -> impl Fn(DecodeError) -> Self {
        move |source| Self::Malformed { operation, source }
    }

    /// The kernel's or the system's errno.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Kernel { errno, .. } => Some(*errno),
            Self::Io { source, .. } | Self::Namespace { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }

    /// What was being done, where it was an operation on the kernel.
    pub fn operation(&self) -> Option<Operation> {
        match self {
            Self::Kernel { operation, .. }
            | Self::Io { operation, .. }
            | Self::Malformed { operation, .. }
            | Self::Truncated { operation, .. }
            | Self::Timeout { operation, .. }
            | Self::Closed { operation }
            | Self::AnswerLost { operation }
            | Self::Unsupported { operation, .. } => Some(*operation),
            Self::Namespace { .. } => None,
        }
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Unsupported { .. } => return ErrorKind::Unsupported,
            Self::Malformed { .. }
            | Self::Truncated { .. }
            | Self::Timeout { .. }
            | Self::Closed { .. }
            | Self::AnswerLost { .. } => return ErrorKind::BadAnswer,
            Self::Kernel { .. } | Self::Io { .. } | Self::Namespace { .. } => {}
        }
        match self.errno() {
            Some(libc::EPERM | libc::EACCES) => ErrorKind::PermissionDenied,
            _ if matches!(self, Self::Namespace { .. }) => ErrorKind::Namespace,
            Some(libc::ENOENT | libc::ESRCH) => ErrorKind::NotFound,
            Some(libc::EEXIST) => ErrorKind::Exists,
            Some(libc::ENOMEM | libc::ENOSPC | libc::EMFILE) => ErrorKind::TableFull,
            Some(libc::EBUSY) => ErrorKind::Busy,
            Some(libc::EOPNOTSUPP | libc::EPROTONOSUPPORT | libc::EAFNOSUPPORT | libc::ENOSYS) => {
                ErrorKind::Unsupported
            }
            Some(libc::EINVAL | libc::ERANGE | libc::EMSGSIZE) => ErrorKind::Invalid,
            _ => ErrorKind::Other,
        }
    }
}

/// The system's words for an errno, without its number.
fn describe(errno: i32) -> String {
    let text = io::Error::from_raw_os_error(errno).to_string();
    match text.find(" (os error") {
        Some(end) => text.get(..end).unwrap_or(&text).to_owned(),
        None => text,
    }
}
