//! The setting that was meant, when one is misspelt.

/// How many of a name's letters may be wrong for it to be the one that was meant: one in this many.
const LETTERS_A_MISTAKE: usize = 3;

/// What the parser says of a setting that it does not know, in our words and with the nearest name;
/// other messages as they are.
pub(super) fn explain(message: &str) -> String {
    let Some(rest) = message.strip_prefix("unknown field ") else {
        return message.to_owned();
    };
    // Names stand between backticks: the wrong one, then those that there are.
    let mut names = rest.split('`').skip(1).step_by(2);
    let Some(wrong) = names.next() else {
        return message.to_owned();
    };
    let known: Vec<&str> = names.collect();
    match nearest(wrong, &known) {
        Some(name) => format!("unknown setting `{wrong}`: did you mean `{name}`?"),
        None if known.is_empty() => format!("unknown setting `{wrong}`"),
        None => format!("unknown setting `{wrong}`; there are {}", known.join(", ")),
    }
}

fn nearest<'a>(wrong: &str, known: &[&'a str]) -> Option<&'a str> {
    // Underscores are what other programs have where this one has hyphens.
    let wrong = wrong.to_lowercase().replace('_', "-");
    known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(&wrong, name), *name))
        .filter(|(mistakes, name)| *mistakes <= 1 + name.len() / LETTERS_A_MISTAKE / 2)
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_setting_is_answered_with_the_one_that_was_meant() {
        let one_of = "expected one of `listen`, `socket`, `allow-plain-http`";
        for (wrong, meant) in [
            ("lisen", "listen"),
            ("soket", "socket"),
            ("allow_plain_http", "allow-plain-http"),
        ] {
            let message = explain(&format!("unknown field `{wrong}`, {one_of}"));
            assert_eq!(
                message,
                format!("unknown setting `{wrong}`: did you mean `{meant}`?")
            );
        }
        assert_eq!(
            explain("unknown field `colour`, expected `dns` or `hosts`"),
            "unknown setting `colour`; there are dns, hosts"
        );
        assert_eq!(
            explain("unknown field `x`, there are no fields"),
            "unknown setting `x`"
        );
        assert_eq!(explain("invalid type: string"), "invalid type: string");
    }
}
