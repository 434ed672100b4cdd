//! `tracklight flush`.

use ctnetlink::{Client, ErrorKind};
use engine::session::Session;
use engine::{Failure, Query, actions};

use super::delete::{NOT_CLOSED, delete, look};
use crate::cli::Global;
use crate::exit::{Outcome, note};
use crate::flags::{FilterArgs, table};
use crate::output::print_line;

/// Flags of `tracklight flush`.
#[derive(Debug, clap::Args)]
#[command(after_help = NOT_CLOSED)]
pub(crate) struct Args {
    #[command(flatten)]
    filter: FilterArgs,
    /// Delete also the remote session that this runs in
    #[arg(long)]
    force: bool,
}

/// `tracklight flush`: as conntrack(8)'s, without a filter it empties the table.
///
/// The kernel does it in one request and does not count; how many there were before and after is
/// told. What it cannot select by, or has not been shown to, is deleted one by one instead.
pub(crate) fn run(args: &Args, global: &Global) -> Result<Outcome, Failure> {
    let query = args.filter.query(global)?;
    let source = table(global)?;
    let client = source.client()?;
    if let [filter] = query.filters()
        && query.is_exact_in_kernel()
    {
        look(own_session(client, &query)?, args.force)?;
        let before = actions::usage(client)?.entries;
        match client.flush(filter) {
            Ok(()) => {
                let counts = before.zip(actions::usage(client)?.entries);
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
    delete(&source, &query, args.force, global)
}

/// The remote session that this runs in, if it is selected: the kernel does not say what it is about
/// to delete, so it is asked before.
fn own_session(client: &Client, query: &Query) -> Result<Option<Session>, Failure> {
    let Some(session) = Session::own() else {
        return Ok(None);
    };
    let mut found = None;
    for entry in client.dump(&session.filters().into())? {
        let entry = entry?;
        if session.is(&entry) && query.matches(&entry, engine::now()) {
            found = Some(session);
        }
    }
    Ok(found)
}
