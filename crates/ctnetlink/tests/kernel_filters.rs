//! Filters against the real kernel: what a filter selects is what `Filter::matches` selects,
//! whatever the kernel makes of it.
#![allow(clippy::indexing_slicing)]

#[macro_use]
mod own;

use std::collections::HashSet;

use ctnetlink::{
    DumpRequest, Entry, ErrorKind, Family, Filter, Key, L4, Masked, NewEntry, Protocol, Status,
    Tuple, TupleFilter, Zone,
};
use own::{Outcome, entries};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};

/// What tells entries of one table apart.
fn names(entries: &[Entry]) -> HashSet<(Tuple, Zone)> {
    entries.iter().map(|e| (e.orig, e.zone)).collect()
}

fn matching(all: &[Entry], filter: &Filter) -> HashSet<(Tuple, Zone)> {
    all.iter()
        .filter(|entry| filter.matches(entry))
        .map(|e| (e.orig, e.zone))
        .collect()
}

/// A filter of some fields of an entry, so that it selects at least that one, unless it is spoilt.
fn filters(table: Vec<NewEntry>) -> impl Strategy<Value = Filter> {
    let bits = proptest::bits::u32::ANY;
    (select(table), bits, bits, any::<u8>(), 0..8u8).prop_map(
        |(entry, which, mask, spoil, rare)| {
            let has = |bit: u32| which >> bit & 1 == 1;
            let tuple = |tuple: &Tuple, shift: u32| {
                let chosen = |bit: u32| which >> (shift + bit) & 3 == 3;
                let (src_port, dst_port, icmp) = match tuple.l4 {
                    L4::Ports { src, dst } => (Some(src), Some(dst), None),
                    L4::Icmp { kind, code, id } => (None, None, Some((kind, code, id))),
                    _ => (None, None, None),
                };
                TupleFilter {
                    src: chosen(0).then_some(tuple.src),
                    dst: chosen(1).then_some(tuple.dst),
                    src_port: src_port.filter(|_| chosen(2)),
                    dst_port: dst_port.filter(|_| chosen(3)),
                    icmp_type: icmp.map(|i| i.0).filter(|_| chosen(2)),
                    icmp_code: icmp.map(|i| i.1).filter(|_| chosen(3)),
                    icmp_id: icmp.map(|i| i.2).filter(|_| chosen(4)),
                }
            };
            let mut filter = Filter {
                family: has(0).then_some(entry.orig.family()),
                protocol: has(1).then_some(entry.orig.protocol),
                orig: tuple(&entry.orig, 2),
                reply: tuple(&entry.reply, 9),
                zone: (rare == 0).then_some(entry.zone.id),
                mark: (rare == 1).then_some(Masked {
                    value: entry.mark.unwrap_or(0),
                    mask,
                }),
                status: (rare == 2).then_some(Masked {
                    value: entry.status.bits(),
                    mask: mask & (Status::SEEN_REPLY | Status::ASSURED).bits(),
                }),
            };
            match spoil {
                0 => filter.orig.src = Some("10.200.0.1".parse().expect("an address")),
                1 => filter.orig.dst = Some("2001:db8::77".parse().expect("an address")),
                2 => filter.protocol = Some(Protocol::SCTP),
                3 => filter.zone = Some(77),
                4 => filter.family = Some(Family::Ipv6),
                5 => filter.mark = Some(Masked::exactly(0x77)),
                _ => {}
            }
            filter
        },
    )
}

#[test]
fn a_filtered_dump_is_the_whole_dump_filtered() -> Outcome {
    let own = own!();
    let table: Vec<NewEntry> = (0..400).map(testkit::fill::entry).collect();
    testkit::fill::fill_with(&own.client, table.clone())?;
    let all = own.all()?;
    assert_eq!(all.len(), table.len());
    let mut runner = TestRunner::new(Config {
        cases: 120,
        failure_persistence: None,
        ..Config::default()
    });
    runner.run(&filters(table), |filter| {
        let (found, outcome) = own
            .client
            .dump(&filter.into())
            .and_then(ctnetlink::Dump::collect)
            .map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(names(&found), matching(&all, &filter));
        prop_assert_eq!(found.len(), names(&found).len());
        prop_assert!(outcome.complete);
        Ok(())
    })?;
    Ok(())
}

