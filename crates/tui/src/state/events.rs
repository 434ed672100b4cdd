//! What happens to connections.

use std::collections::VecDeque;

use crate::event::Heard;
use crate::wire::{Fault, Happened};

/// How much is remembered.
pub const REMEMBERED: usize = 2000;

/// A line of what happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// Something happened to a connection.
    Happened(Box<Happened>),
    /// Some of it is not known; how many, if somebody counted.
    Missed(Option<u64>),
}

/// What happened, as far as it is remembered.
#[derive(Clone, Debug, Default)]
pub struct Events {
    /// The newest last.
    pub told: VecDeque<Told>,
    /// How many there were.
    pub count: u64,
    /// The one that keys are about, counted from the newest.
    pub at: usize,
    /// The first on the screen, counted from the newest.
    pub top: usize,
    /// Number of the stream that is listened to; none where nobody looks.
    pub stream: Option<u64>,
    /// Of which query it is.
    pub query: String,
    /// Why nothing is heard.
    pub fault: Option<Fault>,
    /// When to listen again.
    pub due_ms: Option<u64>,
}

impl Events {
    /// Takes what was heard. Who has gone back to older ones stays with them.
    pub(crate) fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Happened(all, more) => {
                self.fault = None;
                self.count += more + all.len() as u64;
                for happened in all {
                    self.push(Told::Happened(Box::new(happened)));
                }
                // They came when there was no room behind these.
                if more > 0 {
                    self.push(Told::Missed(Some(more)));
                }
            }
            Heard::Missed(many) => self.push(Told::Missed(many)),
            Heard::Ended(fault) => self.fault = Some(fault),
            Heard::Summary(_) => {}
        }
    }

    fn push(&mut self, told: Told) {
        self.told.push_back(told);
        if self.at > 0 {
            self.at += 1;
            self.top += 1;
        }
        if self.told.len() > REMEMBERED {
            self.told.pop_front();
        }
        let last = self.told.len().saturating_sub(1);
        self.at = self.at.min(last);
        self.top = self.top.min(last);
    }

    /// One of them, counted from the newest.
    pub fn nth(&self, place: usize) -> Option<&Told> {
        let place = self.told.len().checked_sub(place + 1)?;
        self.told.get(place)
    }

    /// Moves by so many.
    pub(crate) fn step(&mut self, by: isize, height: usize) {
        let height = height.max(1);
        let last = self.told.len().saturating_sub(1);
        self.at = self.at.saturating_add_signed(by).min(last);
        if self.at < self.top {
            self.top = self.at;
        } else if self.at >= self.top + height {
            self.top = self.at + 1 - height;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(many: usize) -> Heard {
        Heard::Happened(vec![Happened::default(); many], 0)
    }

    #[test]
    fn who_reads_older_ones_stays_with_them() {
        let mut events = Events::default();
        events.hear(new(10));
        assert_eq!(events.at, 0, "the newest");
        events.step(3, 5);
        events.hear(new(2));
        assert_eq!(events.at, 5);
        events.hear(new(2 * REMEMBERED));
        assert_eq!(events.told.len(), REMEMBERED);
        assert_eq!(events.at, REMEMBERED - 1);
    }

    #[test]
    fn what_is_not_known_has_a_line() {
        let mut events = Events::default();
        events.hear(Heard::Happened(vec![Happened::default()], 7));
        assert_eq!(events.nth(0), Some(&Told::Missed(Some(7))));
        assert_eq!(events.count, 8);
    }
}
