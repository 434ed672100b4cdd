//! Signing in with a browser: a page without scripts, and the session's resource.

use std::sync::Arc;

use axum::extract::rejection::{FormRejection, JsonRejection, QueryRejection};
use axum::extract::{Form, Query, Request, State};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use serde::{Deserialize, Serialize};
use utoipa::{OpenApi, ToSchema};

use super::refused::Refused;
use super::{COOKIE, COOKIE_OF_TLS, Gate, Peer, Token};
use crate::api::error::{ErrorBody, Fault};
use crate::memory;
use crate::who::{Role, Who};

/// `/signin` and `/api/v1/session`.
pub fn routes(gate: Arc<Gate>) -> Router {
    Router::new()
        .route("/signin", get(page).post(sign_in))
        .route(
            "/api/v1/session",
            get(whoami).post(begin_session).delete(sign_out),
        )
        .layer(from_fn(with_short_body))
        .layer(from_fn(memory::hold_answer))
        .with_state(gate)
}

/// The longest code of a link.
const LONGEST_CODE: usize = 128;
/// The longest view that is gone on to.
const LONGEST_NEXT: usize = 1000;
/// The longest body: a token or a code has less than a hundred bytes.
const BODY: usize = 4 << 10;

/// Reads the body before anything else. Strangers send it: it is short, and soon there.
async fn with_short_body(request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let (holder, length) = (
        parts.extensions.get().cloned(),
        memory::length(&parts.headers),
    );
    // A head may be larger than its body: what is not needed is not kept while that is waited for.
    let mut kept = HeaderMap::new();
    for name in [
        header::HOST,
        header::ORIGIN,
        header::COOKIE,
        header::CONTENT_TYPE,
    ] {
        if let Some(value) = parts.headers.get(&name) {
            kept.insert(name, value.clone());
        }
    }
    parts.headers = kept;
    match memory::read(holder.as_ref(), length, body, BODY).await {
        Ok(body) => next.run(Request::from_parts(parts, body.into())).await,
        Err(fault) if parts.uri.path() == "/signin" => {
            let words = format!("This could not be read: {}.", fault.body().message);
            (fault.status(), Html(form("", "", &words))).into_response()
        }
        Err(fault) => fault.into_response(),
    }
}

/// What somebody signs in with.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = SessionRequest)]
struct Answer {
    /// Of a link.
    code: String,
    /// Or a token itself.
    token: String,
}

/// The description of the session's resource.
pub(crate) fn described() -> utoipa::openapi::OpenApi {
    #[derive(OpenApi)]
    #[openapi(paths(whoami, begin_session, sign_out))]
    struct Described;
    Described::openapi()
}

/// What comes with the page and its form.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Sent {
    #[serde(flatten)]
    answer: Answer,
    /// Where the browser wanted to go.
    next: String,
}

/// Leads to the page of signing in, and from there on to what was asked for.
pub(super) fn first(asked: &Uri) -> Response {
    let view = asked.path_and_query().map_or("/", PathAndQuery::as_str);
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("next", view)
        .finish();
    let page = match view {
        "/" => "/signin".to_owned(),
        _ => format!("/signin?{query}"),
    };
    Redirect::to(&page).into_response()
}

/// The view that was asked for, where it is one of the page's own.
fn next(sent: &str) -> &str {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\"'<>\\".contains(&byte);
    let is_view =
        sent.starts_with("/?") && sent.len() <= LONGEST_NEXT && sent.bytes().all(is_plain);
    if is_view { sent } else { "/" }
}

/// The page that a link opens. It signs nobody in by itself: mail programs and browsers look at
/// links before anybody does, and a code is good once.
async fn page(sent: Result<Query<Sent>, QueryRejection>) -> Html<String> {
    let Sent { answer, next } = sent.map(|Query(sent)| sent).unwrap_or_default();
    let is_code = answer.code.len() <= LONGEST_CODE
        && answer.code.bytes().all(|byte| byte.is_ascii_hexdigit());
    let code = if is_code { answer.code } else { String::new() };
    Html(form(&code, &next, ""))
}

/// The form's answer: a session, and on to the page.
async fn sign_in(
    State(gate): State<Arc<Gate>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    sent: Result<Form<Sent>, FormRejection>,
) -> Response {
    let Form(Sent { answer, next: view }) = match sent {
        Ok(sent) => sent,
        Err(rejection) => {
            let words = "This is no form of this page.";
            return (rejection.status(), Html(form("", "", words))).into_response();
        }
    };
    match begin(&gate, &peer, &headers, &answer) {
        Ok((_, cookie)) => {
            let mut response = Redirect::to(next(&view)).into_response();
            response.headers_mut().insert(header::SET_COOKIE, cookie);
            response
        }
        Err(Refused::Wrong) => {
            let words =
                "This link or token does not hold (any more). A new link: tracklight token link.";
            (StatusCode::UNAUTHORIZED, Html(form("", &view, words))).into_response()
        }
        Err(Refused::TooOften(seconds)) => {
            let words = format!(
                "This link or token does not hold, and too many came that do not. Wait {seconds} \
                 seconds."
            );
            let head = [(header::RETRY_AFTER, seconds.to_string())];
            (
                StatusCode::TOO_MANY_REQUESTS,
                head,
                Html(form("", &view, &words)),
            )
                .into_response()
        }
        Err(refused) => refused.into_response(),
    }
}

