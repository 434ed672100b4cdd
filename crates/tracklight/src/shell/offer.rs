//! What can be offered for the last word.

use clap::Arg;
use ctnetlink::TcpState;
use engine::Column;
use engine::group::By;
use query::{Candidate, CandidateKind, Field, Vocabulary, complete};

use super::line::Word;

/// How often something that can only go on in one way is taken a word further.
const LONGEST_AHEAD: usize = 4;

/// One way to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    /// Which character of the last word it begins at; it takes the place of all behind that.
    pub(super) from: usize,
    /// The text, without the shell's quotes.
    pub(super) text: String,
    /// What it means; may be empty.
    pub(super) meaning: String,
}

/// What can follow in a query.
pub(super) fn query(before: &[&str], last: &Word, vocabulary: &Vocabulary) -> Vec<Offer> {
    let mut before = before.join(" ");
    if !before.is_empty() {
        before.push(' ');
    }
    let text = format!("{before}{}", last.text);
    let length = before.chars().count();
    let (mut from, mut candidates) = match complete(&text, usize::MAX, vocabulary) {
        Ok(completion) => (completion.offset.checked_sub(length), completion.candidates),
        Err(_) => (None, Vec::new()),
    };
    if candidates.is_empty() {
        // A name with blanks, in the shell's quotes alone.
        from = Some(0);
        candidates = whole(&before, &last.text, vocabulary);
    }
    let Some(from) = from else {
        return Vec::new();
    };
    let typed = last.text.chars().nth(from);
    let mut offers: Vec<Offer> = candidates
        .into_iter()
        .filter_map(|candidate| {
            Some(Offer {
                from,
                text: requoted(&candidate, typed, last)?,
                meaning: candidate.meaning,
            })
        })
        .collect();
    // A service may have several ports.
    offers.dedup_by(|next, offer| next.text == offer.text);
    if last.open.is_some()
        && let [only] = offers.as_slice()
    {
        let kept: String = last.text.chars().take(from).collect();
        offers = further(&format!("{before}{kept}"), only.clone(), last, vocabulary);
    }
    offers
}

/// Candidates that begin with all of the last word.
fn whole(before: &str, typed: &str, vocabulary: &Vocabulary) -> Vec<Candidate> {
    let Ok(completion) = complete(before, usize::MAX, vocabulary) else {
        return Vec::new();
    };
    let typed = typed.to_lowercase();
    let mut candidates = completion.candidates;
    candidates.retain(|candidate| {
        let bare = candidate.text.trim_start_matches('"').to_lowercase();
        bare.starts_with(&typed)
    });
    candidates
}

/// A name in quotes takes those that are typed already, else those that the shell's open
/// quotation leaves free. None for what cannot stand in the quotes that are typed.
fn requoted(candidate: &Candidate, typed: Option<char>, last: &Word) -> Option<String> {
    let text = candidate.text.as_str();
    let typed = typed.filter(|c| matches!(c, '"' | '\''));
    let inner = text
        .strip_prefix('"')
        .and_then(|inner| inner.strip_suffix('"'));
    let mark = match (typed, last.open) {
        (Some(_), _) if candidate.kind != CandidateKind::Value => return None,
        (Some(mark), _) => mark,
        (None, _) if inner.is_none() => return Some(text.to_owned()),
        (None, Some(open)) if open.mark == '"' => '\'',
        (None, _) => '"',
    };
    let inner = inner.unwrap_or(text);
    // Within double quotes it is escaped already.
    let mark = if inner.contains(['\'', '\\']) {
        '"'
    } else {
        mark
    };
    Some(format!("{mark}{inner}{mark}"))
}

