use std::path::PathBuf;

use proptest::prelude::*;
use tempfile::TempDir;

use super::code::tests::any_sample;
use super::fault::Fault;
use super::origin::Origin;
use super::sample::{Changes, Parts, Sample, State};
use super::series::{Ask, Series, read};
use super::span::Span;
use super::step::{Limits, Step};
use super::store::Store;
use super::{FILE, Settings};

/// The begin of a minute, in November 2026.
const NOON: u64 = 1_795_608_000;

const LIMITS: Limits = Limits([86_400, 60_480, 525_600, 8_760]);

struct File {
    folder: TempDir,
    limits: Limits,
}

impl File {
    fn new() -> Self {
        Self::with(LIMITS)
    }

    fn with(limits: Limits) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            limits,
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join(FILE)
    }

    fn open(&self) -> Store {
        self.open_at(NOON)
    }

    fn open_at(&self, now: u64) -> Store {
        Store::open(&self.path(), self.limits, &Origin::here(), now).unwrap()
    }

    /// Points of one step's rows alone.
    fn read(&self, step: Step, from: u64, to: u64) -> Series {
        let ask = Ask {
            from,
            to,
            step: Some(step.seconds()),
            points: None,
        };
        read(&self.path(), self.limits, &ask, &[]).unwrap()
    }

    /// Times of all rows of a step.
    fn times(&self, step: Step) -> Vec<u64> {
        let mut reader =
            super::read::Reader::open(Box::leak(self.path().into_boxed_path())).unwrap();
        let mut times = Vec::new();
        reader
            .rows(step, 0, u64::MAX, |time, _| times.push(time))
            .unwrap();
        times
    }
}

fn sample(time: u64, connections: u64) -> Sample {
    Sample {
        time,
        connections,
        changes: Some(Changes {
            millis: 1_000,
            births: connections,
            deaths: 1,
        }),
        ..Sample::default()
    }
}

fn samples(times: impl IntoIterator<Item = u64>) -> Vec<Sample> {
    times
        .into_iter()
        .map(|time| sample(time, time % 100))
        .collect()
}

