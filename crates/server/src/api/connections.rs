//! `/api/v1/connections`: lists, pages, streams, one connection.

use std::ops::ControlFlow;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use engine::live::{Live, PageRequest, Row, SortBy};
use engine::naming::{Naming, Unknown};
use engine::render::connection::write_connection;
use engine::{Column, Failure};
use serde_json::value::RawValue;
use utoipa::IntoParams;

use super::answer::{self, Format, Pieces, Stopped};
use super::columns::{self, RowColumn};
use super::error::{ErrorBody, Fault};
use super::explain::{self, Known};
use super::extract::{FromGiven, Given, Named, Params, Seer, hint_of, shown};
use super::shape::{Page, Totals, Truth, raw};
use crate::app::App;
use crate::who::Who;

/// The largest page.
const MOST_ROWS: usize = 1000;
/// How many rows a page has if nothing is said.
const USUAL_ROWS: usize = 100;
/// How many rows may be left out before the first page; those behind are reached by a cursor.
const MOST_OFFSET: u32 = 10_000;

/// Which connections, how many, in which order.
#[derive(Clone, Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "it documents the parameters that `Wanted` is made of"
)]
pub struct ListParams {
    /// Selects connections, in the query language (docs/query.md); all without it.
    #[param(example = "tcp and dport == 443")]
    query: Option<String>,
    /// A column, `rate`, `rate_orig` or `rate_reply`; the table's own order without it. Quantities
    /// from the largest, everything else ascending. /api/v1/query/fields lists the columns.
    #[param(example = "bytes")]
    sort: Option<String>,
    /// `desc` turns the order round.
    #[param(inline)]
    order: Option<Order>,
    /// Columns, separated by commas: text/csv has the usual ones without it, JSON and NDJSON all that
    /// is known. /api/v1/query/fields lists them.
    #[param(example = "name,src,dst,bytes")]
    columns: Option<String>,
    /// How many rows: of a page 1 to 1000, 100 if nothing is said; of text/csv and NDJSON any
    /// number, all if nothing is said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// How many rows to leave out: with a cursor any number, else at most 10000.
    #[param(minimum = 0, maximum = 10000)]
    offset: Option<u32>,
    /// Goes on with a result, whose query and order it knows: `offset` says where.
    cursor: Option<String>,
}

/// The direction of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, utoipa::ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum Order {
    /// As the column has it.
    Asc,
    /// The other way round.
    Desc,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Wanted {
    query: String,
    sort: Option<SortBy>,
    reverse: bool,
    columns: Option<Vec<RowColumn>>,
    limit: Option<u32>,
    offset: u32,
    cursor: Option<String>,
}

impl FromGiven for Wanted {
    const NAMES: &'static [&'static str] = &[
        "query", "sort", "order", "columns", "limit", "offset", "cursor",
    ];

    fn from_given(given: &mut Given) -> Result<Self, Fault> {
        let cursor = given.word("cursor");
        let (query, sort) = (given.text("query"), given.word("sort"));
        let order = given.one_of("order", &[("asc", Order::Asc), ("desc", Order::Desc)])?;
        if cursor.is_some() && (query.is_some() || sort.is_some() || order.is_some()) {
            return Err(Fault::usage(
                "cursor",
                "the cursor knows its query and order",
                "leave out query, sort and order, or the cursor",
            ));
        }
        let most = if cursor.is_some() {
            u32::MAX
        } else {
            MOST_OFFSET
        };
        Ok(Self {
            query: query.unwrap_or_default(),
            sort: sort.map(|name| sort_by(&name)).transpose()?,
            reverse: order == Some(Order::Desc),
            columns: given
                .word("columns")
                .map(|names| columns::columns(&names))
                .transpose()?,
            limit: given.number("limit", 1..=u32::MAX)?,
            offset: given.number("offset", 0..=most)?.unwrap_or(0),
            cursor,
        })
    }
}

/// An order by its name.
pub fn sort_by(name: &str) -> Result<SortBy, Fault> {
    SortBy::from_name(name).ok_or_else(|| {
        let columns = Column::ALL.iter().map(|column| column.name());
        let all: Vec<&str> = columns.chain(["rate", "rate_orig", "rate_reply"]).collect();
        let message = format!("there is no column {}", shown(name));
        Fault::usage("sort", message, hint_of(name, &all))
    })
}

