//! The lab as root sees it, with conntrack(8) as the witness.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use netlab::address::{
    FORWARD, FORWARD_INSIDE, GATEWAY, PUBLIC, SILENT, client, client_v6, server, server_v6,
};
use netlab::{Lab, LabBuilder, TcpPair};
use testkit::{available, conntrack};

/// More than enough for what takes milliseconds on a quiet machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// The witness's lines that have all these words.
fn listed(lab: &Lab, arguments: &[&str], words: &[&str]) -> Vec<String> {
    let text = conntrack(lab.gateway(), &[&["-L"], arguments].concat());
    let has = |line: &&str| {
        words
            .iter()
            .all(|word| line.split_whitespace().any(|part| part == *word))
    };
    text.lines().filter(has).map(str::to_owned).collect()
}

fn build(builder: LabBuilder) -> Option<Lab> {
    available(builder.build())
}

fn speak(pair: &mut TcpPair) {
    let mut word = [0; 4];
    pair.opener.write_all(b"ping").unwrap();
    pair.answerer.read_exact(&mut word).unwrap();
    assert_eq!(&word, b"ping");
    pair.answerer.write_all(b"pong").unwrap();
    pair.opener.read_exact(&mut word).unwrap();
    assert_eq!(&word, b"pong");
}

#[test]
fn every_kind_of_traffic_shows_in_the_gateways_table() {
    let Some(lab) = build(Lab::builder()) else {
        return;
    };
    let traffic = lab.start_traffic().unwrap();
    lab.ready().unwrap();
    // Kinds that need a second or two to come about.
    lab.wait_until("short and reset connections", PATIENCE, |table| {
        table.matching(&["tcp", "TIME_WAIT"]) >= Some(2)
            && table.matching(&["tcp", "CLOSE"]) >= Some(1)
    })
    .unwrap();

    let every_kind: [(&[&str], &[&str]); 13] = [
        (
            &["-p", "tcp"],
            &["ESTABLISHED", "[ASSURED]", "dport=443", "dst=203.0.113.5"],
        ),
        (&["-p", "tcp"], &["TIME_WAIT"]),
        (&["-p", "tcp"], &["CLOSE", "[ASSURED]"]),
        (
            &["-p", "tcp"],
            &["SYN_SENT", "[UNREPLIED]", "dst=192.0.2.1"],
        ),
        (&["-p", "udp"], &["dport=53", "sport=53"]),
        (&["-p", "udp"], &["dport=443"]),
        (&["-p", "udp"], &["[UNREPLIED]", "dst=192.0.2.1"]),
        (&["-p", "icmp"], &["type=8", "type=0"]),
        (&["-f", "ipv6", "-p", "tcp"], &["ESTABLISHED", "[ASSURED]"]),
        (&["-f", "ipv6", "-p", "udp"], &["dport=443"]),
        (&["-f", "ipv6", "-p", "icmpv6"], &["type=128", "type=129"]),
        (&["-g"], &["dport=8443", "src=10.0.0.2", "ESTABLISHED"]),
        (&["-n"], &["src=10.0.0.4", "dst=203.0.113.5"]),
    ];
    for (arguments, words) in every_kind {
        let lines = listed(&lab, arguments, words);
        assert!(
            !lines.is_empty(),
            "{arguments:?} {words:?}\n{}",
            conntrack(lab.gateway(), &["-L"])
        );
    }
    assert!(traffic.troubles().is_empty(), "{:?}", traffic.troubles());
}

#[test]
fn marks_tell_the_service_and_the_uplink() {
    let Some(lab) = build(Lab::builder()) else {
        return;
    };
    let _traffic = lab.start_traffic().unwrap();
    lab.ready().unwrap();
    // TLS without an uplink; DNS over uplink 1; QUIC over uplink 2.
    for (mark, port) in [
        ("0x5b03", "dport=443"),
        ("0x10501", "dport=53"),
        ("0x2bc02", "dport=443"),
    ] {
        let lines = listed(&lab, &["-m", mark], &[port]);
        assert!(
            !lines.is_empty(),
            "{mark}\n{}",
            conntrack(lab.gateway(), &["-L"])
        );
    }
    assert!(listed(&lab, &["-p", "icmp"], &["mark=0"]).len() >= 2);
}

#[test]
fn lasting_connections_move_bytes_both_ways() {
    let Some(lab) = build(Lab::builder()) else {
        return;
    };
    let _traffic = lab.start_traffic().unwrap();
    lab.ready().unwrap();
    let counters = |line: &str| -> Vec<u64> {
        line.split_whitespace()
            .filter_map(|word| word.strip_prefix("bytes=")?.parse().ok())
            .collect()
    };
    let ssh = |lab: &Lab| {
        let lines = listed(lab, &["-s", "10.0.0.4", "-p", "tcp", "--dport", "22"], &[]);
        assert_eq!(lines.len(), 1, "{lines:?}");
        counters(&lines[0])
    };
    let first = ssh(&lab);
    lab.wait_until("more bytes", PATIENCE, |_| {
        let now = ssh(&lab);
        now[0] > first[0] && now[1] > first[1]
    })
    .unwrap();
}

