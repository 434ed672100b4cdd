//! `tracklight completions`.

use clap::CommandFactory;
use engine::Failure;

use crate::cli::Cli;
use crate::exit::Outcome;
use crate::output::Output;

/// Flags of `tracklight completions`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell
    shell: clap_complete::Shell,
}

/// `tracklight completions`.
pub(crate) fn run(args: &Args) -> Result<Outcome, Failure> {
    let mut out = Output::stdout()?;
    clap_complete::generate(args.shell, &mut Cli::command(), "tracklight", out.buffer());
    out.flush()?;
    Ok(Outcome::Done)
}
