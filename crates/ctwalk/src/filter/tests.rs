//! What the tests of a filter select, asked as the program asks them (`ask` in `bpf/walk.bpf.c`), is
//! what the filter says.
#![allow(clippy::indexing_slicing, reason = "a test fails by it")]

use proptest::prelude::*;
use zerocopy::FromBytes;

use super::*;

const SIZE: usize = size_of::<Record>();

/// A record as it lies in memory.
type Bytes = [u8; SIZE];

fn put(bytes: &mut Bytes, offset: usize, value: &[u8]) {
    bytes[offset..offset + value.len()].copy_from_slice(value);
}

fn record(bytes: &Bytes) -> Record {
    Record::read_from_bytes(bytes).unwrap()
}

// --- The program's side -----------------------------------------------------------------------

fn number_at(bytes: &Bytes, test: &Test) -> u128 {
    let at = usize::from(test.offset);
    assert!(at <= SIZE - 16, "the program does not look there");
    let mut number = [0; 16];
    let width = usize::from(test.width);
    number[..width].copy_from_slice(&bytes[at..at + width]);
    if test.width == 16 {
        return u128::from_be_bytes(number);
    }
    let low = u128::from_le_bytes(number);
    match (test.width, test.flags & NETWORK_ORDER) {
        (2, 1..) => (low as u16).swap_bytes().into(),
        (4, 1..) => (low as u32).swap_bytes().into(),
        _ => low,
    }
}

fn is_selected(tests: &[Test], bytes: &Bytes) -> bool {
    if tests.is_empty() {
        return true;
    }
    let has = record(bytes).has;
    let (mut any, mut all) = (false, true);
    for test in tests {
        if has & test.need != test.need {
            any |= test.width == 0;
        } else if test.width != 0 {
            let number = number_at(bytes, test);
            let [high, low] = halves(number);
            let low = low & test.mask;
            let first = (test.first_high, test.first);
            let last = (test.last_high, test.last);
            any |= first <= (high, low) && (high, low) <= last;
        }
        if test.flags & ENDS_CONDITION != 0 {
            all &= any;
            any = false;
        }
        if test.flags & ENDS_ALTERNATIVE != 0 {
            if all {
                return true;
            }
            all = true;
        }
    }
    false
}

/// A look at one word of the tuples.
fn seems(glance: &Glance, bytes: &Bytes) -> bool {
    let tuple = match glance.is_reply {
        0 => offset_of!(Record, orig),
        _ => offset_of!(Record, reply),
    };
    let at = tuple + glance.offset as usize;
    let word = u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
    word & glance.mask == glance.value
}

/// Each stage's tests, when only so much of the entry has been copied.
fn is_copied(tests: &Tests, bytes: &Bytes) -> bool {
    let [of_tuples, of_entry, of_extensions] = &tests.stages;
    let unread = |from: usize, to: usize, unknown: u32, bytes: &Bytes| {
        let mut early = *bytes;
        early[from..to].fill(0xa5);
        let has = record(bytes).has & !unknown;
        put(&mut early, offset_of!(Record, has), &has.to_ne_bytes());
        early
    };
    let extensions = has::COUNTERS | has::TIMESTAMPS;
    let entry = unread(
        offset_of!(Record, start),
        offset_of!(Record, bytes) + 8,
        extensions,
        bytes,
    );
    let states = has::STATE | has::TCP | has::SCTP | has::DCCP;
    let tuples = unread(
        offset_of!(Record, status),
        SIZE,
        states | has::TIMEOUT | has::MARK,
        &entry,
    );
    tests.glances.iter().all(|glance| seems(glance, bytes))
        && is_selected(of_tuples, &tuples)
        && is_selected(of_entry, &entry)
        && is_selected(of_extensions, bytes)
}

// --- The filter's side ------------------------------------------------------------------------

enum Is {
    Number(u64),
    V4(u32),
    V6(u128),
    Absent,
}

