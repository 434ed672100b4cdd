//! What keys do.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::event::Effect;
use crate::state::chooser::Topic;
use crate::state::details::Details;
use crate::state::events::Told;
use crate::state::groups::{SORTS, both, term};
use crate::state::table::Table;
use crate::state::{Overlay, Screen, State};

use super::{back, deletion, drill, editing, overlays, restart, select, show};

/// A key was pressed.
pub(super) fn key(state: &mut State, key: KeyEvent, effects: &mut Vec<Effect>) {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        match key.code {
            KeyCode::Char('c') => return effects.push(Effect::Quit),
            KeyCode::Char('z') => return effects.push(Effect::Suspend),
            KeyCode::Char('l') => return effects.push(Effect::Repaint),
            _ => {}
        }
    }
    if state.overlay.is_some() {
        return overlays::key(state, key, effects);
    }
    if state.line.is_open {
        return editing::key(state, key);
    }
    if !everywhere(state, key, effects) {
        match state.screen {
            Screen::Connections => connections(state, key),
            Screen::Groups => groups(state, key),
            Screen::Events => events(state, key),
            Screen::Health => health(state, key),
        }
    }
}

/// Keys that do the same on every screen; whether it was one.
fn everywhere(state: &mut State, key: KeyEvent, effects: &mut Vec<Effect>) -> bool {
    match key.code {
        KeyCode::Char('q') | KeyCode::F(10) => effects.push(Effect::Quit),
        KeyCode::Char('/') => editing::open(state),
        KeyCode::Char('?') | KeyCode::F(1) => state.overlay = Some(Overlay::Help(0)),
        KeyCode::Char(' ') => freeze(state),
        KeyCode::Char('n') => name(state),
        KeyCode::Char('w') => state.overlay = Some(Overlay::Save(crate::saved::USUAL.to_owned())),
        KeyCode::Char('u') => deletion::undo(state, effects),
        KeyCode::Char('t') => show(state, Screen::Connections),
        KeyCode::Char('g') if state.screen == Screen::Groups => {
            overlays::choose(state, Topic::Fields);
        }
        KeyCode::Char('g') => show(state, Screen::Groups),
        KeyCode::Char('e') => show(state, Screen::Events),
        KeyCode::Char('h') => show(state, Screen::Health),
        KeyCode::Tab => turn(state, 1),
        KeyCode::BackTab => turn(state, 3),
        KeyCode::Esc | KeyCode::Backspace => leave(state),
        _ => return false,
    }
    true
}

/// Names instead of addresses, or addresses again.
pub(super) fn name(state: &mut State) {
    state.view.names = !state.view.names;
    state.table.widths.clear();
    super::measure(state);
    // Where none are known, nothing else would be seen of it.
    state.say(match state.view.names {
        true => "Names instead of addresses, where they are known",
        false => "Addresses, not names",
    });
}

fn freeze(state: &mut State) {
    state.is_frozen = !state.is_frozen;
    if !state.is_frozen {
        state.table.due_ms = 0;
        state.groups.due_ms = 0;
    }
}

fn turn(state: &mut State, by: usize) {
    let screens = crate::layout::SCREENS.map(|(screen, _)| screen);
    let place = screens.iter().position(|&screen| screen == state.screen);
    let next = (place.unwrap_or(0) + by) % screens.len();
    show(state, screens[next]);
}

/// Back to where one came from, else to the connections, else to all of them.
fn leave(state: &mut State) {
    if back(state) {
        return;
    }
    if state.screen != Screen::Connections {
        show(state, Screen::Connections);
    } else if !state.table.marks.is_empty() {
        state.table.marks.clear();
    } else {
        select(state, "");
    }
}

/// By how much a key moves, where it moves.
pub(super) fn step_of(key: KeyEvent, height: usize) -> Option<isize> {
    let page = height.max(2).cast_signed() - 1;
    Some(match key.code {
        KeyCode::Up | KeyCode::Char('k') => -1,
        KeyCode::Down | KeyCode::Char('j') => 1,
        KeyCode::PageUp => -page,
        KeyCode::PageDown => page,
        KeyCode::Home => -(isize::MAX / 4),
        KeyCode::End | KeyCode::Char('G') => isize::MAX / 4,
        _ => return None,
    })
}

