//! Tracklight: every connection of a Linux firewall, from the command line.

mod cli;
mod commands;
mod exit;
mod flags;
mod grid;
mod listing;
mod output;
mod progress;
mod shell;
mod table;
mod transport;
mod untracked;
mod values;
mod word;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    if let Some(call) = commands::api::called_as() {
        return commands::api::run_call(call);
    }
    if commands::conntrack::is_called_so() {
        return commands::conntrack::run_as_called();
    }
    match cli::Cli::try_parse() {
        Ok(cli) => exit::report(commands::run(&cli)),
        Err(error) => exit::report_usage(&error),
    }
}
