//! What the keys do.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::cell::Look;
use crate::layout::centred;
use crate::state::State;

use super::paint::{put, window, wrap};
use super::theme::style;

/// Keys and what they do; a heading has no key.
const KEYS: &[(&str, &str)] = &[
    ("", "Everywhere"),
    (
        "/",
        "query line: Enter shows it, Tab goes on, Ctrl-P recalls",
    ),
    ("t  g  e  h", "connections, groups, events, health"),
    ("Tab", "next screen"),
    ("Space", "freeze, or go on"),
    ("n", "names instead of addresses"),
    ("u", "undo the last deletion, for five minutes"),
    ("w", "save this view in a file"),
    ("Esc", "back; on the first screen: all connections"),
    ("Ctrl-Z  Ctrl-L", "to the shell and back (fg); draw anew"),
    ("q  Ctrl-C", "end"),
    ("", "Connections"),
    (
        "↑ ↓  j k  PgUp PgDn",
        "go through the rows; at the top they are live",
    ),
    ("Home  End", "first, last"),
    ("← →", "columns that do not fit"),
    ("Enter", "all that is known of it"),
    ("<  >", "sort by the column to the left, to the right"),
    ("s  r", "sort by anything; turn the order round"),
    ("c", "choose and move columns"),
    ("m  Insert", "mark, or not any more; M: no marks"),
    ("x  Delete", "delete this one, the marked, all that match"),
    ("", "Groups"),
    ("g", "choose what to group by, up to four"),
    ("Enter", "the connections of the group; Esc comes back"),
    ("s  <  >  r", "sort; turn the order round"),
    ("x", "delete the connections of the group"),
    ("", "Mouse"),
    ("click", "choose a row, again: open it; a heading sorts"),
    ("wheel", "scroll. Shift-click selects text, as without us"),
];

/// Cells of a key.
const KEY: u16 = 20;

/// Where it stands on a screen.
fn rect(size: (u16, u16)) -> Rect {
    let width = 78;
    let inner = centred(size, width, u16::MAX).width;
    let many = u16::try_from(lines_of(inner).len()).unwrap_or(u16::MAX);
    centred(size, width, many.saturating_add(2))
}

/// All lines in a window of so many cells: keys and what they do.
fn lines_of(width: u16) -> Vec<(&'static str, String)> {
    let room = width.saturating_sub(KEY + 6);
    let mut lines = Vec::new();
    for (key, what) in KEYS {
        for (place, line) in wrap(what, room).into_iter().enumerate() {
            let key = match (place, *key) {
                (0, key) => key,
                (_, _) => " ",
            };
            lines.push((key, line));
        }
    }
    lines
}

/// How far it can be scrolled on a screen.
pub fn last(size: (u16, u16)) -> usize {
    let rect = rect(size);
    let rows = usize::from(rect.height.saturating_sub(2));
    lines_of(rect.width).len().saturating_sub(rows)
}

/// How many lines there is room for.
pub fn rows(size: (u16, u16)) -> usize {
    usize::from(rect(size).height.saturating_sub(2))
}

pub(super) fn draw(state: &State, top: usize, buffer: &mut Buffer) {
    let rect = rect(state.size);
    let lines = lines_of(rect.width);
    let palette = state.palette;
    let inside = window(
        buffer,
        rect,
        "Keys",
        "Esc closes · ↑↓ scroll",
        style(palette, Look::Protocol),
    );
    let top = top.min(last(state.size));
    for ((key, what), y) in lines.iter().skip(top).zip(inside.top()..inside.bottom()) {
        if key.is_empty() {
            put(
                buffer,
                (inside.x + 1, y),
                inside.width.saturating_sub(2),
                what,
                style(palette, Look::Strong),
            );
            continue;
        }
        put(
            buffer,
            (inside.x + 2, y),
            KEY,
            key,
            style(palette, Look::Name),
        );
        let x = inside.x + 2 + KEY + 1;
        put(
            buffer,
            (x, y),
            inside.right().saturating_sub(x + 1),
            what,
            style(palette, Look::Plain),
        );
    }
}
