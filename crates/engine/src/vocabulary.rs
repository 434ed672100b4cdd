//! The names that queries can use on this machine: from the configuration, `/etc/services`,
//! `connlabel.conf` and the kernel's own addresses.

use std::collections::HashSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use ctnetlink::Namespace;
use ipnet::{IpNet, Ipv4Net};
use query::{LocalAddresses, Vocabulary};

use crate::config::Config;
use crate::marks::Marks;

const SERVICES: &str = "/etc/services";

/// Where libnetfilter_conntrack and its tools look for names of labels.
pub const LABELS: &str = "/etc/xtables/connlabel.conf";

/// The names of this machine; addresses are those of a namespace, or of the caller's.
pub fn vocabulary(config: &Config, namespace: Option<Namespace>) -> Vocabulary {
    let [provider, app, prio] = Marks::new(&config.marks).vocabulary();
    let known = Vocabulary::default();
    let mut services = parse_services(&read(SERVICES));
    let names: HashSet<String> = services.iter().map(|(name, _)| name.clone()).collect();
    services.extend(
        known
            .services
            .into_iter()
            .filter(|(name, _)| !names.contains(name)),
    );
    Vocabulary {
        provider,
        app,
        prio,
        services,
        labels: parse_labels(&read(LABELS)),
        local: local(namespace),
    }
}

/// A file that need not be there.
fn read(path: &str) -> String {
    std::fs::read(path).map_or_else(
        |_| String::new(),
        |bytes| String::from_utf8_lossy(&bytes).into_owned(),
    )
}

/// services(5): a name, a port and a protocol a line, then other names of it.
fn parse_services(text: &str) -> Vec<(String, u16)> {
    let mut services = Vec::new();
    let mut seen = HashSet::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let (Some(name), Some(place)) = (words.next(), words.next()) else {
            continue;
        };
        let Some(port) = place
            .split('/')
            .next()
            .and_then(|port| port.parse::<u16>().ok())
        else {
            continue;
        };
        for name in [name].into_iter().chain(words) {
            if seen.insert((name.to_owned(), port)) {
                services.push((name.to_owned(), port));
            }
        }
    }
    services
}

/// `connlabel.conf`: a number and a name a line.
fn parse_labels(text: &str) -> Vec<(String, u8)> {
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default());
    lines
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let number: u8 = words.next()?.parse().ok()?;
            let name = words.next()?;
            (number < 128).then(|| (name.to_owned(), number))
        })
        .collect()
}

fn local(namespace: Option<Namespace>) -> LocalAddresses {
    Box::new(move || match &namespace {
        None => own_addresses(),
        Some(namespace) => namespace
            .run(|| Ok(own_addresses()))
            .map_err(|error| error.to_string())?,
    })
}

/// The addresses of the calling thread's namespace.
pub fn own_addresses() -> Result<Vec<IpNet>, String> {
    let read = |path: &str| {
        std::fs::read_to_string(path).map_err(|error| format!("cannot read {path}: {error}"))
    };
    let mut nets = parse_fib_trie(&read("/proc/thread-self/net/fib_trie")?);
    // A kernel without IPv6 has no such file.
    if let Ok(text) = std::fs::read_to_string("/proc/thread-self/net/if_inet6") {
        nets.extend(parse_if_inet6(&text));
    }
    nets.sort_unstable();
    nets.dedup();
    Ok(nets)
}

/// An address or a network on a line of its own, and below it what it is: `/32 host LOCAL`.
fn parse_fib_trie(text: &str) -> Vec<IpNet> {
    let mut nets = Vec::new();
    let mut last: Option<Ipv4Addr> = None;
    for line in text.lines() {
        let line = line.trim();
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse().ok();
        } else if line.ends_with(" LOCAL")
            && let (Some(address), Some(prefix)) = (last, line.strip_prefix('/'))
            && let Some(Ok(prefix)) = prefix.split_whitespace().next().map(str::parse)
            && let Ok(net) = Ipv4Net::new(address, prefix)
        {
            nets.push(IpNet::V4(net.trunc()));
        }
    }
    nets
}

/// An address of 32 hexadecimal digits at the beginning of each line.
fn parse_if_inet6(text: &str) -> impl Iterator<Item = IpNet> {
    text.lines().filter_map(|line| {
        let digits = line
            .split_whitespace()
            .next()
            .filter(|digits| digits.len() == 32)?;
        let bits = u128::from_str_radix(digits, 16).ok()?;
        Some(IpNet::from(std::net::IpAddr::V6(Ipv6Addr::from_bits(bits))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_have_all_their_names_and_ports() {
        let text = "\
# a comment
domain\t\t53/tcp\t\t# Domain Name Server
domain\t\t53/udp
http\t\t80/tcp\t\twww
broken
odd\tx/tcp
";
        let expected = [("domain", 53), ("http", 80), ("www", 80)];
        assert_eq!(
            parse_services(text),
            expected.map(|(name, port)| (name.to_owned(), port))
        );
    }

    #[test]
    fn labels_are_numbers_and_names() {
        let text = "# labels\n0 eth0-in\n17\tvoip # phones\n128 too-high\nx y\n";
        let expected = [("eth0-in", 0), ("voip", 17)];
        assert_eq!(
            parse_labels(text),
            expected.map(|(name, number)| (name.to_owned(), number))
        );
    }

    #[test]
    fn the_kernel_s_lists_give_the_addresses() {
        let trie = "\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 127.0.0.0/8 2 0 2
        +-- 127.0.0.0/31 1 0 0
           |-- 127.0.0.0
              /8 host LOCAL
           |-- 127.0.0.1
              /32 host LOCAL
        |-- 127.255.255.255
           /32 link BROADCAST
     |-- 192.0.2.7
        /32 host LOCAL
";
        let texts: Vec<String> = parse_fib_trie(trie)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(texts, ["127.0.0.0/8", "127.0.0.1/32", "192.0.2.7/32"]);
        let inet6 = "\
00000000000000000000000000000001 01 80 10 80       lo
20010db8000000000000000000000007 02 40 00 80     eth0
";
        let texts: Vec<String> = parse_if_inet6(inet6).map(|net| net.to_string()).collect();
        assert_eq!(texts, ["::1/128", "2001:db8::7/128"]);
    }

    #[test]
    fn this_machine_has_addresses() {
        let nets = own_addresses().unwrap();
        assert!(nets.iter().all(|net| net.prefix_len() > 0));
    }
}
