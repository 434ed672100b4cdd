//! Keys of what lies over the screen.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::column::COLUMNS;
use crate::event::Effect;
use crate::saved;
use crate::state::chooser::{Chooser, Topic};
use crate::state::groups::{MOST_FIELDS, SORTS};
use crate::state::table::Table;
use crate::state::{Overlay, State};
use crate::view::help;

use super::keys::{name, step_of};
use super::{deletion, measure, restart};

/// A key while something lies over the screen.
pub(super) fn key(state: &mut State, key: KeyEvent, effects: &mut Vec<Effect>) {
    match &mut state.overlay {
        None => {}
        Some(Overlay::Help(top)) => match key.code {
            KeyCode::Esc | KeyCode::Enter | KeyCode::Char('?' | 'q') | KeyCode::F(1) => {
                state.overlay = None;
            }
            _ => {
                if let Some(by) = step_of(key, help::rows(state.size)) {
                    *top = top.saturating_add_signed(by).min(help::last(state.size));
                }
            }
        },
        Some(Overlay::Details(_)) => details(state, key),
        Some(Overlay::Chooser(_)) => chooser(state, key),
        Some(Overlay::Deletion(_)) => deletion::key(state, key, effects),
        Some(Overlay::Save(_)) => save(state, key, effects),
    }
}

fn details(state: &mut State, key: KeyEvent) {
    match key.code {
        KeyCode::Esc | KeyCode::Enter | KeyCode::Backspace | KeyCode::Char('q') => {
            state.overlay = None;
            state.forget(crate::event::Kind::Known);
        }
        KeyCode::Char('x') | KeyCode::Delete => deletion::ask_this(state),
        KeyCode::Char('n') => name(state),
        _ => {
            let height = usize::from(state.layout().whole().height);
            let many = match &state.overlay {
                Some(Overlay::Details(details)) => {
                    crate::view::details::lines(state, details).len()
                }
                _ => 0,
            };
            if let Some(by) = step_of(key, height)
                && let Some(Overlay::Details(details)) = &mut state.overlay
            {
                let top = details.top.saturating_add_signed(by);
                details.top = top.min(many.saturating_sub(height));
            }
        }
    }
}

/// Opens a list to choose from.
pub(super) fn choose(state: &mut State, topic: Topic) {
    let named = |(name, meaning): (&str, &str)| (name.to_owned(), meaning.to_owned());
    let (all, chosen): (Vec<(String, String)>, Vec<String>) = match topic {
        Topic::Columns => {
            let shown = Table::columns(&state.view.columns);
            let hidden = COLUMNS.iter().filter(|column| !shown.contains(column));
            let all = shown.iter().copied().chain(hidden);
            (
                all.map(|column| named((column.id, column.meaning)))
                    .collect(),
                shown.iter().map(|column| column.id.to_owned()).collect(),
            )
        }
        Topic::Sort => {
            let told = state.fields.columns.iter().filter(|column| column.sorts);
            let mut all: Vec<(String, String)> = told
                .map(|column| (column.name.clone(), column.meaning.clone()))
                .collect();
            if all.is_empty() {
                // The daemon has not said yet.
                let known = COLUMNS.iter().filter(|column| !column.sort.is_empty());
                all = known
                    .map(|column| named((column.sort, column.meaning)))
                    .collect();
            }
            (all, vec![state.view.sort.clone()])
        }
        Topic::Fields => {
            let told = state.fields.groups.iter();
            let mut all: Vec<(String, String)> = told
                .map(|field| (field.name.clone(), field.meaning.clone()))
                .collect();
            for field in &state.view.group_by {
                if !all.iter().any(|(name, _)| name == field) {
                    all.push((field.clone(), String::new()));
                }
            }
            (all, state.view.group_by.clone())
        }
        Topic::GroupSort => (
            SORTS.map(named).to_vec(),
            vec![state.view.group_sort.clone()],
        ),
    };
    state.overlay = Some(Overlay::Chooser(Chooser::new(topic, all, &chosen)));
}

fn chooser(state: &mut State, key: KeyEvent) {
    let height = state.height();
    let Some(Overlay::Chooser(chooser)) = &mut state.overlay else {
        return;
    };
    let most = match chooser.topic {
        Topic::Fields => MOST_FIELDS,
        _ => usize::MAX,
    };
    let is_shift = key.modifiers.contains(KeyModifiers::SHIFT);
    match key.code {
        KeyCode::Esc => state.overlay = None,
        KeyCode::Enter => accept(state),
        KeyCode::Char(' ') if chooser.is_many() => chooser.toggle(most),
        KeyCode::Up if is_shift && chooser.topic == Topic::Columns => chooser.carry(-1),
        KeyCode::Down if is_shift && chooser.topic == Topic::Columns => chooser.carry(1),
        KeyCode::Char('<') if chooser.topic == Topic::Columns => chooser.carry(-1),
        KeyCode::Char('>') if chooser.topic == Topic::Columns => chooser.carry(1),
        KeyCode::Backspace => {
            chooser.filter.pop();
            chooser.at = 0;
        }
        KeyCode::Char(typed) if !key.modifiers.contains(KeyModifiers::CONTROL) => {
            chooser.filter.push(typed);
            chooser.at = 0;
        }
        _ => {
            if let Some(by) = step_of(key, height) {
                chooser.step(by);
            }
        }
    }
}

/// Takes what was chosen.
pub(super) fn accept(state: &mut State) {
    let Some(Overlay::Chooser(chooser)) = state.overlay.take() else {
        return;
    };
    let current = chooser.current().map(|choice| choice.name.clone());
    match (chooser.topic, current) {
        (Topic::Columns, _) => {
            let columns = chooser.in_order();
            if !columns.is_empty() {
                state.view.columns = columns;
                state.table.shift = 0;
                measure(state);
            }
        }
        (Topic::Sort, Some(name)) => {
            state.view.sort = name;
            state.view.reverse = false;
            restart(state);
        }
        (Topic::Fields, current) => {
            // Who chose nothing means the one under the cursor, or what was typed: networks have any number of bits.
            let chosen = match current {
                Some(name) if !chooser.is_touched => vec![name],
                None => chooser.filter.split(',').map(str::to_owned).collect(),
                Some(_) => chooser.chosen,
            };
            if !chosen.is_empty() {
                state.view.group_by = chosen;
                state.groups.restart();
                state.forget(crate::event::Kind::Groups);
            }
        }
        (Topic::GroupSort, Some(name)) => {
            state.view.group_sort = name;
            state.view.group_reverse = false;
            state.groups.restart();
            state.forget(crate::event::Kind::Groups);
        }
        (Topic::Sort | Topic::GroupSort, None) => {}
    }
}

fn save(state: &mut State, key: KeyEvent, effects: &mut Vec<Effect>) {
    let Some(Overlay::Save(name)) = &mut state.overlay else {
        return;
    };
    match key.code {
        KeyCode::Esc => state.overlay = None,
        KeyCode::Enter if !name.is_empty() => {
            let path = saved::path_of(state.folder.as_deref(), name);
            let view = saved::View {
                screen: Some(state.screen),
                ..state.view.clone()
            };
            effects.push(Effect::Save {
                path,
                text: view.text(),
            });
            state.overlay = None;
        }
        KeyCode::Backspace => {
            name.pop();
        }
        KeyCode::Char('u') if key.modifiers.contains(KeyModifiers::CONTROL) => name.clear(),
        KeyCode::Char(typed) if !key.modifiers.contains(KeyModifiers::CONTROL) => {
            name.push(typed);
        }
        _ => {}
    }
}
