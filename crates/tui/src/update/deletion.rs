//! Deleting in steps: what, what would go, what came of it, and back again.

use crossterm::event::{KeyCode, KeyEvent};

use crate::event::{Effect, Kind};
use crate::format;
use crate::state::deletion::{Choice, Deleting, Stage};
use crate::state::{Overlay, State, Undo};
use crate::transport::{Method, Request};
use crate::view;
use crate::wire::{Deletion, Fault, Row};

use super::keys::{current_group, step_of};

const PATH: &str = "/api/v1/deletions";

fn open(state: &mut State, stage: Stage) {
    state.overlay = Some(Overlay::Deletion(Box::new(Deleting { stage, top: 0 })));
}

/// Asks what is to be deleted, where somebody may and there is something.
fn offer(state: &mut State, choices: Vec<Choice>) {
    if !state.may_change() {
        let fault = Fault::new(
            "forbidden",
            "You may see, not change: your token has the role viewer",
            "a token of the role operator may: tracklight token add NAME --role operator",
        );
        return open(
            state,
            Stage::Failed {
                fault,
                choice: None,
            },
        );
    }
    if choices.is_empty() {
        return state.say("There is nothing here to delete");
    }
    open(state, Stage::Which { choices, at: 0 });
}

fn this_one(row: &Row) -> Choice {
    let from = format::endpoint(&row.orig.src, row.orig.sport);
    let to = format::endpoint(&row.orig.dst, row.orig.dport);
    let title = format!("this connection: {} {from} → {to}", row.protocol());
    Choice::rows(title, [row])
}

/// From the table: this connection, the marked ones, all that match.
pub(super) fn ask_which(state: &mut State) {
    let mut choices = Vec::new();
    let marked = state.table.marks.len() as u64;
    if marked > 0 {
        let title = match marked {
            1 => "the marked connection".to_owned(),
            _ => format!("the {} marked connections", format::count(marked)),
        };
        choices.push(Choice::rows(title, state.table.marks.values()));
    }
    choices.extend(state.table.current().map(this_one));
    let total = state.table.totals.map_or(0, |totals| totals.connections);
    if total > 0 {
        let query = state.view.query.clone();
        let is_all = query.trim().is_empty();
        let title = match is_all {
            true => format!("every connection of the table ({})", format::count(total)),
            false => format!("all that match the query ({})", format::count(total)),
        };
        choices.push(Choice {
            title,
            query,
            meant: None,
            is_all,
        });
    }
    offer(state, choices);
}

/// From a connection's details.
pub(super) fn ask_this(state: &mut State) {
    if let Some(Overlay::Details(details)) = &state.overlay {
        let choice = this_one(&details.row);
        offer(state, vec![choice]);
    }
}

/// From the groups.
pub(super) fn ask_group(state: &mut State) {
    let many = state.groups.current().map(|group| group.connections);
    let choices = current_group(state).zip(many).map(|(query, many)| Choice {
        title: format!("the connections of this group ({})", format::count(many)),
        query,
        meant: None,
        is_all: false,
    });
    offer(state, choices.into_iter().collect());
}

fn look(state: &mut State, choice: Choice, effects: &mut Vec<Effect>) {
    let body = serde_json::json!({ "query": choice.query, "all": choice.is_all });
    effects.push(state.ask(Kind::Deletion, Request::post(PATH, &body)));
    open(state, Stage::Looking(choice));
}

/// Puts back what was deleted last.
pub(super) fn undo(state: &mut State, effects: &mut Vec<Effect>) {
    match state.undo.take() {
        Some(undo) if undo.until_ns > state.now.wall_ns => {
            let path = format!("{PATH}/{}/undo", undo.id);
            effects.push(state.ask(Kind::Deletion, Request::bare(Method::Post, path)));
            open(state, Stage::Undoing);
        }
        Some(_) => state.say("It cannot be undone any more: five minutes are over"),
        None => state.say("Nothing was deleted here that could be undone"),
    }
}

