//! Hundreds of command lines, one after the other.

use ctnetlink::NewEntry;

use crate::twin::Twin;

/// One command line a line, words split as a shell splits them; `!` in front of one that differs on
/// purpose, for which `docs/compat.md` has the reason.
const LINES: &str = include_str!("lines.txt");

/// A table of everything but what conntrack(8) of Debian cannot tell.
pub(crate) fn entries() -> Vec<NewEntry> {
    (0..60).map(testkit::fill::entry).collect()
}

/// Words of a line; quotes keep what is between them.
pub(crate) fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = None::<String>;
    let mut quote = None;
    for letter in line.chars() {
        match (letter, quote) {
            ('\'' | '"', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (letter, Some(open)) if letter == open => quote = None,
            (' ', None) => words.extend(word.take()),
            (letter, _) => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

#[test]
fn the_same_lines_give_the_same_words_statuses_and_tables() {
    let Some(twin) = Twin::new(entries()) else {
        return;
    };
    compare(&twin, LINES);
}

/// Runs both with each of the lines.
pub(crate) fn compare(twin: &Twin, lines: &str) {
    let mut wrong = Vec::new();
    for line in lines.lines().filter(|line| !line.starts_with('#')) {
        let (differs, line) = match line.strip_prefix('!') {
            Some(line) => (true, line),
            None => (false, line),
        };
        let words = words(line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match (twin.differs(&words, ""), differs) {
            (Some(how), false) => {
                wrong.push(format!("{line}\n  {how}"));
                twin.refill();
            }
            (None, true) if twin.cannot(&words) => {}
            (None, true) => wrong.push(format!("{line}\n  is said to differ, and does not")),
            (Some(_), true) => twin.refill(),
            (None, false) => {}
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
