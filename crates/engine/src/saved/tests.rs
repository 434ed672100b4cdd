use std::io::Cursor;
use std::net::IpAddr;

use ctnetlink::{
    Counters, Extra, L4, Labels, ProtoInfo, Protocol, SctpInfo, SctpState, Status, TcpInfo,
    TcpState, Timestamps, Tuple, Zone, ZoneDirection,
};
use proptest::prelude::*;

use super::format::{BLOCK_LIMIT, ENTRIES, Head, MAGIC, ORDER, TRAILER, preamble};
use super::*;

fn entry(number: u32) -> Entry {
    let address = |network: u32| IpAddr::V4((network << 24 | number & 0xff_ffff).into());
    let protocol = [Protocol::TCP, Protocol::UDP, Protocol(50)][number as usize % 3];
    let l4 = match protocol.has_ports() {
        true => L4::Ports {
            src: number as u16,
            dst: 443,
        },
        false => L4::None,
    };
    let orig = Tuple {
        src: address(10),
        dst: address(192),
        protocol,
        l4,
    };
    let mut entry = Entry::new(orig, orig.mirror());
    entry.id = Some(number.wrapping_mul(0x9e37_79b9));
    entry.status = Some(Status::SEEN_REPLY | Status::CONFIRMED);
    entry.timeout = Some(number % 5000);
    entry.counters_orig = Some(Counters {
        packets: u64::from(number),
        bytes: u64::MAX,
    });
    entry.timestamps = Some(Timestamps {
        start: Some(1 << 60),
        stop: None,
    });
    entry.labels = number.is_multiple_of(7).then(|| Labels::from_bits(5));
    if number.is_multiple_of(11) {
        entry.extra = Some(Box::new(Extra {
            secctx: Some("system_u:object_r:unlabeled_t".to_owned()),
            master: Some(orig.mirror()),
            ..Extra::default()
        }));
    }
    entry
}

fn header() -> Header {
    Header {
        program: Some("tracklight 1.2.3".to_owned()),
        taken_ns: Some(1_800_000_000_123_456_789),
        host: Some("gateway".to_owned()),
        filter: Some("-p tcp".to_owned()),
        accounting: Some(true),
        timestamps: Some(false),
        local: Some(vec!["192.0.2.1".to_owned()]),
        ..Header::default()
    }
}

fn file(count: u32) -> Vec<u8> {
    let mut writer = TableWriter::new(Vec::new(), &header()).unwrap();
    (0..count).for_each(|number| writer.push(&entry(number)).unwrap());
    writer.finish(Some(true)).unwrap()
}

/// The entries of a file, and what was wrong with it.
fn read(bytes: Vec<u8>) -> (Vec<Entry>, Result<Option<End>, Failure>) {
    let mut entries = Vec::new();
    let mut saved = match Saved::from_reader(Cursor::new(bytes), "it") {
        Ok(saved) => saved,
        Err(failure) => return (entries, Err(failure)),
    };
    loop {
        match saved.next_entry() {
            Ok(Some(entry)) => entries.push(entry.clone()),
            Ok(None) => return (entries, Ok(saved.end())),
            Err(failure) => {
                assert_eq!(saved.next_entry(), Err(failure.clone()), "it stays wrong");
                assert_eq!(saved.read(), entries.len() as u64);
                return (entries, Err(failure));
            }
        }
    }
}

fn code(bytes: Vec<u8>) -> &'static str {
    read(bytes).1.expect_err("something is wrong").code
}

#[test]
fn what_was_saved_is_read_over_many_blocks() {
    let count = 20_000;
    let bytes = file(count);
    let saved = Saved::from_reader(Cursor::new(bytes.clone()), "it").unwrap();
    assert_eq!((saved.header(), saved.format()), (&header(), Format::Table));
    let (entries, end) = read(bytes);
    assert!(entries.into_iter().eq((0..count).map(entry)));
    let complete = Some(true);
    assert_eq!(
        end,
        Ok(Some(End {
            entries: u64::from(count),
            complete
        }))
    );
}

