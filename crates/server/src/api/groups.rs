//! `/api/v1/groups`: what connections have in common.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use engine::Failure;
use engine::group::{By, Cell, MOST_GROUPS, Order, Plan, Report, SortBy};
use engine::names::Name;
use engine::naming::{Naming, Unknown};
use engine::render::connection::write_names;
use engine::render::group;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::answer::{self, Format};
use super::connection::AddressName;
use super::connections::TRUTH;
use super::error::{ErrorBody, Fault};
use super::extract::{FromGiven, Given, Params, Seer};
use super::shape::{Truth, raw};
use crate::app::App;

/// How many groups are shown if nothing is said.
const USUAL_GROUPS: u32 = 100;
/// The most that are shown.
const MOST_SHOWN: u32 = 10_000;

/// Which groups.
#[derive(Clone, Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "it documents the parameters that `Wanted` is made of"
)]
pub struct GroupParams {
    /// One to four fields, separated by commas. /api/v1/query/fields lists them.
    #[param(example = "src,dport")]
    by: String,
    /// Selects connections; all without it.
    query: Option<String>,
    /// `connections` if nothing is said.
    #[param(inline)]
    sort: Option<GroupSort>,
    /// `desc` turns the order round.
    #[param(inline)]
    order: Option<super::connections::Order>,
    /// How many groups; 100 if nothing is said.
    #[param(minimum = 1, maximum = 10000)]
    limit: Option<u32>,
}

/// What groups are sorted by.
#[derive(Clone, Copy, Debug, utoipa::ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum GroupSort {
    /// The most connections first.
    Connections,
    /// The most bytes first.
    Bytes,
    /// The most packets first.
    Packets,
    /// The most bytes a second first.
    Rate,
    /// The newest first.
    Newest,
    /// What they are grouped by.
    Key,
}

/// What is asked for.
#[derive(Debug)]
pub struct Wanted {
    by: Vec<By>,
    query: String,
    order: Order,
    limit: u32,
}

impl FromGiven for Wanted {
    const NAMES: &'static [&'static str] = &["by", "query", "sort", "order", "limit"];

    fn from_given(given: &mut Given) -> Result<Self, Fault> {
        let names = given.word("by").ok_or_else(|| {
            Fault::usage("by", "by what are they grouped?", "such as by=src,dport")
        })?;
        let by = names.split(',').map(|name| name.trim().parse::<By>());
        let by: Result<Vec<By>, String> = by.collect();
        let by = by.map_err(|what| Fault::usage("by", "this cannot be grouped by", what))?;
        let sorts = [
            ("connections", SortBy::Connections),
            ("bytes", SortBy::Bytes),
            ("packets", SortBy::Packets),
            ("rate", SortBy::Rate),
            ("newest", SortBy::Newest),
            ("key", SortBy::Key),
        ];
        Ok(Self {
            by,
            query: given.text("query").unwrap_or_default(),
            order: Order {
                by: given.one_of("sort", &sorts)?.unwrap_or_default(),
                reverse: given
                    .one_of("order", &[("asc", false), ("desc", true)])?
                    .unwrap_or(false),
            },
            limit: given
                .number("limit", 1..=MOST_SHOWN)?
                .unwrap_or(USUAL_GROUPS),
        })
    }
}

/// Groups and their sums. docs/output.md explains the members.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Groups {
    /// What they are grouped by.
    pub by: Vec<String>,
    /// The groups, in order.
    pub groups: Vec<Group>,
    /// The groups that were left off.
    pub others: Option<Sums>,
    /// Connections whose groups could not be told apart: there were too many.
    pub ungrouped: Option<Sums>,
    /// All of it.
    pub total: Sums,
    /// Names of the addresses that groups are of, as far as they are known.
    pub names: BTreeMap<String, AddressName>,
    /// Whether the table was known whole.
    pub complete: bool,
    /// How far it can be believed.
    pub truth: Truth,
}

/// A group.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// What its connections have in common; null what they lack in common.
    pub key: HashMap<String, Option<serde_json::Value>>,
    /// How many.
    pub connections: u64,
    /// Part of all connections, 0 to 1.
    pub share: Option<f64>,
    /// Bytes of both directions.
    pub bytes: Option<u64>,
    /// Bytes of the original direction.
    pub bytes_orig: Option<u64>,
    /// Bytes of the reply direction.
    pub bytes_reply: Option<u64>,
    /// Part of all bytes, 0 to 1.
    pub share_bytes: Option<f64>,
    /// Packets of both directions.
    pub packets: Option<u64>,
    /// Bytes a second, both directions.
    pub rate: Option<u64>,
    /// Bytes a second, original direction.
    pub rate_orig: Option<u64>,
    /// Bytes a second, reply direction.
    pub rate_reply: Option<u64>,
    /// Connections without counters, which are not in the sums.
    pub uncounted: u64,
    /// Begin of the newest, in nanoseconds since the epoch.
    pub newest_start_ns: Option<u64>,
    /// Begin of the oldest, in nanoseconds since the epoch.
    pub oldest_start_ns: Option<u64>,
}