#[test]
fn a_dump_of_a_union_is_the_whole_dump_filtered_and_every_entry_once() -> Outcome {
    let own = own!();
    let table: Vec<NewEntry> = (0..300).map(testkit::fill::entry).collect();
    let mut runner = TestRunner::new(Config {
        cases: 120,
        failure_persistence: None,
        ..Config::default()
    });
    let tables = proptest::sample::subsequence(table.clone(), 150..=300);
    let unions = proptest::collection::vec(filters(table), 1..=6);
    runner.run(&(tables, unions), |(table, filters)| {
        let fail = |error: ctnetlink::Error| TestCaseError::fail(error.to_string());
        own.client.flush(&Filter::any()).map_err(fail)?;
        testkit::fill::fill_with(&own.client, table).map_err(fail)?;
        let all = own.all().map_err(fail)?;
        let union: HashSet<_> = filters.iter().flat_map(|f| matching(&all, f)).collect();
        let count = filters.len() as u32;
        let request = DumpRequest::from(filters);
        let dump = own.client.dump(&request);
        let (found, outcome) = dump.and_then(ctnetlink::Dump::collect).map_err(fail)?;
        prop_assert_eq!(names(&found), union);
        prop_assert_eq!(found.len(), names(&found).len());
        prop_assert!(found.iter().all(|entry| request.matches(entry)));
        prop_assert!(outcome.complete);
        prop_assert!(outcome.requests <= 2 * count + outcome.fallbacks);
        // Wide requests, of which a kernel that cannot compare needs one.
        prop_assert!(outcome.fallbacks <= 1);
        Ok(())
    })?;
    Ok(())
}

