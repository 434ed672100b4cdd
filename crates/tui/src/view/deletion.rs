//! Deleting: what would go, and what came of it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::cell::{Look, as_f64};
use crate::format;
use crate::layout::centred;
use crate::state::State;
use crate::state::deletion::{Deleting, Stage};
use crate::wire::{Deletion, Fault, Outcome};

use super::paint::{Styled, put, window, wrap};
use super::theme::{self, style};

/// What is in the window, the keys at its foot, and where it stands.
fn content(state: &State, stage: &Stage) -> (Vec<Styled>, String, Rect) {
    let width = state.size.0.saturating_sub(4).min(86);
    let (lines, keys) = lines(state, stage, width.saturating_sub(4));
    let high = u16::try_from(lines.len())
        .unwrap_or(u16::MAX)
        .saturating_add(2);
    (lines, keys, centred(state.size, width, high.max(6)))
}

/// How far it can be scrolled.
pub fn last(state: &State, stage: &Stage) -> usize {
    let (lines, _, rect) = content(state, stage);
    lines
        .len()
        .saturating_sub(rect.height.saturating_sub(2).into())
}

pub(super) fn draw(state: &State, deleting: &Deleting, buffer: &mut Buffer) {
    let (lines, keys, rect) = content(state, &deleting.stage);
    let border = match deleting.stage {
        Stage::Shown { .. } | Stage::Failed { .. } => Look::Bad,
        _ => Look::Protocol,
    };
    let border = style(state.palette, border);
    let rows = usize::from(rect.height.saturating_sub(2));
    let keys = match lines.len() > rows {
        true => format!("{keys} · ↑↓ more"),
        false => keys,
    };
    let inside = window(buffer, rect, "Delete connections", &keys, border);
    let top = deleting.top.min(lines.len().saturating_sub(rows));
    for (row, (text, look)) in lines.iter().skip(top).take(rows).enumerate() {
        let y = inside.y + u16::try_from(row).unwrap_or(0);
        let is_chosen = matches!(&deleting.stage, Stage::Which { at, .. } if *at == row);
        let look = match is_chosen {
            true => theme::selected(state.palette),
            false => style(state.palette, *look),
        };
        put(buffer, (inside.x + 1, y), inside.width - 2, text, look);
    }
}

fn lines(state: &State, stage: &Stage, width: u16) -> (Vec<Styled>, String) {
    let mut text = Text {
        width,
        lines: Vec::new(),
    };
    let keys = match stage {
        Stage::Which { choices, .. } => {
            for (place, choice) in choices.iter().enumerate() {
                let line = format!("{}  {}", place + 1, choice.title);
                text.lines.push((line, Look::Plain));
            }
            "Enter shows what would go · Esc leaves it".to_owned()
        }
        Stage::Looking(choice) => {
            text.say(
                &format!("Looking which connections these are: {}", choice.title),
                Look::Plain,
            );
            "Esc leaves it".to_owned()
        }
        Stage::Shown {
            choice,
            preview,
            is_forced,
        } => {
            text.say(&choice.title, Look::Quiet);
            shown(state, preview, choice.meant, *is_forced, &mut text);
            match (preview.matched, &preview.own_session) {
                (0, _) => "Esc".to_owned(),
                (many, None) => format!("y deletes {} · Esc leaves it", format::count(many)),
                (many, Some(_)) => {
                    format!(
                        "y deletes {} · f my session too · Esc leaves it",
                        format::count(many)
                    )
                }
            }
        }
        Stage::Doing(preview) => {
            text.say(
                &format!("Deleting {}", format::count(preview.matched)),
                Look::Plain,
            );
            "Esc: it goes on without this window".to_owned()
        }
        Stage::Undoing => {
            text.say("Putting them back", Look::Plain);
            "Esc: it goes on without this window".to_owned()
        }
        Stage::Done(told) => {
            let result = told.result.clone().unwrap_or_default();
            let parts = [
                (result.done, "deleted"),
                (result.gone, "had ended by themselves"),
                (result.refused, "refused by the kernel"),
                (result.unknown, "not known: the kernel's answer was lost"),
                (result.not_tried, "not tried"),
            ];
            came(&result, &parts, &mut text);
            match state.undo.is_some() {
                true => "u puts them back, for five minutes · Enter".to_owned(),
                false => "Enter".to_owned(),
            }
        }
        Stage::Undone(told) => {
            let result = told.undone.clone().unwrap_or_default();
            let parts = [
                (result.created, "put back"),
                (result.there, "were there again already"),
                (result.refused, "refused by the kernel"),
                (result.unknown, "not known: the kernel's answer was lost"),
            ];
            came(&result, &parts, &mut text);
            "Enter".to_owned()
        }
        Stage::Failed { fault, choice } => failed(fault, choice.is_some(), &mut text),
    };
    (text.lines, keys)
}

