//! One connection.

use crate::wire::{Fault, Known, Row};

/// One connection, and what is known of it.
#[derive(Clone, Debug)]
pub struct Details {
    /// As it was last seen.
    pub row: Row,
    /// All that is known of it; nothing before the first answer.
    pub known: Option<Known>,
    /// Why nothing newer is known.
    pub fault: Option<Fault>,
    /// Whether it has ended.
    pub is_over: bool,
    /// How many lines are scrolled away.
    pub top: usize,
    /// When it was seen last.
    pub came_ms: u64,
    /// When to ask again.
    pub due_ms: u64,
}

impl Details {
    /// Of a connection.
    pub const fn new(row: Row, now_ms: u64) -> Self {
        Self {
            row,
            known: None,
            fault: None,
            is_over: false,
            top: 0,
            came_ms: now_ms,
            due_ms: 0,
        }
    }

    /// Takes what was answered.
    pub(crate) fn take(&mut self, known: Result<Known, Fault>, now_ms: u64) {
        match known {
            Ok(known) => {
                self.row = known.connection.clone();
                self.known = Some(known);
                self.fault = None;
                self.came_ms = now_ms;
            }
            Err(fault) if fault.code == "not-found" => self.is_over = true,
            Err(fault) => self.fault = Some(fault),
        }
    }
}