/// One filter of each kind of field, each selecting some of `testkit::fill`'s entries.
fn one_of_each() -> Vec<(&'static str, Filter)> {
    let tcp = testkit::fill::entry(0);
    let icmp = (0..100)
        .map(testkit::fill::entry)
        .find(|e| e.orig.protocol == Protocol::ICMP)
        .expect("one");
    let icmpv6 = (0..100)
        .map(testkit::fill::entry)
        .find(|e| e.orig.protocol == Protocol::ICMPV6)
        .expect("one");
    let with = |change: &dyn Fn(&mut Filter)| {
        let mut filter = Filter::any();
        change(&mut filter);
        filter
    };
    let id = |t: &Tuple| match t.l4 {
        L4::Icmp { id, .. } => id,
        _ => 0,
    };
    vec![
        ("family", with(&|f| f.family = Some(Family::Ipv6))),
        ("protocol", with(&|f| f.protocol = Some(Protocol::TCP))),
        ("SCTP", with(&|f| f.protocol = Some(Protocol::SCTP))),
        ("GRE", with(&|f| f.protocol = Some(Protocol::GRE))),
        ("ESP", with(&|f| f.protocol = Some(Protocol(50)))),
        ("ICMP", with(&|f| f.protocol = Some(Protocol::ICMP))),
        ("source", with(&|f| f.orig.src = Some(tcp.orig.src))),
        ("destination", with(&|f| f.orig.dst = Some(tcp.orig.dst))),
        ("reply source", with(&|f| f.reply.src = Some(tcp.reply.src))),
        (
            "reply destination",
            with(&|f| f.reply.dst = Some(tcp.reply.dst)),
        ),
        (
            "source port",
            with(&|f| {
                f.protocol = Some(Protocol::TCP);
                f.orig.src_port = tcp.orig.src_port();
            }),
        ),
        (
            "destination port",
            with(&|f| {
                f.protocol = Some(Protocol::UDP);
                f.orig.dst_port = Some(53);
            }),
        ),
        (
            "reply ports",
            with(&|f| {
                f.protocol = Some(Protocol::TCP);
                f.reply.src_port = Some(443);
                f.reply.dst_port = tcp.reply.dst_port();
            }),
        ),
        (
            "ICMP fields",
            with(&|f| {
                f.protocol = Some(Protocol::ICMP);
                f.orig.icmp_type = Some(8);
                f.orig.icmp_code = Some(0);
                f.orig.icmp_id = Some(id(&icmp.orig));
            }),
        ),
        (
            "ICMPv6 fields",
            with(&|f| {
                f.protocol = Some(Protocol::ICMPV6);
                f.orig.icmp_type = Some(128);
                f.orig.icmp_id = Some(id(&icmpv6.orig));
            }),
        ),
        ("zone", with(&|f| f.zone = Some(5))),
        ("zone of one direction", with(&|f| f.zone = Some(6))),
        ("zone 0", with(&|f| f.zone = Some(0))),
        (
            "mark",
            with(&|f| {
                f.mark = Some(Masked {
                    value: 0x100,
                    mask: 0x0f00,
                });
            }),
        ),
        (
            "status",
            with(&|f| {
                f.status = Some(Masked {
                    value: Status::ASSURED.bits(),
                    mask: Status::ASSURED.bits(),
                });
            }),
        ),
        (
            "status without",
            with(&|f| {
                f.status = Some(Masked {
                    value: 0,
                    mask: Status::ASSURED.bits(),
                });
            }),
        ),
        (
            "many",
            with(&|f| {
                f.family = Some(Family::Ipv4);
                f.protocol = Some(Protocol::TCP);
                f.orig.dst = Some(tcp.orig.dst);
                f.orig.dst_port = Some(443);
                f.mark = Some(Masked::exactly(1));
                f.status = Some(Masked {
                    value: 0,
                    mask: Status::ASSURED.bits(),
                });
            }),
        ),
        (
            "many with a zone",
            with(&|f| {
                f.protocol = Some(Protocol::TCP);
                f.zone = Some(0);
                f.orig.dst_port = Some(443);
                f.status = Some(Masked {
                    value: 0,
                    mask: Status::ASSURED.bits(),
                });
                f.mark = Some(Masked::exactly(1));
            }),
        ),
    ]
}

#[test]
fn the_kernel_filters_by_every_field_itself() -> Outcome {
    let own = own!();
    testkit::fill(&own.client, 400)?;
    let all = own.all()?;
    for (name, filter) in one_of_each() {
        let (found, outcome) = own.client.dump(&filter.into())?.collect()?;
        assert_eq!(names(&found), matching(&all, &filter), "{name}");
        assert!(
            !found.is_empty() && found.len() < all.len(),
            "{name}: selects some"
        );
        assert_eq!(outcome.fallbacks, 0, "{name}");
    }
    Ok(())
}

#[test]
fn a_filtered_flush_deletes_exactly_what_matches() -> Outcome {
    let own = own!();
    for (name, filter) in one_of_each() {
        testkit::fill(&own.client, 400)?;
        let all = own.all()?;
        own.client
            .flush(&filter)
            .map_err(|error| format!("{name}: {error}"))?;
        let left = names(&own.all()?);
        let expected = &names(&all) - &matching(&all, &filter);
        assert_eq!(left, expected, "{name}");
        own.client.flush(&Filter::any())?;
        assert!(own.all()?.is_empty());
    }
    Ok(())
}

