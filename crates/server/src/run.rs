//! The daemon from its start to its end.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::Method;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use ctnetlink::Namespace;
use engine::config::Server;
use engine::health::Severity;
use engine::history::{Follower, History, Origin};
use engine::live::Live;
use engine::{Config, Failure, Way, vocabulary};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tower_http::catch_panic::CatchPanicLayer;

use crate::api::error::Fault;
use crate::app::{App, Settings};
use crate::audit::Audit;
use crate::gate::{self, Gate, Tokens};
use crate::listen::{self, Limits, Listeners, Tls};
use crate::reload::reload;
use crate::who::Role;
use crate::{api, confine, metrics, notify, page};

/// What the daemon is started with.
pub struct Options {
    /// The namespace whose table it keeps, by name, path or process; `None` for its own.
    pub namespace: Option<String>,
    /// In which way the table is read.
    pub way: Way,
    /// The configuration file, if one is named.
    pub file: Option<PathBuf>,
    /// Gives the configuration, with flags and environment over it: at the start and on SIGHUP.
    pub load: Box<dyn Fn() -> Result<Config, Failure> + Send + Sync>,
    /// Whether a sign-in link is printed even if this is not the first start.
    pub print_link: bool,
}

/// The token that is made at the first start.
const FIRST: &str = "admin";
/// How many threads may wait: for the kernel, a disk, or who reads an answer.
const BLOCKING: usize = 160;
/// How long an answer may take to begin.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs until SIGTERM or SIGINT. `tell` is given what a person should see.
pub fn run(options: Options, tell: &dyn Fn(&str)) -> Result<(), Failure> {
    let config = (options.load)()?;
    make_folder(&config.server.state)?;
    let tokens = Tokens::open(&config.server.state)?;
    let tls = Tls::open(&config.server)?.map(Arc::new);
    let listeners = Listeners::open(&config.server)?;
    // Some names of it cannot be opened with fewer capabilities.
    let namespace = options
        .namespace
        .as_deref()
        .map(Namespace::parse)
        .transpose()?;
    confine_to(&options, &config)?;
    let clone = || namespace.as_ref().map(Namespace::try_clone).transpose();
    let live = Live::open(clone()?, options.way, &config.live)?;

    let gate = Arc::new(Gate::new(tokens, &config.server, own_uid()));
    let words = vocabulary(&config, clone()?);
    let settings = Settings::new(config.clone(), words)?;
    let app = Arc::new(App::new(
        Arc::clone(&live),
        options.way,
        options.namespace.clone(),
        settings,
    ));
    if let Some(namespace) = clone()? {
        app.set_table_namespace(namespace);
    }
    if let Some(file) = Config::named(options.file.as_deref()) {
        app.set_file(std::path::absolute(&file).unwrap_or(file));
    }
    app.set_audit(Audit::open(&app.settings().config.server.state)?);
    let _recording = record(&app)?;
    let router = router(&app, &gate);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("http")
        // The unit's TasksMax has room for them.
        .max_blocking_threads(BLOCKING)
        .build()
        .map_err(|error| failed("cannot begin threads", &error))?;
    let served = runtime.block_on(async {
        let (end, ended) = watch::channel(false);
        let signals = Signals::new()?;
        // All that can fail is open: a link that is told is good.
        announce(&listeners, &config, &gate, options.print_link, tell)?;
        let watching = tokio::spawn(crate::watch::watch(Arc::clone(&app)));
        let serving = listen::serve(listeners, router, tls.clone(), Limits::default(), ended);
        let serving = tokio::spawn(serving);
        notify::ready("keeps the table");
        let pinging = notify::interval().map(|every| tokio::spawn(ping(Arc::clone(&app), every)));
        signals
            .wait(|| {
                notify::reloading();
                let reloaded = reload(&options.load, &config, &app, &gate, tls.as_ref());
                notify::ready("keeps the table");
                reloaded
            })
            .await;
        tracing::info!("it ends: it was told to");
        notify::stopping();
        let _ = end.send(true);
        watching.abort();
        if let Some(pinging) = pinging {
            pinging.abort();
        }
        // Streams end when their feeds do.
        app.api.close();
        tokio::task::spawn_blocking(move || live.close());
        match serving.await {
            Ok(served) => served.map_err(|error| failed("cannot listen", &error)),
            Err(error) => Err(failed("the listeners ended", &error)),
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    served
}

/// Tells where it listens and, at the first start, how to sign in.
fn announce(
    listeners: &Listeners,
    config: &Config,
    gate: &Gate,
    print_link: bool,
    tell: &dyn Fn(&str),
) -> Result<(), Failure> {
    let direct = Server {
        origin: None,
        ..config.server.clone()
    };
    let addresses = listeners.addresses();
    for address in &addresses {
        let base = listen::base(&direct, *address);
        tell(&format!("Tracklight listens on {base}"));
    }
    if let Some((_, Some(_))) = listeners.unix.first() {
        tell(&format!("and on {}", config.server.socket.display()));
    }
    let is_first = gate.tokens.list()?.is_empty();
    if is_first {
        // Nobody sees its secret: a link signs in, and `tracklight token add` makes others.
        gate.tokens.add(FIRST, Role::Operator, None)?;
    }
    let Some(address) = addresses.first().filter(|_| is_first || print_link) else {
        return Ok(());
    };
    if is_first && !print_link && is_journal() {
        tell("Sign in: sudo tracklight token link prints a link");
        return Ok(());
    }
    let name = gate.tokens.first()?.unwrap_or_else(|| FIRST.to_owned());
    let code = gate.tokens.link(&name)?;
    tell(&format!(
        "Sign in, once and within {} minutes: {}/signin?code={code}",
        gate::LINK.as_secs() / 60,
        listen::base(&config.server, *address),
    ));
    Ok(())
}

/// Whether what is told is kept in the journal, where more people read it than may sign in.
fn is_journal() -> bool {
    let stream = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    let out = std::io::stdout().as_fd().try_clone_to_owned();
    let data = out.and_then(|out| fs::File::from(out).metadata());
    data.is_ok_and(|data| stream == format!("{}:{}", data.dev(), data.ino()))
}

/// Gives up what is not needed. Must come before the first thread: each has its own capabilities.
fn confine_to(options: &Options, config: &Config) -> Result<(), Failure> {
    // A table of another namespace is entered, and types of modules are the administrator's.
    let is_module = Path::new("/sys/kernel/btf/nf_conntrack").exists();
    let kept = confine::drop_capabilities(options.namespace.is_some() || is_module)?;
    tracing::debug!("capabilities: {}", kept.join(", "));
    let server = &config.server;
    let mut write = vec![server.state.clone()];
    if !server.socket.as_os_str().is_empty()
        && let Some(folder) = server.socket.parent().filter(|folder| folder.is_dir())
    {
        write.push(folder.to_owned());
    }
    let files = [&server.tls_certificate, &server.tls_key];
    let mut read: Vec<_> = files.into_iter().flatten().cloned().collect();
    read.extend(options.file.clone());
    read.push(config.names.dhcp_leases.clone());
    read.push(config.names.hosts_file.clone());
    let landlock = confine::landlock(&confine::Paths { read, write })?;
    tracing::info!("{landlock}");
    Ok(())
}

/// Tells the service manager that it is well, as long as it is.
async fn ping(app: Arc<App>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        if app.live.is_kept() {
            notify::alive();
        }
    }
}

/// Begins to record the table, if that is wanted; until the value is dropped.
fn record(app: &Arc<App>) -> Result<Option<Recording>, Failure> {
    let settings = app.settings();
    if !settings.config.history.enabled {
        return Ok(None);
    }
    let origin = match app.table_namespace()? {
        Some(namespace) => namespace.run(|| Ok(Origin::here()))?,
        None => Origin::here(),
    };
    let cannot = |error| failed("cannot begin to record", &error);
    let history = History::open(
        &settings.config.server.state,
        &settings.config.history,
        origin,
    )
    .map_err(cannot)?;
    let follower = Follower::of_live(&history, Arc::clone(&app.live)).map_err(cannot)?;
    app.set_history(Arc::clone(&history));
    Ok(Some(Recording {
        follower: Some(follower),
        history,
    }))
}

/// While it lives, the table is recorded.
struct Recording {
    follower: Option<Follower>,
    history: Arc<History>,
}

impl Drop for Recording {
    fn drop(&mut self) {
        drop(self.follower.take());
        self.history.close();
    }
}

/// All that is answered, behind the gate.
fn router(app: &Arc<App>, gate: &Arc<Gate>) -> Router {
    let findings = Arc::new(|app: &App| {
        let report = app.watch.report()?;
        let severities = [
            ("info", Severity::Info),
            ("notice", Severity::Notice),
            ("warning", Severity::Warning),
            ("critical", Severity::Critical),
        ];
        let count = |(name, severity)| (name, report.count(severity) as u64);
        Some(severities.into_iter().map(count).collect())
    });
    Router::new()
        .merge(api::routes())
        .merge(metrics::routes_with(findings))
        .merge(page::routes())
        .with_state(Arc::clone(app))
        .merge(gate::routes(Arc::clone(gate)))
        .layer(from_fn_with_state(Arc::clone(gate), gate::check))
        .layer(from_fn(in_time))
        .layer(CatchPanicLayer::custom(panicked))
}

/// Nobody waits for ever.
async fn in_time(request: Request, next: Next) -> Response {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let answered = tokio::time::timeout(PATIENCE, next.run(request)).await;
    answered.unwrap_or_else(|_| {
        let what = match is_read {
            true => "there was no answer within a minute",
            false => "there was no answer within a minute: what was asked for may still be done",
        };
        Fault::new("timed-out", what, "see the daemon's log and /api/v1/health").into_response()
    })
}

/// What a handler that panicked answers; the log has told where.
fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    let hint = "report it, with the daemon's log";
    Fault::new("internal", "this is a fault of ours", hint).into_response()
}

/// The signals that it listens to.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        let of = |kind| signal(kind).map_err(|error| failed("signals cannot be handled", &error));
        Ok(Self {
            terminate: of(SignalKind::terminate())?,
            interrupt: of(SignalKind::interrupt())?,
            hangup: of(SignalKind::hangup())?,
        })
    }

    /// Until it is to end; SIGHUP reloads.
    async fn wait(mut self, reload: impl Fn() -> Result<(), Failure>) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => {
                    if let Err(failure) = reload() {
                        tracing::error!(
                            "the configuration stays as it was: {failure} [{}]; {}",
                            failure.code,
                            failure.hint,
                        );
                    }
                }
            }
        }
    }
}

/// A folder that is the daemon's own.
fn make_folder(path: &Path) -> Result<(), Failure> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(path).map_err(|error| {
        Failure::new(
            "state-unusable",
            format!("cannot make the folder {}: {error}", path.display()),
            "run it as a user who may, or choose another with --state",
        )
    })
}

/// The user that this process is.
fn own_uid() -> u32 {
    fs::metadata("/proc/self").map_or(0, |data| data.uid())
}

fn failed(what: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(
        "kernel-error",
        format!("{what}: {error}"),
        "see the limits of the service, and the kernel's log (dmesg)",
    )
}
