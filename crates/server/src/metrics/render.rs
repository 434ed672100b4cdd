//! Numbers into the text that Prometheus reads.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ctnetlink::{DccpState, Protocol, SctpState, TcpState};
use engine::live::{Summary, Truth};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::catalogue::{self as of, Kind, Metric};
use super::process::Process;

/// What is told at one time.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// Version of the daemon.
    pub version: &'static str,
    /// The table; `None` before it was read for the first time.
    pub table: Option<Table>,
    /// Why the table cannot be kept just now: codes of failures.
    pub troubles: Vec<&'static str>,
    /// The kernel's counters by its names; `None` where they could not be read.
    pub kernel: Option<BTreeMap<&'static str, u64>>,
    /// Findings by severity; `None` where nobody has looked.
    pub findings: Option<BTreeMap<&'static str, u64>>,
    /// Sources with the most connections.
    pub sources: Vec<(String, u64)>,
    /// What the daemon costs.
    pub process: Process,
}

/// What is known of the table.
#[derive(Clone, Debug)]
pub struct Table {
    /// In numbers.
    pub summary: Summary,
    /// How far that can be believed.
    pub truth: Truth,
    /// How long the last reading took.
    pub reading_time: Duration,
}

/// In which form the text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus's own older one, version 0.0.4, for readers that do not ask for the other.
    Prometheus,
}

impl Format {
    /// What a reader wants that sends this `Accept` header.
    pub fn accepted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }

    /// The `Content-Type` header.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// The text of one answer.
pub fn render(inputs: &Inputs, format: Format) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Families(Arc::from(families(inputs)))));
    let mut text = String::new();
    encode(&mut text, &registry).expect("a String can be written to");
    match format {
        Format::OpenMetrics => text,
        Format::Prometheus => as_prometheus(&text),
    }
}

/// The series of a metric.
#[derive(Debug)]
struct Family {
    metric: &'static Metric,
    series: Vec<(Labels, Value)>,
}

type Labels = Vec<(&'static str, Cow<'static, str>)>;

