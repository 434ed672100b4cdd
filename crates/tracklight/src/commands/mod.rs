//! One file a subcommand: flags in, action, output out.

pub(crate) mod api;
pub(crate) mod audit;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod conntrack;
pub(crate) mod count;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod expect;
pub(crate) mod flush;
pub(crate) mod get;
pub(crate) mod group;
pub(crate) mod helper;
pub(crate) mod history;
pub(crate) mod list;
pub(crate) mod man;
pub(crate) mod protocols;
pub(crate) mod query;
pub(crate) mod restore;
pub(crate) mod save;
pub(crate) mod serve;
pub(crate) mod stats;
pub(crate) mod timeout;
pub(crate) mod token;
pub(crate) mod top;
pub(crate) mod update;
pub(crate) mod watch;

use engine::Failure;

use crate::cli::{Cli, Command};
use crate::exit::Outcome;

/// Runs the subcommand.
pub(crate) fn run(cli: &Cli) -> Result<Outcome, Failure> {
    let global = &cli.global;
    match &cli.command {
        Command::List(args) => list::run(args, global),
        Command::Get(args) => get::run(args, global),
        Command::Create(args) => create::run(args, global),
        Command::Update(args) => update::run(args, global),
        Command::Delete(args) => delete::run(args, global),
        Command::Flush(args) => flush::run(args, global),
        Command::Save(args) => save::run(args, global),
        Command::Restore(args) => restore::run(args, global),
        Command::Watch(args) => watch::run(args, global),
        Command::Count(args) => count::run(args, global),
        Command::Group(args) => group::run(args, global),
        Command::Doctor(args) => doctor::run(args, global),
        Command::Stats(args) => stats::run(args, global),
        Command::History(args) => history::run(args, global),
        Command::Query(args) => query::run(args, global),
        Command::Protocols(args) => protocols::run(args),
        Command::Expect(args) => expect::run(args, global),
        Command::Serve(args) => serve::run(args, global),
        Command::Top(args) => top::run(args, global),
        Command::Token(args) => token::run(args, global),
        Command::Demo(args) => demo::run(args, global),
        Command::Config(args) => config::run(args, global),
        Command::Audit(args) => audit::run(args, global),
        Command::Api(args) => Ok(Outcome::Status(api::run(args, global))),
        Command::Timeout(args) => timeout::run(args, global),
        Command::Helper(args) => helper::run(args, global),
        Command::Conntrack(args) => conntrack::run(args, global),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args),
    }
}
