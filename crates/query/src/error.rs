//! What is wrong with a query: where, what was expected, what was meant.

use std::fmt::Write as _;
use std::ops::Range;

use serde::Serialize;

use crate::field::Field;

/// A query that cannot be understood.
///
/// As JSON: `{"code", "message", "hint", "offset", "length", "expected"}`; offset and length count
/// characters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize)]
#[error("{message}")]
pub struct QueryError {
    /// Stable word.
    pub code: &'static str,
    /// What is wrong, one line.
    pub message: String,
    /// What to do, one line; may be empty.
    pub hint: String,
    /// Where it is, in characters from the beginning.
    pub offset: usize,
    /// How many characters; 0 at the end of the text.
    pub length: usize,
    /// What could have stood there.
    pub expected: Vec<String>,
    #[serde(skip)]
    pub(crate) expect: Expect,
}

/// What may come next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Expect {
    /// Nothing that could be listed.
    #[default]
    Nothing,
    /// A comparison, a flag, `not`, a parenthesis.
    Operand,
    /// A field's name, after `has`.
    FieldName,
    /// What follows a field: an operator, or a value at once.
    Comparison(Field),
    /// A comparison of masked bits.
    MaskComparison,
    /// A value of a field.
    Value(Field),
    /// `in`, after `not`.
    In,
    /// What follows a value within braces.
    InSet,
    /// `and`, `or`, the end.
    Connective {
        /// Or the end of a parenthesis.
        closes: bool,
    },
}

/// Stable codes, documented in docs/errors.md.
pub(crate) mod code {
    pub(crate) const SYNTAX: &str = "query-syntax";
    pub(crate) const UNKNOWN: &str = "query-unknown-name";
    pub(crate) const VALUE: &str = "query-value";
    pub(crate) const COMPARISON: &str = "query-comparison";
    pub(crate) const TOO_LARGE: &str = "query-too-large";
}

impl QueryError {
    pub(crate) fn new(
        code: &'static str,
        text: &str,
        place: Range<usize>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        let characters = |text: Option<&str>| text.map_or(0, |text| text.chars().count());
        Self {
            code,
            message: message.into(),
            hint: hint.into(),
            offset: characters(text.get(..place.start)),
            length: characters(text.get(place)),
            expected: Vec::new(),
            expect: Expect::Nothing,
        }
    }

    pub(crate) fn expecting(mut self, expect: Expect) -> Self {
        self.expected = expect.words();
        self.expect = expect;
        self
    }

    /// The text with the place marked below it: two lines. Of a long text only what surrounds the
    /// place.
    pub fn marked(&self, text: &str) -> String {
        const BEFORE: usize = 50;
        const AFTER: usize = 25;
        let printable = |c: char| if c.is_control() { ' ' } else { c };
        let characters: Vec<char> = text.chars().map(printable).collect();
        let start = self.offset.saturating_sub(BEFORE);
        let length = self.length.clamp(1, AFTER);
        let end = (self.offset + length + AFTER).min(characters.len());
        let mut marked = String::new();
        let mut before = self.offset - start;
        if start > 0 {
            marked.push('…');
            before += 1;
        }
        marked.extend(characters.get(start..end).unwrap_or_default());
        if end < characters.len() {
            marked.push('…');
        }
        let _ = write!(marked, "\n{}{}", " ".repeat(before), "^".repeat(length));
        marked
    }
}

impl Expect {
    pub(crate) fn words(self) -> Vec<String> {
        let words: &[&str] = match self {
            Self::Nothing => &[],
            Self::Operand => &["a field", "a flag", "not", "has", "("],
            Self::FieldName => &["a field"],
            Self::Comparison(field) => return operators(field),
            Self::MaskComparison => &["==", "!=", "<", "<=", ">", ">=", "in"],
            Self::Value(field) => return vec![crate::value::expected(field.kind())],
            Self::In => &["in"],
            Self::InSet => &[",", "}"],
            Self::Connective { closes: false } => &["and", "or", "the end"],
            Self::Connective { closes: true } => &["and", "or", ")"],
        };
        words.iter().map(|&word| word.to_owned()).collect()
    }
}

/// The operators that make sense of a field.
pub(crate) fn operators(field: Field) -> Vec<String> {
    use crate::field::Kind;
    let words: &[&str] = match field.kind() {
        Kind::Protocol | Kind::Family | Kind::State | Kind::Address | Kind::Label => {
            &["==", "!=", "in", "not in"]
        }
        Kind::Text | Kind::Mark(_) => &["==", "!=", "in", "not in", "~", "!~"],
        Kind::Port | Kind::Number(_) | Kind::Size | Kind::Count | Kind::Duration => {
            &["==", "!=", "<", "<=", ">", ">=", "in", "not in"]
        }
        Kind::Bits(_) => &["==", "!=", "&", "<", "<=", ">", ">=", "in", "not in"],
    };
    words.iter().map(|&word| word.to_owned()).collect()
}

/// The names that are most like a wrong one, the likeliest first; at most three.
pub fn near<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    // Comparing costs length times length, and nobody means a name by something far longer.
    if wrong.chars().count() > 40 {
        return Vec::new();
    }
    let wrong = wrong.to_lowercase();
    let allowed = (wrong.chars().count() / 3).clamp(1, 3);
    let mut found: Vec<(usize, &str)> = names
        .into_iter()
        .filter_map(|name| {
            let lower = name.to_lowercase();
            let distance = strsim::damerau_levenshtein(&wrong, &lower);
            let begins = wrong.len() >= 2 && lower.starts_with(&wrong);
            (distance <= allowed || begins)
                .then_some((distance.min(if begins { 1 } else { 9 }), name))
        })
        .collect();
    found.sort_by_key(|&(distance, _)| distance);
    found.dedup_by_key(|(_, name)| *name);
    found.into_iter().take(3).map(|(_, name)| name).collect()
}

/// `did you mean a or b?`, or something else where nothing is near.
pub(crate) fn did_you_mean(near: &[&str], otherwise: impl FnOnce() -> String) -> String {
    match near {
        [] => otherwise(),
        [all @ .., last] if !all.is_empty() => {
            format!("did you mean {} or {last}?", all.join(", "))
        }
        [only] | [.., only] => format!("did you mean {only}?"),
    }
}
