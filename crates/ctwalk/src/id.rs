//! Ids of entries: what netlink calls `CTA_ID`.

use siphasher::sip::SipHasher24;
use zerocopy::IntoBytes;

use crate::record::Record;

/// The key of ids: the kernel makes it at random when the first id is asked for.
#[derive(Clone, Copy)]
pub(crate) struct Key(SipHasher24);

impl Key {
    pub(crate) fn new([first, second]: [u64; 2]) -> Self {
        Self(SipHasher24::new_with_keys(first, second))
    }

    /// The id of an entry, as `nf_ct_get_id()` of the kernel makes it: a hash of where the entry
    /// and its master are in memory, of the namespace, and of the original tuple's hash.
    #[inline]
    pub(crate) fn id(&self, record: &Record, net: u64) -> u32 {
        let tuple = self.0.hash(record.orig.as_bytes());
        let mut words = [0; 32];
        for (to, word) in words
            .chunks_exact_mut(8)
            .zip([record.address, record.master, net, tuple])
        {
            to.copy_from_slice(&word.to_ne_bytes());
        }
        // Netlink sends the kernel's number as it lies in memory, and calls it big-endian.
        u32::from_be_bytes((self.0.hash(&words) as u32).to_ne_bytes())
    }
}