#[test]
fn traffic_comes_back_after_the_table_was_flushed() {
    let Some(lab) = build(Lab::builder()) else {
        return;
    };
    let _traffic = lab.start_traffic().unwrap();
    lab.ready().unwrap();
    conntrack(lab.gateway(), &["-F"]);
    lab.ready().unwrap();
    lab.wait_until("the busier lasting connections", PATIENCE, |table| {
        table.matching(&["tcp", "ESTABLISHED", "[ASSURED]"]) >= Some(7)
    })
    .unwrap();
}

#[test]
fn stopping_the_traffic_takes_less_than_a_second() {
    let Some(lab) = build(Lab::builder()) else {
        return;
    };
    let traffic = lab.start_traffic().unwrap();
    lab.ready().unwrap();
    let start = Instant::now();
    drop(traffic);
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
    // And its ports are free again.
    let _again = lab.start_traffic().unwrap();
}

#[test]
fn a_tcp_connection_is_one_established_entry_with_the_ports_asked_for() {
    let Some(lab) = build(Lab::builder()) else {
        return;
    };
    let mut pair = lab
        .tcp_connect((client(0), 40000), (server(0), 443))
        .unwrap();
    speak(&mut pair);
    let lines = listed(
        &lab,
        &[],
        &[
            "src=10.0.0.2",
            "dst=198.51.100.10",
            "sport=40000",
            "dport=443",
        ],
    );
    assert_eq!(lines.len(), 1, "{}", conntrack(lab.gateway(), &["-L"]));
    assert!(
        lines[0].contains("ESTABLISHED") && lines[0].contains("mark=23299"),
        "{}",
        lines[0]
    );
    assert_eq!(
        pair.answerer.peer_addr().unwrap(),
        SocketAddr::from((PUBLIC, 40000))
    );

    drop(pair);
    lab.wait_until("the end of the connection", PATIENCE, |table| {
        table.matching(&["sport=40000", "ESTABLISHED"]) == Some(0)
    })
    .unwrap();
}

#[test]
fn a_tcp_connection_over_ipv6_is_routed_and_not_translated() {
    let Some(lab) = build(Lab::builder()) else {
        return;
    };
    let source = SocketAddr::from((client_v6(1), 40001));
    let mut pair = lab.tcp_connect(source, (server_v6(1), 8080)).unwrap();
    speak(&mut pair);
    assert_eq!(pair.answerer.peer_addr().unwrap(), source);
    assert_eq!(
        listed(&lab, &["-f", "ipv6"], &["sport=40001", "ESTABLISHED"]).len(),
        1
    );
}

#[test]
fn the_port_forward_leads_inside() {
    let Some(lab) = build(Lab::builder()) else {
        return;
    };
    let mut pair = lab.tcp_connect((server(1), 0), FORWARD).unwrap();
    speak(&mut pair);
    assert_eq!(
        pair.answerer.local_addr().unwrap(),
        SocketAddr::from(FORWARD_INSIDE)
    );
    let lines = listed(
        &lab,
        &["-g"],
        &["dst=203.0.113.5", "dport=8443", "src=10.0.0.2"],
    );
    assert_eq!(lines.len(), 1, "{}", conntrack(lab.gateway(), &["-L"]));
}

#[test]
fn the_gateway_itself_can_be_spoken_to() {
    let Some(lab) = build(Lab::builder()) else {
        return;
    };
    let mut pair = lab.tcp_connect((client(3), 0), (GATEWAY, 8080)).unwrap();
    speak(&mut pair);
    assert_eq!(listed(&lab, &[], &["dst=10.0.0.1", "dport=8080"]).len(), 1);
}

#[test]
fn a_udp_exchange_is_one_answered_entry() {
    let Some(lab) = build(Lab::builder()) else {
        return;
    };
    let pair = lab
        .udp_exchange((client(1), 40002), (server(2), 53))
        .unwrap();
    let lines = listed(&lab, &["-p", "udp"], &["sport=40002", "dport=53"]);
    assert_eq!(lines.len(), 1, "{}", conntrack(lab.gateway(), &["-L"]));
    assert!(!lines[0].contains("[UNREPLIED]"), "{}", lines[0]);
    pair.opener.send(b"more").unwrap();
    assert_eq!(pair.answerer.recv(&mut [0; 8]).unwrap(), 4);
}

#[test]
fn a_ping_is_one_entry_in_each_family() {
    let Some(lab) = build(Lab::builder()) else {
        return;
    };
    lab.ping(client(2), server(2)).unwrap();
    lab.ping(client_v6(2), server_v6(2)).unwrap();
    assert_eq!(
        listed(&lab, &["-p", "icmp"], &["src=10.0.0.4", "type=8"]).len(),
        1
    );
    assert_eq!(
        listed(&lab, &["-f", "ipv6", "-p", "icmpv6"], &["type=128"]).len(),
        1
    );
}

