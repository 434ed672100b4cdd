//! `/api/v1/query`: what a query means, what can be typed next, what there is.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use engine::group::By;
use engine::{Column, Failure};
use query::{Field, Flag};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::tagged;
use super::columns::BEYOND;
use super::error::{ErrorBody, Fault};
use super::extract::{Body, FromGiven, Given, Nothing, Params, Seer};
use crate::app::App;

/// A text to be understood.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckRequest {
    /// The query.
    #[schema(example = "tcp and dport in {80, 443}")]
    query: String,
}

/// What became of the text.
#[derive(Debug, Serialize, ToSchema)]
pub struct Checked {
    /// Whether it is a query.
    ok: bool,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorBody>,
    /// How it is understood.
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<Explanation>,
}

/// How a query is understood, and what becomes of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Explanation {
    /// The usual spelling.
    parsed: String,
    /// Whether it selects every connection.
    everything: bool,
    /// What the kernel filters: alternatives. None if it sends everything.
    kernel: Vec<String>,
    /// What is left to be compared here.
    #[serde(skip_serializing_if = "Option::is_none")]
    rest: Option<String>,
    /// What looks like a mistake.
    warnings: Vec<Warning>,
}

/// Something that is not wrong, but hardly meant.
#[derive(Debug, Serialize, ToSchema)]
pub struct Warning {
    /// Stable word: `always-true`, `always-false`, `no-protocol`.
    code: String,
    /// What is the matter.
    message: String,
    /// Where, in characters.
    offset: usize,
    /// How many characters.
    length: usize,
}

/// Whether a text is a query, what it means, or where it is wrong. The answer about a text that is no query
/// is an answer, so its status is 200.
#[utoipa::path(post, path = "/api/v1/query/check", tag = "query", request_body = CheckRequest,
    responses(
        (status = 200, description = "What became of the text", body = Checked),
        (status = 400, description = "The body is wrong", body = ErrorBody),
        (status = 413, description = "The body is too long", body = ErrorBody),
        (status = 415, description = "The body is no JSON", body = ErrorBody),
    ))]
pub async fn check(
    State(app): State<Arc<App>>,
    _: Seer,
    Body(request): Body<CheckRequest>,
) -> Result<Json<Checked>, Fault> {
    let state = Arc::clone(&app);
    let checked = app
        .api
        .work
        .run(move || Ok::<_, Failure>(checked(&state, &request.query)))
        .await?;
    Ok(Json(checked))
}

fn checked(app: &App, text: &str) -> Checked {
    let query = match app.query(text) {
        Ok(query) => query,
        Err(failure) => {
            return Checked {
                ok: false,
                error: Some(Fault::from(failure).body()),
                explanation: None,
            };
        }
    };
    let explained = query.explain();
    let warning = |warning: query::Warning| Warning {
        code: warning.code.to_owned(),
        message: warning.message,
        offset: warning.offset,
        length: warning.length,
    };
    Checked {
        ok: true,
        error: None,
        explanation: Some(Explanation {
            parsed: explained.parsed,
            everything: query.is_any(),
            kernel: explained.kernel,
            rest: explained.rest,
            warnings: explained.warnings.into_iter().map(warning).collect(),
        }),
    }
}

/// A query as far as it is typed.
#[derive(Clone, Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CompleteParams {
    /// The text.
    query: Option<String>,
    /// Where the cursor is, in characters; the end if nothing is said.
    #[param(minimum = 0, maximum = 1_000_000)]
    cursor: Option<u32>,
}

impl FromGiven for CompleteParams {
    const NAMES: &'static [&'static str] = &["query", "cursor"];

    fn from_given(given: &mut Given) -> Result<Self, Fault> {
        Ok(Self {
            query: given.text("query"),
            cursor: given.number("cursor", 0..=1_000_000)?,
        })
    }
}

/// What can stand at a place of a query.
#[derive(Debug, Serialize, ToSchema)]
pub struct Completion {
    /// Where the word begins that is being typed, in characters.
    offset: usize,
    /// How many characters of it are there.
    length: usize,
    /// What it can become, likeliest first.
    candidates: Vec<Candidate>,
}

/// One way to go on.
#[derive(Debug, Serialize, ToSchema)]
pub struct Candidate {
    /// The text that takes the word's place.
    text: String,
    /// What sort of thing it is.
    #[schema(value_type = String, example = "field")]
    kind: query::CandidateKind,
    /// What it means, one line; may be empty.
    meaning: String,
}

