//! What can be typed next.

use ctnetlink::Protocol;
use serde::Serialize;

use crate::error::{Expect, QueryError, operators};
use crate::field::{Field, Flag, Kind};
use crate::lex::is_word;
use crate::parse::expected_at_end;
use crate::scalar::BitField;
use crate::value::{self, HELPERS, TCP_FLAGS, quote};
use crate::vocabulary::Vocabulary;

/// What can stand at a place of a query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Completion {
    /// Where the word begins that is being typed, in characters.
    pub offset: usize,
    /// How many characters of it are there.
    pub length: usize,
    /// What it can become, likeliest first.
    pub candidates: Vec<Candidate>,
}

/// One way to go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// The text that takes the word's place.
    pub text: String,
    /// What sort of thing it is.
    pub kind: CandidateKind,
    /// What it means, one line; may be empty.
    pub meaning: String,
}

/// What sort of thing a candidate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CandidateKind {
    /// A field's name.
    Field,
    /// A flag.
    Flag,
    /// An operator.
    Operator,
    /// A word or sign of the language.
    Keyword,
    /// A value.
    Value,
}

/// What can stand where the cursor is, `cursor` characters into the text.
///
/// The text before the word at the cursor must be right as far as it goes; if not, that is the
/// error.
pub fn complete(
    text: &str,
    cursor: usize,
    vocabulary: &Vocabulary,
) -> Result<Completion, QueryError> {
    let place = |characters: usize| {
        text.char_indices()
            .nth(characters)
            .map_or(text.len(), |(index, _)| index)
    };
    let before = text.get(..place(cursor)).unwrap_or_default();
    let (start, typed) = word_at_end(before);
    let expect = expected_at_end(before.get(..start).unwrap_or_default(), vocabulary)?;
    let mut candidates = Vec::new();
    candidates_of(expect, vocabulary, &mut candidates);
    let typed_lower = typed.trim_start_matches(['"', '\'']).to_lowercase();
    candidates.retain(|candidate| {
        let bare = candidate.text.trim_start_matches('"').to_lowercase();
        bare.starts_with(&typed_lower)
    });
    Ok(Completion {
        offset: before.get(..start).unwrap_or_default().chars().count(),
        length: typed.chars().count(),
        candidates,
    })
}

/// Where the last word of a text begins, and the word: it may be empty, or the beginning of a
/// quotation.
fn word_at_end(text: &str) -> (usize, &str) {
    let mut quote = None;
    let (mut is_escaped, mut is_comment) = (false, false);
    for (index, c) in text.char_indices() {
        match quote {
            _ if is_comment => is_comment = c != '\n',
            Some(_) if is_escaped => is_escaped = false,
            Some(_) if c == '\\' => is_escaped = true,
            None if c == '"' || c == '\'' => quote = Some((c, index)),
            None if c == '#' => is_comment = true,
            Some((open, _)) if c == open => quote = None,
            _ => {}
        }
    }
    let start = match quote {
        Some((_, index)) => index,
        None => {
            text.len()
                - text
                    .chars()
                    .rev()
                    .take_while(|&c| is_word(c))
                    .map(char::len_utf8)
                    .sum::<usize>()
        }
    };
    (start, text.get(start..).unwrap_or_default())
}

fn candidates_of(expect: Expect, vocabulary: &Vocabulary, to: &mut Vec<Candidate>) {
    let keyword = |text: &str| Candidate {
        text: text.to_owned(),
        kind: CandidateKind::Keyword,
        meaning: String::new(),
    };
    match expect {
        Expect::Nothing => {}
        Expect::Operand => {
            fields(to);
            to.extend(Flag::ALL.iter().map(|flag| Candidate {
                text: flag.name().to_owned(),
                kind: CandidateKind::Flag,
                meaning: flag.meaning().to_owned(),
            }));
            to.extend(["not", "has", "("].map(keyword));
        }
        Expect::FieldName => fields(to),
        Expect::Comparison(field) => to.extend(operators(field).into_iter().map(operator)),
        Expect::MaskComparison => to.extend(expect.words().into_iter().map(operator)),
        Expect::Value(field) => values(field, vocabulary, to),
        Expect::In => to.push(keyword("in")),
        Expect::InSet => to.extend([",", "}"].map(keyword)),
        Expect::Connective { closes } => {
            to.extend(["and", "or"].map(keyword));
            if closes {
                to.push(keyword(")"));
            }
        }
    }
}

fn operator(text: String) -> Candidate {
    Candidate {
        text,
        kind: CandidateKind::Operator,
        meaning: String::new(),
    }
}

fn fields(to: &mut Vec<Candidate>) {
    for field in Field::ALL {
        to.extend(field.names().iter().map(|&name| Candidate {
            text: name.to_owned(),
            kind: CandidateKind::Field,
            meaning: field.meaning().to_owned(),
        }));
    }
}

/// The values of a field that have names.
fn values(field: Field, vocabulary: &Vocabulary, to: &mut Vec<Candidate>) {
    let mut value = |text: String, meaning: String| {
        to.push(Candidate {
            text,
            kind: CandidateKind::Value,
            meaning,
        });
    };
    match field.kind() {
        Kind::Protocol => Protocol::TRACKED.iter().for_each(|protocol| {
            value(protocol.to_string(), format!("IANA number {}", protocol.0));
        }),
        Kind::Family => ["ipv4", "ipv6"]
            .iter()
            .for_each(|name| value((*name).into(), String::new())),
        Kind::State => value::states()
            .iter()
            .for_each(|(name, _)| value((*name).into(), String::new())),
        Kind::Port => vocabulary
            .services
            .iter()
            .for_each(|(name, port)| value(name.clone(), format!("port {port}"))),
        Kind::Bits(BitField::Mark) => {}
        Kind::Bits(BitField::Status) => {
            value::status_names().for_each(|(name, bit)| value(name.into(), format!("0x{bit:x}")));
        }
        Kind::Bits(_) => TCP_FLAGS
            .iter()
            .for_each(|(name, bit)| value((*name).into(), format!("0x{bit:x}"))),
        Kind::Label => vocabulary
            .labels
            .iter()
            .for_each(|(name, number)| value(quote(name), format!("label {number}"))),
        Kind::Text if field == Field::Helper => {
            HELPERS
                .iter()
                .for_each(|name| value((*name).into(), String::new()));
        }
        Kind::Mark(part) => vocabulary
            .part(part)
            .names
            .iter()
            .for_each(|(number, name)| value(quote(name), format!("number {number}"))),
        Kind::Address
        | Kind::Number(_)
        | Kind::Size
        | Kind::Count
        | Kind::Duration
        | Kind::Text => {}
    }
}
