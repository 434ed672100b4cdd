//! What was recorded of a while, as points of a curve.

use std::path::Path;

use super::Settings;
use super::origin::Origin;
use super::point::Point;
use super::read::Reader;
use super::sample::{Sample, Spread};
use super::span::Span;
use super::step::{Limits, Step};
use crate::failure::Failure;

/// Which while is wanted, and how fine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// From when, in seconds since the epoch. The first point begins where its step does, at or before it.
    pub from: u64,
    /// Until when, in seconds since the epoch, itself not.
    pub to: u64,
    /// How many seconds a point is of; `None` for the finest that was kept for so long. Where nothing so fine is
    /// kept any more, the points are of more seconds.
    pub step: Option<u64>,
    /// How many points at most: coarser ones where there are more. Overrules the step.
    pub points: Option<usize>,
}

/// What was recorded of a while.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Series {
    /// From when, in seconds since the epoch: the begin of the first step.
    pub from: u64,
    /// Until when, in seconds since the epoch, itself not.
    pub to: u64,
    /// How many seconds a point is of: those that were asked for, or more where nothing so fine is kept.
    pub step: u64,
    /// From which rows the points were made.
    pub rows: Step,
    /// Whose table it is.
    pub origin: Origin,
    /// Rows that could not be read, and are not in any point.
    pub unreadable: u64,
    /// The points, the oldest first. Where nothing is known there is none.
    pub points: Vec<Point>,
}

/// Lengths that a person can add up: the next one is taken where there would be too many points.
const NICE: [u64; 18] = [
    1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200,
    86_400,
];

/// Points of one answer: a day of seconds, a week of ten, and what is held in memory for them is 100 MB.
const MOST_POINTS: u64 = 100_000;

/// Reads a while from a file, which a daemon may be writing.
pub fn series(path: &Path, settings: &Settings, ask: &Ask) -> Result<Series, Failure> {
    read(path, Limits::from(settings), ask, &[])
}

/// Connections of single seconds, the oldest first, and whose they are: what the contract wants, without
/// the rest.
pub(crate) fn counts(
    path: &Path,
    from: u64,
    to: u64,
) -> Result<(Origin, Vec<(u64, u64)>), Failure> {
    let mut reader = Reader::open(path)?;
    let mut counts = Vec::new();
    reader.rows(Step::Second, from, to, |time, span| {
        counts.push((time, span.connections));
    })?;
    Ok((reader.origin()?, counts))
}

/// What [`series`] does, with samples that are not in the file yet.
pub(super) fn read(
    path: &Path,
    limits: Limits,
    ask: &Ask,
    waiting: &[Sample],
) -> Result<Series, Failure> {
    let present = crate::now() / 1_000_000_000;
    let width = resolve(ask, limits, present)?;
    let mut reader = Reader::open(path)?;
    let (width, rows) = kept(width, reader.finest(ask.from, ask.to)?);
    let from = ask.from - ask.from % width;
    let mut points = Points::new(width);
    let mut next = from;
    // Coarse rows, and what is not in them yet from the finer ones.
    let mut step = Some(rows);
    while let Some(now) = step {
        let begin = next.max(from);
        // A coarse row of a time that is not over was written by a clock that was ahead, or when the daemon ended:
        // the finer ones have more.
        let to = match now {
            Step::Second => ask.to,
            _ => ask.to.min(present.saturating_sub(now.seconds()) + 1),
        };
        reader.rows(now, begin, to, |time, span| {
            points.add(time, span);
        })?;
        if let Some(last) = reader.last(now, to)? {
            next = next.max(last + now.seconds());
        }
        step = now.finer();
    }
    for sample in waiting {
        if sample.time >= next && sample.time < ask.to {
            points.add(sample.time, Span::from(sample));
        }
    }
    Ok(Series {
        from,
        to: ask.to,
        step: width,
        rows,
        origin: reader.origin()?,
        unreadable: reader.unreadable,
        points: points.done(from),
    })
}