fn value(record: &Record, number: Number) -> Is {
    let has = |bit: u32| record.has & bit != 0;
    let known = |is_there: bool, number: u64| match is_there {
        true => Is::Number(number),
        false => Is::Absent,
    };
    let address = |bytes: [u8; 16]| {
        let [a, b, c, d, ..] = bytes;
        match has(has::IPV6) {
            true => Is::V6(u128::from_be_bytes(bytes)),
            false => Is::V4(u32::from_be_bytes([a, b, c, d])),
        }
    };
    let l4 = |bit: u32, bytes: [u8; 2]| known(has(bit), u16::from_be_bytes(bytes).into());
    let (orig, reply) = (&record.orig, &record.reply);
    let [kind, code] = orig.dst_l4;
    let [wscale_orig, wscale_reply] = record.wscale;
    let [flags_orig, flags_reply] = record.flags;
    let counted = |number| known(has(has::COUNTERS), number);
    match number {
        Number::Family => Is::Number(has(has::IPV6).into()),
        Number::Protocol => Is::Number(orig.protocol.into()),
        Number::State => known(has(has::STATE), record.state.into()),
        Number::Src => address(orig.src),
        Number::Dst => address(orig.dst),
        Number::ReplySrc => address(reply.src),
        Number::ReplyDst => address(reply.dst),
        Number::SrcPort => l4(has::PORTS, orig.src_l4),
        Number::DstPort => l4(has::PORTS, orig.dst_l4),
        Number::ReplySrcPort => l4(has::PORTS, reply.src_l4),
        Number::ReplyDstPort => l4(has::PORTS, reply.dst_l4),
        Number::IcmpType => known(has(has::ICMP), kind.into()),
        Number::IcmpCode => known(has(has::ICMP), code.into()),
        Number::IcmpId => l4(has::ICMP, orig.src_l4),
        Number::GreSrcKey => l4(has::GRE, orig.src_l4),
        Number::GreDstKey => l4(has::GRE, orig.dst_l4),
        Number::Bytes => counted(record.bytes),
        Number::BytesOrig => counted(record.bytes_orig),
        Number::BytesReply => counted(record.bytes_reply),
        Number::Packets => counted(record.packets),
        Number::PacketsOrig => counted(record.packets_orig),
        Number::PacketsReply => counted(record.packets_reply),
        Number::Start => known(has(has::TIMESTAMPS), record.start),
        Number::Timeout => known(has(has::TIMEOUT), record.timeout.into()),
        Number::Zone => Is::Number(record.zone.into()),
        Number::Use => Is::Number(record.use_count.into()),
        Number::TcpWscaleOrig => known(has(has::TCP), wscale_orig.into()),
        Number::TcpWscaleReply => known(has(has::TCP), wscale_reply.into()),
        Number::Mark(mask) => Is::Number((record.mark & mask).into()),
        Number::Status(mask) => Is::Number((record.status & mask).into()),
        Number::TcpFlagsOrig(mask) => known(has(has::TCP), (u32::from(flags_orig) & mask).into()),
        Number::TcpFlagsReply(mask) => known(has(has::TCP), (u32::from(flags_reply) & mask).into()),
    }
}

fn holds(condition: &Condition, record: &Record) -> bool {
    fn is_in<T: PartialOrd>(ranges: &[(T, T)], number: &T) -> bool {
        ranges
            .iter()
            .any(|(first, last)| first <= number && number <= last)
    }
    match value(record, condition.number) {
        Is::Number(number) => is_in(&condition.ranges, &number),
        Is::V4(address) => is_in(&condition.ranges, &address.into()),
        Is::V6(address) => is_in(&condition.v6, &address),
        Is::Absent => condition.absent,
    }
}

fn selects(filter: &Filter, record: &Record) -> bool {
    let all = |conditions: &Vec<Condition>| conditions.iter().all(|one| holds(one, record));
    filter.alternatives.iter().any(all)
}

