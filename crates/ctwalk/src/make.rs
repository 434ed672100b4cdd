//! Entries of records, once netlink has confirmed that they are read right.

use std::sync::{Arc, PoisonError};

use ctnetlink::{Entry, Protocol};

use crate::id::Key;
use crate::record::{More, Record, has};
use crate::refusal::Refusal;
use crate::walker::Inner;

/// Makes entries of records, one after the other.
pub(crate) struct Maker {
    key: Option<Key>,
    with_ids: bool,
    /// Protocols of which an entry was compared with netlink's.
    known: Box<[bool; 256]>,
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
            entry: Entry::blank(),
            bucket: Vec::new(),
            context: None,
        }
    }

    /// Makes the entry; `false` if its bucket has given it before, or if it is gone and no other of its
    /// protocol has been compared.
    #[inline]
    pub(crate) fn make(
        &mut self,
        inner: &Inner,
        record: &Record,
        more: Option<&More>,
    ) -> Result<bool, Refusal> {
        // An entry that dies and comes back while its bucket is read is seen twice.
        if record.has & has::FIRST != 0 {
            self.bucket.clear();
        } else if self.bucket.contains(&record.address) {
            return Ok(false);
        }
        let is_known = self.known.get(usize::from(record.orig.protocol)) == Some(&true);
        if !is_known && !self.learn(inner, record, more)? {
            return Ok(false);
        }
        let Some(key) = self.key else {
            return Err(Refusal::Ids);
        };
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

    /// The first entry of a protocol: whether it, or another one, was compared with netlink's.
    #[cold]
    fn learn(
        &mut self,
        inner: &Inner,
        record: &Record,
        more: Option<&More>,
    ) -> Result<bool, Refusal> {
        let protocol = record.orig.protocol;
        let mut proof = inner.proof.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = proof.knows(Protocol(protocol)) || proof.compare(inner, record, more)?;
        self.key = proof.key();
        if let Some(known) = self.known.get_mut(usize::from(protocol)) {
            *known = is_known;
        }
        Ok(is_known)
    }
}
