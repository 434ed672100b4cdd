//! Several filters in one dump, against a kernel that says what a test tells it to: how many
//! requests they become, and that an entry comes once whatever it was when each passed it.
#![allow(clippy::indexing_slicing)]

use std::net::IpAddr;

use ctnetlink::constants::*;
use ctnetlink::{
    Client, Dump, DumpOutcome, DumpRequest, Entry, Error, Family, Filter, Masked, NewEntry,
    Protocol, Status, TupleFilter,
};
use proptest::prelude::*;
use testkit::{FakeKernel, Reply, Request, fill};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn table(count: u32) -> Vec<NewEntry> {
    (0..count).map(fill::entry).collect()
}

fn of_family(request: &Request, table: &[NewEntry]) -> Vec<NewEntry> {
    let family = request.nfgen.family;
    let is_of = |new: &&NewEntry| family == AF_UNSPEC || family == new.orig.family().number();
    table.iter().filter(is_of).cloned().collect()
}

fn read(client: &Client, filters: &[Filter]) -> Result<(Vec<Entry>, DumpOutcome), Error> {
    let request = DumpRequest::from(filters.to_vec());
    client.dump(&request).and_then(Dump::collect)
}

/// A filter with some parts.
fn with(change: impl FnOnce(&mut Filter)) -> Filter {
    let mut filter = Filter::any();
    change(&mut filter);
    filter
}

fn from(source: IpAddr) -> Filter {
    with(|f| f.orig.src = Some(source))
}

fn tcp() -> Filter {
    with(|f| f.protocol = Some(Protocol::TCP))
}

fn to_port(protocol: Protocol, port: u16) -> Filter {
    with(|f| {
        f.protocol = Some(protocol);
        f.orig.dst_port = Some(port);
    })
}

fn marked(value: u32, mask: u32) -> Filter {
    with(|f| f.mark = Some(Masked { value, mask }))
}

/// A kernel that ignores all filters but the family.
fn ignoring(table: Vec<NewEntry>) -> FakeKernel {
    FakeKernel::new(move |request| {
        Reply::to(request)
            .entries(&of_family(request, &table), 7)
            .done(0)
    })
}

#[test]
fn no_filter_selects_nothing_and_asks_nothing() -> Outcome {
    let kernel = ignoring(table(5));
    let (entries, outcome) = read(&kernel.client()?, &[])?;
    assert!(entries.is_empty() && outcome.complete);
    assert_eq!((outcome.requests, kernel.requests().len()), (0, 0));
    Ok(())
}

#[test]
fn as_few_requests_are_sent_as_bring_everything() -> Outcome {
    let v4 = |last: u8| IpAddr::from([10, 0, 0, last]);
    let in_family = |family| with(|f| f.family = Some(family));
    let sctp = Protocol::SCTP;
    let zone = |zone| with(|f| f.zone = Some(zone));
    let one_of_two_masks = [marked(0x1, 0xf), marked(0x11, 0xff)];
    let contradiction = with(|f| {
        f.orig.src = Some(v4(1));
        f.orig.dst = Some("fd00::1".parse().expect("an address"));
    });
    let cases: [(&str, &[Filter], u32); 12] = [
        ("everything", &[Filter::any()], 1),
        (
            "everything and more",
            &[tcp(), Filter::any(), from(v4(1))],
            1,
        ),
        ("a protocol is one in each family", &[tcp()], 2),
        ("the same twice", &[tcp(), tcp()], 2),
        (
            "a port of a protocol, and the protocol",
            &[to_port(Protocol::TCP, 80), tcp()],
            2,
        ),
        ("addresses", &[from(v4(1)), from(v4(2)), from(v4(1))], 2),
        (
            "an address and its family",
            &[from(v4(1)), in_family(Family::Ipv4)],
            1,
        ),
        (
            "ports that the kernel does not compare",
            &[to_port(sctp, 1), to_port(sctp, 2)],
            2,
        ),
        (
            "ports without a protocol",
            &[with(|f| f.orig.dst_port = Some(1)), tcp()],
            1,
        ),
        ("masks, one within the other", &one_of_two_masks, 1),
        ("zones", &[zone(0), zone(5)], 2),
        ("what nothing can be", &[contradiction, zone(5)], 1),
    ];
    for (name, filters, requests) in cases {
        let kernel = ignoring(table(200));
        let (entries, outcome) = read(&kernel.client()?, filters)?;
        assert_eq!(outcome.requests, requests, "{name}");
        assert_eq!(kernel.requests().len() as u32, requests, "{name}");
        assert_eq!(outcome.fallbacks, 0, "{name}");
        let request = DumpRequest::from(filters.to_vec());
        let all = kernel.client()?.dump(&DumpRequest::default())?.collect()?.0;
        let expected = all.iter().filter(|entry| request.matches(entry)).count();
        assert_eq!(entries.len(), expected, "{name}");
    }
    Ok(())
}

