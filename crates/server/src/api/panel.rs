//! The connections contract over HTTP: `/api/connections/read` and `/delete`, bodies and errors as
//! docs/contract.md has them.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use engine::Failure;
use engine::contract::{self, Reply, Setup};
use serde_json::Value;

use super::answer::{self, Pieces};
use super::audit::{Told, audited};
use super::error::Fault;
use super::extract::{self, Seer};
use crate::app::App;
use crate::audit::Counts;
use crate::memory::{self, Holder};
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
    read_with(app, input, holder).await.or_else(refused)
}

/// Lists longer than this are written while they are sent, to only so many readers at once; all else is
/// whole before it is sent.
const LONG: usize = 2000;

async fn read_with(app: Arc<App>, input: Bytes, holder: Option<Holder>) -> Result<Response, Fault> {
    let work = &app.api.work;
    // Asked for before the table is read: a long list is held until its reader has taken it.
    let is_long =
        contract::lists_more_than(&input, LONG) && app.live.summary().connections > LONG as u64;
    let permit = is_long.then(|| work.stream()).transpose()?;
    let state = Arc::clone(&app);
    let read = move || {
        let reply = with_setup(&state, |setup| contract::read(&input, setup));
        let whole = (reply.listed() <= LONG)
            .then(|| written(&reply))
            .transpose()?;
        Ok::<_, Failure>((reply, whole))
    };
    let (reply, whole) = work.run(read).await?;
    let Some(whole) = whole else {
        // There may be more than there were, or the table was not known yet.
        let permit = permit.map_or_else(|| work.stream(), Ok)?;
        return Ok(streamed(reply, permit));
    };
    let share = holder
        .map(|holder| holder.answer(whole.len()))
        .transpose()?;
    let mut response = answered(&reply, whole);
    if let Some(share) = share {
        response = memory::counted(response, share);
    }
    Ok(response)
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
        let failure = Failure::new("permission-denied", message, "");
        return told(&contract::refuse(failure));
    }
    let input = match extract::bytes(request).await {
        Ok(input) => input,
        Err(fault) => return unread(fault),
    };
    let state = Arc::clone(&app);
    let done = app
        .api
        .work
        .run(move || Ok::<_, Failure>(deleted(&state, &who, &input)));
    let done = done.await.and_then(|reply| told(&reply));
    done.or_else(refused)
}

/// The contract's answer to a body that could not be read, with the status that fits. Who may not ask
/// any more is told so as by the gate.
fn unread(fault: Fault) -> Result<Response, Fault> {
    match fault.status() {
        StatusCode::UNAUTHORIZED => Err(fault),
        status => with_status(&contract::refuse_input(), status),
    }
}

/// The same to what cannot be done now.
fn refused(fault: Fault) -> Result<Response, Fault> {
    match fault.status() {
        StatusCode::UNAUTHORIZED => Err(fault),
        StatusCode::SERVICE_UNAVAILABLE => {
            let failure = Failure::new("busy", fault.body().message.clone(), "");
            with_status(&contract::refuse(failure), StatusCode::SERVICE_UNAVAILABLE)
        }
        status => with_status(&contract::refuse(fault.into_failure()), status),
    }
}

fn with_status(reply: &Reply, status: StatusCode) -> Result<Response, Fault> {
    let mut response = told(reply)?;
    *response.status_mut() = status;
    if status == StatusCode::SERVICE_UNAVAILABLE {
        let headers = response.headers_mut();
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    Ok(response)
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

/// A reply of a line or two.
fn told(reply: &Reply) -> Result<Response, Fault> {
    Ok(answered(reply, written(reply)?))
}

fn written(reply: &Reply) -> Result<Vec<u8>, Failure> {
    let mut whole = Vec::new();
    reply.write_to(&mut whole).map_err(|error| {
        Failure::new(
            "internal",
            format!("the answer could not be written: {error}"),
            "",
        )
    })?;
    Ok(whole)
}

/// The reply's body is written while it is sent: of a million connections it is 600 MB.
fn streamed(reply: Reply, permit: Share) -> Response {
    let (pieces, body) = answer::body();
    let response = answered(&reply, body);
    tokio::task::spawn_blocking(move || {
        let mut writer = Writer(pieces);
        // A reader that went away: the body breaks off.
        if reply.write_to(&mut writer).is_ok() {
            let _gone = writer.0.finish();
        }
        drop(permit);
    });
    response
}

fn answered(reply: &Reply, body: impl Into<Body>) -> Response {
    for note in reply.notes() {
        // Who answered `stats` is in a header too, and panels ask for it each second.
        match reply.source() {
            Some(_) => tracing::debug!("contract: {note}"),
            None => tracing::warn!("contract: {note}"),
        }
    }
    let status = StatusCode::from_u16(reply.http_status());
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(source) = reply.source() {
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
