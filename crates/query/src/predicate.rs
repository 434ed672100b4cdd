//! A query made ready to be asked of millions of entries: no heap, no names, the cheapest tests
//! first.

use std::net::IpAddr;

use ctnetlink::Entry;

use crate::expr::{Expr, Property, Test, TextField};
use crate::glob::Glob;
use crate::scalar::{Scalar, Set};

#[derive(Clone, Debug)]
pub(crate) enum Predicate {
    Always,
    Never,
    /// The cheapest first.
    All(Box<[Self]>),
    Any(Alternatives),
    Number {
        scalar: Scalar,
        absent: bool,
        ranges: Within<u64>,
    },
    Address {
        scalar: Scalar,
        absent: bool,
        v4: Within<u32>,
        v6: Within<u128>,
    },
    Labels {
        any: u128,
        holds: bool,
    },
    Text {
        field: TextField,
        globs: Box<[Glob]>,
        holds: bool,
    },
    Nat {
        holds: bool,
    },
    SourceNat {
        holds: bool,
    },
    DestinationNat {
        holds: bool,
    },
}

/// What is joined by `or`, in two lots.
#[derive(Clone, Debug)]
pub(crate) struct Alternatives {
    /// All asked, whatever the first ones say, such as the four addresses of `host`: a jump that
    /// depends on an entry in memory, once guessed wrong, costs more than a few cheap tests.
    together: Box<[Predicate]>,
    /// Asked one by one while none holds; the cheapest first.
    in_turn: Box<[Predicate]>,
}

/// How many alternatives are asked together at most.
const TOGETHER: usize = 6;

impl Predicate {
    pub(crate) fn new(expr: &Expr) -> Self {
        match expr {
            Expr::All => Self::Always,
            Expr::Nothing => Self::Never,
            Expr::And(parts) => Self::All(compiled(parts)),
            Expr::Or(parts) => Self::Any(Alternatives::new(parts)),
            Expr::Test(Test::Value(scalar, set)) => Self::value(*scalar, set),
            Expr::Test(Test::Property { property, holds }) => {
                let holds = *holds;
                match property {
                    Property::Labels(any) => Self::Labels { any: *any, holds },
                    Property::Text(field, globs) => Self::Text {
                        field: *field,
                        globs: globs.clone().into(),
                        holds,
                    },
                    Property::Nat => Self::Nat { holds },
                    Property::SourceNat => Self::SourceNat { holds },
                    Property::DestinationNat => Self::DestinationNat { holds },
                }
            }
        }
    }

    fn value(scalar: Scalar, set: &Set) -> Self {
        let absent = set.absent;
        if scalar.is_address() {
            let v4 = set.numbers.as_slice().iter();
            return Self::Address {
                scalar,
                absent,
                v4: v4
                    .map(|&(first, last)| (narrow32(first), narrow32(last)))
                    .collect(),
                v6: set.v6.as_slice().iter().copied().collect(),
            };
        }
        let ranges = set.numbers.as_slice().iter();
        Self::Number {
            scalar,
            absent,
            ranges: ranges
                .map(|&(first, last)| (narrow64(first), narrow64(last)))
                .collect(),
        }
    }

