//! Connections by what they have in common.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::cell::{Look, as_f64};
use crate::column::cells;
use crate::format;
use crate::state::State;
use crate::state::groups::text_of;
use crate::wire::Group;

use super::paint::{bar, put, put_right};
use super::table::{draw_words, words_of};
use super::theme::{self, style};

/// The columns behind the key: name for sorting, title, width. Those that come last go first.
const SUMS: [(&str, &str, u16); 5] = [
    ("connections", "Connections", 12),
    ("bytes", "Bytes", 9),
    ("rate", "Rate", 10),
    ("packets", "Packets", 12),
    ("newest", "Newest", 9),
];

/// Cells of the bar.
const BAR: u16 = 12;

struct Columns {
    /// Of each field that is grouped by.
    keys: Vec<u16>,
    key: u16,
    bar: u16,
    sums: usize,
}

fn columns(state: &State, width: u16) -> Columns {
    let groups = state.groups.all();
    let by = &state.view.group_by;
    let mut keys: Vec<u16> = by.iter().map(|field| cells(field) + 2).collect();
    for group in groups {
        for (width, text) in keys.iter_mut().zip(key_texts(state, group)) {
            *width = (*width).max(cells(&text) + 2);
        }
    }
    let widest: u16 = keys.iter().sum();
    let least = widest.clamp(12, 24);
    let mut sums = 1;
    let mut used = SUMS[0].2 + 1;
    while sums < SUMS.len() && least + used + SUMS[sums].2 < width {
        used += SUMS[sums].2 + 1;
        sums += 1;
    }
    let left = width.saturating_sub(used);
    let key = widest.min(left);
    let bar = match left.saturating_sub(key) > BAR {
        true => BAR,
        false => 0,
    };
    Columns {
        keys,
        key,
        bar,
        sums,
    }
}

/// What the connections of a group have in common.
fn key_texts(state: &State, group: &Group) -> Vec<String> {
    let names = state.groups.told.as_ref().map(|told| &told.names);
    let texts = state.view.group_by.iter().map(|field| {
        let value = group.key.get(field).map(|value| text_of(field, value));
        let value = value.filter(|value| !value.is_empty());
        let Some(value) = value else {
            return format!("no {field}");
        };
        let name = names.and_then(|names| names.get(&value));
        match name.filter(|_| state.view.names) {
            Some(name) => format!("{} ({value})", format::printable(&name.name)),
            None => format::printable(&value),
        }
    });
    texts.collect()
}

/// Writes what is of each field below each other.
fn draw_keys(
    buffer: &mut Buffer,
    y: u16,
    columns: &Columns,
    texts: &[String],
    look: ratatui::style::Style,
) {
    let (mut x, end) = (2, 2 + columns.key);
    for (text, width) in texts.iter().zip(&columns.keys) {
        let width = (*width).min(end.saturating_sub(x));
        put(buffer, (x, y), width.saturating_sub(1), text, look);
        x += width;
    }
}

pub(super) fn draw(state: &State, buffer: &mut Buffer) {
    let parts = state.layout();
    let (heading, body) = (parts.heading, parts.body);
    let columns = columns(state, body.width - 2);
    draw_heading(state, buffer, heading, &columns);
    let groups = &state.groups;
    if groups.all().is_empty() {
        let (title, more) = match (&groups.fault, &groups.told) {
            (Some(fault), _) => words_of(fault, "The groups could not be read"),
            (None, None) => ("Reading the table".to_owned(), String::new()),
            (None, Some(_)) if state.view.query.is_empty() => (
                "The table is empty".to_owned(),
                "No connection is tracked now.".to_owned(),
            ),
            (None, Some(_)) => (
                "No connection matches".to_owned(),
                "Press / to change the query.".to_owned(),
            ),
        };
        return draw_words(state, buffer, &title, &more);
    }
    let rows = groups.lines(body.height.into());
    let shown = groups.all().iter().enumerate().skip(groups.top).take(rows);
    for ((place, group), y) in shown.zip(body.top()..body.bottom()) {
        let is_current = place == groups.at;
        if is_current {
            buffer.set_style(
                Rect::new(0, y, body.width, 1),
                theme::selected(state.palette),
            );
        }
        draw_group(state, buffer, group, y, is_current, &columns);
    }
    draw_rest(state, buffer, body);
}

