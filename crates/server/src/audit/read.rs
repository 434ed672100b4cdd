//! Reading the audit log: the two lines of each change as one.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;

use chrono::{DateTime, Utc};
use engine::Failure;
use serde::Serialize;
use serde_json::Value;

use super::{BEGUN, Line, UNKNOWN};
use crate::who::Role;

/// The longest line that is read; the bodies of requests are far below it.
const LONGEST: u64 = 64 << 20;

/// Which changes are wanted.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Those that began then or later.
    pub since: Option<DateTime<Utc>>,
    /// Those of this name.
    pub who: Option<String>,
}

/// A change, from beginning to end.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    /// When it began, in UTC (RFC 3339).
    pub time: String,
    /// When it ended; `None` if that is not written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// What tells it from others.
    pub change: String,
    /// A token's name, or `uid 0` of the unix socket.
    pub who: String,
    /// From where; `None` for the unix socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<SocketAddr>,
    /// As what.
    pub role: Role,
    /// What was done.
    pub action: String,
    /// To what: query or keys.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub details: Value,
    /// Entries selected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matched: Option<u64>,
    /// Entries really changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed: Option<u64>,
    /// Entries that the kernel refused to change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<u64>,
    /// `done`, the code of a failure, `begun` while the daemon may be at it still, or `unknown`.
    pub result: String,
}

/// A line that is none of ours, most likely torn by a loss of power or a full disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Its number, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub message: String,
}

/// Changes in the order in which they began; an unreadable line comes in between and ends nothing.
pub struct Changes {
    lines: BufReader<File>,
    number: u64,
    buffer: Vec<u8>,
    filter: Filter,
    /// Changes of this run of the daemon, until those before them have ended.
    open: VecDeque<Change>,
    is_at_end: bool,
}

/// Opens a log to be read. Fails with `unreadable`.
pub fn read(path: &Path, filter: Filter) -> Result<Changes, Failure> {
    let file = File::open(path).map_err(|error| failure(path, &error))?;
    Ok(Changes {
        lines: BufReader::new(file),
        number: 0,
        buffer: Vec::new(),
        filter,
        open: VecDeque::new(),
        is_at_end: false,
    })
}

impl Iterator for Changes {
    type Item = Result<Change, Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            while let Some(change) = self.finished() {
                if self.filter.is_met_by(&change) {
                    return Some(Ok(change));
                }
            }
            if self.is_at_end {
                return None;
            }
            match self.line() {
                Ok(Some(line)) => self.take(line),
                Ok(None) => self.is_at_end = true,
                Err(unreadable) => return Some(Err(unreadable)),
            }
        }
    }
}

impl Changes {
    /// The first change that is open, if it has ended or nothing more is to come.
    fn finished(&mut self) -> Option<Change> {
        let first = self.open.front()?;
        if first.ended.is_none() && first.result == BEGUN && !self.is_at_end {
            return None;
        }
        self.open.pop_front()
    }

    fn take(&mut self, line: Line) {
        if line.result == BEGUN {
            // What an earlier run of the daemon left open, nobody will end any more.
            for change in &mut self.open {
                if change.result == BEGUN && run(&change.change) != run(&line.change) {
                    UNKNOWN.clone_into(&mut change.result);
                }
            }
            self.open.push_back(line.into());
            return;
        }
        let begun = self.open.iter_mut().rev();
        match begun
            .into_iter()
            .find(|change| change.change == line.change)
        {
            Some(change) => {
                change.ended = Some(line.time);
                change.matched = line.matched;
                change.changed = line.changed;
                change.failed = line.failed;
                change.result = line.result;
            }
            // Its beginning is in an older file, or was torn.
            None => {
                let ended = Some(line.time.clone());
                self.open.push_back(Change {
                    ended,
                    ..line.into()
                });
            }
        }
    }

    fn line(&mut self) -> Result<Option<Line>, Unreadable> {
        loop {
            self.buffer.clear();
            self.number += 1;
            let length = (&mut self.lines)
                .take(LONGEST)
                .read_until(b'\n', &mut self.buffer)
                .map_err(|error| {
                    self.is_at_end = true;
                    self.unreadable(&error.to_string())
                })?;
            if length == 0 {
                return Ok(None);
            }
            let line = self.buffer.trim_ascii();
            if line.is_empty() {
                continue;
            }
            return match serde_json::from_slice(line) {
                Ok(line) => Ok(Some(line)),
                Err(_) if !self.buffer.ends_with(b"\n") => Err(self.unreadable("it is cut off")),
                Err(error) => Err(self.unreadable(&error.to_string())),
            };
        }
    }

    fn unreadable(&self, message: &str) -> Unreadable {
        Unreadable {
            line: self.number,
            message: message.to_owned(),
        }
    }
}

impl Filter {
    fn is_met_by(&self, change: &Change) -> bool {
        let is_recent = self.since.is_none_or(|since| {
            // A time that cannot be understood is shown rather than hidden.
            DateTime::parse_from_rfc3339(&change.time).map_or(true, |time| time >= since)
        });
        is_recent && self.who.as_ref().is_none_or(|who| *who == change.who)
    }
}

impl From<Line> for Change {
    fn from(line: Line) -> Self {
        Self {
            time: line.time,
            ended: None,
            change: line.change,
            who: line.who,
            from: line.from,
            role: line.role,
            action: line.action,
            details: line.details,
            matched: line.matched,
            changed: line.changed,
            failed: line.failed,
            result: line.result,
        }
    }
}

/// Which run of the daemon a change is of.
fn run(change: &str) -> &str {
    change.split('-').next().unwrap_or_default()
}

fn failure(path: &Path, error: &io::Error) -> Failure {
    let hint = if error.kind() == io::ErrorKind::NotFound {
        "the daemon makes it when it starts; --state names its folder"
    } else {
        "it is readable for root and for the daemon's user: run this with sudo"
    };
    Failure::new(
        "unreadable",
        format!("cannot read the audit log {}: {error}", path.display()),
        hint,
    )
}
