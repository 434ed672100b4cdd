//! What one comparison, flag or question for presence says.

use std::fmt;
use std::ops::Range;

use ctnetlink::{Family, Protocol, Status};

use crate::expr::{Expr, Property, TextField};
use crate::field::{Field, Flag, Kind, MarkPart};
use crate::glob::Glob;
use crate::ranges::Ranges;
use crate::scalar::{BitField, Scalar, Set, family_number};
use crate::value::{self, Meaning, Value, Wrong};
use crate::vocabulary::Vocabulary;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Equal,
    Unequal,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    In,
    NotIn,
    Like,
    Unlike,
}

impl Operator {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::Unequal => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::In => "in",
            Self::NotIn => "not in",
            Self::Like => "~",
            Self::Unlike => "!~",
        }
    }

    const fn is_order(self) -> bool {
        matches!(
            self,
            Self::Less | Self::LessEqual | Self::Greater | Self::GreaterEqual
        )
    }

    const fn is_like(self) -> bool {
        matches!(self, Self::Like | Self::Unlike)
    }

    const fn is_negative(self) -> bool {
        matches!(self, Self::Unequal | Self::NotIn | Self::Unlike)
    }
}

/// Message and hint.
type Complaint = (String, String);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Comparison {
    pub(crate) field: Field,
    /// Bits that are looked at alone.
    pub(crate) mask: Option<u32>,
    pub(crate) operator: Operator,
    pub(crate) values: Vec<Value>,
    pub(crate) place: Range<usize>,
}

impl Comparison {
    /// Refuses an operator that makes no sense of the field.
    pub(crate) fn check_operator(&self) -> Result<(), Complaint> {
        let name = self.field.name();
        let (kind, operator) = (self.field.kind(), self.operator);
        if operator.is_like() && !matches!(kind, Kind::Text | Kind::Mark(_)) {
            let hint = match kind {
                Kind::Address => format!("write {name} in 10.0.0.0/8"),
                Kind::State | Kind::Protocol => format!("write {name} in {{…}}"),
                _ => format!("use {}", crate::error::operators(self.field).join(", ")),
            };
            return Err((
                format!("{name} is no text that could be like a pattern"),
                hint,
            ));
        }
        if operator.is_order() {
            let what = match kind {
                Kind::Address => "addresses are not compared by size",
                Kind::Protocol
                | Kind::Family
                | Kind::State
                | Kind::Label
                | Kind::Text
                | Kind::Mark(_) => "names are not compared by size",
                _ => return Ok(()),
            };
            let hint = match kind {
                Kind::Address => format!("write {name} in 10.0.0.1-10.0.0.9"),
                _ => format!("use {}", crate::error::operators(self.field).join(", ")),
            };
            return Err((format!("{name} {} …: {what}", operator.text()), hint));
        }
        Ok(())
    }

    /// Understands one value.
    pub(crate) fn value(&self, text: &str, vocabulary: &Vocabulary) -> Result<Value, Wrong> {
        value::check(text)?;
        if self.operator.is_like() {
            return Ok(Value {
                meaning: Meaning::Text(text.to_owned()),
                text: value::quote(text),
                is_single: true,
            });
        }
        let value = value::parse(self.field, text, vocabulary)?;
        let wrong = |message: String, hint: String| {
            Err(Wrong {
                message,
                hint,
                unknown: false,
            })
        };
        let (name, operator) = (self.field.name(), self.operator.text());
        let takes_many = matches!(self.operator, Operator::In | Operator::NotIn);
        if !takes_many && !value.is_single {
            let word = if self.operator == Operator::Unequal {
                "not in"
            } else {
                "in"
            };
            return wrong(
                format!(
                    "{} is more than one value, and {operator} takes one",
                    value.text
                ),
                format!("write {name} {word} {}", value.text),
            );
        }
        if self.operator.is_order() && !matches!(value.meaning, Meaning::Set(_)) {
            return wrong(
                format!("{} is a name, and {operator} compares numbers", value.text),
                format!("write {name} == {}", value.text),
            );
        }
        if let (Some(mask), Meaning::Bits(_)) = (self.mask, &value.meaning) {
            return wrong(
                format!(
                    "{} is a name, and what is masked by 0x{mask:x} is a number",
                    value.text
                ),
                format!("write {name} == {}", value.text),
            );
        }
        if let (Some(mask), Meaning::Set(set)) = (self.mask, &value.meaning)
            && value.is_single
            && set.numbers.numbers(1).is_some_and(|numbers| {
                numbers
                    .iter()
                    .any(|&number| number & !u128::from(mask) != 0)
            })
            && !self.operator.is_order()
        {
            return wrong(
                format!(
                    "{} has bits outside the mask 0x{mask:x}: it can never be",
                    value.text
                ),
                String::from("correct the mask or the number"),
            );
        }
        Ok(value)
    }

