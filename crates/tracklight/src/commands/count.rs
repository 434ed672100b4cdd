//! `tracklight count`.

use engine::Failure;
use engine::actions;

use crate::cli::Global;
use crate::exit::{Outcome, note};
use crate::flags::{FilterArgs, open};

/// Flags of `tracklight count`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    filter: FilterArgs,
}

/// `tracklight count`.
///
/// Without a filter the kernel's own counter answers at once; it includes entries that have
/// expired and were not collected yet.
pub(crate) fn run(args: &Args, global: &Global) -> Result<Outcome, Failure> {
    let client = open(global)?;
    let selection = args.filter.selection();
    let count = match actions::usage(&client)?.entries {
        Some(entries) if selection.is_any() => u64::from(entries),
        _ => {
            let counted = actions::count(&client, &selection)?;
            if !counted.outcome.complete {
                note("the table kept changing its size while it was read: the count may be off");
            }
            counted.selected
        }
    };
    println!("{count}");
    Ok(if count == 0 {
        Outcome::Nothing
    } else {
        Outcome::Done
    })
}
