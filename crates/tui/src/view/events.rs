//! What happens to connections, the newest first.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::cell::{Context, Look, as_f64, cell};
use crate::format;
use crate::state::State;
use crate::state::events::Told;
use crate::wire::Happened;

use super::paint::put;
use super::table::{draw_words, words_of};
use super::theme::{self, style};

pub(super) fn draw(state: &State, buffer: &mut Buffer) {
    let parts = state.layout();
    let heading = theme::heading(state.palette);
    buffer.set_style(parts.heading, heading);
    let text = "Time      What     Proto State        Connection";
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

fn draw_one(state: &State, buffer: &mut Buffer, happened: &Happened, y: u16, is_current: bool) {
    let row = &happened.entry;
    let width = state.size.0 - 1;
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
    say(&state.clock.time_of_day(happened.time_ns), 10, Look::Quiet);
    say(word, 9, of_word);
    say(&text("proto").text, 6, Look::Protocol);
    let state_cell = text("state");
    say(&state_cell.text, 13, state_cell.look);
    let mut rest = format!("{} → {}", text("source").text, text("destination").text);
    let nat = text("nat").text;
    if !nat.is_empty() {
        rest.push_str("  ");
        rest.push_str(&nat);
    }
    if happened.event == "destroy" {
        if let Some(bytes) = row.bytes() {
            rest.push_str(&format!("  {}", format::size(as_f64(bytes))));
        }
        if row.start_ns.is_some() {
            rest.push_str(&format!(" in {}", text("age").text));
        }
    }
    say(&rest, 1000, Look::Plain);
}
