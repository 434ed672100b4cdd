//! A list to choose from.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::cell::Look;
use crate::column::cells;
use crate::layout;
use crate::state::State;
use crate::state::chooser::{Chooser, Topic};

use super::paint::{put, put_right, window};
use super::theme::{self, style};

/// The first that is shown of a list in a window of so many lines.
pub fn first(chooser: &Chooser, height: u16) -> usize {
    let rows = usize::from(height.saturating_sub(3)).max(1);
    let many = chooser.shown().len();
    (chooser.at + 1)
        .saturating_sub(rows)
        .min(many.saturating_sub(rows))
}

pub(super) fn draw(state: &State, chooser: &Chooser, buffer: &mut Buffer) {
    let palette = state.palette;
    let rect = layout::chooser(state.size, chooser);
    let (title, keys) = match chooser.topic {
        Topic::Columns => (
            "Columns",
            "Space shows or hides · < > move · Enter takes them",
        ),
        Topic::Sort => ("Sort by", "Enter takes it · type to find"),
        Topic::Fields => (
            "Group by, up to four",
            "Space chooses · Enter takes them · type to find",
        ),
        Topic::GroupSort => ("Sort groups by", "Enter takes it"),
    };
    let inside = window(buffer, rect, title, keys, style(palette, Look::Protocol));
    let shown = chooser.shown();
    let first = first(chooser, rect.height);
    let widest = shown.iter().map(|one| cells(&one.name)).max().unwrap_or(0);
    let widest = widest.clamp(10, 20);
    let rows = usize::from(inside.height.saturating_sub(1)).max(1);
    for (line, choice) in shown.iter().skip(first).take(rows).enumerate() {
        let y = inside.y + u16::try_from(line).unwrap_or(0);
        let is_current = first + line == chooser.at;
        if is_current {
            let row = Rect::new(inside.x, y, inside.width, 1);
            buffer.set_style(row, theme::selected(palette));
        }
        let look = |look| match is_current {
            true => theme::selected(palette),
            false => style(palette, look),
        };
        let order = chooser.chosen.iter().position(|name| *name == choice.name);
        let mark = match (chooser.topic, choice.is_chosen, order) {
            (_, false, _) => String::new(),
            (Topic::Fields, true, Some(place)) => format!("{}", place + 1),
            _ => "✓".to_owned(),
        };
        put(buffer, (inside.x + 1, y), 2, &mark, look(Look::Good));
        put(
            buffer,
            (inside.x + 4, y),
            widest,
            &choice.name,
            look(Look::Plain),
        );
        let x = inside.x + 4 + widest + 2;
        put(
            buffer,
            (x, y),
            inside.right().saturating_sub(x + 1),
            &choice.meaning,
            look(Look::Quiet),
        );
    }
    let y = inside.bottom() - 1;
    let room = inside.right().saturating_sub(inside.x + 4 + widest + 3);
    let current = chooser.current();
    // Whole, where it had to be cut above.
    let meaning = current.map(|one| one.meaning.as_str());
    let meaning = meaning.filter(|meaning| cells(meaning) > room);
    let filter = &chooser.filter;
    let text = match chooser.topic {
        Topic::Fields if shown.is_empty() => format!("Enter groups by “{filter}”"),
        _ if shown.is_empty() => format!("nothing has “{filter}” in it"),
        _ if filter.is_empty() => meaning.unwrap_or_default().to_owned(),
        _ => format!("with “{filter}”"),
    };
    let count = match shown.len() > rows {
        true => format!("{} of {}", chooser.at + 1, shown.len()),
        false => String::new(),
    };
    put_right(
        buffer,
        (inside.x, y),
        inside.width.saturating_sub(1),
        &count,
        style(palette, Look::Quiet),
    );
    put(
        buffer,
        (inside.x + 1, y),
        inside.width.saturating_sub(cells(&count) + 3),
        &text,
        style(palette, Look::Notice),
    );
}
