//! Prometheus and its promtool, as Debian has them.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::Request;
use ctnetlink::Namespace;
use engine::live::{Live, Settings as LiveSettings};
use engine::{Config, Way};
use server::App;
use server::app::Settings;
use server::metrics::{Format, render, routes_with};
use testkit::TestNamespace;
use tower::ServiceExt;

use super::made::{full, value};
use super::{read, repository};

/// Longer than anything takes that works.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where our server and Prometheus listen, on loopback of a namespace of their own.
const OURS: u16 = 8470;
const ITS: u16 = 9090;

/// Whether a program is here; a skip where it is not.
#[track_caller]
fn is_here(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        testkit::skip(&format!("{program} is missing: run scripts/setup test"));
    }
    found
}

fn promtool(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new("promtool")
        .args(arguments)
        .current_dir(repository("packaging/prometheus"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    child.wait_with_output().unwrap()
}

#[track_caller]
fn assert_good(output: &Output) {
    let said = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{}", said.concat());
    assert!(!said.concat().contains("FAILED"), "{}", said.concat());
}

#[test]
fn promtool_finds_nothing_wrong_with_what_we_tell() {
    if !is_here("promtool") {
        return;
    }
    let output = promtool(&["check", "metrics"], &render(&full(), Format::Prometheus));
    assert_good(&output);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn alerts_are_well_formed_and_fire_when_they_should_and_only_then() {
    if !is_here("promtool") {
        return;
    }
    assert_good(&promtool(&["check", "rules", "tracklight.rules.yml"], ""));
    assert_good(&promtool(&["test", "rules", "tests.yml"], ""));
    let rules = read("packaging/prometheus/tracklight.rules.yml");
    let tests = read("packaging/prometheus/tests.yml");
    let alerts = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    for alert in alerts {
        let case = tests.split("  - name: ").find(|case| {
            let mut lines = case.lines();
            lines.next() == Some(alert)
        });
        let case = case.unwrap_or_else(|| panic!("{alert} has no case"));
        assert!(case.contains("exp_alerts: []"), "{alert} is never silent");
        assert!(case.contains("exp_labels:"), "{alert} never fires");
    }
}

/// A Prometheus that scrapes our server each second; ends with the value.
struct Prometheus<'a> {
    child: Child,
    namespace: &'a TestNamespace,
    folder: tempfile::TempDir,
}

impl<'a> Prometheus<'a> {
    fn start(namespace: &'a TestNamespace) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let configuration = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
             rule_files: ['{}']\n\
             scrape_configs: [{{job_name: tracklight, static_configs: [{{targets: ['127.0.0.1:{OURS}']}}]}}]\n",
            repository("packaging/prometheus/tracklight.rules.yml").display()
        );
        std::fs::write(folder.path().join("prometheus.yml"), configuration).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let child = namespace
            .bound_command("prometheus")
            .arg("--config.file=prometheus.yml")
            .arg("--storage.tsdb.path=data")
            .arg(format!("--web.listen-address=127.0.0.1:{ITS}"))
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self {
            child,
            namespace,
            folder,
        }
    }

    /// What it answers to a query: JSON of its API, or why there was none.
    fn ask(&self, path: &str) -> Result<serde_json::Value, String> {
        let (_, body) = get(self.namespace, ITS, path, "*/*").map_err(|error| error.to_string())?;
        serde_json::from_str(&body).map_err(|error| format!("{error}: {body}"))
    }

    /// How many series a query gives, once it gives some.
    fn series_of(&self, query: &str) -> usize {
        let answer = self.ask(&format!("/api/v1/query?query={}", encoded(query)));
        let answer = answer.unwrap();
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        answer["data"]["result"].as_array().unwrap().len()
    }

    #[track_caller]
    fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let end = Instant::now() + PATIENCE;
        while !holds() {
            if Instant::now() > end {
                let log = std::fs::read_to_string(self.folder.path().join("log"));
                panic!("{what}: not in time\n{}", log.unwrap_or_default());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Prometheus<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A GET in the namespace: status line and headers, and the body.
fn get(
    namespace: &TestNamespace,
    port: u16,
    path: &str,
    accept: &str,
) -> std::io::Result<(String, String)> {
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stream = namespace.run(|| TcpStream::connect(at)).unwrap();
    let mut stream = stream?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // Version 1.0, so that no answer comes in chunks.
    write!(
        stream,
        "GET {path} HTTP/1.0\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    Ok((head.to_owned(), body.to_owned()))
}

fn encoded(text: &str) -> String {
    let letters = text.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    });
    letters.collect()
}

/// Our routes over a live table, in a thread with a runtime of its own; ends with the value.
struct OwnServer {
    app: Arc<App>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl OwnServer {
    fn start(namespace: &TestNamespace) -> Self {
        let inside = Namespace::by_path(&namespace.path()).unwrap();
        let settings = LiveSettings {
            cpu_percent: 100.0,
            shortest_seconds: 0.2,
            longest_seconds: 0.5,
            ..LiveSettings::default()
        };
        let live = Live::open(Some(inside), Way::Netlink, &settings).unwrap();
        let mut config = Config::default();
        config.metrics.top_sources = 5;
        let settings = Settings::new(config, query::Vocabulary::default()).unwrap();
        let app = Arc::new(App::new(live, Way::Netlink, None, settings));
        let findings = |_: &App| Some([("critical", 0), ("warning", 1)].into());
        let routes = routes_with(Arc::new(findings)).with_state(Arc::clone(&app));
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, OURS));
        let listener = namespace.run(|| TcpListener::bind(at)).unwrap().unwrap();
        listener.set_nonblocking(true).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, routes).await.unwrap();
        });
        Self {
            app,
            runtime: Some(runtime),
        }
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        self.app.live.close();
    }
}

