//! `tracklight delete`.

use engine::actions::{self, Changed};
use engine::{Column, Failure, Selection};

use super::list::{Format, Printer};
use crate::cli::Global;
use crate::exit::{self, Outcome, note};
use crate::flags::{FilterArgs, open, usage};
use crate::progress::Progress;

/// Flags of `tracklight delete`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    filter: FilterArgs,
    /// Delete all entries of the table
    #[arg(long)]
    all: bool,
    /// List what would be deleted, and delete nothing
    #[arg(short = 'N', long)]
    dry_run: bool,
    /// Output of --dry-run: table, json, ndjson, csv or conntrack
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        default_value = "table",
        requires = "dry_run"
    )]
    output: Format,
}

/// `tracklight delete`.
pub(crate) fn run(args: &Args, global: &Global) -> Result<Outcome, Failure> {
    let selection = args.filter.selection();
    require_filter(&selection, args.all, "delete")?;
    let client = open(global)?;
    if args.dry_run {
        let columns = if args.output == Format::Csv {
            Column::CSV
        } else {
            Column::TABLE
        };
        let mut printer = Printer::with(args.output, columns.to_vec(), global)?;
        actions::list(&client, ctnetlink::Table::Conntrack, &selection, |entry| {
            printer.print(entry)?;
            Ok(std::ops::ControlFlow::Continue(()))
        })?;
        let count = printer.finish()?;
        note(&format!("would delete {count}; nothing was deleted"));
        return Ok(if count == 0 {
            Outcome::Nothing
        } else {
            Outcome::Done
        });
    }
    let keys = actions::keys(&client, &selection)?;
    let mut progress = Progress::new("deleting", Some(keys.len() as u64));
    let changed = actions::delete(&client, &keys, |done| progress.at(done))?;
    drop(progress);
    finish(&changed, "deleted")
}

/// Refuses a change of everything that was not asked for in so many words.
pub(crate) fn require_filter(
    selection: &Selection,
    all: bool,
    verb: &'static str,
) -> Result<(), Failure> {
    match (selection.is_any(), all) {
        (true, false) => Err(Failure::new(
            "refused",
            format!("{verb} what? No filter was given"),
            "say which entries (--src, --proto, …), or --all",
        )),
        (false, true) => Err(usage(
            "--all contradicts the filter",
            "leave out one of the two",
        )),
        _ => Ok(()),
    }
}

/// Prints exact counts; not everything done is not success.
pub(crate) fn finish(changed: &Changed, verb: &str) -> Result<Outcome, Failure> {
    let mut text = format!("{} {verb}", changed.done);
    if changed.gone > 0 {
        text += &format!(", {} had gone already", changed.gone);
    }
    if changed.refused > 0 {
        text += &format!(", {} refused by the kernel", changed.refused);
    }
    println!("{text}");
    if let Some(failure) = &changed.first_refusal {
        exit::print(failure);
    }
    Ok(if changed.done == 0 || changed.refused > 0 {
        Outcome::Nothing
    } else {
        Outcome::Done
    })
}
