//! What of a query the kernel can filter.
//!
//! The kernel compares single addresses, ports, a protocol, a zone, bits of mark and status; all
//! that it is given must hold. An alternative of the query becomes such a filter, or several where
//! a few values are possible, and all filters together are read as one union. Every entry is
//! asked the whole query all the same (docs/adr/0002), so a filter may let through too much, but
//! never too little.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ctnetlink::{Family, Filter, Masked, Protocol};

use crate::cases::{Case, bits, cases};
use crate::expr::Expr;
use crate::scalar::{Scalar, Set, family_number, shifted};

/// The most requests into which a query is split. Each walks the whole table, which costs about a
/// tenth of reading all of it (docs/adr/0003).
pub(crate) const MOST_REQUESTS: usize = 6;

/// The filters whose union holds every selected entry: one that [`Filter::is_any`] where the
/// kernel cannot help, none where nothing can be selected.
pub(crate) fn filters(expr: &Expr) -> Vec<Filter> {
    let cases = cases(expr);
    let split: Vec<Filter> = cases.iter().flat_map(filters_of).collect();
    let split = without_contained(without_what_changes(split));
    let is_worth_it = split.len() <= 1 || split.iter().all(is_selective);
    if is_worth_it && requests(&split) <= MOST_REQUESTS {
        return split;
    }
    let wide = cases.iter().map(wide_filter).reduce(|a, b| common(&a, &b));
    wide.into_iter().collect()
}

/// Mark and status change while the table is read: an entry that goes from what one request asks
/// for to what another one asked for would be missed. So all say the same of them, or nothing.
fn without_what_changes(mut filters: Vec<Filter>) -> Vec<Filter> {
    let Some(first) = filters.first() else {
        return filters;
    };
    let Filter { mark, status, .. } = *first;
    let is_alike = |filter: &Filter| filter.mark == mark && filter.status == status;
    if !filters.iter().all(is_alike) {
        for filter in &mut filters {
            filter.mark = None;
            filter.status = None;
        }
    }
    filters
}

/// How many requests the kernel is sent: it compares protocol and addresses within one family.
pub(crate) fn requests(filters: &[Filter]) -> usize {
    filters
        .iter()
        .map(|filter| {
            if filter.family.is_some() || !has_tuple(filter) {
                1
            } else {
                filter.families().count()
            }
        })
        .sum()
}

fn has_tuple(filter: &Filter) -> bool {
    filter.protocol.is_some() || addresses(filter).any(|address| address.is_some())
}

fn addresses(filter: &Filter) -> impl Iterator<Item = Option<IpAddr>> {
    [filter.orig, filter.reply]
        .into_iter()
        .flat_map(|tuple| [tuple.src, tuple.dst])
}

/// Whether a filter is likely to leave out most entries. By family, protocol and status alone it
/// does not.
fn is_selective(filter: &Filter) -> bool {
    let tuples = [filter.orig, filter.reply];
    addresses(filter).any(|address| address.is_some())
        || filter.zone.is_some_and(|zone| zone != 0)
        || filter.mark.is_some_and(|mark| mark.value & mark.mask != 0)
        || has_port(filter)
        || tuples.iter().any(|tuple| tuple.icmp_id.is_some())
}

/// Whether a filter compares a port.
pub(crate) fn has_port(filter: &Filter) -> bool {
    let tuples = [filter.orig, filter.reply];
    tuples
        .iter()
        .any(|tuple| tuple.src_port.is_some() || tuple.dst_port.is_some())
}

/// What can have several values in one filter's place, most telling first.
const SPLIT: [Scalar; 9] = [
    Scalar::Src,
    Scalar::Dst,
    Scalar::ReplySrc,
    Scalar::ReplyDst,
    Scalar::DstPort,
    Scalar::SrcPort,
    Scalar::ReplySrcPort,
    Scalar::ReplyDstPort,
    Scalar::Zone,
];

/// The filters of one alternative: one for each combination of its few possible values.
fn filters_of(case: &Case) -> Vec<Filter> {
    let by_protocol = protocols_with_ports(case);
    if by_protocol.is_empty() {
        return split_by_values(case);
    }
    by_protocol.iter().flat_map(split_by_values).collect()
}

/// Where ports are asked for and TCP and UDP are both possible, one alternative of each: with the
/// protocol known the kernel compares the ports.
fn protocols_with_ports(case: &Case) -> Vec<Case> {
    let protocol = case
        .set(Scalar::Protocol)
        .and_then(|set| set.numbers.numbers(2));
    let has_port = case.sets().any(|(scalar, set)| {
        is_port(scalar) && !set.absent && values(scalar, set, MOST_REQUESTS).is_some()
    });
    match protocol.as_deref() {
        Some(both) if has_port && *both == PORTS_COMPARED.map(|protocol| protocol.0.into()) => {
            let only = |&number: &u128| case.restricted(Scalar::Protocol, &Set::one(number));
            both.iter().filter_map(only).collect()
        }
        _ => Vec::new(),
    }
}

