//! `list -o conntrack` against the real conntrack(8), entry by entry.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use ctnetlink::{
    HelperName, L4, Labels, NewEntry, ProtoInfo, Protocol, SctpInfo, SctpState, Status, TcpState,
    Tuple, Zone, ZoneDirection,
};
use netlab::address;
use testkit::{Lab, available, conntrack};

use crate::run::{client, in_state, tcp, tracklight, udp};

/// Entries of every kind that traffic between three namespaces does not bring about.
fn made() -> Vec<NewEntry> {
    let mut entries = Vec::new();
    let pair = |protocol, l4| Tuple {
        src: "10.9.0.1".parse().unwrap(),
        dst: "192.0.2.9".parse().unwrap(),
        protocol,
        l4,
    };
    for state in TcpState::ALL {
        let mut entry = tcp("10.8.0.1", 1000 + u16::from(state.0), "192.0.2.8", 80);
        entry.protoinfo = Some(in_state(*state));
        entries.push(entry);
    }
    // Linux 6.18 has no HEARTBEAT_ACKED any more.
    for state in SctpState::ALL
        .iter()
        .filter(|state| **state < SctpState::HEARTBEAT_ACKED)
    {
        let ports = L4::Ports {
            src: 1000 + u16::from(state.0),
            dst: 36412,
        };
        let mut entry = NewEntry::new(pair(Protocol::SCTP, ports), 3600);
        entry.protoinfo = Some(ProtoInfo::Sctp(SctpInfo {
            state: Some(*state),
            vtag_orig: Some(7),
            vtag_reply: Some(9),
        }));
        entries.push(entry);
    }
    let others = [
        (Protocol::UDPLITE, L4::Ports { src: 5, dst: 6 }),
        (
            Protocol::GRE,
            L4::Gre {
                src_key: 0x1234,
                dst_key: 0xff,
            },
        ),
        (
            Protocol::ICMP,
            L4::Icmp {
                kind: 13,
                code: 0,
                id: 65535,
            },
        ),
        (Protocol(50), L4::None),
        (Protocol(2), L4::None),
    ];
    entries.extend(others.map(|(protocol, l4)| NewEntry::new(pair(protocol, l4), 3600)));
    for (number, address) in (0u16..).zip([
        "::1",
        "::ffff:192.0.2.1",
        "::192.0.2.1",
        "fe80::1",
        "2001:db8::1:0:0:1",
    ]) {
        entries.push(tcp(address, number, "2001:db8::", 443));
    }
    for (number, direction) in (1u16..).zip([
        ZoneDirection::Both,
        ZoneDirection::Original,
        ZoneDirection::Reply,
    ]) {
        let mut entry = udp("10.7.0.1", number, "192.0.2.7", 53);
        entry.zone = Zone {
            id: number,
            direction,
        };
        entries.push(entry);
    }
    let mut marked = udp("10.6.0.1", 1, "192.0.2.6", 53);
    marked.mark = Some(u32::MAX);
    marked.status = Status::ASSURED | Status::SEEN_REPLY | Status::FIXED_TIMEOUT;
    marked.labels = Some(Labels::from_bits(1 << 127 | 1));
    entries.push(marked);
    let mut translated = tcp("10.6.0.2", 2, "192.0.2.6", 80);
    translated.reply.src = "198.51.100.99".parse().unwrap();
    translated.reply.l4 = L4::Ports {
        src: 8080,
        dst: 60000,
    };
    entries.push(translated);
    let mut helped = tcp("10.6.0.3", 3, "192.0.2.6", 21);
    helped.helper = Some(HelperName::from("ftp").unwrap());
    entries.push(helped);
    entries
}

