//! The table of connections.

use std::borrow::Cow;

use ratatui::buffer::Buffer;

use crate::cell::{Context, Look, cell};
use crate::column::cells;
use crate::format;
use crate::state::State;
use crate::state::pulse::Link;
use crate::wire::{Fault, Row};

use super::header::is_signed_out;
use super::paint::{cut_middle, put, put_right, wrap};
use super::theme::{self, style};

pub(super) fn draw(state: &State, buffer: &mut Buffer) {
    heading(state, buffer);
    match nothing(state) {
        Some((title, more)) => draw_words(state, buffer, &title, &more),
        None => rows(state, buffer),
    }
}

fn heading(state: &State, buffer: &mut Buffer) {
    let area = state.layout().heading;
    buffer.set_style(area, theme::heading(state.palette));
    for placed in state.placed() {
        let column = placed.column;
        let is_sorted = !column.sort.is_empty() && column.sort == state.view.sort;
        let is_down = column.is_number != state.view.reverse;
        let arrow = match (is_sorted, is_down) {
            (false, _) => "",
            (true, true) => "▼",
            (true, false) => "▲",
        };
        let title = format!("{}{arrow}", column.title);
        let look = match is_sorted {
            true => theme::heading(state.palette).patch(style(state.palette, Look::Strong)),
            false => theme::heading(state.palette),
        };
        let at = (placed.x, area.y);
        match column.is_number {
            true => put_right(buffer, at, placed.width, &title, look),
            false => {
                put(buffer, at, placed.width, &title, look);
            }
        }
    }
}

fn rows(state: &State, buffer: &mut Buffer) {
    let area = state.layout().body;
    let placed = state.placed();
    let table = &state.table;
    let since = state.now.ms.saturating_sub(table.came_ms) / 1000;
    let context = Context {
        now_ns: state.now.wall_ns,
        since: u32::try_from(since).unwrap_or(u32::MAX),
        names: state.view.names,
        truth: state.truth(),
    };
    for line in 0..area.height {
        let place = table.top + usize::from(line);
        let Some(row) = table.row(place) else {
            continue;
        };
        let y = area.y + line;
        let is_current = place == table.at;
        let is_marked = table.marks.contains_key(&row.name);
        if is_current {
            let line = ratatui::layout::Rect::new(area.x, y, area.width, 1);
            buffer.set_style(line, theme::selected(state.palette));
        }
        if is_marked {
            let look = style(state.palette, Look::Notice);
            put(buffer, (0, y), 1, "●", look);
        }
        draw_row(state, buffer, row, y, is_current, &placed, &context);
    }
}

fn draw_row(
    state: &State,
    buffer: &mut Buffer,
    row: &Row,
    y: u16,
    is_current: bool,
    placed: &[crate::column::Placed],
    context: &Context<'_>,
) {
    for placed in placed {
        let cell = cell(placed.column.id, row, context);
        let look = match is_current {
            true => theme::selected(state.palette),
            false => style(state.palette, cell.look),
        };
        let at = (placed.x, y);
        if placed.column.is_number {
            put_right(buffer, at, placed.width, &cell.text, look);
        } else {
            let text = match cell.keeps_end {
                true => cut_middle(&cell.text, placed.width),
                false => Cow::Borrowed(cell.text.as_str()),
            };
            put(buffer, at, placed.width, &text, look);
        }
    }
}

/// Why there are no rows to be seen, and what to do.
fn nothing(state: &State) -> Option<(String, String)> {
    let table = &state.table;
    if !table.rows.is_empty() {
        return None;
    }
    if let Some(fault) = &table.fault {
        return Some(words_of(fault, "The rows could not be read"));
    }
    if let Link::Broken(fault) = &state.pulse.link {
        return Some(words_of(fault, "The daemon does not answer"));
    }
    let Some(totals) = table.totals else {
        return Some(("Reading the table".to_owned(), String::new()));
    };
    if state.truth().taken_ns == 0 {
        return Some(("Reading the table".to_owned(), String::new()));
    }
    if totals.connections > 0 {
        return Some((
            "These connections have ended".to_owned(),
            "Press Home to go back to the top.".to_owned(),
        ));
    }
    let findings = state
        .health
        .report
        .iter()
        .flat_map(|report| &report.findings);
    let is_off = findings.into_iter().any(|one| one.code == "not-tracking");
    let known = state
        .pulse
        .summary
        .as_ref()
        .map_or(0, |all| all.connections);
    Some(match () {
        () if is_off && known == 0 => (
            "The kernel does not track connections".to_owned(),
            "It does so only once a rule of the firewall asks for it, such as one with “ct state” \
             or NAT. Press h for the command."
                .to_owned(),
        ),
        () if !state.view.query.is_empty() => (
            "No connection matches".to_owned(),
            format!(
                "The table has {} connections, but none of them is such. The first one that is \
                 will be shown here at once. Press / to change the query, Esc for all.",
                format::count(known)
            ),
        ),
        () => (
            "The table is empty".to_owned(),
            "No connection is tracked now. The first one will be shown here at once.".to_owned(),
        ),
    })
}

/// A failure as a heading and what to do.
pub(super) fn words_of(fault: &Fault, title: &str) -> (String, String) {
    if is_signed_out(&fault.code) {
        return (
            "You are signed out".to_owned(),
            "The daemon wants a token that holds. Make one with: tracklight token add NAME – and \
             give it with --token-file FILE or in TRACKLIGHT_TOKEN."
                .to_owned(),
        );
    }
    if fault.code == "permission-denied" {
        return (
            "The privilege is missing".to_owned(),
            crate::state::sentence(fault),
        );
    }
    let title = match fault.code.as_str() {
        "no-answer" => "The daemon does not answer",
        _ => title,
    };
    (title.to_owned(), crate::state::sentence(fault))
}

/// Words in the middle of where the rows would be.
pub(super) fn draw_words(state: &State, buffer: &mut Buffer, title: &str, more: &str) {
    let area = state.layout().body;
    let width = area.width.saturating_sub(4).min(72);
    let lines = wrap(more, width);
    let rows = u16::try_from(lines.len()).unwrap_or(0) + 2;
    let mut y = area.y + area.height.saturating_sub(rows) / 3;
    let middle = |text: &str| (area.width.saturating_sub(cells(text).min(width))) / 2;
    put(
        buffer,
        (middle(title), y),
        width,
        title,
        style(state.palette, Look::Strong),
    );
    y += 2;
    for line in lines {
        if y >= area.bottom() {
            break;
        }
        put(
            buffer,
            (middle(&line), y),
            width,
            &line,
            style(state.palette, Look::Quiet),
        );
        y += 1;
    }
}