fn draw_heading(state: &State, buffer: &mut Buffer, area: Rect, columns: &Columns) {
    let look = theme::heading(state.palette);
    buffer.set_style(area, look);
    let arrow = match state.view.group_reverse {
        false => "▼",
        true => "▲",
    };
    let sorted = |name: &str| match name == state.view.group_sort {
        true => arrow,
        false => "",
    };
    let mut titles = state.view.group_by.clone();
    if let Some(first) = titles.first_mut() {
        first.push_str(sorted("key"));
    }
    draw_keys(buffer, area.y, columns, &titles, look);
    let mut x = 2 + columns.key;
    for (place, (name, title, width)) in SUMS.iter().take(columns.sums).enumerate() {
        let title = format!("{title}{}", sorted(name));
        put_right(buffer, (x, area.y), *width + 1, &title, look);
        x += width + 1;
        if place == 0 && columns.bar > 0 {
            x += columns.bar;
        }
    }
}

fn draw_group(
    state: &State,
    buffer: &mut Buffer,
    group: &Group,
    y: u16,
    is_current: bool,
    columns: &Columns,
) {
    let look = |look| match is_current {
        true => theme::selected(state.palette),
        false => style(state.palette, look),
    };
    let texts = key_texts(state, group);
    draw_keys(buffer, y, columns, &texts, look(Look::Plain));
    let accounting = state.truth().accounting;
    let counted = |text: Option<String>| match text {
        Some(text) => text,
        None if accounting => "–".to_owned(),
        None => "off".to_owned(),
    };
    let newest = group.newest_start_ns.map(|start| {
        let age = state.now.wall_ns.saturating_sub(start) / 1_000_000_000;
        format::duration(age)
    });
    let values = [
        format::count(group.connections),
        counted(group.bytes.map(|bytes| format::size(as_f64(bytes)))),
        counted(group.rate.map(format::rate)),
        counted(group.packets.map(format::count)),
        match newest {
            Some(newest) => newest,
            None if state.truth().timestamps => "–".to_owned(),
            None => "off".to_owned(),
        },
    ];
    let mut x = 2 + columns.key;
    for (place, value) in values.iter().take(columns.sums).enumerate() {
        let width = SUMS[place].2;
        put_right(buffer, (x, y), width + 1, value, look(Look::Plain));
        x += width + 1;
        if place == 0 && columns.bar > 0 {
            let bar = bar(group.share.unwrap_or(0.0), columns.bar - 2);
            put(
                buffer,
                (x + 1, y),
                columns.bar - 2,
                &bar,
                look(Look::Protocol),
            );
            x += columns.bar;
        }
    }
}

/// What is not on the screen.
fn draw_rest(state: &State, buffer: &mut Buffer, body: Rect) {
    let Some(told) = &state.groups.told else {
        return;
    };
    let end = state.groups.top + state.groups.lines(body.height.into());
    let below = told.groups.len().saturating_sub(end) as u64;
    let others = told.others.as_ref();
    let others = others.map_or(0, |others| others.groups.unwrap_or(0));
    let all = format::count(told.total.groups.unwrap_or(told.groups.len() as u64));
    let text = match (below, others) {
        (0, 0) => return,
        (0, others) => format!(
            "{} more are not listed, {all} in all",
            format::count(others)
        ),
        (below, others) => format!(
            "{} more below, {all} groups in all",
            format::count(below + others)
        ),
    };
    put(
        buffer,
        (2, body.bottom() - 1),
        body.width - 2,
        &text,
        style(state.palette, Look::Quiet),
    );
}
