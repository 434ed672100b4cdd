//! What was read is compared with what netlink says: before the first entry is given out, and at the
//! first of every protocol.

use std::collections::HashMap;

use ctnetlink::{Client, Entry, Protocol};

use crate::id::Key;
use crate::locate;
use crate::record::{More, Record};
use crate::refusal::Refusal;
use crate::walker::Inner;

/// What netlink confirmed of this kernel, and what only it knows.
#[derive(Default)]
pub(crate) struct Proof {
    key: Option<Key>,
    /// Protocols of which an entry was compared.
    protocols: Vec<Protocol>,
    /// Security contexts by their numbers.
    contexts: HashMap<u32, Option<String>>,
}

impl Proof {
    /// The key of ids, once it is known.
    pub(crate) const fn key(&self) -> Option<Key> {
        self.key
    }

    /// Whether entries of a protocol are known to be read right.
    pub(crate) fn knows(&self, protocol: Protocol) -> bool {
        self.key.is_some() && self.protocols.contains(&protocol)
    }

    /// Compares an entry with netlink's. `Ok(false)` if it is gone, so that nothing was proved.
    pub(crate) fn compare(
        &mut self,
        inner: &Inner,
        record: &Record,
        more: Option<&More>,
    ) -> Result<bool, Refusal> {
        let mut entry = Entry::blank();
        record.write(more, &mut entry);
        // By the tuple alone: with an id, the kernel compares ids too.
        let Ok(told) = inner.client.get(&entry.key()) else {
            return Ok(false);
        };
        // Netlink has been asked for an id: the kernel has made the key by now, if not before.
        if self.key.is_none() {
            let keys = locate::keys(&inner.program)?;
            let mut keys = keys.into_iter().map(Key::new);
            self.key = keys.find(|key| Some(key.id(record, inner.net)) == told.id);
        }
        let Some(key) = self.key else {
            return Ok(false);
        };
        if Some(key.id(record, inner.net)) != told.id {
            // The same tuple, another connection.
            return Ok(false);
        }
        differing(&entry, &told).map_or(Ok(()), |field| Err(Refusal::Disagrees(field)))?;
        self.protocols.push(entry.orig.protocol);
        Ok(true)
    }

    /// The security context of a number, for which the kernel is asked once.
    pub(crate) fn context(
        &mut self,
        client: &Client,
        secmark: u32,
        entry: &Entry,
    ) -> Option<String> {
        if let Some(known) = self.contexts.get(&secmark) {
            return known.clone();
        }
        let told = client.get(&entry.key()).ok()?;
        let context = told.extra.and_then(|extra| extra.secctx);
        self.contexts.insert(secmark, context.clone());
        context
    }
}

/// The first field that differs among those that do not change while an entry lives, or whose
/// being there does not.
fn differing(read: &Entry, told: &Entry) -> Option<&'static str> {
    let is_offloaded = |entry: &Entry| entry.has_status(ctnetlink::Status::OFFLOAD);
    let same = [
        (read.orig == told.orig, "original tuple"),
        (read.reply == told.reply, "reply tuple"),
        (read.zone == told.zone, "zone"),
        (read.timestamps == told.timestamps, "timestamps"),
        (
            read.counters_orig.is_some() == told.counters_orig.is_some(),
            "counters",
        ),
        (read.mark.is_some() == told.mark.is_some(), "mark"),
        (read.master() == told.master(), "master"),
        (
            is_offloaded(read) != is_offloaded(told)
                || read.protoinfo.is_some() == told.protoinfo.is_some()
                    && read.timeout.is_some() == told.timeout.is_some(),
            "state of the protocol",
        ),
    ];
    same.into_iter()
        .find(|&(same, _)| !same)
        .map(|(_, field)| field)
}
