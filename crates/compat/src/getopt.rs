//! Options as getopt_long(3) of the GNU C library reads them: bundled, abbreviated, permuted, with
//! arguments that are needed or may be left out.
//!
//! What the words of the command line are at the moment of an error is part of conntrack(8)'s
//! messages, so the words are moved as getopt_long moves them.

/// Whether an option has an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// No.
    Nothing,
    /// One, in the same word or in the next.
    Value,
    /// One in the same word, or none.
    Maybe,
}

/// One long option.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Long<T> {
    /// Its name without the dashes.
    pub(crate) name: &'static str,
    /// Whether it has an argument.
    pub(crate) takes: Takes,
    /// What it means. An abbreviation of two names that mean the same is none of both.
    pub(crate) means: T,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found<T> {
    /// An option and its argument.
    Option(T, Option<String>),
    /// An option that there is not, or that is not clear, or that has an argument and takes none.
    Unknown,
    /// An option without the argument that it needs.
    Missing,
}

/// A command line that is being read.
pub(crate) struct Getopt {
    words: Vec<String>,
    /// The next word to be looked at (`optind`).
    next: usize,
    /// The words that are no options and have been passed over: from here …
    first_other: usize,
    /// … to before here.
    last_other: usize,
    /// Where in the word `next` short options go on; 0 if nowhere.
    at: usize,
    /// Whether the first word that is no option ends the options.
    is_strict: bool,
}

impl Getopt {
    /// Begins; the first word is the program's name.
    pub(crate) fn new(words: Vec<String>) -> Self {
        Self {
            words,
            next: 1,
            first_other: 1,
            last_other: 1,
            at: 0,
            is_strict: false,
        }
    }

    /// The same, with all options before everything else (`POSIXLY_CORRECT`).
    pub(crate) const fn strict(mut self, is_strict: bool) -> Self {
        self.is_strict = is_strict;
        self
    }

    /// The word before the next one: what an error is about, as conntrack(8) has it.
    pub(crate) fn previous(&self) -> &str {
        self.next
            .checked_sub(1)
            .and_then(|index| self.words.get(index))
            .map_or("", String::as_str)
    }

    /// The next word, if it does not look like an option; it stays where it is.
    pub(crate) fn peek(&self) -> Option<&str> {
        self.words
            .get(self.next)
            .map(String::as_str)
            .filter(|word| !word.starts_with(['-', '!']))
    }

    /// The next option, `None` at the end. `short` gives what a letter means.
    pub(crate) fn next<T: Copy + PartialEq>(
        &mut self,
        short: impl Fn(u8) -> Option<(T, Takes)>,
        long: &[&[Long<T>]],
    ) -> Option<Found<T>> {
        if self.at == 0 {
            if !self.find_option() {
                return None;
            }
            let word = self.word();
            if word.starts_with("--") {
                return Some(self.long(long));
            }
            self.at = 1;
        }
        Some(self.short(short))
    }

    fn word(&self) -> &str {
        self.words.get(self.next).map_or("", String::as_str)
    }

    /// Moves on to the next word that is an option.
    fn find_option(&mut self) -> bool {
        self.last_other = self.last_other.min(self.next);
        self.first_other = self.first_other.min(self.next);
        if !self.is_strict {
            self.move_others();
            while self.next < self.words.len() && !is_option(self.word()) {
                self.next += 1;
            }
            self.last_other = self.next;
        }
        if self.next < self.words.len() && self.word() == "--" {
            self.next += 1;
            self.move_others();
            self.last_other = self.words.len();
            self.next = self.words.len();
        }
        if self.next >= self.words.len() {
            if self.first_other != self.last_other {
                self.next = self.first_other;
            }
            return false;
        }
        is_option(self.word())
    }

    /// Puts the options that follow the passed-over words before them.
    fn move_others(&mut self) {
        if self.first_other == self.last_other {
            self.first_other = self.next;
        } else if self.last_other != self.next {
            let count = self.last_other - self.first_other;
            if let Some(part) = self.words.get_mut(self.first_other..self.next) {
                part.rotate_left(count);
            }
            self.first_other = self.next - count;
            self.last_other = self.next;
        }
    }

    fn short<T>(&mut self, short: impl Fn(u8) -> Option<(T, Takes)>) -> Found<T> {
        let word = self.word();
        let letter = word.as_bytes().get(self.at).copied().unwrap_or(0);
        let rest = word.get(self.at + 1..).unwrap_or("").to_owned();
        self.at += 1;
        if rest.is_empty() {
            self.next += 1;
            self.at = 0;
        }
        let Some((means, takes)) = short(letter) else {
            return Found::Unknown;
        };
        match takes {
            Takes::Nothing => Found::Option(means, None),
            _ if !rest.is_empty() => {
                self.next += 1;
                self.at = 0;
                Found::Option(means, Some(rest))
            }
            Takes::Maybe => Found::Option(means, None),
            Takes::Value => match self.take() {
                Some(value) => Found::Option(means, Some(value)),
                None => Found::Missing,
            },
        }
    }

