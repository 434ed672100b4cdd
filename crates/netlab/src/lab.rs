use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use crate::address::{FORWARD, FORWARD_INSIDE, Place, place};
use crate::error::{Error, Result};
use crate::exchange::{self, Dial, TcpPair, UdpPair};
use crate::namespace::Namespace;
use crate::rules;
use crate::table::Table;
use crate::traffic::Traffic;

/// How long [`Lab::ready`] waits at most; a quiet machine needs a fraction of a second.
const READY_WITHIN: Duration = Duration::from_secs(10);

/// The least number of entries by which [`Lab::ready`] knows, where the kernel lists none in /proc.
const READY_ENTRIES: usize = 15;

/// A network in a box: client – gateway – server, each in a namespace of its own, joined by veth pairs.
///
/// The gateway routes both families, tracks all that passes, marks it by service, and hides the client's
/// IPv4 addresses behind one public address. The addresses are in [`crate::address`]. When the value is
/// dropped, all of it is gone; a [`Traffic`] holds what it uses, so drop that first.
#[derive(Debug)]
pub struct Lab {
    client: Namespace,
    gateway: Namespace,
    server: Namespace,
    nat: bool,
    ipv6: bool,
}

impl Lab {
    /// Builds the usual lab: address translation, IPv6 where the kernel has it, counters and start times on.
    ///
    /// # Errors
    ///
    /// As [`LabBuilder::build`].
    pub fn new() -> Result<Self> {
        Self::builder().build()
    }

    /// What may differ from the usual lab.
    pub fn builder() -> LabBuilder {
        LabBuilder::default()
    }

    /// The namespace with the client's addresses.
    pub fn client(&self) -> &Namespace {
        &self.client
    }

    /// The namespace that tracks: here is the conntrack table to look at.
    pub fn gateway(&self) -> &Namespace {
        &self.gateway
    }

    /// The namespace with the server's addresses.
    pub fn server(&self) -> &Namespace {
        &self.server
    }

    /// Whether the gateway translates addresses and forwards a port.
    pub fn has_nat(&self) -> bool {
        self.nat
    }

    /// Whether the lab has IPv6.
    pub fn has_ipv6(&self) -> bool {
        self.ipv6
    }

    /// Starts continuous, gentle traffic of every kind; it stops when the value is dropped.
    ///
    /// # Errors
    ///
    /// When a thread cannot be started or a server's port is taken.
    pub fn start_traffic(&self) -> Result<Traffic> {
        Traffic::start(self)
    }

    /// Waits until the gateway tracks traffic of every kind: needs a [`Traffic`].
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] with what the table had instead.
    pub fn ready(&self) -> Result<Table> {
        let mut kinds: Vec<&[&str]> = vec![
            &["ipv4", "tcp", "ESTABLISHED", "[ASSURED]"],
            &["ipv4", "tcp", "SYN_SENT", "[UNREPLIED]"],
            &["ipv4", "udp"],
            &["ipv4", "icmp"],
        ];
        if self.ipv6 {
            kinds.push(&["ipv6", "tcp", "ESTABLISHED", "[ASSURED]"]);
            kinds.push(&["ipv6", "udp"]);
            kinds.push(&["ipv6", "icmpv6"]);
        }
        self.wait_until("traffic of every kind", READY_WITHIN, |table| {
            match table.listing {
                Some(_) => kinds.iter().all(|kind| table.matching(kind) >= Some(1)),
                None => table.total >= READY_ENTRIES,
            }
        })
    }

    /// Looks at the gateway's table until `holds` says yes, `within` a time; `what` names it in the error.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] with what the table had instead.
    pub fn wait_until(
        &self,
        what: &str,
        within: Duration,
        holds: impl FnMut(&Table) -> bool,
    ) -> Result<Table> {
        self.gateway.wait_until(what, within, holds)
    }

    /// Opens a TCP connection between two addresses of the lab and gives back both ends.
    ///
    /// Port 0 as the source is any port, as the destination any free one. To dial
    /// [`FORWARD`] reaches the client through the gateway. A port that a [`Traffic`] serves is taken.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownAddress`]; [`Error::System`] when a port is taken or no connection comes about
    /// within five seconds.
    pub fn tcp_connect(
        &self,
        from: impl Into<SocketAddr>,
        to: impl Into<SocketAddr>,
    ) -> Result<TcpPair> {
        exchange::tcp(&self.dial(from.into(), to.into())?)
    }

    /// Sends one datagram between two addresses of the lab and one back; gives back both sockets.
    ///
    /// # Errors
    ///
    /// As [`Lab::tcp_connect`].
    pub fn udp_exchange(
        &self,
        from: impl Into<SocketAddr>,
        to: impl Into<SocketAddr>,
    ) -> Result<UdpPair> {
        exchange::udp(&self.dial(from.into(), to.into())?)
    }

    /// Sends one echo request between two addresses of the lab, waits for the reply, and gives back the
    /// time it took.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownAddress`]; [`Error::System`] when no answer comes within five seconds.
    pub fn ping(&self, from: impl Into<IpAddr>, to: impl Into<IpAddr>) -> Result<Duration> {
        let from = from.into();
        exchange::ping(self.home(SocketAddr::new(from, 0))?, from, to)
    }

    fn dial(&self, from: SocketAddr, to: SocketAddr) -> Result<Dial<'_>> {
        let (home, listen) = if self.nat && to == SocketAddr::V4(FORWARD) {
            (&self.client, SocketAddr::V4(FORWARD_INSIDE))
        } else {
            (self.home(to)?, to)
        };
        Ok(Dial {
            from: self.home(from)?,
            source: from,
            to: home,
            listen,
            target: to,
        })
    }

    fn home(&self, address: SocketAddr) -> Result<&Namespace> {
        match place(address.ip()) {
            Some(_) if address.is_ipv6() && !self.ipv6 => Err(Error::UnknownAddress { address }),
            Some(Place::Client) => Ok(&self.client),
            Some(Place::Gateway) => Ok(&self.gateway),
            Some(Place::Server) => Ok(&self.server),
            None => Err(Error::UnknownAddress { address }),
        }
    }
}

