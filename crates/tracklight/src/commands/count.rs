//! `tracklight count`.

use engine::{Failure, Source, Way, actions};

use super::list::note_source;
use crate::cli::Global;
use crate::exit::{INCOMPLETE, Outcome, note};
use crate::flags::{FilterArgs, SourceArgs};
use crate::output::print_line;
use crate::progress::Progress;
use crate::untracked::note_untracked;

/// Flags of `tracklight count`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    source: SourceArgs,
}

/// `tracklight count`.
///
/// Without a filter the kernel's own counter answers at once; it includes entries that have
/// expired and were not collected yet.
pub(crate) fn run(args: &Args, global: &Global) -> Result<Outcome, Failure> {
    let source = args.source.open(global)?;
    let query = args.filter.query_in(&source, global)?;
    let known = match &source {
        // Who asks for BPF wants the table read.
        Source::Kernel(kernel) if query.is_any() && global.way() != Way::Bpf => {
            actions::usage(kernel.client())?.entries
        }
        _ => None,
    };
    let (count, is_whole) = match known {
        Some(entries) => (u64::from(entries), true),
        None => {
            let mut progress = Progress::new("reading", None);
            let counted = actions::count(&source, &query, |read| progress.at(read))?;
            drop(progress);
            note_source(&source, global);
            (counted.selected, counted.outcome.complete)
        }
    };
    print_line(&count.to_string())?;
    if !is_whole {
        note(INCOMPLETE);
        return Ok(Outcome::Nothing);
    }
    if count == 0
        && query.is_any()
        && let Source::Kernel(kernel) = &source
    {
        note_untracked(kernel.client());
    }
    Ok(if count == 0 {
        Outcome::Nothing
    } else {
        Outcome::Done
    })
}