impl Wanted {
    fn request(&self, app: &App, who: &Who, limit: usize) -> Result<PageRequest, Failure> {
        Ok(PageRequest {
            query: app.query(&self.query)?,
            sort: self.sort,
            reverse: self.reverse,
            limit,
            offset: self.offset as usize,
            cursor: self.cursor.clone(),
            owner: who.name.clone(),
        })
    }
}

/// Connections: a page as JSON, or all that are selected as text/csv or NDJSON.
///
/// A page has sums of all that is selected, and a cursor under which the rows behind it can be had:
/// their order stays as it is while the table moves, and what has ended is left out. text/csv and
/// NDJSON are sent while the table is read; an answer that breaks off is not whole. The last line
/// of NDJSON has `written` and `truth`; text/csv has the truth in the header `Tracklight-Truth`.
#[utoipa::path(get, path = "/api/v1/connections", tag = "connections", params(ListParams),
    responses(
        (status = 200, description = "Connections", content(
            (Page = "application/json"), (String = "text/csv"), (String = "application/x-ndjson"))),
        (status = 400, description = "A parameter or the query is wrong", body = ErrorBody),
        (status = 406, description = "None of the accepted types can be had", body = ErrorBody),
        (status = 410, description = "The cursor is forgotten", body = ErrorBody),
        (status = 503, description = "Too much at once", body = ErrorBody),
    ))]
pub async fn list(
    State(app): State<Arc<App>>,
    Seer(who): Seer,
    Params(wanted): Params<Wanted>,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    match answer::wanted(&headers)? {
        Format::Json => page(app, who, wanted).await,
        format => stream(app, who, wanted, format).await,
    }
}

async fn page(app: Arc<App>, who: Who, wanted: Wanted) -> Result<Response, Fault> {
    let limit = wanted.limit.map_or(USUAL_ROWS, |limit| limit as usize);
    if limit > MOST_ROWS {
        return Err(Fault::usage(
            "limit",
            format!("a page has at most {MOST_ROWS} rows"),
            "go on with its cursor, or send Accept: application/x-ndjson for all",
        ));
    }
    let state = Arc::clone(&app);
    let page = app
        .api
        .work
        .run(move || read_page(&state, &who, &wanted, limit))
        .await?;
    Ok(Json(page).into_response())
}

fn read_page(app: &App, who: &Who, wanted: &Wanted, limit: usize) -> Result<Page, Failure> {
    let page = app.live.page(&wanted.request(app, who, limit)?)?;
    let next = u64::from(wanted.offset) + limit as u64;
    let has_more = next < page.totals.connections;
    Ok(Page {
        connections: rows(&page.rows, &app.naming(), wanted.columns.as_deref())?,
        totals: Totals::from(page.totals),
        cursor: page.cursor.filter(|_| has_more),
        next_offset: has_more.then_some(next),
        truth: Truth::from(&page.truth),
    })
}

/// Connections as JSON: all that is known of them, or these columns.
pub fn rows(
    rows: &[Row],
    naming: &Naming,
    columns: Option<&[RowColumn]>,
) -> Result<Vec<Box<RawValue>>, Failure> {
    let json = |row| {
        let mut text = Vec::with_capacity(1024);
        write_row(&mut text, row, naming, columns, Unknown::Ask);
        raw(text)
    };
    rows.iter().map(json).collect()
}

/// Appends a connection as JSON.
pub fn write_row(
    out: &mut Vec<u8>,
    row: &Row,
    naming: &Naming,
    columns: Option<&[RowColumn]>,
    unknown: Unknown,
) {
    match columns {
        Some(columns) => columns::json_row(out, row, columns, naming, unknown),
        None => {
            let names = naming.addresses(&row.entry, unknown);
            write_connection(out, row, naming, &names);
        }
    }
}

/// The header with the truth of an answer that is no JSON.
pub const TRUTH: HeaderName = HeaderName::from_static("tracklight-truth");

