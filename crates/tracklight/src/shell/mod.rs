//! What the TAB key of a shell offers: queries, and the values of flags.
//!
//! The scripts of `tracklight completions` ask `tracklight query complete --shell` for them and
//! know flags and subcommands themselves. Where a query stands, the definition of the command
//! line says.

mod line;
mod offer;
mod place;
mod reply;

pub(crate) use offer::has_names;

use clap::{CommandFactory, ValueEnum};
use engine::Failure;

use crate::cli::{Cli, Global};
use crate::flags::{usage, vocabulary};

/// A shell whose TAB key knows queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    /// bash
    Bash,
    /// zsh
    Zsh,
    /// fish
    Fish,
}

/// The lines that a shell's script reads for a command line up to the cursor: one a candidate,
/// none if nothing can follow. It is an error if neither a query nor a flag's value with a name
/// can stand there.
///
/// `breaks` are the characters at which bash cuts words.
pub(crate) fn complete(
    shell: Shell,
    line: &str,
    breaks: &str,
    global: &Global,
) -> Result<Vec<String>, Failure> {
    let line = line::Line::read(line, shell, breaks);
    let mut root = Cli::command();
    root.build();
    let neither = || {
        usage(
            "neither a query nor a value with a name can stand at the end of this line",
            "such a line is: tracklight list state ==",
        )
    };
    let found = place::find(&root, &line.before, &line.last.text).ok_or_else(neither)?;
    let mut global = global.clone();
    if let Some(config) = found.config {
        global.config = Some(config.into());
    }
    // A mistake in the configuration is told when the command runs.
    let vocabulary = vocabulary(&global).unwrap_or_default();
    let offers = match found.place {
        place::Place::Query(words) => offer::query(&words, &line.last, &vocabulary),
        place::Place::Value { arg, from } => {
            offer::value(arg, from, &line.last, &vocabulary).ok_or_else(neither)?
        }
    };
    Ok(reply::lines(shell, &line, &offers))
}