/// What can be typed next.
#[utoipa::path(get, path = "/api/v1/query/complete", tag = "query", params(CompleteParams),
    responses(
        (status = 200, description = "What can follow", body = Completion),
        (status = 400, description = "A parameter is wrong, or the text before the cursor", body = ErrorBody),
    ))]
pub async fn complete(
    State(app): State<Arc<App>>,
    _: Seer,
    Params(params): Params<CompleteParams>,
) -> Result<Json<Completion>, Fault> {
    let text = params.query.unwrap_or_default();
    let cursor = params.cursor.map_or(usize::MAX, |cursor| cursor as usize);
    let completion = query::complete(&text, cursor, &app.settings().vocabulary)
        .map_err(|error| Failure::of_query(&error, &text))?;
    let candidate = |candidate: query::Candidate| Candidate {
        text: candidate.text,
        kind: candidate.kind,
        meaning: candidate.meaning,
    };
    Ok(Json(Completion {
        offset: completion.offset,
        length: completion.length,
        candidates: completion.candidates.into_iter().map(candidate).collect(),
    }))
}

/// What can be asked, sorted and grouped by.
#[derive(Debug, Serialize, ToSchema)]
pub struct Fields {
    /// Fields of the query language.
    fields: Vec<FieldInfo>,
    /// Flags of the query language.
    flags: Vec<Name>,
    /// Columns: of text/csv, and to sort by where `sorts` is true.
    columns: Vec<ColumnInfo>,
    /// What to group by.
    groups: Vec<Name>,
}

/// A field of the query language.
#[derive(Debug, Serialize, ToSchema)]
pub struct FieldInfo {
    /// Its names, the usual one first.
    names: Vec<String>,
    /// What it is.
    meaning: String,
    /// A query with it.
    example: String,
}

/// A name and what it means.
#[derive(Debug, Serialize, ToSchema)]
pub struct Name {
    /// The name.
    name: String,
    /// What it means.
    meaning: String,
}

/// A column.
#[derive(Debug, Serialize, ToSchema)]
pub struct ColumnInfo {
    /// Its name.
    name: String,
    /// What it shows.
    meaning: String,
    /// Whether lists can be sorted by it.
    sorts: bool,
    /// Whether it is a quantity, sorted from the largest.
    quantity: bool,
}

/// The fields, flags, columns and groupings that there are. Has an ETag.
#[utoipa::path(get, path = "/api/v1/query/fields", tag = "query",
    responses(
        (status = 200, description = "What there is", body = Fields),
        (status = 304, description = "As you have it"),
        (status = 400, description = "Parameters, of which there are none here", body = ErrorBody),
    ))]
pub async fn fields(
    _: State<Arc<App>>,
    _: Seer,
    _: Params<Nothing>,
    headers: HeaderMap,
) -> Response {
    // Plain structs always serialise.
    let text = serde_json::to_vec(&Fields::all()).unwrap_or_default();
    tagged(&headers, "application/json", Bytes::from(text))
}

impl Fields {
    fn all() -> Self {
        let name = |name: &str, meaning: &str| Name {
            name: name.to_owned(),
            meaning: meaning.to_owned(),
        };
        let columns = Column::ALL.iter().map(|column| ColumnInfo {
            name: column.name().to_owned(),
            meaning: column.meaning().to_owned(),
            sorts: true,
            quantity: column.is_quantity(),
        });
        let beyond = BEYOND.iter().map(|(name, _, meaning)| ColumnInfo {
            name: (*name).to_owned(),
            meaning: (*meaning).to_owned(),
            sorts: name.starts_with("rate"),
            quantity: name.starts_with("rate"),
        });
        Self {
            fields: Field::ALL
                .iter()
                .map(|field| FieldInfo {
                    names: field.names().iter().map(|&name| name.to_owned()).collect(),
                    meaning: field.meaning().to_owned(),
                    example: field.example().to_owned(),
                })
                .collect(),
            flags: Flag::ALL
                .iter()
                .map(|flag| name(flag.name(), flag.meaning()))
                .collect(),
            columns: columns.chain(beyond).collect(),
            groups: By::all().map(|(by, meaning)| name(by, meaning)).collect(),
        }
    }
}
