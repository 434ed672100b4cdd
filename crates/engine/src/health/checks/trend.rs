//! When the table will be full.

use super::super::facts::{Count, Facts};
use super::super::{Finding, Severity, grouped};
use super::fill::raise;
use super::{Check, fine, one};

/// When the table will be full.
pub(super) const TIME_TO_FULL: Check = Check {
    code: "time-to-full",
    what: "when the table will be full",
    when: "notice below 24 hours, warning below 1 hour, critical below 10 minutes; only from a steady rise over \
           30 seconds and 5 counts at least, of the last 40 seconds, 2, 5 or 30 minutes; not of a table that is full",
    look: time_to_full,
};

/// How long a while a line is drawn through, in seconds: a flood shows within minutes, and so slow a rise
/// as a day's only in a longer one.
const WINDOWS: [f64; 4] = [40.0, 120.0, 300.0, 1_800.0];

/// Beyond so many seconds the longest line alone is believed: in a few minutes everything goes up and down.
const FAR: f64 = 3_600.0;

fn time_to_full(facts: &Facts) -> Option<Vec<Finding>> {
    let (entries, limit) = facts.limited()?;
    let trends = trends(&facts.counts);
    let longest = trends.last()?.seconds;
    let left = limit.saturating_sub(entries);
    // That it is full is told by its fill.
    if left <= limit / 1000 {
        return fine();
    }
    let left = left as f64;
    let soonest = trends
        .iter()
        .filter(|trend| trend.is_rise(limit))
        .map(|trend| (left / trend.per_second, trend))
        .filter(|(seconds, trend)| *seconds < FAR || trend.seconds >= longest)
        .min_by(|(a, _), (b, _)| a.total_cmp(b));
    let Some((seconds, trend)) = soonest else {
        return fine();
    };
    let severity = match seconds {
        ..600.0 => Severity::Critical,
        ..FAR => Severity::Warning,
        ..86_400.0 => Severity::Notice,
        _ => return fine(),
    };
    one(Some(
        Finding::new(
            TIME_TO_FULL.code,
            severity,
            format!("The connection table will be full in {}", span(seconds)),
        )
        .evidence(format!(
            "{} of {} entries, {:.1} more every second over the last {}.",
            grouped(entries),
            grouped(limit),
            trend.per_second,
            span(trend.seconds)
        ))
        .value("entries", entries)
        .value("limit", limit)
        .value("entries_per_second", trend.per_second)
        .value("over_seconds", trend.seconds)
        .value("full_in_seconds", seconds.round() as u64)
        .consequence("If it goes on like this, new connections will be dropped from then on.")
        .step(facts.place.tracklight("group --by src --sort newest -n 10"))
        .steps(raise(facts, entries, limit)),
    ))
}

/// A straight line through counts.
struct Trend {
    per_second: f64,
    seconds: f64,
    /// How well it fits, 0 to 1 (the coefficient of determination).
    fit: f64,
}

/// The lines through the last while of each length, the shortest first; a while that has no more counts
/// than a shorter one has none.
fn trends(counts: &[Count]) -> Vec<Trend> {
    let Some(last) = counts.last() else {
        return Vec::new();
    };
    let mut taken = 0;
    let within = WINDOWS.map(|window| {
        let is_older = |count: &Count| last.at.duration_since(count.at).as_secs_f64() > window;
        counts.split_at(counts.partition_point(is_older)).1
    });
    let more = within.into_iter().filter(|counts| {
        let is_more = counts.len() > taken;
        taken = counts.len();
        is_more
    });
    more.filter_map(Trend::of).collect()
}

impl Trend {
    /// `None` where there are too few counts or they are too close together.
    fn of(counts: &[Count]) -> Option<Self> {
        const FEWEST: usize = 5;
        const SHORTEST: f64 = 30.0;
        let first = counts.first()?.at;
        let at = |count: &Count| count.at.duration_since(first).as_secs_f64();
        let seconds = at(counts.last()?);
        if counts.len() < FEWEST || seconds < SHORTEST {
            return None;
        }
        let number = counts.len() as f64;
        let mean_time = counts.iter().map(at).sum::<f64>() / number;
        let mean = counts.iter().map(|count| count.entries as f64).sum::<f64>() / number;
        let (mut times, mut both, mut entries) = (0.0, 0.0, 0.0);
        for count in counts {
            let (dx, dy) = (at(count) - mean_time, count.entries as f64 - mean);
            times += dx * dx;
            both += dx * dy;
            entries += dy * dy;
        }
        let fit = if entries > 0.0 && times > 0.0 {
            both * both / (times * entries)
        } else {
            0.0
        };
        Some(Self {
            per_second: if times > 0.0 { both / times } else { 0.0 },
            seconds,
            fit,
        })
    }

    /// Whether it rises, and not by mere noise, which would fill any table in time.
    fn is_rise(&self, limit: u64) -> bool {
        self.per_second > 0.0
            && self.fit >= 0.8
            && self.per_second * self.seconds >= limit as f64 / 1000.0
    }
}

