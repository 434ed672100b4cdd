//! Names that strangers chose, made fit to be shown.

use std::sync::Arc;

/// The longest name, in bytes (RFC 1035, 2.3.4).
const LONGEST: usize = 253;

/// A name as it came from the network, with nothing in it but letters, digits, dots, hyphens and
/// underscores of ASCII: each other character is a question mark. `None` where nothing is left.
///
/// Whoever owns an address chooses its name, and could put there what moves a terminal's cursor, ends
/// a line of a log, or looks like another name.
pub(crate) fn tamed(name: &str) -> Option<Arc<str>> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let tame: String = name
        .chars()
        .take(LONGEST)
        .map(|letter| match letter {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '-' | '_' => letter,
            _ => '?',
        })
        .collect();
    tame.contains(|letter: char| letter.is_ascii_alphanumeric())
        .then(|| tame.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_host_s_name_is_made_harmless() {
        for (name, expected) in [
            ("printer.lan.", Some("printer.lan")),
            ("_tcp.Host-1.example", Some("_tcp.Host-1.example")),
            ("a\u{1b}[31mred\n", Some("a??31mred?")),
            ("\u{202e}moc.elpmaxe", Some("?moc.elpmaxe")),
            ("pаypal.com", Some("p?ypal.com")),
            ("<script>", Some("?script?")),
            ("", None),
            (".", None),
            ("\0\0", None),
        ] {
            assert_eq!(tamed(name).as_deref(), expected, "{name:?}");
        }
        assert_eq!(tamed(&"ä".repeat(1_000)), None);
        assert_eq!(tamed(&"x".repeat(1_000)).unwrap().len(), LONGEST);
    }
}
