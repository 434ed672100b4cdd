//! `read`: `protocols` and `conntrack`, with entries made for the purpose.

use ctnetlink::{
    DccpInfo, DccpState, L4, NewEntry, ProtoInfo, Protocol, SctpInfo, SctpState, Status, TcpState,
    Tuple,
};
use serde_json::{Value, json};

use super::{Table, field, icmp, in_zone, ports, tcp, udp, until};

#[test]
fn protocols_is_exactly_the_document_s_object_in_its_order() {
    let Some(table) = Table::new() else { return };
    let answer = table.read(r#"{"action": "protocols"}"#);
    let document = concat!(
        r#"{"protocols":{"udp":[],"tcp":["CLOSE","CLOSE_WAIT","ESTABLISHED","FIN_WAIT","#,
        r#""LAST_ACK","LISTEN","NONE","SYN_SENT","SYN_RECV","TIME_WAIT"],"icmp":[]}}"#,
        "\n"
    );
    assert_eq!(answer.stdout, document);
    assert_eq!((answer.status, answer.stderr.as_str()), (Some(0), ""));
}

#[test]
fn an_empty_table_is_an_empty_list() {
    let Some(table) = Table::new() else { return };
    let answer = table.read(r#"{"action":"conntrack"}"#);
    assert_eq!(answer.success(), json!({"connections": []}));
}

#[test]
fn the_document_s_example_comes_out_with_its_fields_and_types() {
    let Some(table) = Table::new() else { return };
    let mut new = tcp(0, TcpState::ESTABLISHED, 431_978);
    new.orig = ports(Protocol::TCP, "192.168.5.31", 55142, "4.8.55.14", 443);
    new.reply = ports(Protocol::TCP, "54.208.55.14", 443, "80.17.99.73", 55142);
    new.mark = Some(0x5b03);
    table.create(new);
    let request =
        r#"{"action": "conntrack", "protocol": "tcp", "state" : "ESTABLISHED", "limit": 25}"#;
    let connections = table.list(request);
    let Value::Object(mut found) = connections[0].clone() else {
        panic!()
    };
    let document = json!({
        "provider": "", "bytes_total": 0, "dport_reply": "55142", "dst_reply": "80.17.99.73",
        "protocol": "tcp", "bytes": "0", "nat": 1, "zone": "0", "status": "ASSURED",
        "sport_reply": "443", "packets": "0", "packets_reply": "0", "dport": "443",
        "state": "ESTABLISHED", "mark": "0x5b03", "ndpi": "SSL", "src_reply": "54.208.55.14",
        "src": "192.168.5.31", "prio": "low", "layer": "ipv4", "bytes_reply": "0",
        "packets_total": 0, "sport": "55142", "dst": "4.8.55.14",
    });
    // These three the kernel counts.
    let timeout: u32 = found
        .remove("timeout")
        .unwrap()
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((431_900..=431_978).contains(&timeout));
    found
        .remove("use")
        .unwrap()
        .as_str()
        .unwrap()
        .parse::<u32>()
        .unwrap();
    let age = found.remove("delta-time").unwrap();
    assert!(age.as_str().unwrap().parse::<u64>().unwrap() < 60);
    assert_eq!(Value::Object(found), document);
}

#[test]
fn fields_of_accounting_and_timestamps_are_absent_where_they_are_off() {
    let Some(table) = Table::new() else { return };
    table.accounting(false);
    let timestamps = "net/netfilter/nf_conntrack_timestamp";
    table.namespace.sysctl(timestamps, "0").unwrap();
    table.create(udp(1, 60));
    let found = table.list(r#"{"action":"conntrack"}"#).remove(0);
    for absent in [
        "packets",
        "bytes",
        "packets_reply",
        "bytes_reply",
        "delta-time",
    ] {
        assert_eq!(found.get(absent), None, "{absent}");
    }
    assert_eq!(
        (&found["packets_total"], &found["bytes_total"]),
        (&json!(0), &json!(0))
    );
}

#[test]
fn without_accounting_the_order_is_by_timeout_then_by_tuple() {
    let Some(table) = Table::new() else { return };
    table.accounting(false);
    let five = [(5, 600), (1, 900), (4, 600), (2, 300), (3, 600)];
    let five = five.map(|(number, timeout)| tcp(number, TcpState::ESTABLISHED, timeout * 100));
    // The same tuple in another zone comes after the one in zone 0.
    let other = in_zone(tcp(3, TcpState::ESTABLISHED, 60_000), 7);
    table.create_all(five.into_iter().chain([other]));
    let all = until(
        || table.list(r#"{"action":"conntrack"}"#),
        |all| {
            field(all, "timeout")[1..5]
                .windows(2)
                .all(|pair| pair[0] == pair[1])
        },
    );
    let expected = ["1001", "1003", "1003", "1004", "1005", "1002"];
    assert_eq!(field(&all, "sport"), expected);
    assert_eq!(field(&all, "zone")[1..3], ["0", "7"]);
}

#[test]
fn a_limit_is_a_number_or_digits_and_gives_the_first_of_the_whole_list() {
    let Some(table) = Table::new() else { return };
    table.accounting(false);
    for number in 0..50 {
        table.create(tcp(
            number,
            TcpState::ESTABLISHED,
            1000 * (1 + u32::from(number) * 7 % 50),
        ));
    }
    let all = field(&table.list(r#"{"action":"conntrack"}"#), "sport");
    assert_eq!(all.len(), 50);
    for limit in [1, 7, 49, 50] {
        let number = table.list(&format!(r#"{{"action":"conntrack","limit":{limit}}}"#));
        assert_eq!(field(&number, "sport"), all[..limit]);
        let digits = table.list(&format!(r#"{{"action":"conntrack","limit":"{limit}"}}"#));
        assert_eq!(field(&digits, "sport"), all[..limit]);
    }
    for all_of_them in [
        "0",
        "\"\"",
        "-1",
        "\"0\"",
        "\"-3\"",
        "null",
        "51",
        "1e300",
        "\"99999999999999999999\"",
    ] {
        let found = table.list(&format!(
            r#"{{"action":"conntrack","limit":{all_of_them}}}"#
        ));
        assert_eq!(field(&found, "sport"), all, "{all_of_them}");
    }
}

/// Seconds pass while the kernel is asked, so two calls can see different timeouts; but what is
/// shown alone decides the order, whichever way the kernel walks its table.
#[test]
fn equal_connections_are_in_the_order_of_their_tuples_with_and_without_a_limit() {
    let Some(table) = Table::new() else { return };
    table.create_all((0..200).map(|number| udp(number, 500_000)));
    let number = |one: &Value, name: &str| one[name].as_str().unwrap().parse::<u32>().unwrap();
    for (limit, expected) in [("0", 200), ("200", 200), ("20", 20)] {
        let found = table.list(&format!(r#"{{"action":"conntrack","limit":{limit}}}"#));
        assert_eq!(found.len(), expected);
        assert!(found.is_sorted_by_key(|one| {
            (
                std::cmp::Reverse(number(one, "timeout")),
                number(one, "sport"),
            )
        }));
    }
}

/// One entry of every protocol that the kernel lets be made.
fn zoo(table: &Table) -> Vec<&'static str> {
    let mut made = vec!["tcp", "udp", "icmp", "icmpv6", "udplite", "gre", "50"];
    table.create(tcp(1, TcpState::ESTABLISHED, 600));
    table.create(udp(1, 600));
    table.create(NewEntry::new(
        icmp(Protocol::ICMP, "10.0.0.7", "192.0.2.3", 77),
        600,
    ));
    table.create(NewEntry::new(
        icmp(Protocol::ICMPV6, "2001:db8::7", "2001:db8::8", 78),
        600,
    ));
    table.create(NewEntry::new(
        ports(Protocol::UDPLITE, "10.0.0.8", 1, "192.0.2.4", 2),
        600,
    ));
    let l4 = L4::Gre {
        src_key: 3,
        dst_key: 4,
    };
    let bare = |protocol, l4| Tuple {
        src: "10.0.0.9".parse().unwrap(),
        dst: "192.0.2.5".parse().unwrap(),
        protocol,
        l4,
    };
    table.create(NewEntry::new(bare(Protocol::GRE, l4), 600));
    table.create(NewEntry::new(bare(Protocol(50), L4::None), 600));
    let mut sctp = NewEntry::new(ports(Protocol::SCTP, "10.0.0.8", 3, "192.0.2.4", 4), 600);
    sctp.protoinfo = Some(ProtoInfo::Sctp(SctpInfo {
        state: Some(SctpState::ESTABLISHED),
        vtag_orig: Some(1),
        vtag_reply: Some(2),
    }));
    if table.client.create(sctp).is_ok() {
        made.push("sctp");
    }
    let mut dccp = NewEntry::new(ports(Protocol::DCCP, "10.0.0.8", 5, "192.0.2.4", 6), 600);
    dccp.protoinfo = Some(ProtoInfo::Dccp(DccpInfo {
        state: Some(DccpState::OPEN),
        role: Some(0),
        handshake_seq: Some(1),
    }));
    // Linux 6.16 stopped tracking it.
    if table.client.create(dccp).is_ok() {
        made.push("dccp");
    }
    made
}

#[test]
fn every_protocol_shows_as_the_contract_names_it_and_filters_by_that_name() {
    let Some(table) = Table::new() else { return };
    let mut made = zoo(&table);
    let mut shown = field(&table.list(r#"{"action":"conntrack"}"#), "protocol");
    shown.sort_unstable();
    made.sort_unstable();
    assert_eq!(shown, made);
    for name in made {
        for name in [name.to_owned(), name.to_uppercase()] {
            let found = table.list(&format!(r#"{{"action":"conntrack","protocol":"{name}"}}"#));
            assert_eq!(field(&found, "protocol"), [name.to_lowercase()]);
        }
    }
    assert_eq!(
        table.list(r#"{"action":"conntrack","protocol":50}"#).len(),
        1
    );
}

#[test]
fn icmp_shows_type_code_and_id_instead_of_ports_and_others_show_empty_ports() {
    let Some(table) = Table::new() else { return };
    zoo(&table);
    let one = |protocol: &str| {
        table
            .list(&format!(
                r#"{{"action":"conntrack","protocol":"{protocol}"}}"#
            ))
            .remove(0)
    };
    for (protocol, layer, values) in [
        ("icmp", "ipv4", ["8", "0", "77", "0", "0", "77"]),
        ("icmpv6", "ipv6", ["128", "0", "78", "129", "0", "78"]),
    ] {
        let found = one(protocol);
        let names = ["type", "code", "id", "type_reply", "code_reply", "id_reply"];
        assert_eq!(names.map(|name| found[name].as_str().unwrap()), values);
        assert_eq!(
            (&found["layer"], &found["state"]),
            (&json!(layer), &json!(""))
        );
        for absent in ["sport", "dport", "sport_reply", "dport_reply"] {
            assert_eq!(found.get(absent), None, "{absent}");
        }
    }
    for protocol in ["gre", "50"] {
        let found = one(protocol);
        for empty in ["sport", "dport", "sport_reply", "dport_reply", "state"] {
            assert_eq!(found[empty], "", "{protocol} {empty}");
        }
    }
}

#[test]
fn every_tcp_state_is_shown_and_filters_and_the_tenth_is_listen() {
    let Some(table) = Table::new() else { return };
    for (state, number) in TcpState::ALL.iter().zip(0..) {
        table.create(tcp(number, *state, 600));
    }
    let protocols = table.read(r#"{"action":"protocols"}"#).success();
    let states = protocols["protocols"]["tcp"].as_array().unwrap().clone();
    let mut shown = field(&table.list(r#"{"action":"conntrack"}"#), "state");
    shown.sort_unstable();
    let mut expected: Vec<_> = states.iter().map(|state| state.as_str().unwrap()).collect();
    expected.sort_unstable();
    assert_eq!(shown, expected);
    for state in expected {
        for request in [
            format!(r#"{{"action":"conntrack","protocol":"TCP","state":"{state}"}}"#),
            format!(r#"{{"action":"conntrack","state":"{state}"}}"#),
        ] {
            assert_eq!(field(&table.list(&request), "state"), [state], "{request}");
        }
    }
    let alias = table.list(r#"{"action":"conntrack","protocol":"tcp","state":"SYN_SENT2"}"#);
    assert_eq!(field(&alias, "state"), ["LISTEN"]);
    assert_eq!(field(&alias, "sport"), ["1009"]);
}

#[test]
fn a_state_without_a_protocol_finds_every_protocol_s() {
    let Some(table) = Table::new() else { return };
    let made = zoo(&table);
    let mut expected: Vec<_> = made
        .into_iter()
        .filter(|name| ["tcp", "sctp"].contains(name))
        .collect();
    expected.sort_unstable();
    let mut found = field(
        &table.list(r#"{"action":"conntrack","state":"ESTABLISHED"}"#),
        "protocol",
    );
    found.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn an_unknown_protocol_or_state_is_a_validation_error_and_not_an_empty_list() {
    let Some(table) = Table::new() else { return };
    let wrong = table
        .read(r#"{"action":"conntrack","protocol":"tpc","state":"OPENED","limit":"few"}"#)
        .wrong();
    assert_eq!(
        wrong,
        [
            ["protocol", "tpc", "unknown"],
            ["state", "OPENED", "unknown"],
            ["limit", "few", "not_an_integer"],
        ]
    );
    let wrong = table
        .read(r#"{"action":"conntrack","protocol":"udp","state":"ESTABLISHED"}"#)
        .wrong();
    assert_eq!(wrong, [["state", "ESTABLISHED", "unknown"]]);
}

#[test]
fn an_unknown_action_lists_the_valid_ones() {
    let Some(table) = Table::new() else { return };
    let body = table.read(r#"{"action":"list"}"#).failure("NotValid");
    assert_eq!(
        body["attributes"][0]["valid"],
        json!(["conntrack", "protocols", "stats"])
    );
    let body = table
        .delete(r#"{"action":"conntrack"}"#)
        .failure("NotValid");
    assert_eq!(
        body["attributes"][0]["valid"],
        json!(["flush", "connection"])
    );
}

#[test]
fn an_unknown_extra_field_is_ignored() {
    let Some(table) = Table::new() else { return };
    table.create(udp(1, 60));
    let request = r#"{"action":"conntrack","page":{"a":[1,null]},"time":"never","src":7,"page":2}"#;
    assert_eq!(table.list(request).len(), 1);
}

#[test]
fn status_and_nat_are_as_the_kernel_has_them() {
    let Some(table) = Table::new() else { return };
    table.create(udp(1, 60));
    let mut replied = udp(2, 60);
    replied.status = Status::SEEN_REPLY;
    table.create(replied);
    let mut assured = udp(3, 60);
    assured.status = Status::SEEN_REPLY | Status::ASSURED;
    table.create(assured);
    // Only a port differs.
    let mut translated = udp(4, 60);
    translated.reply = ports(Protocol::UDP, "192.0.2.2", 53, "10.0.0.6", 4004);
    table.create(translated);
    let found = table.list(r#"{"action":"conntrack"}"#);
    let by_port = |port: &str| {
        let one = found.iter().find(|one| one["sport"] == port).unwrap();
        (
            one["status"].as_str().unwrap(),
            one["nat"].as_u64().unwrap(),
        )
    };
    assert_eq!(by_port("2001"), ("UNREPLIED", 0));
    assert_eq!(by_port("2002"), ("", 0));
    assert_eq!(by_port("2003"), ("ASSURED", 0));
    assert_eq!(by_port("2004"), ("UNREPLIED", 1));
}

#[test]
fn ipv6_is_printed_in_its_canonical_text_and_zones_are_told() {
    let Some(table) = Table::new() else { return };
    let orig = ports(Protocol::TCP, "2001:DB8:0:0:1:0:0:1", 1, "fe80:0::00ff", 2);
    table.create(in_zone(NewEntry::new(orig, 600), 65_535));
    let found = table.list(r#"{"action":"conntrack"}"#).remove(0);
    assert_eq!(found["src"], "2001:db8::1:0:0:1");
    assert_eq!(found["dst"], "fe80::ff");
    assert_eq!(
        (&found["layer"], &found["zone"]),
        (&json!("ipv6"), &json!("65535"))
    );
}
