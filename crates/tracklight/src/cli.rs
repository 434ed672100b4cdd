//! The command line: what there is, without doing any of it.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::PossibleValue;
use clap::builder::styling::{AnsiColor, Styles};
use clap::{Parser, Subcommand, ValueEnum};

use engine::Way;

use crate::commands;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const EXIT_CODES: &str = "\
Exit status:
  0  done
  1  nothing found, or refused
  2  wrong usage
  3  no privilege
  4  the kernel or the system failed";

/// What `--version` says.
const VERSION: &str = if ctwalk::IS_BUILT {
    concat!(env!("CARGO_PKG_VERSION"), " (reads by BPF and netlink)")
} else {
    concat!(
        env!("CARGO_PKG_VERSION"),
        " (built without BPF: reads over netlink only)"
    )
};

/// Shows, searches and steers every connection passing this machine's firewall.
///
/// Reads and writes the kernel's connection tracking table. Needs root or CAP_NET_ADMIN;
/// `tracklight demo` shows it on a small network of its own without either.
#[derive(Debug, Parser)]
#[command(
    name = "tracklight",
    version = VERSION,
    styles = STYLES,
    after_help = EXIT_CODES,
    propagate_version = true,
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every subcommand takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Global {
    /// Network namespace: a name of `ip netns`, a path, or a process's number
    #[arg(
        long,
        global = true,
        value_name = "NAME|PATH|PID",
        help_heading = "Global options"
    )]
    pub(crate) netns: Option<String>,
    /// How the kernel's table is read: by a BPF program where that is faster and the kernel allows
    /// it, or in one way only
    #[arg(
        long,
        global = true,
        value_name = "WAY",
        default_value = "auto",
        help_heading = "Global options"
    )]
    pub(crate) source: SourceWay,
    /// Configuration file [default: $TRACKLIGHT_CONFIG, else /etc/tracklight/tracklight.toml]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        help_heading = "Global options"
    )]
    pub(crate) config: Option<PathBuf>,
    /// When to use colour
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        help_heading = "Global options"
    )]
    pub(crate) color: ColorWhen,
    /// Say more on standard error: how the kernel was asked, how long it took
    #[arg(short, long, global = true, help_heading = "Global options")]
    pub(crate) verbose: bool,
}

impl Global {
    /// All but the namespace, for a process that does what this one was asked.
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        let name = |value: Option<PossibleValue>| value.map(|value| value.get_name().to_owned());
        let mut arguments: Vec<OsString> = Vec::new();
        // Those that were given: a subcommand's own may follow.
        for (flag, is_given, value) in [
            (
                "--source",
                self.source != SourceWay::Auto,
                name(self.source.to_possible_value()),
            ),
            (
                "--color",
                self.color != ColorWhen::Auto,
                name(self.color.to_possible_value()),
            ),
        ] {
            if let Some(value) = value.filter(|_| is_given) {
                arguments.extend([flag.into(), value.into()]);
            }
        }
        if let Some(config) = &self.config {
            arguments.extend(["--config".into(), config.into()]);
        }
        if self.verbose {
            arguments.push("--verbose".into());
        }
        arguments
    }

    /// In which way the kernel's table is read.
    pub(crate) const fn way(&self) -> Way {
        match self.source {
            SourceWay::Auto => Way::Auto,
            SourceWay::Netlink => Way::Netlink,
            SourceWay::Bpf => Way::Bpf,
        }
    }
}

/// In which way the kernel's table is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SourceWay {
    /// The faster way that the kernel allows; --verbose says which, and why
    Auto,
    /// Over netlink
    Netlink,
    /// By a BPF program, or not at all
    Bpf,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorWhen {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List connections
    #[command(visible_alias = "ls")]
    List(commands::list::Args),
    /// Show all that is known of one connection
    Get(commands::get::Args),
    /// Put an entry into the table
    Create(commands::create::Args),
    /// Change entries: timeout, mark, status, state, labels, helper
    Update(commands::update::Args),
    /// Delete entries
    #[command(visible_alias = "rm")]
    Delete(commands::delete::Args),
    /// Empty the table, or a part of it
    Flush(commands::flush::Args),
    /// Save the table, or a part of it, in a file
    Save(commands::save::Args),
    /// Put the entries of a saved table back
    Restore(commands::restore::Args),
    /// Show the table as it moves, full screen: sorted, searched, grouped, deleted from
    Top(commands::top::Args),
    /// Print births, changes and deaths of connections as they happen
    Watch(commands::watch::Args),
    /// Count connections
    Count(commands::count::Args),
    /// Count connections, bytes and packets by source, port, network or whatever they have in common
    Group(commands::group::Args),
    /// Say what is wrong with the table or its settings, and the commands that mend it
    Doctor(commands::doctor::Args),
    /// Show the kernel's counters, how full the table is, and what is switched off
    Stats(commands::stats::Args),
    /// Show what the daemon recorded: connections, births, deaths, traffic, drops
    History(commands::history::Args),
    /// Explain a query, complete it, or list what queries know
    Query(commands::query::Args),
    /// List protocols and their states
    Protocols(commands::protocols::Args),
    /// Connections that helpers expect
    Expect(commands::expect::Args),
    /// Run the daemon: API, metrics and recorded history for browsers and programs
    Serve(commands::serve::Args),
    /// Make, list and revoke tokens by which programs and browsers may ask the daemon
    Token(commands::token::Args),
    /// Run any subcommand on a small network made for the purpose, with real traffic
    Demo(commands::demo::Args),
    /// Check, show or begin the configuration
    Config(commands::config::Args),
    /// Show who changed what through the daemon
    Audit(commands::audit::Args),
    /// The connections contract for panels: one JSON object in, one out
    Api(commands::api::Args),
    /// Timeout policies: times to live that rules give to connections
    Timeout(commands::timeout::Args),
    /// Helpers in user space
    Helper(commands::helper::Args),
    /// The command line of conntrack(8): what it takes, prints and returns
    Conntrack(commands::conntrack::Args),
    /// Print a completion script for a shell
    Completions(commands::completions::Args),
    /// Print manual pages
    Man(commands::man::Args),
}