#[test]
fn an_address_of_nobody_is_refused() {
    let Some(lab) = build(Lab::builder()) else {
        return;
    };
    let error = lab.tcp_connect((client(0), 0), (SILENT, 80)).unwrap_err();
    assert_eq!(error.code(), "unknown_address");
    let error = lab.ping(Ipv4Addr::LOCALHOST, server(0)).unwrap_err();
    assert_eq!(error.code(), "unknown_address");
}

#[test]
fn a_port_that_is_taken_is_an_error_that_names_it() {
    let Some(lab) = build(Lab::builder()) else {
        return;
    };
    let _pair = lab.udp_exchange((client(0), 0), (server(0), 53)).unwrap();
    let error = lab
        .udp_exchange((client(0), 0), (server(0), 53))
        .unwrap_err();
    assert!(error.to_string().contains("198.51.100.10:53"), "{error}");
}

#[test]
fn what_does_not_come_is_an_error_that_shows_the_table() {
    let Some(lab) = build(Lab::builder()) else {
        return;
    };
    lab.ping(client(2), server(2)).unwrap();
    let error = lab
        .wait_until("a miracle", Duration::from_millis(50), |_| false)
        .unwrap_err();
    assert_eq!(error.code(), "timed_out");
    let text = error.to_string();
    assert!(
        text.contains("a miracle") && text.contains("src=10.0.0.4"),
        "{text}"
    );
}

#[test]
fn without_nat_addresses_pass_unchanged() {
    let Some(lab) = build(Lab::builder().nat(false)) else {
        return;
    };
    let pair = lab
        .tcp_connect((client(0), 40003), (server(0), 80))
        .unwrap();
    assert_eq!(
        pair.answerer.peer_addr().unwrap().ip(),
        IpAddr::from(client(0))
    );
    assert!(listed(&lab, &["-n"], &[]).is_empty());
    let _traffic = lab.start_traffic().unwrap();
    lab.ready().unwrap();
}

#[test]
fn without_ipv6_there_is_no_entry_of_it() {
    let Some(lab) = build(Lab::builder().ipv6(false)) else {
        return;
    };
    let traffic = lab.start_traffic().unwrap();
    lab.ready().unwrap();
    assert!(listed(&lab, &["-f", "ipv6"], &[]).is_empty());
    let error = lab.ping(client_v6(0), server_v6(0)).unwrap_err();
    assert_eq!(error.code(), "unknown_address");
    assert!(traffic.troubles().is_empty(), "{:?}", traffic.troubles());
}

#[test]
fn accounting_and_timestamps_can_be_off() {
    let Some(lab) = build(Lab::builder().accounting(false).timestamps(false)) else {
        return;
    };
    let _pair = lab.tcp_connect((client(0), 0), (server(0), 80)).unwrap();
    let text = conntrack(lab.gateway(), &["-L"]);
    assert!(text.contains("ESTABLISHED"), "{text}");
    assert!(
        !text.contains("bytes=") && !text.contains("delta-time="),
        "{text}"
    );
}

#[test]
fn a_zone_holds_all_that_passes() {
    let Some(lab) = build(Lab::builder().zone(7)) else {
        return;
    };
    let _traffic = lab.start_traffic().unwrap();
    lab.ready().unwrap();
    let all = listed(&lab, &[], &[]).len();
    assert!(all > 0);
    assert!(listed(&lab, &["-w", "7"], &[]).len() >= all);
    assert!(listed(&lab, &["-w", "0"], &[]).is_empty());
}

#[test]
fn an_ftp_port_command_makes_an_expectation() {
    let Some(lab) = build(Lab::builder().ftp_helper(true)) else {
        return;
    };
    let mut pair = lab.tcp_connect((client(0), 0), (server(0), 21)).unwrap();
    assert_eq!(listed(&lab, &[], &["dport=21", "helper=ftp"]).len(), 1);
    // The helper reads lines from the second on: it must have seen where one ends.
    let mut heard = [0; 64];
    pair.opener.write_all(b"USER anonymous\r\n").unwrap();
    assert_eq!(pair.answerer.read(&mut heard).unwrap(), 16);
    // Port 40 * 256 + 1.
    pair.opener.write_all(b"PORT 10,0,0,2,40,1\r\n").unwrap();
    let length = pair.answerer.read(&mut heard).unwrap();
    // The helper has put the public address in its place.
    assert!(
        heard[..length].starts_with(b"PORT 203,0,113,5,"),
        "{:?}",
        &heard[..length]
    );
    let expected = conntrack(lab.gateway(), &["-L", "expect"]);
    assert!(
        expected.contains("src=198.51.100.10") && expected.contains("helper=ftp"),
        "{expected}"
    );
}

#[test]
fn two_labs_do_not_know_of_each_other() {
    let (Some(one), Some(other)) = (build(Lab::builder()), build(Lab::builder())) else {
        return;
    };
    let _pair = one
        .tcp_connect((client(0), 40004), (server(0), 80))
        .unwrap();
    assert_eq!(listed(&one, &[], &["sport=40004"]).len(), 1);
    assert_eq!(other.gateway().conntrack_count().unwrap(), 0);
}
