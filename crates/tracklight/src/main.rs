//! Tracklight: every connection of a Linux firewall, from the command line.

mod commands;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Shows, searches and steers every connection passing this machine's firewall.
#[derive(Debug, Parser)]
#[command(name = "tracklight", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The connections contract: one JSON object in, one out.
    Api(commands::api::Args),
}

fn main() -> ExitCode {
    if let Some(call) = commands::api::called_as() {
        return commands::api::run_call(call);
    }
    match Cli::parse().command {
        Command::Api(args) => commands::api::run(&args),
    }
}
