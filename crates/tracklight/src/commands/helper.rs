//! `tracklight helper`: helpers that programs in user space have registered.

use ctnetlink::{ErrorKind, UserHelper};
use engine::Failure;
use engine::render::json::write_user_helper;

use crate::cli::Global;
use crate::exit::Outcome;
use crate::flags::open;
use crate::listing::{self, OutputArgs};
use crate::values::family_word;
use crate::word::quoted;

/// Flags of `tracklight helper`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List them: name, family, protocol, queue, and whether they are at work
    List(OutputArgs),
}

/// `tracklight helper`.
pub(crate) fn run(args: &Args, global: &Global) -> Result<Outcome, Failure> {
    let Action::List(output) = &args.action;
    let helpers = open(global)?.user_helpers().map_err(|error| {
        without_module(
            error,
            "this kernel has no helpers in user space",
            "they come with its module nfnetlink_cthelper (CONFIG_NF_CT_NETLINK_HELPER)",
        )
    })?;
    listing::print(
        &helpers,
        output.format,
        line,
        write_user_helper,
        "no helpers in user space",
    )
}

fn line(helper: &UserHelper) -> String {
    let mut line = format!("{} {}", quoted(&helper.name), family_word(helper.family));
    if let Some(protocol) = helper.protocol {
        line += &format!(" {protocol}");
    }
    if let Some(queue) = helper.queue {
        line += &format!(" queue={queue}");
    }
    line += match helper.status {
        Some(0) => " disabled",
        Some(_) => " enabled",
        None => "",
    };
    line
}

/// A failure in words that help. The kernel calls a question to a module that is not there invalid.
pub(super) fn without_module(error: ctnetlink::Error, message: &str, hint: &str) -> Failure {
    match error.kind() {
        ErrorKind::Unsupported | ErrorKind::Invalid => Failure::new("unsupported", message, hint),
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_helper_is_one_line_of_words_whatever_its_name_is() {
        let helper = UserHelper {
            name: "a b\u{1b}[2J".into(),
            family: 10,
            protocol: Some(ctnetlink::Protocol::UDP),
            queue: Some(3),
            status: Some(1),
        };
        assert_eq!(line(&helper), r"$'a b\033[2J' inet6 udp queue=3 enabled");
        let bare = UserHelper {
            name: "ftp".into(),
            family: 7,
            ..UserHelper::default()
        };
        assert_eq!(line(&bare), "ftp 7");
    }
}
