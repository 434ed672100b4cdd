//! The last line: what keys do, or what has just happened.

use ratatui::buffer::Buffer;
use ratatui::layout::Position;

use crate::cell::Look;
use crate::column::cells;
use crate::layout::centred;
use crate::saved;
use crate::state::{Overlay, Screen, State, sentence};

use super::paint::{put, window};
use super::theme::{self, style};

/// Keys and what they do, the most needed first.
type Keys = &'static [(&'static str, &'static str)];

const CONNECTIONS: Keys = &[
    ("/", "query"),
    ("Enter", "details"),
    ("s", "sort"),
    ("g", "groups"),
    ("x", "delete"),
    ("?", "help"),
    ("q", "quit"),
    ("Space", "freeze"),
    ("c", "columns"),
    ("m", "mark"),
    ("n", "names"),
    ("e", "events"),
    ("h", "health"),
    ("w", "save view"),
    ("u", "undo"),
];
const GROUPS: Keys = &[
    ("Enter", "its connections"),
    ("g", "fields"),
    ("s", "sort"),
    ("/", "query"),
    ("x", "delete"),
    ("t", "connections"),
    ("?", "help"),
    ("q", "quit"),
    ("r", "reverse"),
];
const EVENTS: Keys = &[
    ("/", "query"),
    ("Space", "freeze"),
    ("Enter", "details"),
    ("t", "connections"),
    ("?", "help"),
    ("q", "quit"),
];
const HEALTH: Keys = &[
    ("↑↓", "scroll"),
    ("t", "connections"),
    ("?", "help"),
    ("q", "quit"),
];
const DETAILS: Keys = &[
    ("Esc", "back"),
    ("x", "delete"),
    ("n", "names"),
    ("↑↓", "scroll"),
];
const LINE: Keys = &[
    ("Enter", "show"),
    ("Tab", "go on"),
    ("↓", "choose"),
    ("Esc", "leave it"),
    ("Ctrl-P", "earlier ones"),
];

pub(super) fn draw(state: &State, buffer: &mut Buffer) {
    let area = state.layout().footer;
    let palette = state.palette;
    if let Some(message) = &state.message {
        let look = if message.is_bad {
            Look::Bad
        } else {
            Look::Good
        };
        put(
            buffer,
            (1, area.y),
            area.width - 2,
            &message.text,
            style(palette, look),
        );
        return;
    }
    // Rows that are there are old where newer ones failed.
    let fault = match state.screen {
        Screen::Connections => state
            .table
            .fault
            .as_ref()
            .filter(|_| !state.table.rows.is_empty()),
        Screen::Groups => state
            .groups
            .fault
            .as_ref()
            .filter(|_| state.groups.told.is_some()),
        Screen::Events | Screen::Health => None,
    };
    if let Some(fault) = fault {
        let text = format!("What you see is as it was: {}", sentence(fault));
        put(
            buffer,
            (1, area.y),
            area.width - 2,
            &text,
            style(palette, Look::Bad),
        );
        return;
    }
    let keys = match (&state.overlay, state.screen) {
        (Some(Overlay::Details(_)), _) => DETAILS,
        _ if state.line.is_open => LINE,
        (_, Screen::Connections) => CONNECTIONS,
        (_, Screen::Groups) => GROUPS,
        (_, Screen::Events) => EVENTS,
        (_, Screen::Health) => HEALTH,
    };
    let mut x = 1;
    for (key, what) in keys {
        if x + cells(key) + cells(what) + 2 > area.width {
            break;
        }
        x = put(
            buffer,
            (x, area.y),
            area.width - x,
            key,
            style(palette, Look::Strong),
        );
        x = put(
            buffer,
            (x + 1, area.y),
            area.width - x - 1,
            what,
            style(palette, Look::Quiet),
        );
        x += 2;
    }
}

/// The question under which name the view is saved.
pub(super) fn draw_save(state: &State, name: &str, buffer: &mut Buffer) {
    let rect = centred(state.size, 72, 5);
    let keys = "Enter saves it · Esc leaves it";
    let border = style(state.palette, Look::Protocol);
    let inside = window(buffer, rect, "Save this view", keys, border);
    let text = format!("Name: {name}");
    put(
        buffer,
        (inside.x + 1, inside.y),
        inside.width - 2,
        &text,
        theme::plain(),
    );
    let path = saved::path_of(state.folder.as_deref(), name);
    let path = format!("as {}", path.display());
    let quiet = style(state.palette, Look::Quiet);
    put(
        buffer,
        (inside.x + 1, inside.y + 1),
        inside.width - 2,
        &path,
        quiet,
    );
    let text = match name {
        saved::USUAL => "It is shown at the next start.".to_owned(),
        _ => format!("Shown again with: tracklight top --view {name}"),
    };
    put(
        buffer,
        (inside.x + 1, inside.y + 2),
        inside.width - 2,
        &text,
        quiet,
    );
}

/// Where the cursor is, while a name is typed.
pub(super) fn cursor(state: &State) -> Option<Position> {
    let Some(Overlay::Save(name)) = &state.overlay else {
        return None;
    };
    let rect = centred(state.size, 72, 5);
    let x = rect.x + 2 + cells("Name: ") + cells(name);
    Some(Position::new(
        x.min(rect.right().saturating_sub(2)),
        rect.y + 1,
    ))
}
