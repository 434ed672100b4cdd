//! The connections contract over HTTP: `/api/connections/read` and `/delete`, bodies and errors as
//! docs/contract.md has them.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use engine::Failure;
use engine::contract::{self, Reply, Setup};
use serde_json::Value;

use super::answer::{self, Pieces};
use super::audit::{Told, audited};
use super::error::Fault;
use super::extract::{self, Seer};
use crate::app::App;
use crate::audit::Counts;
use crate::memory::Holder;
use crate::shares::Share;
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
    let holder = request.extensions().get::<Holder>().cloned();
    let input = match extract::bytes(request).await {
        Ok(input) => input,
        Err(fault) => return unread(fault),
    };
    let busy = |fault: &Fault| {
        let failure = Failure::new("busy", fault.body().message.clone(), "");
        Ok(with_status(contract::refuse(failure), fault.status()))
    };
    // Asked for before the table is read: a long list is held until its reader has taken it.
    let is_long =
        contract::lists_more_than(&input, LARGE) && app.live.summary().connections > LARGE as u64;
    let permit = match is_long.then(|| app.api.work.stream()).transpose() {
        Ok(permit) => permit,
        Err(fault) => return busy(&fault),
    };
    let state = Arc::clone(&app);
    let reply = app
        .api
        .work
        .run(move || Ok::<_, Failure>(with_setup(&state, |setup| contract::read(&input, setup))))
        .await?;
    let rows = reply.listed();
    let share = match (permit, holder) {
        (Some(permit), _) => Ok(Some(permit)),
        // There are more than there were, or the table was not known yet.
        (None, _) if rows > LARGE => app.api.work.stream().map(Some),
        (None, Some(holder)) if rows > 0 => holder.answer(rows * ROW).map(Some),
        (None, _) => Ok(None),
    };
    match share {
        Ok(share) => Ok(answered(reply, share)),
        Err(fault) => busy(&fault),
    }
}

/// Longer lists are kept in memory for only so many readers at once.
const LARGE: usize = 10_000;
/// What a row of a shorter one takes there, with its part of what is written and not yet taken.
const ROW: usize = 512;

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
        let failure = Failure::new("permission-denied", message, "");
        return Ok(answered(contract::refuse(failure), None));
    }
    let input = match extract::bytes(request).await {
        Ok(input) => input,
        Err(fault) => return unread(fault),
    };
    let state = Arc::clone(&app);
    let reply = app
        .api
        .work
        .run(move || Ok::<_, Failure>(deleted(&state, &who, &input)))
        .await?;
    Ok(answered(reply, None))
}

/// The contract's answer to a body that could not be read, with the status that fits. Who may not ask
/// any more is told so as by the gate.
fn unread(fault: Fault) -> Result<Response, Fault> {
    match fault.status() {
        StatusCode::UNAUTHORIZED => Err(fault),
        status => Ok(with_status(contract::refuse_input(), status)),
    }
}

fn with_status(reply: Reply, status: StatusCode) -> Response {
    let mut response = answered(reply, None);
    *response.status_mut() = status;
    response
}

fn deleted(app: &App, who: &Who, input: &Bytes) -> Reply {
    let mut reply = None;
    let told = audited(app, who, "contract-delete", &asked(input), || {
        let answer = reply.insert(with_setup(app, |setup| contract::delete(input, setup)));
        let changed = answer.changed();
        let failure = answer.kind().map(|kind| {
            // The contract has its own words; the log has the code.
            Failure::new(kind.code(), "the contract's delete failed", "")
        });
        match (changed, failure) {
            (None, Some(failure)) => Err(failure),
            (changed, failure) => Ok(Deleted { changed, failure }),
        }
    });
    match (reply, told) {
        (Some(reply), _) => reply,
        (None, Err(fault)) => contract::refuse(fault.into_failure()),
        (None, Ok(_)) => contract::refuse_input(),
    }
}

/// What a call of the contract's delete did, for the log.
struct Deleted {
    changed: Option<contract::Changed>,
    failure: Option<Failure>,
}

impl Told for Deleted {
    fn counts(&self) -> Counts {
        self.changed.map_or_else(Counts::default, |changed| Counts {
            matched: Some(changed.matched),
            changed: Some(changed.done),
            failed: Some(changed.refused),
        })
    }

    fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }
}

/// What was asked for, for the log: the fields that the contract knows. It ignores all others,
/// whatever is in them.
fn asked(input: &Bytes) -> Value {
    const FIELDS: [&str; 8] = [
        "action", "protocol", "src", "dst", "sport", "dport", "zone", "id",
    ];
    let mut asked: Value = serde_json::from_slice(input).unwrap_or_default();
    if let Value::Object(fields) = &mut asked {
        fields.retain(|name, _| FIELDS.contains(&name.as_str()));
    }
    asked
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
fn answered(reply: Reply, permit: Option<Share>) -> Response {
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
        drop(permit);
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