/// The expressions of the dashboard, with its variables filled in.
fn expressions() -> Vec<String> {
    let text = read("packaging/grafana/tracklight.json");
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    targets
        .map(|target| {
            let expression = target["expr"].as_str().unwrap();
            expression
                .replace("$job", ".*")
                .replace("$instance", ".*")
                .replace("$__rate_interval", "1m")
        })
        .collect()
}

#[test]
fn a_real_prometheus_reads_us_and_answers_what_alerts_and_dashboard_ask() {
    if !is_here("prometheus") {
        return;
    }
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let ours = OwnServer::start(&namespace);
    let prometheus = Prometheus::start(&namespace);
    prometheus.until("an answer", || {
        prometheus.ask("/api/v1/status/runtimeinfo").is_ok()
    });
    prometheus.until("a scrape", || prometheus.series_of("up == 1") == 1);
    // Rates need two scrapes, with connections that began and ended between them: each scrape of a
    // question of ours is one.
    prometheus.until("rates", || {
        prometheus.series_of("rate(tracklight_births_total[1m]) > 0") == 1
            && prometheus.series_of("tracklight_traffic_bytes_per_second") == 2
            && prometheus.series_of("rate(process_cpu_seconds_total[1m])") == 1
    });
    assert_eq!(prometheus.series_of("tracklight_connections > 0"), 1);
    assert!(prometheus.series_of("tracklight_source_connections") > 0);
    assert_eq!(
        prometheus.series_of(r#"tracklight_build_info{version!=""}"#),
        1
    );
    // It asked for OpenMetrics, and knows what the metrics are.
    let metadata = prometheus.ask("/api/v1/metadata").unwrap();
    assert_eq!(metadata["data"]["tracklight_births"][0]["type"], "counter");
    assert_eq!(metadata["data"]["tracklight_build"][0]["type"], "info");

    // What nothing may be known of just now: time to full, where the table does not grow.
    let may_be_empty = ["deriv("];
    for expression in expressions() {
        let many = prometheus.series_of(&expression);
        let may_be_empty = may_be_empty.iter().any(|part| expression.contains(part));
        let is_of_kernel = expression.contains("tracklight_kernel_");
        assert!(many > 0 || may_be_empty || is_of_kernel, "{expression}");
    }
    let rules = prometheus.ask("/api/v1/rules").unwrap();
    let groups = rules["data"]["groups"].as_array().unwrap();
    let rules = groups.iter().flat_map(|group| group["rules"].as_array());
    let states: BTreeSet<&str> = rules
        .flatten()
        .map(|rule| rule["lastError"].as_str().unwrap_or(""))
        .collect();
    assert_eq!(states, BTreeSet::from([""]));
    drop(prometheus);
    drop(ours);
}

#[tokio::test(start_paused = true)]
async fn who_asks_again_within_a_second_is_told_the_same() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let ours = OwnServer::start(&namespace);
    assert!(ours.app.live.wait_until_ready(PATIENCE));
    let routes = routes_with(Arc::new(|_| None)).with_state(Arc::clone(&ours.app));
    let ask = async |accept: &str| {
        let request = Request::get("/metrics").header("accept", accept);
        let request = request.body(Body::empty()).unwrap();
        let answer = routes.clone().oneshot(request).await.unwrap();
        let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await;
        String::from_utf8(body.unwrap().to_vec()).unwrap()
    };
    let told = ask("*/*").await;
    assert_eq!(value(&told, "tracklight_connections"), Some(0.0), "{told}");

    let inside = Namespace::by_path(&namespace.path()).unwrap();
    let client = ctnetlink::Client::open_in(&inside).unwrap();
    testkit::fill::fill(&client, 3).unwrap();
    let end = Instant::now() + PATIENCE;
    while ours.app.live.summary().connections != 3 {
        assert!(Instant::now() < end, "3 connections are not known");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(ask("*/*").await, told);
    tokio::time::advance(Duration::from_secs(1)).await;
    let later = ask("*/*").await;
    assert_eq!(
        value(&later, "tracklight_connections"),
        Some(3.0),
        "{later}"
    );
    // Another format is another answer.
    let open = ask("application/openmetrics-text;version=1.0.0").await;
    assert!(open.ends_with("# EOF\n"), "{open}");
}

#[test]
fn whoever_restarts_services_is_told_how_we_are() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let ours = OwnServer::start(&namespace);
    assert!(ours.app.live.wait_until_ready(PATIENCE));
    let ask = |path: &str, accept: &str| get(&namespace, OURS, path, accept).unwrap();
    for path in ["/healthz", "/readyz"] {
        let (head, _) = ask(path, "*/*");
        assert!(head.starts_with("HTTP/1.0 200 "), "{path}: {head}");
    }
    let (head, body) = ask("/metrics", "application/openmetrics-text;version=1.0.0");
    assert!(
        head.contains("application/openmetrics-text; version=1.0.0"),
        "{head}"
    );
    assert!(body.ends_with("# EOF\n"), "{body}");
    let (head, body) = ask("/metrics", "*/*");
    assert!(head.contains("text/plain; version=0.0.4"), "{head}");
    assert!(
        body.contains("# TYPE tracklight_births_total counter\n"),
        "{body}"
    );
    assert_good(&promtool(&["check", "metrics"], &body));

    // Nothing keeps the table any more.
    ours.app.live.close();
    let (head, body) = ask("/healthz", "*/*");
    assert!(head.starts_with("HTTP/1.0 503 "), "{head}");
    let failure: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(failure["code"], "not-kept");
    assert!(
        failure["hint"]
            .as_str()
            .is_some_and(|hint| !hint.is_empty())
    );
}