/// Makes a [`Lab`] that differs from the usual one.
#[derive(Debug, Clone)]
pub struct LabBuilder {
    pub(crate) nat: bool,
    pub(crate) ipv6: bool,
    pub(crate) accounting: bool,
    pub(crate) timestamps: bool,
    pub(crate) zone: Option<u16>,
    pub(crate) ftp_helper: bool,
}

impl Default for LabBuilder {
    fn default() -> Self {
        Self {
            nat: true,
            ipv6: Path::new("/proc/sys/net/ipv6").exists(),
            accounting: true,
            timestamps: true,
            zone: None,
            ftp_helper: false,
        }
    }
}

impl LabBuilder {
    /// Whether the gateway hides the inside behind one public address and forwards a port to it (on), or
    /// only routes.
    pub fn nat(mut self, on: bool) -> Self {
        self.nat = on;
        self
    }

    /// Whether there is IPv6 (on, where the kernel has it).
    pub fn ipv6(mut self, on: bool) -> Self {
        self.ipv6 = on;
        self
    }

    /// Whether the gateway counts packets and bytes (on).
    pub fn accounting(mut self, on: bool) -> Self {
        self.accounting = on;
        self
    }

    /// Whether the gateway notes when a connection began (on).
    pub fn timestamps(mut self, on: bool) -> Self {
        self.timestamps = on;
        self
    }

    /// Tracks all that passes the gateway in this zone (the default zone, 0).
    pub fn zone(mut self, zone: u16) -> Self {
        self.zone = Some(zone);
        self
    }

    /// Whether the gateway follows FTP on port 21, so that a `PORT` command makes an expectation (off).
    pub fn ftp_helper(mut self, on: bool) -> Self {
        self.ftp_helper = on;
        self
    }

    /// Builds it.
    ///
    /// # Errors
    ///
    /// [`Error::NotPermitted`] without the privilege, see [`crate::enter_user_namespace`];
    /// [`Error::ProgramMissing`] without `ip` or `nft`; [`Error::ProgramFailed`] and [`Error::Sysctl`]
    /// where the kernel lacks what the lab needs. What was made until then is gone.
    pub fn build(&self) -> Result<Lab> {
        let (client, gateway, server) = (Namespace::new()?, Namespace::new()?, Namespace::new()?);
        for namespace in [&client, &gateway, &server] {
            prepare(namespace, self.ipv6)?;
        }
        let (to_client, to_server) = (client.path(), server.path());
        gateway.ip(&rules::gateway_devices(
            &to_client.to_string_lossy(),
            &to_server.to_string_lossy(),
            self.ipv6,
        ))?;
        client.ip(&rules::client_devices(self.ipv6))?;
        server.ip(&rules::server_devices(self.ipv6, self.nat))?;
        // The rules first: they load the module without which the settings do not exist.
        gateway.nft(&rules::gateway_ruleset(self))?;
        self.set_tracking(&gateway)?;
        Ok(Lab {
            client,
            gateway,
            server,
            nat: self.nat,
            ipv6: self.ipv6,
        })
    }

    fn set_tracking(&self, gateway: &Namespace) -> Result<()> {
        let switch = |on| if on { "1" } else { "0" };
        gateway.sysctls(&[
            ("net/ipv4/ip_forward", "1"),
            ("net/netfilter/nf_conntrack_acct", switch(self.accounting)),
            (
                "net/netfilter/nf_conntrack_timestamp",
                switch(self.timestamps),
            ),
            // Seconds. Short, so that a lab that runs for hours keeps a table that a screen can show.
            ("net/netfilter/nf_conntrack_tcp_timeout_time_wait", "30"),
        ])?;
        if self.ipv6 {
            gateway.sysctl("net/ipv6/conf/all/forwarding", "1")?;
        }
        Ok(())
    }
}

/// Settings that every namespace of the lab needs, before it has devices: they inherit them.
fn prepare(namespace: &Namespace, ipv6: bool) -> Result<()> {
    namespace.sysctls(&[
        // Ping sockets for group 0, which is ours, in a user namespace too.
        ("net/ipv4/ping_group_range", "0 0"),
        // A closed socket whose peer has gone holds its namespace while it repeats its last words: one
        // repetition (half a second) instead of eight (minutes).
        ("net/ipv4/tcp_orphan_retries", "1"),
        // What the machine's own settings may be is no concern of the lab's.
        ("net/ipv4/conf/all/rp_filter", "0"),
        ("net/ipv4/conf/default/rp_filter", "0"),
    ])?;
    if ipv6 {
        namespace.sysctls(&[
            ("net/ipv6/conf/all/disable_ipv6", "0"),
            ("net/ipv6/conf/default/disable_ipv6", "0"),
            // Addresses are usable at once, not after a second of asking whether somebody has them.
            ("net/ipv6/conf/default/accept_dad", "0"),
        ])?;
    }
    Ok(())
}
