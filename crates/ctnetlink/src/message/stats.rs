use crate::constants::*;
use crate::wire::{Attrs, DecodeError, NfGen};

macro_rules! counters {
    (
        $(#[$doc:meta])* $name:ident {
            $($(#[$field_doc:meta])* $field:ident = $attr:ident),+ $(,)?
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name {
            /// The CPU that counted.
            pub cpu: u16,
            $($(#[$field_doc])* pub $field: Option<u32>,)+
        }

        impl $name {
            /// The counters and the kernel's names of them, in the kernel's order.
            pub fn fields(&self) -> impl Iterator<Item = (&'static str, Option<u32>)> {
                [$((stringify!($field), self.$field)),+].into_iter()
            }

            /// The sum of several CPUs' counters, under the first one's number. They wrap at
            /// 2³², as the kernel's do.
            #[must_use]
            pub fn plus(mut self, other: &Self) -> Self {
                $(self.$field = match (self.$field, other.$field) {
                    (Some(a), Some(b)) => Some(a.wrapping_add(b)),
                    (a, b) => a.or(b),
                };)+
                self
            }

            pub(crate) fn decode(nfgen: NfGen, attrs: Attrs<'_>) -> Result<Self, DecodeError> {
                let mut stats = Self { cpu: nfgen.resource, ..Self::default() };
                for attr in attrs {
                    let attr = attr?;
                    match attr.kind {
                        $($attr => stats.$field = Some(attr.be32(stringify!($attr))?),)+
                        _ => {}
                    }
                }
                Ok(stats)
            }
        }
    };
}

counters! {
    /// Counters of one CPU since the namespace was made (`struct ip_conntrack_stat`), as
    /// `conntrack -S` shows them. Absent ones are not known to this kernel.
    CpuStats {
        /// Look-ups; gone since Linux 4.10.
        searched = CTA_STATS_SEARCHED,
        /// Look-ups that found an entry.
        found = CTA_STATS_FOUND,
        /// New entries; gone since Linux 4.10.
        new = CTA_STATS_NEW,
        /// Packets that no entry fits and none can be made for.
        invalid = CTA_STATS_INVALID,
        /// Packets that already had an entry; gone since Linux 4.10.
        ignore = CTA_STATS_IGNORE,
        /// Entries removed; gone since Linux 4.10.
        delete = CTA_STATS_DELETE,
        /// Entries put on the dying list; gone since Linux 4.10.
        delete_list = CTA_STATS_DELETE_LIST,
        /// Entries inserted.
        insert = CTA_STATS_INSERT,
        /// Entries that could not be inserted, mostly a clash: two packets of one new connection
        /// at once, or a port already in use by NAT.
        insert_failed = CTA_STATS_INSERT_FAILED,
        /// Packets dropped because an entry could not be made: table full, or out of memory.
        drop = CTA_STATS_DROP,
        /// Entries evicted to make room in a full table.
        early_drop = CTA_STATS_EARLY_DROP,
        /// ICMP errors that fit no entry.
        error = CTA_STATS_ERROR,
        /// Look-ups begun anew because the table was being resized.
        search_restart = CTA_STATS_SEARCH_RESTART,
        /// Clashes that were resolved without loss.
        clash_resolve = CTA_STATS_CLASH_RESOLVE,
        /// Entries refused because their bucket's chain was too long.
        chaintoolong = CTA_STATS_CHAIN_TOOLONG,
    }
}

counters! {
    /// Counters of expectations of one CPU.
    ExpectationCpuStats {
        /// Expectations matched.
        new = CTA_STATS_EXP_NEW,
        /// Expectations made.
        create = CTA_STATS_EXP_CREATE,
        /// Expectations removed.
        delete = CTA_STATS_EXP_DELETE,
    }
}

/// How full the table is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GlobalStats {
    /// Entries of this namespace.
    pub entries: Option<u32>,
    /// Limit (`nf_conntrack_max`); since Linux 4.18.
    pub max_entries: Option<u32>,
}

impl GlobalStats {
    pub(crate) fn decode(attrs: Attrs<'_>) -> Result<Self, DecodeError> {
        let mut stats = Self::default();
        for attr in attrs {
            let attr = attr?;
            match attr.kind {
                CTA_STATS_GLOBAL_ENTRIES => {
                    stats.entries = Some(attr.be32("CTA_STATS_GLOBAL_ENTRIES")?);
                }
                CTA_STATS_GLOBAL_MAX_ENTRIES => {
                    stats.max_entries = Some(attr.be32("CTA_STATS_GLOBAL_MAX_ENTRIES")?);
                }
                _ => {}
            }
        }
        Ok(stats)
    }
}
