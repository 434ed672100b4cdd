//! Any text is a query or an error that points into it; what is understood is printed, explained
//! and filtered by so that it selects the same.
#![no_main]

use std::net::IpAddr;

use arbitrary::{Arbitrary, Unstructured};
use ctnetlink::{
    Counters, Entry, HelperName, L4, Labels, ProtoInfo, Protocol, SctpInfo, SctpState, Status,
    TcpFlags, TcpInfo, TcpState, Timestamps, Tuple, Zone,
};
use libfuzzer_sys::fuzz_target;
use query::{Field, MarkNames, Query, QueryError, Vocabulary, check_value, complete};

const NOW: u64 = 1_000_000_000_000_000;

#[derive(Arbitrary, Debug)]
struct Asked {
    protocol: u8,
    is_v6: bool,
    addresses: [u8; 4],
    l4: (u16, u16, u16),
    reply_l4: (u16, u16, u16),
    numbers: (u8, Option<u32>, Option<u32>, Option<u32>),
    counters: [Option<(u64, u64)>; 2],
    start: Option<u64>,
    state: Option<u8>,
    flags: Option<u8>,
    labels: Option<u128>,
    has_helper: bool,
}

fn tuple(asked: &Asked, (src, dst): (u8, u8), (a, b, c): (u16, u16, u16)) -> Tuple {
    let protocols = [6, 17, 1, 58, 132, 33, 47, 136, 50];
    let protocol = Protocol(protocols[usize::from(asked.protocol) % protocols.len()]);
    let address = |last: u8| -> IpAddr {
        if asked.is_v6 {
            IpAddr::from([0x2001, 0xdb8, u16::from(last & 1), 0, 0, 0, 0, last.into()])
        } else {
            IpAddr::from([10, 0, last & 1, last])
        }
    };
    Tuple {
        src: address(src),
        dst: address(dst),
        protocol,
        l4: match protocol {
            Protocol::ICMP | Protocol::ICMPV6 => L4::Icmp {
                kind: a as u8,
                code: b as u8,
                id: c,
            },
            Protocol::GRE => L4::Gre {
                src_key: a,
                dst_key: b,
            },
            protocol if protocol.has_ports() => L4::Ports { src: a, dst: b },
            _ => L4::None,
        },
    }
}

fn entry(asked: &Asked) -> Entry {
    let [a, b, c, d] = asked.addresses;
    let orig = tuple(asked, (a, b), asked.l4);
    let reply = tuple(asked, (c, d), asked.reply_l4);
    let (zone, mark, status, timeout) = asked.numbers;
    let counters = asked
        .counters
        .map(|counters| counters.map(|(packets, bytes)| Counters { packets, bytes }));
    let flags = asked.flags.map(|flags| TcpFlags { flags, mask: 0xff });
    Entry {
        zone: Zone::new(zone.into()),
        id: mark,
        mark,
        status: status.map(Status::from_bits_retain),
        timeout,
        counters_orig: counters[0],
        counters_reply: counters[1],
        timestamps: asked.start.map(|start| Timestamps {
            start: Some(start),
            stop: None,
        }),
        protoinfo: match orig.protocol {
            Protocol::TCP => Some(ProtoInfo::Tcp(TcpInfo {
                state: asked.state.map(TcpState),
                wscale_orig: asked.flags,
                wscale_reply: asked.state,
                flags_orig: flags,
                flags_reply: None,
            })),
            Protocol::SCTP => Some(ProtoInfo::Sctp(SctpInfo {
                state: asked.state.map(SctpState),
                vtag_orig: mark,
                vtag_reply: timeout,
            })),
            _ => None,
        },
        labels: asked.labels.map(Labels::from_bits),
        helper: asked
            .has_helper
            .then(|| HelperName::from("ftp").expect("short")),
        ..Entry::new(orig, reply)
    }
}

fn vocabulary() -> Vocabulary {
    Vocabulary {
        provider: MarkNames {
            shift: 16,
            mask: 0xffff,
            names: vec![(1, "wan1".to_owned()), (2, "lte \"backup\"".to_owned())],
        },
        labels: vec![("voip".to_owned(), 7)],
        local: Box::new(|| Ok(vec!["10.0.0.1/32".parse().expect("a network")])),
        ..Vocabulary::default()
    }
}

fn check_error(text: &str, error: &QueryError) {
    assert!(error.offset + error.length <= text.chars().count());
    assert!(!error.message.is_empty());
    error.marked(text);
}

// A text up to the first zero byte; what follows makes the entries.
fuzz_target!(|data: &[u8]| {
    let (text, rest) = match data.iter().position(|&byte| byte == 0) {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &[][..]),
    };
    let text = &*String::from_utf8_lossy(text);
    let vocabulary = vocabulary();
    let length = text.chars().count();
    let mut source = Unstructured::new(rest);
    let cursor = source.int_in_range(0..=length + 1).unwrap_or(length);
    for cursor in [cursor, length] {
        match complete(text, cursor, &vocabulary) {
            Ok(completion) => assert!(completion.offset + completion.length <= length),
            Err(error) => check_error(text, &error),
        }
    }
    // What a flag of a command line takes can say nothing but a value.
    for &field in Field::ALL {
        if let Ok(value) = check_value(field, text, &vocabulary) {
            let alone = Query::parse(&format!("{} in {{{value}}}", field.name()), &vocabulary)
                .unwrap_or_else(|error| panic!("{field:?} {value}: {error}"));
            let plain = format!("{} == {value}", field.name());
            let range = format!("{} in {value}", field.name());
            assert!([plain, range].contains(&alone.to_string()), "{alone}");
        }
    }

    let query = match Query::parse(text, &vocabulary) {
        Ok(query) => query,
        Err(error) => return check_error(text, &error),
    };
    let printed = query.to_string();
    let again = Query::parse(&printed, &vocabulary).expect("what is printed is a query");
    assert_eq!(again.to_string(), printed);
    let explanation = query.explain();
    for warning in &explanation.warnings {
        assert!(warning.offset + warning.length <= length);
    }
    for filter in &explanation.kernel {
        Query::parse(filter, &vocabulary).expect("what the kernel filters is a query");
    }
    let left = explanation
        .rest
        .map(|rest| Query::parse(&rest, &vocabulary).expect("the rest is a query"));
    for _ in 0..4 {
        let Ok(asked) = Asked::arbitrary(&mut source) else {
            break;
        };
        let entry = entry(&asked);
        let is_selected = query.matches(&entry, NOW);
        assert_eq!(again.matches(&entry, NOW), is_selected, "{printed}");
        let in_kernel = query.filters().iter().any(|filter| filter.matches(&entry));
        let is_left = left.as_ref().is_none_or(|left| left.matches(&entry, NOW));
        assert_eq!(in_kernel && is_left, is_selected, "{text} of {entry:?}");
        assert!(is_selected || !query.is_any(), "{text} of {entry:?}");
    }
});
