//! What is known of a while: a second, ten, a minute or many. Sums, so that several make one without
//! any loss.

use super::sample::{COUNTERS, Changes, Counted, Parts, Sample, Traffic};

/// Sums of the seconds of a while that are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// How many seconds are known; never 0.
    pub seconds: u64,
    /// Connections, summed over the seconds.
    pub connections: u64,
    /// The fewest connections in any second.
    pub least: u64,
    /// The most connections in any second.
    pub most: u64,
    /// What the kernel allows, as it was last.
    pub limit: Option<u32>,
    /// What kinds of connections there were, as far as it is known.
    pub parts: Option<Parts>,
    /// Births and deaths, as far as they are known.
    pub changes: Option<Changes>,
    /// Bytes and packets, as far as they are known.
    pub traffic: Option<Traffic>,
    /// The kernel's counters, as far as they are known.
    pub kernel: Option<Counted>,
}

impl From<&Sample> for Span {
    fn from(sample: &Sample) -> Self {
        Self {
            seconds: 1,
            connections: sample.connections,
            least: sample.connections,
            most: sample.connections,
            limit: sample.limit,
            parts: sample.parts.clone(),
            changes: sample.changes,
            traffic: sample.traffic,
            kernel: sample.kernel,
        }
    }
}

impl Span {
    /// Adds a later one.
    pub(super) fn add(&mut self, later: &Self) {
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        add(&mut self.seconds, later.seconds);
        add(&mut self.connections, later.connections);
        self.least = self.least.min(later.least);
        self.most = self.most.max(later.most);
        self.limit = later.limit.or(self.limit);
        match (&mut self.parts, &later.parts) {
            (Some(parts), Some(more)) => parts.add(more),
            (parts @ None, Some(more)) => *parts = Some(more.clone()),
            (_, None) => {}
        }
        self.changes = joined(self.changes, later.changes, |a, b| Changes {
            millis: a.millis.saturating_add(b.millis),
            births: a.births.saturating_add(b.births),
            deaths: a.deaths.saturating_add(b.deaths),
        });
        self.traffic = joined(self.traffic, later.traffic, |a, b| Traffic {
            millis: a.millis.saturating_add(b.millis),
            bytes: a.bytes.saturating_add(b.bytes),
            packets: a.packets.saturating_add(b.packets),
        });
        self.kernel = joined(self.kernel, later.kernel, |a, b| Counted {
            millis: a.millis.saturating_add(b.millis),
            counters: {
                let mut counters = [None; COUNTERS.len()];
                for (sum, (a, b)) in counters.iter_mut().zip(a.counters.iter().zip(&b.counters)) {
                    // One that was unknown for a part is unknown for the whole.
                    *sum = a.zip(*b).map(|(a, b)| a.saturating_add(b));
                }
                counters
            },
        });
    }
}

impl Parts {
    fn add(&mut self, more: &Self) {
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        add(&mut self.seconds, more.seconds);
        for (sum, &more) in self.protocols.iter_mut().zip(&more.protocols) {
            add(sum, more);
        }
        for &(state, more) in &more.states {
            match self
                .states
                .binary_search_by_key(&state, |&(state, _)| state)
            {
                Ok(at) => {
                    if let Some((_, sum)) = self.states.get_mut(at) {
                        add(sum, more);
                    }
                }
                Err(at) => self.states.insert(at, (state, more)),
            }
        }
        add(&mut self.assured, more.assured);
        add(&mut self.unreplied, more.unreplied);
        add(&mut self.nat, more.nat);
    }
}

fn joined<T>(a: Option<T>, b: Option<T>, join: impl FnOnce(T, T) -> T) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(join(a, b)),
        (a, b) => a.or(b),
    }
}
