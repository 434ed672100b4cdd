//! `/api/v1/events`: births, changes and deaths as they happen.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use engine::Query;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::timeout;
use utoipa::IntoParams;

use super::error::{ErrorBody, Fault};
use super::extract::{FromGiven, Given, Params, Seer};
use super::ring::{Ring, Taken};
use super::sse::{self, Frames, Gone, HEARTBEAT, frame};
use crate::app::App;

/// How many pieces wait for a reader.
const PIECES: usize = 16;

/// Which events.
#[derive(Clone, Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EventParams {
    /// Selects connections; all without it.
    query: Option<String>,
    /// The id of the last event that was seen, as the header `Last-Event-ID`.
    #[param(minimum = 0)]
    last_event_id: Option<u64>,
}

impl FromGiven for EventParams {
    const NAMES: &'static [&'static str] = &["query", "last_event_id"];

    fn from_given(given: &mut Given) -> Result<Self, Fault> {
        Ok(Self {
            query: given.text("query"),
            last_event_id: given.number("last_event_id", 0..=u64::MAX)?,
        })
    }
}

/// Births (`new`), changes (`update`) and deaths (`destroy`) of connections that a query selects, as server-sent
/// events. Each has an id; who comes back with the last one (`Last-Event-ID`) is told what happened since, or, by an
/// event `gap`, that some of it is not remembered. `lost` says that the kernel could not hand over events. Who reads
/// too slowly gets `too-slow` and is let go.
#[utoipa::path(get, path = "/api/v1/events", tag = "streams", params(EventParams),
    responses(
        (status = 200, description = "Events, without end", body = String, content_type = "text/event-stream"),
        (status = 400, description = "A parameter or the query is wrong", body = ErrorBody),
        (status = 503, description = "Too many listen", body = ErrorBody),
    ))]
pub async fn events(
    State(app): State<Arc<App>>,
    _: Seer,
    Params(params): Params<EventParams>,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let query = app.query(&params.query.unwrap_or_default())?;
    let header = headers.get("last-event-id");
    let header = header.and_then(|value| value.to_str().ok()?.parse().ok());
    let last = header.or(params.last_event_id);
    let permit = app.api.work.listener()?;
    let ring = app.api.events.ring(&app);
    // Everything from now on, whenever the task has its turn.
    let changes = ring.changes();
    let (next, gap) = last.map_or_else(|| (ring.next(), None), |last| ring.resume(last));
    let (frames, response) = sse::open(PIECES);
    tokio::spawn(async move {
        let _permit = permit;
        // The reader is gone, or was let go.
        let _over = tell(&app, &ring, changes, &frames, &query, next, gap).await;
    });
    Ok(response)
}

async fn tell(
    app: &App,
    ring: &Ring,
    mut changes: watch::Receiver<u64>,
    frames: &Frames,
    query: &Query,
    mut next: u64,
    gap: Option<Option<u64>>,
) -> Result<(), Gone> {
    if let Some(missed) = gap {
        let data = json!({ "missed": missed }).to_string();
        frames.send(frame("gap", None, data.as_bytes())).await?;
    }
    loop {
        changes.borrow_and_update();
        match ring.take(next, query, &app.naming()) {
            Taken::Some { bytes, after } => {
                next = after;
                if !bytes.is_empty() {
                    frames.send(bytes).await?;
                }
                // Others are answered between two of these.
                tokio::task::yield_now().await;
                continue;
            }
            Taken::TooSlow => {
                return Err(frames.too_slow(
                    "events came faster than they were read",
                    "come back with Last-Event-ID, or narrow the query",
                ));
            }
            Taken::Closed => return Ok(()),
            Taken::Nothing => {}
        }
        tokio::select! {
            () = frames.gone() => return Ok(()),
            waited = timeout(HEARTBEAT, changes.changed()) => match waited {
                Ok(Ok(())) => {}
                // The table is kept no more.
                Ok(Err(_)) => return Ok(()),
                Err(_) => frames.heartbeat().await?,
            },
        }
    }
}