/// The only way to go on, with what can follow it.
///
/// A shell that has one candidate closes the quotation, as if nothing could follow; with
/// several it inserts what they have in common.
fn further(before: &str, mut only: Offer, last: &Word, vocabulary: &Vocabulary) -> Vec<Offer> {
    for _ in 0..LONGEST_AHEAD {
        let text = format!("{before}{} ", only.text);
        let next =
            complete(&text, usize::MAX, vocabulary).map_or(Vec::new(), |next| next.candidates);
        let mut longer: Vec<Offer> = next
            .into_iter()
            .filter_map(|next| {
                let closes = matches!(next.text.as_str(), "," | "}" | ")");
                let blank = if closes { "" } else { " " };
                Some(Offer {
                    from: only.from,
                    text: format!("{}{blank}{}", only.text, requoted(&next, None, last)?),
                    meaning: next.meaning,
                })
            })
            .collect();
        match longer.len() {
            0 => break,
            1 => only = longer.remove(0),
            _ => return longer,
        }
    }
    ["", "…"]
        .map(|end| Offer {
            text: format!("{} {end}", only.text),
            ..only.clone()
        })
        .into()
}

/// What a flag's value can be; None if its values have no names.
pub(super) fn value(
    arg: &Arg,
    from: usize,
    last: &Word,
    vocabulary: &Vocabulary,
) -> Option<Vec<Offer>> {
    let typed: Vec<char> = last.text.chars().collect();
    let delimiter = arg.get_value_delimiter();
    let mut from = typed
        .iter()
        .rposition(|&c| Some(c) == delimiter)
        .map_or(from, |at| at + 1);
    if value_name(arg) == "STATUS,…" && typed.get(from) == Some(&'!') {
        from += 1;
    }
    let begun: String = typed.iter().skip(from).collect::<String>().to_lowercase();
    let mut offers: Vec<Offer> = values(arg, vocabulary)?
        .into_iter()
        .filter(|(text, _)| text.to_lowercase().starts_with(&begun))
        .map(|(text, meaning)| Offer {
            from,
            text,
            meaning,
        })
        .collect();
    offers.dedup_by(|next, offer| next.text == offer.text);
    Some(offers)
}

/// Whether a flag's values have names.
pub(crate) fn has_names(arg: &Arg) -> bool {
    values(arg, &Vocabulary::default()).is_some()
}

fn value_name(arg: &Arg) -> &str {
    match arg.get_value_names() {
        Some([name]) => name,
        _ => "",
    }
}

/// The values of a flag that have names, and their meanings. What a flag takes, the name of its
/// value says, which is the same for the same thing in every command.
fn values(arg: &Arg, vocabulary: &Vocabulary) -> Option<Vec<(String, String)>> {
    let possible = arg.get_value_parser().possible_values();
    if let Some(values) = possible {
        let named = values.filter(|value| !value.is_hide_set()).map(|value| {
            let help = value.get_help().map(ToString::to_string);
            (value.get_name().to_owned(), help.unwrap_or_default())
        });
        return Some(named.collect());
    }
    let owned = |(text, meaning): (&str, &str)| (text.to_owned(), meaning.to_owned());
    Some(match value_name(arg) {
        "PROTO" | "PROTO,…" => of_field(Field::Protocol, vocabulary),
        "STATE,…" => of_field(Field::State, vocabulary),
        "STATE" => TcpState::ALL
            .iter()
            .filter_map(|state| state.name())
            .map(|name| owned((name, "")))
            .collect(),
        "STATUS,…" => of_field(Field::Status, vocabulary),
        "PORTS,…" => of_field(Field::Dport, vocabulary),
        "FAMILY" => of_field(Field::Family, vocabulary),
        "COLUMN" | "COLUMN,…" => Column::ALL
            .iter()
            .map(|column| owned((column.name(), column.meaning())))
            .collect(),
        "FIELD,…" => By::all()
            .filter(|(name, _)| !name.contains('/'))
            .map(owned)
            .collect(),
        _ => return None,
    })
}

fn of_field(field: Field, vocabulary: &Vocabulary) -> Vec<(String, String)> {
    let text = format!("{} == ", field.name());
    let candidates = complete(&text, usize::MAX, vocabulary).map(|values| values.candidates);
    candidates
        .unwrap_or_default()
        .into_iter()
        .map(|candidate| (candidate.text, candidate.meaning))
        .collect()
}
