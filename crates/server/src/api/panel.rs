//! The connections contract over HTTP: `/api/connections/read` and `/delete`, bodies and errors as
//! docs/contract.md has them.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use engine::Failure;
use engine::contract::{self, Reply, Setup};

use super::answer::{self, Pieces};
use super::audit::audited;
use super::error::Fault;
use super::extract::{self, Seer};
use crate::app::App;
use crate::who::{Role, Who};

/// Says who answered `stats`.
pub const SOURCE: HeaderName = HeaderName::from_static("tracklight-source");

/// The panel's `read`: protocols, connections, recorded counts. docs/contract.md has the bodies; failures
/// have the contract's shapes.
#[utoipa::path(post, path = "/api/connections/read", tag = "contract",
    request_body(content = serde_json::Value, description = "One object with `action`: `protocols`, `conntrack`, `stats`"),
    responses(
        (status = 200, description = "The answer", body = serde_json::Value),
        (status = 400, description = "The request is wrong", body = serde_json::Value),
        (status = 403, description = "Not allowed", body = serde_json::Value),
        (status = 413, description = "The body is too long", body = serde_json::Value),
        (status = 503, description = "Nobody answered with recorded counts, or a module is missing", body = serde_json::Value),
    ))]
pub async fn read(
    State(app): State<Arc<App>>,
    _: Seer,
    request: Request,
) -> Result<Response, Fault> {
    let input = match extract::bytes(request, &app).await {
        Ok(input) => input,
        Err(fault) => return Ok(unread(&fault)),
    };
    let state = Arc::clone(&app);
    let reply = app
        .api
        .work
        .run(move || Ok::<_, Failure>(with_setup(&state, |setup| contract::read(&input, setup))))
        .await?;
    Ok(answered(reply))
}

/// The panel's `delete`: one connection, or all.
#[utoipa::path(post, path = "/api/connections/delete", tag = "contract",
    request_body(content = serde_json::Value, description = "One object with `action`: `connection`, `flush`"),
    responses(
        (status = 200, description = "It is deleted", body = serde_json::Value),
        (status = 400, description = "The request is wrong", body = serde_json::Value),
        (status = 403, description = "Not allowed", body = serde_json::Value),
        (status = 404, description = "No connection matches", body = serde_json::Value),
        (status = 409, description = "The kernel does not do it now", body = serde_json::Value),
        (status = 413, description = "The body is too long", body = serde_json::Value),
        (status = 503, description = "A module is missing", body = serde_json::Value),
    ))]
pub async fn delete(
    State(app): State<Arc<App>>,
    Seer(who): Seer,
    request: Request,
) -> Result<Response, Fault> {
    if who.role != Role::Operator {
        let message = format!(
            "{} may see, but not change: use a token of the role operator",
            who.name
        );
        return Ok(answered(contract::refuse(Failure::new(
            "permission-denied",
            message,
            "",
        ))));
    }
    let input = match extract::bytes(request, &app).await {
        Ok(input) => input,
        Err(fault) => return Ok(unread(&fault)),
    };
    let state = Arc::clone(&app);
    let reply = app
        .api
        .work
        .run(move || Ok::<_, Failure>(deleted(&state, &who, &input)))
        .await?;
    Ok(answered(reply))
}

/// The contract's answer to a body that could not be read, with the status that fits.
fn unread(fault: &Fault) -> Response {
    let mut response = answered(contract::refuse_input());
    *response.status_mut() = fault.status();
    response
}

fn deleted(app: &App, who: &Who, input: &Bytes) -> Reply {
    let asked: serde_json::Value = serde_json::from_slice(input).unwrap_or_default();
    let mut reply = None;
    // The contract has its own words for failures; the log is told that there was one.
    let told = audited(app, who, "contract-delete", &asked, || {
        let answer = reply.insert(with_setup(app, |setup| contract::delete(input, setup)));
        if answer.is_ok() {
            return Ok(());
        }
        let kind = answer.kind().map_or("", |kind| kind.name());
        Err(Failure::new(
            "refused",
            format!("the contract's delete failed: {kind}"),
            "",
        ))
    });
    match (reply, told) {
        (Some(reply), _) => reply,
        (None, Err(fault)) => contract::refuse(fault.into_failure()),
        (None, Ok(())) => contract::refuse_input(),
    }
}

fn with_setup(app: &App, call: impl FnOnce(&Setup) -> Reply) -> Reply {
    match app.table_namespace() {
        Ok(namespace) => call(&Setup {
            config: app.settings().config.clone(),
            namespace,
            way: app.way,
            history: app.history().cloned(),
        }),
        Err(failure) => contract::refuse(failure),
    }
}

/// The reply's body is written while it is sent: of a million connections it is 600 MB.
fn answered(reply: Reply) -> Response {
    for note in reply.notes() {
        tracing::warn!("contract: {note}");
    }
    let status = StatusCode::from_u16(reply.http_status());
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let source = reply.source();
    let (pieces, body) = answer::body();
    tokio::task::spawn_blocking(move || {
        let mut writer = Writer(pieces);
        // A reader that went away: the body breaks off.
        if reply.write_to(&mut writer).is_ok() {
            let _gone = writer.0.finish();
        }
    });
    let mut response = (status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(source) = source {
        headers.insert(SOURCE, HeaderValue::from_static(source.name()));
    }
    response
}

struct Writer(Pieces);

impl std::io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.buffer().extend_from_slice(bytes);
        self.0.spill().map_err(std::io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
