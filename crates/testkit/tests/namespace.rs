//! A test namespace is what it says.

use std::net::{Ipv4Addr, Ipv6Addr};

use testkit::{TestNamespace, conntrack};

#[test]
fn a_connection_over_loopback_is_tracked_with_counters_and_a_start_time() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let local = (Ipv4Addr::LOCALHOST, 0);
    let pair = netlab::tcp_connect(&namespace, local, &namespace, local).unwrap();
    let port = pair.opener.local_addr().unwrap().port().to_string();

    let text = conntrack(&namespace, &["-L", "-p", "tcp", "--sport", &port]);
    assert_eq!(text.lines().count(), 1, "{text}");
    for word in ["ESTABLISHED", "packets=", "bytes=", "delta-time="] {
        assert!(text.contains(word), "{word}: {text}");
    }
}

#[test]
fn both_families_are_tracked() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    netlab::ping(&namespace, Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST).unwrap();
    netlab::ping(&namespace, Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST).unwrap();
    assert!(conntrack(&namespace, &["-L", "-f", "ipv4"]).contains("icmp "));
    assert!(conntrack(&namespace, &["-L", "-f", "ipv6"]).contains("icmpv6"));
    assert_eq!(namespace.conntrack_count().unwrap(), 2);
}

#[test]
fn two_namespaces_have_tables_of_their_own() {
    let (Some(one), Some(other)) = (TestNamespace::new(), TestNamespace::new()) else {
        return;
    };
    let local = (Ipv4Addr::LOCALHOST, 0);
    let _pair = netlab::udp_exchange(&one, local, &one, local).unwrap();
    assert_eq!(one.conntrack_count().unwrap(), 1);
    assert_eq!(other.conntrack_count().unwrap(), 0);
}
