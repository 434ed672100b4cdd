//! `tracklight api`: the connections contract for panels.

use std::process::ExitCode;

/// Which of the contract's two programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Call {
    /// Lists connections, protocols or statistics.
    Read,
    /// Deletes one connection or all.
    Delete,
}

/// Flags of `tracklight api`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Which of the contract's calls.
    call: Call,
}

/// The call whose name the program was started under: `…/connections/read`.
pub(crate) fn called_as() -> Option<Call> {
    None
}

/// `tracklight api`.
pub(crate) fn run(args: &Args) -> ExitCode {
    run_call(args.call)
}

/// One call: standard input to standard output.
pub(crate) fn run_call(_call: Call) -> ExitCode {
    ExitCode::FAILURE
}