/// The lines by id, with what ticks on between two readings taken out and given apart.
fn by_id(text: &str) -> BTreeMap<String, (String, Vec<i64>)> {
    text.lines()
        .map(|line| {
            let mut ticking = Vec::new();
            let mut id = String::new();
            let words: Vec<String> = line
                .split(' ')
                .enumerate()
                .map(|(index, word)| {
                    if let Some(value) = word.strip_prefix("delta-time=") {
                        ticking.push(value.parse().unwrap());
                        return "delta-time=…".to_owned();
                    }
                    if let Some(value) = word.strip_prefix("id=")
                        && index > 15
                    {
                        id = value.to_owned();
                    }
                    word.to_owned()
                })
                .collect();
            // Family, its number, protocol, its number, timeout: names are padded.
            let mut line = words.join(" ");
            let mut fields = line.split_ascii_whitespace().skip(4);
            if let Some(timeout) = fields.next().and_then(|word| word.parse().ok()) {
                ticking.push(timeout);
                line = line.replacen(&format!(" {timeout} "), " … ", 1);
            }
            (id, (line, ticking))
        })
        .collect()
}

#[test]
fn it_is_the_text_of_conntrack_byte_for_byte_on_a_mixed_table() {
    let Some(lab) = available(Lab::builder().ftp_helper(true).build()) else {
        return;
    };
    let http = |ip: IpAddr| SocketAddr::new(ip, 8080);
    let any = |ip: IpAddr| SocketAddr::new(ip, 0);
    let inside: IpAddr = address::client(1).into();
    let outside: IpAddr = address::server(0).into();
    let _tcp = lab.tcp_connect(any(inside), http(outside)).unwrap();
    let _forwarded = lab
        .tcp_connect(any(outside), SocketAddr::V4(address::FORWARD))
        .unwrap();
    let _udp = lab
        .udp_exchange(any(inside), SocketAddr::new(outside, 53))
        .unwrap();
    let _control = lab
        .tcp_connect(any(inside), SocketAddr::new(outside, 21))
        .unwrap();
    lab.ping(inside, outside).unwrap();
    let inside_v6: IpAddr = address::client_v6(1).into();
    let outside_v6: IpAddr = address::server_v6(0).into();
    let _tcp_v6 = lab.tcp_connect(any(inside_v6), http(outside_v6)).unwrap();
    lab.ping(inside_v6, outside_v6).unwrap();
    let gateway = lab.gateway();
    let client = client(gateway);
    let count = made().len();
    made()
        .into_iter()
        .for_each(|entry| client.create(entry).unwrap());

    let theirs = gateway
        .command("conntrack")
        .env("TZ", "UTC")
        .args(["-L", "-o", "extended,id,ktimestamp"])
        .output()
        .unwrap();
    let theirs = by_id(&String::from_utf8(theirs.stdout).unwrap());
    let ours = tracklight(gateway, &["list", "-o", "conntrack,extended,id,ktimestamp"]).exits(0);
    let ours = by_id(&ours.out);
    assert!(theirs.len() >= count + 7, "made and real ones: {theirs:#?}");
    assert_eq!(
        ours.keys().collect::<Vec<_>>(),
        theirs.keys().collect::<Vec<_>>()
    );
    for (id, (line, ticking)) in &theirs {
        assert_eq!(&ours[id].0, line);
        assert_eq!(ours[id].1.len(), ticking.len());
        for (a, b) in ours[id].1.iter().zip(ticking) {
            assert!((a - b).abs() <= 5, "{a} and {b} in {line}");
        }
    }
}

#[test]
fn without_options_it_is_the_plain_line() {
    let Some(namespace) = testkit::TestNamespace::new() else {
        return;
    };
    let client = client(&namespace);
    made()
        .into_iter()
        .for_each(|entry| client.create(entry).unwrap());
    let lines = |text: &str| {
        let mut lines: Vec<String> = text
            .lines()
            .map(|line| {
                let words = line.split_ascii_whitespace().enumerate();
                let still = words.filter(|(at, w)| *at != 2 && !w.starts_with("delta-time="));
                still.map(|(_, word)| word).collect::<Vec<_>>().join(" ")
            })
            .collect();
        lines.sort();
        lines
    };
    let theirs = conntrack(&namespace, &["-L"]);
    let ours = tracklight(&namespace, &["list", "-o", "conntrack"])
        .exits(0)
        .out;
    assert_eq!(lines(&ours), lines(&theirs));
}