/// What a step of these samples must be, computed in the plainest way.
fn plain(samples: &[Sample], step: Step) -> Vec<(u64, u64, u64, u64, u64, Option<u64>)> {
    let mut begins: Vec<u64> = samples
        .iter()
        .map(|s| s.time - s.time % step.seconds())
        .collect();
    begins.sort_unstable();
    begins.dedup();
    let row = |begin: u64| {
        let inside: Vec<_> = samples
            .iter()
            .filter(|s| s.time - s.time % step.seconds() == begin)
            .collect();
        let births: Vec<_> = inside
            .iter()
            .filter_map(|s| s.changes)
            .map(|c| c.births)
            .collect();
        (
            begin,
            inside.len() as u64,
            inside.iter().map(|s| s.connections).sum(),
            inside.iter().map(|s| s.connections).min().unwrap(),
            inside.iter().map(|s| s.connections).max().unwrap(),
            (!births.is_empty()).then(|| births.iter().sum()),
        )
    };
    begins.into_iter().map(row).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn coarser_rows_are_what_a_straight_computation_says(
        seconds in proptest::collection::btree_set(0..4_000u64, 1..200),
        like in proptest::collection::vec(any_sample(), 200),
        batches in 1..20usize,
        restart in any::<bool>(),
    ) {
        let all: Vec<Sample> = seconds
            .iter()
            .zip(like)
            // What happened in longer whiles is spread over points, which is no sum of rows.
            .map(|(&second, like)| Sample {
                time: NOON + second,
                changes: like.changes.map(|changes| Changes { millis: 1_000, ..changes }),
                ..like
            })
            .collect();
        let file = File::new();
        let mut store = file.open();
        for batch in all.chunks(all.len().div_ceil(batches)) {
            store.write(batch, NOON + 4_000).unwrap();
            if restart {
                drop(store);
                store = file.open_at(NOON + 4_000);
            }
        }
        for step in Step::ALL {
            let mut found = Vec::new();
            let series = file.read(step, NOON, NOON + 4_000);
            for point in &series.points {
                let births = point.births.map(|births| births.sum);
                let mean = point.connections.mean * point.known_seconds as f64;
                found.push((point.time, point.known_seconds, mean, point.connections.min, point.connections.max, births));
            }
            let expected = plain(&all, step);
            prop_assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                prop_assert_eq!((found.0, found.1), (expected.0, expected.1));
                let off = (found.2 - expected.2 as f64).abs();
                prop_assert!(off <= 1.0 + expected.2 as f64 * 1e-9, "{} {}", found.2, expected.2);
                prop_assert_eq!((found.3, found.4, found.5), (expected.3, expected.4, expected.5));
            }
        }
        // The rows themselves, exactly, once all of them are closed.
        store.finish().unwrap();
        drop(store);
        let path = file.path();
        let mut reader = super::read::Reader::open(&path).unwrap();
        for step in Step::ALL {
            let mut found = Vec::new();
            reader.rows(step, 0, u64::MAX, |time, span| {
                let births = span.changes.map(|changes| changes.births);
                found.push((time, span.seconds, span.connections, span.least, span.most, births));
            }).unwrap();
            prop_assert_eq!(found, plain(&all, step));
        }
    }

    #[test]
    fn how_spans_are_put_together_makes_no_difference(
        samples in proptest::collection::vec(any_sample(), 3..12),
        cut in 1..3usize,
    ) {
        let sum = |samples: &[Sample]| {
            let mut spans = samples.iter().map(Span::from);
            let mut sum = spans.next().unwrap();
            spans.for_each(|span| sum.add(&span));
            sum
        };
        let (first, second) = samples.split_at(cut);
        let mut parts = sum(first);
        parts.add(&sum(second));
        prop_assert_eq!(parts, sum(&samples));
    }
}

#[test]
fn a_gap_is_no_row_at_any_step_and_an_unknown_is_not_zero() {
    let file = File::new();
    let mut store = file.open();
    let mut all = samples(NOON..NOON + 5);
    all.extend(samples(NOON + 185..NOON + 190));
    for sample in &mut all {
        sample.changes = None;
    }
    store.write(&all, NOON + 200).unwrap();
    for (step, begins) in [
        (Step::TenSeconds, vec![NOON, NOON + 180]),
        (Step::Minute, vec![NOON, NOON + 180]),
    ] {
        let series = file.read(step, NOON, NOON + 240);
        let times: Vec<_> = series.points.iter().map(|point| point.time).collect();
        assert_eq!(times, begins);
        for point in &series.points {
            assert_eq!(point.known_seconds, 5);
            assert_eq!(
                (point.births, point.bytes, point.kernel.as_ref()),
                (None, None, None)
            );
        }
    }
}

#[test]
fn as_many_rows_as_the_days_have_are_kept_and_the_oldest_go() {
    let file = File::with(Limits([30, 6, 4, 2]));
    let mut store = file.open();
    for sample in samples(NOON..NOON + 600) {
        store.write(&[sample], NOON + 600).unwrap();
    }
    assert_eq!(
        file.times(Step::Second),
        Vec::from_iter(NOON + 570..NOON + 600)
    );
    let tens = Vec::from_iter((NOON + 530..NOON + 590).step_by(10));
    assert_eq!(file.times(Step::TenSeconds), tens);
    let minutes = Vec::from_iter((NOON + 300..NOON + 540).step_by(60));
    assert_eq!(file.times(Step::Minute), minutes);
    assert_eq!(store.rows(), [30, 6, 4, 0]);
    drop(store);
    assert_eq!(file.open().rows(), [30, 6, 4, 0], "counted anew");
}

