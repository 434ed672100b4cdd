//! TCP connections: some that last, some that come and go.

use std::time::Duration;

use super::Worker;
use super::conversation::{Conversation, Route};
use super::stop::Halt;

/// Between two short connections.
const SHORT_PAUSE: Duration = Duration::from_millis(400);

/// One of so many short connections ends with a reset.
const RESET: usize = 8;

/// Keeps a connection open on every route and lets them talk in turn; each has the number of rounds
/// between its words.
pub(super) fn lasting(
    worker: &Worker,
    pause: Duration,
    routes: &[(Route, usize)],
) -> Result<(), Halt> {
    let mut turns: Vec<_> = routes
        .iter()
        .map(|(route, every)| (*route, *every, None))
        .collect();
    // All open at once; only then in turn.
    for (route, _, conversation) in &mut turns {
        worker.tolerate(take_turn(worker, *route, conversation))?;
    }
    for round in 1usize.. {
        for (route, every, conversation) in &mut turns {
            worker.stop().rest(pause)?;
            if round % *every == 0 {
                worker.tolerate(take_turn(worker, *route, conversation))?;
            }
        }
    }
    Ok(())
}

fn take_turn(
    worker: &Worker,
    route: Route,
    conversation: &mut Option<Conversation>,
) -> Result<(), Halt> {
    let mut open = match conversation.take() {
        Some(open) => open,
        None => Conversation::open(route, worker.stop())?,
    };
    // A broken one is not put back: the next turn opens a new one.
    open.exchange(worker.stop())?;
    *conversation = Some(open);
    Ok(())
}

/// Opens a connection, asks once, closes it; then the next.
pub(super) fn short(worker: &Worker, routes: &[Route]) -> Result<(), Halt> {
    for (n, route) in routes.iter().cycle().enumerate() {
        if n % RESET == RESET - 1 {
            worker.tolerate(ask_once_and_reset(worker, *route))?;
        } else {
            worker.tolerate(ask_once(worker, *route))?;
        }
        worker.stop().rest(SHORT_PAUSE)?;
    }
    Ok(())
}

fn ask_once(worker: &Worker, route: Route) -> Result<(), Halt> {
    Conversation::open(route, worker.stop())?.exchange(worker.stop())
}

/// Closes with a reset, as a program does that is killed: the entry's state is then CLOSE.
fn ask_once_and_reset(worker: &Worker, route: Route) -> Result<(), Halt> {
    let mut conversation = Conversation::open(route, worker.stop())?;
    conversation.exchange(worker.stop())?;
    Ok(conversation.reset()?)
}
