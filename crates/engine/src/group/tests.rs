use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::path::Path;

use ctnetlink::{
    Counters, L4, Labels, ProtoInfo, Protocol, SctpInfo, SctpState, Status, TcpInfo, TcpState,
    Timestamps, Tuple, Zone,
};
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::config::Config;
use crate::{Column, Style};

/// Two numbers with one name, and one without a name that shows as another one's.
const CONFIG: &str = "
    [marks.class]
    shift = 0
    mask = 0xff
    names = { 1 = 'high', 2 = 'low', 3 = 'high', 4 = '5', 6 = '' }
    [marks.uplink]
    shift = 16
    mask = 0xf
    names = { 1 = 'fibre' }
";

fn marks() -> Marks {
    Marks::new(&Config::parse(CONFIG, Path::new("test")).unwrap().marks)
}

fn plan(fields: &[&str], most: u32) -> Plan {
    let by = fields.iter().map(|field| field.parse().unwrap()).collect();
    Plan::new(by, &marks(), most).unwrap()
}

fn grouped(plan: &Plan, entries: &[Entry]) -> Groups {
    let mut groups = Groups::new(plan.clone());
    entries.iter().for_each(|entry| groups.add(entry));
    groups
}

fn texts(row: &Row<'_>) -> Vec<String> {
    let text = |cell: &Cell| {
        let mut out = Vec::new();
        cell.write_text(&mut out);
        assert_eq!(*cell == Cell::Absent, out.is_empty(), "{cell:?}");
        String::from_utf8(out).unwrap()
    };
    row.cells.iter().map(text).collect()
}

/// What a field of an entry shows, by another way than keys.
fn naive(field: &str, entry: &Entry) -> String {
    let column = |column: Column| {
        let mut out = Vec::new();
        column.write(&mut out, entry, Style::Exact, 0);
        String::from_utf8(out).unwrap()
    };
    let marks = marks();
    let named = |name: &dyn Fn(u32) -> String| entry.mark.map_or_else(String::new, name);
    match field {
        "src" => column(Column::Src),
        "dst" => column(Column::Dst),
        "sport" => column(Column::SrcPort),
        "dport" | "port" => column(Column::DstPort),
        "peer" | "reply.src" => column(Column::ReplySrc),
        "reply.dst" => column(Column::ReplyDst),
        "peer.port" | "reply.sport" => column(Column::ReplySrcPort),
        "reply.dport" => column(Column::ReplyDstPort),
        "proto" => column(Column::Protocol),
        "family" => column(Column::Family),
        "state" => column(Column::State),
        "mark" => column(Column::Mark),
        "zone" => column(Column::Zone),
        "helper" => column(Column::Helper),
        "label" => column(Column::Labels),
        "status" => match column(Column::Status) {
            empty if empty.is_empty() && entry.status.is_some() => "SEEN_REPLY".to_owned(),
            words => words,
        },
        "prio" => named(&|mark| marks.class(mark).into_owned()),
        "app" => named(&|mark| marks.application(mark).into_owned()),
        "provider" => named(&|mark| marks.provider(mark).into_owned()),
        "nat" => naive_nat(entry).to_owned(),
        "/24" | "src/24" => network(entry.orig.src, 24, 64),
        "dst/16/48" => network(entry.orig.dst, 16, 48),
        "peer/40" => network(entry.reply.src, 32, 40),
        "reply.dst/0/0" => network(entry.reply.dst, 0, 0),
        _ => panic!("{field}"),
    }
}

fn naive_nat(entry: &Entry) -> &'static str {
    let is = |text| {
        let query = query::Query::parse(text, &query::Vocabulary::default()).unwrap();
        query.matches(entry, 0)
    };
    match (is("not nat"), is("snat"), is("dnat")) {
        (true, ..) => "none",
        (_, true, true) => "both",
        (_, _, true) => "dnat",
        _ => "snat",
    }
}

fn network(address: IpAddr, v4: u8, v6: u8) -> String {
    let prefix = if address.is_ipv4() { v4 } else { v6 };
    let net = ipnet::IpNet::new(address, prefix).unwrap().trunc();
    if net.prefix_len() == net.max_prefix_len() {
        net.addr().to_string()
    } else {
        net.to_string()
    }
}

const FIELDS: [&str; 28] = [
    "src",
    "dst",
    "sport",
    "dport",
    "port",
    "peer",
    "reply.src",
    "reply.dst",
    "peer.port",
    "reply.sport",
    "reply.dport",
    "proto",
    "family",
    "state",
    "mark",
    "zone",
    "helper",
    "label",
    "status",
    "prio",
    "app",
    "provider",
    "nat",
    "/24",
    "src/24",
    "dst/16/48",
    "peer/40",
    "reply.dst/0/0",
];