#[test]
fn a_while_that_begins_in_a_gap_is_as_fine_as_what_follows_it() {
    let file = File::new();
    let mut store = file.open();
    let all = samples((NOON..NOON + 2_760).chain(NOON + 4_260..NOON + 4_500));
    store.write(&all, NOON + 4_500).unwrap();
    let ask = Ask {
        from: NOON + 3_543,
        to: NOON + 4_500,
        step: Some(1),
        points: None,
    };
    let series = read(&file.path(), file.limits, &ask, &[]).unwrap();
    assert_eq!((series.step, series.points.len()), (1, 240));
}

#[test]
fn a_step_that_is_finer_than_what_is_kept_is_answered_with_the_finest_that_is() {
    let file = File::with(Limits([30, 6, 4, 2]));
    let mut store = file.open();
    store.write(&samples(NOON..NOON + 600), NOON + 600).unwrap();
    // Seconds go back to 570, ten seconds to 530, minutes to 300.
    for (asked, from, to, step, known) in [
        (1, 575, 600, 1, 25),
        (1, 535, 565, 10, 40),
        (1, 531, 536, 10, 10),
        (1, 303, 305, 60, 60),
        (1, 300, 600, 60, 300),
        (10, 300, 420, 60, 120),
        (75, 535, 600, 80, 70),
        (75, 300, 600, 120, 300),
        (60, 535, 600, 60, 120),
        (1, 0, 100, 1, 0),
    ] {
        let ask = Ask {
            from: NOON + from,
            to: NOON + to,
            step: Some(asked),
            points: None,
        };
        let series = read(&file.path(), file.limits, &ask, &[]).unwrap();
        assert_eq!(series.step, step, "{asked} from {from}");
        let points = series.points.iter();
        let seconds: u64 = points.map(|point| point.known_seconds).sum();
        assert_eq!(seconds, known, "{asked} from {from}: {series:?}");
    }
    // A while in which the daemon did not run is no reason for longer steps.
    let file = File::new();
    file.open()
        .write(&samples(NOON + 900..NOON + 1_200), NOON + 1_200)
        .unwrap();
    assert_eq!(file.read(Step::Second, NOON, NOON + 1_200).step, 1);
}

#[test]
fn fewer_days_than_before_make_the_file_smaller() {
    let mut file = File::new();
    let mut store = file.open();
    store
        .write(
            &Vec::from_iter((NOON..NOON + 40_000).map(busy)),
            NOON + 40_000,
        )
        .unwrap();
    drop(store);
    let before = file.path().metadata().unwrap().len();
    file.limits = Limits([100, 60_480, 525_600, 8_760]);
    let mut store = file.open_at(NOON + 40_000);
    for sample in samples(NOON + 40_000..NOON + 40_100) {
        let now = sample.time;
        store.write(&[sample], now).unwrap();
    }
    drop(store);
    assert_eq!(file.times(Step::Second).len(), 100);
    let after = file.path().metadata().unwrap().len();
    // 500 pages of 2 KiB may stay for what comes.
    assert!(after < before && after < 3 << 20, "{before} {after}");
}

#[test]
fn a_clock_that_went_back_counts_anew() {
    let file = File::new();
    let mut store = file.open();
    store.write(&samples(NOON..NOON + 130), NOON + 130).unwrap();
    let anew: Vec<_> = (NOON + 60..NOON + 190)
        .map(|time| sample(time, 7_000))
        .collect();
    for sample in anew {
        let now = sample.time;
        store.write(&[sample], now).unwrap();
    }
    let seconds = file.read(Step::Second, NOON, NOON + 200).points;
    assert_eq!(seconds.len(), 190);
    assert!(
        seconds[60..]
            .iter()
            .all(|point| point.connections.max == 7_000)
    );
    let minutes = file.read(Step::Minute, NOON, NOON + 200).points;
    let births: Vec<_> = minutes
        .iter()
        .map(|point| point.births.unwrap().sum)
        .collect();
    assert_eq!(births[1..], [60 * 7_000, 60 * 7_000, 10 * 7_000]);
    assert_eq!(minutes[0].connections.max, 59);
}

