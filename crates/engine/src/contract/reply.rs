//! An answer of the contract, before it goes anywhere.

use std::io::{self, Write};
use std::time::SystemTime;

use super::connection::{Connections, Row};
use super::fault::{Fault, Kind};
use super::states::Protocols;
use super::stats::Stats;
use crate::marks::Marks;
use crate::netdata::Sample;

/// Who answered `stats`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// A local Netdata.
    Netdata,
    /// What the daemon recorded.
    History,
}

impl Source {
    /// The word for it in a header or a log line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Netdata => "netdata",
            Self::History => "history",
        }
    }
}

/// The answer to a call: one JSON object, and what the transport has to know of it.
#[derive(Debug)]
pub struct Reply {
    body: Body,
    kind: Option<Kind>,
    source: Option<Source>,
    notes: Vec<String>,
    changed: Option<Changed>,
}

/// How many entries a delete was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Selected; of a flush, how many the kernel counted before.
    pub matched: u64,
    /// Deleted; of a flush, which the kernel does not count, how many there are less than before.
    pub done: u64,
    /// Refused by the kernel.
    pub refused: u64,
}

#[derive(Debug)]
enum Body {
    /// A delete that did it.
    Success,
    Failure(Fault, SystemTime),
    Protocols,
    Stats(Vec<Sample>),
    /// Kept as compact rows: as text a million connections are 600 MB.
    Connections {
        rows: Vec<Row>,
        marks: Marks,
        now: SystemTime,
    },
}

impl Reply {
    pub(super) const fn success() -> Self {
        Self::of(Body::Success)
    }

    pub(super) const fn protocols() -> Self {
        Self::of(Body::Protocols)
    }

    pub(super) const fn stats(samples: Vec<Sample>, source: Source) -> Self {
        let mut reply = Self::of(Body::Stats(samples));
        reply.source = Some(source);
        reply
    }

    pub(super) fn connections(rows: Vec<Row>, marks: Marks) -> Self {
        Self::of(Body::Connections {
            rows,
            marks,
            now: SystemTime::now(),
        })
    }

    const fn of(body: Body) -> Self {
        Self {
            body,
            kind: None,
            source: None,
            notes: Vec::new(),
            changed: None,
        }
    }

    pub(super) const fn with_changed(mut self, changed: Changed) -> Self {
        self.changed = Some(changed);
        self
    }

    pub(super) fn with_note(mut self, note: String) -> Self {
        self.notes.push(note);
        self
    }

    /// Whether the call succeeded: exit status 0.
    pub const fn is_ok(&self) -> bool {
        self.kind.is_none()
    }

    /// What kind of failure it is; `None` for a success.
    pub const fn kind(&self) -> Option<Kind> {
        self.kind
    }

    /// The HTTP status that fits.
    pub const fn http_status(&self) -> u16 {
        match self.kind {
            Some(kind) => kind.http_status(),
            None => 200,
        }
    }

    /// How many connections are listed.
    pub const fn listed(&self) -> usize {
        match &self.body {
            Body::Connections { rows, .. } => rows.len(),
            _ => 0,
        }
    }

    /// Who answered `stats`; `None` for anything else.
    pub const fn source(&self) -> Option<Source> {
        self.source
    }

    /// How many entries a delete was about; `None` where it did not come to that.
    pub const fn changed(&self) -> Option<Changed> {
        self.changed
    }

    /// What is to be told beside the body: on standard error, or in a log.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Writes the body: one JSON object, without a newline, in many small writes.
    pub fn write_to(&self, writer: &mut impl Write) -> io::Result<()> {
        match &self.body {
            Body::Success => writer.write_all(br#"{"state":"success"}"#)?,
            Body::Failure(fault, at) => serde_json::to_writer(writer, &fault.body(*at))?,
            Body::Protocols => serde_json::to_writer(writer, &Protocols::DOCUMENT)?,
            Body::Stats(samples) => serde_json::to_writer(writer, &Stats::new(samples))?,
            Body::Connections { rows, marks, now } => {
                serde_json::to_writer(writer, &Connections::new(rows, marks, *now))?;
            }
        }
        Ok(())
    }
}

impl From<Fault> for Reply {
    fn from(fault: Fault) -> Self {
        let kind = fault.kind;
        let mut reply = Self::of(Body::Failure(fault, SystemTime::now()));
        reply.kind = Some(kind);
        reply
    }
}

impl From<Result<Self, Fault>> for Reply {
    fn from(result: Result<Self, Fault>) -> Self {
        result.unwrap_or_else(Self::from)
    }
}
