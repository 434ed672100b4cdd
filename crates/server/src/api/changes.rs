//! Changes to connections: made, changed, deleted by name, and all at once.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use ctnetlink::{DumpOutcome, Entry, Filter, Key};
use engine::actions::{self, Named as Names};
use engine::live::{PageRequest, name};
use engine::{Failure, Query};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::audit::{Told, audited};
use super::deletions::require_filter;
use super::edit::{CreateRequest, EditRequest};
use super::error::{ErrorBody, Fault};
use super::explain::{self, Known};
use super::extract::{Body, FromGiven, Given, Named, Operator, Params};
use super::own::Own;
use super::preview::Outcome;
use crate::app::App;
use crate::audit::Counts;

/// Makes a connection's entry, as the kernel would for its first packet.
#[utoipa::path(post, path = "/api/v1/connections", tag = "connections", request_body = CreateRequest,
    responses(
        (status = 201, description = "It is made", body = Known),
        (status = 400, description = "The body is wrong, or the kernel finds it contradictory", body = ErrorBody),
        (status = 403, description = "You may not change", body = ErrorBody),
        (status = 404, description = "It ended at once", body = ErrorBody),
        (status = 409, description = "It exists, the table is full, or a helper is not loaded", body = ErrorBody),
        (status = 413, description = "The body is too long", body = ErrorBody),
        (status = 415, description = "The body is no JSON", body = ErrorBody),
    ))]
pub async fn create(
    State(app): State<Arc<App>>,
    Operator(who): Operator,
    Body(request): Body<CreateRequest>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<Known>), Fault> {
    let new = request.entry()?;
    let state = Arc::clone(&app);
    let work = move || {
        let key = Key::original(new.orig).in_zone(new.zone);
        let client = state.live.client();
        audited(&state, &who, "create", &request, || Ok(client.create(new)?))?;
        let row = state.live.get(&key)?;
        let place = format!("/api/v1/connections/{}", name(&row.entry));
        Ok::<_, Fault>((place, explain::known(&state, &who, &row)?))
    };
    let (place, known) = app.api.work.run(work).await?;
    Ok((
        StatusCode::CREATED,
        [(header::LOCATION, place)],
        Json(known),
    ))
}

/// Which connections are to be changed, and how.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateRequest {
    /// Selects connections.
    query: String,
    /// Everything is meant: needed where the query selects all.
    #[serde(default)]
    all: bool,
    /// Tell how many would be changed, and change nothing.
    #[serde(default)]
    dry_run: bool,
    /// What to change.
    change: EditRequest,
}

/// Changes all that a query selects; with `dry_run` it is only counted.
#[utoipa::path(patch, path = "/api/v1/connections", tag = "connections", request_body = UpdateRequest,
    responses(
        (status = 200, description = "What came of it", body = Outcome),
        (status = 400, description = "The body or the query is wrong", body = ErrorBody),
        (status = 403, description = "You may not change", body = ErrorBody),
        (status = 409, description = "Everything is selected and `all` is not given", body = ErrorBody),
        (status = 413, description = "The body is too long", body = ErrorBody),
        (status = 415, description = "The body is no JSON", body = ErrorBody),
        (status = 503, description = "Too much at once", body = ErrorBody),
    ))]
pub async fn update(
    State(app): State<Arc<App>>,
    Operator(who): Operator,
    Body(request): Body<UpdateRequest>,
) -> Result<Json<Outcome>, Fault> {
    let edit = request
        .change
        .edit()
        .map_err(|fault| fault.within("change"))?;
    let state = Arc::clone(&app);
    let work = move || {
        let query = state.query(&request.query)?;
        require_filter(&query, request.all)?;
        if request.dry_run {
            return Ok(counted(&state, query)?);
        }
        let changed = audited(&state, &who, "update", &request, || {
            actions::update(state.live.source(), &query, &edit, |_| {})
        })?;
        Ok::<_, Fault>(Outcome::from(&changed))
    };
    app.api.work.run(work).await.map(Json)
}

fn counted(app: &App, query: Query) -> Result<Outcome, Failure> {
    let page = app.live.page(&PageRequest {
        query,
        sort: None,
        reverse: false,
        limit: 1,
        offset: 0,
        cursor: None,
        // Nobody is told of its cursor.
        owner: String::new(),
    })?;
    Ok(Outcome {
        matched: page.totals.connections,
        done: 0,
        gone: 0,
        refused: 0,
        unknown: 0,
        not_tried: page.totals.connections,
        complete: page.truth.complete,
        first: None,
        ended_by: None,
    })
}

/// Changes one connection.
#[utoipa::path(patch, path = "/api/v1/connections/{name}", tag = "connections",
    params(("name" = String, Path, description = "Its name in a list")), request_body = EditRequest,
    responses(
        (status = 200, description = "The connection as it is now", body = Known),
        (status = 400, description = "The body is wrong", body = ErrorBody),
        (status = 403, description = "You may not change", body = ErrorBody),
        (status = 404, description = "It is not in the table, or not any more", body = ErrorBody),
        (status = 409, description = "The kernel does not change this", body = ErrorBody),
        (status = 413, description = "The body is too long", body = ErrorBody),
        (status = 415, description = "The body is no JSON", body = ErrorBody),
    ))]