/// Few values, so that groups have members.
fn address(is_v6: bool) -> impl Strategy<Value = IpAddr> {
    let texts = if is_v6 {
        // The first is IPv4's in IPv6's clothes, and another address all the same.
        [
            "::ffff:10.0.0.1",
            "2001:db8::1",
            "2001:db8::2",
            "2001:db8:0:1::1",
        ]
    } else {
        ["10.0.0.1", "10.0.0.255", "10.0.1.1", "192.0.2.1"]
    };
    select(texts.map(|text| text.parse().unwrap()).to_vec())
}

fn tuple() -> impl Strategy<Value = Tuple> {
    let protocols = vec![1, 6, 17, 47, 50, 132, 255];
    (any::<bool>(), select(protocols)).prop_flat_map(|(is_v6, protocol)| {
        let port = || select(vec![0u16, 53, 443]);
        (address(is_v6), address(is_v6), port(), port()).prop_map(move |(src, dst, one, two)| {
            let protocol = Protocol(protocol);
            let l4 = match protocol {
                Protocol::ICMP => L4::Icmp {
                    kind: 8,
                    code: 0,
                    id: one,
                },
                Protocol::GRE => L4::Gre {
                    src_key: one,
                    dst_key: two,
                },
                _ if protocol.has_ports() => L4::Ports { src: one, dst: two },
                _ => L4::None,
            };
            Tuple {
                src,
                dst,
                protocol,
                l4,
            }
        })
    })
}

fn counters() -> impl Strategy<Value = Option<Counters>> {
    let counters = (0..9u64, 0..9000u64).prop_map(|(packets, bytes)| Counters { packets, bytes });
    prop_oneof![Just(None), counters.prop_map(Some)]
}

prop_compose! {
    fn entry()(
        orig in tuple(),
        translated in any::<(bool, bool, bool)>(),
        status in prop::option::of(0..0x1_0000u32),
        mark in prop::option::of(select(vec![0, 1, 2, 3, 4, 5, 6, 0x10001, 0x20002, 0x5b03])),
        state in prop::option::of(0..12u8),
        zone in 0..3u16,
        helper in prop::option::of(select(vec!["ftp", "tftp", "a-name-of-15-by"])),
        labels in prop::option::of(select(vec![0, 1, 1 << 127 | 2])),
        counters in (counters(), counters()),
        start in prop::option::of(0..5u64),
    ) -> Entry {
        let mut entry = Entry::new(orig, orig.mirror());
        let (source, destination, identifier) = translated;
        if source {
            entry.reply.dst = orig.dst;
        }
        if destination {
            entry.reply.src = orig.src;
        }
        if let (true, L4::Icmp { id, .. }) = (identifier, &mut entry.reply.l4) {
            *id = 99;
        }
        entry.status = status.map(Status::from_bits_retain);
        entry.mark = mark;
        entry.protoinfo = match orig.protocol {
            Protocol::TCP => Some(ProtoInfo::Tcp(TcpInfo {
                state: state.map(TcpState), ..TcpInfo::default()
            })),
            Protocol::SCTP => Some(ProtoInfo::Sctp(SctpInfo {
                state: state.map(SctpState), ..SctpInfo::default()
            })),
            _ => None,
        };
        entry.zone = Zone::new(zone);
        entry.helper = helper.map(|name| name.try_into().unwrap());
        entry.labels = labels.map(Labels::from_bits);
        (entry.counters_orig, entry.counters_reply) = counters;
        entry.timestamps = start.map(|start| Timestamps { start: Some(start), stop: None });
        entry
    }
}

/// Entries by what they show, one after the other.
fn naively<'a>(fields: &[&str], entries: &'a [Entry]) -> HashMap<Vec<String>, Vec<&'a Entry>> {
    let mut groups: HashMap<_, Vec<&Entry>> = HashMap::new();
    for entry in entries {
        let key = fields.iter().map(|field| naive(field, entry)).collect();
        groups.entry(key).or_default().push(entry);
    }
    groups
}

/// Sums of what is there; `None` where nothing is.
fn sum(entries: &[&Entry], pick: impl Fn(&Entry) -> Option<u64>) -> Option<u64> {
    let values: Vec<u64> = entries.iter().filter_map(|entry| pick(entry)).collect();
    (!values.is_empty()).then(|| values.iter().sum())
}

