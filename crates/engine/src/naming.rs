//! What the numbers of an entry are called: addresses, ports, marks.

use std::net::IpAddr;

use ctnetlink::Entry;

use crate::config::Config;
use crate::failure::Failure;
use crate::marks::Marks;
use crate::names::{Name, Names, Services};

/// What is done about an address whose name is not known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// The DNS is asked, where that is configured: for what somebody looks at.
    Ask,
    /// Nothing: for whole tables.
    Leave,
}

/// All names of a configuration.
pub struct Naming {
    /// Of marks.
    pub marks: Marks,
    /// Of ports.
    pub services: Services,
    /// Of addresses.
    pub addresses: Names,
}

impl Naming {
    /// With a configuration. Fails where [`Names::new`] does.
    pub fn new(config: &Config) -> Result<Self, Failure> {
        Ok(Self {
            marks: Marks::new(&config.marks),
            services: Services::new(),
            addresses: Names::new(&config.names)?,
        })
    }

    /// The service that an entry's opener addressed.
    pub fn service(&self, entry: &Entry) -> Option<&str> {
        let port = entry.orig.dst_port()?;
        self.services.name(entry.orig.protocol, port)
    }

    /// The name of an address, as far as it is known now.
    pub fn address(&self, address: IpAddr, unknown: Unknown) -> Option<Name> {
        match unknown {
            Unknown::Ask => self.addresses.of(address),
            Unknown::Leave => self.addresses.known(address),
        }
    }

    /// Those of an entry's addresses that have names, each once.
    pub fn addresses(&self, entry: &Entry, unknown: Unknown) -> Vec<(IpAddr, Name)> {
        let mut names: Vec<(IpAddr, Name)> = Vec::new();
        let ends = [&entry.orig, &entry.reply];
        for address in ends.into_iter().flat_map(|tuple| [tuple.src, tuple.dst]) {
            if names.iter().all(|(known, _)| *known != address)
                && let Some(name) = self.address(address, unknown)
            {
                names.push((address, name));
            }
        }
        names
    }
}
