//! Deleting: what, what would go, and what came of it.

use crate::cell::{is_destination_translated, is_source_translated};
use crate::wire::{self, Fault, Row, Way};

/// Deleting, from the question what to the answer what came of it.
#[derive(Clone, Debug)]
pub struct Deleting {
    /// How far it is.
    pub stage: Stage,
    /// How many lines are scrolled away.
    pub top: usize,
}

/// How far a deletion is.
#[derive(Clone, Debug)]
pub enum Stage {
    /// What is to be deleted is asked.
    Which {
        /// What there is to choose from.
        choices: Vec<Choice>,
        /// Which is chosen.
        at: usize,
    },
    /// It is looked which connections these are.
    Looking(Choice),
    /// What would go is shown.
    Shown {
        /// What was chosen.
        choice: Choice,
        /// What would go.
        preview: wire::Deletion,
        /// Whether also the session that somebody is in.
        is_forced: bool,
    },
    /// It is deleted.
    Doing(wire::Deletion),
    /// What came of it.
    Done(wire::Deletion),
    /// It is put back.
    Undoing,
    /// What came of that.
    Undone(wire::Deletion),
    /// It was refused.
    Failed {
        /// Why.
        fault: Fault,
        /// What was chosen, where it can be asked again.
        choice: Option<Choice>,
    },
}

/// Something that can be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// What it is.
    pub title: String,
    /// What selects it.
    pub query: String,
    /// How many somebody means, if that is known.
    pub meant: Option<u64>,
    /// Whether everything is meant.
    pub is_all: bool,
}

impl Choice {
    /// Connections that were chosen one by one.
    pub fn rows<'a>(title: String, rows: impl IntoIterator<Item = &'a Row>) -> Self {
        let terms: Vec<String> = rows.into_iter().map(exactly).collect();
        let meant = Some(terms.len() as u64);
        let query = match &terms[..] {
            [one] => one.clone(),
            many => {
                let many: Vec<String> = many.iter().map(|term| format!("({term})")).collect();
                many.join(" or ")
            }
        };
        Self {
            title,
            query,
            meant,
            is_all: false,
        }
    }
}

/// What selects a connection and no other: ids alone are hashes, of which two may be alike.
pub fn exactly(row: &Row) -> String {
    let mut terms = Vec::new();
    if let Some(id) = row.id {
        terms.push(format!("id == {id:#x}"));
    }
    terms.push(format!("proto == {}", row.protocol()));
    terms.push(format!("src == {}", row.orig.src));
    terms.push(format!("dst == {}", row.orig.dst));
    let ports = |way: &Way| (way.sport, way.dport);
    if let (Some(sport), Some(dport)) = ports(&row.orig) {
        terms.push(format!("sport == {sport} and dport == {dport}"));
    }
    if is_source_translated(row) || is_destination_translated(row) {
        terms.push(format!("peer == {}", row.reply.src));
    }
    terms.push(format!("zone == {}", row.zone));
    terms.join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_named_by_id_and_tuple() {
        let way = |src: &str, dst: &str| Way {
            src: src.to_owned(),
            dst: dst.to_owned(),
            sport: Some(1),
            dport: Some(2),
            ..Way::default()
        };
        let row = Row {
            id: Some(255),
            protocol: Some("tcp".to_owned()),
            orig: way("10.0.0.1", "10.0.0.2"),
            reply: Way {
                sport: Some(2),
                dport: Some(1),
                ..way("10.0.0.2", "10.0.0.1")
            },
            ..Row::default()
        };
        let wanted = "id == 0xff and proto == tcp and src == 10.0.0.1 and dst == 10.0.0.2 \
                      and sport == 1 and dport == 2 and zone == 0";
        assert_eq!(exactly(&row), wanted);
        let two = Choice::rows("two".to_owned(), [&row, &row]);
        assert_eq!(two.query, format!("({wanted}) or ({wanted})"));
        assert_eq!(two.meant, Some(2));
    }
}
