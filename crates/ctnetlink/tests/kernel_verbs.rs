//! Every verb against the real kernel, each test in a namespace of its own.
#![allow(clippy::indexing_slicing)]

#[macro_use]
mod own;

use std::net::IpAddr;

use ctnetlink::{
    Change, Client, DumpRequest, ErrorKind, Expectation, ExpectationFlags, Family, Filter, Key, L4,
    Labels, Masked, NatRange, NewEntry, NewExpectation, ProtoInfo, Protocol, SctpInfo, SctpState,
    SeqAdj, Status, SynProxy, Table, TcpFlags, TcpInfo, TcpState, Tuple, Update, Zone,
    ZoneDirection,
};
use own::{Outcome, entries};

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn tcp(port: u16) -> Tuple {
    Tuple::ports(Protocol::TCP, ip("10.0.0.2"), port, ip("192.0.2.1"), 443)
}

fn udp6(port: u16) -> Tuple {
    Tuple::ports(Protocol::UDP, ip("fd00::2"), port, ip("2001:db8::1"), 53)
}

fn new(tuple: Tuple) -> NewEntry {
    NewEntry::new(tuple, 86_400)
}

fn tcp_info(state: TcpState) -> ProtoInfo {
    ProtoInfo::Tcp(TcpInfo {
        state: Some(state),
        ..TcpInfo::default()
    })
}

#[test]
fn what_is_created_is_read_back() -> Outcome {
    let own = own!();
    own.allow_labels()?;
    let mut entry = new(tcp(1));
    entry.status = Status::SEEN_REPLY | Status::ASSURED;
    entry.mark = Some(0xdead_beef);
    entry.labels = Some(Labels::from_bits(1 << 127 | 1 << 63 | 1));
    entry.helper = Some("ftp".try_into()?);
    entry.protoinfo = Some(ProtoInfo::Tcp(TcpInfo {
        state: Some(TcpState::ESTABLISHED),
        wscale_orig: Some(7),
        wscale_reply: Some(9),
        flags_orig: Some(TcpFlags {
            flags: 3,
            mask: 0xff,
        }),
        flags_reply: Some(TcpFlags {
            flags: 9,
            mask: 0xff,
        }),
    }));
    entry.synproxy = Some(SynProxy {
        isn: 1,
        its: 2,
        tsoff: 3,
    });
    entry.seqadj_orig = Some(SeqAdj {
        correction_pos: 4,
        offset_before: -5,
        offset_after: 6,
    });
    entry.seqadj_reply = Some(SeqAdj {
        correction_pos: 7,
        offset_before: 8,
        offset_after: i32::MIN,
    });
    own.create(&entry)?;

    let read = own.client.get(&Key::original(tcp(1)))?;
    assert_eq!((read.orig, read.reply), (entry.orig, entry.reply));
    assert!(read.has_status(Status::CONFIRMED | Status::ASSURED | Status::SEQ_ADJUST));
    assert_eq!(read.mark, entry.mark);
    assert_eq!(read.labels, entry.labels);
    assert_eq!(read.helper, entry.helper);
    assert!(
        matches!(read.timeout, Some(80_000..=86_400)),
        "{:?}",
        read.timeout
    );
    let Some(ProtoInfo::Tcp(info)) = read.protoinfo else {
        panic!("{:?}", read.protoinfo);
    };
    assert_eq!(info.state, Some(TcpState::ESTABLISHED));
    assert_eq!((info.wscale_orig, info.wscale_reply), (Some(7), Some(9)));
    assert_eq!(info.flags_orig.map(|f| f.flags), Some(3));
    assert_eq!(info.flags_reply.map(|f| f.flags), Some(9));
    let extra = read.extra.as_ref().expect("sequence adjustment");
    assert_eq!(extra.seqadj_orig, entry.seqadj_orig);
    assert_eq!(extra.seqadj_reply, entry.seqadj_reply);
    assert!(read.id.is_some());
    assert_eq!(read.zone, Zone::new(0));

    let dumped = own.all()?;
    assert_eq!(dumped.len(), 1);
    assert_eq!(dumped[0].key(), read.key());
    assert_eq!(dumped[0].extra, read.extra);
    Ok(())
}

