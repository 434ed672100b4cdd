//! `tracklight helper`: helpers that programs in user space have registered.

use ctnetlink::ErrorKind;
use engine::Failure;

use crate::cli::Global;
use crate::exit::{Outcome, note};
use crate::flags::open;
use crate::output::Output;

/// Flags of `tracklight helper`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List them: name, family, protocol, queue, and whether they are at work
    List,
}

/// `tracklight helper`.
pub(crate) fn run(args: &Args, global: &Global) -> Result<Outcome, Failure> {
    let Action::List = args.action;
    let helpers = open(global)?.user_helpers().map_err(told)?;
    if helpers.is_empty() {
        note("no helpers in user space");
        return Ok(Outcome::Nothing);
    }
    let mut out = Output::stdout()?;
    for helper in &helpers {
        let family = if helper.family == 10 { "inet6" } else { "inet" };
        let mut line = format!("{} {family}", helper.name);
        if let Some(protocol) = helper.protocol {
            line += &format!(" {protocol}");
        }
        if let Some(queue) = helper.queue {
            line += &format!(" queue={queue}");
        }
        line += match helper.status {
            Some(0) => " disabled",
            _ => " enabled",
        };
        out.text(&line)?;
        out.text("\n")?;
    }
    out.flush()?;
    Ok(Outcome::Done)
}

/// A failure in words that help. The kernel calls a question to a module that is not there invalid.
fn told(error: ctnetlink::Error) -> Failure {
    let is_missing = matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::Invalid);
    let mut failure = Failure::from(error);
    if is_missing {
        failure.code = "unsupported";
        "this kernel has no helpers in user space".clone_into(&mut failure.message);
        "they come with its module nfnetlink_cthelper (CONFIG_NF_CT_NETLINK_HELPER)"
            .clone_into(&mut failure.hint);
    }
    failure
}