fn check(tally: &Tally, entries: &[&Entry]) {
    assert_eq!(tally.connections(), entries.len() as u64);
    assert_eq!(tally.bytes(), sum(entries, Entry::bytes));
    assert_eq!(
        tally.bytes_orig(),
        sum(entries, |entry| Some(entry.counters_orig?.bytes))
    );
    assert_eq!(
        tally.bytes_reply(),
        sum(entries, |entry| Some(entry.counters_reply?.bytes))
    );
    assert_eq!(tally.packets(), sum(entries, Entry::packets));
    let uncounted = entries
        .iter()
        .filter(|entry| entry.bytes().is_none())
        .count();
    assert_eq!(tally.uncounted(), uncounted as u64);
    let starts = || {
        let start = |entry: &&Entry| entry.timestamps.and_then(|times| times.start);
        entries.iter().filter_map(start).filter(|&start| start != 0)
    };
    assert_eq!(tally.newest(), starts().max());
    assert_eq!(tally.oldest(), starts().min());
}

fn fields() -> impl Strategy<Value = Vec<&'static str>> {
    let lists = prop::collection::vec(select(FIELDS.to_vec()), 1..=MOST_FIELDS);
    lists.prop_filter("no field twice", |fields| {
        let by: Vec<By> = fields.iter().map(|field| field.parse().unwrap()).collect();
        Plan::new(by, &marks(), 1).is_ok()
    })
}

proptest! {
    #[test]
    fn groups_are_what_entries_show_alike(
        fields in fields(),
        entries in prop::collection::vec(entry(), 0..80),
    ) {
        let expected = naively(&fields, &entries);
        let report = grouped(&plan(&fields, MOST_GROUPS), &entries)
            .into_report(Order::default(), None);
        prop_assert_eq!(report.groups(), expected.len() as u64);
        for row in report.rows() {
            let texts = texts(&row);
            let of_it = expected.get(&texts);
            prop_assert!(of_it.is_some(), "{:?}", texts);
            check(row.tally, of_it.unwrap());
        }
        check(report.total(), &entries.iter().collect::<Vec<_>>());
        prop_assert!(report.others().is_none() && report.ungrouped().is_none());
    }

    #[test]
    fn parts_of_a_stream_merge_into_the_whole(
        fields in fields(),
        entries in prop::collection::vec(entry(), 0..80),
        cut in 0..80usize,
    ) {
        let plan = plan(&fields, MOST_GROUPS);
        let (first, second) = entries.split_at(cut.min(entries.len()));
        let mut merged = grouped(&plan, first);
        merged.merge(&grouped(&plan, second));
        let key = Order { by: SortBy::Key, reverse: false };
        let merged = merged.into_report(key, None);
        let whole = grouped(&plan, &entries).into_report(key, None);
        prop_assert_eq!(merged.rows().len(), whole.rows().len());
        for (a, b) in merged.rows().zip(whole.rows()) {
            prop_assert_eq!((&a.cells, a.tally), (&b.cells, b.tally));
        }
    }

    #[test]
    fn whatever_the_order_and_the_limit_nothing_is_lost(
        fields in fields(),
        entries in prop::collection::vec(entry(), 0..80),
        by in select(vec![
            SortBy::Connections, SortBy::Bytes, SortBy::Packets, SortBy::Rate, SortBy::Newest, SortBy::Key,
        ]),
        reverse in any::<bool>(),
        limit in 0..20usize,
        most in 1..20u32,
    ) {
        let plan = plan(&fields, most);
        let order = Order { by, reverse };
        let all = grouped(&plan, &entries).into_report(order, None);
        let first = grouped(&plan, &entries).into_report(order, Some(limit));
        // A limit shows the head of the list.
        for (a, b) in first.rows().zip(all.rows()) {
            prop_assert_eq!(a.cells, b.cells);
        }
        prop_assert_eq!(first.rows().len(), limit.min(all.rows().len()));
        let left_off = all.groups() - first.rows().len() as u64;
        prop_assert_eq!(first.others().map_or(0, |(groups, _)| groups), left_off);
        prop_assert!(all.groups() <= u64::from(most));
        // Every entry is in a row, among the others, or in no group for want of room.
        let mut sum = Tally::default();
        first.rows().for_each(|row| sum.merge(row.tally));
        first.others().iter().for_each(|(_, tally)| sum.merge(tally));
        first.ungrouped().iter().for_each(|tally| sum.merge(tally));
        check(&sum, &entries.iter().collect::<Vec<_>>());
        prop_assert_eq!(&sum, first.total());
        // In order, what is absent last.
        let rank = |tally: &Tally| match by {
            SortBy::Connections => Some(tally.connections()),
            SortBy::Bytes => tally.bytes(),
            SortBy::Packets => tally.packets(),
            SortBy::Rate => tally.rate(),
            SortBy::Newest => tally.newest(),
            SortBy::Key => None,
        };
        let mut ranks: Vec<_> = all.rows().map(|row| rank(row.tally)).collect();
        if reverse {
            ranks.reverse();
        }
        prop_assert!(ranks.is_sorted_by(|a, b| a >= b), "{:?}", ranks);
    }
}