#[derive(Clone, Copy, Debug)]
enum Value {
    Whole(u64),
    Real(f64),
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Whole(value.into())
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl From<Duration> for Value {
    fn from(value: Duration) -> Self {
        Self::Real(value.as_secs_f64())
    }
}

fn families(inputs: &Inputs) -> Vec<Family> {
    let mut all = Gathered::default();
    all.info(&of::BUILD, [("version", inputs.version)]);
    all.one(&of::READY, inputs.table.is_some());
    if let Some(table) = &inputs.table {
        counts(&mut all, &table.summary);
        all.one(&of::OFFLOADED, table.truth.offloaded);
    }
    if !inputs.sources.is_empty() {
        let sources = inputs.sources.iter();
        all.by(
            &of::SOURCES,
            sources.map(|(source, many)| (vec![("src", source.clone().into())], (*many).into())),
        );
    }
    if let Some(table) = &inputs.table {
        movement(&mut all, &table.summary);
    }
    if let Some(kernel) = &inputs.kernel {
        for (name, metric) in of::KERNEL {
            all.perhaps(metric, kernel.get(name).copied());
        }
    }
    if let Some(table) = &inputs.table {
        belief(&mut all, table);
    }
    let mut troubles = BTreeMap::new();
    for code in &inputs.troubles {
        *troubles.entry(*code).or_insert(0u64) += 1;
    }
    all.each(&of::TROUBLES, "code", troubles);
    if let Some(findings) = &inputs.findings {
        all.each(&of::FINDINGS, "severity", findings.clone());
    }
    cost(&mut all, &inputs.process);
    all.0
}

fn counts(all: &mut Gathered, summary: &Summary) {
    all.one(&of::CONNECTIONS, summary.connections);
    all.perhaps(&of::LIMIT, summary.limit.map(u64::from));
    // Zero where there are none, so that a series does not come and go.
    let mut protocols: BTreeMap<&'static str, u64> = Protocol::TRACKED
        .iter()
        .map(|protocol| (protocol_name(protocol.0), 0))
        .chain([(OTHER, 0)])
        .collect();
    for (protocol, many) in &summary.protocols {
        *protocols.entry(protocol_name(*protocol)).or_default() += many;
    }
    all.each(&of::PROTOCOLS, "protocol", protocols);
    let mut states: BTreeMap<_, u64> = TcpState::ALL
        .iter()
        .filter_map(|state| Some((("tcp", state.name()?), 0)))
        .collect();
    for (protocol, state, many) in &summary.states {
        if is_state(*protocol, state) {
            *states.entry((protocol_name(*protocol), state)).or_default() += many;
        }
    }
    all.by(
        &of::STATES,
        states.into_iter().map(|((protocol, state), many)| {
            let labels = vec![("protocol", protocol.into()), ("state", state.into())];
            (labels, many.into())
        }),
    );
    all.one(&of::ASSURED, summary.assured);
    all.one(&of::UNREPLIED, summary.unreplied);
    all.one(&of::NAT, summary.nat);
}

fn movement(all: &mut Gathered, summary: &Summary) {
    all.one(&of::BIRTHS, summary.births);
    all.one(&of::DEATHS, summary.deaths);
    all.perhaps(&of::MOVED_BYTES, summary.moved.map(|moved| moved.bytes));
    all.perhaps(&of::MOVED_PACKETS, summary.moved.map(|moved| moved.packets));
    if let Some(rates) = summary.rates {
        for (metric, orig, reply) in [
            (&of::RATE_BYTES, rates.bytes_orig, rates.bytes_reply),
            (&of::RATE_PACKETS, rates.packets_orig, rates.packets_reply),
        ] {
            all.by(
                metric,
                [("original", orig), ("reply", reply)].map(|(direction, rate)| {
                    (
                        vec![("direction", direction.into())],
                        f64::from(rate).into(),
                    )
                }),
            );
        }
    }
}

fn belief(all: &mut Gathered, table: &Table) {
    let Table {
        summary,
        truth,
        reading_time,
    } = table;
    all.one(&of::COMPLETE, truth.complete);
    if truth.taken_ns > 0 {
        let age = summary.time_ns.saturating_sub(truth.taken_ns);
        all.one(&of::READING_AGE, Duration::from_nanos(age));
    }
    all.one(&of::READING_DURATION, *reading_time);
    let reason = truth.source_reason.as_ref().map_or("", |(code, _)| code);
    all.info(&of::SOURCE, [("source", truth.source), ("reason", reason)]);
    all.one(&of::EVENTS_LOST, truth.events_lost);
    all.one(&of::UNHEARD, truth.unheard);
    all.one(&of::LOSSES, truth.losses);
    all.one(&of::ACCOUNTING, truth.accounting);
    all.one(&of::TIMESTAMPS, truth.timestamps);
}

fn cost(all: &mut Gathered, process: &Process) {
    all.one(&of::CPU, process.cpu);
    all.perhaps(&of::RESIDENT, process.resident);
    all.perhaps(&of::VIRTUAL, process.virtual_size);
    all.perhaps(&of::OPEN_FILES, process.open_files);
    all.perhaps(&of::MOST_FILES, process.most_files);
    all.perhaps(&of::THREADS, process.threads);
    all.perhaps(&of::START_TIME, process.start);
}

const OTHER: &str = "other";

fn protocol_name(number: u8) -> &'static str {
    Protocol(number).name().unwrap_or(OTHER)
}

/// Whether the kernel names this state; others would be series without bound.
fn is_state(protocol: u8, state: &str) -> bool {
    let has = |mut names: Box<dyn Iterator<Item = Option<&'static str>>>| {
        names.any(|name| name == Some(state))
    };
    match Protocol(protocol) {
        Protocol::TCP => has(Box::new(TcpState::ALL.iter().map(|state| state.name()))),
        Protocol::SCTP => has(Box::new(SctpState::ALL.iter().map(|state| state.name()))),
        Protocol::DCCP => has(Box::new(DccpState::ALL.iter().map(|state| state.name()))),
        _ => false,
    }
}