fn shown(state: &State, preview: &Deletion, meant: Option<u64>, is_forced: bool, text: &mut Text) {
    let many = preview.matched;
    match many {
        0 => {
            return text.say(
                "No connection matches: there is nothing to delete.",
                Look::Notice,
            );
        }
        1 => text.say("One connection would be deleted.", Look::Strong),
        _ => text.say(
            &format!("{} connections would be deleted.", format::count(many)),
            Look::Strong,
        ),
    }
    let undo = match preview.undoable {
        true => "It can be undone for five minutes.",
        false => "It cannot be undone: there are more than 100,000.",
    };
    text.say(
        undo,
        if preview.undoable {
            Look::Plain
        } else {
            Look::Notice
        },
    );
    if let Some(meant) = meant.filter(|&meant| meant > many) {
        let ended = format::count(meant - many);
        text.say(
            &format!("{ended} of the chosen have ended already."),
            Look::Quiet,
        );
    }
    if !preview.truth.complete {
        text.say(
            "The table is not known whole just now: some that match may be missing here, and stay.",
            Look::Notice,
        );
    }
    if let Some(own) = &preview.own_session {
        text.say(&format!("Your own session is among them: {own}"), Look::Bad);
        let what = match is_forced {
            true => "It is deleted too (f: not that one).",
            false => "It is refused unless you press f.",
        };
        text.say(what, Look::Notice);
    }
    let left = preview.expires_ns.checked_sub(state.now.wall_ns);
    if left.is_none() && preview.expires_ns > 0 {
        text.say(
            "This preview is too old: leave it and look again.",
            Look::Bad,
        );
    }
    text.say(
        "Exactly these: what begins from now on stays. A connection that goes on is entered anew by \
         its next packet, where the firewall lets it.",
        Look::Plain,
    );
    text.blank();
    if preview.owners_total > 1 {
        text.say("Whose they are", Look::Strong);
        let most = 6;
        for owner in preview.owners.iter().take(most) {
            let bytes = owner.bytes.map(|bytes| format::size(as_f64(bytes)));
            let room = usize::from(text.width).saturating_sub(22).min(40);
            let line = format!(
                "{:<room$}{:>10}  {}",
                owner.src,
                format::count(owner.connections),
                bytes.unwrap_or_default()
            );
            text.lines.push((line, Look::Plain));
        }
        let left = preview
            .owners_total
            .saturating_sub(most.min(preview.owners.len()) as u64);
        if left > 0 {
            text.say(
                &format!("and {} more sources", format::count(left)),
                Look::Quiet,
            );
        }
        text.blank();
    }
    for row in preview.sample.iter().take(5) {
        let from = format::endpoint(&row.orig.src, row.orig.sport);
        let to = format::endpoint(&row.orig.dst, row.orig.dport);
        let state = row.state.as_deref().unwrap_or_default();
        let line = format!("{:<5}{from} → {to}  {state}", row.protocol());
        text.lines.push((line, Look::Quiet));
    }
}

fn came(result: &Outcome, parts: &[(u64, &str)], text: &mut Text) {
    text.say(
        &format!("Of {} that were named:", format::count(result.matched)),
        Look::Plain,
    );
    for (place, (many, what)) in parts.iter().enumerate() {
        if *many > 0 || place == 0 {
            let look = if place == 0 {
                Look::Strong
            } else {
                Look::Notice
            };
            text.lines
                .push((format!("{:>10}  {what}", format::count(*many)), look));
        }
    }
    if let Some(first) = &result.first {
        text.say(
            &format!("Why the first was not: {}", first.message),
            Look::Notice,
        );
    }
    if let Some(ended) = &result.ended_by {
        text.say(&format!("It ended early: {}", ended.message), Look::Bad);
    }
}

fn failed(fault: &Fault, can_ask_again: bool, text: &mut Text) -> String {
    text.say(&fault.message, Look::Bad);
    if fault.code != "refused" && !fault.hint.is_empty() {
        text.say(&fault.hint, Look::Notice);
    }
    match (fault.code.as_str(), can_ask_again) {
        ("refused", true) => "a: every connection is meant · Esc leaves it".to_owned(),
        (_, true) => "r tries again · Esc".to_owned(),
        (_, false) => "Esc".to_owned(),
    }
}

struct Text {
    width: u16,
    lines: Vec<Styled>,
}

impl Text {
    fn say(&mut self, text: &str, look: Look) {
        let lines = wrap(&format::printable(text), self.width);
        self.lines
            .extend(lines.into_iter().map(|line| (line, look)));
    }

    fn blank(&mut self) {
        self.lines.push((String::new(), Look::Plain));
    }
}
