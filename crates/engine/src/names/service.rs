//! Names of ports: from services(5), and the usual ones where it has none.

use std::collections::{HashMap, HashSet};

use ctnetlink::Protocol;

use crate::vocabulary::read;

/// Where services(5) is.
pub(crate) const SERVICES_FILE: &str = "/etc/services";

/// A line of services(5), or one name of several in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) port: u16,
    pub(crate) protocol: Protocol,
    /// Whether it is another name of the one before.
    pub(crate) is_alias: bool,
}

/// Which service is at which port.
#[derive(Clone, Debug)]
pub struct Services {
    names: HashMap<(Protocol, u16), Box<str>>,
}

impl Services {
    /// This machine's names, and the usual ones for ports without.
    pub fn new() -> Self {
        Self::of(&read(SERVICES_FILE))
    }

    fn of(text: &str) -> Self {
        let mut names = HashMap::new();
        for service in parse(text).into_iter().filter(|service| !service.is_alias) {
            names
                .entry((service.protocol, service.port))
                .or_insert_with(|| service.name.into());
        }
        // A port that the file knows by one protocol only is not called so by the other.
        let told: HashSet<u16> = names.keys().map(|(_, port)| *port).collect();
        for (name, port) in query::Vocabulary::default().services {
            if !told.contains(&port) {
                for protocol in [Protocol::TCP, Protocol::UDP] {
                    names
                        .entry((protocol, port))
                        .or_insert_with(|| name.as_str().into());
                }
            }
        }
        Self { names }
    }

    /// The service at a port.
    pub fn name(&self, protocol: Protocol, port: u16) -> Option<&str> {
        self.names.get(&(protocol, port)).map(AsRef::as_ref)
    }
}

impl Default for Services {
    fn default() -> Self {
        Self::new()
    }
}

/// services(5): a name, a port and a protocol a line, then other names of it. Lines of protocols
/// without ports here are left out.
pub(crate) fn parse(text: &str) -> Vec<Service> {
    let mut services = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let (Some(name), Some(place)) = (words.next(), words.next()) else {
            continue;
        };
        let Some((Ok(port), Some(protocol))) = place
            .split_once('/')
            .map(|(port, protocol)| (port.parse(), protocol_of(protocol)))
        else {
            continue;
        };
        for (number, name) in [name].into_iter().chain(words).enumerate() {
            services.push(Service {
                name: name.to_owned(),
                port,
                protocol,
                is_alias: number > 0,
            });
        }
    }
    services
}

fn protocol_of(name: &str) -> Option<Protocol> {
    Some(match name {
        "tcp" => Protocol::TCP,
        "udp" => Protocol::UDP,
        "sctp" => Protocol::SCTP,
        "dccp" => Protocol::DCCP,
        "udplite" => Protocol::UDPLITE,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_has_the_name_of_its_protocol() {
        let text = "shell 514/tcp cmd\nsyslog 514/udp\ndomain 53/tcp\nodd 7/ddp\nbad x/tcp\n";
        let services = Services::of(text);
        assert_eq!(services.name(Protocol::TCP, 514), Some("shell"));
        assert_eq!(services.name(Protocol::UDP, 514), Some("syslog"));
        assert_eq!(services.name(Protocol::TCP, 53), Some("domain"));
        assert_eq!(services.name(Protocol::UDP, 7), None);
        assert_eq!(services.name(Protocol::ICMP, 53), None);
    }

    #[test]
    fn without_the_file_the_usual_names_are_known() {
        let services = Services::of("");
        assert_eq!(services.name(Protocol::TCP, 443), Some("https"));
        assert_eq!(services.name(Protocol::UDP, 53), Some("domain"));
        assert_eq!(services.name(Protocol::UDP, 514), Some("syslog"));
    }
}