    /// Whether an entry is such; `now` is in nanoseconds since the epoch.
    pub(crate) fn matches(&self, entry: &Entry, now: u64) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::All(parts) => parts.iter().all(|part| part.holds(entry, now)),
            Self::Any(Alternatives { together, in_turn }) => {
                let together = together
                    .iter()
                    .fold(false, |any, part| any | part.holds(entry, now));
                together || in_turn.iter().any(|part| part.holds(entry, now))
            }
            Self::Number { .. } | Self::Address { .. } => self.holds(entry, now),
            Self::Labels { any, holds } => {
                let labels = entry.labels.unwrap_or_default().bits();
                (labels & any != 0) == *holds
            }
            Self::Text {
                field,
                globs,
                holds,
            } => {
                let text = match field {
                    TextField::Helper => entry.helper.as_deref(),
                    TextField::Secctx => entry
                        .extra
                        .as_ref()
                        .and_then(|extra| extra.secctx.as_deref()),
                };
                let is_like = text.is_some_and(|text| {
                    globs.is_empty() || globs.iter().any(|glob| glob.matches(text))
                });
                is_like == *holds
            }
            Self::Nat { holds } => entry.is_nat() == *holds,
            Self::SourceNat { holds } => entry.is_source_nat() == *holds,
            Self::DestinationNat { holds } => entry.is_destination_nat() == *holds,
        }
    }

    /// The same, with the commonest tests in place.
    #[inline(always)]
    fn holds(&self, entry: &Entry, now: u64) -> bool {
        match self {
            Self::Number {
                scalar,
                absent,
                ranges,
            } => match scalar.number(entry, now) {
                Some(number) => ranges.contains(number),
                None => *absent,
            },
            Self::Address {
                scalar,
                absent,
                v4,
                v6,
            } => match scalar.address(entry) {
                Some(IpAddr::V4(address)) => v4.contains((*address).into()),
                Some(IpAddr::V6(address)) => v6.contains((*address).into()),
                None => *absent,
            },
            other => other.matches(entry, now),
        }
    }

    /// What a test costs beside others.
    fn cost(&self) -> u32 {
        match self {
            Self::Always | Self::Never => 0,
            Self::Number { .. } => 1,
            Self::Address { .. } | Self::Labels { .. } => 2,
            Self::Nat { .. } | Self::SourceNat { .. } | Self::DestinationNat { .. } => 4,
            Self::Text { globs, .. } => 8 + globs.len() as u32,
            Self::All(parts) => parts
                .iter()
                .fold(1, |cost, part| part.cost().saturating_add(cost)),
            Self::Any(Alternatives { together, in_turn }) => {
                let parts = together.iter().chain(in_turn);
                parts.fold(1, |cost, part| part.cost().saturating_add(cost))
            }
        }
    }

    /// Whether it costs no more than a few comparisons.
    fn is_cheap(&self) -> bool {
        match self {
            Self::Number { ranges, .. } => ranges.is_short(),
            Self::Address { v4, v6, .. } => v4.is_short() && v6.is_short(),
            _ => false,
        }
    }
}

impl Alternatives {
    fn new(parts: &[Expr]) -> Self {
        let mut together = compiled(parts).into_vec();
        let cheap = together
            .iter()
            .take(TOGETHER)
            .take_while(|part| part.is_cheap());
        let in_turn = together.split_off(cheap.count());
        Self {
            together: together.into(),
            in_turn: in_turn.into(),
        }
    }
}

fn compiled(parts: &[Expr]) -> Box<[Predicate]> {
    let mut parts: Vec<Predicate> = parts.iter().map(Predicate::new).collect();
    parts.sort_by_key(Predicate::cost);
    parts.into()
}

/// How many ranges are looked through faster than halved.
const FEW: usize = 6;

/// Ranges that ascend, ends included; a single one, as most are, is in place.
#[derive(Clone, Debug)]
pub(crate) enum Within<T> {
    One(T, T),
    Ranges(Box<[(T, T)]>),
}

impl<T: Copy + Ord> Within<T> {
    #[inline(always)]
    fn contains(&self, number: T) -> bool {
        match self {
            Self::One(first, last) => (*first <= number) & (number <= *last),
            Self::Ranges(ranges) => is_in(ranges, number),
        }
    }

    fn is_short(&self) -> bool {
        match self {
            Self::One(..) => true,
            Self::Ranges(ranges) => ranges.len() <= FEW,
        }
    }
}

impl<T: Copy> FromIterator<(T, T)> for Within<T> {
    fn from_iter<I: IntoIterator<Item = (T, T)>>(ranges: I) -> Self {
        let ranges: Box<[(T, T)]> = ranges.into_iter().collect();
        match *ranges {
            [(first, last)] => Self::One(first, last),
            _ => Self::Ranges(ranges),
        }
    }
}

#[inline]
fn is_in<T: Copy + Ord>(ranges: &[(T, T)], number: T) -> bool {
    if ranges.len() <= FEW {
        return ranges.iter().fold(false, |found, &(first, last)| {
            found | ((first <= number) & (number <= last))
        });
    }
    let after = ranges.partition_point(|&(first, _)| first <= number);
    after
        .checked_sub(1)
        .and_then(|index| ranges.get(index))
        .is_some_and(|&(_, last)| number <= last)
}

fn narrow32(number: u128) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn narrow64(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
