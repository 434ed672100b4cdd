//! Views: what can be kept in a file.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::state::Screen;

/// What is shown and how, as a file of TOML has it.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct View {
    /// Selects connections.
    pub query: String,
    /// Columns, in order; the usual ones where there are none.
    pub columns: Vec<String>,
    /// What the connections are sorted by; empty for the table's own order.
    pub sort: String,
    /// Whether the last comes first.
    pub reverse: bool,
    /// What to group by.
    pub group_by: Vec<String>,
    /// What the groups are sorted by.
    pub group_sort: String,
    /// Whether the last group comes first.
    pub group_reverse: bool,
    /// Whether names stand for addresses.
    pub names: bool,
    /// Seconds between two looks.
    pub interval: f64,
    /// What is shown first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub screen: Option<Screen>,
}

impl Default for View {
    fn default() -> Self {
        Self {
            query: String::new(),
            columns: Vec::new(),
            sort: "rate".to_owned(),
            reverse: false,
            group_by: vec!["src".to_owned()],
            group_sort: "connections".to_owned(),
            group_reverse: false,
            names: false,
            interval: 1.0,
            screen: None,
        }
    }
}

/// The shortest and the longest time between two looks, in seconds.
const INTERVALS: (f64, f64) = (0.1, 3600.0);

impl View {
    /// From a file's text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let view: Self = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            let line = before.unwrap_or_default().matches('\n').count() + 1;
            format!("line {line}: {}", error.message().replace('\n', " "))
        })?;
        let columns = view.columns.iter();
        let mut unknown = columns.filter(|id| crate::column::by_id(id).is_none());
        if let Some(id) = unknown.next() {
            let all = crate::column::COLUMNS.map(|column| column.id).join(", ");
            return Err(format!("there is no column {id:?}, only {all}"));
        }
        if view.group_by.len() > crate::state::groups::MOST_FIELDS {
            return Err("group-by has at most four fields".to_owned());
        }
        if !(INTERVALS.0..=INTERVALS.1).contains(&view.interval) {
            return Err("interval is from 0.1 to 3600 seconds".to_owned());
        }
        Ok(view)
    }

    /// As a file's text.
    pub fn text(&self) -> String {
        // Plain members always serialise.
        let text = toml::to_string(self).unwrap_or_default();
        format!("# A view of `tracklight top`.\n{text}")
    }

    /// Milliseconds between two looks.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is bounded"
    )]
    pub fn interval_ms(&self) -> u64 {
        (self.interval.clamp(INTERVALS.0, INTERVALS.1) * 1000.0) as u64
    }
}

/// The name of the view that is loaded where none is named.
pub const USUAL: &str = "top";

/// The folder of views: below `XDG_CONFIG_HOME`, else below the home.
pub fn folder(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let absolute = |name| variable(name).filter(|path| path.is_absolute());
    let home = || absolute("HOME").map(|home| home.join(".config"));
    let config = absolute("XDG_CONFIG_HOME").or_else(home)?;
    Some(config.join("tracklight"))
}

/// Where a view is: a name is one of the folder's, all else is a path.
pub fn path_of(folder: Option<&Path>, name: &str) -> PathBuf {
    let is_path = name.contains('/') || name.ends_with(".toml");
    match folder {
        Some(folder) if !is_path => folder.join(format!("{name}.toml")),
        _ => PathBuf::from(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_comes_back_as_it_was_kept() {
        let view = View {
            query: "tcp and src == \"x\"".to_owned(),
            columns: vec!["proto".to_owned(), "bytes".to_owned()],
            names: true,
            screen: Some(Screen::Groups),
            ..View::default()
        };
        assert_eq!(View::parse(&view.text()).unwrap(), view);
        assert_eq!(View::parse("").unwrap(), View::default());
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for text in ["colour = 1", "columns = [\"x\"]", "interval = 0"] {
            assert!(View::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_are_in_the_folder_and_paths_are_paths() {
        let folder = folder(|name| (name == "HOME").then(|| PathBuf::from("/h"))).unwrap();
        assert_eq!(folder, Path::new("/h/.config/tracklight"));
        let path = |name| path_of(Some(&folder), name);
        assert_eq!(path("top"), Path::new("/h/.config/tracklight/top.toml"));
        assert_eq!(path("./a"), Path::new("./a"));
        assert_eq!(path("a.toml"), Path::new("a.toml"));
    }
}
