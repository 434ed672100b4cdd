//! Makes samples of what is read once a second: differences of counts that only ever rise.

use std::time::Duration;

use ctnetlink::CpuStats;

use super::sample::{
    COUNTERS, Changes, Counted, Parts, Sample, State, Traffic, counters_of, protocol_index,
};
use crate::live::{Moved, Summary};

/// A difference over more than this is of no second: what lies between is a gap.
const LONGEST: Duration = Duration::from_secs(5);

/// Counters of connections are read less often; a difference over more than this is none either.
const LONGEST_BETWEEN_READINGS: Duration = Duration::from_secs(600);

/// By how much two clocks may differ over the same while before one of them has jumped.
const DISAGREEMENT: Duration = Duration::from_secs(2);

/// A kernel's counter that rose by more than this in some seconds was set back instead.
const MOST: u32 = 1 << 31;

/// What is read once a second.
#[derive(Clone, Debug)]
pub struct Reading {
    /// By the wall clock, in nanoseconds since the epoch. It may jump.
    pub time_ns: u64,
    /// By a clock that never jumps, since any moment.
    pub since: Duration,
    /// Connections in the table, by the kernel's count.
    pub connections: u64,
    /// What the kernel allows (`nf_conntrack_max`).
    pub limit: Option<u32>,
    /// The live table; `None` while it does not follow the kernel's.
    pub summary: Option<Summary>,
    /// When the connections' counters were read last, in nanoseconds since the epoch: between two
    /// readings nothing is known of bytes. `None` if they are new in every summary.
    pub counters_ns: Option<u64>,
    /// The kernel's counters, summed over the CPUs; `None` if they could not be read.
    pub kernel: Option<CpuStats>,
}

/// Remembers the reading before. One for a life of the live table: a new one begins anew.
#[derive(Debug, Default)]
pub struct Recorder {
    before: Option<Before>,
}

#[derive(Debug)]
struct Before {
    second: u64,
    since: Duration,
    changes: Option<ChangesSeen>,
    kernel: Option<[Option<u32>; COUNTERS.len()]>,
    counters: Option<CountersRead>,
}

/// Births and deaths as they were seen last.
#[derive(Clone, Copy, Debug)]
struct ChangesSeen {
    since: Duration,
    births: u64,
    deaths: u64,
}

#[derive(Clone, Copy, Debug)]
struct CountersRead {
    at_ns: u64,
    since: Duration,
    moved: Moved,
}

impl Recorder {
    /// The sample of a reading; `None` for a second reading of the same second, whose differences the
    /// next sample has.
    pub fn take(&mut self, reading: &Reading) -> Option<Sample> {
        let summary = reading.summary.as_ref();
        let second = reading.time_ns / 1_000_000_000;
        let before = self.before.as_ref();
        if before.is_some_and(|before| before.second == second) {
            return None;
        }
        let kernel = reading.kernel.as_ref().map(counters_of);
        // The monotonic clock alone says how long it was: the other one may have jumped.
        let elapsed = before
            .and_then(|before| reading.since.checked_sub(before.since))
            .filter(|elapsed| !elapsed.is_zero() && *elapsed <= LONGEST);
        let seen = summary.map(|summary| ChangesSeen {
            since: reading.since,
            births: summary.births,
            deaths: summary.deaths,
        });
        // While the table was not followed for a moment, its births went on, and are found afterwards.
        let known = elapsed.and(before).and_then(|before| before.changes);
        let changes = seen
            .zip(known)
            .and_then(|(now, before)| changes(before, now));
        let counted = elapsed.and_then(|elapsed| {
            let counters = risen(&before?.kernel?, &kernel?)?;
            Some(Counted {
                millis: millis(elapsed),
                counters,
            })
        });
        let (counters, traffic) = traffic(before.and_then(|before| before.counters), reading);
        self.before = Some(Before {
            second,
            since: reading.since,
            changes: seen.or(known),
            kernel,
            counters,
        });
        Some(Sample {
            time: second,
            connections: reading.connections,
            limit: reading.limit,
            parts: summary.map(parts),
            changes,
            traffic,
            kernel: counted,
        })
    }
}

fn parts(summary: &Summary) -> Parts {
    let mut parts = Parts {
        seconds: 1,
        assured: summary.assured,
        unreplied: summary.unreplied,
        nat: summary.nat,
        ..Parts::default()
    };
    for &(protocol, connections) in &summary.protocols {
        if let Some(sum) = parts.protocols.get_mut(protocol_index(protocol)) {
            *sum += connections;
        }
    }
    let states = summary.states.iter().filter(|(_, _, count)| *count > 0);
    parts.states = states
        .filter_map(|&(protocol, name, count)| Some((State::of(protocol, name)?, count)))
        .collect();
    parts.states.sort_unstable();
    parts
}

