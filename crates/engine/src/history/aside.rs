//! Damaged files: kept under another name, for whoever wants to save something from them.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::Serialize;

/// How many are kept; a disk that fails again and again must not be filled by them.
const MOST: usize = 3;

/// What SQLite puts beside a database.
const BESIDE: [&str; 2] = ["-wal", "-shm"];

const MARK: &str = ".damaged-";

/// A damaged file that was put aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SetAside {
    /// When, in nanoseconds since the epoch.
    pub at_ns: u64,
    /// Under which name it is kept.
    pub kept_as: PathBuf,
    /// What was wrong with it.
    pub reason: String,
}

/// Gives a file and what belongs to it another name in the same folder.
pub(super) fn set_aside(path: &Path, reason: String, now_ns: u64) -> io::Result<SetAside> {
    let time = i64::try_from(now_ns / 1_000_000_000).ok();
    let time = time.and_then(|seconds| DateTime::<Utc>::from_timestamp(seconds, 0));
    let time = time.unwrap_or_default().format("%Y%m%d-%H%M%S");
    let mut kept_as = with(path, &format!("{MARK}{time}"));
    for number in 2.. {
        if !kept_as.try_exists()? {
            break;
        }
        kept_as = with(path, &format!("{MARK}{time}-{number}"));
    }
    std::fs::rename(path, &kept_as)?;
    for suffix in BESIDE {
        match std::fs::rename(with(path, suffix), with(&kept_as, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    forget_oldest(path, &kept_as);
    Ok(SetAside {
        at_ns: now_ns,
        kept_as,
        reason,
    })
}

/// Files that were put aside, the oldest first.
pub(super) fn kept(path: &Path) -> Vec<PathBuf> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Vec::new();
    };
    let mut begins = name.to_owned();
    begins.push(MARK);
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut kept: Vec<PathBuf> = files
        .filter(|file| {
            let name = file.file_name();
            let name = name.as_encoded_bytes();
            name.starts_with(begins.as_encoded_bytes())
                && !BESIDE
                    .iter()
                    .any(|suffix| name.ends_with(suffix.as_bytes()))
        })
        .map(|file| file.path())
        .collect();
    // The new name is the last change of them.
    kept.sort_by_key(|file| {
        let changed = file.metadata().ok();
        (
            changed.map(|file| (file.ctime(), file.ctime_nsec())),
            file.clone(),
        )
    });
    kept
}

/// Deletes what is too much, never the last one, whatever the clock says.
fn forget_oldest(path: &Path, last: &Path) {
    let mut kept = kept(path);
    kept.retain(|file| file != last);
    for old in kept.iter().take((kept.len() + 1).saturating_sub(MOST)) {
        // What cannot be removed is no reason not to record.
        let _ = std::fs::remove_file(old);
        for suffix in BESIDE {
            let _ = std::fs::remove_file(with(old, suffix));
        }
    }
}

/// A path with something behind its name.
pub(super) fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}
