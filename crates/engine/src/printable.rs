//! Text that strangers chose, on somebody's screen.

/// Whether a character shows nothing itself and may change how others are shown: it moves a terminal's cursor, turns the
/// direction of writing round, or hides. Such ones are replaced where a stranger's text is printed.
pub fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writing_is_seen_and_what_turns_it_round_is_not() {
        assert!("10.0.0.1 – è 漢字 🙂 שלום".chars().all(|c| !is_unseen(c)));
        for c in ['\n', '\u{1b}', '\u{9b}', '\u{202e}', '\u{2066}', '\u{200b}'] {
            assert!(is_unseen(c), "{c:?}");
        }
    }
}