#[test]
fn an_entry_made_from_a_read_entry_is_the_same() -> Outcome {
    let (first, second) = (own!(), own!());
    first.allow_labels()?;
    second.allow_labels()?;
    testkit::fill(&first.client, 500)?;
    let mut full = new(tcp(1));
    full.protoinfo = Some(ProtoInfo::Tcp(TcpInfo {
        state: Some(TcpState::FIN_WAIT),
        wscale_orig: Some(7),
        wscale_reply: Some(9),
        flags_orig: Some(TcpFlags { flags: 7, mask: 7 }),
        flags_reply: Some(TcpFlags { flags: 5, mask: 7 }),
    }));
    first.create(&full)?;
    let mut before = first.all()?;
    for entry in &before {
        second.client.create(entry.into())?;
    }
    let mut after = second.all()?;
    for entry in before.iter_mut().chain(&mut after) {
        entry.id = None;
        assert!(entry.timeout.take().is_some());
    }
    before.sort_by_key(|e| (e.orig, e.zone));
    after.sort_by_key(|e| (e.orig, e.zone));
    assert_eq!(before.len(), after.len());
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before, after);
    }
    Ok(())
}

#[test]
fn a_table_of_everything_is_filled_and_read() -> Outcome {
    let own = own!();
    own.allow_labels()?;
    let filled = testkit::fill(&own.client, 3000)?;
    assert_eq!((filled.created, filled.without_labels), (3000, 0));
    assert_eq!(own.client.global_stats()?.entries, Some(3000));
    let mut read = own.all()?;
    read.sort_by_key(|e| (e.orig, e.zone));
    let mut expected: Vec<NewEntry> = (0..3000).map(testkit::fill::entry).collect();
    expected.sort_by_key(|e| (e.orig, e.zone));
    assert_eq!(read.len(), expected.len());
    for (read, expected) in read.iter().zip(&expected) {
        assert_eq!((read.orig, read.reply), (expected.orig, expected.reply));
        assert_eq!(read.zone, expected.zone);
        assert_eq!(read.mark.unwrap_or(0), expected.mark.unwrap_or(0));
        assert_eq!(read.labels, expected.labels);
        assert_eq!(read.helper, expected.helper);
        assert!(read.has_status(expected.status));
        assert_eq!(
            read.state_name(),
            expected.protoinfo.and_then(|p| p.state_name())
        );
        let (read, expected) = (read.timeout.expect("a timeout"), expected.timeout);
        assert!(read <= expected && read + 3600 > expected);
    }
    Ok(())
}

#[test]
fn a_table_without_room_for_labels_is_filled_without_them() -> Outcome {
    let own = own!();
    let filled = testkit::fill(&own.client, 100)?;
    assert_eq!(filled.created, 100);
    assert_eq!(own.all()?.len(), 100);
    Ok(())
}

#[test]
fn get_finds_by_either_direction_and_zone() -> Outcome {
    let own = own!();
    let zones = [
        Zone::new(0),
        Zone::new(5),
        Zone {
            id: 6,
            direction: ZoneDirection::Original,
        },
        Zone {
            id: 7,
            direction: ZoneDirection::Reply,
        },
    ];
    for (zone, port) in zones.into_iter().zip(1..) {
        for tuple in [tcp(port), udp6(port)] {
            let mut entry = new(tuple);
            entry.reply.dst = if tuple.src.is_ipv4() {
                ip("198.51.100.1")
            } else {
                ip("2001:db8::9")
            };
            entry.zone = zone;
            own.create(&entry)?;
            for key in [Key::original(entry.orig), Key::reply(entry.reply)] {
                let read = own.client.get(&key.in_zone(zone))?;
                assert_eq!((read.orig, read.zone), (entry.orig, zone), "{key:?}");
            }
            let elsewhere = Key::original(entry.orig).in_zone(Zone::new(99));
            let error = own.client.get(&elsewhere).expect_err("no such zone");
            assert_eq!(error.kind(), ErrorKind::NotFound);
        }
    }
    for zone in [0, 5, 6, 7] {
        let filter = Filter {
            zone: Some(zone),
            ..Filter::any()
        };
        let found = entries(own.client.dump(&filter.into()))?;
        assert_eq!(found.len(), 2, "zone {zone}");
    }
    Ok(())
}

