//! The remote session that we run in, which a delete should not cut by accident.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use ctnetlink::{Entry, Filter, Protocol};

/// A session over SSH, as the server's `SSH_CONNECTION` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    client: (IpAddr, u16),
    server: (IpAddr, u16),
}

impl Session {
    /// The session that this process runs in; `None` for none.
    ///
    /// `sudo` and `su` take the variable away, so the processes above are asked too.
    pub fn own() -> Option<Self> {
        if let Ok(text) = std::env::var(VARIABLE) {
            return Self::parse(&text);
        }
        let mut process = std::process::id();
        // A chain of shells is not endless; a loop would be a fault of the kernel's.
        for _ in 0..64 {
            process = parent(process).filter(|&parent| parent > 1)?;
            let environment = std::fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
            let found = environment.split(|&byte| byte == 0).find_map(|variable| {
                let text = std::str::from_utf8(variable).ok()?;
                text.strip_prefix(VARIABLE)?.strip_prefix('=')
            });
            if let Some(text) = found {
                return Self::parse(text);
            }
        }
        None
    }

    /// Reads `CLIENT PORT SERVER PORT`.
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let mut end = || {
            let address: IpAddr = words.next()?.parse().ok()?;
            let port = words.next()?.parse().ok()?;
            // An IPv4 client of a server that listens on IPv6.
            Some((address.to_canonical(), port))
        };
        Some(Self {
            client: end()?,
            server: end()?,
        })
    }

    /// The query that selects it.
    pub fn query(&self) -> String {
        let Self {
            client: (client, client_port),
            server: (server, server_port),
        } = self;
        format!(
            "tcp and src == {client} and sport == {client_port} and (dst == {server} and dport == \
             {server_port} or peer == {server} and peer.port == {server_port})"
        )
    }

    /// What the kernel can select it by.
    pub fn filter(&self) -> Filter {
        let (src, src_port) = self.client;
        let mut filter = Filter::any();
        filter.protocol = Some(Protocol::TCP);
        filter.orig.src = Some(src);
        filter.orig.src_port = Some(src_port);
        filter
    }

    /// Whether an entry is this session's: from its client, to its server as the client or the
    /// server itself sees it.
    pub fn is(&self, entry: &Entry) -> bool {
        let opener = entry.orig.src_port().map(|port| (entry.orig.src, port));
        let addressed = entry.orig.dst_port().map(|port| (entry.orig.dst, port));
        let answering = entry.reply.src_port().map(|port| (entry.reply.src, port));
        entry.orig.protocol == Protocol::TCP
            && opener == Some(self.client)
            && (addressed == Some(self.server) || answering == Some(self.server))
    }
}

/// From whom to whom.
impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [client, server] = [self.client, self.server].map(SocketAddr::from);
        write!(f, "SSH from {client} to {server}")
    }
}

const VARIABLE: &str = "SSH_CONNECTION";

fn parent(process: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctnetlink::Tuple;

    fn entry(server: &str, port: u16) -> Entry {
        let client = "192.0.2.7".parse().unwrap();
        let orig = Tuple::ports(Protocol::TCP, client, 50_000, server.parse().unwrap(), port);
        Entry::new(orig, orig.mirror())
    }

    #[test]
    fn a_session_is_known_by_both_ends_also_behind_a_forwarded_port() {
        let session = Session::parse("192.0.2.7 50000 10.0.0.1 22").unwrap();
        assert!(session.is(&entry("10.0.0.1", 22)));
        assert!(!session.is(&entry("10.0.0.1", 443)));
        let mut forwarded = entry("203.0.113.5", 2222);
        forwarded.reply = entry("10.0.0.1", 22).reply;
        assert!(session.is(&forwarded));
        let mapped = Session::parse("::ffff:192.0.2.7 50000 ::ffff:10.0.0.1 22").unwrap();
        assert_eq!(mapped, session);
    }

    #[test]
    fn what_is_no_session_is_none() {
        for text in [
            "",
            "192.0.2.7",
            "192.0.2.7 x 10.0.0.1 22",
            "a b c d",
            "192.0.2.7 1 10.0.0.1",
        ] {
            assert_eq!(Session::parse(text), None, "{text}");
        }
    }
}
