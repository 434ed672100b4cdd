//! `delete`: `flush` and `connection`.

use ctnetlink::{L4, NewEntry, Protocol, TcpState, Tuple};
use serde_json::json;

use super::{Table, icmp, in_zone, ports, tcp, udp};

/// Asserts that a delete succeeds and leaves so many entries.
fn deletes(table: &Table, request: &str, left: usize) {
    let answer = table.delete(request);
    assert_eq!(answer.success(), json!({"state": "success"}), "{request}");
    assert_eq!(answer.stderr, "");
    assert_eq!(table.entries().len(), left, "{request}");
}

#[test]
fn flush_empties_the_table_of_this_namespace_alone() {
    let (Some(table), Some(other)) = (Table::new(), Table::new()) else {
        return;
    };
    for number in 0..20 {
        table.create(tcp(number, TcpState::ESTABLISHED, 600));
        other.create(tcp(number, TcpState::ESTABLISHED, 600));
    }
    deletes(&table, r#"{"action": "flush"}"#, 0);
    assert_eq!(other.entries().len(), 20);
    // An empty table can be emptied too.
    deletes(&table, r#"{"action": "flush"}"#, 0);
}

#[test]
fn the_document_s_example_deletes_and_its_ports_are_ignored() {
    let Some(table) = Table::new() else { return };
    table.create(NewEntry::new(
        icmp(Protocol::ICMP, "10.0.0.212", "1.2.3.4", 9),
        600,
    ));
    table.create(NewEntry::new(
        icmp(Protocol::ICMP, "10.0.0.212", "1.2.3.5", 9),
        600,
    ));
    let request = r#"{
      "action": "connection", "protocol": "icmp", "dport": 389, "sport": 46286,
      "src": "10.0.0.212", "dst": "1.2.3.4"
    }"#;
    deletes(&table, request, 1);
    table.delete(request).failure("NotFound");
}

#[test]
fn ports_come_as_numbers_or_as_strings() {
    let Some(table) = Table::new() else { return };
    for number in 1..=3 {
        table.create(tcp(number, TcpState::ESTABLISHED, 600));
    }
    let head = r#"{"action":"connection","protocol":"tcp","src":"10.0.0.5","dst":"192.0.2.1""#;
    deletes(&table, &format!(r#"{head},"sport":1001,"dport":443}}"#), 2);
    deletes(
        &table,
        &format!(r#"{head},"sport":"1002","dport":"443"}}"#),
        1,
    );
    deletes(
        &table,
        &format!(r#"{head},"sport":"1003","dport":443.0}}"#),
        0,
    );
}

#[test]
fn every_protocol_with_ports_needs_them_and_is_deleted_by_them() {
    let Some(table) = Table::new() else { return };
    for protocol in [Protocol::UDP, Protocol::UDPLITE, Protocol::SCTP] {
        let name = protocol.name().unwrap();
        let head = format!(
            r#"{{"action":"connection","protocol":"{name}","src":"10.0.0.5","dst":"192.0.2.1""#
        );
        let wrong = table.delete(&format!("{head}}}")).wrong();
        assert_eq!(
            wrong,
            [["sport", "", "missing"], ["dport", "", "missing"]],
            "{name}"
        );
        let mut made = 0;
        for port in [7, 8] {
            let new = NewEntry::new(ports(protocol, "10.0.0.5", port, "192.0.2.1", 9), 600);
            made += usize::from(table.client.create(new).is_ok());
        }
        if protocol == Protocol::SCTP && made == 0 {
            // This kernel needs verification tags for it.
            continue;
        }
        deletes(&table, &format!(r#"{head},"sport":7,"dport":9}}"#), 1);
        deletes(&table, &format!(r#"{head},"sport":8,"dport":9}}"#), 0);
    }
    let wrong = table
        .delete(r#"{"action":"connection","protocol":"dccp","src":"10.0.0.5","dst":"192.0.2.1"}"#)
        .wrong();
    assert_eq!(wrong, [["sport", "", "missing"], ["dport", "", "missing"]]);
}

#[test]
fn only_the_original_direction_names_a_connection() {
    let Some(table) = Table::new() else { return };
    let mut new = tcp(1, TcpState::ESTABLISHED, 600);
    new.reply = ports(Protocol::TCP, "10.9.9.9", 8443, "203.0.113.5", 1001);
    table.create(new);
    for request in [
        r#"{"action":"connection","protocol":"tcp","src":"192.0.2.1","sport":443,"dst":"10.0.0.5","dport":1001}"#,
        r#"{"action":"connection","protocol":"tcp","src":"10.9.9.9","sport":8443,"dst":"203.0.113.5","dport":1001}"#,
        r#"{"action":"connection","protocol":"udp","src":"10.0.0.5","sport":1001,"dst":"192.0.2.1","dport":443}"#,
        r#"{"action":"connection","protocol":"tcp","src":"10.0.0.5","sport":1001,"dst":"192.0.2.1","dport":444}"#,
        r#"{"action":"connection","protocol":"tcp","src":"10.0.0.5","sport":1001,"dst":"192.0.2.1","dport":443,"zone":4}"#,
    ] {
        table.delete(request).failure("NotFound");
        assert_eq!(table.entries().len(), 1, "{request}");
    }
    let request = r#"{"action":"connection","protocol":"TCP","src":"10.0.0.5","sport":1001,"dst":"192.0.2.1","dport":443}"#;
    deletes(&table, request, 0);
}

#[test]
fn an_icmp_call_deletes_every_match_and_an_id_picks_one() {
    let Some(table) = Table::new() else { return };
    for id in 1..=5 {
        table.create(NewEntry::new(
            icmp(Protocol::ICMP, "10.0.0.1", "192.0.2.1", id),
            600,
        ));
        table.create(NewEntry::new(
            icmp(Protocol::ICMPV6, "2001:db8::1", "2001:db8::2", id),
            600,
        ));
    }
    let ipv4 = r#"{"action":"connection","protocol":"icmp","src":"10.0.0.1","dst":"192.0.2.1""#;
    let ipv6 =
        r#"{"action":"connection","protocol":"icmpv6","src":"2001:DB8:0::1","dst":"2001:db8::2""#;
    deletes(&table, &format!(r#"{ipv4},"id":"3"}}"#), 9);
    table
        .delete(&format!(r#"{ipv4},"id":3}}"#))
        .failure("NotFound");
    deletes(&table, &format!(r#"{ipv6},"id":4}}"#), 8);
    deletes(&table, &format!("{ipv4}}}"), 4);
    deletes(&table, &format!("{ipv6}}}"), 0);
}

#[test]
fn entries_of_every_zone_are_found_unless_one_is_named() {
    let Some(table) = Table::new() else { return };
    for zone in [0, 1, 2, 3] {
        table.create(in_zone(udp(1, 600), zone));
        table.create(in_zone(udp(2, 600), zone));
    }
    let request = r#"{"action":"connection","protocol":"udp","src":"10.0.0.6","sport":2001,"dst":"192.0.2.2","dport":53"#;
    deletes(&table, &format!(r#"{request},"zone":"2"}}"#), 7);
    table
        .delete(&format!(r#"{request},"zone":2}}"#))
        .failure("NotFound");
    deletes(&table, &format!("{request}}}"), 4);
    assert!(
        table
            .entries()
            .iter()
            .all(|entry| entry.orig.src_port() == Some(2002))
    );
}

#[test]
fn ipv6_works_like_ipv4() {
    let Some(table) = Table::new() else { return };
    for number in 1..=50 {
        for protocol in [Protocol::TCP, Protocol::UDP] {
            table.create(NewEntry::new(
                ports(protocol, "2001:db8::1", number, "2001:db8::2", 443),
                600,
            ));
        }
    }
    for (protocol, left) in [("tcp", 99), ("udp", 98)] {
        let request = format!(
            r#"{{"action":"connection","protocol":"{protocol}","src":"2001:0db8::0001","sport":25,"dst":"2001:DB8::2","dport":"443"}}"#
        );
        deletes(&table, &request, left);
        table.delete(&request).failure("NotFound");
    }
    assert!(
        table
            .entries()
            .iter()
            .all(|entry| entry.orig.src_port() != Some(25))
    );
}

#[test]
fn a_protocol_without_ports_is_named_by_its_addresses() {
    let Some(table) = Table::new() else { return };
    for (protocol, l4) in [
        (
            Protocol::GRE,
            L4::Gre {
                src_key: 1,
                dst_key: 2,
            },
        ),
        (Protocol(50), L4::None),
    ] {
        let tuple = Tuple {
            src: "10.0.0.9".parse().unwrap(),
            dst: "192.0.2.5".parse().unwrap(),
            protocol,
            l4,
        };
        table.create(NewEntry::new(tuple, 600));
    }
    let rest = r#""src":"10.0.0.9","dst":"192.0.2.5"}"#;
    deletes(
        &table,
        &format!(r#"{{"action":"connection","protocol":"gre",{rest}"#),
        1,
    );
    deletes(
        &table,
        &format!(r#"{{"action":"connection","protocol":50,{rest}"#),
        0,
    );
}

#[test]
fn every_missing_or_wrong_field_is_listed_and_nothing_is_deleted() {
    let Some(table) = Table::new() else { return };
    table.create(tcp(1, TcpState::ESTABLISHED, 600));
    let before = table.entries().len();
    let missing = table.delete(r#"{"action":"connection"}"#).wrong();
    assert_eq!(
        missing,
        [
            ["protocol", "", "missing"],
            ["src", "", "missing"],
            ["dst", "", "missing"]
        ]
    );
    let wrong = table
        .delete(r#"{"action":"connection","protocol":"tcp","src":"10.0.0.500","dst":["x"],"sport":"70000","dport":-1,"zone":"z"}"#)
        .wrong();
    assert_eq!(
        wrong,
        [
            ["src", "10.0.0.500", "not_an_address"],
            ["dst", "[\"x\"]", "wrong_type"],
            ["zone", "z", "not_an_integer"],
            ["sport", "70000", "out_of_range"],
            ["dport", "-1", "out_of_range"],
        ]
    );
    let mixed = table
        .delete(r#"{"action":"connection","protocol":"icmp","src":"10.0.0.5","dst":"::1"}"#)
        .wrong();
    assert_eq!(mixed, [["dst", "::1", "wrong_family"]]);
    assert_eq!(table.entries().len(), before);
}
