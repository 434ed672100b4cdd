//! The walk in the real kernel: the same entries as netlink's, field by field, and nothing else.
#![cfg(feature = "bpf")]

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use ctnetlink::{
    Client, Entry, Key, Labels, Namespace, NewEntry, Protocol, SeqAdj, Status, SynProxy, Tuple,
    Zone,
};
use ctwalk::{Condition, Filter, Number, Refusal, Walker};
use testkit::TestNamespace;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// A namespace, a client and a walker of its table.
struct Own {
    namespace: TestNamespace,
    client: Client,
    walker: Walker,
}

fn own() -> Option<Own> {
    let namespace = TestNamespace::new()?;
    let inside = Namespace::by_path(&namespace.path()).unwrap();
    let client = || Client::open_in(&inside).unwrap();
    let walker = Walker::open(&inside, client()).unwrap_or_else(|refusal| panic!("{refusal}"));
    Some(Own {
        client: client(),
        walker,
        namespace,
    })
}

impl Own {
    fn walked(&self, filter: &Filter) -> Vec<Entry> {
        let mut walk = self.walker.walk(filter).unwrap();
        let mut entries = Vec::new();
        while let Some(entry) = walk.next_entry().unwrap() {
            entries.push(entry.clone());
        }
        assert!(walk.outcome().complete, "{:?}", walk.outcome());
        entries
    }

    fn told(&self) -> Vec<Entry> {
        let dump = self.client.dump(&Default::default()).unwrap();
        let (entries, outcome) = dump.collect().unwrap();
        assert!(outcome.complete);
        entries
    }
}

/// By name; two of one name are an error.
fn by_key(entries: Vec<Entry>) -> BTreeMap<Key, Entry> {
    let count = entries.len();
    let by_key: BTreeMap<_, _> = entries
        .into_iter()
        .map(|entry| (entry.key(), entry))
        .collect();
    assert_eq!(by_key.len(), count, "an entry came twice");
    by_key
}

/// Compares what was walked with what netlink told before and after: all fields are equal, but the
/// time that is left, which lies between.
fn assert_same(before: Vec<Entry>, walked: Vec<Entry>, after: Vec<Entry>) {
    let (before, mut walked, after) = (by_key(before), by_key(walked), by_key(after));
    assert_eq!(before.len(), walked.len());
    for (key, told) in &before {
        let read = walked
            .get_mut(key)
            .unwrap_or_else(|| panic!("missing: {told:?}"));
        if let (Some(first), Some(last)) = (told.timeout, after.get(key).and_then(|e| e.timeout)) {
            let left = read.timeout.expect("a timeout");
            assert!(
                (last..=first).contains(&left),
                "{last} {left} {first} {told:?}"
            );
            read.timeout = told.timeout;
        }
        assert_eq!(read, told);
    }
}

fn address(last: u8) -> std::net::IpAddr {
    Ipv4Addr::new(192, 0, 2, last).into()
}

/// What few entries have: each of it, and all of it together.
fn rare() -> Vec<NewEntry> {
    let tuple = |port| Tuple::ports(Protocol::TCP, address(1), port, address(2), 80);
    let entry = |port| NewEntry::new(tuple(port), 3600);
    let seqadj = |by: i32| {
        Some(SeqAdj {
            correction_pos: 1000,
            offset_before: -by,
            offset_after: by,
        })
    };
    let adjusted = |mut new: NewEntry| {
        (new.seqadj_orig, new.seqadj_reply) = (seqadj(5), seqadj(70_000));
        new
    };
    let proxied = |mut new: NewEntry| {
        new.synproxy = Some(SynProxy {
            isn: 1,
            its: 2,
            tsoff: u32::MAX,
        });
        new
    };
    let labelled = |mut new: NewEntry| {
        new.labels = Some(Labels::from_bits(1 << 127 | 1 << 64 | 1 << 3));
        new
    };
    let helped = |mut new: NewEntry| {
        new.helper = Some(ctnetlink::HelperName::from("ftp").unwrap());
        new
    };
    let expected = |mut new: NewEntry| {
        new.master = Some(tuple(1));
        new.status |= Status::EXPECTED;
        new
    };
    vec![
        entry(1),
        adjusted(entry(2)),
        proxied(entry(3)),
        labelled(entry(4)),
        helped(entry(5)),
        expected(entry(6)),
        labelled(helped(proxied(adjusted(expected(entry(7)))))),
        // The helper's master is of another protocol than what it expected.
        {
            let mut gre = tuple(0);
            gre.protocol = Protocol::GRE;
            gre.l4 = ctnetlink::L4::Gre {
                src_key: 0,
                dst_key: 77,
            };
            expected(NewEntry::new(gre, 600))
        },
        // Not every kernel knows more of DCCP than its addresses.
        NewEntry::new(
            Tuple::ports(Protocol::DCCP, address(1), 8, address(2), 80),
            600,
        ),
        {
            let mut bare = tuple(0);
            bare.protocol = Protocol(99);
            bare.l4 = ctnetlink::L4::None;
            NewEntry::new(bare, 600)
        },
    ]
}

