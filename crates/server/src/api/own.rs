//! The connection by which somebody asks, which a change should not cut by accident.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use ctnetlink::{Client, Entry, Filter, Protocol};
use engine::Failure;
use engine::session::Session;

use crate::who::Who;

/// Connections that whoever asks depends on.
#[derive(Clone, Copy, Debug)]
pub struct Own {
    ssh: Option<Session>,
    http: Option<(IpAddr, u16)>,
}

/// One of them that was found.
#[derive(Clone, Copy, Debug)]
pub enum OwnSession {
    /// The session over SSH that the daemon was started from.
    Ssh(Session),
    /// The connection over which the request came.
    Http(IpAddr, u16),
}

impl Own {
    /// Those of whoever asks.
    pub fn of(who: &Who) -> Self {
        let end = |from: SocketAddr| (from.ip().to_canonical(), from.port());
        Self {
            ssh: Session::own(),
            http: who.from.map(end),
        }
    }

    /// Whether an entry is one of them.
    pub fn is(&self, entry: &Entry) -> Option<OwnSession> {
        if let Some(session) = self.ssh.filter(|session| session.is(entry)) {
            return Some(OwnSession::Ssh(session));
        }
        let (address, port) = self.http?;
        let end = Some((address, port));
        let of = |address, port: Option<u16>| port.map(|port| (address, port));
        let is_http = entry.orig.protocol == Protocol::TCP
            && (of(entry.orig.src, entry.orig.src_port()) == end
                || of(entry.reply.dst, entry.reply.dst_port()) == end
                // Picked up by an answer.
                || of(entry.orig.dst, entry.orig.dst_port()) == end);
        is_http.then_some(OwnSession::Http(address, port))
    }

    /// Whether one of them is in the table.
    pub fn in_table(&self, client: &Client) -> Result<Option<OwnSession>, Failure> {
        let mut filters = self
            .ssh
            .map(|session| session.filters())
            .unwrap_or_default();
        if let Some((address, port)) = self.http {
            let mut from = Filter::any();
            from.protocol = Some(Protocol::TCP);
            let mut to = from;
            (from.orig.src, from.orig.src_port) = (Some(address), Some(port));
            (to.orig.dst, to.orig.dst_port) = (Some(address), Some(port));
            filters.extend([from, to]);
        }
        if filters.is_empty() {
            return Ok(None);
        }
        for entry in client.dump(&filters.into())? {
            if let Some(own) = self.is(&entry?) {
                return Ok(Some(own));
            }
        }
        Ok(None)
    }
}

impl OwnSession {
    /// The query that leaves it out.
    fn query(&self) -> String {
        match self {
            Self::Ssh(session) => session.query(),
            Self::Http(address, port) => format!("tcp and host == {address} and port == {port}"),
        }
    }

    /// Refuses to cut it.
    pub fn refusal(&self) -> Failure {
        Failure::new(
            "own-session",
            format!("this would delete the session that you are in: {self}; nothing was deleted"),
            format!(
                "leave it out: … and not ({}); or send force: true",
                self.query()
            ),
        )
    }
}

impl fmt::Display for OwnSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ssh(session) => session.fmt(f),
            Self::Http(address, port) => {
                write!(f, "HTTP from {}", SocketAddr::from((*address, *port)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::who::Role;
    use ctnetlink::Tuple;

    #[test]
    fn the_connection_of_the_request_is_known_in_both_directions() {
        let client: IpAddr = [192, 0, 2, 7].into();
        let who = Who {
            name: "admin".to_owned(),
            role: Role::Operator,
            from: Some((client, 50_000).into()),
        };
        let own = Own::of(&who);
        let orig = Tuple::ports(Protocol::TCP, client, 50_000, [192, 0, 2, 1].into(), 8470);
        let is = |entry: &Entry| matches!(own.is(entry), Some(OwnSession::Http(..)));
        assert!(is(&Entry::new(orig, orig.mirror())));
        assert!(is(&Entry::new(orig.mirror(), orig)));
        let other = Tuple::ports(Protocol::TCP, client, 50_001, [192, 0, 2, 1].into(), 8470);
        assert!(!is(&Entry::new(other, other.mirror())));
        let udp = Tuple::ports(Protocol::UDP, client, 50_000, [192, 0, 2, 1].into(), 8470);
        assert!(!is(&Entry::new(udp, udp.mirror())));
    }
}