#[derive(Default)]
struct Gathered(Vec<Family>);

impl Gathered {
    fn one(&mut self, metric: &'static Metric, value: impl Into<Value>) {
        self.by(metric, [(Labels::new(), value.into())]);
    }

    fn perhaps<V: Into<Value>>(&mut self, metric: &'static Metric, value: Option<V>) {
        if let Some(value) = value {
            self.one(metric, value);
        }
    }

    fn info<const N: usize>(
        &mut self,
        metric: &'static Metric,
        labels: [(&'static str, &'static str); N],
    ) {
        let labels = labels.map(|(name, value)| (name, value.into())).into();
        self.by(metric, [(labels, Value::Whole(1))]);
    }

    fn each(
        &mut self,
        metric: &'static Metric,
        label: &'static str,
        values: BTreeMap<&'static str, u64>,
    ) {
        let series = values.into_iter();
        self.by(
            metric,
            series.map(|(name, value)| (vec![(label, name.into())], value.into())),
        );
    }

    fn by(&mut self, metric: &'static Metric, series: impl IntoIterator<Item = (Labels, Value)>) {
        let series = series.into_iter().collect();
        self.0.push(Family { metric, series });
    }
}

#[derive(Clone, Debug)]
struct Families(Arc<[Family]>);

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for family in self.0.iter().filter(|family| !family.series.is_empty()) {
            family.encode(&mut encoder)?;
        }
        Ok(())
    }
}

impl Family {
    fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Metric {
            family,
            kind,
            unit,
            help,
            ..
        } = *self.metric;
        // The encoder puts the unit behind the name itself.
        let name = unit
            .and_then(|unit| family.strip_suffix(unit)?.strip_suffix('_'))
            .unwrap_or(family);
        let unit = unit.map(|unit| Unit::Other(unit.to_owned()));
        let kind_of = match kind {
            Kind::Gauge => MetricType::Gauge,
            Kind::Counter => MetricType::Counter,
            Kind::Info => MetricType::Info,
        };
        let mut metric = encoder.encode_descriptor(name, help, unit.as_ref(), kind_of)?;
        for (labels, value) in &self.series {
            if kind == Kind::Info {
                metric.encode_info(labels)?;
            } else if labels.is_empty() {
                value.encode(kind, &mut metric)?;
            } else {
                value.encode(kind, &mut metric.encode_family(labels)?)?;
            }
        }
        Ok(())
    }
}

impl Value {
    fn encode(self, kind: Kind, place: &mut MetricEncoder<'_>) -> fmt::Result {
        match (kind, self) {
            (Kind::Counter, Self::Whole(value)) => {
                place.encode_counter::<Labels, _, u64>(&value, None)
            }
            (Kind::Counter, Self::Real(value)) => {
                place.encode_counter::<Labels, _, u64>(&value, None)
            }
            (_, Self::Whole(value)) => place.encode_gauge(&value),
            (_, Self::Real(value)) => place.encode_gauge(&value),
        }
    }
}

/// OpenMetrics as the older format: there a family has the full name of its series, and there are no
/// infos, units and ends.
fn as_prometheus(text: &str) -> String {
    let mut older = String::with_capacity(text.len());
    for line in text.lines() {
        let mut words = line.splitn(4, ' ');
        let (mark, word, family) = (words.next(), words.next(), words.next());
        let rest = words.next().unwrap_or_default();
        match (mark, word, family) {
            (Some("#"), Some("UNIT" | "EOF"), _) => continue,
            (Some("#"), Some(word @ ("HELP" | "TYPE")), Some(family)) => {
                let metric = of::ALL.iter().find(|metric| metric.family == family);
                let name = metric.map_or_else(|| family.to_owned(), |metric| metric.name());
                let rest = if word == "TYPE" && rest == "info" {
                    "gauge"
                } else {
                    rest
                };
                older.push_str(&format!("# {word} {name} {rest}"));
            }
            _ => older.push_str(line),
        }
        older.push('\n');
    }
    older
}
