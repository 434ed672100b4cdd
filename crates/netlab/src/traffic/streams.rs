//! TCP connections: some that last, some that come and go.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use super::Worker;
use super::conversation::{Conversation, Route};
use super::stop::Halt;
use crate::service::CLOSED_PORT;

/// Between two short connections.
const SHORT_PAUSE: Duration = Duration::from_millis(400);

/// One of so many short connections goes to a closed port.
const REFUSED: usize = 8;

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
        if n % REFUSED == REFUSED - 1 {
            worker.tolerate(be_refused(worker, *route))?;
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

fn be_refused(worker: &Worker, route: Route) -> Result<(), Halt> {
    let target = SocketAddr::new(route.target.ip(), CLOSED_PORT);
    match Conversation::open(Route { target, ..route }, worker.stop()) {
        Err(Halt::Failed(cause)) if cause.kind() == ErrorKind::ConnectionRefused => Ok(()),
        other => other.map(drop),
    }
}
