//! A query as alternatives, each a list of conditions that must all hold: the form in which
//! contradictions show, and of which the kernel can take parts.

use std::collections::{BTreeMap, BTreeSet};

use ctnetlink::Protocol;

use crate::expr::{Expr, Test};
use crate::ranges::Ranges;
use crate::scalar::{Scalar, Set, shifted};

/// How many alternatives are told apart. What would need more is left out of consideration: the
/// cases then allow more than the query does, never less.
const MOST: usize = 128;

/// How many conditions of one `and` are looked at, and how many numbers an alternative speaks of: a
/// person writes a handful, and what a machine writes must not take for ever. What is left out
/// allows more as well.
const MOST_PARTS: usize = 64;
const MOST_SCALARS: usize = 64;

/// One alternative: what each number must be. Scalars of which nothing is said are not in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Case {
    sets: BTreeMap<Scalar, Set>,
    others: BTreeSet<Test>,
}

impl Case {
    pub(crate) fn set(&self, scalar: Scalar) -> Option<&Set> {
        self.sets.get(&scalar)
    }

    pub(crate) fn sets(&self) -> impl Iterator<Item = (Scalar, &Set)> {
        self.sets.iter().map(|(&scalar, set)| (scalar, set))
    }

    /// With one more condition; `None` if it contradicts the others.
    pub(crate) fn restricted(&self, scalar: Scalar, set: &Set) -> Option<Self> {
        let mut case = self.clone();
        case.restrict(scalar, set)?;
        case.follow()
    }

    /// Both; `None` if they contradict each other.
    fn with(mut self, other: &Self) -> Option<Self> {
        for (&scalar, set) in &other.sets {
            self.restrict(scalar, set)?;
        }
        for test in &other.others {
            self.require(test)?;
        }
        self.follow()
    }

    fn restrict(&mut self, scalar: Scalar, set: &Set) -> Option<()> {
        let both = match self.sets.get(&scalar) {
            Some(known) => known.intersection(set),
            None if self.sets.len() >= MOST_SCALARS => return Some(()),
            None => set.clone(),
        };
        let is_possible = !both.is_empty();
        self.sets.insert(scalar, both);
        is_possible.then_some(())
    }

    fn require(&mut self, test: &Test) -> Option<()> {
        if let Test::Property { property, holds } = test {
            let contrary = Test::Property {
                property: property.clone(),
                holds: !holds,
            };
            if self.others.contains(&contrary) {
                return None;
            }
        }
        if self.others.len() < MOST_SCALARS {
            self.others.insert(test.clone());
        }
        Some(())
    }

    /// Draws the conclusions: a port is of a protocol that has ports, an address has a family.
    fn follow(mut self) -> Option<Self> {
        let Conclusions {
            families,
            protocols,
        } = Conclusions::of(self.sets());
        if !families.is_all(1) {
            self.restrict(Scalar::Family, &Set::numbers(families))?;
        }
        if let Some(protocols) = protocols {
            self.restrict(Scalar::Protocol, &Set::numbers(protocols))?;
        }
        self.agrees_in_bits().then_some(self)
    }

    /// Whether what is said of some bits is possible beside what is said of overlapping ones.
    fn agrees_in_bits(&self) -> bool {
        let known: Vec<(Scalar, u32, u32)> = self
            .sets()
            .filter_map(|(scalar, set)| {
                let (mask, value) = bits(scalar, set)?;
                Some((scalar, mask, value))
            })
            .collect();
        known.iter().all(|&(scalar, mask, value)| {
            let agrees = known.iter().all(|&(other, other_mask, other_value)| {
                !same_bits(scalar, other) || (value ^ other_value) & mask & other_mask == 0
            });
            // What is known of more bits decides what is said of fewer.
            agrees
                && self.sets().all(|(other, set)| match mask_of(other) {
                    Some(fewer) if same_bits(scalar, other) && fewer & !mask == 0 => {
                        let number = Ranges::one(shifted(value, fewer).into());
                        !set.numbers.intersection(&number).is_empty()
                    }
                    _ => true,
                })
        })
    }
}

/// What follows from conditions: the families and, if anything is said of them, the protocols of
/// which alone an entry can be.
pub(crate) struct Conclusions {
    pub(crate) families: Ranges,
    pub(crate) protocols: Option<Ranges>,
}

