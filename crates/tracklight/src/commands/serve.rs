//! `tracklight serve`.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::builder::{OsStringValueParser, TypedValueParser};
use engine::{Config, Failure};
use server::Options;

use crate::cli::Global;
use crate::exit::Outcome;

/// Flags of `tracklight serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Who may: at the first start a sign-in link is printed, once. `tracklight token add NAME` makes a token for
programs: curl -H 'Authorization: Bearer tl_…' http://127.0.0.1:8470/api/v1/connections
Over the socket, root and the daemon's own user need none:
curl --unix-socket /run/tracklight/tracklight.sock http://localhost/api/v1/connections

SIGHUP reads the configuration anew; SIGTERM and Ctrl-C end it.")]
pub(crate) struct Args {
    #[command(flatten)]
    place: Place,
    /// Address and port to listen on, instead of those of the configuration; several times for
    /// several
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        env = "TRACKLIGHT_LISTEN",
        value_delimiter = ','
    )]
    listen: Vec<SocketAddr>,
    /// Path of the socket that is its owner's only; '' for none
    #[arg(long, value_name = "PATH", env = "TRACKLIGHT_SOCKET",
          value_parser = OsStringValueParser::new().map(PathBuf::from))]
    socket: Option<PathBuf>,
    /// Listen without TLS where others can reach it: for those behind something that encrypts
    #[arg(long, env = "TRACKLIGHT_ALLOW_PLAIN_HTTP")]
    allow_plain_http: bool,
    /// Print a sign-in link, also if this is not the first start
    #[arg(long)]
    print_link: bool,
}

/// Where tokens, recorded history and the audit log are.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Place {
    /// Folder for tokens, recorded history and the audit log [default: /var/lib/tracklight, and for
    /// others than root ~/.local/state/tracklight]
    #[arg(long, global = true, value_name = "FOLDER", env = "TRACKLIGHT_STATE")]
    pub(crate) state: Option<PathBuf>,
}

impl Place {
    /// The configuration's folder, with what flags, environment and user say over it.
    pub(crate) fn apply(&self, config: &mut Config) {
        let server = &mut config.server;
        let usual = engine::config::Server::default();
        let is_root = std::fs::metadata("/proc/self")
            .is_ok_and(|data| std::os::unix::fs::MetadataExt::uid(&data) == 0);
        let folder = |variable: &str| {
            std::env::var_os(variable)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        if let Some(state) = &self.state {
            server.state.clone_from(state);
        } else if !is_root && server.state == usual.state {
            let home = || folder("HOME").map(|home| home.join(".local/state"));
            if let Some(state) = folder("XDG_STATE_HOME").or_else(home) {
                server.state = state.join("tracklight");
            }
        }
        if !is_root && server.socket == usual.socket {
            server.socket = folder("XDG_RUNTIME_DIR")
                .map(|folder| folder.join("tracklight.sock"))
                .unwrap_or_default();
        }
    }
}

/// `tracklight serve`.
pub(crate) fn run(args: &Args, global: &Global) -> Result<Outcome, Failure> {
    log(global);
    let (place, listen, socket) = (args.place.clone(), args.listen.clone(), args.socket.clone());
    let (allow_plain_http, file) = (args.allow_plain_http, global.config.clone());
    let load = move || {
        load(
            file.as_deref(),
            &place,
            &listen,
            socket.as_deref(),
            allow_plain_http,
        )
    };
    let options = Options {
        namespace: global.netns.clone(),
        way: global.way(),
        file: global.config.clone(),
        load: Box::new(load),
        print_link: args.print_link,
    };
    server::run(options, &|line| {
        // Nobody may be reading, and the log has no secrets.
        let mut out = std::io::stdout();
        let _ = writeln!(out, "{line}");
        let _ = out.flush();
    })?;
    Ok(Outcome::Done)
}

fn load(
    file: Option<&Path>,
    place: &Place,
    listen: &[SocketAddr],
    socket: Option<&Path>,
    allow_plain_http: bool,
) -> Result<Config, Failure> {
    let mut config = Config::load(file)?;
    place.apply(&mut config);
    if !listen.is_empty() {
        config.server.listen = listen.to_vec();
    }
    if let Some(socket) = socket {
        config.server.socket = socket.to_owned();
    }
    config.server.allow_plain_http |= allow_plain_http;
    Ok(config)
}

/// To the journal where it is what standard error goes to, else there.
fn log(global: &Global) {
    use tracing_subscriber::filter::LevelFilter;
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::util::SubscriberInitExt;
    let level = if global.verbose {
        LevelFilter::DEBUG
    } else {
        LevelFilter::INFO
    };
    let registry = tracing_subscriber::registry().with(level);
    let journal = std::env::var_os("JOURNAL_STREAM").and_then(|_| tracing_journald::layer().ok());
    // Set already: by a test in the same process.
    let _ = match journal {
        Some(journal) => registry.with(journal).try_init(),
        None => {
            let stderr = tracing_subscriber::fmt::layer()
                .with_writer(std::io::stderr)
                .with_ansi(std::io::stderr().is_terminal())
                .with_target(false);
            registry.with(stderr).try_init()
        }
    };
}