    /// What it says.
    pub(crate) fn expr(&self, vocabulary: &Vocabulary) -> Result<Expr, Complaint> {
        let any = match self.field.kind() {
            Kind::Bits(field) => self.bits(field)?,
            Kind::Label => {
                let labels = self
                    .values
                    .iter()
                    .fold(0, |labels, value| match value.meaning {
                        Meaning::Label(number) => labels | 1 << number,
                        _ => labels,
                    });
                Expr::property(Property::Labels(labels))
            }
            Kind::Text => self.text(),
            Kind::Mark(part) => self.part(part, vocabulary)?,
            _ => {
                let scalars = self.field.scalars();
                let set = match scalars {
                    [first, ..] => self.set(*first)?,
                    [] => Set::default(),
                };
                Expr::or(
                    scalars
                        .iter()
                        .map(|&scalar| Expr::value(scalar, set.clone()))
                        .collect(),
                )
            }
        };
        Ok(if self.operator.is_negative() {
            any.negated()
        } else {
            any
        })
    }

    /// The values together, as the operator takes them.
    fn set(&self, scalar: Scalar) -> Result<Set, Complaint> {
        let sets = self.values.iter().filter_map(|value| match &value.meaning {
            Meaning::Set(set) => Some(set.clone()),
            _ => None,
        });
        let set = Set::union_of(sets);
        if !self.operator.is_order() {
            return Ok(set);
        }
        let number = set
            .numbers
            .as_slice()
            .first()
            .map_or(0, |&(first, _)| first);
        let max = scalar.max();
        let ranges = match self.operator {
            Operator::Less => number
                .checked_sub(1)
                .map_or_else(Ranges::default, |last| Ranges::between(0, last)),
            Operator::LessEqual => Ranges::between(0, number),
            Operator::Greater => Ranges::between(number + 1, max),
            _ => Ranges::between(number, max),
        };
        let ranges = ranges.intersection(&Ranges::all(max));
        if ranges.is_empty() {
            return Err((
                format!(
                    "{} can never be {} {number}",
                    self.field.name(),
                    self.operator.text()
                ),
                format!("it goes from 0 to {max}"),
            ));
        }
        Ok(Set::numbers(ranges))
    }

    fn bits(&self, field: BitField) -> Result<Expr, Complaint> {
        let mut parts = Vec::new();
        for value in &self.values {
            if let Meaning::Bits(bits) = value.meaning {
                let scalars = bit_scalars(field, bits);
                parts.extend(scalars.map(|scalar| Expr::value(scalar, Set::one(1u32))));
            }
        }
        let has_numbers = self
            .values
            .iter()
            .any(|value| matches!(value.meaning, Meaning::Set(_)));
        if has_numbers {
            let mask = self.mask.unwrap_or(all_bits(field));
            for scalar in bit_scalars(field, mask) {
                // Compared as they stand in the field, and kept as they are once shifted down.
                let whole = match scalar {
                    Scalar::Mark(_) => Scalar::Mark(u32::MAX),
                    Scalar::Status(_) => Scalar::Status(u32::MAX),
                    Scalar::TcpFlagsOrig(_) => Scalar::TcpFlagsOrig(0xff),
                    _ => Scalar::TcpFlagsReply(0xff),
                };
                let set = shifted_down(&self.set(whole)?, mask);
                parts.push(Expr::value(scalar, set));
            }
        }
        Ok(Expr::or(parts))
    }

