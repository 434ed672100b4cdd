//! Looks after the daemon's health: gathers facts again and again, beside all else, and counts the entries
//! in between, for a table can be full before the next look.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use ctnetlink::CpuStats;
use engine::health::{
    Ask, Contents, Count, Counters, Daemon, Earlier, Facts, Report, Rising, Usage, gather,
};
use engine::live::Truth;
use engine::{Failure, Query, Way, actions, health, history};

use crate::app::App;

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(30);
/// A look may take a hundredth of the time.
const SHARE: u32 = 100;
/// How often the entries are counted between looks: for the trend.
const COUNT_EVERY: Duration = Duration::from_secs(5);
/// How many entries more or less, beside a twentieth of them, the last look is still taken for.
const ALIKE: u64 = 100;
/// A look that is due may take a twentieth of the time.
const DUE_SHARE: u32 = 20;
/// For how long counts are kept.
const COUNTS_KEPT: Duration = Duration::from_secs(1_800);

/// What was found last, and what the next look compares with.
#[derive(Default)]
pub struct Watch {
    report: RwLock<Option<Arc<Report>>>,
    before: Mutex<Before>,
}

#[derive(Default)]
struct Before {
    counts: VecDeque<Count>,
    /// What the last look found, judged anew with each count.
    facts: Option<Facts>,
    counters: Option<(CpuStats, Instant)>,
    losses: Option<(u64, Instant)>,
    /// Finding out whether the table can be read by BPF takes a load of the program: once is enough.
    walk: Option<health::Walk>,
}

impl Watch {
    /// What was found last; `None` before the first look.
    pub fn report(&self) -> Option<Arc<Report>> {
        let report = self.report.read().unwrap_or_else(PoisonError::into_inner);
        report.clone()
    }

    /// Looks once, and gives how long that took.
    pub fn look(&self, app: &App) -> Result<Duration, Failure> {
        let began = Instant::now();
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        let namespace = app.table_namespace()?;
        let event_buffer = app.settings().config.live.event_buffer as u64;
        let ask = Ask {
            source: app.live.source(),
            namespace: namespace.as_ref(),
            named: app.namespace.as_deref(),
            event_buffer,
            watch: Duration::ZERO,
            read_table: false,
            try_walk: app.way != Way::Netlink && before.walk.is_none(),
        };
        let mut facts = gather(&ask, |_| {})?;
        before.walk = facts.walk.take().or(before.walk.take());
        facts.walk.clone_from(&before.walk);

        let mut contents = Contents::default();
        let truth = app.live.scan(&Query::any(), &mut |row| {
            contents.add(&row.entry);
            Ok(std::ops::ControlFlow::Continue(()))
        })?;
        facts.contents = Some(if truth.complete {
            contents
        } else {
            contents.interrupted()
        });

        if let Some(usage) = facts.usage {
            facts.counts = before.note(Instant::now(), usage.entries);
        }
        let now = Instant::now();
        if let Some(Counters { now: stats, .. }) = facts.counters {
            let earlier = before.counters.replace((stats, now));
            facts.counters = Some(Counters {
                now: stats,
                earlier: earlier.map(|(stats, at)| Earlier {
                    stats,
                    ago: now.duration_since(at),
                }),
            });
        }
        let losing = before.losing(&truth, now);
        before.losses = Some((truth.losses, now));
        facts.daemon = Some(of_daemon(app, &truth, losing));
        self.judge(&facts);
        before.facts = Some(facts);
        Ok(began.elapsed())
    }

    /// Counts the entries, which costs next to nothing, and judges the last look anew with it and with what the
    /// daemon knows of itself. Gives whether the last look is of another table by now: a look is due.
    pub fn count(&self, app: &App) -> Result<bool, Failure> {
        let usage = actions::usage(app.live.client())?;
        let Some(entries) = usage.entries else {
            return Ok(false);
        };
        let truth = app.live.truth();
        {
            let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
            let losing = before.losing(&truth, Instant::now());
            if let Some(facts) = &mut before.facts {
                let known = facts
                    .daemon
                    .as_ref()
                    .and_then(|daemon| daemon.losing_events);
                facts.daemon = Some(of_daemon(app, &truth, losing.or(known)));
            }
        }
        Ok(self.note(Instant::now(), entries.into(), usage.max_entries))
    }

    fn note(&self, at: Instant, entries: u64, limit: Option<u32>) -> bool {
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = before.note(at, entries);
        let Some(facts) = &mut before.facts else {
            return false;
        };
        let limit = limit.map(u64::from);
        facts.usage = Some(Usage {
            entries,
            limit: limit.or(facts.usage.and_then(|usage| usage.limit)),
        });
        facts.counts = counts;
        let seen = facts.contents.as_ref().map(|contents| contents.entries());
        let is_other = seen.is_some_and(|seen| seen.abs_diff(entries) > ALIKE + seen / 20);
        if is_other {
            // Who held the table then says nothing of who holds it now.
            let contents = facts.contents.take();
            self.judge(facts);
            facts.contents = contents;
        } else {
            self.judge(facts);
        }
        is_other
    }

    fn judge(&self, facts: &Facts) {
        let report = Arc::new(health::examine(facts));
        *self.report.write().unwrap_or_else(PoisonError::into_inner) = Some(report);
    }
}

impl Before {
    /// How often events were lost since the last look; `None` for never.
    fn losing(&self, truth: &Truth, now: Instant) -> Option<Rising> {
        let (losses, at) = self.losses?;
        let count = truth
            .losses
            .checked_sub(losses)
            .filter(|count| *count > 0)?;
        Some(Rising {
            count,
            over: now.duration_since(at),
        })
    }