#[test]
fn a_clock_that_is_wrong_for_a_while_takes_no_more_rows_along_than_it_makes() {
    const FAR: u64 = 3_000_000_000;
    for wrong in [NOON + FAR, 100] {
        let file = File::with(Limits([600, 600, 600, 600]));
        let mut store = file.open();
        store.write(&samples(NOON..NOON + 600), NOON + 600).unwrap();
        for sample in samples(wrong..wrong + 50) {
            let now = sample.time;
            store.write(&[sample], now).unwrap();
        }
        let right = |times: &[u64]| {
            times
                .iter()
                .filter(|time| (NOON..NOON + 10_000).contains(time))
                .count()
        };
        let times = file.times(Step::Second);
        assert_eq!((times.len(), right(&times)), (600, 550), "{wrong}");
        // Mended: what the wrong clock wrote goes first.
        for sample in samples(NOON + 700..NOON + 750) {
            let now = sample.time;
            store.write(&[sample], now).unwrap();
        }
        let times = file.times(Step::Second);
        assert_eq!((times.len(), right(&times)), (600, 600), "{wrong}");
    }
}

#[test]
fn a_row_whose_bytes_are_broken_is_told_and_left_out() {
    let file = File::new();
    let mut store = file.open();
    store.write(&samples(NOON..NOON + 10), NOON + 10).unwrap();
    let other = rusqlite::Connection::open(file.path()).unwrap();
    other
        .execute(
            "UPDATE seconds SET data = x'ffff' WHERE time = ?",
            [NOON + 3],
        )
        .unwrap();
    let series = file.read(Step::Second, NOON, NOON + 10);
    assert_eq!((series.points.len(), series.unreadable), (9, 1));
    store
        .write(&samples(NOON + 10..NOON + 11), NOON + 11)
        .unwrap();
    let ten = file.read(Step::TenSeconds, NOON, NOON + 10);
    assert_eq!(ten.points[0].known_seconds, 9);
}

#[test]
fn samples_that_are_not_written_yet_are_in_the_answer_once() {
    let file = File::new();
    let mut store = file.open();
    let all = samples(NOON..NOON + 130);
    store.write(&all[..125], NOON + 130).unwrap();
    for step in Step::ALL {
        let ask = Ask {
            from: NOON,
            to: NOON + 600,
            step: Some(step.seconds()),
            points: None,
        };
        // Some of what waits has been written meanwhile.
        let series = read(&file.path(), file.limits, &ask, &all[120..]).unwrap();
        let known: u64 = series.points.iter().map(|point| point.known_seconds).sum();
        assert_eq!(known, 130, "{step:?}");
    }
}

#[test]
fn two_daemons_do_not_record_in_one_file() {
    let file = File::new();
    let _first = file.open();
    match Store::open(&file.path(), LIMITS, &Origin::here(), NOON) {
        Err(Fault::Other(failure)) => assert_eq!(failure.code, "history-busy"),
        other => panic!("{:?}", other.map(|_| ())),
    }
}

#[test]
fn days_are_checked_with_the_line_and_make_so_many_rows() {
    let parse = |text: &str| {
        let path = std::path::Path::new("t.toml");
        crate::Config::parse(text, path).map_err(|failure| failure.message)
    };
    let config = parse("[history]\nsecond-days = 2\nminute-days = 3660").unwrap();
    let limits = Limits::from(&config.history);
    assert_eq!(limits.0, [2 * 86_400, 60_480, 3_660 * 1_440, 3_660 * 24]);
    assert_eq!(Limits::from(&Settings::default()).0, LIMITS.0);
    for (text, expected) in [
        (
            "[history]\nsecond-days = 32",
            "t.toml, line 2: 32 is not between 1 and 31 days",
        ),
        (
            "[history]\n\nten-second-days = 0",
            "t.toml, line 3: 0 is not between 1 and 366 days",
        ),
        (
            "[history]\nminute-days = -1",
            "t.toml, line 2: -1 is not between 1 and 3660 days",
        ),
        (
            "[history]\nminutes = 1",
            "t.toml, line 2: unknown setting `minutes`",
        ),
    ] {
        let message = parse(text).unwrap_err();
        assert!(message.starts_with(expected), "{message}");
    }
}

