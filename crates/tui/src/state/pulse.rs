//! The table in numbers, and how they were in the last minutes.

use std::collections::VecDeque;

use crate::wire::{Fault, Rates, Summary, Truth};

/// For how many seconds numbers are remembered.
pub const REMEMBERED: usize = 300;

/// How the numbers were in one second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// Connections.
    pub connections: u64,
    /// Bytes a second, where they are counted.
    pub bytes: Option<f64>,
}

/// Whether the other end is heard.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Link {
    /// Nothing came yet.
    #[default]
    Opening,
    /// It tells something each second.
    Heard,
    /// It does not.
    Broken(Fault),
}

/// The table in numbers.
#[derive(Clone, Debug, Default)]
pub struct Pulse {
    /// The latest.
    pub summary: Option<Summary>,
    /// Births a second, once there were two summaries.
    pub births: Option<f64>,
    /// Deaths a second.
    pub deaths: Option<f64>,
    /// The last minutes, the oldest first.
    pub samples: VecDeque<Sample>,
    /// How far it can be believed.
    pub truth: Truth,
    /// Whether the other end is heard.
    pub link: Link,
    /// Number of the stream that is listened to.
    pub stream: u64,
    /// When to listen again.
    pub due_ms: Option<u64>,
}

impl Pulse {
    /// Takes what was told.
    pub(crate) fn hear(&mut self, summary: Summary) {
        if let Some(last) = &self.summary {
            let seconds = seconds_between(last.time_ns, summary.time_ns);
            let each_second = |now: u64, before: u64| {
                // A daemon that began anew counts from nothing.
                let more = now.checked_sub(before)?;
                seconds.map(|seconds| crate::cell::as_f64(more) / seconds)
            };
            if seconds.is_some() {
                self.births = each_second(summary.births, last.births);
                self.deaths = each_second(summary.deaths, last.deaths);
            }
        }
        if self.samples.len() >= REMEMBERED {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample {
            connections: summary.connections,
            bytes: summary.rates.as_ref().map(Rates::bytes),
        });
        self.truth = summary.truth.clone();
        self.summary = Some(summary);
        self.link = Link::Heard;
    }

    /// Seconds since counters were read, by the clock of who reads them.
    pub fn counters_age(&self) -> Option<u64> {
        let summary = self.summary.as_ref()?;
        let taken = Some(summary.truth.taken_ns).filter(|&taken| taken > 0)?;
        Some(summary.time_ns.saturating_sub(taken) / 1_000_000_000)
    }

    /// Part of the limit that is used, where there is one.
    pub fn part(&self) -> Option<f64> {
        let summary = self.summary.as_ref()?;
        let limit = summary.limit.filter(|&limit| limit > 0)?;
        Some(crate::cell::as_f64(summary.connections) / crate::cell::as_f64(limit))
    }
}

fn seconds_between(before: u64, now: u64) -> Option<f64> {
    let ns = now.checked_sub(before).filter(|&ns| ns > 0)?;
    Some(crate::cell::as_f64(ns) / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(second: u64, births: u64) -> Summary {
        Summary {
            time_ns: second * 1_000_000_000,
            births,
            connections: 10,
            ..Summary::default()
        }
    }

    #[test]
    fn rates_are_of_the_time_between_two_summaries() {
        let mut pulse = Pulse::default();
        pulse.hear(summary(1, 100));
        assert_eq!(pulse.births, None, "of one nothing is known");
        pulse.hear(summary(3, 150));
        assert_eq!(pulse.births, Some(25.0));
        pulse.hear(summary(4, 0));
        assert_eq!(pulse.births, None, "the daemon began anew");
    }

    #[test]
    fn only_the_last_minutes_are_remembered() {
        let mut pulse = Pulse::default();
        for second in 0..1000 {
            pulse.hear(summary(second, 0));
        }
        assert_eq!(pulse.samples.len(), REMEMBERED);
    }
}