#[test]
fn update_changes_each_thing_and_nothing_else() -> Outcome {
    let own = own!();
    own.allow_labels()?;
    let key = Key::original(tcp(1));
    let mut entry = new(tcp(1));
    entry.mark = Some(0xff00_ff00);
    entry.labels = Some(Labels::from_bits(0b1100));
    entry.helper = Some("ftp".try_into()?);
    entry.protoinfo = Some(tcp_info(TcpState::SYN_SENT));
    own.create(&entry)?;
    let before = own.client.get(&key)?;
    let change = |update: Update| -> Result<ctnetlink::Entry, ctnetlink::Error> {
        own.client.update(key, update)?;
        own.client.get(&key)
    };

    let read = change(Update {
        mark: Some(Masked {
            value: 0x1234_5678,
            mask: 0x0000_ffff,
        }),
        ..Update::default()
    })?;
    assert_eq!(read.mark, Some(0xff00_5678));
    assert_eq!((read.labels, read.id), (before.labels, before.id));

    let read = change(Update {
        mark: Some(Masked::exactly(0)),
        ..Update::default()
    })?;
    assert_eq!(read.mark.unwrap_or(0), 0, "a mark can be cleared");

    let read = change(Update {
        timeout: Some(600),
        ..Update::default()
    })?;
    assert!(matches!(read.timeout, Some(1..=600)));

    let status = read.status.expect("a status") | Status::SEEN_REPLY | Status::ASSURED;
    let read = change(Update {
        status: Some(status),
        ..Update::default()
    })?;
    assert_eq!(read.status, Some(status));
    let cleared = own.client.update(
        key,
        Update {
            status: Some(status - Status::ASSURED),
            ..Update::default()
        },
    );
    assert_eq!(cleared.expect_err("refused").kind(), ErrorKind::Busy);

    let read = change(Update {
        labels: Some((Labels::from_bits(0b0011), Labels::from_bits(0b0111))),
        ..Update::default()
    })?;
    assert_eq!(read.labels, Some(Labels::from_bits(0b1011)));

    let read = change(Update {
        protoinfo: Some(tcp_info(TcpState::CLOSE_WAIT)),
        ..Update::default()
    })?;
    assert_eq!(read.state_name(), Some("CLOSE_WAIT"));

    let adjusted = SeqAdj {
        correction_pos: 1,
        offset_before: -2,
        offset_after: 3,
    };
    let read = change(Update {
        seqadj_orig: Some(adjusted),
        ..Update::default()
    })?;
    assert_eq!(
        read.extra.as_ref().and_then(|e| e.seqadj_orig),
        Some(adjusted)
    );

    let read = change(Update {
        helper: Some("".try_into()?),
        ..Update::default()
    })?;
    assert_eq!(read.helper, None);
    let again = Update {
        helper: Some("ftp".try_into()?),
        ..Update::default()
    };
    let refused = own.client.update(key, again).expect_err("not given back");
    assert_eq!(refused.kind(), ErrorKind::Busy);

    assert_eq!(read.mark.unwrap_or(0), 0);
    assert_eq!(read.labels, Some(Labels::from_bits(0b1011)));
    assert_eq!(read.state_name(), Some("CLOSE_WAIT"));
    assert_eq!(read.id, before.id);
    Ok(())
}

#[test]
fn update_of_sctp() -> Outcome {
    let own = own!();
    let tuple = Tuple {
        protocol: Protocol::SCTP,
        ..tcp(1)
    };
    own.create(&new(tuple))?;
    let info = ProtoInfo::Sctp(SctpInfo {
        state: Some(SctpState::COOKIE_ECHOED),
        vtag_orig: Some(1),
        vtag_reply: Some(0x8000_0002),
    });
    own.client.update(
        Key::original(tuple),
        Update {
            protoinfo: Some(info),
            ..Update::default()
        },
    )?;
    let read = own.client.get(&Key::original(tuple))?;
    assert_eq!(read.protoinfo, Some(info));
    Ok(())
}