/// What a kernel says of one entry, whose mark is `marks[n]` when request `n` passes it, to a client
/// that asks for `filters`.
fn read_while_changing(filters: &[Filter], marks: &'static [u32]) -> Result<usize, Error> {
    let order = filters.to_vec();
    let kernel = FakeKernel::new(move |request| {
        let asked = |filter: &Filter| {
            let attribute = |kind| request.attribute(kind).and_then(|b| b.try_into().ok());
            let value = attribute(CTA_MARK).map(u32::from_be_bytes);
            let mask = attribute(CTA_MARK_MASK).map(u32::from_be_bytes);
            let mark = value.zip(mask).map(|(value, mask)| Masked { value, mask });
            filter.mark == mark
        };
        let at = order.iter().position(asked).expect("one of the filters");
        let mut entry = fill::entry(1);
        entry.mark = Some(marks[at]);
        let reply = Reply::to(request);
        let is_selected = order[at].mark.is_none_or(|mark| mark.matches(marks[at]));
        if is_selected {
            reply.entry(&entry, 7).done(0)
        } else {
            reply.done(0)
        }
    });
    Ok(read(&kernel.client()?, filters)?.0.len())
}

#[test]
fn an_entry_whose_mark_changes_between_requests_comes_once() -> Outcome {
    let bits = [marked(1, 1), marked(2, 2), marked(4, 4)];
    // Selected by the second only when the first has passed it, by the first as well afterwards.
    assert_eq!(read_while_changing(&bits, &[2, 3, 2])?, 1);
    assert_eq!(read_while_changing(&bits, &[6, 5, 7])?, 1);
    // By one after the other.
    assert_eq!(read_while_changing(&bits, &[1, 2, 4])?, 1);
    assert_eq!(read_while_changing(&bits, &[7, 7, 7])?, 1);
    assert_eq!(read_while_changing(&bits, &[4, 4, 4])?, 1);
    assert_eq!(read_while_changing(&bits, &[8, 8, 8])?, 0);
    // The second brings it whatever its mark is.
    let family = with(|f| f.family = Some(Family::Ipv4));
    for marks in [&[1, 1], &[1, 0], &[0, 1], &[0, 0]] {
        assert_eq!(read_while_changing(&[marked(1, 1), family], marks)?, 1);
        assert_eq!(read_while_changing(&[family, marked(1, 1)], marks)?, 1);
    }
    Ok(())
}

/// A kernel that sends everything but what has the addresses that it was asked for.
fn inverting(table: Vec<NewEntry>) -> FakeKernel {
    FakeKernel::new(move |request| {
        let asked = request.attribute(CTA_TUPLE_ORIG).unwrap_or_default();
        let is_named = |new: &NewEntry| match new.orig.src {
            IpAddr::V6(source) => asked.windows(16).any(|bytes| bytes == source.octets()),
            IpAddr::V4(_) => false,
        };
        let entries = of_family(request, &table).into_iter();
        let entries: Vec<NewEntry> = entries.filter(|new| !is_named(new)).collect();
        Reply::to(request).entries(&entries, 7).done(0)
    })
}

#[test]
fn several_ipv6_addresses_cost_one_wide_dump_where_the_kernel_cannot_compare_them() -> Outcome {
    let table = table(300);
    let is_v6 = |new: &&NewEntry| new.orig.src.is_ipv6();
    let v6: Vec<&NewEntry> = table.iter().filter(is_v6).take(5).collect();
    let mut filters: Vec<Filter> = v6.iter().map(|new| from(new.orig.src)).collect();
    filters[1].protocol = Some(v6[1].orig.protocol);
    filters[2].mark = Some(Masked::exactly(v6[2].mark.unwrap_or(0)));
    // Has no address that is compared wrongly, but the wide request brings it as well.
    filters.push(with(|f| {
        f.family = Some(Family::Ipv6);
        f.protocol = Some(Protocol::TCP);
    }));
    let all = ignoring(table.clone()).client()?;
    let all = all.dump(&DumpRequest::default())?.collect()?.0;
    for _ in 0..filters.len() {
        filters.rotate_left(1);
        let kernel = inverting(table.clone());
        let (entries, outcome) = read(&kernel.client()?, &filters)?;
        let request = DumpRequest::from(filters.clone());
        let expected = all.iter().filter(|entry| request.matches(entry)).count();
        assert!(expected >= 5);
        assert_eq!(entries.len(), expected);
        assert_eq!(outcome.fallbacks, 1);
        let wide = kernel.requests();
        let is_wide = |r: &&Request| r.attribute(CTA_TUPLE_ORIG).is_none();
        assert_eq!(wide.iter().filter(is_wide).count(), 1);
        assert!(outcome.requests <= 4, "{outcome:?}");
    }
    Ok(())
}

