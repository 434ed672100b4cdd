//! Entries of records, once netlink has confirmed that they are read right.

use std::sync::{Arc, PoisonError};

use ctnetlink::{Entry, Protocol};

use crate::id::Key;
use crate::record::{More, Record, has};
use crate::refusal::Refusal;
use crate::walker::Inner;

/// How many entries may be gone before one can be compared with netlink's.
const MOST_UNPROVED: u32 = 64;

/// Makes entries of records, one after the other.
pub(crate) struct Maker {
    key: Option<Key>,
    with_ids: bool,
    /// Protocols of which an entry was compared with netlink's.
    known: Box<[bool; 256]>,
    unproved: u32,
    pub(crate) entry: Entry,
    /// Addresses of what this bucket has given.
    bucket: Vec<u64>,
    /// The security context of a number.
    context: Option<(u32, Option<Arc<str>>)>,
}

impl Maker {
    pub(crate) fn new(inner: &Inner, with_ids: bool) -> Self {
        let proof = inner.proof.lock().unwrap_or_else(PoisonError::into_inner);
        Self {
            key: proof.key(),
            with_ids,
            known: Box::new([false; 256]),
            unproved: 0,
            entry: Entry::blank(),
            bucket: Vec::new(),
            context: None,
        }
    }

    /// Compares one of the records with netlink's entry, if none was before.
    pub(crate) fn prove(&mut self, inner: &Inner, mut records: &[u8]) -> Result<(), Refusal> {
        if self.key.is_some() {
            return Ok(());
        }
        for _ in 0..MOST_UNPROVED {
            let Some((record, more, rest)) = Record::take(records) else {
                break;
            };
            if self.compare(inner, record, more)? {
                return Ok(());
            }
            records = rest;
        }
        Err(Refusal::Ids)
    }

    /// Makes the entry; `false` if its bucket has given it before.
    #[inline]
    pub(crate) fn make(
        &mut self,
        inner: &Inner,
        record: &Record,
        more: Option<&More>,
    ) -> Result<bool, Refusal> {
        let protocol = record.orig.protocol;
        if self.known.get(usize::from(protocol)) != Some(&true) {
            self.learn(inner, record, more)?;
        }
        let Some(key) = self.key else {
            return Err(Refusal::Ids);
        };
        // An entry that dies and comes back while its bucket is read is seen twice.
        if record.has & has::FIRST != 0 {
            self.bucket.clear();
        } else if self.bucket.contains(&record.address) {
            return Ok(false);
        }
        self.bucket.push(record.address);

        record.write(more, &mut self.entry);
        self.entry.id = self.with_ids.then(|| key.id(record, inner.net));
        match &self.context {
            Some((secmark, None)) if *secmark == record.secmark => {}
            _ => self.write_context(inner, record.secmark),
        }
        Ok(true)
    }

    /// Only the kernel's security module knows what a number means, zero included.
    #[cold]
    fn write_context(&mut self, inner: &Inner, secmark: u32) {
        let known = self.context.take().filter(|(known, _)| *known == secmark);
        let context = if let Some((_, context)) = known {
            self.context = Some((secmark, context.clone()));
            context
        } else {
            let mut proof = inner.proof.lock().unwrap_or_else(PoisonError::into_inner);
            let (context, is_certain) = proof.context(&inner.client, secmark, &self.entry);
            self.context = is_certain.then(|| (secmark, context.clone()));
            context
        };
        if let Some(context) = context {
            self.entry.extra.get_or_insert_default().secctx = Some(context.to_string());
        }
    }

    /// The first entry of a protocol.
    #[cold]
    fn learn(
        &mut self,
        inner: &Inner,
        record: &Record,
        more: Option<&More>,
    ) -> Result<(), Refusal> {
        let protocol = record.orig.protocol;
        let is_known = {
            let proof = inner.proof.lock().unwrap_or_else(PoisonError::into_inner);
            proof.knows(Protocol(protocol))
        };
        if !is_known && !self.compare(inner, record, more)? {
            self.unproved += 1;
            if self.unproved < MOST_UNPROVED {
                return Ok(());
            }
            self.unproved = 0;
        }
        if let Some(known) = self.known.get_mut(usize::from(protocol)) {
            *known = true;
        }
        Ok(())
    }

    fn compare(
        &mut self,
        inner: &Inner,
        record: &Record,
        more: Option<&More>,
    ) -> Result<bool, Refusal> {
        let mut proof = inner.proof.lock().unwrap_or_else(PoisonError::into_inner);
        let is_proved = proof.compare(inner, record, more)?;
        self.key = proof.key();
        Ok(is_proved)
    }
}
