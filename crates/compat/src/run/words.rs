//! The words of a line of `-R`, as conntrack(8) splits them.

use crate::exit::Fault;

/// Words that a line may have, the program's name counted.
const MOST: usize = 254;
/// Bytes that a word may have.
const LONGEST: usize = 1023;

/// Splits a line at blanks. Double quotes keep blanks, a backslash among them keeps a quote, and the second
/// quote ends the word, even an empty one.
pub(super) fn split(line: &str) -> Result<Vec<String>, Fault> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut letters = line.chars();
    let mut is_quoted = false;
    while let Some(letter) = letters.next() {
        let ends = match letter {
            '"' => {
                is_quoted = !is_quoted;
                !is_quoted
            }
            '\\' if is_quoted => {
                word.extend(letters.next());
                false
            }
            // The original does not know the last as a blank, and refuses the files that have it.
            ' ' | '\t' | '\r' if !is_quoted => !word.is_empty(),
            letter => {
                word.push(letter);
                false
            }
        };
        if ends {
            words.push(std::mem::take(&mut word));
        }
        if word.len() > LONGEST {
            return Err(Fault::usage("Parameter too long!"));
        }
    }
    if is_quoted {
        return Err(Fault::usage("a quotation mark is missing"));
    }
    if !word.is_empty() {
        words.push(word);
    }
    // The program's name is one more.
    if words.len() >= MOST {
        return Err(Fault::usage("too many arguments"));
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_quote_ends_a_word() {
        let words = |line| split(line).unwrap();
        assert_eq!(
            words("-t \"10\"00 -s  a\tb\r"),
            ["-t", "10", "00", "-s", "a", "b"]
        );
        assert_eq!(words("--sport \"\" x"), ["--sport", "", "x"]);
        assert_eq!(words("a\"b c\" \"d \\\" e\""), ["ab c", "d \" e"]);
        assert!(split("-s \"1.1.1.1").is_err());
        assert_eq!(words(&"a ".repeat(253)).len(), 253);
        assert!(split(&"a ".repeat(254)).is_err());
        assert!(split(&"a".repeat(1024)).is_err());
    }
}