fn split_by_values(case: &Case) -> Vec<Filter> {
    let mut filters = vec![wide_filter(case)];
    for scalar in SPLIT {
        let Some(set) = case.set(scalar).filter(|set| !set.absent) else {
            continue;
        };
        // An address leaves little that ports could leave out, and each request is a walk.
        let has_address = |filter: &Filter| addresses(filter).any(|address| address.is_some());
        if !scalar.is_address() && filters.iter().all(has_address) {
            continue;
        }
        let possible = values(scalar, set, MOST_REQUESTS / filters.len());
        let Some(possible) = possible.filter(|values| values.len() > 1) else {
            continue;
        };
        let each = |filter: &Filter| {
            let with = possible
                .iter()
                .filter_map(|&value| with_value(*filter, scalar, value));
            with.collect::<Vec<_>>()
        };
        let split: Vec<Filter> = filters.iter().flat_map(each).collect();
        if !split.is_empty() {
            filters = split;
        }
    }
    filters
}

/// The one filter that holds all of an alternative.
fn wide_filter(case: &Case) -> Filter {
    let mut filter = Filter::any();
    // The protocol comes before the ports, by the order of the scalars.
    for (scalar, set) in case.sets().filter(|(_, set)| !set.absent) {
        if let Some((mask, value)) = bits(scalar, set) {
            let slot = match scalar {
                Scalar::Mark(_) => &mut filter.mark,
                Scalar::Status(_) => &mut filter.status,
                _ => continue,
            };
            let known = slot.unwrap_or(Masked { value: 0, mask: 0 });
            *slot = Some(Masked {
                value: known.value | value,
                mask: known.mask | mask,
            });
        } else if let Some([value]) = values(scalar, set, 1).as_deref()
            && let Some(narrower) = with_value(filter, scalar, *value)
        {
            filter = narrower;
        }
    }
    filter
}

/// The protocols of which the kernel compares the ports, by number.
const PORTS_COMPARED: [Protocol; 2] = [Protocol::TCP, Protocol::UDP];

const fn is_port(scalar: Scalar) -> bool {
    matches!(
        scalar,
        Scalar::SrcPort | Scalar::DstPort | Scalar::ReplySrcPort | Scalar::ReplyDstPort
    )
}

/// Whether the kernel compares this beside what the filter says already.
fn is_compared(filter: &Filter, scalar: Scalar) -> bool {
    let protocol = filter.protocol;
    match scalar {
        _ if is_port(scalar) => protocol.is_some_and(|it| PORTS_COMPARED.contains(&it)),
        Scalar::IcmpType | Scalar::IcmpCode | Scalar::IcmpId => {
            protocol.is_some_and(|it| [Protocol::ICMP, Protocol::ICMPV6].contains(&it))
        }
        _ => true,
    }
}

#[derive(Clone, Copy)]
enum Value {
    Address(IpAddr),
    Number(u128),
}

/// The single values of a set, if there are at most so many.
fn values(scalar: Scalar, set: &Set, limit: usize) -> Option<Vec<Value>> {
    let numbers = set.numbers.numbers(limit)?;
    let v6 = set.v6.numbers(limit)?;
    let values: Vec<Value> = if scalar.is_address() {
        let v4 = numbers
            .iter()
            .filter_map(|&number| u32::try_from(number).ok());
        let v4 = v4.map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits)));
        let v6 = v6.iter().map(|&bits| IpAddr::V6(Ipv6Addr::from_bits(bits)));
        v4.chain(v6).map(Value::Address).collect()
    } else {
        numbers.into_iter().map(Value::Number).collect()
    };
    (!values.is_empty() && values.len() <= limit).then_some(values)
}