    fn part(&self, part: MarkPart, vocabulary: &Vocabulary) -> Result<Expr, Complaint> {
        let names = vocabulary.part(part);
        let set = if self.operator.is_like() {
            let patterns = self.values.iter().filter_map(|value| match &value.meaning {
                Meaning::Text(text) => Some(Glob::pattern(text)),
                _ => None,
            });
            Set::union_of(patterns.map(|pattern| value::parts_like(part, &pattern, vocabulary)))
        } else {
            self.set(Scalar::Mark(u32::MAX))?
        };
        // From the part's own numbers to where they stand in the mark.
        let placed = set
            .numbers
            .as_slice()
            .iter()
            .map(|&(first, last)| Ranges::between(first << names.shift, last << names.shift));
        let placed = Set::numbers(Ranges::union_of(placed));
        Ok(Expr::value(
            Scalar::Mark(names.bits()),
            shifted_down(&placed, names.bits()),
        ))
    }

    fn text(&self) -> Expr {
        let globs = self.values.iter().filter_map(|value| match &value.meaning {
            Meaning::Text(text) if self.operator.is_like() => Some(Glob::pattern(text)),
            Meaning::Text(text) => Some(Glob::literal(text)),
            _ => None,
        });
        let mut globs: Vec<Glob> = globs.collect();
        globs.sort();
        globs.dedup();
        Expr::property(Property::Text(text_field(self.field), globs))
    }
}

const fn text_field(field: Field) -> TextField {
    match field {
        Field::Secctx => TextField::Secctx,
        _ => TextField::Helper,
    }
}

/// `field operator value`, in the usual spelling.
impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.field.name())?;
        if let Some(mask) = self.mask {
            write!(f, " & 0x{mask:x}")?;
        }
        let mut values = self.values.iter();
        let is_equal = self.operator == Operator::In
            && matches!(self.values.as_slice(), [only] if only.is_single);
        let operator = if is_equal {
            Operator::Equal
        } else {
            self.operator
        };
        write!(f, " {} ", operator.text())?;
        match (self.values.len(), values.next()) {
            (1, Some(value)) => f.write_str(&value.text),
            (_, Some(first)) => {
                write!(f, "{{{}", first.text)?;
                values.try_for_each(|value| write!(f, ", {}", value.text))?;
                f.write_str("}")
            }
            (_, None) => Ok(()),
        }
    }
}

const fn all_bits(field: BitField) -> u32 {
    match field {
        BitField::Mark | BitField::Status => u32::MAX,
        _ => 0xff,
    }
}

/// Where these bits are found.
fn bit_scalars(field: BitField, mask: u32) -> impl Iterator<Item = Scalar> {
    let (one, other) = match field {
        BitField::Mark => (Scalar::Mark(mask), None),
        BitField::Status => (Scalar::Status(mask), None),
        BitField::TcpFlagsOrig => (Scalar::TcpFlagsOrig(mask), None),
        BitField::TcpFlagsReply => (Scalar::TcpFlagsReply(mask), None),
        BitField::TcpFlags => (
            Scalar::TcpFlagsOrig(mask),
            Some(Scalar::TcpFlagsReply(mask)),
        ),
    };
    [one].into_iter().chain(other)
}

/// Numbers with only bits of the mask, moved down to where the mask begins.
fn shifted_down(set: &Set, mask: u32) -> Set {
    if mask == 0 {
        // Of no bits the number is 0.
        let has_zero = !set.numbers.intersection(&Ranges::one(0)).is_empty();
        return if has_zero {
            Set::one(0u32)
        } else {
            Set::default()
        };
    }
    let shift = mask.trailing_zeros();
    let parts = set
        .numbers
        .as_slice()
        .iter()
        .map(|&(first, last)| Ranges::between(first.div_ceil(1 << shift), last >> shift));
    Set::numbers(Ranges::union_of(parts))
}