/// A table as a busy gateway's is.
fn busy(time: u64) -> Sample {
    let state = |state| State { protocol: 6, state };
    let wave = time % 1_000;
    Sample {
        time,
        connections: 180_000 + wave * 37,
        limit: Some(262_144),
        parts: Some(Parts {
            seconds: 1,
            protocols: [120_000 + wave * 30, 60_000 + wave * 7, 300, 40, 2, 5, 1],
            states: (1..9)
                .map(|n| (state(n), 900 * u64::from(n) + wave))
                .collect(),
            assured: 100_000 + wave,
            unreplied: 21_000 + wave,
            nat: 150_000 + wave,
        }),
        changes: Some(Changes {
            millis: 1_001,
            births: 4_000 + wave,
            deaths: 3_900 + wave,
        }),
        traffic: Some(super::Traffic {
            millis: 1_001,
            bytes: 1_100_000_000 + wave * 123_457,
            packets: 900_000 + wave * 777,
        }),
        kernel: Some(super::Counted {
            millis: 1_001,
            counters: std::array::from_fn(|index| (index % 2 == 0).then_some(wave * index as u64)),
        }),
    }
}

/// Slow: the rows of a whole year. `cargo test -p engine --release a_year -- --ignored --nocapture`
#[test]
#[ignore = "a minute; prints the sizes that docs/history.md tells"]
fn a_year_of_a_busy_gateway_is_below_100_mb() {
    let file = File::new();
    let begin = NOON - 365 * 86_400;
    let mut store = file.open_at(begin);
    // The rows of all steps as a year of recording leaves them, each step at its own pace.
    for (step, limit) in Step::ALL.into_iter().zip(LIMITS.0) {
        let first = NOON - limit * step.seconds();
        let times: Vec<u64> = (first..NOON).step_by(step.seconds() as usize).collect();
        for times in times.chunks(10_000) {
            store.fill(step, times, |time| {
                let mut sum = Span::from(&busy(time));
                for second in 1..step.seconds().min(60) {
                    sum.add(&Span::from(&busy(time + second * step.seconds() / 60)));
                }
                sum
            });
        }
    }
    assert_eq!(store.rows(), LIMITS.0);
    // And a while of recording in the full file.
    let written = || {
        let text = std::fs::read_to_string("/proc/thread-self/io").unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("wchar: "));
        line.unwrap().parse::<u64>().unwrap()
    };
    let before = written();
    for time in NOON..NOON + 3_600 {
        store.write(&[busy(time)], time).unwrap();
    }
    assert_eq!(store.rows(), LIMITS.0);
    let hour = written() - before;
    let started = std::time::Instant::now();
    drop(store);
    let closing = started.elapsed();
    let started = std::time::Instant::now();
    drop(file.open_at(NOON + 3_600));
    let opening = started.elapsed();
    let size = file.path().metadata().unwrap().len();
    let started = std::time::Instant::now();
    let ask = Ask {
        from: begin,
        to: NOON + 3_600,
        step: None,
        points: Some(2_000),
    };
    let series = read(&file.path(), LIMITS, &ask, &[]).unwrap();
    eprintln!(
        "{size} bytes; an hour of recording writes {hour} bytes; closed in {closing:.1?}, opened and checked in {opening:.1?}; a year in {} \
         points in {:.1?}",
        series.points.len(),
        started.elapsed()
    );
    assert!(size < 100_000_000, "{size}");
    assert!((1_000..=2_000).contains(&series.points.len()));
}
