use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// What every fallible call of this crate gives.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a network could not be built or used.
///
/// The text of an error says all that is known, the kernel's own words included; [`Error::hint`] says
/// what to do about it, [`Error::code`] names it for programs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A program that the lab is made with is not installed.
    #[error("the program `{program}` is not installed")]
    ProgramMissing {
        /// Its name, as it was looked for.
        program: String,
        /// The Debian package that holds it, where known.
        package: Option<&'static str>,
    },
    /// A program ran and reported failure.
    #[error("`{program}` failed ({status}): {message}")]
    ProgramFailed {
        /// The program and its arguments.
        program: String,
        /// Its exit status.
        status: std::process::ExitStatus,
        /// What it wrote on standard error.
        message: String,
    },
    /// The kernel wants a privilege that this process does not have.
    #[error("no permission to {operation}: {cause}")]
    NotPermitted {
        /// What was tried.
        operation: Cow<'static, str>,
        /// The kernel's answer.
        cause: io::Error,
    },
    /// An unprivileged user may not have a user namespace on this machine.
    #[error("no user namespace for this user: {reason} ({cause})")]
    UserNamespaceForbidden {
        /// Who or what forbids it, as far as the settings of the machine tell.
        reason: &'static str,
        /// What opens it.
        remedy: &'static str,
        /// The kernel's answer.
        cause: io::Error,
    },
    /// A process with several threads cannot enter a user namespace.
    #[error("a user namespace can be entered with one thread only, and this process has {threads}")]
    ManyThreads {
        /// How many threads there were.
        threads: usize,
    },
    /// The machine's limit of network namespaces is reached.
    #[error("no more network namespaces: {cause}")]
    NamespaceLimit {
        /// The kernel's answer.
        cause: io::Error,
    },
    /// A kernel setting could not be read or written.
    #[error("kernel setting {name}: {cause}")]
    Sysctl {
        /// Its path under /proc/sys.
        name: String,
        /// The kernel's answer.
        cause: io::Error,
    },
    /// A system call failed.
    #[error("cannot {operation}: {cause}")]
    System {
        /// What was tried.
        operation: Cow<'static, str>,
        /// The kernel's answer.
        cause: io::Error,
    },
    /// Something that was waited for did not come.
    #[error("waited {waited:?} for {what}; {seen}")]
    TimedOut {
        /// What was waited for.
        what: String,
        /// How long.
        waited: Duration,
        /// What was there instead.
        seen: String,
    },
    /// No namespace of the lab has this address.
    #[error("{address} is not an address of the lab")]
    UnknownAddress {
        /// The address that was asked for.
        address: SocketAddr,
    },
}

impl Error {
    /// One stable word for programs; it does not change between versions.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ProgramMissing { .. } => "program-missing",
            Self::ProgramFailed { .. } => "program-failed",
            Self::NotPermitted { .. } => "not-permitted",
            Self::UserNamespaceForbidden { .. } => "user-namespace-forbidden",
            Self::ManyThreads { .. } => "many-threads",
            Self::NamespaceLimit { .. } => "namespace-limit",
            Self::Sysctl { .. } => "sysctl-failed",
            Self::System { .. } => "system-call-failed",
            Self::TimedOut { .. } => "timed-out",
            Self::UnknownAddress { .. } => "unknown-address",
        }
    }

    /// What to do about it, as a sentence.
    pub fn hint(&self) -> Cow<'static, str> {
        match self {
            Self::ProgramMissing { package: Some(package), .. } => {
                format!("Install the package `{package}` (on Debian: apt install {package}).").into()
            }
            Self::ProgramMissing { program, package: None } => {
                format!("Install `{program}`, or put its folder into PATH.").into()
            }
            Self::ProgramFailed { .. } => {
                "Its own message says what it disliked; an old kernel or an old version of the \
                 program is the usual reason."
                    .into()
            }
            Self::NotPermitted { .. } => {
                "Run it as root, or as a user who may create user namespaces.".into()
            }
            Self::UserNamespaceForbidden { remedy, .. } => (*remedy).into(),
            Self::ManyThreads { .. } => {
                "Enter the user namespace first of all, before any thread is started.".into()
            }
            Self::NamespaceLimit { .. } => {
                "Raise the limit: sysctl -w user.max_net_namespaces=1024 (as root).".into()
            }
            Self::Sysctl { cause, .. } => match cause.kind() {
                io::ErrorKind::ReadOnlyFilesystem => {
                    "/proc/sys is mounted read-only, as in most containers: run it outside, or in a \
                     container that may write it."
                        .into()
                }
                io::ErrorKind::NotFound => {
                    "This kernel has no such setting here: the module may not be loaded (modprobe \
                     nf_conntrack), or the kernel hides it from user namespaces (as root it is seen)."
                        .into()
                }
                _ => "Run it as root, or as a user who may create user namespaces.".into(),
            },
            Self::System { .. } => {
                "The kernel's answer says why; check the limits of open files and of processes \
                 (ulimit -n, ulimit -u)."
                    .into()
            }
            Self::TimedOut { .. } => {
                "The machine may be very busy: try again. If it stays so, look into the namespace \
                 with conntrack -L and nft list ruleset."
                    .into()
            }
            Self::UnknownAddress { .. } => {
                "Use an address of `netlab::address`; IPv6 ones only if the lab has IPv6.".into()
            }
        }
    }

    /// For system calls: names what was tried, and tells a lack of privilege from other failures.
    pub(crate) fn system(
        operation: impl Into<Cow<'static, str>>,
        cause: impl Into<io::Error>,
    ) -> Self {
        let (operation, cause) = (operation.into(), cause.into());
        match cause.kind() {
            io::ErrorKind::PermissionDenied => Self::NotPermitted { operation, cause },
            _ => Self::System { operation, cause },
        }
    }
}