fn changes(before: ChangesSeen, now: ChangesSeen) -> Option<Changes> {
    let elapsed = now.since.checked_sub(before.since)?;
    if elapsed > LONGEST_BETWEEN_READINGS {
        return None;
    }
    Some(Changes {
        millis: millis(elapsed),
        births: now.births.checked_sub(before.births)?,
        deaths: now.deaths.checked_sub(before.deaths)?,
    })
}

/// What moved since the counters were read before, and what the next reading is compared with.
fn traffic(
    before: Option<CountersRead>,
    reading: &Reading,
) -> (Option<CountersRead>, Option<Traffic>) {
    let at_ns = reading.counters_ns.unwrap_or(reading.time_ns);
    let Some(summary) = &reading.summary else {
        // What moves while the table is not followed is found afterwards.
        return (before, None);
    };
    let Some(moved) = summary.moved.filter(|_| at_ns > 0) else {
        return (None, None);
    };
    let now = CountersRead {
        at_ns,
        since: reading.since,
        moved,
    };
    let Some(before) = before else {
        return (Some(now), None);
    };
    if before.at_ns == at_ns {
        return (Some(before), None);
    }
    let difference = || {
        let seen = reading.since.checked_sub(before.since)?;
        // When they were read is more exact than when we saw it, unless the clock jumped.
        let told = at_ns.checked_sub(before.at_ns).map(Duration::from_nanos);
        let elapsed = told
            .filter(|told| told.abs_diff(seen) <= DISAGREEMENT && !told.is_zero())
            .unwrap_or(seen);
        if elapsed.is_zero() || elapsed > LONGEST_BETWEEN_READINGS {
            return None;
        }
        Some(Traffic {
            millis: millis(elapsed),
            bytes: moved.bytes.checked_sub(before.moved.bytes)?,
            packets: moved.packets.checked_sub(before.moved.packets)?,
        })
    };
    (Some(now), difference())
}

/// By how much counters rose, that wrap at 2³²; `None` if nothing is known of any.
fn risen(
    before: &[Option<u32>; COUNTERS.len()],
    now: &[Option<u32>; COUNTERS.len()],
) -> Option<[Option<u64>; COUNTERS.len()]> {
    let mut risen = [None; COUNTERS.len()];
    for (risen, (before, now)) in risen.iter_mut().zip(before.iter().zip(now)) {
        *risen = before
            .zip(*now)
            .map(|(before, now)| now.wrapping_sub(before))
            .filter(|&risen| risen < MOST)
            .map(u64::from);
    }
    risen.iter().any(Option::is_some).then_some(risen)
}