#[test]
fn delete_by_key_hits_only_the_entry_that_was_seen() -> Outcome {
    let own = own!();
    own.create(&new(tcp(1)))?;
    let seen = own.client.get(&Key::original(tcp(1)))?;
    let mut other = seen.key();
    other.id = seen.id.map(|id| !id);
    let error = own.client.delete(other).expect_err("another id");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(own.all()?.len(), 1);

    own.client.delete(seen.key())?;
    assert!(own.all()?.is_empty());
    let error = own.client.delete(seen.key()).expect_err("gone");
    assert_eq!(error.kind(), ErrorKind::NotFound);

    // The same tuple, another connection.
    own.create(&new(tcp(1)))?;
    let again = own.client.get(&Key::original(tcp(1)))?;
    if again.id != seen.id {
        let error = own.client.delete(seen.key()).expect_err("another owner");
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
    own.client.delete(Key::reply(tcp(1).mirror()))?;
    assert!(own.all()?.is_empty());
    Ok(())
}

#[test]
fn clashes_and_absences_have_their_kinds() -> Outcome {
    let own = own!();
    own.create(&new(tcp(1)))?;
    let error = own.client.create(new(tcp(1))).expect_err("the same");
    assert_eq!(error.kind(), ErrorKind::Exists);
    let mut clash = new(tcp(2));
    clash.reply = tcp(1).mirror();
    let error = own.client.create(clash).expect_err("the same reply");
    assert_eq!(error.kind(), ErrorKind::Exists);
    let error = own
        .client
        .update(Key::original(tcp(3)), Update::default())
        .expect_err("nothing to update");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let mut helped = new(tcp(4));
    helped.helper = Some("nosuchhelper".try_into()?);
    let error = own.client.create(helped).expect_err("no such helper");
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    let mut orphan = new(tcp(5));
    orphan.master = Some(tcp(99));
    let error = own.client.create(orphan).expect_err("no such master");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(own.all()?.len(), 1);
    Ok(())
}

#[test]
fn each_of_ten_thousand_changes_has_its_own_result() -> Outcome {
    let own = own!();
    let tuple = |n: u32| {
        Tuple::ports(
            Protocol::UDP,
            IpAddr::V4((0x0a00_0000 + n).into()),
            1,
            ip("192.0.2.1"),
            53,
        )
    };
    // Every third exists already; every seventh wants a helper that is not there.
    for n in (0..10_000).step_by(3) {
        own.create(&new(tuple(n)))?;
    }
    let changes = (0..10_000).map(|n| {
        let mut entry = new(tuple(n));
        if n % 7 == 0 {
            entry.helper = "nosuchhelper".try_into().ok();
        }
        Change::Create(Box::new(entry))
    });
    let mut results = Vec::new();
    own.client.apply(changes, |change, result| {
        let Change::Create(new) = change else {
            panic!("{change:?}");
        };
        results.push((new.orig, result.map_err(|error| error.kind())));
    })?;
    assert_eq!(results.len(), 10_000);
    for (n, (orig, result)) in results.into_iter().enumerate() {
        assert_eq!(orig, tuple(n as u32));
        let expected = match n {
            n if n % 3 == 0 => Err(ErrorKind::Exists),
            n if n % 7 == 0 => Err(ErrorKind::Unsupported),
            _ => Ok(()),
        };
        assert_eq!(result, expected, "change {n}");
    }
    let made = (0..10_000).filter(|n| n % 3 == 0 || n % 7 != 0).count();
    assert_eq!(own.client.global_stats()?.entries, Some(made as u32));

    let mut deleted = 0;
    let keys = (0..10_000).map(|n| Change::Delete(Key::original(tuple(n))));
    own.client.apply(keys, |_, result| match result {
        Ok(()) => deleted += 1,
        Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound),
    })?;
    assert_eq!(deleted, made);
    assert_eq!(own.client.global_stats()?.entries, Some(0));
    Ok(())
}

