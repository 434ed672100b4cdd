//! Names that programs chose, as words of a shell: what is printed can be pasted back, and nothing in
//! them moves a terminal's cursor.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;

use engine::printable::is_unseen;

/// The word that a shell reads as this text: itself where nothing in it means anything to a shell,
/// else in single quotes, or in `$'…'` of bash, zsh and ksh where something in it is not seen.
pub(crate) fn quoted(text: &OsStr) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-:,@%+".contains(c);
    match text.to_str() {
        Some(text) if !text.is_empty() && text.chars().all(is_plain) => text.to_owned(),
        Some(text) if !text.chars().any(is_unseen) => format!("'{}'", text.replace('\'', r"'\''")),
        _ => escaped(text.as_bytes()),
    }
}

/// The same as an operand: what begins with a dash is no flag behind `--`.
pub(crate) fn operand(text: &OsStr) -> String {
    let dashes = if text.as_bytes().starts_with(b"-") {
        "-- "
    } else {
        ""
    };
    format!("{dashes}{}", quoted(text))
}

/// In `$'…'`: bytes that are no text, or are not seen, in three octal digits, which every shell reads
/// alike; after `\x` some take more than two.
fn escaped(text: &[u8]) -> String {
    let mut word = "$'".to_owned();
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\'' | '\\' => word.extend(['\\', c]),
                _ if is_unseen(c) => {
                    push_octal(&mut word, c.encode_utf8(&mut [0; 4]).as_bytes());
                }
                _ => word.push(c),
            }
        }
        push_octal(&mut word, chunk.invalid());
    }
    word.push('\'');
    word
}

fn push_octal(word: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(word, "\\{byte:03o}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_quoted_where_a_shell_needs_it_and_escaped_where_it_is_not_seen() {
        for (text, word) in [
            (&b"web-2.old"[..], "web-2.old"),
            ("für".as_bytes(), "für"),
            (b"", "''"),
            (b"a b", "'a b'"),
            (b"#x", "'#x'"),
            (b"it's", r"'it'\''s'"),
            (b"\x1b[2J1", r"$'\033[2J1'"),
            (b"a'\\\n", r"$'a\'\\\012'"),
            (b"\xff7", r"$'\3777'"),
            ("\u{202e}x".as_bytes(), r"$'\342\200\256x'"),
        ] {
            assert_eq!(quoted(OsStr::from_bytes(text)), word);
        }
        assert_eq!(operand(OsStr::new("-x")), "-- -x");
    }
}