fn from(src: &str, port: u16) -> Entry {
    let dst: IpAddr = if src.contains(':') {
        "2001:db8::53"
    } else {
        "192.0.2.53"
    }
    .parse()
    .unwrap();
    let orig = Tuple::ports(Protocol::UDP, src.parse().unwrap(), port, dst, 53);
    Entry::new(orig, orig.mirror())
}

fn first_cells(report: &Report) -> Vec<String> {
    report.rows().map(|row| texts(&row).join(" ")).collect()
}

#[test]
fn keys_sort_as_people_count() {
    let entries: Vec<Entry> = [
        "10.0.0.10",
        "10.0.0.9",
        "2001:db8::10",
        "2001:db8::9",
        "9.0.0.0",
    ]
    .map(|src| from(src, 1))
    .into();
    let key = Order {
        by: SortBy::Key,
        reverse: false,
    };
    let report = grouped(&plan(&["src"], 10), &entries).into_report(key, None);
    let sorted = [
        "9.0.0.0",
        "10.0.0.9",
        "10.0.0.10",
        "2001:db8::9",
        "2001:db8::10",
    ];
    assert_eq!(first_cells(&report), sorted);

    let mut entries: Vec<Entry> = [1000, 80, 9].map(|port| from("10.0.0.1", port)).into();
    let mut echo = from("10.0.0.1", 1);
    echo.orig.protocol = Protocol::ICMP;
    echo.orig.l4 = L4::Icmp {
        kind: 8,
        code: 0,
        id: 1,
    };
    entries.push(echo);
    let report = grouped(&plan(&["sport"], 10), &entries).into_report(key, None);
    assert_eq!(
        first_cells(&report),
        ["9", "80", "1000", ""],
        "what has no port comes last"
    );
}

#[test]
fn names_of_a_mark_make_groups_and_not_its_numbers() {
    let entries: Vec<Entry> = (0..=7)
        .map(|mark| {
            let mut entry = from("10.0.0.1", 1);
            entry.mark = Some(mark);
            entry
        })
        .collect();
    let groups = grouped(&plan(&["prio"], 10), &entries);
    let report = groups.into_report(Order::default(), None);
    // 1 and 3 have one name; so have 4, which is called 5, and 5, which has no name. 0 has none in
    // this configuration but the default's.
    let rows: BTreeSet<(String, u64)> = report
        .rows()
        .map(|row| (texts(&row).join(" "), row.tally.connections()))
        .collect();
    let expected = [("", 2), ("5", 2), ("7", 1), ("high", 2), ("low", 1)];
    assert_eq!(
        rows,
        expected
            .map(|(name, count)| (name.to_owned(), count))
            .into()
    );
}

#[test]
fn groups_without_room_are_one_tally() {
    let entries: Vec<Entry> = (0..100).map(|port| from("10.0.0.1", port % 50)).collect();
    let report = grouped(&plan(&["sport"], 7), &entries).into_report(Order::default(), None);
    assert_eq!(report.groups(), 7);
    assert_eq!(report.ungrouped().map(Tally::connections), Some(86));
    assert_eq!(report.total().connections(), 100);
}

#[test]
fn sums_end_at_the_largest_number() {
    let mut entry = from("10.0.0.1", 1);
    entry.counters_orig = Some(Counters {
        packets: u64::MAX,
        bytes: u64::MAX,
    });
    let report =
        grouped(&plan(&["src"], 7), &[entry.clone(), entry]).into_report(Order::default(), None);
    assert_eq!(report.total().bytes(), Some(u64::MAX));
    assert_eq!(report.total().packets(), Some(u64::MAX));
}

#[test]
fn a_plan_has_one_to_four_fields_and_none_twice() {
    let plan = |fields: &[&str]| {
        let by = fields.iter().map(|field| field.parse().unwrap()).collect();
        Plan::new(by, &marks(), 1)
            .map(|plan| plan.by().len())
            .map_err(|failure| failure.code)
    };
    assert_eq!(plan(&["src", "dst", "sport", "dport"]), Ok(4));
    assert_eq!(plan(&["src", "src/24", "src/16"]), Ok(3));
    for wrong in [
        &[][..],
        &["src", "dst", "sport", "dport", "proto"],
        &["src", "src"],
        &["port", "proto", "dport"],
        &["peer/24", "reply.src/24/64"],
    ] {
        assert_eq!(plan(wrong), Err("usage"), "{wrong:?}");
    }
}
