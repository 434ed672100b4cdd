//! What happens to connections, the newest first.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::cell::{Context, Look, as_f64, cell};
use crate::column::cells;
use crate::format;
use crate::state::State;
use crate::state::events::Told;
use crate::wire::Happened;

use super::paint::{cut_middle, put};
use super::table::{draw_words, words_of};
use super::theme::{self, style};

pub(super) fn draw(state: &State, buffer: &mut Buffer) {
    let parts = state.layout();
    let heading = theme::heading(state.palette);
    buffer.set_style(parts.heading, heading);
    let text = match has_state(parts.heading.width) {
        true => "Time      What     Proto State        Connection",
        false => "Time     What        Proto  Connection",
    };
    put(
        buffer,
        (1, parts.heading.y),
        parts.heading.width - 2,
        text,
        heading,
    );
    let events = &state.events;
    if events.told.is_empty() {
        let (title, more) = match &events.fault {
            Some(fault) => words_of(fault, "Nothing is heard"),
            None if state.pulse.summary.is_some() && !state.pulse.truth.events => (
                "The kernel does not tell of connections".to_owned(),
                "It does with: sysctl -w net.netfilter.nf_conntrack_events=1".to_owned(),
            ),
            None => (
                "Nothing has happened yet".to_owned(),
                "Births, changes and ends are shown here as they happen.".to_owned(),
            ),
        };
        return draw_words(state, buffer, &title, &more);
    }
    let body = parts.body;
    for line in 0..body.height {
        let place = events.top + usize::from(line);
        let Some(told) = events.nth(place) else { break };
        let y = body.y + line;
        let is_current = place == events.at;
        if is_current {
            buffer.set_style(
                Rect::new(0, y, body.width, 1),
                theme::selected(state.palette),
            );
        }
        match told {
            Told::Happened(happened) => draw_one(state, buffer, happened, y, is_current),
            Told::Missed(many) => {
                let text = match many {
                    Some(many) => format!(
                        "{} events are not shown: they came too fast",
                        format::count(*many)
                    ),
                    None => "some events were lost: nobody counted them".to_owned(),
                };
                put(
                    buffer,
                    (1, y),
                    body.width - 2,
                    &text,
                    style(state.palette, Look::Notice),
                );
            }
        }
    }
}

/// Both ends, each of which is cut before the other has less than half of the room.
fn between(source: &str, destination: &str, room: u16) -> String {
    let room = room.saturating_sub(3);
    let of_source = room - cells(destination).min(room / 2);
    let of_destination = room - cells(source).min(of_source);
    let source = cut_middle(source, of_source);
    format!("{source} → {}", cut_middle(destination, of_destination))
}

/// An end alone: of the four, the port that the opener was given says least.
fn without_port(text: &str, port: Option<u16>) -> &str {
    let Some((end, _)) = text.rsplit_once(':').filter(|_| port.is_some()) else {
        return text;
    };
    let bare = end.strip_prefix('[').and_then(|end| end.strip_suffix(']'));
    bare.unwrap_or(end)
}

/// Whether there is room for the state beside who speaks with whom.
const fn has_state(width: u16) -> bool {
    width >= 72
}

fn draw_one(state: &State, buffer: &mut Buffer, happened: &Happened, y: u16, is_current: bool) {
    let row = &happened.entry;
    let width = state.size.0.saturating_sub(1);
    let look = |look| match is_current {
        true => theme::selected(state.palette),
        false => style(state.palette, look),
    };
    let truth = state.truth();
    let context = Context {
        now_ns: happened.time_ns,
        since: 0,
        names: state.view.names,
        truth,
    };
    let (word, of_word) = match happened.event.as_str() {
        "new" => ("new", Look::Good),
        "destroy" => ("end", Look::Quiet),
        _ => ("change", Look::Up),
    };
    let text = |id| cell(id, row, &context);
    let mut x = 1;
    let mut say = |text: &str, wide: u16, of: Look| {
        if x < width {
            put(buffer, (x, y), wide.min(width - x), text, look(of));
            x += wide;
        }
    };
    let time = state.clock.time_of_day(happened.time_ns);
    let state_cell = text("state");
    if has_state(state.size.0) {
        say(&time, 10, Look::Quiet);
        say(word, 9, of_word);
        say(&text("proto").text, 6, Look::Protocol);
        say(&state_cell.text, 13, state_cell.look);
    } else {
        say(&time, 9, Look::Quiet);
        // What has changed is the state, mostly.
        match word == "change" && !state_cell.text.is_empty() {
            true => say(&state_cell.text, 12, state_cell.look),
            false => say(word, 12, of_word),
        }
        say(&text("proto").text, 7, Look::Protocol);
    }
    let room = width.saturating_sub(x);
    let source = text("source").text;
    let source = match has_state(state.size.0) {
        true => source.as_str(),
        false => without_port(&source, row.orig.sport),
    };
    let ends = between(source, &text("destination").text, room);
    let mut more = text("nat").text;
    if happened.event == "destroy" {
        if let Some(bytes) = row.bytes() {
            more.push_str(&format!("  {}", format::size(as_f64(bytes))));
        }
        if row.start_ns.is_some() {
            more.push_str(&format!(" in {}", text("age").text));
        }
    }
    x = put(buffer, (x, y), room, &ends, look(Look::Plain)) + 2;
    // A letter or two of it would say nothing.
    if x + 8 < width {
        put(
            buffer,
            (x, y),
            width - x,
            more.trim_start(),
            look(Look::Plain),
        );
    }
}
