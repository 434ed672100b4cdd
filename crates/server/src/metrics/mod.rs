//! What monitoring asks: `/metrics` for Prometheus, `/healthz` and `/readyz` for whoever restarts
//! services and sends traffic.

pub mod catalogue;
mod kernel;
mod process;
mod render;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::{Extension, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use engine::group::{Cell, Groups, Order, Plan};

use engine::{Failure, Query};

use crate::App;
use crate::memory::hold_answer;

pub use kernel::KernelTotals;
pub use process::Process;
pub use render::{Format, Inputs, Table, render};

/// For how long the sources that were found are told again: looking through all of a large table takes
/// time.
const SOURCES_HOLD: Duration = Duration::from_secs(10);

/// How many sources are told apart while the first are looked for.
const MOST_SOURCES: u32 = 1_000_000;

/// Counts the findings of health by their severity; `None` where nobody has looked.
pub type Findings = Arc<dyn Fn(&App) -> Option<BTreeMap<&'static str, u64>> + Send + Sync>;

/// `/metrics`, `/healthz` and `/readyz`.
pub fn routes() -> Router<Arc<App>> {
    routes_with(Arc::new(|_| None))
}

/// The same, with what counts the findings of health.
pub fn routes_with(findings: Findings) -> Router<Arc<App>> {
    let memory = Arc::new(Memory {
        findings,
        kernel: Mutex::default(),
        sources: Mutex::default(),
        last: Arc::default(),
    });
    Router::new()
        .route("/metrics", get(metrics))
        .layer(axum::middleware::from_fn(hold_answer))
        .layer(Extension(memory))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
}

/// What is kept from one answer to the next.
pub struct Memory {
    findings: Findings,
    kernel: Mutex<KernelTotals>,
    sources: Mutex<Option<(Instant, Sources)>>,
    last: Arc<tokio::sync::Mutex<Option<Told>>>,
}

/// What was told last, and when.
#[derive(Clone)]
struct Told {
    at: tokio::time::Instant,
    format: Format,
    text: Bytes,
}

/// For how long it is told again, whoever asks.
const HOLDS: Duration = Duration::from_secs(1);

/// Sources with the most connections, and how many each has.
type Sources = Vec<(String, u64)>;

/// Everything that there is to tell, in the format that the reader asks for.
pub async fn metrics(
    State(app): State<Arc<App>>,
    Extension(memory): Extension<Arc<Memory>>,
    headers: HeaderMap,
) -> Response {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let format = Format::accepted(accept.unwrap_or_default());
    // One at a time, also of those who have gone in the meantime: the kernel is asked, and perhaps the whole
    // table looked through.
    let mut last = Arc::clone(&memory.last).lock_owned().await;
    let told = last.clone();
    if let Some(told) = told.filter(|told| told.format == format && told.at.elapsed() < HOLDS) {
        return ([(CONTENT_TYPE, format.content_type())], told.text).into_response();
    }
    let text = tokio::task::spawn_blocking(move || {
        let text = Bytes::from(render(&gather(&app, &memory), format));
        *last = Some(Told {
            at: tokio::time::Instant::now(),
            format,
            text: text.clone(),
        });
        text
    });
    let text = text.await;
    match text {
        Ok(text) => ([(CONTENT_TYPE, format.content_type())], text).into_response(),
        Err(error) => refusal(
            StatusCode::INTERNAL_SERVER_ERROR,
            &Failure::new(
                "internal",
                format!("the metrics could not be put together: {error}"),
                "see the daemon's log, and report it",
            ),
        ),
    }
}

/// Whether the daemon does its work: 200, or 503 where what keeps the table has ended.
pub async fn healthz(State(app): State<Arc<App>>) -> Response {
    if app.live.is_kept() {
        return "ok\n".into_response();
    }
    refusal(
        StatusCode::SERVICE_UNAVAILABLE,
        &Failure::new(
            "not-kept",
            "what keeps the table has ended; nothing here is up to date any more",
            "restart the daemon; its log says why",
        ),
    )
}

/// Whether the table was read since the start: 200, or 503 with the reason.
pub async fn readyz(State(app): State<Arc<App>>) -> Response {
    if app.live.wait_until_ready(Duration::ZERO) {
        return "ready\n".into_response();
    }
    let failure = app.live.troubles().into_iter().next().unwrap_or_else(|| {
        Failure::new(
            "not-ready",
            "the table is being read for the first time",
            "ask again in a second",
        )
    });
    refusal(StatusCode::SERVICE_UNAVAILABLE, &failure)
}

fn refusal(status: StatusCode, failure: &Failure) -> Response {
    (status, Json(failure)).into_response()
}

fn gather(app: &App, memory: &Memory) -> Inputs {
    let live = &app.live;
    let is_ready = live.wait_until_ready(Duration::ZERO);
    // Locked before the kernel is asked: answers of two readers at once must not be added in the other
    // order.
    let mut totals = lock(&memory.kernel);
    let kernel = match live.client().cpu_stats() {
        Ok(cpus) => Some(totals.add(&cpus)),
        Err(error) => {
            tracing::warn!("the kernel's counters cannot be read: {error}");
            None
        }
    };
    drop(totals);
    let top = app.settings().config.metrics.top_sources;
    Inputs {
        version: env!("CARGO_PKG_VERSION"),
        table: is_ready.then(|| Table {
            summary: live.summary(),
            truth: live.truth(),
            reading_time: live.reading_time(),
        }),
        troubles: live.troubles().iter().map(|failure| failure.code).collect(),
        kernel,
        findings: (memory.findings)(app),
        sources: if is_ready && top > 0 {
            sources(app, memory, top)
        } else {
            Sources::new()
        },
        process: Process::own(),
    }
}

fn sources(app: &App, memory: &Memory, top: usize) -> Sources {
    // Held while looking, so that two readers at once do not look twice.
    let mut known = lock(&memory.sources);
    if let Some((since, sources)) = &*known
        && since.elapsed() < SOURCES_HOLD
    {
        return sources.clone();
    }
    let found = find_sources(app, top).unwrap_or_else(|failure| {
        tracing::warn!("the sources of connections cannot be told: {failure}");
        Sources::new()
    });
    *known = Some((Instant::now(), found.clone()));
    found
}

fn find_sources(app: &App, top: usize) -> Result<Sources, Failure> {
    let by = "src"
        .parse()
        .map_err(|error: String| Failure::new("usage", error, ""))?;
    let plan = Plan::new(vec![by], &app.naming().marks, MOST_SOURCES)?;
    let (groups, _) = app.live.groups(&Query::any(), &plan);
    Ok(first_of(groups, top))
}

fn first_of(groups: Groups, top: usize) -> Sources {
    let report = groups.into_report(Order::default(), Some(top));
    let rows = report.rows().filter_map(|row| match row.cells.first()? {
        Cell::Text(source) => Some((source.clone(), row.tally.connections())),
        _ => None,
    });
    rows.collect()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