#[test]
fn every_field_is_as_netlink_tells_it() -> Outcome {
    let Some(own) = own() else { return Ok(()) };
    own.namespace
        .nft("table inet l {\n chain c {\n ct label set 1\n }\n}\n")?;
    testkit::fill(&own.client, 4_000)?;
    testkit::fill::fill_with(&own.client, rare())?;
    // What only traffic gives: counters, window scales, flags.
    let at = (Ipv4Addr::LOCALHOST, 0);
    let _pair = netlab::tcp_connect(&own.namespace, at, &own.namespace, at)?;
    netlab::udp_exchange(&own.namespace, at, &own.namespace, at)?;
    netlab::ping(&own.namespace, Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST)?;

    let before = own.told();
    let walked = own.walked(&Filter::any());
    assert!(before.len() > 4_010, "{}", before.len());
    assert_same(before, walked.clone(), own.told());
    // That there was something to compare.
    let extra = |has: fn(&ctnetlink::Extra) -> bool| {
        walked
            .iter()
            .filter(|entry| entry.extra.as_ref().is_some_and(|extra| has(extra)))
            .count()
    };
    assert_eq!(extra(|extra| extra.seqadj_orig.is_some()), 2);
    assert_eq!(extra(|extra| extra.synproxy.is_some()), 2);
    assert_eq!(extra(|extra| extra.master.is_some()), 3);
    assert!(
        walked
            .iter()
            .any(|entry| entry.bytes().is_some_and(|bytes| bytes > 0))
    );
    assert!(walked.iter().filter(|entry| entry.labels.is_some()).count() > 100);
    assert!(walked.iter().filter(|entry| entry.helper.is_some()).count() > 2);
    Ok(())
}

#[test]
fn what_is_switched_off_is_absent_and_not_zero() -> Outcome {
    let Some(own) = own() else { return Ok(()) };
    own.namespace.sysctls(&[
        ("net/netfilter/nf_conntrack_acct", "0"),
        ("net/netfilter/nf_conntrack_timestamp", "0"),
    ])?;
    testkit::fill(&own.client, 500)?;
    own.namespace
        .sysctl("net/netfilter/nf_conntrack_acct", "1")?;
    testkit::fill::fill_with(&own.client, (500..700).map(testkit::fill::entry))?;
    let before = own.told();
    let walked = own.walked(&Filter::any());
    assert_eq!(
        walked
            .iter()
            .filter(|entry| entry.bytes().is_some())
            .count(),
        200
    );
    assert!(walked.iter().all(|entry| entry.timestamps.is_none()));
    assert_same(before, walked, own.told());
    Ok(())
}

#[test]
fn an_empty_table_is_empty_beside_a_full_one() -> Outcome {
    let (Some(full), Some(empty)) = (own(), own()) else {
        return Ok(());
    };
    testkit::fill(&full.client, 2_000)?;
    assert_eq!(empty.walked(&Filter::any()), []);
    testkit::fill(&empty.client, 10)?;
    assert_eq!(empty.walked(&Filter::any()).len(), 10);
    assert_eq!(full.walked(&Filter::any()).len(), 2_000);
    Ok(())
}

#[test]
fn the_program_copies_what_is_selected_and_no_more() -> Outcome {
    let Some(own) = own() else { return Ok(()) };
    testkit::fill(&own.client, 3_000)?;
    let all = own.walked(&Filter::any());
    let condition = |number, ranges: &[(u64, u64)]| Condition {
        number,
        absent: false,
        ranges: ranges.to_vec(),
        v6: Vec::new(),
    };
    let only = |conditions: Vec<Condition>| Filter {
        alternatives: vec![conditions],
    };
    let udp = own.walked(&only(vec![condition(Number::Protocol, &[(17, 17)])]));
    let expected = all
        .iter()
        .filter(|entry| entry.orig.protocol == Protocol::UDP)
        .count();
    assert_eq!(udp.len(), expected);
    assert!(expected > 0 && udp.iter().all(|entry| entry.orig.protocol == Protocol::UDP));

    let v6 = own.walked(&only(vec![condition(Number::Family, &[(1, 1)])]));
    let is_v6 = |entry: &&Entry| entry.orig.src.is_ipv6();
    assert_eq!(v6.len(), all.iter().filter(is_v6).count());

    let zone = own.walked(&only(vec![condition(Number::Zone, &[(1, 65_535)])]));
    assert_eq!(
        zone.len(),
        all.iter()
            .filter(|entry| entry.zone != Zone::new(0))
            .count()
    );

    // In an extension of the entry: everything was born by now, nothing after.
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed()?.as_nanos() as u64;
    let born = |from, to| only(vec![condition(Number::Start, &[(from, to)])]);
    assert_eq!(own.walked(&born(1, now)).len(), all.len());
    assert_eq!(own.walked(&born(now, u64::MAX)).len(), 0);

    let nothing = Filter {
        alternatives: Vec::new(),
    };
    assert_eq!(own.walked(&nothing), []);
    Ok(())
}

