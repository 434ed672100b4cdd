bitflags::bitflags! {
    /// Status of an entry: `enum ip_conntrack_status` of the kernel, bits under its names.
    ///
    /// Bits that this version does not know are kept.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub struct Status: u32 {
        /// It was expected by a helper; see [`Entry::master`](crate::Entry::master).
        const EXPECTED = 1 << 0;
        /// Packets were seen both ways. Its absence is conntrack(8)'s `[UNREPLIED]`.
        const SEEN_REPLY = 1 << 1;
        /// Never evicted early when the table is full. conntrack(8)'s `[ASSURED]`.
        const ASSURED = 1 << 2;
        /// In the table: the first packet has left the machine.
        const CONFIRMED = 1 << 3;
        /// The original direction's source is translated.
        const SRC_NAT = 1 << 4;
        /// The original direction's destination is translated.
        const DST_NAT = 1 << 5;
        /// TCP sequence numbers are adjusted.
        const SEQ_ADJUST = 1 << 6;
        /// Source translation has been set up.
        const SRC_NAT_DONE = 1 << 7;
        /// Destination translation has been set up.
        const DST_NAT_DONE = 1 << 8;
        /// Being removed.
        const DYING = 1 << 9;
        /// Traffic does not renew the timeout.
        const FIXED_TIMEOUT = 1 << 10;
        /// A template, not a connection.
        const TEMPLATE = 1 << 11;
        /// Kernels before 4.12 marked untracked packets so.
        const UNTRACKED = 1 << 12;
        /// A helper was attached by a rule or through netlink.
        const HELPER = 1 << 13;
        /// Forwarded by a software flow table: counters and timeout stand still.
        const OFFLOAD = 1 << 14;
        /// Forwarded by hardware: counters and timeout stand still.
        const HW_OFFLOAD = 1 << 15;

        const _ = !0;
    }
}

impl Status {
    /// The bits that netlink may not change (`IPS_UNCHANGEABLE_MASK`).
    pub const UNCHANGEABLE: Self = Self::SRC_NAT_DONE
        .union(Self::DST_NAT_DONE)
        .union(Self::SRC_NAT)
        .union(Self::DST_NAT)
        .union(Self::EXPECTED)
        .union(Self::CONFIRMED)
        .union(Self::DYING)
        .union(Self::SEQ_ADJUST)
        .union(Self::TEMPLATE)
        .union(Self::UNTRACKED)
        .union(Self::OFFLOAD)
        .union(Self::HW_OFFLOAD);

    /// The bit of a kernel name such as `ASSURED`, in any case.
    pub fn from_bit_name(text: &str) -> Option<Self> {
        Self::all()
            .iter_names()
            .find(|(name, _)| name.eq_ignore_ascii_case(text))
            .map(|(_, bit)| bit)
    }
}
