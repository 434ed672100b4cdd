//! The query line.

use crate::wire::{Candidate, Completion, Fault};

/// How many queries are remembered.
const REMEMBERED: usize = 50;

/// The query line.
#[derive(Clone, Debug, Default)]
pub struct Line {
    /// Whether somebody types into it.
    pub is_open: bool,
    /// The text.
    pub text: String,
    /// Where the cursor is, in characters.
    pub cursor: usize,
    /// What is wrong with the text, and with which.
    pub fault: Option<Fault>,
    /// What is hardly meant.
    pub warning: Option<String>,
    /// The text that was checked last.
    pub checked: Option<String>,
    /// The text that is being checked.
    pub checking: Option<String>,
    /// The query before the one that was taken before anybody knew whether it is one.
    pub before: Option<String>,
    /// The text, and the place in it, of which it was asked last what can follow.
    pub completing: (String, usize),
    /// What can follow, and where.
    pub completion: Option<Completion>,
    /// Which of it is chosen.
    pub chosen: Option<usize>,
    /// Earlier queries, the newest last.
    pub history: Vec<String>,
    /// Which of them is shown.
    pub recalled: Option<usize>,
    /// Whether somebody has asked for a text that is no query.
    pub is_insisted: bool,
}

impl Line {
    /// Begins with a text.
    pub(crate) fn open(&mut self, text: &str) {
        *self = Self {
            is_open: true,
            text: text.to_owned(),
            cursor: text.chars().count(),
            history: std::mem::take(&mut self.history),
            before: self.before.take(),
            ..Self::default()
        };
    }

    /// What is wrong with the text and should be told: not that a word is not finished that is being typed, as long as
    /// there are ways to go on with it.
    pub fn told_fault(&self) -> Option<&Fault> {
        let fault = self.fault.as_ref()?;
        if self.checked.as_ref() != Some(&self.text) {
            return None;
        }
        let (Some(completion), Some(offset)) = (&self.completion, fault.offset) else {
            return Some(fault);
        };
        let is_at_end = self.cursor == self.text.chars().count();
        let is_of_word = offset as usize >= completion.offset;
        let can_go_on = is_at_end && is_of_word && !completion.candidates.is_empty();
        (!can_go_on || self.is_insisted).then_some(fault)
    }

    /// Nobody types any more.
    pub(crate) fn close(&mut self) {
        self.is_open = false;
        self.completion = None;
        self.chosen = None;
        self.fault = None;
    }

    /// Remembers a query.
    pub(crate) fn remember(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        self.history.retain(|known| known != text);
        self.history.push(text.to_owned());
        if self.history.len() > REMEMBERED {
            self.history.remove(0);
        }
    }

    fn byte(&self, place: usize) -> usize {
        let found = self.text.char_indices().nth(place);
        found.map_or(self.text.len(), |(byte, _)| byte)
    }

    /// Puts a text where the cursor is.
    pub(crate) fn insert(&mut self, text: &str) {
        let text: String = text.chars().filter(|c| !c.is_control()).collect();
        let at = self.byte(self.cursor);
        self.text.insert_str(at, &text);
        self.cursor += text.chars().count();
        self.changed();
    }

    /// Takes a piece away.
    pub(crate) fn cut(&mut self, from: usize, to: usize) {
        let (begin, end) = (self.byte(from), self.byte(to));
        self.text.replace_range(begin..end, "");
        self.cursor = from;
        self.changed();
    }

    /// Puts another text there.
    pub(crate) fn replace(&mut self, text: &str) {
        text.clone_into(&mut self.text);
        self.cursor = text.chars().count();
        self.changed();
    }

    /// Where the word before the cursor begins.
    pub(crate) fn word_before(&self) -> usize {
        let chars: Vec<char> = self.text.chars().take(self.cursor).collect();
        let mut place = chars.len();
        while place > 0 && chars[place - 1].is_whitespace() {
            place -= 1;
        }
        while place > 0 && !chars[place - 1].is_whitespace() {
            place -= 1;
        }
        place
    }

    fn changed(&mut self) {
        self.chosen = None;
        self.completion = None;
        self.warning = None;
        self.is_insisted = false;
    }

    /// What can follow.
    pub fn candidates(&self) -> &[Candidate] {
        let completion = self.completion.as_ref();
        completion.map_or(&[], |completion| &completion.candidates)
    }

    /// Goes to the next way to go on, or the one before.
    pub(crate) fn choose(&mut self, by: isize) {
        let many = self.candidates().len();
        if many == 0 {
            return;
        }
        self.chosen = Some(match self.chosen {
            None if by > 0 => 0,
            None => many - 1,
            Some(place) => (place + many).saturating_add_signed(by) % many,
        });
    }

    /// Goes on as it is chosen, or as the only way is; whether anything was put there.
    pub(crate) fn accept(&mut self) -> bool {
        let many = self.candidates().len();
        let place = self.chosen.or((many == 1).then_some(0));
        let Some((place, completion)) = place.zip(self.completion.clone()) else {
            return false;
        };
        let Some(candidate) = completion.candidates.get(place) else {
            return false;
        };
        self.cut(completion.offset, completion.offset + completion.length);
        self.insert(&candidate.text);
        let next = self.text.chars().nth(self.cursor);
        if next.is_none() && !candidate.text.ends_with(['(', '{', '"', ' ']) {
            self.insert(" ");
        }
        true
    }

    /// Shows an earlier query, or a later one.
    pub(crate) fn recall(&mut self, by: isize) {
        let many = self.history.len();
        if many == 0 {
            return;
        }
        let place = match (self.recalled, by > 0) {
            (None, true) => return,
            (None, false) => many - 1,
            (Some(place), _) => place.saturating_add_signed(by).min(many - 1),
        };
        let text = self.history[place].clone();
        self.replace(&text);
        self.recalled = Some(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        let mut line = Line::default();
        line.open(text);
        line
    }

    #[test]
    fn editing_counts_characters_not_bytes() {
        let mut line = line("aé漢");
        line.insert("x\n");
        assert_eq!((line.text.as_str(), line.cursor), ("aé漢x", 4));
        line.cut(1, 3);
        assert_eq!((line.text.as_str(), line.cursor), ("ax", 1));
        line.cursor = 99;
        line.insert("z");
        assert_eq!(line.text, "axz");
    }

    #[test]
    fn words_are_taken_away_as_in_a_shell() {
        let mut line = line("tcp and  dport ");
        let from = line.word_before();
        line.cut(from, line.cursor);
        assert_eq!(line.text, "tcp and  ");
    }

    #[test]
    fn completion_takes_the_place_of_the_word() {
        let mut line = line("tcp and dpo");
        line.completion = Some(Completion {
            offset: 8,
            length: 3,
            candidates: vec![Candidate {
                text: "dport".to_owned(),
                ..Candidate::default()
            }],
        });
        assert!(line.accept());
        assert_eq!(line.text, "tcp and dport ");
        assert!(!line.accept(), "it is used up");
    }

    #[test]
    fn earlier_queries_come_back_the_newest_first() {
        let mut line = line("");
        for text in ["a", "b", "a", ""] {
            line.remember(text);
        }
        assert_eq!(line.history, ["b", "a"]);
        line.recall(-1);
        assert_eq!(line.text, "a");
        line.recall(-1);
        line.recall(-1);
        assert_eq!(line.text, "b");
        line.recall(1);
        assert_eq!(line.text, "a");
    }
}
