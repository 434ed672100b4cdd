//! What of a query the BPF program can compare while it reads the table (crate `ctwalk`).
//!
//! The alternatives of the query become those of the program, with every number that it knows. What
//! it does not know (labels, names, NAT, masters, ids) is left out, and where there is more than it has
//! room for, so are the finer points: it may copy too much, but never too little. Every entry is asked
//! the whole query all the same.

use ctwalk::{Condition, Filter, Number};

use crate::cases::{Case, Conclusions, cases};
use crate::expr::Expr;
use crate::ranges::Ranges;
use crate::scalar::{Scalar, Set};

/// Conditions that must all hold.
pub(crate) type Alternative = Vec<(Scalar, Set)>;

/// What the program is asked; none if nothing can be selected, one without conditions for
/// everything.
pub(crate) fn alternatives(expr: &Expr) -> Vec<Alternative> {
    let mut alternatives: Vec<Alternative> = Vec::new();
    for case in &cases(expr) {
        let alternative = known(case);
        // One that says less holds wherever one does that says the same and more.
        let says_all = |more: &Alternative, less: &Alternative| {
            less.iter().all(|condition| more.contains(condition))
        };
        if !alternatives.iter().any(|less| says_all(&alternative, less)) {
            alternatives.retain(|more| !says_all(more, &alternative));
            alternatives.push(alternative);
        }
    }
    fit(&mut alternatives);
    if alternatives.iter().any(Vec::is_empty) {
        alternatives = vec![Vec::new()];
    }
    alternatives
}

/// The conditions that the program can compare.
fn known(case: &Case) -> Alternative {
    let mut sets: Alternative = case
        .sets()
        .filter(|(scalar, _)| number(*scalar).is_some())
        .map(|(scalar, set)| (scalar, widened(scalar, set)))
        .collect();
    // What follows from the others need not be compared: ports are of a protocol that has them.
    let Conclusions {
        families,
        protocols,
    } = Conclusions::of(sets.iter().map(|(scalar, set)| (*scalar, set)));
    sets.retain(|(scalar, set)| match scalar {
        Scalar::Family => set.numbers != families,
        Scalar::Protocol => Some(&set.numbers) != protocols.as_ref(),
        _ => true,
    });
    without_all(&mut sets);
    sets
}

/// Ages are compared again a little later: each side gets a second more.
fn widened(scalar: Scalar, set: &Set) -> Set {
    let mut set = set.clone();
    if scalar == Scalar::Age {
        let ages = set.numbers.as_slice().iter();
        let ages = ages.map(|&(first, last)| {
            Ranges::between(first.saturating_sub(1), last + 1)
                .intersection(&Ranges::all(scalar.max()))
        });
        set.numbers = Ranges::union_of(ages);
    }
    set
}

/// Leaves out what says nothing any more.
fn without_all(sets: &mut Alternative) {
    sets.retain(|(scalar, set)| !set.is_all(*scalar));
}

/// Makes it as short as the program needs it: first the sets get fewer ranges, then the alternatives
/// fewer conditions.
fn fit(alternatives: &mut [Alternative]) {
    let fits = |alternatives: &[Alternative]| filter(alternatives, u64::MAX).fits();
    let sets = alternatives.iter().flatten();
    let mut ranges = sets
        .map(|(_, set)| set.numbers.as_slice().len().max(set.v6.as_slice().len()))
        .max()
        .unwrap_or(0);
    while ranges > 1 && !fits(alternatives) {
        ranges /= 2;
        for alternative in &mut *alternatives {
            for (_, set) in &mut *alternative {
                set.numbers = std::mem::take(&mut set.numbers).at_most(ranges);
                set.v6 = std::mem::take(&mut set.v6).at_most(ranges);
            }
            without_all(alternative);
        }
    }
    let mut conditions = alternatives.iter().map(Vec::len).max().unwrap_or(0);
    while conditions > 0 && !fits(alternatives) {
        conditions -= 1;
        for alternative in &mut *alternatives {
            // By the order of the scalars the protocol goes first: it leaves out least.
            let surplus = alternative.len().saturating_sub(conditions);
            alternative.drain(..surplus);
        }
    }
}

/// What the alternatives say, as a query would.
pub(crate) fn expr_of(alternative: &Alternative) -> Expr {
    let parts = alternative
        .iter()
        .map(|(scalar, set)| Expr::value(*scalar, set.clone()));
    Expr::and(parts.collect())
}