// --- At random --------------------------------------------------------------------------------

/// Numbers that often meet, and the ends of all widths.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 0..6u64,
        1 => proptest::sample::select(
            &[0xff, 0x100, 0xffff, 0x1_0000, 0xffff_ffff, 0x1_0000_0000, u64::MAX - 1, u64::MAX][..]
        ),
        1 => any::<u64>(),
    ]
}

/// The same on both sides of the middle.
fn wide_number() -> impl Strategy<Value = u128> {
    (number(), number()).prop_map(|(high, low)| u128::from(high) << 64 | u128::from(low))
}

fn bytes() -> impl Strategy<Value = Bytes> {
    let numbers = proptest::collection::vec(number(), SIZE / 8);
    let addresses = proptest::collection::vec(wide_number(), 4);
    let tops = proptest::collection::vec(number(), 4);
    let ports = proptest::collection::vec(number(), 6);
    (numbers, addresses, tops, ports, any::<u32>(), any::<bool>()).prop_map(
        |(numbers, addresses, tops, ports, has, is_v6)| {
            let mut bytes = [0; SIZE];
            for (at, number) in numbers.iter().enumerate() {
                // Numbers of a byte and of two or four are small often enough.
                let number = if at % 2 == 0 {
                    *number
                } else {
                    number.wrapping_mul(0x0101)
                };
                put(&mut bytes, 8 * at, &number.to_ne_bytes());
            }
            for (at, tuple) in [ORIG, REPLY].into_iter().enumerate() {
                for (end, (address, l4)) in [(SRC, SRC_L4), (DST, DST_L4)].into_iter().enumerate() {
                    let (which, address) = (2 * at + end, tuple + address);
                    put(&mut bytes, address, &addresses[which].to_be_bytes());
                    if !is_v6 {
                        put(&mut bytes, address, &(tops[which] as u32).to_be_bytes());
                    }
                    put(&mut bytes, tuple + l4, &(ports[which] as u16).to_be_bytes());
                }
            }
            put(
                &mut bytes,
                ORIG + offset_of!(RawTuple, protocol),
                &[ports[4] as u8],
            );
            put(
                &mut bytes,
                offset_of!(Record, state),
                &(ports[5] as u16).to_ne_bytes(),
            );
            let family = if is_v6 { has::IPV6 } else { has::IPV4 };
            let has = has & !(has::IPV4 | has::IPV6) | family;
            put(&mut bytes, offset_of!(Record, has), &has.to_ne_bytes());
            bytes
        },
    )
}

fn numbers() -> impl Strategy<Value = Number> {
    let mask = prop_oneof![Just(0), Just(6), Just(0xff00), Just(u32::MAX), any::<u32>()];
    (0..32u8, mask).prop_map(|(which, mask)| match which {
        0 => Number::Family,
        1 => Number::Protocol,
        2 => Number::State,
        3 => Number::Src,
        4 => Number::Dst,
        5 => Number::ReplySrc,
        6 => Number::ReplyDst,
        7 => Number::SrcPort,
        8 => Number::DstPort,
        9 => Number::ReplySrcPort,
        10 => Number::ReplyDstPort,
        11 => Number::IcmpType,
        12 => Number::IcmpCode,
        13 => Number::IcmpId,
        14 => Number::GreSrcKey,
        15 => Number::GreDstKey,
        16 => Number::Bytes,
        17 => Number::BytesOrig,
        18 => Number::BytesReply,
        19 => Number::Packets,
        20 => Number::PacketsOrig,
        21 => Number::PacketsReply,
        22 => Number::Start,
        23 => Number::Timeout,
        24 => Number::Zone,
        25 => Number::Use,
        26 => Number::TcpWscaleOrig,
        27 => Number::TcpWscaleReply,
        28 => Number::Mark(mask),
        29 => Number::Status(mask),
        30 => Number::TcpFlagsOrig(mask),
        _ => Number::TcpFlagsReply(mask),
    })
}