fn span(seconds: f64) -> String {
    match seconds.round() as u64 {
        seconds @ 0..120 => format!("{seconds} seconds"),
        seconds @ 120..7200 => format!("{} minutes", seconds / 60),
        seconds @ 7200..172_800 => format!("{} hours", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::made::{only, severity, usage};
    use super::*;

    /// Counts, so many seconds apart, the last of which is how full the table is.
    fn counted(entries: &[u64], apart: u64, limit: u64) -> Facts {
        let begin = Instant::now();
        let mut facts = usage(*entries.last().unwrap(), limit);
        facts.counts = (0..)
            .zip(entries)
            .map(|(index, &entries)| Count {
                at: begin + Duration::from_secs(index * apart),
                entries,
            })
            .collect();
        facts
    }

    fn rising(per_second: u64, seconds: u64, limit: u64) -> Facts {
        let entries: Vec<u64> = (0..=seconds)
            .map(|second| 1_000 + per_second * second)
            .collect();
        counted(&entries, 1, limit)
    }

    #[test]
    fn the_time_to_full_comes_from_a_steady_rise() {
        // 1,600 entries after a minute, 10 more a second: so many seconds are left.
        for (left, expected) in [
            (599, Some(Severity::Critical)),
            (600, Some(Severity::Warning)),
            (3_599, Some(Severity::Warning)),
            (3_600, Some(Severity::Notice)),
            (50_000, Some(Severity::Notice)),
        ] {
            let facts = rising(10, 60, 1_600 + left * 10);
            assert_eq!(severity(&TIME_TO_FULL, &facts), Some(expected), "{left}");
        }
        let day = rising(1_000, 60, 61_000 + 86_400 * 1_000);
        assert_eq!(severity(&TIME_TO_FULL, &day), Some(None));
        let found = only(&TIME_TO_FULL, &rising(10, 60, 4_600));
        assert_eq!(
            found.title,
            "The connection table will be full in 5 minutes"
        );
        assert_eq!(found.values["full_in_seconds"], 300);
    }

    /// Half an hour of counts, five seconds apart, of which the last `seconds` rise.
    fn flood(seconds: u64, per_second: u64, limit: u64) -> Facts {
        let entries: Vec<u64> = (0..=360)
            .map(|index: u64| {
                let into = (index * 5).saturating_sub(1_800 - seconds);
                20_000 + index * 7_919 % 50 + into * per_second
            })
            .collect();
        counted(&entries, 5, limit)
    }

    #[test]
    fn a_flood_of_minutes_is_seen_within_minutes() {
        for (seconds, expected) in [
            (30, Severity::Critical),
            (45, Severity::Critical),
            (120, Severity::Critical),
            (240, Severity::Critical),
        ] {
            let found = only(&TIME_TO_FULL, &flood(seconds, 500, 262_144));
            assert_eq!(found.severity, expected, "{seconds}");
            let over = found.values["over_seconds"].as_f64().unwrap();
            assert!(over <= 120.0, "{seconds}: {over}");
        }
        let found = only(&TIME_TO_FULL, &flood(120, 500, 262_144));
        assert!(
            found.evidence.contains("more every second over the last"),
            "{found:?}"
        );
        assert_eq!(
            severity(&TIME_TO_FULL, &flood(0, 500, 262_144)),
            Some(None),
            "nothing rises"
        );
        // Full in a minute, and full.
        let entries: Vec<u64> = (0..8).map(|index| 180_000 + index * 10_000).collect();
        let found = only(&TIME_TO_FULL, &counted(&entries, 5, 262_144));
        assert_eq!(found.severity, Severity::Critical);
        let full = counted(&entries, 5, 250_100);
        assert_eq!(severity(&TIME_TO_FULL, &full), Some(None));
    }

    #[test]
    fn a_slow_rise_is_seen_over_half_an_hour_and_not_guessed_from_minutes() {
        let slow = only(&TIME_TO_FULL, &flood(1_800, 5, 262_144));
        assert_eq!(slow.severity, Severity::Notice);
        assert_eq!(slow.values["over_seconds"], 1_800.0);
        // Two minutes of it say nothing of the next ten hours.
        assert_eq!(severity(&TIME_TO_FULL, &flood(120, 5, 262_144)), Some(None));
    }

    #[test]
    fn without_a_trend_there_is_no_time_to_full() {
        assert_eq!(
            severity(&TIME_TO_FULL, &rising(10, 29, 2_000)),
            None,
            "too short"
        );
        let few = counted(&[1_000, 1_200, 1_400, 1_600], 20, 2_000);
        assert_eq!(severity(&TIME_TO_FULL, &few), None, "four counts");
        let falling: Vec<u64> = (0..=60).rev().map(|second| 1_000 + 10 * second).collect();
        let falling = counted(&falling, 1, 2_000);
        assert_eq!(severity(&TIME_TO_FULL, &falling), Some(None));
        let noise: Vec<u64> = (0..=60).map(|index| 1_000 + index * 7_919 % 100).collect();
        let noise = counted(&noise, 1, 2_000);
        assert_eq!(severity(&TIME_TO_FULL, &noise), Some(None));
    }
}
