//! `tracklight top`.

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::Failure;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;
use tui::batch::{self, Ended, Rounds};
use tui::format::{Clock, count, duration};
use tui::saved;
use tui::state::tally::{Refreshes, Tally};
use tui::transport::{Request, ask};
use tui::view::theme::Palette;
use tui::wire::{Fault, Status};
use tui::{Ender, Options, Transport, View};

use crate::cli::{ColorWhen, Global};
use crate::exit::{Outcome, note};
use crate::flags::FilterFlags;
use crate::output::CLOSED;
use crate::transport::{Daemon, Local, Place};

/// Flags of `tracklight top`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tracklight top
  tracklight top tcp and dport == 443
  tracklight top -p udp -s 10.0.0.0/8
  tracklight top --connect /run/tracklight/tracklight.sock
  tracklight top --connect https://fw.example:8470 --token-file ~/.tracklight-token
  tracklight top -b 3 -i 5 --sort bytes
  tracklight demo top

? shows the keys. Without --connect the kernel's table is read here, which needs root or CAP_NET_ADMIN.")]
pub(crate) struct Args {
    /// Which connections at first, in the query language; / changes it
    #[arg(value_name = "QUERY")]
    query: Vec<String>,
    #[command(flatten)]
    filter: FilterFlags,
    /// Ask a daemon: http://ADDRESS:PORT, https://…, or the path of its socket
    #[arg(long, value_name = "URL|SOCKET", value_parser = Place::parse)]
    connect: Option<Place>,
    /// File with the daemon's token [default: what TRACKLIGHT_TOKEN says]
    #[arg(long, value_name = "FILE", requires = "connect")]
    token_file: Option<PathBuf>,
    /// Trust the certificates of this file (PEM) instead of the system's
    #[arg(long, value_name = "FILE", requires = "connect")]
    ca: Option<PathBuf>,
    /// View that was saved with w: its name or file
    #[arg(long, value_name = "NAME|FILE")]
    view: Option<String>,
    /// Sort by a column or rate
    #[arg(long, value_name = "COLUMN")]
    sort: Option<String>,
    /// Columns of the table; c lists them
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    columns: Vec<String>,
    /// Show names instead of addresses
    #[arg(long)]
    names: bool,
    /// Seconds between two looks
    #[arg(short = 'i', long, value_name = "SECONDS")]
    delay: Option<f64>,
    /// Print so many rounds as text, for scripts
    #[arg(short, long, value_name = "N")]
    batch: Option<u64>,
    /// Rows of a round
    #[arg(short = 'n', long, value_name = "N", default_value_t = 25, requires = "batch",
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    rows: u16,
    /// Tell times in UTC
    #[arg(long)]
    utc: bool,
    /// Leave the mouse to the terminal
    #[arg(long)]
    no_mouse: bool,
}

/// `tracklight top`.
pub(crate) fn run(args: &Args, global: &Global) -> Result<Outcome, Failure> {
    let folder = saved::folder(|name| std::env::var_os(name).map(PathBuf::from));
    let view = view(args, folder.as_deref(), global)?;
    if args.batch.is_none() && !std::io::stdout().is_terminal() {
        return Err(usage(
            "standard output is no terminal",
            "print rounds of text instead: tracklight top -b 1",
        ));
    }
    // Before there are threads, which take it over. Rounds of text have no terminal to give back.
    if args.batch.is_none() {
        Stop::hold();
    }
    let transport: Arc<dyn Transport> = match &args.connect {
        Some(place) => Arc::new(daemon(place, args, global)?),
        None => Arc::new(Local::open(global)?),
    };
    let clock = if args.utc { Clock::Utc } else { Clock::Local };
    if let Some(many) = args.batch {
        let rounds = Rounds {
            many,
            rows: args.rows,
            clock,
        };
        let mut out = std::io::stdout().lock();
        return match batch::print(&*transport, &view, rounds, &mut out) {
            Ok(()) => Ok(Outcome::Done),
            Err(Ended::Refused(fault)) => Err(failure(fault)),
            Err(Ended::Unwritten(error)) => Err(unwritten(&error)),
        };
    }
    let options = Options {
        transport: Arc::clone(&transport),
        view,
        folder,
        palette: palette(global),
        clock,
        mouse: !args.no_mouse,
        stop: Box::new(Stop::now),
    };
    let began = Instant::now();
    let tally = tui::run(options, |ender| {
        Stop::wait_for(ender.clone());
        // A terminal that is closed, or somebody who wants an end. Keys come all the same where this fails.
        let _ = ctrlc::set_handler(move || ender.end());
    })?;
    if global.verbose {
        // How long a reading took is known where it is done.
        let status = ask(&*transport, &Request::get("/api/v1/status", &[])).ok();
        note(&told(&tally, began.elapsed(), status.as_ref()));
    }
    Ok(Outcome::Done)
}

