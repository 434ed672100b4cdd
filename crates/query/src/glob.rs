//! Text with `*` and `?` in it.

/// A pattern: `*` is any text, `?` any character; letters of either case are the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Glob {
    text: String,
    /// Whether `*` and `?` mean themselves.
    literal: bool,
}

impl Glob {
    pub(crate) fn pattern(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            literal: false,
        }
    }

    pub(crate) fn literal(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            literal: true,
        }
    }

    /// In time proportional to the product of both lengths at worst, and without the heap.
    pub(crate) fn matches(&self, text: &str) -> bool {
        if self.literal {
            return self.text.eq_ignore_ascii_case(text);
        }
        let (mut pattern, mut rest) = (self.text.chars(), text.chars());
        // Where to go on after the last star: what follows it, and the text that it did not take.
        let mut retry: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
        loop {
            let mut after = pattern.clone();
            match after.next() {
                Some('*') => {
                    retry = Some((after.clone(), rest.clone()));
                    pattern = after;
                    continue;
                }
                Some(wanted) => {
                    let mut next = rest.clone();
                    match next.next() {
                        Some(c) if wanted == '?' || wanted.eq_ignore_ascii_case(&c) => {
                            (pattern, rest) = (after, next);
                            continue;
                        }
                        None => return false,
                        Some(_) => {}
                    }
                }
                None if rest.as_str().is_empty() => return true,
                None => {}
            }
            let Some((after_star, untaken)) = &mut retry else {
                return false;
            };
            if untaken.next().is_none() {
                return false;
            }
            (pattern, rest) = (after_star.clone(), untaken.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_take_any_text_and_question_marks_one_character() {
        for (pattern, text, is_like) in [
            ("ftp", "FTP", true),
            ("ftp", "tftp", false),
            ("*ftp", "tftp", true),
            ("*ftp*", "tftp-2", true),
            ("f?p", "ftp", true),
            ("f?p", "fp", false),
            ("*", "", true),
            ("?", "", false),
            ("a*b*c", "a1b2b3c", true),
            ("a*b*c", "a1b2b3", false),
            ("**a", "bca", true),
            ("*ä?", "straÄ", false),
            ("str*ä", "straßä", true),
        ] {
            assert_eq!(
                Glob::pattern(pattern).matches(text),
                is_like,
                "{pattern} {text}"
            );
        }
        assert!(Glob::literal("a*").matches("A*"));
        assert!(!Glob::literal("a*").matches("ab"));
    }
}