fn connections(state: &mut State, key: KeyEvent) {
    let height = state.height();
    if let Some(by) = step_of(key, height) {
        let was_held = state.table.is_held();
        state.table.step(by, height);
        if was_held && !state.table.is_held() {
            // At the top it is live again.
            state.table.due_ms = 0;
        }
        return;
    }
    match key.code {
        KeyCode::Enter => {
            if let Some(row) = state.table.current().cloned() {
                let details = Details::new(row, state.now.ms);
                state.overlay = Some(Overlay::Details(Box::new(details)));
            }
        }
        KeyCode::Char('<' | ',') => sort_beside(state, -1),
        KeyCode::Char('>' | '.') => sort_beside(state, 1),
        KeyCode::Char('r') => {
            state.view.reverse = !state.view.reverse;
            restart(state);
        }
        KeyCode::Char('s') => overlays::choose(state, Topic::Sort),
        KeyCode::Char('c') => overlays::choose(state, Topic::Columns),
        KeyCode::Char('m') | KeyCode::Insert => mark(state, height),
        KeyCode::Char('M') => state.table.marks.clear(),
        KeyCode::Char('x') | KeyCode::Delete => deletion::ask_which(state),
        KeyCode::Left => state.table.shift = state.table.shift.saturating_sub(1),
        KeyCode::Right => {
            let last = Table::columns(&state.view.columns).len().saturating_sub(1);
            state.table.shift = (state.table.shift + 1).min(last);
        }
        _ => {}
    }
}

/// Marks the current connection, or not any more, and goes on to the next.
fn mark(state: &mut State, height: usize) {
    let Some(row) = state.table.current().cloned() else {
        return;
    };
    if state.table.marks.remove(&row.name).is_none() {
        state.table.marks.insert(row.name.clone(), row);
    }
    state.table.step(1, height);
}

/// Sorts by something; by the same again turns the order round.
pub(super) fn sort_by(state: &mut State, sort: &str) {
    if state.view.sort == sort {
        state.view.reverse = !state.view.reverse;
    } else {
        sort.clone_into(&mut state.view.sort);
        state.view.reverse = false;
    }
    restart(state);
}

/// Sorts by the column beside the present one.
fn sort_beside(state: &mut State, by: isize) {
    let columns = Table::columns(&state.view.columns);
    let sorts: Vec<&str> = columns
        .iter()
        .map(|column| column.sort)
        .filter(|sort| !sort.is_empty())
        .collect();
    if sorts.is_empty() {
        return;
    }
    let place = sorts.iter().position(|sort| *sort == state.view.sort);
    let next = match place {
        None => 0,
        Some(place) => (place + sorts.len()).saturating_add_signed(by) % sorts.len(),
    };
    sorts[next].clone_into(&mut state.view.sort);
    state.view.reverse = false;
    restart(state);
}

fn groups(state: &mut State, key: KeyEvent) {
    let height = state.height();
    if let Some(by) = step_of(key, height) {
        return state.groups.step(by, height);
    }
    match key.code {
        KeyCode::Enter => {
            if let Some(query) = current_group(state) {
                drill(state, &query);
            }
        }
        KeyCode::Char('x') | KeyCode::Delete => deletion::ask_group(state),
        KeyCode::Char('<' | ',') => sort_groups(state, SORTS.len() - 1),
        KeyCode::Char('>' | '.') => sort_groups(state, 1),
        KeyCode::Char('s') => overlays::choose(state, Topic::GroupSort),
        KeyCode::Char('r') => {
            state.view.group_reverse = !state.view.group_reverse;
            state.groups.restart();
            state.forget(crate::event::Kind::Groups);
        }
        _ => {}
    }
}

/// What selects the connections of the current group.
pub(super) fn current_group(state: &State) -> Option<String> {
    let group = state.groups.current()?;
    Some(both(&state.view.query, &term(&state.view.group_by, group)))
}

fn sort_groups(state: &mut State, by: usize) {
    let place = SORTS
        .iter()
        .position(|(name, _)| *name == state.view.group_sort);
    let next = (place.unwrap_or(0) + by) % SORTS.len();
    SORTS[next].0.clone_into(&mut state.view.group_sort);
    state.view.group_reverse = false;
    state.groups.restart();
    state.forget(crate::event::Kind::Groups);
}

fn events(state: &mut State, key: KeyEvent) {
    let height = state.height();
    if let Some(by) = step_of(key, height) {
        return state.events.step(by, height);
    }
    if key.code == KeyCode::Enter
        && let Some(Told::Happened(happened)) = state.events.nth(state.events.at)
    {
        let mut details = Details::new(happened.entry.clone(), state.now.ms);
        details.is_over = happened.event == "destroy";
        state.overlay = Some(Overlay::Details(Box::new(details)));
    }
}

fn health(state: &mut State, key: KeyEvent) {
    let height = state.height();
    if let Some(by) = step_of(key, height) {
        scroll_health(state, by, height);
    }
}

/// Moves the findings by so many lines.
pub(super) fn scroll_health(state: &mut State, by: isize, height: usize) {
    let last = crate::view::health::lines(state).len();
    let top = state.health.top.saturating_add_signed(by);
    state.health.top = top.min(last.saturating_sub(height));
}
