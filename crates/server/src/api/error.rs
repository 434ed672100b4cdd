//! What goes wrong, in the one shape that every answer of ours has.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use engine::Failure;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why a request was not answered: a [`Failure`], and which field of the request it is about.
#[derive(Clone, Debug)]
pub struct Fault {
    failure: Failure,
    field: Option<String>,
    details: Option<Details>,
}

/// Numbers that belong to a failure.
#[derive(Clone, Copy, Debug, Serialize)]
struct Details {
    connections: u64,
}

/// The JSON of every failure.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ErrorBody {
    /// Stable word; docs/errors.md lists them all.
    pub code: String,
    /// What happened, one line.
    pub message: String,
    /// What to do about it, one line; may be empty.
    pub hint: String,
    /// The parameter, header or member of the body that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub field: Option<String>,
    /// Of a query: where the mistake begins, in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub offset: Option<usize>,
    /// Of a query: how many characters; 0 at its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub length: Option<usize>,
    /// Of a query: what could have stood there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub expected: Option<Vec<String>>,
    /// With `count-differs`: how many connections there are now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub connections: Option<u64>,
}

impl Fault {
    /// A failure with its three parts.
    pub fn new(code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Failure::new(code, message, hint).into()
    }

    /// A value that is wrong, missing, or does not fit.
    pub fn usage(
        field: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self::new("usage", message, hint).about(field)
    }

    /// More than can be done at once.
    pub fn too_busy() -> Self {
        Self::new(
            "too-busy",
            "more is asked for at once than can be answered",
            "try again in a second",
        )
    }

    /// The same, about a field.
    #[must_use]
    pub fn about(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// The same, of a member that is within another one.
    #[must_use]
    pub fn within(mut self, outer: &str) -> Self {
        self.field = self.field.map(|field| format!("{outer}.{field}"));
        self
    }

    /// The same, with how many connections there are.
    #[must_use]
    pub fn with_connections(mut self, connections: u64) -> Self {
        self.details = Some(Details { connections });
        self
    }

    /// What it is about, without the request.
    pub fn into_failure(self) -> Failure {
        self.failure
    }

    /// The HTTP status that fits.
    pub fn status(&self) -> StatusCode {
        status_of(self.failure.code)
    }

    /// Its JSON.
    pub fn body(&self) -> ErrorBody {
        let Failure {
            code,
            message,
            hint,
            place,
        } = &self.failure;
        let place = place.as_deref();
        ErrorBody {
            code: (*code).to_owned(),
            message: message.clone(),
            hint: hint.clone(),
            field: self.field.clone(),
            offset: place.map(|place| place.offset),
            length: place.map(|place| place.length),
            expected: place.map(|place| place.expected.clone()),
            connections: self.details.map(|details| details.connections),
        }
    }
}

impl From<Failure> for Fault {
    /// What is wrong with a query is about the field of that name.
    fn from(failure: Failure) -> Self {
        let field = failure
            .code
            .starts_with("query-")
            .then(|| "query".to_owned());
        Self {
            failure,
            field,
            details: None,
        }
    }
}

impl From<ctnetlink::Error> for Fault {
    fn from(error: ctnetlink::Error) -> Self {
        Failure::from(error).into()
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let status = self.status();
        let mut response = (status, axum::Json(self.body())).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// The status of a code. What is not the asker's fault is 500, or 503 where it may pass.
fn status_of(code: &str) -> StatusCode {
    match code {
        "usage" | "not-json" | "invalid" => StatusCode::BAD_REQUEST,
        code if code.starts_with("query-") => StatusCode::BAD_REQUEST,
        "not-signed-in" | "signed-out" => StatusCode::UNAUTHORIZED,
        "forbidden" => StatusCode::FORBIDDEN,
        "not-found" | "no-such-path" => StatusCode::NOT_FOUND,
        "method-not-allowed" => StatusCode::METHOD_NOT_ALLOWED,
        "not-acceptable" => StatusCode::NOT_ACCEPTABLE,
        "exists" | "busy" | "table-full" | "refused" | "own-session" | "count-differs"
        | "done-already" | "too-many" | "not-undoable" | "unsupported" => StatusCode::CONFLICT,
        "cursor-expired" => StatusCode::GONE,
        "too-large" => StatusCode::PAYLOAD_TOO_LARGE,
        "body-late" => StatusCode::REQUEST_TIMEOUT,
        "media-type" => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "too-busy" | "not-ready" | "timed-out" => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
