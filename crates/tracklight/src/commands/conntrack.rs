//! `tracklight conntrack`, and the program under the name `conntrack`: the command line of
//! conntrack(8).

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use ctnetlink::Namespace;
use engine::{Failure, Way};

use crate::cli::Global;
use crate::exit::Outcome;

/// Flags of `tracklight conntrack`.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true, disable_version_flag = true)]
pub(crate) struct Args {
    /// What conntrack(8) would be given: `tracklight conntrack -h` says it
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "ARGUMENT"
    )]
    words: Vec<OsString>,
}

/// Whether the program was started as `conntrack`.
pub(crate) fn is_called_so() -> bool {
    std::env::args_os().next().is_some_and(|name| {
        Path::new(&name)
            .file_name()
            .is_some_and(|name| name == "conntrack")
    })
}

/// The whole command line is conntrack(8)'s.
pub(crate) fn run_as_called() -> ExitCode {
    ExitCode::from(compat::run(std::env::args_os(), None, Way::Auto))
}

/// `tracklight conntrack`.
pub(crate) fn run(args: &Args, global: &Global) -> Result<Outcome, Failure> {
    let namespace = global.netns.as_deref().map(Namespace::parse).transpose()?;
    let words = std::iter::once(OsString::from("conntrack")).chain(args.words.iter().cloned());
    let status = compat::run(words, namespace, global.way());
    Ok(Outcome::Status(ExitCode::from(status)))
}