/// How long a point is, as far as the question says.
fn resolve(ask: &Ask, limits: Limits, now: u64) -> Result<u64, Failure> {
    let usage = |message: String, hint: &str| Failure::new("usage", message, hint);
    let length = ask.to.saturating_sub(ask.from);
    if length == 0 {
        return Err(usage(
            "the while ends before it begins".to_owned(),
            "the first moment must be before the last",
        ));
    }
    if ask.step == Some(0) || ask.points == Some(0) {
        return Err(usage(
            "a step and a number of points are 1 at least".to_owned(),
            "leave them out for what fits",
        ));
    }
    let points = match (ask.points, ask.step) {
        (Some(points), _) => Some((points as u64).min(MOST_POINTS)),
        (None, None) => Some(MOST_POINTS),
        (None, Some(_)) => None,
    };
    let fewest = points.map_or(1, |points| length.div_ceil(points).max(1));
    let width = match ask.step {
        Some(step) => step.max(round_up(fewest)),
        None => {
            let finest = Step::ALL
                .into_iter()
                .find(|&step| ask.from.saturating_add(limits.reach(step)) >= now)
                .unwrap_or(Step::Minute);
            round_up(fewest.max(finest.seconds()))
        }
    };
    if length / width > MOST_POINTS {
        return Err(usage(
            format!("that would be {} points", length / width),
            "ask for a longer step or a shorter while",
        ));
    }
    Ok(width)
}

/// How long a point is where rows finer than `finest` are not there any more, and of which rows it is made.
fn kept(width: u64, finest: Step) -> (u64, Step) {
    let whole = width.checked_next_multiple_of(finest.seconds());
    let width = whole.unwrap_or(width);
    let mut steps = Step::ALL.into_iter().rev();
    let rows = steps.find(|step| width.is_multiple_of(step.seconds()));
    (width, rows.unwrap_or(Step::Second))
}

fn round_up(seconds: u64) -> u64 {
    const DAY: u64 = 86_400;
    let nice = NICE.into_iter().find(|&nice| nice >= seconds);
    nice.unwrap_or_else(|| seconds.div_ceil(DAY).saturating_mul(DAY))
}

/// Rows, in the order of their time, that become points.
struct Points {
    width: u64,
    spans: Vec<(u64, Span)>,
}

impl Points {
    const fn new(width: u64) -> Self {
        Self {
            width,
            spans: Vec::new(),
        }
    }

    fn add(&mut self, time: u64, span: Span) {
        let begin = time - time % self.width;
        match self.spans.last_mut() {
            Some((last, sum)) if *last == begin => sum.add(&span),
            _ => self.spans.push((begin, span)),
        }
    }

    fn done(mut self, from: u64) -> Vec<Point> {
        spread(&mut self.spans, self.width, from, |span| &mut span.traffic);
        spread(&mut self.spans, self.width, from, |span| &mut span.changes);
        let spans = self.spans.iter();
        spans.map(|(time, span)| Point::new(*time, span)).collect()
    }
}

