//! What was read is compared with what netlink says, at the first entry of every protocol: none of a
//! protocol is given out before.

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
    /// Those of which none was, for netlink told another connection each time: how often, and what was
    /// different.
    doubts: HashMap<Protocol, (u32, Refusal)>,
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

    /// Why a protocol of which entries were read is known to nobody. They were left out as entries that
    /// have gone; it may be the reading that is wrong.
    pub(crate) fn take_doubt(&mut self) -> Option<Refusal> {
        let doubt = self.doubts.drain().next();
        doubt.map(|(_, (_, refusal))| refusal)
    }

    /// Compares an entry with netlink's. `Ok(false)` if it has gone since it was read, so that nothing was
    /// proved.
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
        let protocol = entry.orig.protocol;
        let is_same_id = |key: Key| Some(key.id(record, inner.net)) == told.id;
        if !self.key.is_some_and(is_same_id) {
            return self.doubt(protocol, Refusal::Ids);
        }
        if entry.timestamps != told.timestamps {
            // The same tuple in the same memory, born anew.
            return self.doubt(protocol, Refusal::Disagrees("timestamps"));
        }
        differing(&entry, &told).map_or(Ok(()), |field| Err(Refusal::Disagrees(field)))?;
        self.doubts.remove(&protocol);
        self.protocols.push(protocol);
        Ok(true)
    }

    /// The same tuple, another connection: as much as that can happen.
    fn doubt(&mut self, protocol: Protocol, refusal: Refusal) -> Result<bool, Refusal> {
        let (times, _) = self
            .doubts
            .entry(protocol)
            .and_modify(|(times, _)| *times += 1)
            .or_insert_with(|| (1, refusal.clone()));
        if *times < MOST_DOUBTS {
            Ok(false)
        } else {
            self.doubts.remove(&protocol);
            Err(refusal)
        }
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

/// How many entries of a protocol may have been born anew before one can be compared.
const MOST_DOUBTS: u32 = 64;

/// The first field that differs among those that do not change while an entry lives, or whose
/// being there does not.
fn differing(read: &Entry, told: &Entry) -> Option<&'static str> {
    let is_offloaded = |entry: &Entry| entry.has_status(ctnetlink::Status::OFFLOAD);
    let same = [
        (read.orig == told.orig, "original tuple"),
        (read.reply == told.reply, "reply tuple"),
        (read.zone == told.zone, "zone"),
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
