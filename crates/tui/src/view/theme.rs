//! Colours, from none to all.

use ratatui::style::{Color, Modifier, Style};

use crate::cell::Look;

/// How many colours the terminal has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Palette {
    /// None: bold, dim and reversed only.
    None,
    /// The sixteen that everybody has, as they chose them.
    #[default]
    Sixteen,
    /// All.
    True,
}

impl Palette {
    /// What the environment says: `NO_COLOR`, `COLORTERM`, `TERM`.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        let is_set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
        let is = |name: &str, wanted: &str| variable(name).is_some_and(|value| value == wanted);
        if is_set("NO_COLOR") || is("TERM", "dumb") {
            Self::None
        } else if is("COLORTERM", "truecolor") || is("COLORTERM", "24bit") {
            Self::True
        } else {
            Self::Sixteen
        }
    }

    const fn pick(self, sixteen: Color, all: (u8, u8, u8)) -> Option<Color> {
        match self {
            Self::None => None,
            Self::Sixteen => Some(sixteen),
            Self::True => Some(Color::Rgb(all.0, all.1, all.2)),
        }
    }
}

/// As everything.
pub const fn plain() -> Style {
    Style::new()
}

/// How a look is drawn.
pub fn style(palette: Palette, look: Look) -> Style {
    let colour = |sixteen, all| match palette.pick(sixteen, all) {
        Some(colour) => Style::new().fg(colour),
        None => Style::new(),
    };
    match look {
        Look::Plain => Style::new(),
        Look::Quiet => match palette {
            Palette::None => Style::new().add_modifier(Modifier::DIM),
            _ => colour(Color::DarkGray, (128, 136, 148)),
        },
        Look::Good => colour(Color::Green, (96, 200, 120)),
        Look::Notice => colour(Color::Yellow, (230, 180, 60)),
        Look::Bad => colour(Color::Red, (240, 96, 96)).add_modifier(Modifier::BOLD),
        Look::Up => colour(Color::Cyan, (90, 190, 220)),
        Look::Down => colour(Color::Green, (120, 205, 130)),
        Look::Translated => colour(Color::Magenta, (200, 140, 220)),
        Look::Name => colour(Color::Cyan, (130, 200, 230)),
        // The dark blue of many terminals cannot be read on black.
        Look::Protocol => colour(Color::LightBlue, (120, 160, 240)),
        Look::Strong => Style::new().add_modifier(Modifier::BOLD),
    }
}

/// What keys are about.
pub fn selected(palette: Palette) -> Style {
    match palette.pick(Color::Blue, (38, 64, 110)) {
        Some(background) => {
            let light = palette.pick(Color::White, (240, 244, 250));
            let style = Style::new().bg(background).add_modifier(Modifier::BOLD);
            light.map_or(style, |light| style.fg(light))
        }
        None => Style::new().add_modifier(Modifier::REVERSED),
    }
}

/// Headings of columns, and the tab that is shown.
pub fn heading(palette: Palette) -> Style {
    match palette.pick(Color::Gray, (200, 206, 216)) {
        Some(background) => {
            let dark = palette.pick(Color::Black, (24, 28, 36));
            dark.map_or(Style::new(), |dark| Style::new().fg(dark).bg(background))
        }
        None => Style::new().add_modifier(Modifier::REVERSED),
    }
}

/// Where a mistake is.
pub fn mistake(palette: Palette) -> Style {
    style(palette, Look::Bad).add_modifier(Modifier::UNDERLINED)
}

/// How full something is, in colours.
pub fn look_of_part(part: f64) -> Look {
    match part {
        _ if part >= 0.95 => Look::Bad,
        _ if part >= 0.8 => Look::Notice,
        _ => Look::Good,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn palette(variables: &[(&str, &str)]) -> Palette {
        Palette::from_environment(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn no_color_wins_and_empty_is_not_set() {
        assert_eq!(
            palette(&[("NO_COLOR", "1"), ("COLORTERM", "truecolor")]),
            Palette::None
        );
        assert_eq!(
            palette(&[("NO_COLOR", ""), ("COLORTERM", "24bit")]),
            Palette::True
        );
        assert_eq!(palette(&[("TERM", "xterm")]), Palette::Sixteen);
        assert_eq!(palette(&[("TERM", "dumb")]), Palette::None);
    }

    #[test]
    fn without_colours_there_are_none() {
        for look in [Look::Good, Look::Bad, Look::Name, Look::Quiet, Look::Up] {
            let style = style(Palette::None, look);
            assert_eq!((style.fg, style.bg), (None, None));
        }
        assert_eq!(selected(Palette::None).bg, None);
        assert_eq!(heading(Palette::None).bg, None);
    }
}
