//! The names that queries can use on this machine: from the configuration, `/etc/services`,
//! `connlabel.conf` and the kernel's own addresses.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};

use ctnetlink::Namespace;
use ipnet::{IpNet, Ipv4Net};
use query::{LocalAddresses, Vocabulary};

use crate::config::Config;
use crate::marks::Marks;
use crate::names::{self, Service};
use crate::saved::Header;

/// Where libnetfilter_conntrack and its tools look for names of labels.
pub const LABELS: &str = "/etc/xtables/connlabel.conf";

/// The names of this machine; addresses are those of a namespace, or of the caller's.
pub fn vocabulary(config: &Config, namespace: Option<Namespace>) -> Vocabulary {
    let [provider, app, prio] = Marks::new(&config.marks).vocabulary();
    let known = Vocabulary::default();
    let mut services = services_of(&read(names::SERVICES_FILE));
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
pub(crate) fn read(path: &str) -> String {
    std::fs::read(path).map_or_else(
        |_| String::new(),
        |bytes| String::from_utf8_lossy(&bytes).into_owned(),
    )
}

/// All names of services(5) and their ports, each once whatever its protocols.
fn services_of(text: &str) -> Vec<(String, u16)> {
    let services = names::parse_services(text).into_iter();
    let mut seen = HashSet::new();
    services
        .map(|Service { name, port, .. }| (name, port))
        .filter(|service| seen.insert(service.clone()))
        .collect()
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

/// The addresses of the machine on which a table was saved.
pub fn saved_addresses(header: &Header) -> LocalAddresses {
    let nets = header.local.as_ref().map(|texts| {
        let nets = texts.iter().filter_map(|text| text.parse().ok());
        nets.collect::<Vec<IpNet>>()
    });
    Box::new(move || {
        nets.clone()
            .ok_or_else(|| "the saved table does not say them".to_owned())
    })
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
    let interfaces = nix::ifaddrs::getifaddrs().map_err(|error| error.to_string())?;
    let mut nets: Vec<IpNet> = interfaces
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
        })
        .map(IpNet::from)
        .collect();
    // The kernel takes all of this network for itself.
    if nets.iter().any(|net| net.addr() == Ipv4Addr::LOCALHOST) {
        nets.extend(Ipv4Net::new(Ipv4Addr::new(127, 0, 0, 0), 8).map(IpNet::V4));
    }
    nets.sort_unstable();
    nets.dedup();
    Ok(nets)
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
            services_of(text),
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
    fn this_machine_has_addresses() {
        let nets = own_addresses().unwrap();
        let holds = |text: &str| nets.contains(&text.parse().unwrap());
        assert!(holds("127.0.0.1/32") && holds("127.0.0.0/8"), "{nets:?}");
    }
}
