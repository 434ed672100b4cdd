//! What can go wrong with the file.

use std::io;
use std::path::Path;

use nix::sys::statvfs::statvfs;
use rusqlite::ErrorCode;

use crate::failure::Failure;

/// Why the file could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is not what it should be, and why.
    Damaged(String),
    /// Something else, that may pass.
    Other(Failure),
}

impl Fault {
    /// What SQLite says.
    pub(super) fn of(error: &rusqlite::Error, path: &Path) -> Self {
        let words = error.to_string();
        let code = error.sqlite_error_code();
        match code {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(words),
            // A table or a column that should be there.
            Some(ErrorCode::Unknown) | None => Self::Damaged(words),
            // SQLite has one word for a file that it keeps in memory and cannot make longer, whatever
            // is the matter.
            Some(ErrorCode::SystemIoFailure) if is_full(path) => {
                Self::Other(told(ErrorCode::DiskFull, &words, path))
            }
            Some(code) => Self::Other(told(code, &words, path)),
        }
    }

    /// What the system says.
    pub(super) fn of_io(error: &io::Error, what: &str, path: &Path) -> Self {
        let code = match error.kind() {
            io::ErrorKind::PermissionDenied => ErrorCode::PermissionDenied,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorCode::DiskFull,
            io::ErrorKind::ReadOnlyFilesystem => ErrorCode::ReadOnly,
            _ => ErrorCode::SystemIoFailure,
        };
        Self::Other(told(code, &format!("{what}: {error}"), path))
    }
}

impl Fault {
    /// The same as a failure of a path.
    pub(super) fn into_failure(self, path: &Path) -> Failure {
        match self {
            Self::Damaged(reason) => Failure::new(
                "damaged",
                format!(
                    "the recorded history {} is damaged: {reason}",
                    path.display()
                ),
                "the daemon keeps it aside under another name and begins a new one; restart it if it \
                 does not run",
            ),
            Self::Other(failure) => failure,
        }
    }
}

fn is_full(path: &Path) -> bool {
    let disk = path.parent().and_then(|folder| statvfs(folder).ok());
    disk.is_some_and(|disk| disk.blocks_available() == 0)
}

fn told(code: ErrorCode, words: &str, path: &Path) -> Failure {
    let failure = |code, hint: &str| {
        let message = format!(
            "cannot use the recorded history {}: {words}",
            path.display()
        );
        Failure::new(code, message, hint)
    };
    match code {
        ErrorCode::DiskFull => failure(
            "disk-full",
            "make room on that disk, or record for fewer days ([history] in the configuration)",
        ),
        ErrorCode::PermissionDenied => failure(
            "permission-denied",
            "run it as root or as the daemon's user, to whom folder and files must belong",
        ),
        ErrorCode::ReadOnly | ErrorCode::CannotOpen => failure(
            "history-unusable",
            "the folder ([server] state in the configuration) must be there, on a disk that can be \
             written to, and belong to the daemon's user",
        ),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => failure(
            "history-busy",
            "another program holds the file; end it, or wait",
        ),
        _ => failure(
            "history-unusable",
            "see the kernel's log (dmesg) for the disk's faults",
        ),
    }
}
