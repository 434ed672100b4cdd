//! What was read is compared with what netlink says: before the first entry is given out, and at the
//! first of every protocol.

use std::collections::HashMap;
use std::sync::Arc;

use ctnetlink::{Client, Entry, ErrorKind, Protocol};

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
    contexts: HashMap<u32, Context>,
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
        let told = match inner.client.get(&entry.key()) {
            Ok(told) => told,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => {
                return Err(Refusal::System {
                    what: "asking netlink for an entry",
                    error: error.to_string(),
                });
            }
        };
        // Netlink has been asked for an id: the kernel has made the key by now, if not before.
        if self.key.is_none() {
            let mut keys = locate::keys(&inner.program)?.map(Key::new);
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

    /// The security context of a number, and whether that is certain: an entry's number may have
    /// changed since it was read, so two entries must say the same.
    pub(crate) fn context(
        &mut self,
        client: &Client,
        secmark: u32,
        entry: &Entry,
    ) -> (Option<Arc<str>>, bool) {
        if let Some(Context { text, asked }) = self.contexts.get(&secmark)
            && *asked >= CERTAIN
        {
            return (text.clone(), true);
        }
        let Ok(told) = client.get(&entry.key()) else {
            return (None, false);
        };
        let text: Option<Arc<str>> = told.extra.and_then(|extra| extra.secctx).map(Arc::from);
        let known = self.contexts.entry(secmark).or_default();
        if known.text != text {
            known.asked = 0;
            known.text.clone_from(&text);
        }
        known.asked += 1;
        (text, known.asked >= CERTAIN)
    }
}

/// What netlink said of a number, and how many entries in a row had the same.
#[derive(Default)]
struct Context {
    text: Option<Arc<str>>,
    asked: u32,
}

const CERTAIN: u32 = 2;

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
