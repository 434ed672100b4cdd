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
           30 seconds and 5 counts at least",
    look: time_to_full,
};

fn time_to_full(facts: &Facts) -> Option<Vec<Finding>> {
    let (entries, limit) = facts.limited()?;
    let trend = Trend::of(&facts.counts)?;
    let left = limit.saturating_sub(entries) as f64;
    // A rise that is mere noise would fill any table in time.
    if trend.per_second <= 0.0
        || trend.fit < 0.8
        || trend.per_second * trend.seconds < limit as f64 / 1000.0
    {
        return fine();
    }
    let seconds = left / trend.per_second;
    let severity = match seconds {
        ..600.0 => Severity::Critical,
        ..3600.0 => Severity::Warning,
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

impl Trend {
    /// `None` where there are too few counts or they are too close together.
    fn of(counts: &[Count]) -> Option<Self> {
        const FEWEST: usize = 5;
        const SHORTEST: f64 = 30.0;
        let first = counts.first()?.time_ns;
        let at = |count: &Count| count.time_ns.saturating_sub(first) as f64 / 1e9;
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
    use super::super::made::{only, severity, usage};
    use super::*;

    fn rising(per_second: u64, seconds: u64, limit: u64) -> Facts {
        let mut facts = usage(1_000 + per_second * seconds, limit);
        facts.counts = (0..=seconds)
            .map(|second| Count {
                time_ns: second * 1_000_000_000,
                entries: 1_000 + per_second * second,
            })
            .collect();
        facts
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

    #[test]
    fn without_a_trend_there_is_no_time_to_full() {
        assert_eq!(
            severity(&TIME_TO_FULL, &rising(10, 29, 2_000)),
            None,
            "too short"
        );
        let mut few = rising(10, 60, 2_000);
        few.counts
            .retain(|count| count.time_ns % 20_000_000_000 == 0);
        assert_eq!(severity(&TIME_TO_FULL, &few), None, "four counts");
        let mut falling = rising(10, 60, 2_000);
        let entries: Vec<u64> = falling
            .counts
            .iter()
            .rev()
            .map(|count| count.entries)
            .collect();
        falling
            .counts
            .iter_mut()
            .zip(entries)
            .for_each(|(count, entries)| count.entries = entries);
        assert_eq!(severity(&TIME_TO_FULL, &falling), Some(None));
        let mut noise = rising(0, 60, 2_000);
        for (index, count) in noise.counts.iter_mut().enumerate() {
            count.entries += index as u64 * 7_919 % 100;
        }
        assert_eq!(severity(&TIME_TO_FULL, &noise), Some(None));
    }
}
