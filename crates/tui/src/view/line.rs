//! The query line, and what can follow.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::widgets::{Clear, Widget};
use unicode_width::UnicodeWidthChar;

use crate::cell::Look;
use crate::column::cells;
use crate::format;
use crate::state::{Screen, State};

use super::paint::{put, put_right, wrap};
use super::theme::{self, style};

/// What stands before the text.
const PROMPT: &str = "/ ";

/// How many ways to go on are shown.
const SHOWN: usize = 8;

pub(super) fn draw(state: &State, buffer: &mut Buffer) {
    let area = state.layout().line;
    let palette = state.palette;
    let told = told(state);
    let room = area.width.saturating_sub(cells(&told) + 3);
    put(buffer, (1, area.y), 2, PROMPT, style(palette, Look::Quiet));
    if state.line.is_open {
        return;
    }
    put_right(
        buffer,
        (0, area.y),
        area.width - 1,
        &told,
        style(palette, Look::Quiet),
    );
    let query = &state.view.query;
    if query.is_empty() {
        let text = "all connections";
        put(buffer, (3, area.y), room, text, style(palette, Look::Quiet));
    } else {
        put(
            buffer,
            (3, area.y),
            room,
            query,
            style(palette, Look::Strong),
        );
    }
}

/// What is shown, in short: how many, in which order.
fn told(state: &State) -> String {
    let view = &state.view;
    let order = |sort: &str, reverse: bool| match (sort, reverse) {
        ("", false) => String::new(),
        ("", true) => "reversed".to_owned(),
        (sort, false) => format!("by {sort}"),
        (sort, true) => format!("by {sort}, reversed"),
    };
    let mut parts = Vec::new();
    match state.screen {
        Screen::Connections => {
            if !state.table.marks.is_empty() {
                parts.push(format!("{} marked", state.table.marks.len()));
            }
            if let Some(totals) = &state.table.totals {
                parts.push(format!("{} match", format::count(totals.connections)));
            }
            if state.table.is_held() {
                parts.push(format!(
                    "from {}",
                    format::count(state.table.top as u64 + 1)
                ));
            }
            parts.push(order(&view.sort, view.reverse));
            if state.table.is_held() {
                parts.push("order held".to_owned());
            }
        }
        Screen::Groups => {
            parts.push(format!("grouped by {}", view.group_by.join(", ")));
            parts.push(order(&view.group_sort, view.group_reverse));
        }
        Screen::Events => parts.push(format!("{} events", format::count(state.events.count))),
        Screen::Health => {}
    }
    parts.retain(|part| !part.is_empty());
    parts.join(" · ")
}

/// The line while somebody types into it; gives where the cursor is.
pub(super) fn draw_open(state: &State, buffer: &mut Buffer) -> Option<Position> {
    let line = &state.line;
    if !line.is_open {
        return None;
    }
    let area = state.layout().line;
    let palette = state.palette;
    let room = area.width.saturating_sub(4);
    let characters: Vec<char> = line.text.chars().collect();
    // The cursor stays on the screen, however long the text.
    let cursor = line.cursor.min(characters.len());
    let first = first_shown(&characters, cursor, room);
    let shown: String = characters[first..].iter().collect();
    put(
        buffer,
        (3, area.y),
        room,
        &shown,
        style(palette, Look::Strong),
    );
    if characters.is_empty() {
        let text = "tcp and dport == 443 – Enter shows it, Tab goes on, Esc leaves it";
        put(buffer, (3, area.y), room, text, style(palette, Look::Quiet));
    }
    let x_of = |place: usize| {
        let before: String = characters[first..place.max(first)].iter().collect();
        3 + cells(&before)
    };
    let fault = line.told_fault();
    if let Some((offset, fault)) = fault.and_then(|fault| Some((fault.offset?, fault))) {
        let (offset, length) = (offset as usize, fault.length.unwrap_or(0) as usize);
        let end = (offset + length.max(1)).min(characters.len());
        let begin = x_of(offset.min(characters.len()));
        let width = x_of(end.max(offset.min(characters.len())))
            .saturating_sub(begin)
            .max(1);
        let width = width.min(area.width.saturating_sub(begin));
        buffer.set_style(Rect::new(begin, area.y, width, 1), theme::mistake(palette));
    }
    ahead(state, buffer);
    Some(Position::new(x_of(cursor), area.y))
}

/// The first character that is shown, so that the cursor is on the screen.
fn first_shown(characters: &[char], cursor: usize, room: u16) -> usize {
    let mut left = usize::from(room);
    let before = characters[..cursor].iter().rev();
    let shown = before.take_while(|c| {
        let wide = c.width().unwrap_or(0);
        left = left.saturating_sub(wide);
        left > 0
    });
    cursor - shown.count()
}

/// Below the line: what is wrong, or what can follow.
fn ahead(state: &State, buffer: &mut Buffer) {
    let line = &state.line;
    let palette = state.palette;
    let below = state.layout().whole();
    let width = below.width;
    let mut rows: Vec<(String, Look)> = Vec::new();
    if let Some(fault) = line.told_fault() {
        let mut say = |text: &str, look| {
            let lines = wrap(text, width.saturating_sub(4));
            rows.extend(lines.into_iter().map(|line| (line, look)));
        };
        say(&fault.message, Look::Bad);
        if !fault.expected.is_empty() {
            say(
                &format!("expected: {}", fault.expected.join(", ")),
                Look::Quiet,
            );
        }
        if !fault.hint.is_empty() {
            say(&fault.hint, Look::Notice);
        }
    } else if let Some(warning) = &line.warning {
        rows.push((warning.clone(), Look::Notice));
    }
    let candidates = line.candidates();
    let chosen = line.chosen.unwrap_or(0);
    let first = (chosen + 1).saturating_sub(SHOWN);
    let many = candidates.len().saturating_sub(first).min(SHOWN);
    let widest = candidates
        .iter()
        .map(|one| cells(&one.text))
        .max()
        .unwrap_or(0);
    let widest = widest.clamp(12, 28);
    let height = u16::try_from(rows.len() + many).unwrap_or(0);
    let height = height.min(below.height.saturating_sub(1));
    if height == 0 {
        return;
    }
    let rect = Rect::new(below.x, below.y, width, height + 1);
    Clear.render(rect, buffer);
    let mut y = rect.y;
    for (text, look) in rows {
        if y < rect.bottom() - 1 {
            put(buffer, (3, y), width - 4, &text, style(palette, look));
            y += 1;
        }
    }
    for (place, candidate) in candidates.iter().enumerate().skip(first).take(many) {
        if y >= rect.bottom() - 1 {
            break;
        }
        let is_chosen = line.chosen == Some(place);
        if is_chosen {
            buffer.set_style(Rect::new(2, y, width - 4, 1), theme::selected(palette));
        }
        let look = |look| match is_chosen {
            true => theme::selected(palette),
            false => style(palette, look),
        };
        put(buffer, (3, y), widest, &candidate.text, look(Look::Plain));
        let x = 3 + widest + 2;
        put(
            buffer,
            (x, y),
            width.saturating_sub(x + 2),
            &candidate.meaning,
            look(Look::Quiet),
        );
        y += 1;
    }
    let rule = "─".repeat(usize::from(width));
    put(buffer, (0, y), width, &rule, style(palette, Look::Quiet));
    if candidates.len() > many {
        let count = format!(" {}–{} of {} ", first + 1, first + many, candidates.len());
        put_right(
            buffer,
            (0, y),
            width.saturating_sub(2),
            &count,
            style(palette, Look::Quiet),
        );
    }
}
