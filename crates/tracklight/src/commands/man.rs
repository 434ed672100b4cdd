//! `tracklight man`.

use std::path::{Path, PathBuf};

use clap::CommandFactory;
use engine::Failure;

use crate::cli::Cli;
use crate::exit::Outcome;
use crate::output::Output;

/// Flags of `tracklight man`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The subcommand whose page to print; without it the program's own
    command: Option<String>,
    /// Write all pages into this folder instead
    #[arg(long, value_name = "FOLDER", conflicts_with = "command")]
    all_into: Option<PathBuf>,
}

/// `tracklight man`.
pub(crate) fn run(args: &Args) -> Result<Outcome, Failure> {
    if let Some(folder) = &args.all_into {
        return clap_mangen::generate_to(Cli::command(), folder)
            .map(|()| Outcome::Done)
            .map_err(|error| cannot_write(folder, &error));
    }
    let mut command = Cli::command();
    command.build();
    let page = match &args.command {
        None => command,
        Some(name) => command.find_subcommand(name).cloned().ok_or_else(|| {
            Failure::new(
                "usage",
                format!("there is no subcommand {name}"),
                "see: tracklight --help",
            )
        })?,
    };
    let mut out = Output::stdout()?;
    // Writing to a vector does not fail.
    let _ = clap_mangen::Man::new(page).render(out.buffer());
    out.flush()?;
    Ok(Outcome::Done)
}

fn cannot_write(folder: &Path, error: &std::io::Error) -> Failure {
    Failure::new(
        "output-failed",
        format!(
            "cannot write manual pages into {}: {error}",
            folder.display()
        ),
        "name a folder that exists and can be written",
    )
}
