//! The audit log: who changed what, from where, and how it ended.
//!
//! A file of JSON lines, one before each change and one after it, that is only ever appended to.
//! A change that cannot be written down is not made.

mod read;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{SecondsFormat, Utc};
use engine::Failure;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::who::{Role, Who};

pub use read::{Change, Changes, Filter, Unreadable, read};

/// Name of the file in the state folder.
pub const FILE: &str = "audit.log";

/// Result of the line that is written before a change.
pub const BEGUN: &str = "begun";

/// Result of a change that was made.
pub const DONE: &str = "done";

/// Result of a change of which nobody said how it ended.
pub const UNKNOWN: &str = "unknown";

/// The longest details that are kept whole, as JSON. No change needs more; what somebody sends may
/// be longer.
const LONGEST: usize = 16 << 10;

/// Characters of a change's details that go to the program's own log as well; the file has them all.
const LOGGED: usize = 4096;

/// The audit log, open to be appended to. Cheap to clone; lines of several threads do not mix.
#[derive(Clone)]
pub struct Audit(Arc<Inner>);

struct Inner {
    path: PathBuf,
    log: Mutex<Log>,
    /// What tells this run's changes from those of other runs: its start in nanoseconds.
    run: u64,
    next: AtomicU64,
}

struct Log {
    file: File,
    /// Whether the file may end within a line, which must not swallow the next.
    is_torn: bool,
}

/// How many entries a change was about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Selected.
    pub matched: Option<u64>,
    /// Really changed.
    pub changed: Option<u64>,
    /// Refused by the kernel.
    pub failed: Option<u64>,
}

/// A change that was written down and is being made. Dropped without a word, it is recorded as
/// `unknown`.
#[must_use = "say how the change ended"]
pub struct Pending {
    audit: Audit,
    line: Line,
    is_told: bool,
}

/// One line of the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Line {
    /// When, in UTC (RFC 3339).
    time: String,
    /// What the two lines of one change have in common: the run, and a number in it.
    change: String,
    who: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<SocketAddr>,
    role: Role,
    action: String,
    /// Query or keys; in the first line only.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    details: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    matched: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    changed: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failed: Option<u64>,
    result: String,
}

impl Audit {
    /// Opens the log in the state folder, and makes it, its owner's only, where there is none.
    /// Fails with `audit-failed`.
    pub fn open(folder: &Path) -> Result<Self, Failure> {
        Self::open_file(&folder.join(FILE))
    }

    fn open_file(path: &Path) -> Result<Self, Failure> {
        let log = open_log(path).map_err(|error| failure(path, &error))?;
        Ok(Self(Arc::new(Inner {
            path: path.to_owned(),
            log: Mutex::new(log),
            run: engine::now(),
            next: AtomicU64::new(1),
        })))
    }

    /// Writes down that a change begins, before it does. `details` is what it is about: the query
    /// or the keys; too much of it is cut off, and marked so. Waits for the disk.
    ///
    /// Fails with `audit-failed`; the change is not to be made then.
    pub fn begin(&self, who: &Who, action: &str, details: Value) -> Result<Pending, Failure> {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let mut line = Line {
            time: now(),
            change: format!("{:x}-{number}", self.0.run),
            who: who.name.clone(),
            from: who.from,
            role: who.role,
            action: action.to_owned(),
            details: bounded(details),
            matched: None,
            changed: None,
            failed: None,
            result: BEGUN.to_owned(),
        };
        self.write(&line).map_err(|error| {
            tracing::error!(target: "audit", who = line.who, action, %error, "a change was refused: it cannot be written down");
            failure(&self.0.path, &error)
        })?;
        line.details = Value::Null;
        Ok(Pending {
            audit: self.clone(),
            line,
            is_told: false,
        })
    }

    fn write(&self, line: &Line) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        let mut log = self.0.log.lock().unwrap_or_else(PoisonError::into_inner);
        // Somebody may have moved it away, as logs are rotated: what is written down must be where it is read.
        if !is_at(&log.file, &self.0.path)? {
            *log = open_log(&self.0.path)?;
        }
        if log.is_torn {
            bytes.insert(0, b'\n');
        }
        log.is_torn = true;
        log.file.write_all(&bytes)?;
        log.is_torn = false;
        log.file.sync_data()?;
        tell(line);
        Ok(())
    }
}

impl Pending {
    /// It was made. Waits for the disk.
    pub fn done(self, counts: Counts) {
        self.end(DONE, counts);
    }

    /// It was not made, or not as a whole.
    pub fn failed(self, failure: &Failure) {
        self.end(failure.code, Counts::default());
    }

    /// It ended with a failure, after a part of it was made.
    pub fn failed_after(self, failure: &Failure, counts: Counts) {
        self.end(failure.code, counts);
    }

    fn end(mut self, result: &str, counts: Counts) {
        self.line.matched = counts.matched;
        self.line.changed = counts.changed;
        self.line.failed = counts.failed;
        self.tell(result);
    }

    fn tell(&mut self, result: &str) {
        self.is_told = true;
        self.line.time = now();
        result.clone_into(&mut self.line.result);
        if let Err(error) = self.audit.write(&self.line) {
            // The change cannot be taken back, and its beginning is in the file.
            tracing::error!(
                change = self.line.change,
                result,
                %error,
                "the end of a change could not be written to the audit log"
            );
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.is_told {
            self.tell(UNKNOWN);
        }
    }
}

fn open_log(path: &Path) -> io::Result<Log> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600);
    let mut file = options.open(path)?;
    let is_torn = ends_within_a_line(&mut file)?;
    // Otherwise a power cut may take the file's name, and with it every line.
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(Log { file, is_torn })
}

/// Whether an open file is the one at a path.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let open = file.metadata()?;
    Ok(
        fs::metadata(path)
            .is_ok_and(|there| (there.dev(), there.ino()) == (open.dev(), open.ino())),
    )
}

/// Of what is too long only the begin, as text.
fn bounded(details: Value) -> Value {
    let mut text = details.to_string();
    if text.len() <= LONGEST {
        return details;
    }
    let length = text.len();
    let end = (0..=LONGEST).rev().find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or(0));
    serde_json::json!({ "begin": text, "length": length })
}

fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// The same to the program's own log, which may go to the journal.
fn tell(line: &Line) {
    let mut details = match &line.details {
        Value::Null => String::new(),
        details => details.to_string(),
    };
    if let Some((end, _)) = details.char_indices().nth(LOGGED) {
        details.truncate(end);
        details.push('…');
    }
    tracing::info!(
        target: "audit",
        change = line.change,
        who = line.who,
        from = line.from.map(tracing::field::display),
        role = ?line.role,
        action = line.action,
        details,
        matched = line.matched,
        changed = line.changed,
        failed = line.failed,
        result = line.result,
    );
}

/// Whether what was written last was cut off, as by a full disk or a loss of power.
fn ends_within_a_line(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

fn failure(path: &Path, error: &io::Error) -> Failure {
    Failure::new(
        "audit-failed",
        format!(
            "cannot write to the audit log {}: {error}; nothing was changed",
            path.display()
        ),
        "make room on that disk and see that the daemon may write there; no change is made that \
         cannot be written down",
    )
}

#[cfg(test)]
mod tests;