#[test]
fn the_kernel_translates_by_ranges() -> Outcome {
    let own = own!();
    let mut entry = new(tcp(1));
    entry.nat_src = Some(NatRange {
        addresses: (ip("198.51.100.1"), ip("198.51.100.1")),
        ports: Some((5000, 5000)),
    });
    entry.nat_dst = Some(NatRange::to(ip("203.0.113.9")));
    own.create(&entry)?;
    let read = own.client.get(&Key::original(tcp(1)))?;
    assert!(read.has_status(Status::SRC_NAT | Status::DST_NAT));
    assert!(read.is_nat());
    assert_eq!(read.reply.dst, ip("198.51.100.1"));
    assert_eq!(read.reply.dst_port(), Some(5000));
    assert_eq!(read.reply.src, ip("203.0.113.9"));
    Ok(())
}

#[test]
fn a_master_is_told() -> Outcome {
    let own = own!();
    own.create(&new(tcp(1)))?;
    let mut child = new(tcp(2));
    child.master = Some(tcp(1));
    own.create(&child)?;
    let read = own.client.get(&Key::original(tcp(2)))?;
    assert_eq!(read.master(), Some(&tcp(1)));
    assert!(read.has_status(Status::EXPECTED));
    Ok(())
}

#[test]
fn counters_and_timestamps_are_there_when_on_and_only_then() -> Outcome {
    let own = own!();
    own.create(&new(tcp(1)))?;
    own.set("nf_conntrack_acct", "1")?;
    own.set("nf_conntrack_timestamp", "1")?;
    own.create(&new(tcp(2)))?;
    let off = own.client.get(&Key::original(tcp(1)))?;
    assert_eq!(
        (off.bytes(), off.packets(), off.timestamps),
        (None, None, None)
    );
    let on = own.client.get(&Key::original(tcp(2)))?;
    assert_eq!((on.bytes(), on.packets()), (Some(0), Some(0)));
    let began = on.timestamps.and_then(|t| t.start).expect("a begin");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let ago = now.as_nanos() as u64 - began;
    assert!(ago < 3_600_000_000_000, "{ago}");
    Ok(())
}

/// Two packets each way through the loopback device.
fn ping(own: &own::Own) -> Outcome {
    own.set("nf_conntrack_acct", "1")?;
    own.run("ip link set lo up; nft 'add table inet p; add chain inet p c { type filter hook input priority 0; }; add rule inet p c ct state new accept'; ping -q -c 1 127.0.0.1")
}

#[test]
fn dump_and_zero_gives_the_counters_and_takes_them() -> Outcome {
    let own = own!();
    ping(&own)?;
    let entry = own.all()?.pop().expect("an entry of the ping");
    assert_eq!(entry.packets(), Some(2));
    assert_eq!(entry.bytes(), Some(168));

    let others = Filter {
        protocol: Some(Protocol::UDP),
        ..Filter::any()
    };
    assert!(entries(own.client.dump_and_zero(&others))?.is_empty());
    assert_eq!(own.all()?[0].packets(), Some(2), "another's counters stay");

    let this = Filter {
        protocol: Some(Protocol::ICMP),
        family: Some(Family::Ipv4),
        ..Filter::any()
    };
    let read = entries(own.client.dump_and_zero(&this))?;
    assert_eq!(read.len(), 1);
    assert_eq!(read[0].packets(), Some(2));
    assert_eq!(own.all()?[0].packets(), Some(0));

    let read = entries(own.client.dump_and_zero(&Filter::any()))?;
    assert_eq!(read[0].packets(), Some(0));
    Ok(())
}

#[test]
fn zeroing_by_a_filter_that_the_kernel_gets_wrong_is_refused() -> Outcome {
    let own = own!();
    own.create(&new(udp6(1)))?;
    let mut filter = Filter::any();
    filter.protocol = Some(Protocol::SCTP);
    filter.orig.dst_port = Some(1);
    let error = own
        .client
        .dump_and_zero(&filter)
        .map(drop)
        .expect_err("ports of SCTP");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    Ok(())
}

