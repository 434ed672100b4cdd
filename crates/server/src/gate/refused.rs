//! Why somebody is not let through, as an answer.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use engine::Failure;

/// Why somebody is not let through.
pub(super) enum Refused {
    /// Nobody said who asks.
    Unknown,
    /// The token or code is none.
    Wrong,
    /// Wrong ones came too often: seconds to wait.
    TooOften(u64),
    /// Connected too often already, by this name.
    TooMany(String),
    /// Known, and not allowed.
    Forbidden(String),
    /// Asked under a name that is not ours.
    Host(String),
    /// A change that a page of another origin asked for.
    Origin,
    /// It could not be found out.
    Failed(Failure),
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut wait = None;
        let (status, failure) = match self {
            Self::Unknown => (
                StatusCode::UNAUTHORIZED,
                Failure::new(
                    "not-signed-in",
                    "nobody said who asks",
                    "sign in, or send a token: Authorization: Bearer tl_…; tracklight token add makes \
                     one",
                ),
            ),
            Self::Wrong => (
                StatusCode::UNAUTHORIZED,
                Failure::new(
                    "wrong-token",
                    "this token or link is not known, or does not hold any more",
                    "see which there are: tracklight token list; make another: tracklight token add, \
                     tracklight token link",
                ),
            ),
            Self::TooOften(seconds) => {
                wait = Some(seconds);
                (
                    StatusCode::TOO_MANY_REQUESTS,
                    Failure::new(
                        "too-many-attempts",
                        format!("too many wrong tokens came from there; wait {seconds} s"),
                        "a program with a token that was revoked should be stopped",
                    ),
                )
            }
            Self::TooMany(name) => {
                wait = Some(5);
                (
                    StatusCode::TOO_MANY_REQUESTS,
                    Failure::new(
                        "too-many-connections",
                        format!(
                            "{name} has as many connections as one may have, or all of its kind have"
                        ),
                        "ask more over one connection, close some, or give every program a token of its own",
                    ),
                )
            }
            Self::Forbidden(words) => (
                StatusCode::FORBIDDEN,
                Failure::new(
                    "forbidden",
                    words,
                    "ask as root, or as the daemon's own user",
                ),
            ),
            Self::Host(name) => (
                StatusCode::MISDIRECTED_REQUEST,
                Failure::new(
                    "wrong-host",
                    format!("'{name}' is not a name of this daemon"),
                    "use its address, or add the name to server.names in the configuration",
                ),
            ),
            Self::Origin => (
                StatusCode::FORBIDDEN,
                Failure::new(
                    "wrong-origin",
                    "a page of another origin asked for a change",
                    "programs send a token instead of a cookie",
                ),
            ),
            // A stranger need not know where what is kept.
            Self::Failed(failed) => {
                tracing::error!(code = failed.code, "who asks cannot be found out: {failed}");
                (
                    StatusCode::INTERNAL_SERVER_ERROR,
                    Failure::new(
                        failed.code,
                        "who asks cannot be found out",
                        "the daemon's log says why; its socket needs no token",
                    ),
                )
            }
        };
        let mut response = (status, axum::Json(failure)).into_response();
        if let Some(Ok(value)) = wait.map(|wait| HeaderValue::try_from(wait.to_string())) {
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        if status == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, bearer);
        }
        response
    }
}