#[test]
fn a_flush_that_the_kernel_gets_wrong_is_refused_and_deletes_nothing() -> Outcome {
    let own = own!();
    testkit::fill(&own.client, 200)?;
    let v6 = (0..200)
        .map(testkit::fill::entry)
        .find(|e| e.orig.src.is_ipv6())
        .expect("one");
    let mut ports_of_sctp = Filter::any();
    ports_of_sctp.protocol = Some(Protocol::SCTP);
    ports_of_sctp.orig.dst_port = Some(443);
    let mut ports_of_anything = Filter::any();
    ports_of_anything.orig.dst_port = Some(443);
    for filter in [ports_of_sctp, ports_of_anything] {
        let error = own.client.flush(&filter).expect_err("not provable");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert_eq!(own.all()?.len(), 200);
    }
    // Where the kernel compares IPv6 addresses the right way round, it deletes what matches.
    let all = own.all()?;
    let mut address = Filter::any();
    address.orig.src = Some(v6.orig.src);
    match own.client.flush(&address) {
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert_eq!(names(&own.all()?), names(&all));
        }
        Ok(()) => assert_eq!(own.all()?.len(), 199),
    }
    Ok(())
}

#[test]
fn a_filter_of_a_whole_entry_is_dumped_but_not_flushed() -> Outcome {
    let own = own!();
    testkit::fill(&own.client, 100)?;
    let entry = testkit::fill::entry(0);
    let side = |t: &Tuple| TupleFilter {
        src: Some(t.src),
        dst: Some(t.dst),
        src_port: t.src_port(),
        dst_port: t.dst_port(),
        ..TupleFilter::default()
    };
    let filter = Filter {
        protocol: Some(entry.orig.protocol),
        orig: side(&entry.orig),
        reply: side(&entry.reply),
        zone: Some(0),
        mark: Some(Masked::exactly(entry.mark.unwrap_or(0))),
        ..Filter::any()
    };
    assert_eq!(entries(own.client.dump(&filter.into()))?.len(), 1);
    let error = own.client.flush(&filter).expect_err("not provable");
    assert!(error.to_string().contains("use its key"), "{error}");
    own.client.delete(Key::original(entry.orig))?;
    Ok(())
}

#[test]
fn ipv6_addresses_are_filtered_whatever_the_kernel_makes_of_them() -> Outcome {
    let own = own!();
    testkit::fill(&own.client, 400)?;
    let all = own.all()?;
    let is_right = own
        .client
        .features()
        .proves(ctnetlink::Feature::FilteredDump, &{
            let mut filter = Filter::any();
            filter.orig.src = Some("2001:db8::1".parse()?);
            filter
        })
        .is_ok();
    for entry in all.iter().filter(|e| e.orig.src.is_ipv6()).take(3) {
        for (src, dst) in [(true, false), (false, true), (true, true)] {
            let mut filter = Filter::any();
            filter.orig.src = src.then_some(entry.orig.src);
            filter.orig.dst = dst.then_some(entry.orig.dst);
            let (found, outcome) = own.client.dump(&filter.into())?.collect()?;
            assert_eq!(names(&found), matching(&all, &filter));
            assert_eq!(outcome.fallbacks, u32::from(!is_right));
        }
    }
    // One that nobody has: an empty answer is not believed, and is empty after all.
    let mut filter = Filter::any();
    filter.orig.src = Some("2001:db8::ffff".parse()?);
    assert!(entries(own.client.dump(&filter.into()))?.is_empty());
    Ok(())
}

#[test]
fn an_entry_of_the_wrong_familys_protocol_is_not_missed() -> Outcome {
    let own = own!();
    let tuple = Tuple {
        src: "fd00::2".parse()?,
        dst: "2001:db8::1".parse()?,
        protocol: Protocol::ICMP,
        l4: L4::Icmp {
            kind: 8,
            code: 0,
            id: 1,
        },
    };
    if own.client.create(NewEntry::new(tuple, 600)).is_err() {
        return Ok(());
    }
    let filter = Filter {
        protocol: Some(Protocol::ICMP),
        ..Filter::any()
    };
    let all = own.all()?;
    assert_eq!(matching(&all, &filter).len(), 1, "{all:?}");
    assert_eq!(entries(own.client.dump(&filter.into()))?.len(), 1);
    Ok(())
}