/// Signs a browser in with a token, or with the code of a link, which is good once: a cookie that scripts do not see.
/// The request must come from a page of the daemon's own origin.
#[utoipa::path(post, path = "/api/v1/session", tag = "session", request_body = Answer, security(()),
    responses(
        (status = 200, description = "Who is signed in now, with the cookie", body = Session),
        (status = 400, description = "The body has no token", body = ErrorBody),
        (status = 403, description = "It came from a page of another origin", body = ErrorBody),
        (status = 413, description = "The body is too long", body = ErrorBody),
    ))]
async fn begin_session(
    State(gate): State<Arc<Gate>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    answer: Result<Json<Answer>, JsonRejection>,
) -> Response {
    let Json(answer) = match answer {
        Ok(answer) => answer,
        Err(_) => {
            let hint = "send {\"token\": \"tl_…\"} or {\"code\": \"…\"} as application/json";
            return Fault::new("usage", "the request has no token", hint).into_response();
        }
    };
    match begin(&gate, &peer, &headers, &answer) {
        Ok((token, cookie)) => {
            let session = Session {
                name: token.name,
                role: token.role,
            };
            ([(header::SET_COOKIE, cookie)], Json(session)).into_response()
        }
        Err(refused) => refused.into_response(),
    }
}

fn begin(
    gate: &Gate,
    peer: &Peer,
    headers: &HeaderMap,
    answer: &Answer,
) -> Result<(Token, HeaderValue), Refused> {
    // Else a stranger's page could sign somebody in as the stranger.
    gate.check_host(headers)?;
    gate.check_origin(headers, peer)?;
    let token: Token = gate.attempt(peer, || {
        if answer.token.is_empty() {
            gate.tokens.use_link(&answer.code)
        } else {
            gate.tokens.find(answer.token.trim())
        }
    })?;
    let secret = gate.sessions.begin(token.clone());
    let secret = secret.map_err(Refused::Failed)?;
    let is_secure = gate.is_secure(headers, peer);
    Ok((token, set_cookie(&secret, is_secure, "")))
}

fn set_cookie(secret: &str, is_secure: bool, more: &str) -> HeaderValue {
    let (name, secure) = match is_secure {
        true => (COOKIE_OF_TLS, "; Secure"),
        false => (COOKIE, ""),
    };
    HeaderValue::try_from(format!(
        "{name}={secret}; Path=/; HttpOnly; SameSite=Strict{secure}{more}"
    ))
    .unwrap_or(HeaderValue::from_static(""))
}

/// Who somebody is.
#[derive(Serialize, ToSchema)]
struct Session {
    /// Name of the token by which they came, or `uid 0` over the socket.
    name: String,
    /// What they may.
    role: Role,
}

/// Who asks.
#[utoipa::path(get, path = "/api/v1/session", tag = "session",
    responses((status = 200, description = "Who asks, and what they may", body = Session)))]
async fn whoami(Extension(who): Extension<Who>) -> Json<Session> {
    Json(Session {
        name: who.name,
        role: who.role,
    })
}

/// Signs the browser out. Streams of its session end.
#[utoipa::path(delete, path = "/api/v1/session", tag = "session",
    responses(
        (status = 204, description = "The session is over, if there was one"),
        (status = 403, description = "It came from a page of another origin", body = ErrorBody),
    ))]
async fn sign_out(
    State(gate): State<Arc<Gate>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Response {
    if let Some(secret) = gate.cookie(&headers, &peer) {
        gate.sessions.end(secret);
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    let over = set_cookie("", gate.is_secure(&headers, &peer), "; Max-Age=0");
    response.headers_mut().insert(header::SET_COOKIE, over);
    response
}

/// `code` is hexadecimal, `words` are ours: nothing of them has to be escaped.
fn form(code: &str, view: &str, words: &str) -> String {
    let view = next(view).replace('&', "&amp;");
    let field = if code.is_empty() {
        "<label>Token <input type=\"password\" name=\"token\" autocomplete=\"current-password\" \
         autofocus required></label>"
            .to_owned()
    } else {
        format!("<input type=\"hidden\" name=\"code\" value=\"{code}\">")
    };
    let hint = if code.is_empty() {
        "<p><small>No token at hand? On the gateway, <code>tracklight token link</code> prints a link that signs you in.</small></p>"
    } else {
        ""
    };
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><link rel=\"icon\" href=\"data:,\"><title>Tracklight: sign in</title>\
         <style>:root{{color-scheme:light dark;background:light-dark(#f5f7fa,#0d1420);color:light-dark(#16202e,#e6edf6)}}\
         body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:26rem;margin:15vh auto;padding:0 1rem}}\
         input,button{{font:inherit;padding:.4rem .8rem;border:1px solid light-dark(#d5dce6,#2a3850);border-radius:6px}}\
         input{{width:100%;box-sizing:border-box;margin:.3rem 0 1rem;background:light-dark(#fff,#141d2c)}}\
         button{{background:light-dark(#0a5fb4,#6cb6ff);color:light-dark(#fff,#06121f);cursor:pointer}}</style></head><body><h1>Tracklight</h1><p>{words}</p>\
         <form method=\"post\" action=\"/signin\">{field}<input type=\"hidden\" name=\"next\" value=\"{view}\">\
         <button>Sign in</button></form>{hint}</body></html>\n"
    )
}
