//! What is wrong, and what was recorded.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use engine::Failure;
use engine::history::Ask;
use serde_json::value::RawValue;
use utoipa::IntoParams;

use super::described::{HealthReport, Series};
use super::error::{ErrorBody, Fault};
use super::extract::{FromGiven, Given, Nothing, Params, Seer};
use super::shape::raw;
use crate::app::App;

/// What is not as it should be, the worst first, with evidence, consequence and what mends it; what was
/// looked at and found in order; what could not be seen. docs/health.md has all findings.
#[utoipa::path(get, path = "/api/v1/health", tag = "daemon",
    responses(
        (status = 200, description = "The last look, at most some minutes old", body = HealthReport),
        (status = 400, description = "Parameters, of which there are none here", body = ErrorBody),
        (status = 503, description = "Too much is under way", body = ErrorBody),
    ))]
pub async fn health(
    State(app): State<Arc<App>>,
    _: Seer,
    _: Params<Nothing>,
) -> Result<Json<Box<RawValue>>, Fault> {
    let report = match app.watch.report() {
        Some(report) => report,
        // Nobody has looked yet.
        None => {
            let asked = Arc::clone(&app);
            app.api
                .work
                .run(move || asked.watch.look(&asked).map(|_| asked.watch.report()))
                .await?
                .ok_or_else(|| {
                    Fault::new(
                        "not-ready",
                        "the table could not be looked at yet",
                        "ask again in a second",
                    )
                })?
        }
    };
    written(&*report)
}

/// Which while.
#[derive(Clone, Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "it documents the parameters that `Wanted` is made of"
)]
pub struct HistoryParams {
    /// The last so many seconds; 900 if neither this nor `from` is said.
    #[param(minimum = 1, maximum = 320_000_000)]
    last: Option<u64>,
    /// From when, in seconds since the epoch.
    #[param(minimum = 1, maximum = 20_000_000_000_u64)]
    from: Option<u64>,
    /// Until when, itself not; the present if nothing is said.
    #[param(minimum = 1, maximum = 20_000_000_000_u64)]
    to: Option<u64>,
    /// How many seconds a point is of; the finest that was kept for so long if nothing is said. More where nothing
    /// so fine is kept of that time: `step` in the answer says how many.
    #[param(minimum = 1, maximum = 86_400)]
    step: Option<u64>,
    /// How many points at most: coarser ones where there would be more; 2000 if nothing is said.
    #[param(minimum = 1, maximum = 10_000)]
    points: Option<usize>,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted(Ask);

const LATEST: u64 = 20_000_000_000;

impl FromGiven for Wanted {
    const NAMES: &'static [&'static str] = &["last", "from", "to", "step", "points"];

    fn from_given(given: &mut Given) -> Result<Self, Fault> {
        let now = engine::now() / 1_000_000_000;
        let last = given.number("last", 1..=320_000_000)?;
        let from = given.number("from", 1..=LATEST)?;
        let to = given.number("to", 1..=LATEST)?.unwrap_or(now + 1);
        if last.is_some() && from.is_some() {
            return Err(Fault::usage(
                "from",
                "last and from both say where it begins",
                "give one of them",
            ));
        }
        let from = from.unwrap_or_else(|| to.saturating_sub(last.unwrap_or(900)));
        if from >= to {
            return Err(Fault::usage(
                "from",
                "the while ends before it begins",
                "to is later than from",
            ));
        }
        Ok(Self(Ask {
            from,
            to,
            step: given.number("step", 1..=86_400)?,
            points: Some(given.number("points", 1..=10_000)?.unwrap_or(2_000)),
        }))
    }
}

/// What was recorded: connections, births, deaths, by protocol and state, bytes and packets, the kernel's
/// counters. Where nothing is known there is no point. docs/history.md explains the members.
#[utoipa::path(get, path = "/api/v1/history", tag = "table", params(HistoryParams),
    responses(
        (status = 200, description = "Points, the oldest first", body = Series),
        (status = 400, description = "Wrong parameters", body = ErrorBody),
        (status = 404, description = "Nothing is recorded", body = ErrorBody),
        (status = 500, description = "What is recorded cannot be read", body = ErrorBody),
        (status = 503, description = "Too much is under way", body = ErrorBody),
    ))]
pub async fn history(
    State(app): State<Arc<App>>,
    _: Seer,
    Params(Wanted(ask)): Params<Wanted>,
) -> Result<Json<Box<RawValue>>, Fault> {
    let asked = Arc::clone(&app);
    let series = app
        .api
        .work
        .run(move || match asked.history() {
            Some(history) => history.series(&ask),
            None => Err(Failure::new(
                "not-found",
                "this daemon records nothing",
                "set history.enabled = true in the configuration and start it again",
            )),
        })
        .await?;
    written(&series)
}

fn written(value: &impl serde::Serialize) -> Result<Json<Box<RawValue>>, Fault> {
    let bytes = serde_json::to_vec(value).map_err(|error| {
        Failure::new(
            "internal",
            format!("the answer could not be written: {error}"),
            "report it: this is a fault of the program's",
        )
    })?;
    Ok(Json(raw(bytes)?))
}
