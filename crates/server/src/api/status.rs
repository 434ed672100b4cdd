//! What is true of the table and the daemon as a whole: summary, status, the kernel's statistics,
//! the configuration.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use engine::{Failure, actions};
use serde::Serialize;
use utoipa::ToSchema;

use super::error::{ErrorBody, Fault};
use super::extract::{Nothing, Params, Seer};
use super::shape::{Summary, Truth};
use super::sysctl::Settings;
use crate::app::App;

/// The table in numbers.
#[utoipa::path(get, path = "/api/v1/summary", tag = "table",
    responses(
        (status = 200, description = "The table in numbers", body = Summary),
        (status = 400, description = "Parameters, of which there are none here", body = ErrorBody),
    ))]
pub async fn summary(State(app): State<Arc<App>>, _: Seer, _: Params<Nothing>) -> Json<Summary> {
    Json(Summary::of(&app.live))
}

/// The daemon.
#[derive(Debug, Serialize, ToSchema)]
pub struct Status {
    /// Its version.
    version: String,
    /// Seconds since its start.
    uptime: u64,
    /// The namespace whose table it is; absent for the daemon's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    /// Milliseconds that the last reading of the table took.
    reading_ms: u64,
    /// Why the table cannot be kept just now.
    troubles: Vec<ErrorBody>,
    /// Who you are.
    you: You,
    /// How far its answers can be believed.
    truth: Truth,
}

/// Who asks.
#[derive(Debug, Serialize, ToSchema)]
pub struct You {
    /// The token's name.
    name: String,
    /// What they may do: `viewer` or `operator`.
    #[schema(value_type = String, example = "viewer")]
    role: crate::who::Role,
}

/// The daemon: version, uptime, how the table is read, what troubles it.
#[utoipa::path(get, path = "/api/v1/status", tag = "daemon",
    responses(
        (status = 200, description = "The daemon", body = Status),
        (status = 400, description = "Parameters, of which there are none here", body = ErrorBody),
    ))]
pub async fn status(
    State(app): State<Arc<App>>,
    Seer(who): Seer,
    _: Params<Nothing>,
) -> Json<Status> {
    let troubles = app.live.troubles().into_iter();
    Json(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime: app.api.started.elapsed().as_secs(),
        namespace: app.namespace.clone(),
        reading_ms: u64::try_from(app.live.reading_time().as_millis()).unwrap_or(u64::MAX),
        troubles: troubles
            .map(|failure| Fault::from(failure).body())
            .collect(),
        you: You {
            name: who.name,
            role: who.role,
        },
        truth: Truth::from(&app.live.truth()),
    })
}

/// What the kernel counts.
#[derive(Debug, Serialize, ToSchema)]
pub struct Statistics {
    /// Connections in the table, by the kernel's own count.
    #[serde(skip_serializing_if = "Option::is_none")]
    connections: Option<u32>,
    /// What the kernel allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
    /// Counters of all CPUs together, by the kernel's names; they wrap at 2³².
    total: BTreeMap<String, u32>,
    /// Counters of each CPU.
    cpus: Vec<Cpu>,
    /// Counters of expectations, all CPUs together.
    expectations: BTreeMap<String, u32>,
    /// The kernel's settings, by their names below `net.netfilter`.
    settings: BTreeMap<String, u64>,
}

/// Counters of one CPU.
#[derive(Debug, Serialize, ToSchema)]
pub struct Cpu {
    /// Its number.
    cpu: u16,
    /// Its counters.
    counters: BTreeMap<String, u32>,
}

/// What the kernel counts about its table, and how it is set.
#[utoipa::path(get, path = "/api/v1/statistics", tag = "table",
    responses(
        (status = 200, description = "What the kernel counts", body = Statistics),
        (status = 400, description = "Parameters, of which there are none here", body = ErrorBody),
    ))]
pub async fn statistics(
    State(app): State<Arc<App>>,
    _: Seer,
    _: Params<Nothing>,
) -> Result<Json<Statistics>, Fault> {
    let state = Arc::clone(&app);
    app.api.work.run(move || counted(&state)).await.map(Json)
}