/// The filter with one more condition; `None` for what the kernel does not compare.
fn with_value(mut filter: Filter, scalar: Scalar, value: Value) -> Option<Filter> {
    if !is_compared(&filter, scalar) {
        return None;
    }
    match value {
        Value::Address(address) => {
            let slot = match scalar {
                Scalar::Src => &mut filter.orig.src,
                Scalar::Dst => &mut filter.orig.dst,
                Scalar::ReplySrc => &mut filter.reply.src,
                Scalar::ReplyDst => &mut filter.reply.dst,
                _ => return None,
            };
            *slot = Some(address);
            filter.family = Some(Family::of(address));
        }
        Value::Number(number) => {
            let small = u16::try_from(number).ok()?;
            let byte = u8::try_from(number).ok();
            match scalar {
                Scalar::Protocol => filter.protocol = Some(Protocol(byte?)),
                Scalar::Family => {
                    let is_it = |family: &Family| u128::from(family_number(*family)) == number;
                    filter.family = Family::ALL.into_iter().find(is_it);
                }
                Scalar::SrcPort => filter.orig.src_port = Some(small),
                Scalar::DstPort => filter.orig.dst_port = Some(small),
                Scalar::ReplySrcPort => filter.reply.src_port = Some(small),
                Scalar::ReplyDstPort => filter.reply.dst_port = Some(small),
                Scalar::IcmpType => filter.orig.icmp_type = Some(byte?),
                Scalar::IcmpCode => filter.orig.icmp_code = Some(byte?),
                Scalar::IcmpId => filter.orig.icmp_id = Some(small),
                Scalar::Zone => filter.zone = Some(small),
                _ => return None,
            }
        }
    }
    Some(filter)
}

/// What two filters have in common: what both say alike.
fn common(a: &Filter, b: &Filter) -> Filter {
    fn same<T: PartialEq>(a: Option<T>, b: Option<T>) -> Option<T> {
        if a == b { a } else { None }
    }
    let tuple = |a: &ctnetlink::TupleFilter, b: &ctnetlink::TupleFilter| ctnetlink::TupleFilter {
        src: same(a.src, b.src),
        dst: same(a.dst, b.dst),
        src_port: same(a.src_port, b.src_port),
        dst_port: same(a.dst_port, b.dst_port),
        icmp_type: same(a.icmp_type, b.icmp_type),
        icmp_code: same(a.icmp_code, b.icmp_code),
        icmp_id: same(a.icmp_id, b.icmp_id),
    };
    Filter {
        family: same(a.family, b.family),
        protocol: same(a.protocol, b.protocol),
        orig: tuple(&a.orig, &b.orig),
        reply: tuple(&a.reply, &b.reply),
        zone: same(a.zone, b.zone),
        mark: same(a.mark, b.mark),
        status: same(a.status, b.status),
    }
}

/// Leaves out filters whose entries another one selects as well.
fn without_contained(filters: Vec<Filter>) -> Vec<Filter> {
    let mut kept: Vec<Filter> = Vec::new();
    for filter in filters {
        if kept.iter().any(|wider| common(wider, &filter) == *wider) {
            continue;
        }
        kept.retain(|narrower| common(narrower, &filter) != filter);
        kept.push(filter);
    }
    kept
}

/// What a filter says, as a query would.
pub(crate) fn expr_of(filter: &Filter) -> Expr {
    let mut parts = Vec::new();
    let mut number = |scalar: Scalar, number: Option<u128>| {
        if let Some(number) = number {
            parts.push(Expr::value(scalar, Set::one(number)));
        }
    };
    let family = filter.family.map(|family| family_number(family).into());
    number(Scalar::Family, family);
    number(
        Scalar::Protocol,
        filter.protocol.map(|protocol| protocol.0.into()),
    );
    number(Scalar::SrcPort, filter.orig.src_port.map(Into::into));
    number(Scalar::DstPort, filter.orig.dst_port.map(Into::into));
    number(Scalar::ReplySrcPort, filter.reply.src_port.map(Into::into));
    number(Scalar::ReplyDstPort, filter.reply.dst_port.map(Into::into));
    number(Scalar::IcmpType, filter.orig.icmp_type.map(Into::into));
    number(Scalar::IcmpCode, filter.orig.icmp_code.map(Into::into));
    number(Scalar::IcmpId, filter.orig.icmp_id.map(Into::into));
    number(Scalar::Zone, filter.zone.map(Into::into));
    let ends = [
        (Scalar::Src, filter.orig.src),
        (Scalar::Dst, filter.orig.dst),
        (Scalar::ReplySrc, filter.reply.src),
        (Scalar::ReplyDst, filter.reply.dst),
    ];
    for (scalar, address) in ends {
        if let Some(address) = address {
            parts.push(Expr::value(scalar, Set::addresses(address, address)));
        }
    }
    if let Some(Masked { value, mask }) = filter.mark {
        parts.push(Expr::value(
            Scalar::Mark(mask),
            Set::one(shifted(value, mask)),
        ));
    }
    if let Some(Masked { value, mask }) = filter.status {
        parts.push(Expr::value(
            Scalar::Status(mask),
            Set::one(shifted(value, mask)),
        ));
    }
    Expr::and(parts)
}
