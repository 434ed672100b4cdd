//! What the mouse does.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::Position;

use crate::event::Effect;
use crate::layout;
use crate::state::details::Details;
use crate::state::{Overlay, Screen, State};

use super::keys::{scroll_health, sort_by};
use super::{editing, overlays, show};

/// Rows that the wheel moves by.
const WHEEL: isize = 3;

/// The mouse did something.
pub(super) fn mouse(state: &mut State, mouse: MouseEvent, effects: &mut Vec<Effect>) {
    match mouse.kind {
        MouseEventKind::ScrollDown => wheel(state, WHEEL, effects),
        MouseEventKind::ScrollUp => wheel(state, -WHEEL, effects),
        MouseEventKind::Down(MouseButton::Left) => {
            click(state, Position::new(mouse.column, mouse.row));
        }
        _ => {}
    }
}

fn wheel(state: &mut State, by: isize, effects: &mut Vec<Effect>) {
    if state.overlay.is_some() {
        use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
        let code = if by > 0 { KeyCode::Down } else { KeyCode::Up };
        return overlays::key(state, KeyEvent::new(code, KeyModifiers::NONE), effects);
    }
    let height = state.height();
    match state.screen {
        Screen::Connections => {
            let was_held = state.table.is_held();
            state.table.scroll(by, height);
            if was_held && !state.table.is_held() {
                state.table.due_ms = 0;
            }
        }
        Screen::Groups => state.groups.step(by, height),
        Screen::Events => state.events.step(by, height),
        Screen::Health => scroll_health(state, by, height),
    }
}

fn click(state: &mut State, at: Position) {
    let parts = state.layout();
    match &mut state.overlay {
        Some(Overlay::Chooser(chooser)) => {
            let rect = layout::chooser(state.size, chooser);
            let first = crate::view::chooser::first(chooser, rect.height);
            let row = at.y.checked_sub(rect.y + 1).map(usize::from);
            let is_inside = rect.contains(at) && at.y + 2 < rect.bottom();
            if let (true, Some(row)) = (is_inside, row)
                && first + row < chooser.shown().len()
            {
                let was_there = chooser.at == first + row;
                chooser.at = first + row;
                if chooser.is_many() {
                    chooser.toggle(usize::MAX);
                } else if was_there {
                    overlays::accept(state);
                }
            }
            return;
        }
        Some(Overlay::Help(_)) => {
            state.overlay = None;
            return;
        }
        Some(_) => return,
        None => {}
    }
    if at.y == parts.header.y {
        let tabs = layout::tabs();
        let hit = tabs
            .iter()
            .find(|(_, _, x, width)| (*x..*x + *width).contains(&at.x));
        if let Some((screen, ..)) = hit {
            show(state, *screen);
        }
    } else if parts.line.contains(at) {
        if !state.line.is_open {
            editing::open(state);
        }
    } else if state.line.is_open {
        state.line.close();
    } else if state.screen == Screen::Connections && parts.heading.contains(at) {
        let placed = state.placed();
        let hit = placed
            .iter()
            .find(|placed| (placed.x..placed.x + placed.width).contains(&at.x));
        if let Some(sort) = hit.map(|placed| placed.column.sort)
            && !sort.is_empty()
        {
            sort_by(state, sort);
        }
    } else if parts.body.contains(at) {
        row(state, usize::from(at.y - parts.body.y));
    }
}

/// Milliseconds between two clicks that belong together.
const TWICE_MS: u64 = 600;

/// A click on a row chooses it; another one opens it.
fn row(state: &mut State, line: usize) {
    let height = state.height();
    let clicked = state.clicked.replace((line, state.now.ms));
    let is_second = clicked.is_some_and(|(before, when)| {
        before == line && state.now.ms.saturating_sub(when) <= TWICE_MS
    });
    let is_second = is_second && state.table.name.is_some();
    match state.screen {
        Screen::Connections => {
            let place = state.table.top + line;
            // Rows move: of two clicks at one place, the first says which is meant.
            let meant = is_second.then(|| state.table.current()).flatten();
            let Some(row) = meant.or_else(|| state.table.row(place)).cloned() else {
                return;
            };
            if state.table.name.as_ref() == Some(&row.name) {
                let details = Details::new(row, state.now.ms);
                state.overlay = Some(Overlay::Details(Box::new(details)));
            } else {
                state.table.go(place, height);
            }
        }
        Screen::Groups => {
            let place = state.groups.top + line;
            if line >= state.groups.lines(height) || place >= state.groups.all().len() {
                return;
            }
            if state.groups.at == place && state.groups.is_chosen {
                if let Some(query) = super::keys::current_group(state) {
                    super::drill(state, &query);
                }
            } else {
                state.groups.is_chosen = true;
                state.groups.go(place, height);
            }
        }
        Screen::Events => {
            let place = state.events.top + line;
            if place < state.events.told.len() {
                state.events.at = place;
            }
        }
        Screen::Health => {}
    }
}
