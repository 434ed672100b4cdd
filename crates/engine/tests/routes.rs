//! The kernel's routes, asked in a gateway of one's own.

use std::net::IpAddr;

use ctnetlink::Namespace;
use engine::names::{RouteKind, Routes};
use netlab::address::{GATEWAY, PROVIDER, PUBLIC, client, client_v6, server, server_v6};
use testkit::{Lab, available};

fn inside(namespace: &netlab::Namespace) -> Namespace {
    Namespace::by_path(&namespace.path()).unwrap()
}

#[test]
fn a_gateway_s_two_sides_are_reached_by_their_interfaces() {
    let Some(lab) = available(Lab::new()) else {
        return;
    };
    let routes = Routes::open(Some(&inside(lab.gateway()))).unwrap();
    let to = |address: IpAddr| routes.route(address, 0).unwrap().unwrap();

    let near = to(client(0).into());
    assert_eq!(near.kind, RouteKind::Unicast);
    assert_eq!(near.interface.as_deref(), Some("lan0"));
    assert_eq!((near.gateway, near.source), (None, Some(GATEWAY.into())));
    assert_eq!(near.table, 254);

    let far = to(server(0).into());
    assert_eq!(far.interface.as_deref(), Some("wan0"));
    assert_eq!(far.gateway, Some(PROVIDER.into()));
    assert_eq!(far.source, Some(PUBLIC.into()));

    let own = to(PUBLIC.into());
    assert_eq!(own.kind, RouteKind::Local);
    assert_eq!(own.interface.as_deref(), Some("lo"));

    if lab.has_ipv6() {
        assert_eq!(to(client_v6(0).into()).interface.as_deref(), Some("lan0"));
        let far = to("2001:db8:ffff::1".parse().unwrap());
        assert_eq!(far.interface.as_deref(), Some("wan0"));
        assert_eq!(far.gateway, Some(server_v6(0).into()));
    }
}

#[test]
fn the_mark_chooses_the_uplink_where_rules_say_so() {
    let Some(lab) = available(Lab::new()) else {
        return;
    };
    let uplink = client(3);
    lab.gateway()
        .ip(&format!(
            "rule add fwmark 0x20000/0xff0000 table 102\n
             route add default via {uplink} dev lan0 table 102\n"
        ))
        .unwrap();
    let routes = Routes::open(Some(&inside(lab.gateway()))).unwrap();
    let marked = routes.route(server(0).into(), 0x2_5b03).unwrap().unwrap();
    assert_eq!(marked.interface.as_deref(), Some("lan0"));
    assert_eq!((marked.gateway, marked.table), (Some(uplink.into()), 102));
    let plain = routes.route(server(0).into(), 0x5b03).unwrap().unwrap();
    assert_eq!(plain.interface.as_deref(), Some("wan0"));
}

#[test]
fn where_no_way_leads_there_is_no_route() {
    let Some(lab) = available(Lab::new()) else {
        return;
    };
    lab.gateway()
        .ip("route add blackhole 198.18.0.0/24\n
             route add prohibit 198.18.1.0/24\n
             route add unreachable 198.18.2.0/24\n
             route add throw 198.18.3.0/24\n
             route add blackhole 2001:db8:a::/48\n
             route add unreachable 2001:db8:b::/48\n")
        .unwrap();
    let routes = Routes::open(Some(&inside(lab.gateway()))).unwrap();
    for address in [
        "198.18.0.1",
        "198.18.1.1",
        "198.18.2.1",
        "198.18.3.1",
        "2001:db8:a::1",
        "2001:db8:b::1",
    ] {
        assert_eq!(routes.route(address.parse().unwrap(), 0).unwrap(), None);
    }
}

#[test]
fn many_addresses_are_asked_one_by_one() {
    let Some(lab) = available(Lab::new()) else {
        return;
    };
    let routes = Routes::open(Some(&inside(lab.gateway()))).unwrap();
    for number in 0..20_000u32 {
        let address = IpAddr::V4((0xcb00_7200 + number).into());
        let route = routes.route(address, 0).unwrap().unwrap();
        assert_eq!(route.interface.as_deref(), Some("wan0"));
    }
}
