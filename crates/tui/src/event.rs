//! What happens to the screen, and what it wants done.

use std::path::PathBuf;

use crossterm::event::{KeyEvent, MouseEvent};

use crate::transport::Request;
use crate::wire;

/// Something that happens. All that changes the state comes as one of these.
#[derive(Clone, Debug)]
pub enum Event {
    /// A key was pressed.
    Key(KeyEvent),
    /// The mouse did something.
    Mouse(MouseEvent),
    /// A text was pasted.
    Paste(String),
    /// The terminal has another size.
    Resize(u16, u16),
    /// Time has passed.
    Tick(Now),
    /// A request was answered.
    Answer(Box<Answer>),
    /// A stream told something.
    Heard(u64, Heard),
    /// A file was written, or not.
    Saved(Result<PathBuf, String>),
    /// Somebody wants it suspended.
    Stopped,
    /// The screen is back after it was suspended.
    Resumed,
    /// The terminal is gone, or somebody wants an end.
    Ended,
}

/// The time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Nanoseconds since the epoch.
    pub wall_ns: u64,
    /// Milliseconds since the start.
    pub ms: u64,
}

/// What a request is for. Of each there is at most one whose answer counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A page of connections.
    Page,
    /// Groups.
    Groups,
    /// One connection.
    Known,
    /// Findings.
    Health,
    /// Who asks, what troubles there are.
    Status,
    /// What can be sorted and grouped by.
    Fields,
    /// Whether a text is a query.
    Check,
    /// What can follow.
    Complete,
    /// A deletion: made, confirmed, undone.
    Deletion,
}

/// What was answered.
#[derive(Clone, Debug)]
pub enum Reply {
    /// To [`Kind::Page`].
    Page(wire::Page),
    /// To [`Kind::Groups`].
    Groups(Box<wire::Groups>),
    /// To [`Kind::Known`].
    Known(Box<wire::Known>),
    /// To [`Kind::Health`].
    Health(wire::Health),
    /// To [`Kind::Status`].
    Status(wire::Status),
    /// To [`Kind::Fields`].
    Fields(wire::Fields),
    /// To [`Kind::Check`].
    Check(wire::Checked),
    /// To [`Kind::Complete`].
    Complete(wire::Completion),
    /// To [`Kind::Deletion`].
    Deletion(Box<wire::Deletion>),
}

/// An answer to a request.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The request's number.
    pub number: u64,
    /// What it was for.
    pub kind: Kind,
    /// Milliseconds that it took.
    pub took_ms: u64,
    /// What was answered.
    pub reply: Result<Reply, wire::Fault>,
}

/// What a stream tells.
#[derive(Clone, Debug)]
pub enum Heard {
    /// The table in numbers.
    Summary(Box<wire::Summary>),
    /// What happened to connections; to how many more something did afterwards, which are not here.
    Happened(Vec<wire::Happened>, u64),
    /// Some of what happened is not known; how many, if somebody counted.
    Missed(Option<u64>),
    /// It ended.
    Ended(wire::Fault),
}

/// A stream of the API's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stream {
    /// The table in numbers, each second.
    Pulse,
    /// What happens to connections.
    Events,
}

/// What is to be done outside of the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Ask; [`Event::Answer`] brings what was answered.
    Ask {
        /// By which the answer is known.
        number: u64,
        /// What it is for.
        kind: Kind,
        /// The request.
        request: Request,
    },
    /// Ask, and forget what is answered.
    Tell(Request),
    /// Listen to a stream instead of the one before; [`Event::Heard`] brings what it tells.
    Listen {
        /// By which it is known.
        number: u64,
        /// Which.
        stream: Stream,
        /// The request.
        request: Request,
    },
    /// Listen no longer.
    Unlisten(Stream),
    /// Write a file; [`Event::Saved`] says what came of it.
    Save {
        /// Where.
        path: PathBuf,
        /// What.
        text: String,
    },
    /// Draw everything anew.
    Repaint,
    /// Give the terminal back to the shell until it wants us again.
    Suspend,
    /// End.
    Quit,
}