/// The program's filter; `now` is in nanoseconds since the epoch.
pub(crate) fn filter(alternatives: &[Alternative], now: u64) -> Filter {
    let condition = |(scalar, set): &(Scalar, Set)| condition(*scalar, set, now);
    Filter {
        alternatives: alternatives
            .iter()
            .map(|alternative| alternative.iter().filter_map(condition).collect())
            .collect(),
    }
}

fn condition(scalar: Scalar, set: &Set, now: u64) -> Option<Condition> {
    let ranges = set.numbers.as_slice().iter();
    let ranges = match number(scalar)? {
        Number::Start => ranges
            .rev()
            .filter_map(|&(first, last)| births(first, last, now))
            .collect(),
        Number::Mark(mask)
        | Number::Status(mask)
        | Number::TcpFlagsOrig(mask)
        | Number::TcpFlagsReply(mask) => {
            // From where the mask begins to where the bits stand; of no bits the number is 0.
            let shift = if mask == 0 { 0 } else { mask.trailing_zeros() };
            ranges
                .map(|&(first, last)| (narrow(first << shift), narrow(last << shift)))
                .collect()
        }
        _ => ranges
            .map(|&(first, last)| (narrow(first), narrow(last)))
            .collect(),
    };
    Some(Condition {
        number: number(scalar)?,
        absent: set.absent,
        ranges,
        v6: set.v6.as_slice().to_vec(),
    })
}

/// When entries of these ages were born; `None` if that is before the epoch. What was born after
/// `now` has the age 0.
fn births(youngest: u128, oldest: u128, now: u64) -> Option<(u64, u64)> {
    const SECOND: u128 = 1_000_000_000;
    let now = u128::from(now);
    let last = match youngest {
        0 => u64::MAX,
        _ => narrow(now.checked_sub(youngest * SECOND)?),
    };
    // One nanosecond later than what is a second too old.
    let first = (now + 1).saturating_sub((oldest + 1) * SECOND);
    Some((narrow(first), last))
}