/// A key while a deletion is shown.
pub(super) fn key(state: &mut State, key: KeyEvent, effects: &mut Vec<Effect>) {
    let last = match &state.overlay {
        Some(Overlay::Deletion(deleting)) => view::deletion::last(state, &deleting.stage),
        _ => 0,
    };
    let Some(Overlay::Deletion(deleting)) = &mut state.overlay else {
        return;
    };
    if let (Some(by), false) = (
        step_of(key, 5),
        matches!(deleting.stage, Stage::Which { .. }),
    ) {
        deleting.top = deleting.top.min(last).saturating_add_signed(by).min(last);
        return;
    }
    let is_end = matches!(
        key.code,
        KeyCode::Esc | KeyCode::Char('n' | 'q') | KeyCode::Backspace
    );
    match &mut deleting.stage {
        Stage::Which { choices, at } => match key.code {
            _ if is_end => state.overlay = None,
            KeyCode::Enter => {
                let choice = choices[*at].clone();
                look(state, choice, effects);
            }
            KeyCode::Char(digit @ '1'..='9') => {
                let place = usize::from(digit as u8 - b'1');
                if let Some(choice) = choices.get(place).cloned() {
                    look(state, choice, effects);
                }
            }
            _ => {
                if let Some(by) = step_of(key, choices.len()) {
                    *at = at.saturating_add_signed(by).min(choices.len() - 1);
                }
            }
        },
        Stage::Shown {
            preview, is_forced, ..
        } => match key.code {
            _ if is_end => {
                let path = format!("{PATH}/{}", preview.id);
                effects.push(Effect::Tell(Request::bare(Method::Delete, path)));
                state.overlay = None;
            }
            KeyCode::Char('f') if preview.own_session.is_some() => *is_forced = !*is_forced,
            KeyCode::Char('y') if preview.matched > 0 => {
                let path = format!("{PATH}/{}/confirm", preview.id);
                let body = serde_json::json!({ "force": *is_forced });
                deleting.stage = Stage::Doing(preview.clone());
                effects.push(state.ask(Kind::Deletion, Request::post(path, &body)));
            }
            _ => {}
        },
        Stage::Done(_) if key.code == KeyCode::Char('u') => undo(state, effects),
        Stage::Failed {
            fault,
            choice: Some(choice),
        } => {
            let mut choice = choice.clone();
            match key.code {
                KeyCode::Char('a') if fault.code == "refused" => {
                    choice.is_all = true;
                    look(state, choice, effects);
                }
                KeyCode::Char('r') => look(state, choice, effects),
                _ if is_end || key.code == KeyCode::Enter => state.overlay = None,
                _ => {}
            }
        }
        // What is under way has an end that should be seen; the screen is not held up by it.
        Stage::Looking(_) | Stage::Doing(_) | Stage::Undoing if key.code == KeyCode::Esc => {
            state.overlay = None;
        }
        Stage::Looking(_) | Stage::Doing(_) | Stage::Undoing => {}
        _ if is_end || key.code == KeyCode::Enter => state.overlay = None,
        _ => {}
    }
}

/// Takes what was answered. Who has closed the window is told in one line.
pub(super) fn take(state: &mut State, told: Result<Deletion, Fault>, effects: &mut Vec<Effect>) {
    let stage = match &state.overlay {
        Some(Overlay::Deletion(deleting)) => Some(deleting.stage.clone()),
        _ => None,
    };
    let told = match told {
        Ok(told) => told,
        Err(fault) => {
            let choice = match stage {
                Some(Stage::Looking(choice)) => Some(choice),
                Some(_) => None,
                None => return state.complain(&fault),
            };
            return open(state, Stage::Failed { fault, choice });
        }
    };
    if told.undone.is_some() {
        state.undo = None;
        state.table.due_ms = 0;
        return match stage {
            Some(_) => open(state, Stage::Undone(told)),
            None => state.say("It was put back"),
        };
    }
    if let Some(result) = &told.result {
        let done = result.done;
        if told.undoable && done > 0 {
            state.undo = Some(Undo {
                id: told.id.clone(),
                done,
                until_ns: told.expires_ns,
            });
        }
        state.table.marks.clear();
        state.table.due_ms = 0;
        state.groups.due_ms = 0;
        return match stage {
            Some(_) => open(state, Stage::Done(told)),
            None => state.say(format!("{} deleted; u undoes it", format::count(done))),
        };
    }
    match stage {
        Some(Stage::Looking(choice)) => open(
            state,
            Stage::Shown {
                choice,
                preview: told,
                is_forced: false,
            },
        ),
        // Nobody waits for it any more.
        _ => {
            let path = format!("{PATH}/{}", told.id);
            effects.push(Effect::Tell(Request::bare(Method::Delete, path)));
        }
    }
}