type Fields<'a> = &'a mut dyn Iterator<Item = (&'static str, Option<u32>)>;

fn named(fields: Fields<'_>) -> BTreeMap<String, u32> {
    let known = fields.filter_map(|(name, value)| Some((name.to_owned(), value?)));
    known.collect()
}

fn counted(app: &App) -> Result<Statistics, Failure> {
    let client = app.live.client();
    let usage = actions::usage(client)?;
    let cpus = client.cpu_stats()?;
    let total = cpus.iter().copied().reduce(|sum, cpu| sum.plus(&cpu));
    let expectations = client.expectation_cpu_stats()?;
    let expectations = expectations.into_iter().reduce(|sum, cpu| sum.plus(&cpu));
    Ok(Statistics {
        connections: usage.entries,
        limit: usage.max_entries,
        total: total
            .map(|total| named(&mut total.fields()))
            .unwrap_or_default(),
        cpus: cpus
            .iter()
            .map(|cpu| Cpu {
                cpu: cpu.cpu,
                counters: named(&mut cpu.fields()),
            })
            .collect(),
        expectations: expectations
            .map(|sum| named(&mut sum.fields()))
            .unwrap_or_default(),
        settings: Settings::of(app).into_all(),
    })
}

/// The configuration: its sections by their names, as the file has them. Keys and tokens are never in it, only
/// the names of their files.
#[derive(Debug, Serialize, ToSchema)]
pub struct Configuration {
    /// Netdata, whose recorded counts are asked for.
    netdata: Netdata,
    /// What the bits of a mark mean.
    marks: BTreeMap<String, Mark>,
    /// How the table is kept.
    #[schema(value_type = Object)]
    live: engine::live::Settings,
    /// What is recorded.
    #[schema(value_type = Object)]
    history: engine::history::Settings,
    /// Names of addresses.
    #[schema(value_type = Object)]
    names: engine::names::Settings,
    /// Where the daemon listens.
    #[schema(value_type = Object)]
    server: engine::config::Server,
}

/// A Netdata.
#[derive(Debug, Serialize, ToSchema)]
pub struct Netdata {
    /// Address and port.
    address: String,
    /// How long an answer may take.
    #[serde(rename = "timeout-ms")]
    timeout_ms: u64,
}

/// A part of the mark.
#[derive(Debug, Serialize, ToSchema)]
pub struct Mark {
    /// How far the number is shifted.
    shift: u32,
    /// Which bits it has after the shift.
    mask: u32,
    /// Names of the numbers.
    names: BTreeMap<String, String>,
}

/// The configuration as it is in force, without secrets.
#[utoipa::path(get, path = "/api/v1/configuration", tag = "daemon",
    responses(
        (status = 200, description = "The configuration", body = Configuration),
        (status = 400, description = "Parameters, of which there are none here", body = ErrorBody),
    ))]
pub async fn configuration(
    State(app): State<Arc<App>>,
    _: Seer,
    _: Params<Nothing>,
) -> Json<Configuration> {
    let settings = app.settings();
    let config = &settings.config;
    let mark = |field: &engine::config::Field| {
        let names = field.names.iter();
        Mark {
            shift: field.shift,
            mask: field.mask,
            names: names
                .map(|(number, name)| (number.0.to_string(), name.clone()))
                .collect(),
        }
    };
    let marks = [
        ("uplink", mark(&config.marks.uplink)),
        ("application", mark(&config.marks.application.field)),
        ("class", mark(&config.marks.class)),
    ];
    Json(Configuration {
        netdata: Netdata {
            address: config.netdata.address.to_string(),
            timeout_ms: u64::try_from(config.netdata.timeout.as_millis()).unwrap_or(u64::MAX),
        },
        marks: marks.map(|(name, mark)| (name.to_owned(), mark)).into(),
        live: config.live.clone(),
        history: config.history.clone(),
        names: config.names.clone(),
        server: config.server.clone(),
    })
}