/// Spreads what happened since it was known before evenly over the points since then, which are those in front of
/// it of which nothing is known. What belongs to a time before `from` is of no point.
fn spread<T: Spread>(
    spans: &mut [(u64, Span)],
    width: u64,
    from: u64,
    what: fn(&mut Span) -> &mut Option<T>,
) {
    let length = width.saturating_mul(1_000);
    let mut unknown = 0;
    for at in 0..spans.len() {
        let Some((time, span)) = spans.get_mut(at) else {
            return;
        };
        let Some(all) = *what(span) else {
            unknown += 1;
            continue;
        };
        // A reading may lie in the second after that in which it was seen.
        let most = all.millis().div_ceil(length).max(1) - 1;
        let begin = time.saturating_sub(most.saturating_mul(width));
        let outside = if unknown == at {
            // Readings tremble: 1,020 milliseconds are one second.
            let points = all.millis().saturating_add(length / 2) / length;
            let begin = time.saturating_sub(points.saturating_sub(1).saturating_mul(width));
            from.saturating_sub(begin) / width
        } else {
            0
        };
        let covered = spans.iter().take(at).skip(at - unknown);
        let covered = covered.filter(|(time, _)| *time >= begin).count();
        let shares = covered as u64 + 1 + outside;
        let parts = spans.iter_mut().take(at + 1).skip(at - covered);
        for (part, (_, span)) in (outside..).zip(parts) {
            *what(span) = Some(all.share(part, shares));
        }
        unknown = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{Changes, Traffic};
    use super::*;

    const NOW: u64 = 1_800_000_000;
    const DAY: u64 = 86_400;

    fn resolved(last: u64, step: Option<u64>, points: Option<usize>) -> (u64, Step) {
        let limits = Limits::from(&Settings::default());
        let ask = Ask {
            from: NOW - last,
            to: NOW,
            step,
            points,
        };
        kept(resolve(&ask, limits, NOW).unwrap(), Step::Second)
    }

    #[test]
    fn the_finest_step_that_was_kept_for_so_long_is_taken() {
        assert_eq!(resolved(900, None, None), (1, Step::Second));
        assert_eq!(resolved(DAY, None, None), (1, Step::Second));
        assert_eq!(resolved(DAY + 1, None, None), (10, Step::TenSeconds));
        assert_eq!(resolved(7 * DAY, None, None), (10, Step::TenSeconds));
        assert_eq!(resolved(8 * DAY, None, None), (60, Step::Minute));
        assert_eq!(resolved(60 * DAY, None, None), (60, Step::Minute));
        // A hundred thousand points are enough for any answer.
        assert_eq!(resolved(800 * DAY, None, None), (900, Step::Minute));
    }

    #[test]
    fn points_are_made_coarser_until_there_are_few_enough() {
        assert_eq!(resolved(900, None, Some(2_000)), (1, Step::Second));
        assert_eq!(resolved(900, None, Some(60)), (20, Step::TenSeconds));
        assert_eq!(resolved(DAY, None, Some(2_000)), (60, Step::Minute));
        assert_eq!(resolved(365 * DAY, None, Some(2_000)), (21_600, Step::Hour));
        assert_eq!(
            resolved(3_650 * DAY, None, Some(100)),
            (37 * DAY, Step::Hour)
        );
        assert_eq!(resolved(900, Some(7), None), (7, Step::Second));
        assert_eq!(resolved(900, Some(70), None), (70, Step::TenSeconds));
        assert_eq!(resolved(900, Some(1), Some(90)), (10, Step::TenSeconds));
    }

    #[test]
    fn where_fine_rows_are_gone_points_are_of_whole_coarser_ones() {
        assert_eq!(kept(1, Step::Second), (1, Step::Second));
        assert_eq!(kept(1, Step::TenSeconds), (10, Step::TenSeconds));
        assert_eq!(kept(75, Step::TenSeconds), (80, Step::TenSeconds));
        assert_eq!(kept(75, Step::Minute), (120, Step::Minute));
        assert_eq!(kept(3_600, Step::Minute), (3_600, Step::Hour));
    }

    fn second(traffic: Option<(u64, u64)>) -> Span {
        Span::from(&Sample {
            traffic: traffic.map(|(millis, bytes)| Traffic {
                millis,
                bytes,
                packets: bytes / 10,
            }),
            ..Sample::default()
        })
    }

    fn bytes(points: &[Point]) -> Vec<Option<(u64, f64)>> {
        let bytes = points.iter().map(|point| point.bytes);
        bytes
            .map(|bytes| bytes.map(|bytes| (bytes.sum, bytes.per_second)))
            .collect()
    }

    #[test]
    fn what_a_reading_has_moved_is_spread_over_the_seconds_since_the_one_before() {
        let mut points = Points::new(1);
        let rows = [
            // Of two seconds before the while, too.
            (100, None),
            (101, Some((4_000, 4_000))),
            (102, Some((1_020, 2_040))),
            (103, None),
            (104, None),
            (105, Some((2_990, 299))),
            // The daemon was not there for 107.
            (106, None),
            (108, Some((3_000, 300))),
            // Nobody knows yet.
            (109, None),
        ];
        for (time, traffic) in rows {
            points.add(time, second(traffic));
        }
        let points = points.done(100);
        let expected = [
            Some((1_000, 1_000.0)),
            Some((1_000, 1_000.0)),
            Some((2_040, 2_000.0)),
            Some((99, 99.398)),
            Some((100, 100.301)),
            Some((100, 100.301)),
            Some((150, 100.0)),
            Some((150, 100.0)),
            None,
        ];
        assert_eq!(bytes(&points), expected);
    }

    #[test]
    fn readings_between_the_seconds_leave_no_gap() {
        // Every 1.4 seconds: seen in the second and the third second, in the fifth, in the sixth.
        let mut points = Points::new(1);
        let reading = Some((1_400, 1_400));
        for (time, traffic) in [
            (2, reading),
            (3, reading),
            (4, None),
            (5, reading),
            (6, reading),
        ] {
            points.add(time, second(traffic));
        }
        let points = points.done(2);
        assert!(
            points.iter().all(|point| point.bytes.is_some()),
            "{points:?}"
        );
        let sum: u64 = points.iter().filter_map(|p| Some(p.bytes?.sum)).sum();
        assert_eq!(sum, 4 * 1_400);
    }

    #[test]
    fn births_while_the_table_was_not_followed_are_spread_over_that_time() {
        let mut points = Points::new(1);
        for (time, births) in [
            (1, Some((1_000, 10))),
            (2, None),
            (3, None),
            (4, Some((3_000, 60))),
        ] {
            points.add(
                time,
                Span::from(&Sample {
                    changes: births.map(|(millis, births)| Changes {
                        millis,
                        births,
                        deaths: 0,
                    }),
                    ..Sample::default()
                }),
            );
        }
        let births = points.done(1).into_iter().map(|point| point.births);
        let births: Vec<_> = births.map(|births| births.unwrap().per_second).collect();
        assert_eq!(births, [10.0, 20.0, 20.0, 20.0]);
    }

    #[test]
    fn points_that_are_longer_than_what_is_between_two_readings_stay_as_they_are() {
        let mut points = Points::new(10);
        let rows = [
            (4, 4_000, 400),
            (8, 4_000, 400),
            (12, 4_000, 400),
            (19, 7_000, 700),
        ];
        for (time, millis, sum) in rows {
            points.add(time, second(Some((millis, sum))));
        }
        let points = points.done(0);
        assert_eq!(bytes(&points), [Some((800, 100.0)), Some((1_100, 100.0))]);
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        let limits = Limits::from(&Settings::default());
        let good = Ask {
            from: NOW - 60,
            to: NOW,
            step: None,
            points: None,
        };
        for bad in [
            Ask {
                to: NOW - 60,
                ..good
            },
            Ask { to: 0, ..good },
            Ask {
                step: Some(0),
                ..good
            },
            Ask {
                points: Some(0),
                ..good
            },
            Ask {
                from: 0,
                step: Some(1),
                ..good
            },
        ] {
            let failure = resolve(&bad, limits, NOW).unwrap_err();
            assert_eq!(failure.code, "usage", "{bad:?}");
        }
        let all_in_one = Ask {
            from: 0,
            to: u64::MAX,
            points: Some(1),
            ..good
        };
        assert_eq!(resolve(&all_in_one, limits, NOW).unwrap(), u64::MAX);
        assert_eq!(kept(u64::MAX, Step::Hour).0, u64::MAX);
    }
}
