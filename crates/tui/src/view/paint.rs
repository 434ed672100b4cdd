//! Texts into cells.

use std::borrow::Cow;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;
use ratatui::widgets::{Block, BorderType, Clear, Widget};
use unicode_width::UnicodeWidthChar;

use crate::cell::Look;
use crate::column::cells;

use super::theme::{Palette, style};

/// A line and how it is drawn.
pub(super) type Styled = (String, Look);

/// Writes a text, cut where there is no room; gives where it ends.
pub(super) fn put(
    buffer: &mut Buffer,
    (x, y): (u16, u16),
    width: u16,
    text: &str,
    style: Style,
) -> u16 {
    if y >= buffer.area.bottom() {
        // A terminal of no rows.
        return x;
    }
    let text = cut(text, width);
    buffer.set_stringn(x, y, &text, usize::from(width), style);
    x + cells(&text).min(width)
}

/// Writes lines, those from `top` on, as far as there is room.
pub(super) fn put_lines(
    buffer: &mut Buffer,
    area: Rect,
    lines: &[Styled],
    top: usize,
    palette: Palette,
) {
    for ((text, look), y) in lines.iter().skip(top).zip(area.top()..area.bottom()) {
        put(buffer, (2, y), area.width - 3, text, style(palette, *look));
    }
}

/// Writes a text so that it ends where the width does.
pub(super) fn put_right(
    buffer: &mut Buffer,
    (x, y): (u16, u16),
    width: u16,
    text: &str,
    style: Style,
) {
    let begin = x + width.saturating_sub(cells(text));
    put(buffer, (begin, y), width, text, style);
}

/// A text that takes at most so many cells.
pub(super) fn cut(text: &str, width: u16) -> Cow<'_, str> {
    if cells(text) <= width {
        return Cow::Borrowed(text);
    }
    let mut taken = String::new();
    let mut left = usize::from(width).saturating_sub(1);
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if wide > left {
            break;
        }
        left -= wide;
        taken.push(c);
    }
    if width > 0 {
        taken.push('…');
    }
    Cow::Owned(taken)
}

/// The same for a text whose end matters: it is cut before that.
pub(super) fn cut_middle(text: &str, width: u16) -> Cow<'_, str> {
    if cells(text) <= width {
        return Cow::Borrowed(text);
    }
    let port = text.rfind(':').map_or("", |colon| &text[colon..]);
    let room = width.saturating_sub(cells(port));
    if port.is_empty() || room < 4 || cells(port) > 6 {
        return cut(text, width);
    }
    let before = cut(&text[..text.len() - port.len()], room);
    Cow::Owned(format!("{before}{port}"))
}

/// A window with a title and a line of keys at its foot; gives what is inside.
pub(super) fn window(
    buffer: &mut Buffer,
    rect: Rect,
    title: &str,
    keys: &str,
    style: Style,
) -> Rect {
    Clear.render(rect, buffer);
    let block = Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(style)
        .title_top(Line::from(format!(" {title} ")))
        .title_bottom(Line::from(format!(
            " {} ",
            cut(keys, rect.width.saturating_sub(4))
        )));
    let inside = block.inner(rect);
    block.render(rect, buffer);
    inside
}

/// A text in lines of at most so many cells, broken between words.
pub(super) fn wrap(text: &str, width: u16) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            let room = width.saturating_sub(cells(&line) + u16::from(!line.is_empty()));
            if cells(word) > room && !line.is_empty() {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
            while cells(&line) > width && width > 1 {
                // A word that is longer than a line.
                let begin: String = cut(&line, width + 1).trim_end_matches('…').to_owned();
                line = line[begin.len()..].to_owned();
                lines.push(begin);
            }
        }
        lines.push(line);
    }
    lines
}

const EIGHTHS: [char; 8] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A bar of so many cells, as full as a part from 0 to 1.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is bounded by the width"
)]
pub(super) fn bar(part: f64, width: u16) -> String {
    let eighths = (part.clamp(0.0, 1.0) * f64::from(width) * 8.0).round() as usize;
    // What is there is seen, however little.
    let eighths = if part > 0.0 { eighths.max(1) } else { eighths };
    let mut text: String = std::iter::repeat_n('█', eighths / 8).collect();
    if eighths % 8 > 0 {
        text.push(EIGHTHS[eighths % 8 - 1]);
    }
    text
}

/// Numbers over time, one cell each at most: the newest to the right, each the largest of its while.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is bounded by eight"
)]
pub(super) fn spark(values: &[f64], width: u16) -> String {
    let width = usize::from(width);
    if width == 0 || values.is_empty() {
        return String::new();
    }
    let each = values.len().div_ceil(width);
    let largest = values.iter().copied().fold(0.0, f64::max);
    // Whiles are counted from the end, so that what is drawn does not flicker.
    let mut cells: Vec<char> = values
        .rchunks(each)
        .take(width)
        .map(|while_| {
            let value = while_.iter().copied().fold(0.0, f64::max);
            match largest > 0.0 {
                true => HEIGHTS[((value / largest * 7.0).round() as usize).min(7)],
                false => HEIGHTS[0],
            }
        })
        .collect();
    cells.reverse();
    cells.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_by_cells() {
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(cut("漢字漢字", 5), "漢字…");
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abc", 0), "");
        assert_eq!(cut_middle("192.168.100.200:443", 15), "192.168.10…:443");
        assert_eq!(cut_middle("[2001:db8::1]:443", 12), "[2001:d…:443");
    }

    #[test]
    fn bars_show_what_is_there_and_no_more() {
        assert_eq!(bar(0.0, 10), "");
        assert_eq!(bar(0.0001, 10), "▏");
        assert_eq!(bar(0.5, 10), "█████");
        assert_eq!(bar(2.0, 3), "███");
    }

    #[test]
    fn sparks_are_as_long_as_there_is_room() {
        assert_eq!(spark(&[0.0, 7.0, 14.0], 3), "▁▅█");
        assert_eq!(spark(&[0.0; 10], 4), "▁▁▁▁");
        let many: Vec<f64> = (0..300).map(f64::from).collect();
        assert_eq!(spark(&many, 60).chars().count(), 60);
        assert_eq!(spark(&many, 7).chars().count(), 7);
    }

    #[test]
    fn lines_break_between_words_and_long_words_break_anywhere() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("a\n\nb", 4), ["a", "", "b"]);
    }
}
