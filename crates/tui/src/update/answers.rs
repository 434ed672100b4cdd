//! What was answered.

use crate::event::{Answer, Effect, Kind, Reply};
use crate::state::{Overlay, State, sentence};
use crate::wire::{Checked, Fault};

use super::{AGAIN_MS, deletion, editing, measure};

/// Pages rest for so many times of what they took, so that a large table is not read all the time.
const REST: u64 = 4;

/// Takes an answer, unless a later one is waited for.
pub(super) fn take(state: &mut State, answer: Answer, effects: &mut Vec<Effect>) {
    if !state.takes(answer.kind, answer.number) {
        return;
    }
    let now = state.now.ms;
    let rest = state.view.interval_ms().max(answer.took_ms * REST);
    match answer.reply {
        Ok(Reply::Page(page)) => {
            state.line.before = None;
            let height = state.height();
            let is_due_already = state.table.due_ms == 0;
            if !is_due_already {
                state.table.due_ms = now + rest.saturating_sub(answer.took_ms);
            }
            state.tally.see(&page.truth);
            if state.table.take(page, height, now) {
                state.tally.rows.add(answer.took_ms);
            }
            measure(state);
        }
        Ok(Reply::Groups(told)) => {
            state.tally.groups.add(answer.took_ms);
            state.tally.see(&told.truth);
            let height = state.height();
            state.groups.take(*told, height);
            state.groups.due_ms = now + rest.saturating_sub(answer.took_ms);
        }
        Ok(Reply::Health(report)) => {
            state.health.report = Some(report);
            state.health.fault = None;
        }
        Ok(Reply::Status(status)) => {
            if let Some(trouble) = status.troubles.first() {
                state.complain(trouble);
            }
            state.you = Some(status.you);
        }
        Ok(Reply::Fields(fields)) => state.fields = fields,
        Ok(Reply::Check(checked)) => check(state, checked),
        Ok(Reply::Complete(completion)) => {
            // Of a text that was typed on meanwhile it would take other letters away.
            let line = &mut state.line;
            if line.completing.0 == line.text && line.completing.1 == line.cursor {
                line.completion = Some(completion);
                line.chosen = None;
            }
        }
        Ok(Reply::Known(known)) => {
            if let Some(Overlay::Details(details)) = &mut state.overlay {
                details.take(Ok(*known), now);
            }
        }
        Ok(Reply::Deletion(told)) => deletion::take(state, Ok(*told), effects),
        Err(fault) => fail(state, answer.kind, fault, effects),
    }
}

fn fail(state: &mut State, kind: Kind, fault: Fault, effects: &mut Vec<Effect>) {
    let again = state.now.ms + AGAIN_MS;
    if matches!(kind, Kind::Page | Kind::Groups) && editing::reopen(state, &fault) {
        return;
    }
    match kind {
        Kind::Page if fault.code == "cursor-expired" && state.table.asked.cursor.is_some() => {
            state.table.restart();
            state.say("The order was forgotten meanwhile: from the top again");
        }
        Kind::Page => {
            state.table.due_ms = again;
            state.table.fault = Some(fault);
        }
        Kind::Groups => {
            state.groups.due_ms = again;
            state.groups.fault = Some(fault);
        }
        Kind::Health => {
            state.health.due_ms = again;
            state.health.fault = Some(fault);
        }
        Kind::Known => {
            let now = state.now.ms;
            if let Some(Overlay::Details(details)) = &mut state.overlay {
                details.take(Err(fault), now);
            }
        }
        // The text before the cursor is no query: its check tells what is wrong.
        Kind::Complete => state.line.completion = None,
        Kind::Check => {
            state.line.checked = state.line.checking.take();
            state.line.fault = Some(fault);
        }
        Kind::Status | Kind::Fields => {
            state.once_due_ms = again;
            state.message = Some(crate::state::Message {
                text: sentence(&fault),
                is_bad: true,
                until_ms: again,
            });
        }
        Kind::Deletion => deletion::take(state, Err(fault), effects),
    }
}

fn check(state: &mut State, checked: Checked) {
    let text = state.line.checking.take();
    let warnings = checked.explanation.map(|explanation| explanation.warnings);
    let warning = warnings.and_then(|warnings| warnings.into_iter().next());
    state.line.fault = checked.error;
    state.line.warning = warning.map(|warning| warning.message);
    state.line.checked = text;
}
