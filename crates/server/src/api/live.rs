//! `/api/v1/live`: the table as it moves, for screens.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use utoipa::IntoParams;

use super::connections::{Order, sort_by};
use super::error::{ErrorBody, Fault};
use super::extract::{FromGiven, Given, Params, Seer};
use super::shot::{Asked, Shot};
use super::sse::{self, Frames, Gone};
use super::view::{Subscription, Summaries};
use crate::app::App;
use crate::shares::Share;

/// Which page is watched.
#[derive(Clone, Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "it documents the parameters that `Wanted` is made of"
)]
pub struct LiveParams {
    /// Selects connections; all without it.
    query: Option<String>,
    /// A column, `rate`, `rate_orig` or `rate_reply`; the table's own order without it.
    sort: Option<String>,
    /// `desc` turns the order round.
    #[param(inline)]
    order: Option<Order>,
    /// How many rows; 100 if nothing is said. 0 for the summary alone.
    #[param(minimum = 0, maximum = 1000)]
    limit: Option<u32>,
    /// How many rows to leave out.
    #[param(minimum = 0, maximum = 10000)]
    offset: Option<u32>,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Wanted(Asked);

impl FromGiven for Wanted {
    const NAMES: &'static [&'static str] = &["query", "sort", "order", "limit", "offset"];

    fn from_given(given: &mut Given) -> Result<Self, Fault> {
        let sort = given.word("sort");
        if let Some(name) = &sort {
            sort_by(name)?;
        }
        Ok(Self(Asked {
            query: given.text("query").unwrap_or_default(),
            sort,
            reverse: given
                .one_of("order", &[("asc", false), ("desc", true)])?
                .unwrap_or(false),
            limit: given.number("limit", 0..=1000)?.unwrap_or(100),
            offset: given.number("offset", 0..=10_000)?.unwrap_or(0),
        }))
    }
}

/// The table as it moves, as server-sent events: a `summary` each second, a `page` at first, and then
/// each second at most a `difference` with what this reader was sent last: rows that are `added`, `changed` and
/// `removed` by their names, the new `order` of the names where it changed, `totals` and `truth`. A row whose
/// timeout merely runs down is not sent again.
#[utoipa::path(get, path = "/api/v1/live", tag = "streams", params(LiveParams),
    responses(
        (status = 200, description = "Events, without end", body = String, content_type = "text/event-stream"),
        (status = 400, description = "A parameter or the query is wrong", body = ErrorBody),
        (status = 503, description = "Too many listen", body = ErrorBody),
    ))]
pub async fn live(
    State(app): State<Arc<App>>,
    Seer(who): Seer,
    Params(Wanted(asked)): Params<Wanted>,
) -> Result<Response, Fault> {
    let query = app.query(&asked.query)?;
    let permit = app.api.work.listener()?;
    let summaries = app.api.views.summaries(&app);
    let page = (asked.limit > 0)
        .then(|| app.api.views.subscribe(&app, &who, asked, query))
        .transpose()?;
    let (frames, response) = sse::open(PIECES);
    tokio::spawn(async move {
        // The reader is gone, or took nothing for too long.
        let _over = show(&frames, summaries, page, permit).await;
    });
    Ok(response)
}

/// How many frames wait for a reader. One of a thousand rows is most of a megabyte; who has not taken the last gets the
/// difference with that later.
const PIECES: usize = 1;
/// Longer than two summaries are ever apart.
const QUIET: Duration = Duration::from_secs(15);

async fn show(
    frames: &Frames,
    mut summaries: Summaries,
    mut page: Option<Subscription>,
    _permit: Share,
) -> Result<(), Gone> {
    let mut sent: Option<Arc<Shot>> = None;
    loop {
        let shot = async {
            match &mut page {
                Some(page) => page.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = frames.gone() => return Ok(()),
            summary = summaries.next() => match summary {
                Some(summary) => frames.send(summary).await?,
                None => return Ok(()),
            },
            shot = shot => {
                let Some(shot) = shot else { return Ok(()) };
                if let Some(frame) = shot.frame_after(sent.as_deref()) {
                    frames.send(frame).await?;
                }
                sent = Some(shot);
            }
            () = tokio::time::sleep(QUIET) => frames.heartbeat().await?,
        }
    }
}
