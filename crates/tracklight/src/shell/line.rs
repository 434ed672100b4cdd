//! A command line as the shell will cut it, from its beginning to the cursor.

use super::Shell;

/// A line that is being typed.
#[derive(Debug)]
pub(super) struct Line<'a> {
    /// As it was typed.
    pub(super) raw: &'a str,
    /// The words before the last, without quotes; the first is the program.
    pub(super) before: Vec<String>,
    /// The word at the cursor; it may be empty.
    pub(super) last: Word,
    /// Where the word begins that readline replaces, in bytes: behind the last of the characters
    /// at which it breaks words, other than those in quotes.
    pub(super) readline: usize,
}

/// A word at the end of a line.
#[derive(Debug, Default)]
pub(super) struct Word {
    /// What the program will get.
    pub(super) text: String,
    /// Where it begins in the line, in bytes.
    pub(super) start: usize,
    /// Where each character of the text stands in the line, in bytes.
    pub(super) places: Vec<usize>,
    /// The quotation that is open at its end.
    pub(super) open: Option<Open>,
}

/// An open quotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Open {
    /// The quotation mark.
    pub(super) mark: char,
    /// Where its text begins in the line, in bytes.
    pub(super) inner: usize,
}

impl Word {
    /// Where a character of the text stands in the line, in bytes; the end, if it is not there.
    pub(super) fn place(&self, character: usize, raw: &str) -> usize {
        self.places.get(character).copied().unwrap_or(raw.len())
    }

    fn push(&mut self, c: char, place: usize) {
        self.text.push(c);
        self.places.push(place);
    }
}

impl<'a> Line<'a> {
    /// Cuts a line by a shell's rules for quotes.
    pub(super) fn read(raw: &'a str, shell: Shell, breaks: &str) -> Self {
        let mut before = Vec::new();
        let mut last: Option<Word> = None;
        let mut readline = 0;
        let mut open: Option<Open> = None;
        let mut characters = raw.char_indices().peekable();
        while let Some((at, c)) = characters.next() {
            let behind = at + c.len_utf8();
            if open.is_none() && c.is_whitespace() {
                before.extend(last.take().map(|word| word.text));
                readline = behind;
                continue;
            }
            let word = last.get_or_insert_with(|| Word {
                start: at,
                ..Word::default()
            });
            match open {
                Some(Open { mark, .. }) if c == mark => open = None,
                None if c == '\'' || c == '"' => {
                    open = Some(Open {
                        mark: c,
                        inner: behind,
                    });
                    readline = behind;
                }
                _ if c == '\\' => match characters.peek() {
                    Some(&(_, next)) if escapes(open, next, shell) => {
                        word.push(next, at);
                        characters.next();
                    }
                    None if open.is_none() => {}
                    _ => word.push(c, at),
                },
                Some(_) => word.push(c, at),
                None => {
                    word.push(c, at);
                    if breaks.contains(c) {
                        readline = behind;
                    }
                }
            }
        }
        let mut last = last.unwrap_or_else(|| Word {
            start: raw.len(),
            ..Word::default()
        });
        last.open = open;
        Self {
            raw,
            before,
            last,
            readline,
        }
    }
}

/// Whether a backslash takes the meaning of the next character.
fn escapes(open: Option<Open>, next: char, shell: Shell) -> bool {
    match open.map(|open| open.mark) {
        None => true,
        Some('"') => matches!(next, '"' | '\\' | '$') || (next == '`' && shell != Shell::Fish),
        Some(_) => shell == Shell::Fish && matches!(next, '\'' | '\\'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BREAKS: &str = " \t\n\"'@><=;|&(:";

    #[track_caller]
    fn last(line: &str, shell: Shell) -> (Vec<String>, String, Option<char>) {
        let line = Line::read(line, shell, BREAKS);
        let open = line.last.open.map(|open| open.mark);
        (line.before, line.last.text, open)
    }

    #[test]
    fn quotes_and_backslashes_are_the_shell_s() {
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(last("", Shell::Bash), (vec![], String::new(), None));
        assert_eq!(
            last(r#"t list a\ b "c \"d\x" '"#, Shell::Bash),
            (
                words(&["t", "list", "a b", r#"c "d\x"#]),
                String::new(),
                Some('\'')
            )
        );
        assert_eq!(
            last(r"t 'it\'s", Shell::Fish),
            (words(&["t"]), "it's".into(), Some('\''))
        );
        assert_eq!(
            last(r"t 'it\'s", Shell::Bash),
            (words(&["t"]), r"it\s".into(), None)
        );
        assert_eq!(
            last("t ä ", Shell::Zsh),
            (words(&["t", "ä"]), String::new(), None)
        );
        assert_eq!(last(r"t a\", Shell::Zsh), (words(&["t"]), "a".into(), None));
    }

    #[test]
    fn readline_breaks_words_outside_quotes() {
        let word = |line: &str| {
            let start = Line::read(line, Shell::Bash, BREAKS).readline;
            line.get(start..).unwrap().to_owned()
        };
        assert_eq!(word("t dport==4"), "4");
        assert_eq!(word("t src==2001:db8::"), "");
        assert_eq!(word("t 'proto == t"), "proto == t");
        assert_eq!(word(r#"t "src==2001:db8::1 and "#), "src==2001:db8::1 and ");
        assert_eq!(word("t '{80,'ht"), "{80,'ht");
        assert_eq!(word(r"t a\=b"), r"a\=b");
    }
}
