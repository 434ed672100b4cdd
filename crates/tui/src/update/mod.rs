//! The only place where the state changes.

mod answers;
mod deletion;
mod due;
mod editing;
mod keys;
mod mouse;
mod overlays;

use crossterm::event::KeyEventKind;

use crate::cell::Context;
use crate::event::{Effect, Event, Heard};
use crate::state::table::Table;
use crate::state::{Screen, State, Step};

/// Milliseconds until what failed is tried again.
pub(crate) const AGAIN_MS: u64 = 2000;

/// What is to be done at the start.
pub fn begin(state: &mut State) -> Vec<Effect> {
    due::due(state)
}

/// Takes what happened, and says what is to be done.
pub fn update(state: &mut State, event: Event) -> Vec<Effect> {
    let mut effects = Vec::new();
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => {
            keys::key(state, key, &mut effects);
        }
        Event::Key(_) => {}
        Event::Mouse(mouse) => mouse::mouse(state, mouse, &mut effects),
        Event::Paste(text) => editing::paste(state, &text),
        Event::Resize(width, height) => {
            state.size = (width, height);
            let height = state.height();
            state.table.fit(height);
            state.groups.go(state.groups.at, height);
            state.events.step(0, height);
        }
        Event::Tick(now) => {
            state.now = now;
            if state
                .message
                .as_ref()
                .is_some_and(|message| message.until_ms <= now.ms)
            {
                state.message = None;
            }
        }
        Event::Answer(answer) => answers::take(state, *answer, &mut effects),
        Event::Heard(number, heard) => hear(state, number, heard),
        Event::Saved(Ok(path)) => state.say(format!("Saved as {}", path.display())),
        Event::Saved(Err(error)) => state.complain(&crate::wire::Fault::new(
            "not-saved",
            format!("The view was not saved: {error}"),
            "",
        )),
        Event::Stopped => effects.push(Effect::Suspend),
        Event::Resumed => {
            state.table.due_ms = 0;
            effects.push(Effect::Repaint);
        }
        Event::Ended => effects.push(Effect::Quit),
    }
    effects.extend(due::due(state));
    effects
}

fn hear(state: &mut State, number: u64, heard: Heard) {
    if number == state.pulse.stream {
        match heard {
            Heard::Summary(summary) => {
                if matches!(state.pulse.link, crate::state::pulse::Link::Broken(_)) {
                    // What was missed meanwhile is asked at once.
                    state.table.due_ms = 0;
                    state.health.due_ms = 0;
                }
                state.tally.see(&summary.truth);
                state.pulse.hear(*summary);
            }
            Heard::Ended(fault) => {
                state.pulse.link = crate::state::pulse::Link::Broken(fault);
                state.pulse.due_ms = Some(state.now.ms + AGAIN_MS);
            }
            _ => {}
        }
    } else if state.events.stream == Some(number) {
        if let Heard::Ended(fault) = &heard
            && editing::reopen(state, fault)
        {
            return;
        }
        if matches!(heard, Heard::Ended(_)) {
            state.events.due_ms = Some(state.now.ms + AGAIN_MS);
        }
        if !state.is_frozen || matches!(heard, Heard::Ended(_)) {
            state.events.hear(heard);
        } else if let Heard::Happened(all, more) = heard {
            state.events.count += more + all.len() as u64;
        }
    }
}

/// Shows another screen.
fn show(state: &mut State, screen: Screen) {
    state.overlay = None;
    state.line.close();
    if state.screen == screen {
        return;
    }
    state.screen = screen;
    match screen {
        Screen::Connections => state.table.due_ms = 0,
        Screen::Groups => state.groups.due_ms = 0,
        Screen::Health => state.health.due_ms = 0,
        Screen::Events => {}
    }
}

/// Selects other connections.
fn select(state: &mut State, query: &str) {
    if state.view.query == query {
        return;
    }
    query.clone_into(&mut state.view.query);
    restart(state);
    state.groups.restart();
    state.table.marks.clear();
}

/// Asks for the rows anew: another query or order.
fn restart(state: &mut State) {
    state.table.restart();
    state.forget(crate::event::Kind::Page);
}

/// Goes into a part of what is shown, with a way back.
fn drill(state: &mut State, query: &str) {
    let step = Step {
        screen: state.screen,
        query: state.view.query.clone(),
    };
    state.trail.push(step);
    select(state, query);
    show(state, Screen::Connections);
}

/// Goes back to where one came from; whether there was such a place.
fn back(state: &mut State) -> bool {
    let Some(step) = state.trail.pop() else {
        return false;
    };
    select(state, &step.query);
    show(state, step.screen);
    true
}

/// Notes how wide what is in the columns is.
fn measure(state: &mut State) {
    let columns = Table::columns(&state.view.columns);
    let truth = state.truth().clone();
    let context = Context {
        now_ns: state.now.wall_ns,
        since: 0,
        names: state.view.names,
        truth: &truth,
    };
    state.table.measure(&columns, &context);
}
