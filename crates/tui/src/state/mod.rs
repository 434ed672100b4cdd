//! All that the screen knows. Only [`update`](crate::update) changes it.

pub mod chooser;
pub mod deletion;
pub mod details;
pub mod events;
pub mod groups;
pub mod line;
pub mod pulse;
pub mod table;
pub mod tally;

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::event::{Effect, Kind, Now};
use crate::saved::View;
use crate::transport::Request;
use crate::wire;
use chooser::Chooser;
use deletion::Deleting;
use details::Details;
use events::Events;
use groups::Groups;
use line::Line;
use pulse::Pulse;
use table::Table;
use tally::Tally;

/// What fills the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Screen {
    /// Connections.
    #[default]
    Connections,
    /// Groups.
    Groups,
    /// What happens.
    Events,
    /// Findings.
    Health,
}

/// What lies over it.
#[derive(Clone, Debug)]
pub enum Overlay {
    /// The keys; how many lines are scrolled away.
    Help(usize),
    /// One connection.
    Details(Box<Details>),
    /// Columns, an order, fields.
    Chooser(Chooser),
    /// Deleting.
    Deletion(Box<Deleting>),
    /// Saving the view: under which name.
    Save(String),
}

/// A line that is shown for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What it says.
    pub text: String,
    /// Whether something failed.
    pub is_bad: bool,
    /// Until when.
    pub until_ms: u64,
}

/// Where to go back to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What filled the screen.
    pub screen: Screen,
    /// What was selected.
    pub query: String,
}

/// A deletion that can be undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undo {
    /// Names it.
    pub id: String,
    /// How many were deleted.
    pub done: u64,
    /// Until when, nanoseconds since the epoch.
    pub until_ns: u64,
}

/// All that the screen knows.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Columns and rows of the terminal.
    pub size: (u16, u16),
    /// How many colours there are.
    pub palette: crate::view::theme::Palette,
    /// The time.
    pub now: Now,
    /// In whose time moments are told.
    pub clock: crate::format::Clock,
    /// Whose table it is.
    pub place: String,
    /// Where views are kept.
    pub folder: Option<PathBuf>,
    /// What can be kept in a file.
    pub view: View,
    /// What fills the screen.
    pub screen: Screen,
    /// What lies over it.
    pub overlay: Option<Overlay>,
    /// The table in numbers.
    pub pulse: Pulse,
    /// The connections.
    pub table: Table,
    /// The query line.
    pub line: Line,
    /// The groups.
    pub groups: Groups,
    /// What happens.
    pub events: Events,
    /// Findings.
    pub health: Health,
    /// What can be sorted and grouped by.
    pub fields: wire::Fields,
    /// Who asks.
    pub you: Option<wire::You>,
    /// When to ask again for what is asked once, where it failed.
    pub once_due_ms: u64,
    /// Whether everything stands still.
    pub is_frozen: bool,
    /// A line that is shown for a while.
    pub message: Option<Message>,
    /// The line of the last click on a row, and when it was.
    pub clicked: Option<(usize, u64)>,
    /// Where to go back to.
    pub trail: Vec<Step>,
    /// What can be undone.
    pub undo: Option<Undo>,
    /// How often what is shown was made anew.
    pub tally: Tally,
    asked: BTreeMap<Kind, u64>,
    number: u64,
}

/// Findings, as they were asked for last.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// What was found.
    pub report: Option<wire::Health>,
    /// Why it could not be asked.
    pub fault: Option<wire::Fault>,
    /// How many lines are scrolled away.
    pub top: usize,
    /// When to ask again.
    pub due_ms: u64,
}

/// For how long a message is shown.
const SHOWN_MS: u64 = 6000;

impl State {
    /// As it is before anything is known.
    pub fn new(size: (u16, u16), place: String, folder: Option<PathBuf>, view: View) -> Self {
        Self {
            size,
            place,
            folder,
            screen: view.screen.unwrap_or_default(),
            view,
            ..Self::default()
        }
    }

    /// A number that was never given before.
    pub(crate) fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// A request; an answer to an earlier one of the kind does not count any more.
    pub(crate) fn ask(&mut self, kind: Kind, request: Request) -> Effect {
        let number = self.next_number();
        self.asked.insert(kind, number);
        Effect::Ask {
            number,
            kind,
            request,
        }
    }

    /// Whether an answer of a kind is waited for.
    pub fn is_asked(&self, kind: Kind) -> bool {
        self.asked.contains_key(&kind)
    }

    /// Whether an answer is the one that is waited for, which it then is no more.
    pub(crate) fn takes(&mut self, kind: Kind, number: u64) -> bool {
        let is_it = self.asked.get(&kind) == Some(&number);
        if is_it {
            self.asked.remove(&kind);
        }
        is_it
    }

    /// No answer of a kind counts any more.
    pub(crate) fn forget(&mut self, kind: Kind) {
        self.asked.remove(&kind);
    }

    /// Says something for a while.
    pub(crate) fn say(&mut self, text: impl Into<String>) {
        self.message = Some(Message {
            text: text.into(),
            is_bad: false,
            until_ms: self.now.ms + SHOWN_MS,
        });
    }

    /// Says what failed, and what to do.
    pub(crate) fn complain(&mut self, fault: &wire::Fault) {
        self.message = Some(Message {
            text: sentence(fault),
            is_bad: true,
            until_ms: self.now.ms + 2 * SHOWN_MS,
        });
    }

    /// Whether who asks may change something; true as long as nobody knows.
    pub fn may_change(&self) -> bool {
        self.you.as_ref().is_none_or(|you| you.role != "viewer")
    }

    /// What the kernel has switched off, and how far rows can be believed.
    pub fn truth(&self) -> &wire::Truth {
        self.table.truth.as_ref().unwrap_or(&self.pulse.truth)
    }
}

/// What happened and what to do about it, in one line.
pub fn sentence(fault: &wire::Fault) -> String {
    match fault.hint.is_empty() {
        true => fault.message.clone(),
        false => format!("{} – {}", fault.message, fault.hint),
    }
}