fn narrow(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// What the program calls it; `None` for what it does not know.
const fn number(scalar: Scalar) -> Option<Number> {
    Some(match scalar {
        Scalar::Protocol => Number::Protocol,
        Scalar::Family => Number::Family,
        Scalar::State => Number::State,
        Scalar::Src => Number::Src,
        Scalar::Dst => Number::Dst,
        Scalar::ReplySrc => Number::ReplySrc,
        Scalar::ReplyDst => Number::ReplyDst,
        Scalar::SrcPort => Number::SrcPort,
        Scalar::DstPort => Number::DstPort,
        Scalar::ReplySrcPort => Number::ReplySrcPort,
        Scalar::ReplyDstPort => Number::ReplyDstPort,
        Scalar::IcmpType => Number::IcmpType,
        Scalar::IcmpCode => Number::IcmpCode,
        Scalar::IcmpId => Number::IcmpId,
        Scalar::GreSrcKey => Number::GreSrcKey,
        Scalar::GreDstKey => Number::GreDstKey,
        Scalar::Bytes => Number::Bytes,
        Scalar::BytesOrig => Number::BytesOrig,
        Scalar::BytesReply => Number::BytesReply,
        Scalar::Packets => Number::Packets,
        Scalar::PacketsOrig => Number::PacketsOrig,
        Scalar::PacketsReply => Number::PacketsReply,
        Scalar::Age => Number::Start,
        Scalar::Timeout => Number::Timeout,
        Scalar::Zone => Number::Zone,
        Scalar::Use => Number::Use,
        Scalar::TcpWscaleOrig => Number::TcpWscaleOrig,
        Scalar::TcpWscaleReply => Number::TcpWscaleReply,
        Scalar::Mark(mask) => Number::Mark(mask),
        Scalar::Status(mask) => Number::Status(mask),
        Scalar::TcpFlagsOrig(mask) => Number::TcpFlagsOrig(mask),
        Scalar::TcpFlagsReply(mask) => Number::TcpFlagsReply(mask),
        Scalar::MasterSrc
        | Scalar::MasterDst
        | Scalar::Id
        | Scalar::Secmark
        | Scalar::SctpVtagOrig
        | Scalar::SctpVtagReply
        | Scalar::DccpRole => return None,
    })
}

#[cfg(test)]
mod tests {
    use ctnetlink::{Entry, Protocol, Timestamps, Tuple};
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn born(start: u64) -> Entry {
        let orig = Tuple::ports(
            Protocol::UDP,
            [10, 0, 0, 1].into(),
            1,
            [10, 0, 0, 2].into(),
            2,
        );
        Entry {
            timestamps: Some(Timestamps {
                start: Some(start),
                stop: None,
            }),
            ..Entry::new(orig, orig.mirror())
        }
    }

    fn time() -> impl Strategy<Value = u64> {
        let near = (0..6 * SECOND, 0..3u64).prop_map(|(time, ends)| match ends {
            0 => time / SECOND * SECOND,
            1 => time,
            _ => u64::MAX - time,
        });
        prop_oneof![near, any::<u64>()]
    }

    fn age() -> impl Strategy<Value = u64> {
        prop_oneof![
            0..5u64,
            (u64::MAX / SECOND - 3..u64::MAX / SECOND + 3),
            u64::MAX - 2..=u64::MAX
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 5000, ..ProptestConfig::default() })]

        #[test]
        fn ages_are_births(
            (a, b) in (age(), age()), start in time(), now in time(), later in 0..=SECOND,
        ) {
            let (first, last) = (a.min(b), a.max(b));
            let is_in = |now: u64, slack: u64| {
                let age = born(start).age(now).unwrap();
                first.saturating_sub(slack) <= age && age <= last.saturating_add(slack)
            };
            let asked = |set: &Set| {
                let condition = condition(Scalar::Age, set, now).unwrap();
                let is_in = |&(first, last): &(u64, u64)| first <= start && start <= last;
                condition.ranges.iter().any(is_in)
            };
            let set = Set::numbers(Ranges::between(first.into(), last.into()));
            prop_assert_eq!(asked(&set), is_in(now, 0));
            // With a second on either side, whoever asks a second later still finds all.
            let widened = widened(Scalar::Age, &set);
            prop_assert_eq!(asked(&widened), is_in(now, 1));
            let later = now.saturating_add(later);
            prop_assert!(asked(&widened) || !is_in(later, 0));
        }
    }

    fn of(parts: Vec<(Scalar, Set)>) -> Vec<Alternative> {
        let parts = parts
            .into_iter()
            .map(|(scalar, set)| Expr::value(scalar, set));
        alternatives(&Expr::and(parts.collect()))
    }

    #[test]
    fn what_follows_from_other_conditions_is_not_asked() {
        let port = (Scalar::DstPort, Set::one(53u32));
        assert_eq!(of(vec![port.clone()]), [vec![port.clone()]]);
        let udp = (Scalar::Protocol, Set::one(Protocol::UDP.0));
        assert_eq!(of(vec![port.clone(), udp.clone()]), [vec![udp, port]]);
        // The tag has no place in the program; that it is of SCTP has.
        let sctp = (Scalar::Protocol, Set::one(Protocol::SCTP.0));
        assert_eq!(
            of(vec![(Scalar::SctpVtagOrig, Set::one(7u32))]),
            [vec![sctp]]
        );
    }

    #[test]
    fn bits_are_asked_where_they_stand() {
        let one = Set::numbers(Ranges::between(1, 2));
        let filter = filter(&of(vec![(Scalar::Mark(0xff00), one)]), 0);
        let [alternative] = filter.alternatives.as_slice() else {
            panic!("{filter:?}");
        };
        assert_eq!(alternative[0].number, Number::Mark(0xff00));
        assert_eq!(alternative[0].ranges, [(0x100, 0x200)]);
    }

    #[test]
    fn what_is_too_long_is_made_coarser() {
        let ports = |range: std::ops::Range<u128>| {
            Set::numbers(Ranges::union_of(range.map(|port| Ranges::one(2 * port))))
        };
        let many = of(vec![
            (Scalar::DstPort, ports(100..300)),
            (Scalar::Zone, Set::one(7u32)),
        ]);
        assert!(filter(&many, 0).fits());
        // Less is left out, not everything.
        let [alternative] = many.as_slice() else {
            panic!("{many:?}");
        };
        let [(Scalar::DstPort, ports), (Scalar::Zone, zone)] = alternative.as_slice() else {
            panic!("{alternative:?}");
        };
        assert_eq!(*zone, Set::one(7u32));
        let ranges = ports.numbers.as_slice();
        assert!(ranges.len() > 1 && ranges.len() < 64, "{ranges:?}");
        assert_eq!((ranges[0].0, ranges.last().unwrap().1), (200, 598));
    }
}
