//! `tracklight flush`.

use ctnetlink::ErrorKind;
use engine::Failure;
use engine::actions;

use super::delete::{NOT_CLOSED, delete};
use crate::cli::Global;
use crate::exit::{Outcome, note};
use crate::flags::{FilterArgs, open};
use crate::output::print_line;

/// Flags of `tracklight flush`.
#[derive(Debug, clap::Args)]
#[command(after_help = NOT_CLOSED)]
pub(crate) struct Args {
    #[command(flatten)]
    filter: FilterArgs,
}

/// `tracklight flush`: as conntrack(8)'s, without a filter it empties the table.
///
/// The kernel does it in one request and does not count; how many there were before and after is
/// told. What it cannot select by, or has not been shown to, is deleted one by one instead.
pub(crate) fn run(args: &Args, global: &Global) -> Result<Outcome, Failure> {
    let query = args.filter.query(global)?;
    let client = open(global)?;
    if let [filter] = query.filters()
        && query.is_exact_in_kernel()
    {
        let before = actions::usage(&client)?.entries;
        match client.flush(filter) {
            Ok(()) => {
                let counts = before.zip(actions::usage(&client)?.entries);
                print_line(&counts.map_or("flushed".to_owned(), |(before, left)| {
                    format!("flushed: {before} entries before, {left} left")
                }))?;
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
    delete(&client, &query)
}
