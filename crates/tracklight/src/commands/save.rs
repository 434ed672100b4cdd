//! `tracklight save`.

use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use engine::Failure;
use engine::saved::{self, Format, Header, Target};

use super::stats;
use crate::cli::Global;
use crate::exit::{INCOMPLETE, Outcome, note};
use crate::flags::{FilterArgs, open, usage};
use crate::output::print_line;
use crate::progress::Progress;

/// Flags of `tracklight save`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// File to make; - is standard output
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
    /// What to write: table keeps everything, conntrack writes the lines of conntrack -L -o save
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: Kind,
    #[command(flatten)]
    filter: FilterArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// All that the kernel tells of an entry, packed
    Table,
    /// Lines for conntrack -R: no marks, labels, helpers, counters, ids or begins
    Conntrack,
}

/// `tracklight save`.
pub(crate) fn run(args: &Args, global: &Global) -> Result<Outcome, Failure> {
    let is_stream = args.file.as_os_str() == "-";
    if is_stream && args.format == Kind::Table && std::io::stdout().is_terminal() {
        return Err(usage(
            "a saved table is nothing to look at",
            "name a file, or send standard output somewhere: tracklight save - | …",
        ));
    }
    let selection = args.filter.selection();
    let client = open(global)?;
    let header = header(args, global)?;
    let target = Target::open(&args.file, args.force)?;
    let format = match args.format {
        Kind::Table => Format::Table,
        Kind::Conntrack => Format::Conntrack,
    };
    let stopped = on_signal()?;
    let mut progress = Progress::new("saving", None);
    let kept = saved::save(&client, &selection, &header, format, target, |saved| {
        progress.at(saved);
        flow(&stopped)
    })?;
    drop(progress);
    let text = format!("{} saved", kept.entries);
    if is_stream {
        note(&text);
    } else {
        print_line(&text)?;
    }
    if !kept.complete {
        note(INCOMPLETE);
        return Ok(Outcome::Nothing);
    }
    Ok(Outcome::Done)
}

/// Raised when somebody wants the program to end; files that are not whole are then taken away.
pub(super) fn on_signal() -> Result<Arc<AtomicBool>, Failure> {
    let stopped = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&stopped);
    ctrlc::set_handler(move || stop.store(true, Ordering::Relaxed))
        .map_err(|error| Failure::new("signal", format!("cannot handle signals: {error}"), ""))?;
    Ok(stopped)
}

/// Whether to go on.
pub(super) fn flow(stopped: &AtomicBool) -> ControlFlow<()> {
    if stopped.load(Ordering::Relaxed) {
        ControlFlow::Break(())
    } else {
        ControlFlow::Continue(())
    }
}

fn header(args: &Args, global: &Global) -> Result<Header, Failure> {
    let switches = stats::switches(global)?;
    let of_kernel = |name: &str| {
        let text = std::fs::read_to_string(format!("/proc/sys/kernel/{name}")).ok()?;
        Some(text.trim().to_owned())
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Ok(Header {
        program: Some(concat!("tracklight ", env!("CARGO_PKG_VERSION")).to_owned()),
        taken_ns: now.ok().and_then(|now| now.as_nanos().try_into().ok()),
        host: of_kernel("hostname"),
        kernel: of_kernel("osrelease"),
        filter: (!args.filter.selection().is_any()).then(|| asked(args)),
        accounting: switches.accounting,
        timestamps: switches.timestamps,
        local: None,
    })
}

/// The filter as it was typed.
fn asked(args: &Args) -> String {
    let words = std::env::args_os().skip(1);
    let mut words: Vec<String> = words
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let file = args.file.to_string_lossy();
    let mut take = |names: &[&str], values: usize| {
        while let Some(at) = words.iter().position(|word| names.contains(&word.as_str())) {
            words.drain(at..(at + 1 + values).min(words.len()));
        }
    };
    take(&["--format", "--netns", "--color"], 1);
    take(&["save", "--force", "--verbose", "-v", &file], 0);
    words.retain(|word| {
        let with_value = ["--format=", "--netns=", "--color="];
        !with_value.iter().any(|name| word.starts_with(name))
    });
    words.join(" ")
}