#[test]
fn a_table_of_nothing_is_a_table() {
    let (entries, end) = read(file(0));
    assert!(entries.is_empty() && end.is_ok());
}

#[test]
fn cut_at_every_byte_the_good_entries_come_first_and_then_the_failure() {
    // Three blocks of entries.
    const ENTRIES: u32 = 1_500;
    let bytes = file(ENTRIES);
    let all: Vec<Entry> = (0..ENTRIES).map(entry).collect();
    let ends = sections(&bytes);
    assert!(ends.len() >= 5, "{ends:?}");
    let near = |at: usize| ends.iter().any(|end| at.abs_diff(*end) < 40);
    for at in (0..bytes.len()).filter(|&at| near(at) || at.is_multiple_of(997)) {
        let (entries, failed) = read(bytes[..at].to_vec());
        let failure = failed.expect_err("it is cut off");
        let expected = if at == 0 { "not-a-table" } else { "cut-off" };
        assert_eq!(failure.code, expected, "cut at {at}");
        assert!(entries.len() < all.len() || at > ends[ends.len() - 2] - 1);
        assert!(all.starts_with(&entries));
    }
}

#[test]
fn any_byte_changed_is_noticed_and_no_wrong_entry_comes_out() {
    let bytes = file(40);
    for at in 0..bytes.len() {
        for flip in [0x01, 0x20, 0x80] {
            let mut changed = bytes.clone();
            changed[at] ^= flip;
            let (entries, failed) = read(changed);
            // The last byte of the preamble means nothing yet.
            if at == MAGIC.len() + 3 {
                continue;
            }
            failed.expect_err("a byte was changed");
            let right = |(number, read): (u32, &Entry)| *read == entry(number);
            assert!((0..).zip(&entries).all(right), "byte {at}");
        }
    }
}

/// Where sections end.
fn sections(bytes: &[u8]) -> Vec<usize> {
    let mut at = MAGIC.len() + preamble().len();
    let mut ends = vec![at];
    while let Some(head) = bytes.get(at..at + Head::SIZE) {
        let head = Head::from_bytes(head.try_into().unwrap()).unwrap();
        at += Head::SIZE + head.stored as usize;
        ends.push(at);
    }
    ends
}

fn section(kind: u8, count: u32, plain: u32, stored: &[u8]) -> Vec<u8> {
    let head = Head::of(kind, count, plain, stored);
    [&head.to_bytes(), stored].concat()
}

/// A file with this behind its header.
fn with(rest: &[u8]) -> Vec<u8> {
    let bytes = file(0);
    let header = sections(&bytes)[1];
    [&bytes[..header], rest].concat()
}

#[test]
fn what_was_made_to_harm_does_none() {
    let zeros = vec![0; BLOCK_LIMIT as usize];
    let bomb = zstd::bulk::compress(&vec![0; 256 << 20], 1).unwrap();
    let packed = |plain: &[u8]| zstd::bulk::compress(plain, 1).unwrap();
    let one = |count, plain: &[u8]| section(ENTRIES, count, plain.len() as u32, &packed(plain));
    let mut huge = Head::of(ENTRIES, 1, 10, b"");
    (huge.stored, huge.plain) = (u32::MAX, u32::MAX);
    let long_entry = [&u32::MAX.to_le_bytes()[..], b"abc"].concat();
    let harmful = [
        ("more than it says", section(ENTRIES, 1, 10, &bomb)),
        ("not packed", section(ENTRIES, 1, 10, b"garbage")),
        ("lengths beyond reason", huge.to_bytes().to_vec()),
        ("an entry of 4 GB", one(1, &long_entry)),
        ("an entry of nothing", one(1, &[0; 4])),
        ("4 billion entries of nothing", one(u32::MAX, &zeros)),
        ("fewer entries than it says", one(2, b"")),
        ("bytes without entries", one(0, b"abcd")),
        (
            "an end of another number",
            section(TRAILER, 0, 1, b"{\"entries\":7}"),
        ),
        ("an end that is no JSON", section(TRAILER, 0, 1, b"{")),
        ("a second header", section(b'H', 0, 2, b"{}")),
        ("a section of another time", section(b'X', 0, 2, b"{}")),
    ];
    for (what, rest) in harmful {
        assert_eq!(code(with(&rest)), "damaged", "{what}");
    }
    assert_eq!(code([file(3), b"more".to_vec()].concat()), "damaged");
}