impl Conclusions {
    pub(crate) fn of<'a>(sets: impl Iterator<Item = (Scalar, &'a Set)>) -> Self {
        let mut families = Ranges::all(1);
        let mut protocols: Option<Ranges> = None;
        for (scalar, set) in sets {
            if set.absent {
                continue;
            }
            if let Some(of) = protocols_of(scalar, set) {
                let of = Ranges::union_of(of.iter().map(|protocol| Ranges::one(protocol.0.into())));
                protocols = Some(match protocols {
                    Some(known) => known.intersection(&of),
                    None => of,
                });
            }
            if scalar.is_address() && scalar != Scalar::MasterSrc && scalar != Scalar::MasterDst {
                if set.numbers.is_empty() {
                    families = families.intersection(&Ranges::one(1));
                }
                if set.v6.is_empty() {
                    families = families.intersection(&Ranges::one(0));
                }
            }
        }
        Self {
            families,
            protocols,
        }
    }
}

const fn mask_of(scalar: Scalar) -> Option<u32> {
    match scalar {
        Scalar::Mark(mask)
        | Scalar::Status(mask)
        | Scalar::TcpFlagsOrig(mask)
        | Scalar::TcpFlagsReply(mask) => Some(mask),
        _ => None,
    }
}

/// Mask and value of bits that are known exactly.
pub(crate) fn bits(scalar: Scalar, set: &Set) -> Option<(u32, u32)> {
    let mask = mask_of(scalar).filter(|&mask| mask != 0)?;
    if set.absent {
        return None;
    }
    let number = u32::try_from(*set.numbers.numbers(1)?.first()?).ok()?;
    Some((mask, number << mask.trailing_zeros() & mask))
}

fn same_bits(a: Scalar, b: Scalar) -> bool {
    std::mem::discriminant(&a) == std::mem::discriminant(&b)
}

/// The protocols of which alone an entry can have one of these values.
fn protocols_of(scalar: Scalar, set: &Set) -> Option<Vec<Protocol>> {
    use crate::scalar::{DCCP, SCTP};
    let protocols = scalar.protocols()?;
    if scalar != Scalar::State {
        return Some(protocols.to_vec());
    }
    let spans = [
        (Protocol::TCP, 0, SCTP - 1),
        (Protocol::SCTP, SCTP, DCCP - 1),
        (Protocol::DCCP, DCCP, DCCP + 0xff),
    ];
    let can_be = |&&(_, first, last): &&(Protocol, u64, u64)| {
        let span = Ranges::between(first.into(), last.into());
        !set.numbers.intersection(&span).is_empty()
    };
    Some(
        spans
            .iter()
            .filter(can_be)
            .map(|&(protocol, _, _)| protocol)
            .collect(),
    )
}

/// The alternatives of a query; none if it selects nothing.
pub(crate) fn cases(expr: &Expr) -> Vec<Case> {
    match expr {
        Expr::All => vec![Case::default()],
        Expr::Nothing => Vec::new(),
        Expr::Test(Test::Value(scalar, set)) => {
            let mut case = Case::default();
            case.sets.insert(*scalar, set.clone());
            case.follow().into_iter().collect()
        }
        Expr::Test(test) => {
            let mut case = Case::default();
            case.others.insert(test.clone());
            vec![case]
        }
        Expr::Or(parts) => {
            let mut all = Vec::new();
            for part in parts {
                all.extend(cases(part));
                if all.len() > MOST {
                    return vec![Case::default()];
                }
            }
            all
        }
        Expr::And(parts) => {
            // Numbers come first, by the order in which parts are joined.
            let mut parts: Vec<Vec<Case>> = parts.iter().take(MOST_PARTS).map(cases).collect();
            parts.sort_by_key(Vec::len);
            parts.iter().fold(vec![Case::default()], |all, part| {
                if all.len() * part.len() > MOST {
                    return all;
                }
                // Thousands of conditions in a row are taken up without copying what is there.
                if let [only] = part.as_slice() {
                    return all.into_iter().filter_map(|one| one.with(only)).collect();
                }
                let both = |one: &Case| {
                    part.iter()
                        .filter_map(|other| one.clone().with(other))
                        .collect::<Vec<_>>()
                };
                all.iter().flat_map(both).collect()
            })
        }
    }
}

/// Whether a query provably selects nothing. `false` says nothing.
pub(crate) fn is_impossible(expr: &Expr) -> bool {
    cases(expr).is_empty()
}
