//! What a query says, free of its words: tests on numbers joined by and, or; nothing is negated
//! but the tests that are no sets.

use std::collections::BTreeMap;

use crate::glob::Glob;
use crate::scalar::{Scalar, Set};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expr {
    /// Every entry.
    All,
    /// No entry.
    Nothing,
    Test(Test),
    And(Vec<Self>),
    Or(Vec<Self>),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Test {
    /// A number of the entry is in a set.
    Value(Scalar, Set),
    /// Something that is no number.
    Property { property: Property, holds: bool },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Property {
    /// Any of these labels is set.
    Labels(u128),
    /// The text is there and like any of these; without any, it is there.
    Text(TextField, Vec<Glob>),
    /// Addresses or ports are translated.
    Nat,
    /// The source is.
    SourceNat,
    /// The destination is.
    DestinationNat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum TextField {
    Helper,
    Secctx,
}

impl Expr {
    pub(crate) fn value(scalar: Scalar, set: Set) -> Self {
        if set.is_empty() {
            Self::Nothing
        } else if set.is_all(scalar) {
            Self::All
        } else {
            Self::Test(Test::Value(scalar, set))
        }
    }

    pub(crate) const fn property(property: Property) -> Self {
        Self::Test(Test::Property {
            property,
            holds: true,
        })
    }

    /// How many comparisons an entry may cost.
    pub(crate) fn comparisons(&self) -> usize {
        match self {
            Self::All | Self::Nothing => 0,
            Self::Test(Test::Property {
                property: Property::Text(_, globs),
                ..
            }) => globs.len().max(1),
            Self::Test(_) => 1,
            Self::And(parts) | Self::Or(parts) => parts.iter().map(Self::comparisons).sum(),
        }
    }

    /// Whether a number is compared.
    pub(crate) fn has(&self, scalar: Scalar) -> bool {
        match self {
            Self::Test(Test::Value(of, _)) => *of == scalar,
            Self::And(parts) | Self::Or(parts) => parts.iter().any(|part| part.has(scalar)),
            _ => false,
        }
    }

    /// All of them. What speaks of the same number becomes one test.
    pub(crate) fn and(parts: Vec<Self>) -> Self {
        let mut sets: BTreeMap<Scalar, Vec<Set>> = BTreeMap::new();
        let mut others = Vec::new();
        for part in flatten(parts, |part| match part {
            Self::And(parts) => Ok(parts),
            other => Err(other),
        }) {
            match part {
                Self::All => {}
                Self::Nothing => return Self::Nothing,
                Self::Test(Test::Value(scalar, set)) => {
                    sets.entry(scalar).or_default().push(set);
                }
                other => others.push(other),
            }
        }
        let tests = sets
            .into_iter()
            .map(|(scalar, sets)| Self::value(scalar, Set::intersection_of(scalar, sets)));
        let tests: Vec<Self> = tests.collect();
        if tests.contains(&Self::Nothing) {
            return Self::Nothing;
        }
        let tests = tests.into_iter();
        let mut parts: Vec<Self> = tests.chain(others).collect();
        match parts.len() {
            0 => Self::All,
            1 => parts.swap_remove(0),
            _ => Self::And(parts),
        }
    }

    /// Any of them.
    pub(crate) fn or(parts: Vec<Self>) -> Self {
        let mut sets: BTreeMap<Scalar, Vec<Set>> = BTreeMap::new();
        let mut others = Vec::new();
        for part in flatten(parts, |part| match part {
            Self::Or(parts) => Ok(parts),
            other => Err(other),
        }) {
            match part {
                Self::All => return Self::All,
                Self::Nothing => {}
                Self::Test(Test::Value(scalar, set)) => {
                    sets.entry(scalar).or_default().push(set);
                }
                other => others.push(other),
            }
        }
        let tests = sets
            .into_iter()
            .map(|(scalar, sets)| Self::value(scalar, Set::union_of(sets)));
        let mut parts: Vec<Self> = tests.chain(others).collect();
        if parts.contains(&Self::All) {
            return Self::All;
        }
        match parts.len() {
            0 => Self::Nothing,
            1 => parts.swap_remove(0),
            _ => Self::Or(parts),
        }
    }

    pub(crate) fn negated(self) -> Self {
        match self {
            Self::All => Self::Nothing,
            Self::Nothing => Self::All,
            Self::Test(Test::Value(scalar, set)) => Self::value(scalar, set.complement(scalar)),
            Self::Test(Test::Property { property, holds }) => Self::Test(Test::Property {
                property,
                holds: !holds,
            }),
            Self::And(parts) => Self::or(parts.into_iter().map(Self::negated).collect()),
            Self::Or(parts) => Self::and(parts.into_iter().map(Self::negated).collect()),
        }
    }
}

/// Takes the parts of inner ones of the same kind up; they are flat already.
fn flatten(
    parts: Vec<Expr>,
    open: impl Fn(Expr) -> Result<Vec<Expr>, Expr>,
) -> impl Iterator<Item = Expr> {
    parts
        .into_iter()
        .flat_map(move |part| open(part).unwrap_or_else(|other| vec![other]))
}