#[test]
fn blocks_that_are_missing_or_twice_are_noticed() {
    // Three blocks of entries.
    const ENTRIES: u32 = 1_500;
    let bytes = file(ENTRIES);
    let ends = sections(&bytes);
    assert!(ends.len() >= 5, "{ends:?}");
    let without = [&bytes[..ends[1]], &bytes[ends[2]..]].concat();
    assert_eq!(code(without), "damaged");
    let twice = [&bytes[..ends[2]], &bytes[ends[1]..]].concat();
    assert_eq!(code(twice), "damaged");
}

#[test]
fn a_section_that_can_be_passed_over_is() {
    let bytes = file(3);
    let at = sections(&bytes)[1];
    let remark = section(b'n', 0, 4, b"note");
    let (entries, end) = read([&bytes[..at], &remark, &bytes[at..]].concat());
    assert!(end.is_ok() && entries.len() == 3);
}

#[test]
fn what_is_not_for_us_is_called_by_its_name() {
    let mut newer = file(1);
    newer[MAGIC.len()] = 2;
    assert_eq!(code(newer), "newer-format");
    let mut other = file(1);
    other[MAGIC.len() + 2] = if ORDER == b'l' { b'b' } else { b'l' };
    assert_eq!(code(other), "other-byte-order");
    for noise in [&b"\0\0\0\0"[..], b"\x7fELF\x02\x01", b"PK\x03\x04", b"{}"] {
        assert_eq!(code(noise.to_vec()), "not-a-table");
    }
    assert_eq!(code(Vec::new()), "not-a-table");
    let open = |path: &str| Saved::open(path.as_ref()).err().map(|failure| failure.code);
    assert_eq!(open("/proc"), Some("unreadable"));
    assert_eq!(open("/nowhere/at/all"), Some("unreadable"));
}

#[test]
fn lines_are_read_and_the_bad_one_is_named() {
    let good = "-A -t 10 -u UNSET -s 10.0.0.1 -d 10.0.0.2 -p 50\n";
    let text = format!("# remark\n\n{good}  -I -t 9 -s ::1 -d ::2 -p \"50\"\n");
    let (entries, end) = read(text.clone().into_bytes());
    assert_eq!((entries.len(), end.unwrap().unwrap().entries), (2, 2));
    let (entries, failed) = read(format!("{text}{good}-D -p 50\n").into_bytes());
    let failure = failed.unwrap_err();
    assert_eq!((entries.len(), failure.code), (3, "bad-line"));
    assert!(failure.message.contains("line 6"), "{failure}");
    assert!(failure.message.contains("3 entries"), "{failure}");
    let endless = [b"-A ", &vec![b'x'; 1 << 20][..]].concat();
    assert_eq!(code(endless), "bad-line");
    assert_eq!(code(b"-A \xff\xfe".to_vec()), "bad-line");
}

