//! What is summed up over the entries of a group.

use std::num::NonZeroU64;

use ctnetlink::{Counters, Entry};

use crate::live::Rates;

/// Sums over some entries. What none of them has is `None`, never zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    connections: u64,
    uncounted: u64,
    bytes_orig: u64,
    bytes_reply: u64,
    packets: u64,
    newest: Option<NonZeroU64>,
    oldest: Option<NonZeroU64>,
    has_orig: bool,
    has_reply: bool,
    rate_orig: u64,
    rate_reply: u64,
    has_rates: bool,
}

impl Tally {
    /// How many entries.
    pub const fn connections(&self) -> u64 {
        self.connections
    }

    /// Entries among them without counters: what they moved is in none of the sums.
    pub const fn uncounted(&self) -> u64 {
        self.uncounted
    }

    /// Bytes of both directions.
    pub fn bytes(&self) -> Option<u64> {
        let any = self.has_orig || self.has_reply;
        any.then(|| self.bytes_orig.saturating_add(self.bytes_reply))
    }

    /// Bytes of the original direction.
    pub fn bytes_orig(&self) -> Option<u64> {
        self.has_orig.then_some(self.bytes_orig)
    }

    /// Bytes of the reply direction.
    pub fn bytes_reply(&self) -> Option<u64> {
        self.has_reply.then_some(self.bytes_reply)
    }

    /// Packets of both directions.
    pub fn packets(&self) -> Option<u64> {
        (self.has_orig || self.has_reply).then_some(self.packets)
    }

    /// Bytes a second of both directions; only a live table knows them.
    pub fn rate(&self) -> Option<u64> {
        self.has_rates
            .then(|| self.rate_orig.saturating_add(self.rate_reply))
    }

    /// Bytes a second of the original direction.
    pub fn rate_orig(&self) -> Option<u64> {
        self.has_rates.then_some(self.rate_orig)
    }

    /// Bytes a second of the reply direction.
    pub fn rate_reply(&self) -> Option<u64> {
        self.has_rates.then_some(self.rate_reply)
    }

    /// When the newest of them began, in nanoseconds since the epoch.
    pub fn newest(&self) -> Option<u64> {
        self.newest.map(NonZeroU64::get)
    }

    /// When the oldest of them began.
    pub fn oldest(&self) -> Option<u64> {
        self.oldest.map(NonZeroU64::get)
    }

    /// Adds an entry.
    #[inline]
    pub fn add(&mut self, entry: &Entry) {
        self.connections = self.connections.saturating_add(1);
        if let Some(Counters { packets, bytes }) = entry.counters_orig {
            self.has_orig = true;
            self.bytes_orig = self.bytes_orig.saturating_add(bytes);
            self.packets = self.packets.saturating_add(packets);
        }
        if let Some(Counters { packets, bytes }) = entry.counters_reply {
            self.has_reply = true;
            self.bytes_reply = self.bytes_reply.saturating_add(bytes);
            self.packets = self.packets.saturating_add(packets);
        }
        if entry.counters_orig.is_none() && entry.counters_reply.is_none() {
            self.uncounted = self.uncounted.saturating_add(1);
        }
        // The kernel's zero is a time that was never taken.
        let start = entry
            .timestamps
            .and_then(|times| NonZeroU64::new(times.start?));
        self.began(start, start);
    }

    /// Adds how much an entry moves.
    pub fn add_rates(&mut self, rates: &Rates) {
        self.has_rates = true;
        self.rate_orig = self
            .rate_orig
            .saturating_add(rates.bytes_orig.round() as u64);
        self.rate_reply = self
            .rate_reply
            .saturating_add(rates.bytes_reply.round() as u64);
    }

    /// Adds what another one has summed up.
    pub fn merge(&mut self, other: &Self) {
        self.connections = self.connections.saturating_add(other.connections);
        self.uncounted = self.uncounted.saturating_add(other.uncounted);
        self.bytes_orig = self.bytes_orig.saturating_add(other.bytes_orig);
        self.bytes_reply = self.bytes_reply.saturating_add(other.bytes_reply);
        self.packets = self.packets.saturating_add(other.packets);
        self.has_orig |= other.has_orig;
        self.has_reply |= other.has_reply;
        self.rate_orig = self.rate_orig.saturating_add(other.rate_orig);
        self.rate_reply = self.rate_reply.saturating_add(other.rate_reply);
        self.has_rates |= other.has_rates;
        self.began(other.oldest, other.newest);
    }

    #[inline]
    fn began(&mut self, oldest: Option<NonZeroU64>, newest: Option<NonZeroU64>) {
        // `None` is less than any time.
        self.newest = self.newest.max(newest);
        self.oldest = match (self.oldest, oldest) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
}