#[test]
fn statistics() -> Outcome {
    let own = own!();
    testkit::fill(&own.client, 10)?;
    let global = own.client.global_stats()?;
    assert_eq!(global.entries, Some(10));
    assert!(global.max_entries.is_some_and(|max| max > 0));
    let cpus = own.client.cpu_stats()?;
    assert!(!cpus.is_empty());
    let sum = cpus.iter().skip(1).fold(cpus[0], |sum, cpu| sum.plus(cpu));
    assert!(sum.insert.is_some());
    assert!(
        sum.fields()
            .any(|(name, value)| name == "drop" && value.is_some())
    );
    assert_eq!(own.client.expectation_cpu_stats()?.len(), cpus.len());
    Ok(())
}

#[test]
fn the_other_lists_are_read() -> Outcome {
    let own = own!();
    own.create(&new(tcp(1)))?;
    for table in [Table::Dying, Table::Unconfirmed] {
        let request = DumpRequest {
            table,
            filters: vec![Filter {
                protocol: Some(Protocol::TCP),
                ..Filter::any()
            }],
        };
        assert!(entries(own.client.dump(&request))?.is_empty(), "{table:?}");
    }
    Ok(())
}

#[test]
fn whether_packets_are_tracked() -> Outcome {
    let own = own!();
    let before = own.client.is_tracking(Family::Ipv4)?;
    own.allow_labels()?;
    let after = own.client.is_tracking(Family::Ipv4)?;
    assert!(
        matches!((before, after), (None, None) | (Some(false), Some(true))),
        "{before:?}, {after:?}"
    );
    Ok(())
}

fn ftp_master(own: &own::Own, number: u16) -> Result<Tuple, Box<dyn std::error::Error>> {
    let master = Tuple::ports(
        Protocol::TCP,
        ip("10.0.0.2"),
        40_000 + number,
        ip("192.0.2.1"),
        21,
    );
    let mut entry = new(master);
    entry.helper = Some("ftp".try_into()?);
    entry.status = Status::SEEN_REPLY | Status::ASSURED;
    entry.protoinfo = Some(tcp_info(TcpState::ESTABLISHED));
    own.create(&entry)?;
    Ok(master)
}

fn expected(master: Tuple, port: u16) -> NewExpectation {
    let tuple = Tuple::ports(Protocol::TCP, ip("10.0.0.2"), 0, ip("192.0.2.1"), port);
    let mask = Tuple::ports(
        Protocol::TCP,
        ip("255.255.255.255"),
        0,
        ip("255.255.255.255"),
        0xffff,
    );
    NewExpectation {
        tuple,
        mask,
        master,
        zone: 0,
        timeout: 300,
        flags: ExpectationFlags::PERMANENT,
        class: 0,
        helper: None,
        function: None,
        nat: None,
    }
}

#[test]
fn expectations_are_made_read_and_deleted() -> Outcome {
    let own = own!();
    let master = ftp_master(&own, 0)?;
    assert!(own.client.expectations(None)?.is_empty());
    own.client.create_expectation(expected(master, 5000))?;
    let all = own.client.expectations(None)?;
    assert_eq!(all.len(), 1);
    let one = &all[0];
    assert_eq!(
        (one.tuple, one.master),
        (expected(master, 5000).tuple, master)
    );
    assert_eq!(one.mask.dst_port(), Some(0xffff));
    assert_eq!(one.flags, Some(ExpectationFlags::PERMANENT));
    assert!(matches!(one.timeout, Some(1..=300)), "{:?}", one.timeout);
    assert_eq!(one.helper.as_deref(), Some("ftp"));
    assert!(own.client.expectations(Some(Family::Ipv6))?.is_empty());

    let same: Expectation = own.client.expectation(&one.key())?;
    assert_eq!((same.tuple, same.id), (one.tuple, one.id));
    assert_eq!(own.client.expectations_of(&master)?.len(), 1);

    let again = own.client.create_expectation(expected(master, 5000));
    assert_eq!(again.expect_err("exists").kind(), ErrorKind::Exists);

    let mut wrong = one.key();
    wrong.id = one.id.map(|id| !id);
    let error = own
        .client
        .delete_expectation(wrong)
        .expect_err("another id");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    own.client.delete_expectation(one.key())?;
    let gone = own.client.expectation(&one.key()).expect_err("gone");
    assert_eq!(gone.kind(), ErrorKind::NotFound);

    for number in 1..=5 {
        let master = ftp_master(&own, number)?;
        own.client
            .create_expectation(expected(master, 5000 + number))?;
    }
    assert_eq!(own.client.expectations(Some(Family::Ipv4))?.len(), 5);
    own.client.flush_expectations()?;
    assert!(own.client.expectations(None)?.is_empty());
    Ok(())
}