fn tuples() -> impl Strategy<Value = (Tuple, Tuple)> {
    let protocol = prop_oneof![
        proptest::sample::select(&Protocol::TRACKED[..]),
        any::<u8>().prop_map(Protocol)
    ];
    let numbers = (
        any::<bool>(),
        protocol,
        any::<[u128; 4]>(),
        any::<[u16; 4]>(),
    );
    numbers.prop_map(|(is_v6, protocol, addresses, [a, b, c, d])| {
        let (is_v6, protocol) = match protocol {
            Protocol::ICMP => (false, protocol),
            Protocol::ICMPV6 => (true, protocol),
            _ => (is_v6, protocol),
        };
        let [src, dst, reply_src, reply_dst] = addresses.map(|bits| match is_v6 {
            true => IpAddr::V6(bits.into()),
            false => IpAddr::V4((bits as u32).into()),
        });
        let l4 = |a: u16, b: u16| match protocol {
            Protocol::ICMP | Protocol::ICMPV6 => L4::Icmp {
                kind: 8,
                code: 3,
                id: b,
            },
            Protocol::GRE => L4::Gre {
                src_key: a,
                dst_key: b,
            },
            protocol if protocol.has_ports() => L4::Ports {
                src: a.max(1),
                dst: b,
            },
            _ => L4::None,
        };
        let orig = Tuple {
            src,
            dst,
            protocol,
            l4: l4(a, b),
        };
        let mut reply = orig.mirror();
        (reply.src, reply.dst) = (reply_src, reply_dst);
        if !matches!(reply.l4, L4::Icmp { .. }) {
            reply.l4 = l4(c, d);
        }
        (orig, reply)
    })
}

/// Entries of which a line says everything.
fn lined() -> impl Strategy<Value = Entry> {
    let direction = prop_oneof![
        Just(ZoneDirection::Both),
        Just(ZoneDirection::Original),
        Just(ZoneDirection::Reply)
    ];
    let zone = (1..=u16::MAX, direction).prop_map(|(id, direction)| Zone { id, direction });
    let numbers = any::<(u32, u8, Option<u32>, u32, u32)>();
    (tuples(), proptest::option::of(zone), numbers).prop_map(|((orig, reply), zone, numbers)| {
        let (timeout, bits, secmark, one, two) = numbers;
        let mut entry = Entry::new(orig, reply);
        entry.timeout = Some(timeout);
        entry.zone = zone.unwrap_or_default();
        entry.secmark = secmark;
        let known = [
            Status::SEEN_REPLY,
            Status::ASSURED,
            Status::FIXED_TIMEOUT,
            Status::EXPECTED,
            Status::SRC_NAT,
            Status::DST_NAT,
        ];
        let mut status = Status::empty();
        for (number, bit) in known.into_iter().enumerate() {
            status.set(bit, bits >> number & 1 == 1);
        }
        if status.intersects(Status::SRC_NAT | Status::DST_NAT) {
            status |= Status::SRC_NAT_DONE | Status::DST_NAT_DONE;
            // -n and -g are printed for all that differs then.
            status.set(Status::SRC_NAT, reply.dst != orig.src);
            status.set(Status::DST_NAT, reply.src != orig.dst);
        }
        entry.status = Some(status);
        entry.protoinfo = match orig.protocol {
            Protocol::TCP => Some(ProtoInfo::Tcp(TcpInfo {
                state: Some(TcpState(bits % 10)),
                ..TcpInfo::default()
            })),
            Protocol::SCTP => Some(ProtoInfo::Sctp(SctpInfo {
                state: Some(SctpState(bits % 10)),
                vtag_orig: Some(one),
                vtag_reply: Some(two),
            })),
            _ => None,
        };
        entry
    })
}

proptest! {
    #[test]
    fn a_line_is_read_as_it_was_written(entry in lined()) {
        let mut line = Vec::new();
        line::write(&mut line, &entry);
        let line = String::from_utf8(line).unwrap();
        let command = line::parse(&line).unwrap().unwrap();
        prop_assert_eq!(command, line::Command { verb: line::Verb::Add, entry });
    }

    #[test]
    fn no_line_is_a_panic(line in "[-AIDnsdpt:/0-9a-f\"\\\\ =\\[\\].x]{0,60}") {
        let _ = line::parse(&line);
    }
}