#[test]
fn a_kernel_that_refuses_filters_is_asked_once_for_everything_instead() -> Outcome {
    let kernel = FakeKernel::new(|request| {
        let reply = Reply::to(request);
        if request.attributes.is_empty() {
            reply.entries(&table(60), 7).done(0)
        } else {
            reply.ack(libc::EOPNOTSUPP)
        }
    });
    let filters = [marked(1, 1), marked(0x100, 0x700), marked(0x200, 0x700)];
    let (entries, outcome) = read(&kernel.client()?, &filters)?;
    let selects = |new: &NewEntry| {
        let mut entry = Entry::new(new.orig, new.reply);
        entry.mark = new.mark;
        filters.iter().any(|filter| filter.matches(&entry))
    };
    assert_eq!(
        entries.len(),
        table(60).iter().filter(|new| selects(new)).count()
    );
    assert_eq!(outcome.fallbacks, 1);
    assert!(outcome.requests <= 3);
    Ok(())
}

#[test]
fn an_error_of_one_request_ends_all_of_them() -> Outcome {
    let kernel = FakeKernel::new(|request| {
        let reply = Reply::to(request).entries(&of_family(request, &table(20)), 3);
        reply.done(if request.number == 0 { 0 } else { libc::ENOMEM })
    });
    let zones: Vec<Filter> = (0..6).map(|zone| with(|f| f.zone = Some(zone))).collect();
    let mut dump = kernel.client()?.dump(&DumpRequest::from(zones))?;
    let error = loop {
        match dump.next_entry() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("an error is no end"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.errno(), Some(libc::ENOMEM));
    assert!(dump.next_entry()?.is_none());
    assert!(kernel.requests().len() < 6);
    Ok(())
}

#[test]
fn an_interruption_of_any_request_is_told() -> Outcome {
    for interrupted in 0..3 {
        let kernel = FakeKernel::new(move |request| {
            let reply = Reply::to(request).entries(&table(5), 3).done(0);
            if request.number == interrupted {
                reply.with_flags(NLM_F_DUMP_INTR)
            } else {
                reply
            }
        });
        let zones: Vec<Filter> = (0..3).map(|zone| with(|f| f.zone = Some(zone))).collect();
        let outcome = read(&kernel.client()?, &zones)?.1;
        assert!(!outcome.complete);
    }
    Ok(())
}

/// Filters of few values, so that many cover others.
fn filters() -> impl Strategy<Value = Filter> {
    let small = || proptest::option::of(0..2u8);
    let address = proptest::option::of(proptest::sample::select(vec![
        IpAddr::from([10, 0, 0, 0]),
        IpAddr::from([10, 0, 0, 2]),
        "fd00:0:0:1::4".parse().expect("an address"),
    ]));
    let masked = || {
        let bits = (0..4u32, 0..4u32);
        proptest::option::of(bits.prop_map(|(value, mask)| Masked { value, mask }))
    };
    let protocol = proptest::option::of(proptest::sample::select(Protocol::TRACKED.to_vec()));
    (
        address,
        small(),
        small(),
        small(),
        protocol,
        masked(),
        masked(),
    )
        .prop_map(|(src, family, port, zone, protocol, mark, status)| Filter {
            family: family.map(|at| Family::ALL[usize::from(at)]),
            protocol,
            orig: TupleFilter {
                src,
                dst_port: port.map(|at| [443, 80][usize::from(at)]),
                ..TupleFilter::default()
            },
            zone: zone.map(|at| [0, 5][usize::from(at)]),
            mark,
            status,
            ..Filter::any()
        })
}

proptest! {
    #[test]
    fn what_implies_another_filter_selects_no_more(
        left in filters(),
        right in filters(),
        marks in proptest::collection::vec(0..4u32, 60),
        states in proptest::collection::vec(0..4u32, 60),
    ) {
        prop_assert!(left.implies(&left) && left.implies(&Filter::any()));
        let bits = marks.iter().zip(&states);
        for (new, (mark, status)) in table(60).iter().zip(bits) {
            let mut entry = Entry::new(new.orig, new.reply);
            entry.zone = new.zone;
            entry.mark = Some(*mark);
            entry.status = Some(Status::from_bits_retain(*status));
            if left.implies(&right) && left.matches(&entry) {
                prop_assert!(right.matches(&entry));
            }
        }
    }
}