/// Sums of several groups.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Sums {
    /// How many groups.
    pub groups: Option<u64>,
    /// How many of them are shown.
    pub groups_shown: Option<u64>,
    /// How many connections.
    pub connections: u64,
    /// Part of all connections, 0 to 1.
    pub share: Option<f64>,
    /// Bytes of both directions.
    pub bytes: Option<u64>,
    /// Bytes of the original direction.
    pub bytes_orig: Option<u64>,
    /// Bytes of the reply direction.
    pub bytes_reply: Option<u64>,
    /// Part of all bytes, 0 to 1.
    pub share_bytes: Option<f64>,
    /// Packets of both directions.
    pub packets: Option<u64>,
    /// Bytes a second, both directions.
    pub rate: Option<u64>,
    /// Bytes a second, original direction.
    pub rate_orig: Option<u64>,
    /// Bytes a second, reply direction.
    pub rate_reply: Option<u64>,
    /// Connections without counters, which are not in the sums.
    pub uncounted: u64,
    /// Begin of the newest, in nanoseconds since the epoch.
    pub newest_start_ns: Option<u64>,
    /// Begin of the oldest, in nanoseconds since the epoch.
    pub oldest_start_ns: Option<u64>,
}

/// Connections in groups, by whatever they have in common.
#[utoipa::path(get, path = "/api/v1/groups", operation_id = "groups", tag = "connections", params(GroupParams),
    responses(
        (status = 200, description = "Groups", content(
            (Groups = "application/json"), (String = "text/csv"), (String = "application/x-ndjson"))),
        (status = 400, description = "A parameter or the query is wrong", body = ErrorBody),
        (status = 406, description = "None of the accepted types can be had", body = ErrorBody),
        (status = 503, description = "Too much at once", body = ErrorBody),
    ))]
pub async fn list(
    State(app): State<Arc<App>>,
    _: Seer,
    Params(wanted): Params<Wanted>,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let format = answer::wanted(&headers)?;
    let state = Arc::clone(&app);
    app.api
        .work
        .run(move || grouped(&state, wanted, format))
        .await
}

/// The addresses that groups are of, with their names.
fn names_of(report: &Report, naming: &Naming) -> Vec<(IpAddr, Name)> {
    let mut names = Vec::new();
    let mut seen = HashSet::new();
    for cell in report.rows().flat_map(|row| row.cells) {
        if let Cell::Text(text) = cell
            && let Ok(address) = text.parse()
            && seen.insert(address)
            && let Some(name) = naming.address(address, Unknown::Ask)
        {
            names.push((address, name));
        }
    }
    names
}

fn grouped(app: &App, wanted: Wanted, format: Format) -> Result<Response, Fault> {
    let query = app.query(&wanted.query)?;
    let naming = app.naming();
    let plan = Plan::new(wanted.by, &naming.marks, MOST_GROUPS)
        .map_err(|failure| Fault::from(failure).about("by"))?;
    let (groups, truth) = app.live.groups(&query, &plan);
    let report = groups.into_report(wanted.order, Some(wanted.limit as usize));
    let mut out = Vec::new();
    let complete = truth.complete;
    let truth = serde_json::to_string(&Truth::from(&truth)).unwrap_or_default();
    let content_type = match format {
        Format::Json => {
            group::write_json(&mut out, &report, complete);
            // The object goes on.
            out.truncate(out.trim_ascii_end().len().saturating_sub(1));
            out.extend_from_slice(b",\"names\":");
            write_names(&mut out, &names_of(&report, &naming));
            out.extend_from_slice(format!(",\"truth\":{truth}}}").as_bytes());
            return Ok(
                Json(raw(out).map_err(|failure: Failure| Fault::from(failure))?).into_response(),
            );
        }
        Format::Ndjson => {
            group::write_ndjson(&mut out, &report, complete);
            "application/x-ndjson"
        }
        Format::Csv => {
            group::write_csv(&mut out, &report, engine::now());
            "text/csv; charset=utf-8; header=present"
        }
    };
    let mut response = ([(header::CONTENT_TYPE, content_type)], out).into_response();
    if let Ok(truth) = HeaderValue::from_str(&truth) {
        response.headers_mut().insert(TRUTH, truth);
    }
    Ok(response)
}
