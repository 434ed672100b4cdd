//! Where everything stands: the same for drawing and for the mouse.

use ratatui::layout::Rect;

use crate::column::{self, Placed, cells};
use crate::state::chooser::Chooser;
use crate::state::table::Table;
use crate::state::{Screen, State};

/// The parts of the screen, from top to bottom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The table in numbers.
    pub header: Rect,
    /// The query line.
    pub line: Rect,
    /// The headings.
    pub heading: Rect,
    /// The rows.
    pub body: Rect,
    /// Keys, or a message.
    pub footer: Rect,
}

/// Lines of the header.
const HEADER: u16 = 3;

/// Cells before the first column: the mark.
pub const MARGIN: u16 = 2;

/// The smallest screen that is drawn.
pub const LEAST: (u16, u16) = (40, 12);

/// The screens, as they are chosen.
pub const SCREENS: [(Screen, &str); 4] = [
    (Screen::Connections, "Connections"),
    (Screen::Groups, "Groups"),
    (Screen::Events, "Events"),
    (Screen::Health, "Health"),
];

impl Layout {
    /// Of a screen of so many columns and rows.
    pub fn of((width, height): (u16, u16)) -> Self {
        let mut y = 0;
        let mut take = |wanted: u16| {
            let rows = wanted.min(height.saturating_sub(y));
            let rect = Rect::new(0, y, width, rows);
            y += rows;
            rect
        };
        let header = take(HEADER);
        let line = take(1);
        let heading = take(1);
        let body = take(height.saturating_sub(HEADER + 3));
        let footer = take(1);
        Self {
            header,
            line,
            heading,
            body,
            footer,
        }
    }

    /// The part that screens without headings have.
    pub fn whole(&self) -> Rect {
        self.heading.union(self.body)
    }
}

impl State {
    /// Where everything stands.
    pub fn layout(&self) -> Layout {
        Layout::of(self.size)
    }

    /// How many rows there is room for.
    pub fn height(&self) -> usize {
        usize::from(self.layout().body.height)
    }

    /// The columns that are on the screen.
    pub fn placed(&self) -> Vec<Placed> {
        let columns = Table::columns(&self.view.columns);
        let shift = self.table.shift.min(columns.len().saturating_sub(1));
        let width = self.size.0.saturating_sub(MARGIN);
        let mut placed = column::place(&columns[shift..], &self.table.widths, width);
        for placed in &mut placed {
            placed.x += MARGIN;
        }
        placed
    }
}

/// Where each screen is chosen: begin and width.
pub fn tabs() -> [(Screen, &'static str, u16, u16); 4] {
    let mut x = 0;
    SCREENS.map(|(screen, title)| {
        let width = cells(title) + 2;
        let begin = x;
        x += width;
        (screen, title, begin, width)
    })
}

/// Where a list to choose from stands.
pub fn chooser(size: (u16, u16), chooser: &Chooser) -> Rect {
    let rows = u16::try_from(chooser.shown().len()).unwrap_or(u16::MAX);
    let widest = chooser
        .all
        .iter()
        .map(|choice| cells(&choice.name).max(14) + cells(&choice.meaning) + 10);
    let width = widest.max().unwrap_or(0).clamp(36, 90);
    centred(size, width, rows.saturating_add(3).max(6))
}

/// Cells beside a window, both sides together, that are worth showing.
const BESIDE: u16 = 12;

/// A window in the middle, below the header. Where little would be left beside it, it takes all of the width: a letter
/// or two of what lies below say nothing.
pub fn centred((width, height): (u16, u16), wanted_width: u16, wanted_height: u16) -> Rect {
    let wide = match wanted_width.saturating_add(BESIDE) > width {
        true => width,
        false => wanted_width,
    };
    let high = wanted_height.min(height.saturating_sub(HEADER + 1));
    Rect {
        x: (width - wide) / 2,
        y: HEADER + (height.saturating_sub(HEADER + 1) - high) / 2,
        width: wide,
        height: high,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_belongs_to_one_part() {
        for height in 0..80 {
            let layout = Layout::of((80, height));
            let parts = [
                layout.header,
                layout.line,
                layout.heading,
                layout.body,
                layout.footer,
            ];
            let sum: u16 = parts.iter().map(|part| part.height).sum();
            assert_eq!(sum, height, "{layout:?}");
        }
    }

    #[test]
    fn windows_are_inside() {
        for (width, height) in [(10, 5), (60, 16), (300, 90)] {
            let rect = centred((width, height), 90, 50);
            assert!(rect.right() <= width && rect.bottom() <= height.max(HEADER));
        }
    }
}
