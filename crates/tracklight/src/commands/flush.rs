//! `tracklight flush`.

use ctnetlink::ErrorKind;
use engine::Failure;
use engine::actions;

use super::delete::finish;
use crate::cli::Global;
use crate::exit::{Outcome, note};
use crate::flags::{FilterArgs, open};

/// Flags of `tracklight flush`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    filter: FilterArgs,
}

/// `tracklight flush`.
///
/// The kernel does it in one request and does not count. What it cannot select by, or has not
/// been shown to, is deleted one by one instead.
pub(crate) fn run(args: &Args, global: &Global) -> Result<Outcome, Failure> {
    let client = open(global)?;
    let selection = args.filter.selection();
    if selection.is_exact_in_kernel() {
        match client.flush(&selection.kernel_filter()) {
            Ok(()) => {
                println!("flushed");
                return Ok(Outcome::Done);
            }
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                if global.verbose {
                    note(&format!("{error}; deleting one by one"));
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    let keys = actions::keys(&client, &selection)?;
    finish(&actions::delete(&client, &keys, |_| {})?, "deleted")
}
