//! Candidates in the form that a shell's script reads.

use super::Shell;
use super::line::{Line, Open};
use super::offer::Offer;

/// One line a candidate, with tabs between its parts:
///
/// - bash: what takes the place of readline's word, quoted; what to show in a list;
/// - zsh: what takes the place of the whole word, without quotes; what to show in a list;
/// - fish: the same, and the meaning.
pub(super) fn lines(shell: Shell, line: &Line<'_>, offers: &[Offer]) -> Vec<String> {
    offers
        .iter()
        .filter_map(|offer| {
            let (whole, shown) = match shell {
                Shell::Bash => (for_readline(line, offer)?, offer.text.clone()),
                Shell::Zsh if offer.meaning.is_empty() => (whole(line, offer), offer.text.clone()),
                Shell::Zsh => {
                    let shown = format!("{} -- {}", offer.text, offer.meaning);
                    (whole(line, offer), shown)
                }
                Shell::Fish => (whole(line, offer), offer.meaning.clone()),
            };
            // A name from a file may be anything; it must not become two candidates.
            let plain = |text: &str| !text.chars().any(char::is_control);
            (plain(&whole) && plain(&shown)).then(|| format!("{whole}\t{shown}"))
        })
        .collect()
}

fn whole(line: &Line<'_>, offer: &Offer) -> String {
    let kept = line.last.text.chars().take(offer.from);
    kept.chain(offer.text.chars()).collect()
}

/// None where readline's word begins behind the place that would have to change, or with a
/// quotation that is closed already: readline would take away its opening mark.
fn for_readline(line: &Line<'_>, offer: &Offer) -> Option<String> {
    let is_open = line
        .last
        .open
        .is_some_and(|open| open.inner == line.readline);
    if !is_open && line.raw.get(..line.readline)?.ends_with(['\'', '"']) {
        return None;
    }
    let place = line.last.place(offer.from, line.raw);
    let open = line.last.open.filter(|open| open.inner <= place);
    let kept = line.raw.get(line.last.start..place)?;
    let whole = format!("{kept}{}", quoted(&offer.text, open));
    let not_readline_s = line.raw.get(line.last.start..line.readline)?;
    whole.strip_prefix(not_readline_s).map(str::to_owned)
}

/// A text as bash takes it, in the quotation that is open.
fn quoted(text: &str, open: Option<Open>) -> String {
    match open.map(|open| open.mark) {
        Some('"') => {
            let mut quoted = String::with_capacity(text.len());
            for c in text.chars() {
                if matches!(c, '"' | '\\' | '$' | '`') {
                    quoted.push('\\');
                }
                quoted.push(c);
            }
            quoted
        }
        Some(_) => text.replace('\'', r"'\''"),
        None if text
            .chars()
            .all(|c| c.is_alphanumeric() || "_./:+-%,=!".contains(c)) =>
        {
            text.to_owned()
        }
        None => format!("'{}'", text.replace('\'', r"'\''")),
    }
}
