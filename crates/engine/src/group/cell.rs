//! One field of a group's key, as it is shown.

use ctnetlink::Labels;

use crate::render::{push_hex, push_number};

/// The value of one field that the entries of a group have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Cell {
    /// The entries lack it.
    Absent,
    /// A port or a zone.
    Number(u64),
    /// A mark.
    Mark(u32),
    /// Labels that are set.
    Labels(Labels),
    /// Everything else.
    Text(String),
}

impl Cell {
    /// Appends it as a table and CSV show it; nothing for what is absent.
    pub fn write_text(&self, out: &mut Vec<u8>) {
        match self {
            Self::Absent => {}
            Self::Number(number) => push_number(out, *number),
            Self::Mark(mark) => push_hex(out, *mark),
            Self::Labels(labels) => write_numbers(out, *labels, b' '),
            Self::Text(text) => out.extend_from_slice(text.as_bytes()),
        }
    }

    /// Appends it as JSON; `null` for what is absent.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        match self {
            Self::Absent => out.extend_from_slice(b"null"),
            Self::Number(number) => push_number(out, *number),
            Self::Mark(mark) => push_number(out, *mark),
            Self::Labels(labels) => {
                out.push(b'[');
                write_numbers(out, *labels, b',');
                out.push(b']');
            }
            Self::Text(text) => {
                // A string always serialises, and writing to a vector does not fail.
                let _ = serde_json::to_writer(out, text);
            }
        }
    }
}

fn write_numbers(out: &mut Vec<u8>, labels: Labels, between: u8) {
    for (index, number) in labels.iter().enumerate() {
        if index > 0 {
            out.push(between);
        }
        push_number(out, number);
    }
}
