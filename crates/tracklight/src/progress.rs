//! Progress of work that takes longer than a second, for somebody who looks.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar that appears after a second, if standard error is a terminal.
pub(crate) struct Progress {
    started: Instant,
    total: Option<u64>,
    what: &'static str,
    bar: Option<ProgressBar>,
    wanted: bool,
    calls: u32,
}

impl Progress {
    /// `what` is done `total` times, if that is known.
    pub(crate) fn new(what: &'static str, total: Option<u64>) -> Self {
        let wanted = std::io::stderr().is_terminal();
        Self {
            started: Instant::now(),
            total,
            what,
            bar: None,
            wanted,
            calls: 0,
        }
    }

    /// The same, but never shown where our own output scrolls on the same terminal.
    pub(crate) fn unless(mut self, shown_elsewhere: bool) -> Self {
        self.wanted &= !shown_elsewhere;
        self
    }

    /// So many are done.
    #[inline]
    pub(crate) fn at(&mut self, done: u64) {
        self.calls = self.calls.wrapping_add(1);
        if self.wanted && self.calls.is_multiple_of(4096) {
            self.show(done);
        }
    }

    /// So many are done, of work that tells it once for many.
    pub(crate) fn at_batch(&mut self, done: u64) {
        if self.wanted {
            self.show(done);
        }
    }

    #[cold]
    fn show(&mut self, done: u64) {
        if self.bar.is_none() && self.started.elapsed() < Duration::from_secs(1) {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            let (length, template) = match self.total {
                Some(total) => (
                    Some(total),
                    "{msg} {wide_bar} {human_pos}/{human_len} {eta}",
                ),
                None => (None, "{msg} {spinner} {human_pos}"),
            };
            let target = ProgressDrawTarget::stderr_with_hz(10);
            let bar = ProgressBar::with_draw_target(length, target).with_message(self.what);
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar
        });
        bar.set_position(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
