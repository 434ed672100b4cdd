//! How often what is shown was made anew.

use crate::wire::Truth;

/// Answers of one kind that were taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refreshes {
    /// How many.
    pub many: u64,
    /// Milliseconds that were waited for them, together.
    pub waited_ms: u64,
}

impl Refreshes {
    pub(crate) const fn add(&mut self, took_ms: u64) {
        self.many += 1;
        self.waited_ms = self.waited_ms.saturating_add(took_ms);
    }
}

/// How often what is shown was made anew since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The rows.
    pub rows: Refreshes,
    /// The groups.
    pub groups: Refreshes,
    /// Readings of the kernel's table that were shown: those of them of which an answer told.
    pub readings: u64,
    /// How the table was read last: `bpf` or `netlink`; empty before the first reading.
    pub source: String,
    last_ns: u64,
}

impl Tally {
    /// Takes which reading an answer is from. An answer of an earlier one may come later.
    pub(crate) fn see(&mut self, truth: &Truth) {
        if truth.taken_ns > self.last_ns {
            self.last_ns = truth.taken_ns;
            self.readings += 1;
            self.source.clone_from(&truth.source);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_counts_once_however_many_answers_are_from_it() {
        let mut tally = Tally::default();
        for taken_ns in [0, 5, 5, 9, 5, 9] {
            let source = "bpf".to_owned();
            tally.see(&Truth {
                taken_ns,
                source,
                ..Truth::default()
            });
        }
        assert_eq!((tally.readings, tally.source.as_str()), (2, "bpf"));
    }
}
