//! `tracklight restore`.

use std::path::PathBuf;

use engine::Failure;
use engine::restore::{self, Checked, Restored};
use engine::saved::Rereadable;

use super::save::{flow, on_signal};
use crate::cli::Global;
use crate::exit::{self, Outcome, note};
use crate::flags::{FilterFlags, open};
use crate::output::print_line;
use crate::progress::Progress;

const WHAT_COMES_BACK: &str = "\
The whole file is read before anything is done. What comes back is everything but id, counters,
begin and references, which are the kernel's own. An entry lives as long as it had left when it was
saved. Connections that another one expected come after it.";

/// Flags of `tracklight restore`.
#[derive(Debug, clap::Args)]
#[command(after_help = WHAT_COMES_BACK)]
pub(crate) struct Args {
    /// File of tracklight save, or of conntrack -L -o save; - is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Delete what is in the way of an entry; without it, what is there stays
    #[arg(long)]
    replace: bool,
    /// Take the good entries of a file that is damaged or cut off
    #[arg(long)]
    damaged: bool,
    /// Say what would be done, and do nothing
    #[arg(short = 'N', long)]
    dry_run: bool,
    /// Which of its entries, in the query language; all without one
    #[arg(value_name = "QUERY")]
    query: Vec<String>,
    #[command(flatten)]
    flags: FilterFlags,
}

/// `tracklight restore`.
pub(crate) fn run(args: &Args, global: &Global) -> Result<Outcome, Failure> {
    let file = Rereadable::open(&args.file)?;
    let header = file.read()?.header().clone();
    let query = args.flags.query_in(&args.query, Some(&header), global)?;
    let client = open(global)?;
    let mut progress = Progress::new("checking", None);
    let checked = restore::check(&file, &query, |read| progress.at(read))?;
    drop(progress);
    look(&checked, args.damaged)?;
    let mut progress = Progress::new("restoring", Some(checked.selected));
    if args.dry_run {
        let preview = restore::preview(&client, &file, &checked, &query, |done| {
            progress.at(done);
        })?;
        drop(progress);
        let others = [
            (preview.there, "already there"),
            (preview.in_the_way, "with another in the way"),
        ];
        print_line(&counts(
            format!("{} would be created", preview.absent),
            &others,
        ))?;
        note("nothing was changed");
        return Ok(outcome(
            preview.absent + preview.in_the_way + preview.there > 0,
        ));
    }
    let stopped = on_signal()?;
    let restored = restore::restore(&client, &file, &checked, &query, args.replace, |done| {
        progress.at_batch(done);
        flow(&stopped)
    });
    drop(progress);
    finish(&restored, checked.damage.is_none())
}

/// Refuses a file that is not whole, unless what is good of it was asked for.
fn look(checked: &Checked, take_good: bool) -> Result<(), Failure> {
    if let Some(damage) = &checked.damage {
        if !take_good {
            let mut damage = damage.clone();
            damage.message += "; nothing was restored";
            return Err(damage);
        }
        exit::print(damage);
    }
    if checked.complete == Some(false) {
        note("the table changed while it was saved: entries may be missing in the file");
    }
    Ok(())
}

/// Prints exact counts; not everything there is not success.
fn finish(restored: &Restored, is_whole: bool) -> Result<Outcome, Failure> {
    let not_tried = restored.selected - restored.tried().min(restored.selected);
    let others = [
        (restored.replaced, "of them in the place of others"),
        (restored.there, "already there"),
        (restored.refused, "refused by the kernel"),
        (restored.unknown, "of which the kernel's answer was lost"),
        (not_tried, "not tried"),
    ];
    print_line(&counts(format!("{} created", restored.created), &others))?;
    if let Some(failure) = &restored.first {
        exit::print(failure);
    }
    let lacking = [
        (
            restored.without_labels,
            "labels, which a namespace has only while one of its rules sets them",
        ),
        (
            restored.without_helper,
            "their helper, which is not loaded: modprobe nf_conntrack_NAME",
        ),
        (
            restored.without_master,
            "the connection that expected them, which is not there",
        ),
    ];
    for (count, what) in lacking.into_iter().filter(|(count, _)| *count > 0) {
        note(&format!("{count} created without {what}"));
    }
    match &restored.ended_by {
        Some(failure) => Err(failure.clone()),
        None => Ok(outcome(
            is_whole && restored.is_whole() && restored.selected > 0,
        )),
    }
}

fn counts(mut text: String, others: &[(u64, &str)]) -> String {
    for (count, what) in others.iter().filter(|(count, _)| *count > 0) {
        text += &format!(", {count} {what}");
    }
    text
}

const fn outcome(is_done: bool) -> Outcome {
    if is_done {
        Outcome::Done
    } else {
        Outcome::Nothing
    }
}