async fn stream(
    app: Arc<App>,
    who: Who,
    wanted: Wanted,
    format: Format,
) -> Result<Response, Fault> {
    // What is wrong is told before the first byte.
    let request = wanted.request(&app, &who, MOST_ROWS)?;
    if wanted.cursor.is_some() {
        let state = Arc::clone(&app);
        let look = PageRequest {
            limit: 1,
            ..request.clone()
        };
        app.api.work.run(move || state.live.page(&look)).await?;
    }
    let permit = app.api.work.stream()?;
    let truth = Truth::from(&app.live.truth());
    let (pieces, body) = answer::body();
    let columns = match format {
        Format::Csv => Some(wanted.columns.unwrap_or_else(columns::usual)),
        _ => wanted.columns,
    };
    let limit = wanted.limit.map_or(u64::MAX, u64::from);
    tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let mut writer = Writer {
            pieces,
            format,
            columns,
            naming: app.naming(),
            left: limit,
            written: 0,
        };
        let written = writer.all(&app.live, request);
        let written = written.and_then(|()| writer.finish(&app.live));
        // A reader that went away, or a table that could not be read: the body breaks off.
        if let Err(failure) = written {
            tracing::debug!(code = failure.code, "a stream of connections ended early");
        }
    });
    let content_type = match format {
        Format::Csv => "text/csv; charset=utf-8; header=present",
        _ => "application/x-ndjson",
    };
    let mut response = ([(header::CONTENT_TYPE, content_type)], body).into_response();
    let truth = serde_json::to_string(&truth).unwrap_or_default();
    if let Ok(truth) = HeaderValue::from_str(&truth) {
        response.headers_mut().insert(TRUTH, truth);
    }
    Ok(response)
}

/// Writes connections while the table is read.
struct Writer {
    pieces: Pieces,
    format: Format,
    columns: Option<Vec<RowColumn>>,
    naming: Arc<Naming>,
    left: u64,
    written: u64,
}

impl From<Stopped> for Failure {
    fn from(_: Stopped) -> Self {
        Self::new("output-failed", "the reader is gone or takes nothing", "")
    }
}

impl Writer {
    fn all(&mut self, live: &Live, mut request: PageRequest) -> Result<(), Failure> {
        if let (Format::Csv, Some(columns)) = (self.format, &self.columns) {
            columns::csv_heading(self.pieces.buffer(), columns);
        }
        let is_as_it_lies = request.sort.is_none() && !request.reverse && request.cursor.is_none();
        if is_as_it_lies {
            let mut skip = request.offset;
            live.scan(&request.query, &mut |row| {
                if skip > 0 {
                    skip -= 1;
                    return Ok(ControlFlow::Continue(()));
                }
                self.row(row)
            })?;
            return Ok(());
        }
        // In order, page by page: 8 bytes a row are remembered meanwhile.
        loop {
            let page = live.page(&request)?;
            for row in &page.rows {
                if self.row(row)?.is_break() {
                    return Ok(());
                }
            }
            request.offset += request.limit;
            let Some(cursor) = page
                .cursor
                .filter(|_| (request.offset as u64) < page.totals.connections)
            else {
                return Ok(());
            };
            request.cursor = Some(cursor);
        }
    }

    fn row(&mut self, row: &Row) -> Result<ControlFlow<()>, Failure> {
        if self.left == 0 {
            return Ok(ControlFlow::Break(()));
        }
        self.left -= 1;
        self.written += 1;
        let out = self.pieces.buffer();
        match (self.format, &self.columns) {
            (Format::Csv, Some(columns)) => columns::csv_row(out, row, columns, &self.naming),
            (_, columns) => {
                let columns = columns.as_deref();
                write_row(out, row, &self.naming, columns, Unknown::Leave);
                out.push(b'\n');
            }
        }
        self.pieces.spill()?;
        Ok(ControlFlow::Continue(()))
    }

    fn finish(mut self, live: &Live) -> Result<(), Failure> {
        if self.format == Format::Ndjson {
            let truth = Truth::from(&live.truth());
            let last = serde_json::json!({"written": self.written, "truth": truth});
            let out = self.pieces.buffer();
            out.extend_from_slice(last.to_string().as_bytes());
            out.push(b'\n');
        }
        Ok(self.pieces.finish()?)
    }
}

/// One connection, as the kernel has it now, with all that is known of it.
#[utoipa::path(get, path = "/api/v1/connections/{name}", tag = "connections",
    params(("name" = String, Path, description = "Its name in a list", example = "0123abcd-4567ef89")),
    responses(
        (status = 200, description = "The connection", body = Known),
        (status = 400, description = "Parameters, of which there are none here", body = ErrorBody),
        (status = 404, description = "It is not in the table, or not any more", body = ErrorBody),
    ))]
pub async fn one(
    State(app): State<Arc<App>>,
    Seer(who): Seer,
    Named(name): Named,
    _: Params<super::extract::Nothing>,
) -> Result<Json<Known>, Fault> {
    let state = Arc::clone(&app);
    let known = app
        .api
        .work
        .run(move || {
            let row = state.live.find(&name)?;
            explain::known(&state, &who, &row)
        })
        .await?;
    Ok(Json(known))
}