#[test]
fn an_expectation_with_translation() -> Outcome {
    let own = own!();
    let master = ftp_master(&own, 0)?;
    let mut new = expected(master, 5000);
    new.function = Some("nat-follow-master".to_owned());
    let before = Tuple::ports(Protocol::TCP, ip("10.9.9.9"), 4000, ip("0.0.0.0"), 0);
    new.nat = Some((ctnetlink::Direction::Reply, before));
    match own.client.create_expectation(new) {
        Ok(()) => {}
        // The kernel loads what knows the function only with the first rule that needs it.
        Err(error) if error.kind() == ErrorKind::Invalid => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    let read = own.client.expectations(None)?.pop().expect("one");
    assert_eq!(read.function.as_deref(), Some("nat-follow-master"));
    let (direction, tuple) = read.nat.expect("translation");
    assert_eq!(direction, ctnetlink::Direction::Reply);
    assert_eq!((tuple.src, tuple.src_port()), (before.src, Some(4000)));
    Ok(())
}

#[test]
fn a_connection_without_helper_expects_nothing() -> Outcome {
    let own = own!();
    own.create(&new(tcp(1)))?;
    assert!(own.client.expectations_of(&tcp(1))?.is_empty());
    let error = own
        .client
        .expectations_of(&tcp(2))
        .expect_err("no such connection");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let error = own
        .client
        .create_expectation(expected(tcp(1), 5000))
        .expect_err("no helper");
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    Ok(())
}

#[test]
fn protocols_that_the_kernel_knows_by_address_only() -> Outcome {
    let own = own!();
    let tuple = Tuple {
        src: ip("10.0.0.2"),
        dst: ip("192.0.2.1"),
        protocol: Protocol(50),
        l4: L4::None,
    };
    own.create(&new(tuple))?;
    assert_eq!(own.client.get(&Key::original(tuple))?.orig, tuple);
    own.client.delete(Key::original(tuple))?;
    Ok(())
}

#[test]
fn dccp_is_read_whether_tracked_or_not() -> Outcome {
    let own = own!();
    let tuple = Tuple {
        protocol: Protocol::DCCP,
        ..tcp(1)
    };
    let mut entry = new(tuple);
    entry.reply.dst = ip("198.51.100.1");
    own.create(&entry)?;
    let read = own.all()?.pop().expect("one");
    assert_eq!(
        (read.orig.src, read.orig.protocol),
        (tuple.src, Protocol::DCCP)
    );
    // What was read names it.
    own.client.delete(read.key())?;
    assert!(own.all()?.is_empty());
    Ok(())
}

#[test]
fn several_threads_share_a_client() -> Outcome {
    let own = own!();
    std::thread::scope(|scope| {
        for thread in 0..4u16 {
            let client: &Client = &own.client;
            scope.spawn(move || {
                for n in 0..50 {
                    let tuple = tcp(thread * 1000 + n);
                    client.create(new(tuple)).expect("create");
                    assert_eq!(client.get(&Key::original(tuple)).expect("get").orig, tuple);
                }
            });
        }
    });
    assert_eq!(own.all()?.len(), 200);
    Ok(())
}
