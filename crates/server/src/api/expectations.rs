//! `/api/v1/expectations`: connections that helpers expect.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use ctnetlink::Expectation;
use engine::Failure;
use engine::render::json::write_expectation;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::audit::audited;
use super::connection::Way;
use super::error::{ErrorBody, Fault};
use super::extract::{Named, Nothing, Operator, Params, Seer};
use super::shape::raw;
use crate::app::App;

/// What is expected.
#[derive(Debug, Serialize, ToSchema)]
pub struct Expectations {
    /// Each of them.
    #[schema(value_type = Vec<Expected>)]
    expectations: Vec<Box<RawValue>>,
}

/// A connection that a helper expects.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// `ipv4` or `ipv6`.
    pub family: String,
    /// The protocol's name, where it has one.
    pub protocol: Option<String>,
    /// IANA number.
    pub protocol_number: u8,
    /// What is expected.
    pub tuple: Way,
    /// Which bits of it count.
    pub mask: Way,
    /// The connection that it belongs to.
    pub master: Way,
    /// Seconds until it is forgotten.
    pub timeout: Option<u32>,
    /// Id.
    pub id: Option<u32>,
    /// Zone.
    pub zone: Option<u16>,
    /// Names of its flags.
    pub flags: Option<Vec<String>>,
    /// Class, as the helper counts them.
    pub class: Option<u32>,
    /// Helper of the connection to come.
    pub helper: Option<String>,
    /// What is called when it comes.
    pub function: Option<String>,
    /// Which direction is translated: `orig` or `reply`.
    pub nat_direction: Option<String>,
    /// To what.
    pub nat_tuple: Option<Way>,
}

/// Connections that helpers expect, as the kernel has them now.
#[utoipa::path(get, path = "/api/v1/expectations", tag = "table",
    responses(
        (status = 200, description = "What is expected", body = Expectations),
        (status = 400, description = "Parameters, of which there are none here", body = ErrorBody),
    ))]
pub async fn list(
    State(app): State<Arc<App>>,
    _: Seer,
    _: Params<Nothing>,
) -> Result<Json<Expectations>, Fault> {
    let state = Arc::clone(&app);
    let read = move || {
        let all = state.live.client().expectations(None)?;
        let json = |expectation: &Expectation| {
            let mut text = Vec::with_capacity(512);
            write_expectation(&mut text, expectation);
            raw(text)
        };
        let expectations: Result<Vec<_>, Failure> = all.iter().map(json).collect();
        Ok::<_, Failure>(Expectations {
            expectations: expectations?,
        })
    };
    app.api.work.run(read).await.map(Json)
}

/// Forgets an expectation.
#[utoipa::path(delete, path = "/api/v1/expectations/{id}", tag = "table",
    params(("id" = u32, Path, description = "Its id in the list")),
    responses(
        (status = 204, description = "It is forgotten"),
        (status = 400, description = "The id is no number", body = ErrorBody),
        (status = 403, description = "You may not change", body = ErrorBody),
        (status = 404, description = "There is no such expectation", body = ErrorBody),
    ))]
pub async fn forget(
    State(app): State<Arc<App>>,
    Operator(who): Operator,
    Named(id): Named,
    _: Params<Nothing>,
) -> Result<StatusCode, Fault> {
    let number: u32 = id.parse().map_err(|_| {
        Fault::usage(
            "id",
            "an expectation's id is a number",
            "take it from the list",
        )
    })?;
    let state = Arc::clone(&app);
    let work = move || {
        let client = state.live.client();
        audited(&state, &who, "expectation-delete", &number, || {
            let all = client.expectations(None)?;
            let found = all
                .iter()
                .find(|expectation| expectation.id == Some(number));
            let found = found.ok_or_else(|| {
                Failure::new(
                    "not-found",
                    "there is no such expectation",
                    "it may have been met or forgotten; list them again",
                )
            })?;
            Ok(client.delete_expectation(found.key())?)
        })
    };
    app.api.work.run(work).await?;
    Ok(StatusCode::NO_CONTENT)
}