#[test]
fn options_are_taken_in_every_form_that_getopt_takes() {
    let plain = "-A -t 9 -m 31 -s 10.0.0.1 -d 10.0.0.2 -p udp --sport 1 --dport 2";
    let forms = [
        "-At9 -m0x1f -s10.0.0.1 -d10.0.0.2 -pudp --sport=1 --dport=2",
        "--add --timeout 9 --mark 037/0xff --orig-src 10.0.0.1 --dst 10.0.0.2/32 \
         --protonum 17 --orig-port-src 1 --orig-port-dst 2",
        "conntrack -A --time 9 --mar 31 --src=10.0.0.1 --dst 10.0.0.2 --proto udp --spo 1 --dpo 2",
        "-p udp -A -t 9 -m \"31\" -r 10.0.0.2 -q 10.0.0.1 --reply-port-src 2 --reply-port-dst 1",
    ];
    let read = |line: &str| line::parse(line).unwrap().unwrap().entry;
    for form in forms {
        assert_eq!(read(form), read(plain), "{form}");
    }
    let nat = "-I -t 9 -s ::1 -d ::2 -p udp --sport 1 --dport 2 -n 2001:db8::1 -g [::3]:7";
    let entry = read(nat);
    assert_eq!(
        (entry.reply.src, entry.reply.src_port()),
        ("::3".parse().unwrap(), Some(7))
    );
    assert_eq!((entry.reply.dst_port(), entry.is_nat()), (Some(1), true));
    assert!(entry.has_status(Status::SRC_NAT | Status::DST_NAT));
}

#[test]
fn a_wrong_line_is_told_what_is_wrong_with_it() {
    let udp = "-A -t 9 -s 10.0.0.1 -d 10.0.0.2 -p udp --sport 1 --dport 2";
    let wrong = [
        ("-t 9", "the command is missing"),
        ("-A -I -t 9", "-I is a second command"),
        ("-L", "-L does not belong into a file"),
        ("-A expect -p udp", "expectations cannot"),
        (
            "-A -p udp -s 10.0.0.1 -d 10.0.0.2 -t 5",
            "udp needs --sport",
        ),
        (
            "-A -p udp -t 5 --sport 1 --dport 1",
            "source and destination are missing",
        ),
        (
            "-A -p tcp -s 10.0.0.1 -d 10.0.0.2 --sport 1 --dport 1 -t 5",
            "tcp needs --state",
        ),
        ("-A -p 50 -s 10.0.0.1 -d 10.0.0.2", "the timeout is missing"),
        ("-A -t 5 -s 10.0.0.1 -d 10.0.0.2", "the protocol is missing"),
        (
            "-A -p icmp -s ::1 -d ::2 -t 5 --icmp-type 8 --icmp-code 0 --icmp-id 1",
            "icmp does not go with ipv6",
        ),
        ("-A -p 50 -s 10.0.0.1 -d ::2 -t 5", "two families"),
        ("-A -t 9 \"-s", "a quotation mark is missing"),
        ("-A -t", "-t needs a value"),
        ("-A --reply 5", "may be one of several"),
    ];
    let appended = [
        ("--bogus", "--bogus is no option"),
        ("-Q", "-Q is no option"),
        ("-u FOO", "-u: `FOO` is not a list of"),
        (
            "--sport 99999",
            "--sport: `99999` is not a number from 0 to 65535",
        ),
        ("-s host", "-s: `host` is not an address"),
        ("-s 10.0.0.0/8", "is not an address"),
        ("-n 1.1.1.1:5-6", "is not ADDRESS[:PORT]"),
        ("-n", "is not ADDRESS[:PORT]"),
        ("-w 70000", "is not a zone"),
        ("-m +5", "is not a mark"),
        ("--state ESTABLISHED", "--state does not go with udp"),
        ("--icmp-type 8", "--icmp-type does not go with udp"),
        ("-l nothing-of-this-name", "is no label"),
        ("-z", "-z does not belong"),
        ("stray", "`stray` is no option"),
        ("-f ipv6", "two families"),
    ];
    let appended = appended.map(|(more, wrong)| (format!("{udp} {more}"), wrong));
    let wrong = wrong.map(|(line, wrong)| (line.to_owned(), wrong));
    for (line, wrong) in wrong.into_iter().chain(appended) {
        let told = line::parse(&line).expect_err(&line);
        assert!(told.contains(wrong), "{line}: {told}");
    }
}