#[test]
fn one_walk_at_a_time_and_an_abandoned_one_is_over() -> Outcome {
    let Some(own) = own() else { return Ok(()) };
    testkit::fill(&own.client, 5_000)?;
    let mut walk = own.walker.walk(&Filter::any())?;
    assert!(walk.next_entry()?.is_some());
    assert_eq!(own.walker.walk(&Filter::any()).err(), Some(Refusal::Busy));
    drop(walk);
    assert_eq!(own.walked(&Filter::any()).len(), 5_000);
    // One that is read out is over before it is dropped.
    let mut walk = own.walker.walk(&Filter::any())?;
    while walk.next_entry()?.is_some() {}
    assert_eq!(own.walked(&Filter::any()).len(), 5_000);
    assert!(walk.next_entry()?.is_none());
    Ok(())
}

#[test]
fn an_expected_entry_without_extensions_has_its_master() -> Outcome {
    let Some(own) = own() else { return Ok(()) };
    own.namespace.sysctls(&[
        ("net/netfilter/nf_conntrack_acct", "0"),
        ("net/netfilter/nf_conntrack_timestamp", "0"),
        ("net/netfilter/nf_conntrack_events", "0"),
    ])?;
    own.namespace.nft(
        "table inet t {
            ct helper h { type \"tftp\" protocol udp; }
            chain c { type filter hook output priority filter; udp dport 69 ct helper set \"h\"; }
        }",
    )?;
    let socket = |port: u16| {
        let socket = own
            .namespace
            .run(|| UdpSocket::bind((Ipv4Addr::LOCALHOST, port)))??;
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        Ok::<_, Box<dyn std::error::Error>>(socket)
    };
    // A server of files answers from another port than the one that it is asked at.
    let (reader, asked, answers) = (socket(0)?, socket(69)?, socket(0)?);
    let mut word = [0; 64];
    reader.send_to(b"\0\x01file\0octet\0", asked.local_addr()?)?;
    let (_, peer) = asked.recv_from(&mut word)?;
    answers.send_to(b"\0\x03\0\x01text", peer)?;
    reader.recv(&mut word)?;

    let before = own.told();
    let walked = own.walked(&Filter::any());
    let expected = walked.iter().find(|entry| entry.master().is_some());
    let expected = expected.unwrap_or_else(|| panic!("nobody expected any of these: {walked:#?}"));
    assert_eq!(expected.orig.src_port(), Some(answers.local_addr()?.port()));
    let of = |port: u16| {
        walked
            .iter()
            .find(|entry| entry.orig.dst_port() == Some(port))
    };
    assert_eq!(expected.master(), of(69).map(|entry| &entry.orig));
    assert_same(before, walked, own.told());
    Ok(())
}

#[test]
fn what_a_walk_has_not_given_netlink_tells() -> Outcome {
    let Some(own) = own() else { return Ok(()) };
    let all = 5_000;
    testkit::fill(&own.client, all)?;
    let mut entries = Vec::new();
    let mut walk = own.walker.walk(&Filter::any())?;
    while entries.len() < all as usize / 2 {
        entries.push(walk.next_entry()?.expect("there are more").clone());
    }
    let given = walk.into_given();
    assert!(entries.iter().all(|entry| given.contains(entry)));
    entries.extend(
        own.told()
            .into_iter()
            .filter(|entry| !given.contains(entry)),
    );
    assert_eq!(by_key(entries).len(), all as usize);
    // The walk is over.
    assert_eq!(own.walked(&Filter::any()).len(), all as usize);
    Ok(())
}

/// An entry, and a walk that has read it and not given it out yet.
fn one_read(own: &Own) -> Result<(NewEntry, ctwalk::Walk), Box<dyn std::error::Error>> {
    let new = testkit::fill::entry(1);
    testkit::fill::fill_with(&own.client, [new.clone()])?;
    Ok((new, own.walker.walk(&Filter::any())?))
}

#[test]
fn what_is_gone_before_any_was_compared_is_left_out() -> Outcome {
    let Some(own) = own() else { return Ok(()) };
    let (_, mut walk) = one_read(&own)?;
    own.client.flush(&ctnetlink::Filter::default())?;
    assert_eq!(walk.next_entry()?, None);
    assert!(walk.outcome().complete);
    Ok(())
}

#[test]
fn what_was_born_anew_before_any_was_compared_leaves_a_doubt() -> Outcome {
    let Some(own) = own() else { return Ok(()) };
    let (new, mut walk) = one_read(&own)?;
    own.client.flush(&ctnetlink::Filter::default())?;
    testkit::fill::fill_with(&own.client, [new])?;
    // Another id, if its memory is not the same.
    let refusal = walk.next_entry().expect_err("nothing was compared");
    assert!(
        matches!(refusal, Refusal::Ids | Refusal::Disagrees("timestamps")),
        "{refusal}"
    );
    assert!(!walk.outcome().complete);
    drop(walk);
    assert_eq!(own.walked(&Filter::any()).len(), 1);
    Ok(())
}
