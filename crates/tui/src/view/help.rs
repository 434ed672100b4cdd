//! What the keys do.

use ratatui::buffer::Buffer;

use crate::cell::Look;
use crate::layout::centred;
use crate::state::State;

use super::paint::{put, window};
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

/// All lines, of which a part is on the screen.
pub fn lines() -> Vec<(&'static str, &'static str)> {
    KEYS.to_vec()
}

pub(super) fn draw(state: &State, top: usize, buffer: &mut Buffer) {
    let lines = lines();
    let wanted = u16::try_from(lines.len()).unwrap_or(u16::MAX) + 2;
    let rect = centred(state.size, 78, wanted);
    let palette = state.palette;
    let inside = window(
        buffer,
        rect,
        "Keys",
        "Esc closes · ↑↓ scroll",
        style(palette, Look::Protocol),
    );
    let rows = usize::from(inside.height);
    let width = match inside.width {
        0..=59 => 11,
        _ => 20,
    };
    for (row, (key, what)) in lines.iter().skip(top).take(rows).enumerate() {
        let y = inside.y + u16::try_from(row).unwrap_or(0);
        if key.is_empty() {
            put(
                buffer,
                (inside.x + 1, y),
                inside.width - 2,
                what,
                style(palette, Look::Strong),
            );
            continue;
        }
        put(
            buffer,
            (inside.x + 2, y),
            width,
            key,
            style(palette, Look::Name),
        );
        let x = inside.x + 2 + width + 1;
        put(
            buffer,
            (x, y),
            inside.right().saturating_sub(x + 1),
            what,
            style(palette, Look::Plain),
        );
    }
}
