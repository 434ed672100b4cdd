//! What somebody is told whose table is empty.

use ctnetlink::{Client, Family};
use engine::{Failure, Query, Source, actions};

use crate::exit::note;

/// How to turn tracking on, for somebody whose table is empty.
const TURN_ON: &str = "\
the kernel does so only where a firewall rule needs it.
  To turn it on:
    nft add table inet tracking
    nft add chain inet tracking in '{ type filter hook prerouting priority 0; }'
    nft add chain inet tracking out '{ type filter hook output priority 0; }'
    nft add rule inet tracking in ct state new counter
    nft add rule inet tracking out ct state new counter
  For byte counters and ages:
    sysctl -w net.netfilter.nf_conntrack_acct=1 net.netfilter.nf_conntrack_timestamp=1
  To look around without touching anything: tracklight demo list";

/// Says why nothing was found in a table: none of its entries is such, or there are none.
pub(crate) fn note_nothing(source: &Source, query: &Query) -> Result<(), Failure> {
    let Source::Kernel(kernel) = source else {
        note(if query.is_any() {
            "the saved table is empty"
        } else {
            "none of the saved connections is such"
        });
        return Ok(());
    };
    let client = kernel.client();
    match actions::usage(client)?.entries {
        Some(entries @ 1..) if !query.is_any() => {
            note(&format!("none of the {entries} connections is such"));
        }
        _ => {
            note("the connection table is empty");
            note_untracked(client);
        }
    }
    Ok(())
}

/// Says that nothing tracks connections here, or that perhaps nothing does, and how to turn it on.
/// Not every kernel can tell.
pub(crate) fn note_untracked(client: &Client) {
    let tracking: Vec<Option<bool>> = Family::ALL
        .into_iter()
        .map(|family| client.is_tracking(family).unwrap_or(None))
        .collect();
    if tracking.iter().all(|tracking| *tracking == Some(false)) {
        note(&format!("nothing tracks connections here: {TURN_ON}"));
    } else if tracking.contains(&None) {
        note(&format!(
            "perhaps nothing tracks connections here: {TURN_ON}"
        ));
    }
}
