//! The addresses of the lab: private ones inside, documentation ones (RFC 5737, RFC 3849) outside.
//!
//! ```text
//!  client                     gateway                        server
//!  10.0.0.2 … 10.0.0.9  ──  10.0.0.1 | 203.0.113.5   ──  203.0.113.1, 198.51.100.10 … .13
//!  2001:db8:1::2 … ::9  ──        ::1 | 2001:db8:2::1 ──  2001:db8:2::10 … ::13
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};

/// The gateway's address inside.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

/// The gateway's address outside, which all of the inside shares when NAT is on.
pub const PUBLIC: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 5);

/// The provider's router, on the server's side: where the gateway's default route leads.
pub const PROVIDER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);

/// The gateway's IPv6 address inside.
pub const GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);

/// The gateway's IPv6 address outside.
pub const PUBLIC_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 1);

/// What the outside dials to reach [`FORWARD_INSIDE`], when NAT is on.
pub const FORWARD: SocketAddrV4 = SocketAddrV4::new(PUBLIC, 8443);

/// Where the port forward leads: the first client's HTTPS.
pub const FORWARD_INSIDE: SocketAddrV4 = SocketAddrV4::new(client(0), 443);

/// An address that is routed and never answers: packets to it are dropped without a word.
pub const SILENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// As [`SILENT`], for IPv6.
pub const SILENT_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 3, 0, 0, 0, 0, 1);

/// How many addresses the client has, in each family.
pub const CLIENTS: u8 = 8;

/// How many addresses the server has, in each family.
pub const SERVERS: u8 = 4;

/// The client's address number `n`, from 0: 10.0.0.2 and up; numbers past [`CLIENTS`] begin again.
pub const fn client(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, 2 + n % CLIENTS)
}

/// The client's IPv6 address number `n`, from 0: 2001:db8:1::2 and up.
pub const fn client_v6(n: u8) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 2 + (n % CLIENTS) as u16)
}

/// The server's address number `n`, from 0: 198.51.100.10 and up; numbers past [`SERVERS`] begin again.
pub const fn server(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 51, 100, 10 + n % SERVERS)
}

/// The server's IPv6 address number `n`, from 0: 2001:db8:2::10 and up.
pub const fn server_v6(n: u8) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 0x10 + (n % SERVERS) as u16)
}

/// The three places of the lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Client,
    Gateway,
    Server,
}

/// Where an address lives.
pub(crate) fn place(address: IpAddr) -> Option<Place> {
    let is_client = |n| address == client(n) || address == client_v6(n);
    let is_server = |n| address == server(n) || address == server_v6(n);
    if (0..CLIENTS).any(is_client) {
        Some(Place::Client)
    } else if (0..SERVERS).any(is_server) || address == PROVIDER {
        Some(Place::Server)
    } else if address == GATEWAY
        || address == PUBLIC
        || address == GATEWAY_V6
        || address == PUBLIC_V6
    {
        Some(Place::Gateway)
    } else {
        None
    }
}

/// Any port of an address.
pub(crate) fn any_port(address: impl Into<IpAddr>) -> SocketAddr {
    SocketAddr::new(address.into(), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_lives_in_one_place_and_the_silent_ones_in_none() {
        assert_eq!(place(client(7).into()), Some(Place::Client));
        assert_eq!(place(client_v6(0).into()), Some(Place::Client));
        assert_eq!(place(server(3).into()), Some(Place::Server));
        assert_eq!(place(server_v6(1).into()), Some(Place::Server));
        assert_eq!(place(PUBLIC.into()), Some(Place::Gateway));
        assert_eq!(place(GATEWAY_V6.into()), Some(Place::Gateway));
        assert_eq!(place(SILENT.into()), None);
        assert_eq!(place(SILENT_V6.into()), None);
    }

    #[test]
    fn numbers_past_the_last_begin_again() {
        assert_eq!(client(CLIENTS), client(0));
        assert_eq!(server_v6(SERVERS + 1), server_v6(1));
    }
}