fn condition(ranges: usize) -> impl Strategy<Value = Condition> {
    let pairs = proptest::collection::vec((number(), number()), 0..ranges);
    let wide = proptest::collection::vec((wide_number(), wide_number()), 0..ranges);
    (numbers(), any::<bool>(), pairs, wide).prop_map(|(number, absent, pairs, wide)| Condition {
        number,
        absent,
        ranges: pairs
            .into_iter()
            .map(|(a, b)| (a.min(b), a.max(b)))
            .collect(),
        v6: match number.is_address() {
            true => wide
                .into_iter()
                .map(|(a, b)| (a.min(b), a.max(b)))
                .collect(),
            false => Vec::new(),
        },
    })
}

fn filter(alternatives: usize, conditions: usize, ranges: usize) -> impl Strategy<Value = Filter> {
    let all = proptest::collection::vec(condition(ranges), 0..conditions);
    proptest::collection::vec(all, 1..alternatives).prop_map(|alternatives| Filter { alternatives })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn the_tests_are_the_filter(
        filter in filter(4, 4, 4),
        records in proptest::collection::vec(bytes(), 20),
    ) {
        prop_assume!(filter.fits());
        let tests = Tests::of(&filter);
        for bytes in &records {
            let expected = selects(&filter, &record(bytes));
            prop_assert_eq!(is_copied(&tests, bytes), expected, "{:?}", record(bytes));
        }
    }

    #[test]
    fn a_filter_that_is_too_long_selects_more(
        filter in filter(12, 6, 12),
        records in proptest::collection::vec(bytes(), 10),
    ) {
        let tests = Tests::of(&filter);
        prop_assert!(tests.stages.iter().map(Vec::len).sum::<usize>() <= MOST_TESTS);
        for bytes in &records {
            let (copied, expected) = (is_copied(&tests, bytes), selects(&filter, &record(bytes)));
            prop_assert!(copied || !expected, "{:?}", record(bytes));
            prop_assert!(copied == expected || !filter.fits(), "{:?}", record(bytes));
        }
    }
}

// --- One by one -------------------------------------------------------------------------------

fn one(number: Number, range: (u64, u64)) -> Condition {
    Condition {
        number,
        absent: false,
        ranges: vec![range],
        v6: Vec::new(),
    }
}

fn tests_of(alternatives: &[&[Condition]]) -> Tests {
    let alternatives = alternatives.iter().map(|all| all.to_vec()).collect();
    Tests::of(&Filter { alternatives })
}

#[test]
fn everything_needs_no_tests() {
    assert_eq!(Tests::of(&Filter::any()), Tests::default());
    let port = one(Number::DstPort, (53, 53));
    assert_eq!(tests_of(&[&[port], &[]]), Tests::default());
}

fn lengths(tests: &Tests) -> [usize; STAGES] {
    tests.stages.each_ref().map(Vec::len)
}

#[test]
fn what_is_copied_first_is_asked_first() {
    let port = || one(Number::DstPort, (53, 53));
    let zone = || one(Number::Zone, (1, 1));
    let bytes = || one(Number::Bytes, (10, u64::MAX));
    // Nothing but tuples: asked once.
    assert_eq!(lengths(&tests_of(&[&[port()]])), [1, 0, 0]);
    assert_eq!(lengths(&tests_of(&[&[zone()]])), [0, 1, 0]);
    assert_eq!(lengths(&tests_of(&[&[bytes()]])), [0, 0, 1]);
    // Later ones ask all again: they are asked of few.
    assert_eq!(lengths(&tests_of(&[&[bytes(), port()]])), [1, 0, 2]);
    assert_eq!(lengths(&tests_of(&[&[bytes(), zone(), port()]])), [1, 2, 3]);
    // An alternative of which nothing is known early leaves nothing out early.
    assert_eq!(lengths(&tests_of(&[&[port()], &[bytes()]])), [0, 0, 2]);
    assert_eq!(lengths(&tests_of(&[&[port()], &[zone()]])), [0, 2, 0]);
}