    fn long<T: Copy + PartialEq>(&mut self, options: &[&[Long<T>]]) -> Found<T> {
        let word = self.word().get(2..).unwrap_or("").to_owned();
        self.next += 1;
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (word.as_str(), None),
        };
        let Some(option) = find(name, options) else {
            return Found::Unknown;
        };
        match (option.takes, value) {
            (Takes::Nothing, Some(_)) => Found::Unknown,
            (Takes::Value, None) => match self.take() {
                Some(value) => Found::Option(option.means, Some(value)),
                None => Found::Missing,
            },
            (_, value) => Found::Option(option.means, value),
        }
    }

    fn take(&mut self) -> Option<String> {
        let value = self.words.get(self.next)?.clone();
        self.next += 1;
        Some(value)
    }
}

fn is_option(word: &str) -> bool {
    word.len() > 1 && word.starts_with('-')
}

/// The option of a name, whole or abbreviated without doubt.
fn find<T: Copy + PartialEq>(name: &str, options: &[&[Long<T>]]) -> Option<Long<T>> {
    let all = || options.iter().copied().flatten();
    if let Some(exact) = all().find(|option| option.name == name) {
        return Some(*exact);
    }
    let mut abbreviated = all().filter(|option| option.name.starts_with(name));
    let first = abbreviated.next()?;
    abbreviated
        .all(|other| other.takes == first.takes && other.means == first.means)
        .then_some(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: &[Long<u8>] = &[
        Long {
            name: "src",
            takes: Takes::Value,
            means: b's',
        },
        Long {
            name: "src-nat",
            takes: Takes::Maybe,
            means: b'n',
        },
        Long {
            name: "zero",
            takes: Takes::Nothing,
            means: b'z',
        },
        Long {
            name: "orig-src",
            takes: Takes::Value,
            means: b's',
        },
        Long {
            name: "orig-dst",
            takes: Takes::Value,
            means: b'd',
        },
    ];

    fn short(letter: u8) -> Option<(u8, Takes)> {
        match letter {
            b's' | b'd' => Some((letter, Takes::Value)),
            b'n' => Some((letter, Takes::Maybe)),
            b'z' | b'x' => Some((letter, Takes::Nothing)),
            _ => None,
        }
    }

    /// All options with their arguments, or where it ends with which word before.
    fn read(line: &str) -> Result<Vec<String>, String> {
        let words = format!("conntrack {line}");
        let mut options = Getopt::new(words.split(' ').map(str::to_owned).collect());
        let mut read = Vec::new();
        while let Some(found) = options.next(short, &[LONG]) {
            match found {
                Found::Option(letter, value) => read.push(format!(
                    "{}{}",
                    letter as char,
                    value.map_or_else(String::new, |value| format!("={value}"))
                )),
                Found::Unknown => return Err(format!("?{}", options.previous())),
                Found::Missing => return Err(format!(":{}", options.previous())),
            }
        }
        Ok(read)
    }

    #[test]
    fn options_are_bundled_and_moved_and_end_at_two_dashes() {
        assert_eq!(
            read("-zxs 1 -d2 a -z").unwrap(),
            ["z", "x", "s=1", "d=2", "z"]
        );
        assert_eq!(read("a -z b -- -x").unwrap(), ["z"]);
        assert_eq!(read("-n1 -n 1 -zn").unwrap(), ["n=1", "n", "z", "n"]);
        assert_eq!(read("- -z").unwrap(), ["z"]);
    }

    #[test]
    fn long_options_are_abbreviated_without_doubt() {
        assert_eq!(read("--src 1 --src=2 --z").unwrap(), ["s=1", "s=2", "z"]);
        assert_eq!(
            read("--src-n --orig-s= --src-nat=5").unwrap(),
            ["n", "s=", "n=5"]
        );
        assert_eq!(read("-z --sr"), Err("?--sr".to_owned()));
        assert_eq!(read("--orig 1"), Err("?--orig".to_owned()));
        assert_eq!(read("--zero=1"), Err("?--zero=1".to_owned()));
        assert_eq!(read("--src"), Err(":--src".to_owned()));
    }

    #[test]
    fn a_wrong_letter_in_the_middle_of_a_word_is_told_by_the_word_before() {
        assert_eq!(read("-z -Qz"), Err("?-z".to_owned()));
        assert_eq!(read("-z -zQ"), Err("?-zQ".to_owned()));
        assert_eq!(read("-Qz"), Err("?conntrack".to_owned()));
        assert_eq!(read("-zs"), Err(":-zs".to_owned()));
    }
}
