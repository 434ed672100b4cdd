//! The contract over real connections: through a gateway that translates, and over loopback.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ctnetlink::TcpState;
use serde_json::Value;
use testkit::{Lab, available};

use super::{Table, call, field, tcp, until};

fn bytes(connection: &Value) -> u64 {
    connection["bytes_total"].as_u64().unwrap()
}

#[test]
fn with_accounting_the_order_is_by_bytes_total_and_the_sums_are_of_both_directions() {
    let Some(table) = Table::new() else { return };
    let at = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    let mut open = Vec::new();
    for size in [3_000, 200_000, 100, 50_000] {
        let mut pair = table
            .namespace
            .run(|| netlab::tcp_connect(&table.namespace, at, &table.namespace, at).unwrap())
            .unwrap();
        let mut sent = pair.opener.try_clone().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || sent.write_all(&vec![0; size]).unwrap());
            let mut received = vec![0; size];
            pair.answerer.read_exact(&mut received).unwrap();
        });
        open.push((pair.opener.local_addr().unwrap().port().to_string(), pair));
    }
    let ports: Vec<&String> = [1, 3, 0, 2]
        .iter()
        .map(|&index: &usize| &open[index].0)
        .collect();
    let all = table.list(r#"{"action":"conntrack","protocol":"tcp","state":"ESTABLISHED"}"#);
    assert_eq!(field(&all, "sport").iter().collect::<Vec<_>>(), ports);
    assert!(all.is_sorted_by_key(|one| std::cmp::Reverse(bytes(one))));
    assert!(bytes(&all[0]) > 200_000);
    let number = |one: &Value, name: &str| one[name].as_str().unwrap().parse::<u64>().unwrap();
    for one in &all {
        assert_eq!(
            bytes(one),
            number(one, "bytes") + number(one, "bytes_reply")
        );
        let packets = number(one, "packets") + number(one, "packets_reply");
        assert_eq!(one["packets_total"].as_u64(), Some(packets));
    }
    let top = table.list(r#"{"action":"conntrack","limit":2}"#);
    assert_eq!(field(&top, "sport").iter().collect::<Vec<_>>(), ports[..2]);
    // The switch decides: what lives longest has moved nothing.
    table.create(tcp(1, TcpState::ESTABLISHED, 900_000));
    let request = r#"{"action":"conntrack","protocol":"tcp","state":"ESTABLISHED"}"#;
    assert_eq!(field(&table.list(request), "sport")[4], "1001");
    table.accounting(false);
    let by_timeout = table.list(request);
    assert_eq!(field(&by_timeout, "sport")[0], "1001");
    assert!(by_timeout.is_sorted_by_key(|one| std::cmp::Reverse(number(one, "timeout"))));
}

#[test]
fn a_gateway_s_connections_show_their_translation_and_can_be_deleted_one_by_one() {
    let Some(lab) = available(Lab::new()) else {
        return;
    };
    let traffic = lab.start_traffic().unwrap();
    lab.ready().unwrap();
    let read = |request: &str| call(lab.gateway(), "read", request.as_bytes()).connections();
    let mut protocols = field(&read(r#"{"action":"conntrack"}"#), "protocol");
    protocols.sort_unstable();
    protocols.dedup();
    assert!(
        ["tcp", "udp", "icmp"]
            .iter()
            .all(|name| protocols.contains(&(*name).to_owned()))
    );

    let established = r#"{"action":"conntrack","protocol":"tcp","state":"ESTABLISHED"}"#;
    let all = until(
        || read(established),
        |all| all.iter().any(|one| one["nat"] == 1),
    );
    let hidden: Vec<_> = all
        .iter()
        .filter(|one| one["layer"] == "ipv4" && one["nat"] == 1)
        .collect();
    assert!(!hidden.is_empty());
    // Masqueraded: the answer goes to the public address. Forwarded: the opener asked for it.
    let public = netlab::address::PUBLIC.to_string();
    for one in &hidden {
        assert!(
            one["dst_reply"] == *public || one["dst"] == *public,
            "{one}"
        );
    }
    if lab.has_ipv6() {
        let ipv6 = all.iter().filter(|one| one["layer"] == "ipv6");
        assert!(ipv6.inspect(|one| assert_eq!(one["nat"], 0)).count() > 0);
    }
    // Nothing moves any more, so what is deleted stays deleted.
    drop(traffic);
    let one_of_each = |layer: &str, protocol: &str| {
        let request = format!(r#"{{"action":"conntrack","protocol":"{protocol}"}}"#);
        read(&request).into_iter().find(|one| one["layer"] == layer)
    };
    for (layer, protocol) in [
        ("ipv4", "udp"),
        ("ipv4", "icmp"),
        ("ipv6", "tcp"),
        ("ipv6", "udp"),
        ("ipv6", "icmpv6"),
    ] {
        if layer == "ipv6" && !lab.has_ipv6() {
            continue;
        }
        let one = one_of_each(layer, protocol).unwrap_or_else(|| panic!("{layer} {protocol}"));
        let mut request = one.clone();
        request["action"] = "connection".into();
        // What a panel has on its screen names the connection, extra fields and all.
        let answer = call(lab.gateway(), "delete", request.to_string().as_bytes());
        assert_eq!(answer.success(), serde_json::json!({"state": "success"}));
        let again = call(lab.gateway(), "delete", request.to_string().as_bytes());
        again.failure("NotFound");
    }
}