#[test]
fn what_all_wanted_entries_have_in_common_is_seen_at_a_glance() {
    let net = one(Number::ReplyDst, (0x0a00_0100, 0x0a00_01ff));
    let port = one(Number::DstPort, (443, 443));
    let udp = one(Number::Protocol, (17, 17));
    let at = |reply, offset, mask: [u8; 4], value: [u8; 4]| Glance {
        is_reply: reply,
        offset,
        mask: u32::from_ne_bytes(mask),
        value: u32::from_ne_bytes(value),
    };
    let none = Glance::default();
    let network = at(1, 20, [255, 255, 255, 0], [10, 0, 1, 0]);
    let https = at(0, 36, [255, 255, 0, 0], [1, 187, 0, 0]);
    let protocol = at(0, 36, [0, 0, 255, 0], [0, 0, 17, 0]);
    let glances = |conditions: &[Condition]| tests_of(&[conditions]).glances;
    assert_eq!(
        glances(&[net.clone(), udp.clone(), port.clone()]),
        [network, https]
    );
    assert_eq!(glances(std::slice::from_ref(&udp)), [protocol, none]);
    // Two ranges, two alternatives, what may be lacking: nothing is common to all.
    let mut two = port.clone();
    two.ranges.push((8443, 8443));
    let mut or_none = port.clone();
    or_none.absent = true;
    assert_eq!(glances(&[two]), [none; 2]);
    assert_eq!(glances(&[or_none]), [none; 2]);
    assert_eq!(tests_of(&[&[port], &[udp]]).glances, [none; 2]);
}

#[test]
fn the_room_is_for_all_tests_together() {
    let ports = |count: u64| Condition {
        ranges: (0..count).map(|port| (2 * port, 2 * port)).collect(),
        ..one(Number::DstPort, (0, 0))
    };
    let fits = |conditions: Vec<Condition>| {
        let filter = Filter {
            alternatives: vec![conditions],
        };
        filter.fits()
    };
    let bytes = || one(Number::Bytes, (10, u64::MAX));
    assert!(fits(vec![ports(64)]) && !fits(vec![ports(65)]));
    assert!(fits(vec![ports(31), bytes()]) && !fits(vec![ports(32), bytes()]));
    // The longest goes, the rest stays.
    let tests = tests_of(&[&[ports(65), bytes()]]);
    assert_eq!(tests, tests_of(&[&[bytes()]]));
    assert_eq!(lengths(&tests), [0, 0, 1]);
}

#[test]
fn a_family_is_what_the_other_is_not() {
    let mut bytes = [0; SIZE];
    for (has, family) in [(has::IPV4, 0), (has::IPV6, 1)] {
        put(&mut bytes, offset_of!(Record, has), &has.to_ne_bytes());
        for asked in [0, 1] {
            let tests = tests_of(&[&[one(Number::Family, (asked, asked))]]);
            assert_eq!(is_copied(&tests, &bytes), asked == family);
        }
        assert!(is_copied(
            &tests_of(&[&[one(Number::Family, (0, 1))]]),
            &bytes
        ));
    }
}

#[test]
fn what_is_in_no_range_is_nothing() {
    let mut bytes = [0; SIZE];
    let nothing = |absent| Condition {
        number: Number::DstPort,
        absent,
        ranges: Vec::new(),
        v6: Vec::new(),
    };
    for (has, is_absent) in [(has::IPV4, true), (has::IPV4 | has::PORTS, false)] {
        put(&mut bytes, offset_of!(Record, has), &has.to_ne_bytes());
        assert!(!is_copied(&tests_of(&[&[nothing(false)]]), &bytes));
        assert_eq!(is_copied(&tests_of(&[&[nothing(true)]]), &bytes), is_absent);
    }
}