/// What the screen has done, in one line.
fn told(tally: &Tally, lasted: Duration, status: Option<&Status>) -> String {
    let times = |many: u64| match many {
        1 => "once".to_owned(),
        many => format!("{} times", count(many)),
    };
    let refreshed = |what: &str, all: Refreshes| match all.waited_ms.checked_div(all.many) {
        Some(0) => format!("{what} refreshed {} (within 1 ms each)", times(all.many)),
        Some(each) => format!("{what} refreshed {} ({each} ms each)", times(all.many)),
        None => format!("{what} never refreshed"),
    };
    let lasted = duration(lasted.as_secs());
    let mut parts = vec![format!("{lasted}: {}", refreshed("rows", tally.rows))];
    if tally.groups.many > 0 {
        parts.push(refreshed("groups", tally.groups));
    }
    parts.push(match (tally.readings, status) {
        (0, _) => "the table was not read to the end".to_owned(),
        (many, Some(status)) => format!(
            "the table read {} by {}, the last time in {} ms",
            times(many),
            tally.source,
            status.reading_ms
        ),
        (many, None) => format!("the table read {} by {}", times(many), tally.source),
    });
    parts.join("; ")
}

/// The signal that stops a job (SIGTSTP). Whoever sends it, the terminal is given back first.
struct Stop;

impl Stop {
    fn signal() -> SigSet {
        SigSet::from(Signal::SIGTSTP)
    }

    /// From now on it waits in this thread, and in those that this one begins.
    fn hold() {
        // It stops the process as ever where this fails.
        let _ = Self::signal().thread_block();
    }

    /// Has the screen stop where it comes from elsewhere.
    fn wait_for(ender: Ender) {
        let wait = move || {
            while Self::signal().wait().is_ok() {
                ender.suspend();
            }
        };
        // Without a thread, Ctrl-Z stops it all the same.
        let _ = std::thread::Builder::new()
            .name("stop".to_owned())
            .spawn(wait);
    }

    /// Stops the whole job, so that the shell has the terminal, and comes back when it goes on. The kernel gives the
    /// signal to the first thread where that does not hold it, and this is the first.
    fn now() -> std::io::Result<()> {
        Self::signal().thread_unblock()?;
        let sent = kill(Pid::from_raw(0), Signal::SIGTSTP);
        Self::signal().thread_block()?;
        Ok(sent?)
    }
}

/// What is kept in a file, with what flags say over it.
fn view(args: &Args, folder: Option<&Path>, global: &Global) -> Result<View, Failure> {
    let mut view = match &args.view {
        Some(name) => read_view(&saved::path_of(folder, name))?,
        None => {
            let usual = saved::path_of(folder, saved::USUAL);
            match folder.is_some() && usual.exists() {
                true => read_view(&usual)?,
                false => View::default(),
            }
        }
    };
    let query = args.filter.text(&args.query, global)?;
    if !query.is_empty() {
        view.query = query;
    }
    if let Some(sort) = &args.sort {
        view.sort.clone_from(sort);
        view.reverse = false;
    }
    if !args.columns.is_empty() {
        view.columns.clone_from(&args.columns);
    }
    view.names |= args.names;
    if let Some(delay) = args.delay {
        view.interval = delay;
    }
    // Flags are held to what a file is held to.
    View::parse(&view.text()).map_err(|error| usage(&error, "see tracklight top --help"))
}

