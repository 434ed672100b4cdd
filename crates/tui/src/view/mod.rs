//! Draws the state, and changes nothing.

pub mod chooser;
pub mod deletion;
pub mod details;
mod events;
mod footer;
mod groups;
mod header;
pub mod health;
pub mod help;
mod line;
mod paint;
mod table;
pub mod theme;

use ratatui::Frame;
use ratatui::widgets::{Clear, Widget};

use crate::layout::LEAST;
use crate::state::{Overlay, Screen, State};

/// Draws all of it.
pub fn view(state: &State, frame: &mut Frame<'_>) {
    let area = frame.area();
    let buffer = frame.buffer_mut();
    Clear.render(area, buffer);
    if state.size.0 < LEAST.0 || state.size.1 < LEAST.1 {
        let (width, height) = LEAST;
        let text = format!("Too small: {width} × {height} at least");
        paint::put(buffer, (0, 0), area.width, &text, theme::plain());
        return;
    }
    header::draw(state, buffer);
    line::draw(state, buffer);
    if let Some(Overlay::Details(details)) = &state.overlay {
        details::draw(state, details, buffer);
    } else {
        match state.screen {
            Screen::Connections => table::draw(state, buffer),
            Screen::Groups => groups::draw(state, buffer),
            Screen::Events => events::draw(state, buffer),
            Screen::Health => health::draw(state, buffer),
        }
    }
    footer::draw(state, buffer);
    match &state.overlay {
        Some(Overlay::Help(top)) => help::draw(state, *top, buffer),
        Some(Overlay::Chooser(chooser)) => chooser::draw(state, chooser, buffer),
        Some(Overlay::Deletion(deleting)) => deletion::draw(state, deleting, buffer),
        Some(Overlay::Save(name)) => footer::draw_save(state, name, buffer),
        Some(Overlay::Details(_)) | None => {}
    }
    if let Some(position) = line::draw_open(state, buffer).or_else(|| footer::cursor(state)) {
        frame.set_cursor_position(position);
    }
}
