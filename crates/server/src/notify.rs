//! What the service manager is told (sd_notify(3)); nothing where there is none.

use std::time::Duration;

use sd_notify::NotifyState;

/// Tells that the daemon answers from now on, and what it does in a line.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Tells that the configuration is being read anew; [`ready`] has to follow.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// Tells that the daemon ends.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Tells what the daemon does, in a line that `systemctl status` shows.
pub fn status(status: &str) {
    tell(&[NotifyState::Status(status)]);
}

/// Tells that the daemon is well. Whoever calls it should have seen that it is: that the table
/// answers, not only that a timer ran.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// How often [`alive`] is to be called: half of the time after which the service manager gives the
/// daemon up. `None` if nobody watches.
pub fn interval() -> Option<Duration> {
    let mut microseconds = 0;
    // The variables stay: taking them out is not safe beside other threads.
    let is_watched = sd_notify::watchdog_enabled(false, &mut microseconds) && microseconds > 0;
    is_watched.then(|| Duration::from_micros(microseconds) / 2)
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, states) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}
