//! `tracklight config`.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};
use engine::{Config, Failure, config};

use crate::cli::Global;
use crate::exit::{Outcome, note};
use crate::output::{Output, print_line};

/// The file with every setting and its default.
const PACKAGED: &str = include_str!("../../../../packaging/tracklight.toml");

/// Flags of `tracklight config`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Say whether a configuration file can be used, and what is wrong with it, with the line
    Check {
        /// The file [default: --config, else $TRACKLIGHT_CONFIG, else /etc/tracklight/tracklight.toml]
        file: Option<PathBuf>,
    },
    /// Print all settings that hold, defaults included. There are no secrets among them
    Show {
        /// Output: toml or json
        #[arg(short, long, value_name = "FORMAT", default_value = "toml")]
        output: Format,
    },
    /// Write a configuration file with every setting, its default and what it means
    Init {
        /// The file [default: --config, else $TRACKLIGHT_CONFIG, else /etc/tracklight/tracklight.toml]
        file: Option<PathBuf>,
        /// Replace a file that is there
        #[arg(long)]
        force: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A configuration file that says the same
    Toml,
    /// One JSON object
    Json,
}

/// `tracklight config`.
pub(crate) fn run(args: &Args, global: &Global) -> Result<Outcome, Failure> {
    match &args.command {
        What::Check { file } => check(file.as_deref().or(global.config.as_deref()))?,
        What::Show { output } => show(*output, global.config.as_deref())?,
        What::Init { file, force } => {
            let file = Config::named(file.as_deref().or(global.config.as_deref()));
            init(&file.unwrap_or_else(|| config::PATH.into()), *force)?;
        }
    }
    Ok(Outcome::Done)
}

fn check(file: Option<&Path>) -> Result<(), Failure> {
    let config = Config::load(file)?;
    let server = &config.server;
    for path in [&server.tls_certificate, &server.tls_key]
        .into_iter()
        .flatten()
    {
        fs::File::open(path).map_err(|error| {
            Failure::new(
                "tls-unusable",
                format!("{} cannot be read: {error}", path.display()),
                "`tracklight serve` would refuse it: name files that the daemon's user may read",
            )
        })?;
    }
    let is_open = server.tls_certificate.is_none() && !server.allow_plain_http;
    let mut listen = server.listen.iter();
    if let Some(address) = listen.find(|address| !address.ip().to_canonical().is_loopback())
        && is_open
    {
        return Err(Failure::new(
            "plain-http",
            format!("{address} can be reached by others, and there is no TLS"),
            "`tracklight serve` refuses that: set server.tls-certificate and server.tls-key, or say \
             allow-plain-http = true (--allow-plain-http) where something else encrypts",
        ));
    }
    print_line(&match origin(file) {
        Some(path) => format!("{} is good", path.display()),
        None => format!("there is no {}: the defaults hold", config::PATH),
    })
}

fn show(format: Format, file: Option<&Path>) -> Result<(), Failure> {
    let config = Config::load(file)?;
    let origin = match origin(file) {
        Some(path) => format!(
            "from {}; what it does not say is the default",
            path.display()
        ),
        None => format!("the defaults: there is no {}", config::PATH),
    };
    let mut out = Output::stdout()?;
    match format {
        Format::Toml => {
            out.text(&format!(
                "# {origin}.\n# Flags and environment of `tracklight serve` go over it.\n"
            ))?;
            out.text(&config.to_toml()?)?;
        }
        Format::Json => {
            // Only what is no text as a key could fail, and there is nothing such.
            let text = serde_json::to_string_pretty(&config).map_err(|error| {
                Failure::new("configuration", error.to_string(), "print it as toml")
            })?;
            out.text(&text)?;
            out.text("\n")?;
            note(&origin);
        }
    }
    out.flush()
}

/// The file that is read; `None` where there is none and the defaults hold.
fn origin(file: Option<&Path>) -> Option<PathBuf> {
    let usual = || Some(PathBuf::from(config::PATH)).filter(|path| path.exists());
    Config::named(file).or_else(usual)
}

fn init(file: &Path, force: bool) -> Result<(), Failure> {
    let failed = |error: &io::Error| {
        Failure::new(
            "output-failed",
            format!("cannot write {}: {error}", file.display()),
            "run it as root, or name a file elsewhere and give it to --config",
        )
    };
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(|error| failed(&error))?;
    }
    let written = if force {
        // Never half a configuration, also if the disk is full.
        let mut new = file.as_os_str().to_owned();
        new.push(".new");
        write_new(Path::new(&new)).and_then(|()| fs::rename(&new, file))
    } else {
        write_new(file)
    };
    match written {
        Ok(()) => print_line(&format!("wrote {}", file.display())),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && !force => Err(Failure::new(
            "file-exists",
            format!("{} is there already", file.display()),
            "name another file, or replace it with --force",
        )),
        Err(error) => Err(failed(&error)),
    }
}

fn write_new(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    let written = file
        .write_all(PACKAGED.as_bytes())
        .and_then(|()| file.sync_all());
    if written.is_err() {
        // It is ours, and it is not whole.
        let _ = fs::remove_file(path);
    }
    written
}