    /// Keeps a count, and gives all that are young enough, the oldest first.
    fn note(&mut self, at: Instant, entries: u64) -> Vec<Count> {
        self.counts.push_back(Count { at, entries });
        let is_old = |count: &Count| at.duration_since(count.at) > COUNTS_KEPT;
        while self.counts.front().is_some_and(is_old) {
            self.counts.pop_front();
        }
        self.counts.iter().copied().collect()
    }
}

/// What the daemon knows of itself.
fn of_daemon(app: &App, truth: &Truth, losing_events: Option<Rising>) -> Daemon {
    let recorded = app.history().map(|history| history.status());
    Daemon {
        events_lost: truth.events_lost,
        losses: truth.losses,
        losing_events,
        event_buffer: app.settings().config.live.event_buffer as u64,
        config: app.file(),
        state: folder(app, recorded.as_ref()),
        is_complete: truth.complete,
        troubles: app.live.troubles(),
        history: recorded.as_ref().and_then(unrecorded),
        set_aside: recorded
            .and_then(|status| status.damaged.last().cloned())
            .map(|kept| kept.display().to_string()),
        names: app.naming().addresses.trouble(),
    }
}

/// The folder for what is kept: the one in use, whatever a configuration that was read anew says of the
/// next start.
fn folder(app: &App, recorded: Option<&history::Status>) -> PathBuf {
    let in_use = recorded.and_then(|status| status.path.parent());
    let folder = in_use.map_or_else(
        || app.settings().config.server.state.clone(),
        Path::to_owned,
    );
    std::path::absolute(&folder).unwrap_or(folder)
}

/// Why history has a gap, if it has one.
fn unrecorded(status: &history::Status) -> Option<Failure> {
    match &status.trouble {
        Some(trouble) => Some(trouble.failure.clone()),
        None if status.lost > 0 => Some(Failure::new(
            "history-gap",
            format!(
                "{} samples were given up since the start: the file could not be written for too long",
                status.lost
            ),
            "it is written again; nothing need be done unless this rises",
        )),
        None => None,
    }
}

/// Looks until the table is closed.
pub async fn watch(app: Arc<App>) {
    loop {
        let looked = Arc::clone(&app);
        let took = tokio::task::spawn_blocking(move || {
            looked.live.wait_until_ready(EVERY);
            looked.watch.look(&looked)
        });
        let took = match took.await {
            Ok(Ok(took)) => took,
            Ok(Err(failure)) => {
                tracing::warn!(
                    "health cannot be looked after: {failure} [{}]",
                    failure.code
                );
                EVERY
            }
            // It has told why.
            Err(_) => EVERY,
        };
        count_for(&app, EVERY.max(took * SHARE), took * DUE_SHARE).await;
    }
}

/// Waits for the next look, and counts meanwhile; less long if the last one is of another table by now.
async fn count_for(app: &Arc<App>, wait: Duration, at_least: Duration) {
    let began = Instant::now();
    loop {
        let left = wait.saturating_sub(began.elapsed());
        tokio::time::sleep(left.min(COUNT_EVERY)).await;
        if left <= COUNT_EVERY {
            return;
        }
        let counted = Arc::clone(app);
        let count = tokio::task::spawn_blocking(move || counted.watch.count(&counted));
        // A kernel that does not answer is told by the next look.
        let is_due = matches!(count.await, Ok(Ok(true)));
        if is_due && began.elapsed() >= at_least {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_between_two_looks_is_found_by_the_counts() {
        let watch = Watch::default();
        watch.before.lock().unwrap().facts = Some(Facts::default());
        let begin = Instant::now();
        let at = |second: u64| begin + Duration::from_secs(second);
        let full_in = || {
            let report = watch.report()?;
            let findings = report.findings.iter();
            let mut found = findings.filter(|finding| finding.code == "time-to-full");
            found.next()?.values["full_in_seconds"].as_u64()
        };
        for second in (0..1_800).step_by(5) {
            watch.note(at(second), 1_000, Some(100_000));
        }
        assert_eq!(full_in(), None);
        for second in (1_800..1_920).step_by(5) {
            watch.note(at(second), 1_000 + (second - 1_800) * 300, Some(100_000));
        }
        let expected = (99_000 - 115 * 300) / 300;
        let found = full_in().expect("it is found");
        assert!(found.abs_diff(expected) < 20, "{found} {expected}");
        let kept = watch.before.lock().unwrap().counts.len();
        assert_eq!(kept, 361, "half an hour");
    }

    #[test]
    fn who_held_another_table_is_not_told_of_this_one() {
        let watch = Watch::default();
        let mut contents = Contents::default();
        let host = std::net::IpAddr::from([192, 0, 2, 1]);
        let tuple = |port| ctnetlink::Tuple::ports(ctnetlink::Protocol::UDP, host, port, host, 53);
        for port in 0..300 {
            let mut entry = ctnetlink::Entry::new(tuple(port), tuple(port).mirror());
            entry.status = Some(ctnetlink::Status::ASSURED);
            contents.add(&entry);
        }
        watch.before.lock().unwrap().facts = Some(Facts {
            contents: Some(contents),
            ..Facts::default()
        });
        let told = || {
            let report = watch.report().unwrap();
            let mut looked = report.looked_at.iter();
            let of_it = looked.find(|looked| looked.code == "little-to-evict");
            of_it.unwrap().verdict
        };
        assert!(!watch.note(Instant::now(), 310, Some(350)));
        assert_eq!(
            told(),
            health::Verdict::Found,
            "nearly full of assured ones"
        );
        assert!(
            watch.note(Instant::now(), 90_000, Some(100_000)),
            "a look is due"
        );
        assert_eq!(told(), health::Verdict::Unknown);
    }
}
