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
        let own = std::env::var(VARIABLE).ok();
        if let Some(session) = own.and_then(|text| Self::parse(&text)) {
            return Some(session);
        }
        let mut process = std::process::id();
        // A chain of shells is not endless; a loop would be a fault of the kernel's.
        for _ in 0..64 {
            process = parent(process).filter(|&parent| parent > 1)?;
            let environment = std::fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
            let found = environment.split(|&byte| byte == 0).find_map(|variable| {
                let text = std::str::from_utf8(variable).ok()?;
                Self::parse(text.strip_prefix(VARIABLE)?.strip_prefix('=')?)
            });
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// Reads `CLIENT PORT SERVER PORT`.
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let mut end = || {
            // A link-local address names its interface.
            let address = words.next()?.split('%').next()?;
            let address: IpAddr = address.parse().ok()?;
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
            "tcp and (src == {client} and sport == {client_port} and (dst == {server} and dport == \
             {server_port} or peer == {server} and peer.port == {server_port}) or src == {server} \
             and sport == {server_port} and dst == {client} and dport == {client_port})"
        )
    }

    /// What the kernel can select it by: opened by the client, or picked up on the way back.
    pub fn filters(&self) -> Vec<Filter> {
        let from = |(src, src_port)| {
            let mut filter = Filter::any();
            filter.protocol = Some(Protocol::TCP);
            filter.orig.src = Some(src);
            filter.orig.src_port = Some(src_port);
            filter
        };
        vec![from(self.client), from(self.server)]
    }

    /// Whether an entry is this session's: from its client to its server, as the client or the
    /// server itself sees it; or the other way round, as the kernel has it that picked the
    /// connection up by an answer.
    pub fn is(&self, entry: &Entry) -> bool {
        let end = |address, port: Option<u16>| port.map(|port| (address, port));
        let opener = end(entry.orig.src, entry.orig.src_port());
        let addressed = end(entry.orig.dst, entry.orig.dst_port());
        let answering = end(entry.reply.src, entry.reply.src_port());
        let (client, server) = (Some(self.client), Some(self.server));
        entry.orig.protocol == Protocol::TCP
            && (opener == client && (addressed == server || answering == server)
                || opener == server && addressed == client)
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
        let picked_up = Entry::new(entry("10.0.0.1", 22).reply, entry("10.0.0.1", 22).orig);
        assert!(session.is(&picked_up));
        let link_local = Session::parse("fe80::7%eth0 50000 fe80::1%eth0 22").unwrap();
        assert_eq!(link_local.client.0.to_string(), "fe80::7");
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
