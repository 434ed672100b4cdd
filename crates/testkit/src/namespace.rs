use std::ops::Deref;

use netlab::{Namespace, Result};

use crate::skip::available;

/// Any rule that asks for a connection's state switches tracking on, here for both families.
const TRACK: &str = "table inet testkit {
    chain track { type filter hook input priority filter; policy accept; ct state invalid counter; }
}";

/// A private network namespace: loopback is up, what passes it is tracked, with counters and start times.
///
/// It is gone when the value is dropped.
#[derive(Debug)]
pub struct TestNamespace(Namespace);

impl TestNamespace {
    /// Makes one, or skips the test where that cannot be, as [`available`] does.
    #[track_caller]
    pub fn new() -> Option<Self> {
        available(Self::make()).map(Self)
    }

    fn make() -> Result<Namespace> {
        let namespace = Namespace::new()?;
        namespace.ip("link set lo up\n")?;
        // The rule first: it loads the module without which the settings do not exist.
        namespace.nft(TRACK)?;
        namespace.sysctls(&[
            ("net/netfilter/nf_conntrack_acct", "1"),
            ("net/netfilter/nf_conntrack_timestamp", "1"),
            // For netlab::ping.
            ("net/ipv4/ping_group_range", "0 0"),
        ])?;
        Ok(namespace)
    }
}

impl Deref for TestNamespace {
    type Target = Namespace;

    fn deref(&self) -> &Namespace {
        &self.0
    }
}
