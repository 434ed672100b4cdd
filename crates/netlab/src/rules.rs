//! The texts that make the lab: batches for `ip`, rules for `nft`.

use std::fmt::Write;

use crate::address::{
    CLIENTS, FORWARD, FORWARD_INSIDE, GATEWAY, GATEWAY_V6, PROVIDER, PUBLIC, PUBLIC_V6, SERVERS,
    SILENT, SILENT_V6, client, client_v6, server, server_v6,
};
use crate::lab::LabBuilder;
use crate::service::SERVICES;

/// The gateway's devices: `lan0` to the client, `wan0` to the server; their other ends are both `eth0`.
pub(crate) fn gateway_devices(client_path: &str, server_path: &str, ipv6: bool) -> String {
    let mut batch = format!(
        "link set lo up
         link add lan0 type veth peer name eth0 netns {client_path}
         link add wan0 type veth peer name eth0 netns {server_path}
         address add {GATEWAY}/24 dev lan0
         address add {PUBLIC}/24 dev wan0\n"
    );
    if ipv6 {
        for (device, address) in [("lan0", GATEWAY_V6), ("wan0", PUBLIC_V6)] {
            line(&mut batch, &format!("link set {device} addrgenmode none"));
            line(
                &mut batch,
                &format!("address add {address}/64 dev {device} nodad"),
            );
            // A router without a link-local address asks for no neighbour on behalf of others
            // (ndisc_send_ns gives up), and forwards nothing.
            line(
                &mut batch,
                &format!("address add fe80::1/64 dev {device} nodad"),
            );
        }
    }
    batch.push_str("link set lan0 up\n link set wan0 up\n");
    line(&mut batch, &format!("route add default via {PROVIDER}"));
    if ipv6 {
        line(
            &mut batch,
            &format!("route add default via {} dev wan0", server_v6(0)),
        );
    }
    batch
}

/// The client's addresses and its default route.
pub(crate) fn client_devices(ipv6: bool) -> String {
    let mut batch = String::from("link set lo up\n");
    for n in 0..CLIENTS {
        line(
            &mut batch,
            &format!("address add {}/24 dev eth0", client(n)),
        );
    }
    if ipv6 {
        line(&mut batch, "link set eth0 addrgenmode none");
        for n in 0..CLIENTS {
            line(
                &mut batch,
                &format!("address add {}/64 dev eth0 nodad", client_v6(n)),
            );
        }
    }
    line(&mut batch, "link set eth0 up");
    line(&mut batch, &format!("route add default via {GATEWAY}"));
    if ipv6 {
        line(
            &mut batch,
            &format!("route add default via {GATEWAY_V6} dev eth0"),
        );
    }
    batch
}

/// The server's addresses; it knows the way inside only where nothing is translated.
pub(crate) fn server_devices(ipv6: bool, nat: bool) -> String {
    let mut batch = format!("link set lo up\n address add {PROVIDER}/24 dev eth0\n");
    for n in 0..SERVERS {
        line(&mut batch, &format!("address add {}/32 dev lo", server(n)));
    }
    if ipv6 {
        line(&mut batch, "link set eth0 addrgenmode none");
        for n in 0..SERVERS {
            line(
                &mut batch,
                &format!("address add {}/64 dev eth0 nodad", server_v6(n)),
            );
        }
    }
    line(&mut batch, "link set eth0 up");
    line(&mut batch, &format!("route add blackhole {SILENT}/32"));
    if !nat {
        line(&mut batch, &format!("route add 10.0.0.0/24 via {PUBLIC}"));
    }
    if ipv6 {
        line(&mut batch, &format!("route add blackhole {SILENT_V6}/128"));
        line(
            &mut batch,
            &format!("route add default via {PUBLIC_V6} dev eth0"),
        );
    }
    batch
}

/// The gateway's rules. Those that mark also switch tracking on, for both families.
pub(crate) fn gateway_ruleset(lab: &LabBuilder) -> String {
    let mut rules = String::from("table inet lab {\n");
    if lab.ftp_helper {
        rules.push_str(
            "ct helper ftp { type \"ftp\" protocol tcp; }
             chain set-helper {
                 type filter hook prerouting priority filter; policy accept;
                 tcp dport 21 ct helper set \"ftp\"
             }\n",
        );
    }
    if let Some(zone) = lab.zone {
        for hook in ["prerouting", "output"] {
            // Before tracking looks the packet up, in both directions.
            line(
                &mut rules,
                &format!(
                    "chain set-zone-{hook} {{ type filter hook {hook} priority raw; policy accept;"
                ),
            );
            line(&mut rules, &format!("ct zone set {zone}"));
            line(&mut rules, "}");
        }
    }
    rules
        .push_str("chain set-marks {\n type filter hook forward priority mangle; policy accept;\n");
    for service in SERVICES {
        let (name, port, mark) = (service.transport.name(), service.port, service.mark);
        line(
            &mut rules,
            &format!("ct state new {name} dport {port} ct mark set {mark:#x}"),
        );
    }
    rules.push_str("}\n}\n");
    if lab.nat {
        let (port, inside) = (FORWARD.port(), FORWARD_INSIDE);
        line(
            &mut rules,
            &format!(
                "table ip lab-nat {{
                     chain port-forward {{
                         type nat hook prerouting priority dstnat; policy accept;
                         iifname \"wan0\" ip daddr {PUBLIC} tcp dport {port} dnat to {inside}
                     }}
                     chain hide-inside {{
                         type nat hook postrouting priority srcnat; policy accept;
                         oifname \"wan0\" ip saddr 10.0.0.0/24 masquerade
                     }}
                 }}"
            ),
        );
    }
    rules
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a String can be written to");
}