/// The bits to look at.
pub(crate) fn mask(field: Field, text: &str, vocabulary: &Vocabulary) -> Result<u32, Wrong> {
    let value = value::parse(field, text, vocabulary)?;
    let number = match &value.meaning {
        Meaning::Bits(bits) => Some(*bits),
        Meaning::Set(set) => set
            .numbers
            .numbers(1)
            .and_then(|numbers| numbers.first().copied())
            .and_then(|number| u32::try_from(number).ok()),
        _ => None,
    };
    number.filter(|&mask| mask != 0).ok_or_else(|| Wrong {
        message: format!("{} is no set of bits", value.text),
        hint: "give a number with at least one bit, such as 0xff".to_owned(),
        unknown: false,
    })
}

/// What a flag says; fails where this machine's addresses are needed and cannot be had.
pub(crate) fn flag(flag: Flag, vocabulary: &Vocabulary) -> Result<Expr, String> {
    let protocol = |protocol: Protocol| Expr::value(Scalar::Protocol, Set::one(protocol.0));
    let family =
        |family: Family| Expr::value(Scalar::Family, Set::one(u128::from(family_number(family))));
    let status = |bit: Status| Expr::value(Scalar::Status(bit.bits()), Set::one(1u32));
    Ok(match flag {
        Flag::Nat => Expr::property(Property::Nat),
        Flag::Snat => Expr::property(Property::SourceNat),
        Flag::Dnat => Expr::property(Property::DestinationNat),
        Flag::Assured => status(Status::ASSURED),
        Flag::Unreplied => status(Status::SEEN_REPLY).negated(),
        Flag::Offloaded => Expr::or(vec![status(Status::OFFLOAD), status(Status::HW_OFFLOAD)]),
        Flag::Expected => status(Status::EXPECTED),
        Flag::Dying => status(Status::DYING),
        Flag::Local => {
            let nets = (vocabulary.local)()?;
            let set = Set::union_of(nets.iter().map(value::network));
            let ends = [Scalar::Src, Scalar::ReplySrc];
            Expr::or(
                ends.iter()
                    .map(|&end| Expr::value(end, set.clone()))
                    .collect(),
            )
        }
        Flag::Tcp => protocol(Protocol::TCP),
        Flag::Udp => protocol(Protocol::UDP),
        Flag::Icmp => protocol(Protocol::ICMP),
        Flag::Icmpv6 => protocol(Protocol::ICMPV6),
        Flag::Sctp => protocol(Protocol::SCTP),
        Flag::Dccp => protocol(Protocol::DCCP),
        Flag::Gre => protocol(Protocol::GRE),
        Flag::Udplite => protocol(Protocol::UDPLITE),
        Flag::Ipv4 => family(Family::Ipv4),
        Flag::Ipv6 => family(Family::Ipv6),
    })
}

/// What `has FIELD` says: a value is there; of marks, labels and status bits, any bit is set.
pub(crate) fn has(field: Field, vocabulary: &Vocabulary) -> Expr {
    let not_zero = |scalar: Scalar| Expr::value(scalar, Set::one(0u32)).negated();
    match field.kind() {
        Kind::Bits(field @ (BitField::Mark | BitField::Status)) => {
            Expr::or(bit_scalars(field, all_bits(field)).map(not_zero).collect())
        }
        Kind::Bits(field) => {
            let present = |scalar| Expr::value(scalar, Set::present(scalar));
            Expr::or(bit_scalars(field, all_bits(field)).map(present).collect())
        }
        Kind::Mark(part) => not_zero(Scalar::Mark(vocabulary.part(part).bits())),
        Kind::Label => Expr::property(Property::Labels(u128::MAX)),
        Kind::Text => Expr::property(Property::Text(text_field(field), Vec::new())),
        _ => {
            let present = |&scalar: &Scalar| Expr::value(scalar, Set::present(scalar));
            Expr::or(field.scalars().iter().map(present).collect())
        }
    }
}
