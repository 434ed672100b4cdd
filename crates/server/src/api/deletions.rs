//! `/api/v1/deletions`: deleting in two steps. First it is shown what would be deleted, then exactly that is.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use engine::Failure;
use serde::Deserialize;
use utoipa::ToSchema;

use super::audit::audited;
use super::error::{ErrorBody, Fault};
use super::extract::{Body, Named, Nothing, Operator, Params};
use super::own::Own;
use super::preview::{self, Deletion, KEPT};
use crate::app::App;

/// What is to be deleted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeletionRequest {
    /// Selects connections.
    #[schema(example = "udp and dport == 53")]
    query: String,
    /// Everything is meant: needed where the query selects all.
    #[serde(default)]
    all: bool,
}

/// That it is meant.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmRequest {
    /// Delete also the session that you are in.
    #[serde(default)]
    force: bool,
}

/// Shows what would be deleted: how many, whose, some of them. Nothing is deleted yet; the answer's `id` is
/// good for five minutes, and for whoever asked.
#[utoipa::path(post, path = "/api/v1/deletions", operation_id = "create_deletion", tag = "deletions", request_body = DeletionRequest,
    responses(
        (status = 201, description = "What would be deleted", body = Deletion),
        (status = 400, description = "The body or the query is wrong", body = ErrorBody),
        (status = 403, description = "You may not change", body = ErrorBody),
        (status = 409, description = "Everything is selected and `all` is not given, or too much is", body = ErrorBody),
        (status = 413, description = "The body is too long", body = ErrorBody),
        (status = 415, description = "The body is no JSON", body = ErrorBody),
        (status = 503, description = "Too much at once", body = ErrorBody),
    ))]
pub async fn create(
    State(app): State<Arc<App>>,
    Operator(who): Operator,
    Body(request): Body<DeletionRequest>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<Deletion>), Fault> {
    let state = Arc::clone(&app);
    let made = move || {
        let query = state.query(&request.query)?;
        require_filter(&query, request.all)?;
        preview::make(&state, &who, &query)
    };
    let deletion = app.api.work.run(made).await?;
    // What nobody confirms does not stay in memory.
    let state = Arc::clone(&app);
    tokio::spawn(async move {
        tokio::time::sleep(KEPT + Duration::from_secs(1)).await;
        state.api.deletions.forget_old();
    });
    let location = [(
        header::LOCATION,
        format!("/api/v1/deletions/{}", deletion.id),
    )];
    Ok((StatusCode::CREATED, location, Json(deletion)))
}

/// Refuses a change of everything that was not asked for in so many words.
pub fn require_filter(query: &engine::Query, all: bool) -> Result<(), Failure> {
    if query.is_any() && !all {
        return Err(Failure::new(
            "refused",
            "this selects every connection",
            "say which in the query, or send all: true",
        ));
    }
    Ok(())
}

/// A deletion: what it would delete, or what came of it.
#[utoipa::path(get, path = "/api/v1/deletions/{id}", operation_id = "deletion", tag = "deletions",
    params(("id" = String, Path, description = "Its id")),
    responses(
        (status = 200, description = "The deletion", body = Deletion),
        (status = 400, description = "Parameters, of which there are none here", body = ErrorBody),
        (status = 403, description = "You may not change", body = ErrorBody),
        (status = 404, description = "There is none, or not any more, or it is somebody else's", body = ErrorBody),
    ))]
pub async fn one(
    State(app): State<Arc<App>>,
    Operator(who): Operator,
    Named(id): Named,
    _: Params<Nothing>,
) -> Result<Json<Deletion>, Fault> {
    Ok(Json(app.api.deletions.find(&id, &who)?.view()))
}

/// Forgets a deletion that is not meant.
#[utoipa::path(delete, path = "/api/v1/deletions/{id}", operation_id = "forget_deletion", tag = "deletions",
    params(("id" = String, Path, description = "Its id")),
    responses(
        (status = 204, description = "It is forgotten; nothing was deleted by this"),
        (status = 400, description = "Parameters, of which there are none here", body = ErrorBody),
        (status = 403, description = "You may not change", body = ErrorBody),
        (status = 404, description = "There is none, or not any more, or it is somebody else's", body = ErrorBody),
    ))]
pub async fn forget(
    State(app): State<Arc<App>>,
    Operator(who): Operator,
    Named(id): Named,
    _: Params<Nothing>,
) -> Result<StatusCode, Fault> {
    app.api.deletions.find(&id, &who)?;
    app.api.deletions.forget(&id);
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes exactly the connections that were shown. What has ended meanwhile is counted as gone; what was
/// born meanwhile stays.
#[utoipa::path(post, path = "/api/v1/deletions/{id}/confirm", tag = "deletions",
    params(("id" = String, Path, description = "Its id")), request_body = ConfirmRequest,
    responses(
        (status = 200, description = "What came of it", body = Deletion),
        (status = 400, description = "The body is wrong", body = ErrorBody),
        (status = 403, description = "You may not change", body = ErrorBody),
        (status = 404, description = "There is none, or not any more, or it is somebody else's", body = ErrorBody),
        (status = 409, description = "It was done already, or would cut the session that you are in", body = ErrorBody),
        (status = 413, description = "The body is too long", body = ErrorBody),
        (status = 415, description = "The body is no JSON", body = ErrorBody),
        (status = 503, description = "Too much at once", body = ErrorBody),
    ))]
pub async fn confirm(
    State(app): State<Arc<App>>,
    Operator(who): Operator,
    Named(id): Named,
    Body(request): Body<ConfirmRequest>,
) -> Result<Json<Deletion>, Fault> {
    let preview = app.api.deletions.find(&id, &who)?;
    let state = Arc::clone(&app);
    let work = move || {
        let client = state.live.client();
        let details = serde_json::json!({
            "id": id, "query": preview.query(), "force": request.force,
        });
        audited(&state, &who, "delete", &details, || {
            preview.confirm(client, &Own::of(&who), request.force)
        })?;
        Ok::<_, Fault>(preview.view())
    };
    app.api.work.run(work).await.map(Json)
}

/// Puts back what was deleted, as far as the kernel lets it: not the counters, begin and id. For up to 100,000
/// connections, five minutes long.
#[utoipa::path(post, path = "/api/v1/deletions/{id}/undo", tag = "deletions",
    params(("id" = String, Path, description = "Its id")),
    responses(
        (status = 200, description = "What came of it", body = Deletion),
        (status = 400, description = "Parameters, of which there are none here", body = ErrorBody),
        (status = 403, description = "You may not change", body = ErrorBody),
        (status = 404, description = "There is none, or not any more, or it is somebody else's", body = ErrorBody),
        (status = 409, description = "It was not done yet, is undone already, or was too much to be kept", body = ErrorBody),
        (status = 503, description = "Too much at once", body = ErrorBody),
    ))]
pub async fn undo(
    State(app): State<Arc<App>>,
    Operator(who): Operator,
    Named(id): Named,
    _: Params<Nothing>,
) -> Result<Json<Deletion>, Fault> {
    let preview = app.api.deletions.find(&id, &who)?;
    let state = Arc::clone(&app);
    let work = move || {
        let client = state.live.client();
        let details = serde_json::json!({"id": id, "query": preview.query()});
        audited(&state, &who, "undo", &details, || preview.undo(client))?;
        Ok::<_, Fault>(preview.view())
    };
    app.api.work.run(work).await.map(Json)
}