fn millis(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_millis())
        .unwrap_or(u64::MAX)
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table after so many seconds of a life in which ten connections a second are born.
    fn reading(clock: u64, seconds: u64) -> Reading {
        Reading {
            time_ns: clock * 1_000_000_000 + 7_000_000,
            since: Duration::from_secs(seconds),
            connections: 100,
            limit: Some(4_096),
            summary: Some(Summary {
                births: seconds * 10,
                deaths: seconds * 4,
                moved: Some(Moved {
                    bytes: seconds * 1000,
                    packets: seconds * 3,
                }),
                protocols: vec![(6, 90), (17, 6), (47, 1), (132, 1), (99, 2)],
                states: vec![(6, "ESTABLISHED", 80), (6, "SYN_SENT", 10), (6, "CLOSE", 0)],
                ..Summary::default()
            }),
            counters_ns: None,
            kernel: Some(CpuStats {
                drop: Some(u32::try_from(seconds).unwrap().wrapping_sub(2)),
                ..CpuStats::default()
            }),
        }
    }

    fn changes(sample: &Sample) -> Option<(u64, u64)> {
        sample
            .changes
            .map(|changes| (changes.births, changes.millis))
    }

    fn dropped(sample: &Sample) -> Option<u64> {
        sample.kernel.and_then(|kernel| kernel.counters[9])
    }

    #[test]
    fn the_first_second_has_no_differences_and_the_next_has() {
        let mut recorder = Recorder::default();
        let first = recorder.take(&reading(1_000, 0)).unwrap();
        assert_eq!((first.time, first.connections), (1_000, 100));
        assert_eq!(
            (first.changes, first.traffic, first.kernel),
            (None, None, None)
        );
        let parts = first.parts.unwrap();
        assert_eq!(parts.protocols, [90, 6, 0, 0, 1, 1, 2]);
        let states: Vec<_> = parts
            .states
            .iter()
            .map(|(s, n)| (s.names().unwrap().1, *n))
            .collect();
        assert_eq!(states, [("SYN_SENT", 10), ("ESTABLISHED", 80)]);
        let next = recorder.take(&reading(1_001, 1)).unwrap();
        assert_eq!(changes(&next), Some((10, 1_000)));
        assert_eq!(next.traffic.unwrap().bytes, 1_000);
        assert_eq!(dropped(&next), Some(1));
    }

    #[test]
    fn two_readings_of_one_second_are_one_sample_and_lose_nothing() {
        let mut recorder = Recorder::default();
        recorder.take(&reading(1_000, 0)).unwrap();
        assert_eq!(recorder.take(&reading(1_000, 1)), None);
        let next = recorder.take(&reading(1_001, 2)).unwrap();
        assert_eq!(changes(&next), Some((20, 2_000)));
    }

    #[test]
    fn a_clock_that_jumps_leaves_the_differences_as_they_are() {
        for jump in [-90_000i64, -3, 40, 3_000_000_000] {
            let mut recorder = Recorder::default();
            recorder.take(&reading(100_000, 0)).unwrap();
            let time = 100_001u64.saturating_add_signed(jump);
            let after = recorder.take(&reading(time, 1)).unwrap();
            assert_eq!(after.time, time);
            assert_eq!(changes(&after), Some((10, 1_000)), "{jump}");
            assert_eq!(
                after.traffic,
                Some(Traffic {
                    millis: 1_000,
                    bytes: 1_000,
                    packets: 3
                })
            );
            assert_eq!(dropped(&after), Some(1));
        }
    }

    #[test]
    fn a_gap_stays_one() {
        let mut recorder = Recorder::default();
        recorder.take(&reading(1_000, 0)).unwrap();
        let after = recorder.take(&reading(1_060, 60)).unwrap();
        assert_eq!((after.changes, after.kernel), (None, None));
        let next = recorder.take(&reading(1_061, 61)).unwrap();
        assert_eq!(changes(&next), Some((10, 1_000)));
    }

    #[test]
    fn counts_that_began_anew_make_no_difference() {
        let mut recorder = Recorder::default();
        recorder.take(&reading(1_000, 500)).unwrap();
        let mut anew = reading(1_001, 1);
        anew.since = Duration::from_secs(501);
        let after = recorder.take(&anew).unwrap();
        assert_eq!((after.changes, after.traffic), (None, None));
        assert_eq!(dropped(&after), None);
    }

    #[test]
    fn the_kernel_s_counters_wrap() {
        let mut recorder = Recorder::default();
        let mut before = reading(1_000, 0);
        before.kernel.as_mut().unwrap().drop = Some(u32::MAX - 1);
        recorder.take(&before).unwrap();
        let mut after = reading(1_001, 1);
        after.kernel.as_mut().unwrap().drop = Some(3);
        assert_eq!(dropped(&recorder.take(&after).unwrap()), Some(5));
    }

    #[test]
    fn what_could_not_be_read_is_unknown_and_not_zero() {
        let mut recorder = Recorder::default();
        recorder.take(&reading(1_000, 0)).unwrap();
        let mut without = reading(1_001, 1);
        without.kernel = None;
        without.summary.as_mut().unwrap().moved = None;
        let sample = recorder.take(&without).unwrap();
        assert_eq!((sample.kernel, sample.traffic), (None, None));
        assert!(sample.changes.is_some());
        let sample = recorder.take(&reading(1_002, 2)).unwrap();
        assert_eq!(
            (sample.kernel, sample.traffic),
            (None, None),
            "nothing to compare with"
        );
    }

    #[test]
    fn while_the_table_is_not_followed_only_the_kernel_s_counts_are_known() {
        let mut recorder = Recorder::default();
        recorder.take(&reading(1_000, 0)).unwrap();
        let mut lost = reading(1_001, 1);
        lost.summary = None;
        let sample = recorder.take(&lost).unwrap();
        assert_eq!((sample.connections, sample.limit), (100, Some(4_096)));
        assert_eq!(dropped(&sample), Some(1));
        assert_eq!(
            (sample.parts, sample.changes, sample.traffic),
            (None, None, None)
        );
        // What happened meanwhile is found afterwards.
        let again = recorder.take(&reading(1_002, 2)).unwrap();
        assert_eq!(changes(&again), Some((20, 2_000)));
        let traffic = again.traffic.unwrap();
        assert_eq!((traffic.millis, traffic.bytes), (2_000, 2_000));
        assert!(again.parts.is_some());
    }

    #[test]
    fn bytes_belong_to_the_while_between_two_readings_of_the_counters() {
        let mut recorder = Recorder::default();
        let read_at = |clock: u64, seconds: u64, counters: u64| Reading {
            counters_ns: Some(counters * 1_000_000_000),
            ..reading(clock, seconds)
        };
        recorder.take(&read_at(1_000, 0, 1_000)).unwrap();
        for second in 1..4 {
            let between = recorder
                .take(&read_at(1_000 + second, second, 1_000))
                .unwrap();
            assert_eq!(between.traffic, None);
        }
        let after = recorder.take(&read_at(1_004, 4, 1_004)).unwrap();
        assert_eq!(
            after.traffic,
            Some(Traffic {
                millis: 4_000,
                bytes: 4_000,
                packets: 12
            })
        );
        let before_any = recorder.take(&read_at(1_005, 5, 0)).unwrap();
        assert_eq!(before_any.traffic, None);
    }
}
