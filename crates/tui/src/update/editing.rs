//! Typing into the query line.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::state::{Overlay, State};
use crate::wire::Fault;

use super::select;

/// A text was pasted.
pub(super) fn paste(state: &mut State, text: &str) {
    let printable = || text.chars().filter(|c| !c.is_control());
    match &mut state.overlay {
        Some(Overlay::Save(name)) => name.extend(printable()),
        Some(Overlay::Chooser(chooser)) => {
            chooser.filter.extend(printable());
            chooser.at = 0;
        }
        Some(_) => {}
        // Lines of a query are parted as words are.
        None if state.line.is_open => {
            let text = text.trim_end_matches(['\n', '\r']);
            state.line.insert(&text.replace(['\n', '\r', '\t'], " "));
        }
        None => {}
    }
}

/// Opens the line with the present query.
pub(super) fn open(state: &mut State) {
    let query = state.view.query.clone();
    state.line.open(&query);
}

/// Takes the text as the query. Whether it is one need not be known yet: [`reopen`] comes back to it if not, so that
/// keys behind Enter are not part of it.
fn apply(state: &mut State) {
    let is_checked = state.line.checked.as_ref() == Some(&state.line.text);
    if is_checked && state.line.fault.is_some() {
        // It is shown in its place.
        state.line.is_insisted = true;
        return;
    }
    let text = state.line.text.trim().to_owned();
    let before = state.view.query.clone();
    state.line.before = (!is_checked && before != text).then_some(before);
    state.line.remember(&text);
    state.line.close();
    select(state, &text);
}

/// Opens the line again with a text that turned out to be no query; whether it was one that was just taken.
pub(super) fn reopen(state: &mut State, fault: &Fault) -> bool {
    if !fault.code.starts_with("query-") {
        state.line.before = None;
        return false;
    }
    let Some(before) = state.line.before.take() else {
        return false;
    };
    let text = state.view.query.clone();
    select(state, &before);
    state.line.open(&text);
    state.line.checked = Some(text);
    state.line.fault = Some(fault.clone());
    true
}

/// A key while the line is open.
pub(super) fn key(state: &mut State, key: KeyEvent) {
    let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
    let line = &mut state.line;
    let end = line.text.chars().count();
    match key.code {
        KeyCode::Esc if line.chosen.is_some() => line.chosen = None,
        KeyCode::Esc => line.close(),
        KeyCode::Enter if line.chosen.is_some() => {
            line.accept();
        }
        KeyCode::Enter => apply(state),
        KeyCode::Tab => {
            if !line.accept() {
                line.choose(1);
            }
        }
        KeyCode::BackTab | KeyCode::Up => move_up(state),
        KeyCode::Down => line.choose(1),
        KeyCode::Char('p') if is_control => line.recall(-1),
        KeyCode::Char('n') if is_control => line.recall(1),
        KeyCode::Char('a') if is_control => line.cursor = 0,
        KeyCode::Char('e') if is_control => line.cursor = end,
        KeyCode::Char('u') if is_control => line.cut(0, line.cursor),
        KeyCode::Char('k') if is_control => line.cut(line.cursor, end),
        KeyCode::Char('w') if is_control => {
            let from = line.word_before();
            line.cut(from, line.cursor);
        }
        KeyCode::Home => line.cursor = 0,
        KeyCode::End => line.cursor = end,
        KeyCode::Left => line.cursor = line.cursor.saturating_sub(1),
        KeyCode::Right => line.cursor = (line.cursor + 1).min(end),
        KeyCode::Backspace if line.cursor > 0 => line.cut(line.cursor - 1, line.cursor),
        KeyCode::Delete if line.cursor < end => line.cut(line.cursor, line.cursor + 1),
        KeyCode::Char(typed) if !is_control => line.insert(typed.encode_utf8(&mut [0; 4])),
        _ => return,
    }
    // A cursor that moved has other ways to go on.
    if matches!(
        key.code,
        KeyCode::Left | KeyCode::Right | KeyCode::Home | KeyCode::End
    ) {
        state.line.completion = None;
        state.line.checked = None;
    }
}

/// Among the ways to go on, or to earlier queries where none is chosen.
fn move_up(state: &mut State) {
    match state.line.chosen {
        None => state.line.recall(-1),
        Some(0) => state.line.chosen = None,
        Some(_) => state.line.choose(-1),
    }
}