pub async fn update_one(
    State(app): State<Arc<App>>,
    Operator(who): Operator,
    Named(wanted): Named,
    Body(request): Body<EditRequest>,
) -> Result<Json<Known>, Fault> {
    let edit = request.edit()?;
    let state = Arc::clone(&app);
    let work = move || {
        let row = state.live.find(&wanted)?;
        let details = serde_json::json!({
            "name": wanted, "connection": told(&row.entry), "change": request,
        });
        audited(&state, &who, "update", &details, || {
            actions::change(state.live.client(), &row.entry, &edit)
        })?;
        let row = state.live.get(&row.entry.key())?;
        Ok::<_, Fault>(explain::known(&state, &who, &row)?)
    };
    app.api.work.run(work).await.map(Json)
}

/// Whether the session of whoever asks may go too.
#[derive(Clone, Copy, Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Force {
    /// Delete also the session that you are in.
    #[param(inline)]
    force: Option<bool>,
}

impl FromGiven for Force {
    const NAMES: &'static [&'static str] = &["force"];

    fn from_given(given: &mut Given) -> Result<Self, Fault> {
        Ok(Self {
            force: given.one_of("force", &[("true", true), ("false", false)])?,
        })
    }
}

/// Deletes one connection. It is not closed by that: the next packet may make a new entry.
#[utoipa::path(delete, path = "/api/v1/connections/{name}", tag = "connections",
    params(("name" = String, Path, description = "Its name in a list"), Force),
    responses(
        (status = 200, description = "What came of it", body = Outcome),
        (status = 400, description = "A parameter is wrong", body = ErrorBody),
        (status = 403, description = "You may not change", body = ErrorBody),
        (status = 404, description = "It is not in the table, or not any more", body = ErrorBody),
        (status = 409, description = "It is the session that you are in", body = ErrorBody),
    ))]
pub async fn delete_one(
    State(app): State<Arc<App>>,
    Operator(who): Operator,
    Named(wanted): Named,
    Params(force): Params<Force>,
) -> Result<Json<Outcome>, Fault> {
    let state = Arc::clone(&app);
    let work = move || {
        let row = state.live.find(&wanted)?;
        let is_forced = force.force == Some(true);
        let details = serde_json::json!({
            "name": wanted, "connection": told(&row.entry), "force": is_forced,
        });
        let changed = audited(&state, &who, "delete", &details, || {
            if !is_forced && let Some(own) = Own::of(&who).is(&row.entry) {
                return Err(own.refusal());
            }
            let named = Names {
                keys: vec![row.entry.key()],
                outcome: DumpOutcome {
                    complete: true,
                    requests: 0,
                    fallbacks: 0,
                },
                own_session: None,
            };
            Ok(actions::delete(state.live.client(), &named, |_| {}))
        })?;
        Ok::<_, Fault>(Outcome::from(&changed))
    };
    app.api.work.run(work).await.map(Json)
}

/// Which connection it is, for those who read of it when it is gone.
fn told(entry: &Entry) -> serde_json::Value {
    let Key {
        tuple, zone, id, ..
    } = entry.key();
    serde_json::json!({
        "protocol": tuple.protocol.to_string(), "src": tuple.src, "sport": tuple.src_port(),
        "dst": tuple.dst, "dport": tuple.dst_port(), "zone": zone.id, "id": id,
    })
}

/// That everything is meant.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FlushRequest {
    /// How many connections there are: what /api/v1/summary says. A twentieth more or less is taken,
    /// for the table moves.
    connections: u64,
    /// Delete also the session that you are in.
    #[serde(default)]
    force: bool,
}

/// What came of it. The kernel does not count what it flushes.
#[derive(Debug, Serialize, ToSchema)]
pub struct Flushed {
    /// Connections before.
    before: u64,
    /// Connections after.
    left: u64,
}

impl Told for Flushed {
    fn counts(&self) -> Counts {
        Counts {
            matched: Some(self.before),
            changed: Some(self.before.saturating_sub(self.left)),
            failed: None,
        }
    }
}

/// Empties the table.
#[utoipa::path(post, path = "/api/v1/flush", tag = "deletions", request_body = FlushRequest,
    responses(
        (status = 200, description = "It is done", body = Flushed),
        (status = 400, description = "The body is wrong", body = ErrorBody),
        (status = 403, description = "You may not change", body = ErrorBody),
        (status = 409, description = "The number is another (`count-differs`), or it would cut the session that you are in", body = ErrorBody),
        (status = 413, description = "The body is too long", body = ErrorBody),
        (status = 415, description = "The body is no JSON", body = ErrorBody),
        (status = 503, description = "Too much at once", body = ErrorBody),
    ))]
pub async fn flush(
    State(app): State<Arc<App>>,
    Operator(who): Operator,
    Body(request): Body<FlushRequest>,
) -> Result<Json<Flushed>, Fault> {
    let state = Arc::clone(&app);
    let work = move || {
        let client = state.live.client();
        let before = present(&state)?;
        if before.abs_diff(request.connections) > before / 20 {
            return Err(Fault::new(
                "count-differs",
                format!(
                    "there are {before} connections, not {}",
                    request.connections
                ),
                "look again whether all of them are meant, and send their number",
            )
            .with_connections(before));
        }
        audited(&state, &who, "flush", &request, || {
            if !request.force
                && let Some(own) = Own::of(&who).in_table(client)?
            {
                return Err(own.refusal());
            }
            client.flush(&Filter::any())?;
            let left = present(&state)?;
            Ok(Flushed { before, left })
        })
    };
    app.api.work.run(work).await.map(Json)
}

/// How many there are, by the kernel's count.
fn present(app: &App) -> Result<u64, Failure> {
    let usage = actions::usage(app.live.client())?;
    Ok(usage
        .entries
        .map_or_else(|| app.live.summary().connections, u64::from))
}