fn read_view(path: &Path) -> Result<View, Failure> {
    let cannot = |error: &dyn std::fmt::Display| {
        Failure::new(
            "unreadable",
            format!("the view {} cannot be used: {error}", path.display()),
            "correct it, or save it anew with w",
        )
    };
    let text = std::fs::read_to_string(path).map_err(|error| cannot(&error))?;
    View::parse(&text).map_err(|error| cannot(&error.trim_end()))
}

fn daemon(place: &Place, args: &Args, global: &Global) -> Result<Daemon, Failure> {
    if global.netns.is_some() {
        return Err(usage(
            "--netns is about this machine, and --connect asks a daemon",
            "leave out one of the two; the daemon has a --netns of its own",
        ));
    }
    let token = match &args.token_file {
        Some(path) => Some(read_token(path)?),
        None => std::env::var("TRACKLIGHT_TOKEN").ok(),
    };
    let token = token.map(|token| token.trim().to_owned());
    let token = token.filter(|token| !token.is_empty());
    if token
        .as_ref()
        .is_some_and(|token| !token.chars().all(|c| c.is_ascii_graphic()))
    {
        return Err(usage(
            "this is no token: it has other characters than tokens have",
            "tracklight token add NAME prints one",
        ));
    }
    if token.is_some() && place.is_plain() {
        note(
            "the token goes over the network as it is, for everybody on the way to read: use https:// there, \
             or a tunnel to 127.0.0.1",
        );
    }
    Daemon::new(place.clone(), token, args.ca.as_deref())
}

/// The longest file that is taken for a token.
const TOKEN: u64 = 4096;

fn read_token(path: &Path) -> Result<String, Failure> {
    let cannot = |error: std::io::Error| {
        Failure::new(
            "unreadable",
            format!("the token cannot be read from {}: {error}", path.display()),
            "name a file that you may read",
        )
    };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(cannot)?;
    file.take(TOKEN).read_to_string(&mut text).map_err(cannot)?;
    Ok(text)
}

fn palette(global: &Global) -> Palette {
    let variable = |name: &str| std::env::var(name).ok();
    match global.color {
        ColorWhen::Auto => Palette::from_environment(variable),
        ColorWhen::Always => Palette::from_environment(|name| match name {
            "NO_COLOR" => None,
            _ => variable(name),
        }),
        ColorWhen::Never => Palette::None,
    }
}

fn usage(message: &str, hint: &str) -> Failure {
    Failure::new("usage", message, hint)
}

/// What the API refused, as every failure of the program's is told.
fn failure(fault: Fault) -> Failure {
    // Once, at the end of the program.
    let code: &'static str = Box::leak(fault.code.into_boxed_str());
    Failure::new(code, fault.message, fault.hint)
}

fn unwritten(error: &std::io::Error) -> Failure {
    let code = match error.kind() {
        std::io::ErrorKind::BrokenPipe => CLOSED,
        _ => "output-failed",
    };
    Failure::new(
        code,
        format!("cannot write: {error}"),
        "look whether there is room",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_screen_has_done_is_told_in_one_line() {
        let lasted = Duration::from_secs(75);
        let status = Status {
            reading_ms: 512,
            ..Status::default()
        };
        let mut tally = Tally::default();
        assert_eq!(
            told(&tally, lasted, None),
            "1m 15s: rows never refreshed; the table was not read to the end"
        );
        tally.rows = Refreshes {
            many: 1200,
            waited_ms: 45_600,
        };
        tally.readings = 1;
        tally.source = "bpf".to_owned();
        assert_eq!(
            told(&tally, lasted, Some(&status)),
            "1m 15s: rows refreshed 1,200 times (38 ms each); \
             the table read once by bpf, the last time in 512 ms"
        );
        tally.groups = Refreshes {
            many: 2,
            waited_ms: 10,
        };
        assert!(told(&tally, lasted, None).contains("; groups refreshed 2 times (5 ms each); "));
    }
}
