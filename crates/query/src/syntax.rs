//! A query as it was written: what joins what, and where each part stands.

use std::fmt;
use std::ops::Range;

use crate::expr::Expr;

/// A part of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Term(Term),
    Not(Box<Self>),
    And(Vec<Self>),
    Or(Vec<Self>),
}

/// A comparison or a flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Term {
    /// Where it stands in the text, in bytes.
    pub(crate) place: Range<usize>,
    /// As it was understood, in the usual spelling.
    pub(crate) text: String,
    /// What it says.
    pub(crate) expr: Expr,
}

impl Node {
    /// What it says.
    pub(crate) fn expr(&self) -> Expr {
        match self {
            Self::Term(term) => term.expr.clone(),
            Self::Not(inner) => inner.expr().negated(),
            Self::And(parts) => Expr::and(parts.iter().map(Self::expr).collect()),
            Self::Or(parts) => Expr::or(parts.iter().map(Self::expr).collect()),
        }
    }

    /// Where it stands, from its first term to its last.
    pub(crate) fn place(&self) -> Range<usize> {
        match self {
            Self::Term(term) => term.place.clone(),
            Self::Not(inner) => inner.place(),
            Self::And(parts) | Self::Or(parts) => match parts.as_slice() {
                [] => 0..0,
                [only] => only.place(),
                [first, .., last] => first.place().start..last.place().end,
            },
        }
    }

    /// The same, further behind in a longer text.
    pub(crate) fn moved(&self, by: usize) -> Self {
        let all = |parts: &[Self]| parts.iter().map(|part| part.moved(by)).collect();
        match self {
            Self::Term(term) => Self::Term(Term {
                place: term.place.start + by..term.place.end + by,
                ..term.clone()
            }),
            Self::Not(inner) => Self::Not(Box::new(inner.moved(by))),
            Self::And(parts) => Self::And(all(parts)),
            Self::Or(parts) => Self::Or(all(parts)),
        }
    }

    fn binds(&self) -> u8 {
        match self {
            Self::Or(_) => 0,
            Self::And(_) => 1,
            Self::Not(_) => 2,
            Self::Term(_) => 3,
        }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, outer: u8) -> fmt::Result {
        if self.binds() < outer {
            f.write_str("(")?;
            self.write(f, 0)?;
            return f.write_str(")");
        }
        match self {
            Self::Term(term) => f.write_str(&term.text),
            Self::Not(inner) => {
                f.write_str("not ")?;
                inner.write(f, 2)
            }
            Self::And(parts) => write_joined(f, parts, " and ", 2),
            // An `and` within an `or` gets parentheses that it does not need: they show what binds.
            Self::Or(parts) => write_joined(f, parts, " or ", 2),
        }
    }
}

fn write_joined(
    f: &mut fmt::Formatter<'_>,
    parts: &[Node],
    word: &str,
    binding: u8,
) -> fmt::Result {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            f.write_str(word)?;
        }
        part.write(f, binding)?;
    }
    Ok(())
}

/// The usual spelling, with parentheses where `and` and `or` meet.
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}
