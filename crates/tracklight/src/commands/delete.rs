//! `tracklight delete`.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use ctnetlink::{Client, Table};
use engine::actions::{self, Changed, Flow, Named};
use engine::session::Session;
use engine::{Failure, Query, Source, undo};

use super::list::{Format, Printer, note_source};
use super::save;
use crate::cli::Global;
use crate::exit::{self, INCOMPLETE, Outcome, note};
use crate::flags::{FilterArgs, table, usage};
use crate::output::print_line;
use crate::progress::Progress;

/// What deleting an entry does not do.
pub(crate) const NOT_CLOSED: &str = "\
Deleting an entry does not close the connection. With nf_conntrack_tcp_loose=1, the usual setting,
the next packet of an established TCP connection makes a new entry, unless a rule stops it.";

/// Flags of `tracklight delete`.
#[derive(Debug, clap::Args)]
#[command(after_help = NOT_CLOSED)]
pub(crate) struct Args {
    #[command(flatten)]
    filter: FilterArgs,
    /// Delete all entries of the table
    #[arg(long)]
    all: bool,
    /// Delete also the remote session that this runs in
    #[arg(long)]
    force: bool,
    /// Save what is deleted to this file; tracklight restore puts it back
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    undo_file: Option<PathBuf>,
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
    let query = args.filter.query(global)?;
    require_filter(&query, args.all, "delete")?;
    let source = table(global)?;
    if args.dry_run {
        return dry_run(
            &source,
            &query,
            Printer::usual(args.output, engine::now(), global)?,
        );
    }
    let Some(path) = &args.undo_file else {
        return delete(&source, &query, args.force, global);
    };
    let named = save_to_undo(&source, &query, path, args.force, global)?;
    let changed = delete_named(source.client()?, &named);
    let outcome = finish(&changed, "deleted");
    undo::leave_out(path, &changed.left).map_err(|mut failure| {
        failure.message += "; the undo file holds also entries that were not deleted";
        failure
    })?;
    outcome
}

/// Reads which they are, deletes exactly those, says how many.
pub(crate) fn delete(
    source: &Source,
    query: &Query,
    force: bool,
    global: &Global,
) -> Result<Outcome, Failure> {
    let mut progress = Progress::new("reading", None);
    let named = actions::keys(source, query, |read| progress.at(read))?;
    drop(progress);
    note_source(source, global);
    look(named.own_session, force)?;
    finish(&delete_named(source.client()?, &named), "deleted")
}

fn delete_named(client: &Client, named: &Named) -> Changed {
    let mut progress = Progress::new("deleting", Some(named.keys.len() as u64));
    actions::delete(client, named, |done| progress.at(done))
}

/// Saves the selected entries, and names exactly those. The file is whole before the first of them
/// is deleted.
fn save_to_undo(
    source: &Source,
    query: &Query,
    path: &Path,
    force: bool,
    global: &Global,
) -> Result<Named, Failure> {
    let header = save::header(source, query, global)?;
    let stopped = save::on_signal()?;
    let mut progress = Progress::new("saving", None);
    let named = undo::save(source, query, &header, path, |own, saved| {
        progress.at(saved);
        if stopped.load(Ordering::Relaxed) {
            return Err(Failure::new(
                "interrupted",
                "interrupted: nothing was deleted",
                "",
            ));
        }
        look(own, force)
    })?;
    drop(progress);
    Ok(named)
}

/// Refuses to cut the session that this runs in, unless that was asked for.
pub(crate) fn look(own_session: Option<Session>, force: bool) -> Result<(), Failure> {
    let Some(session) = own_session else {
        return Ok(());
    };
    if force {
        note(&format!(
            "this deletes the session that you are in: {session}"
        ));
        return Ok(());
    }
    Err(Failure::new(
        "own-session",
        format!("this would delete the session that you are in: {session}; nothing was deleted"),
        format!(
            "leave it out: … and not ({}); or say --force",
            session.query()
        ),
    ))
}

/// Lists what would be deleted.
fn dry_run(source: &Source, query: &Query, mut printer: Printer) -> Result<Outcome, Failure> {
    let session = Session::own();
    let mut own = None;
    let listed = actions::list(source, Table::Conntrack, query, |entry| {
        own = own.or(session.filter(|session| session.is(entry)));
        printer.print(entry)?;
        Ok(Flow::Continue(()))
    })?;
    let count = printer.finish()?;
    note(&format!("would delete {count}; nothing was deleted"));
    if let Some(session) = own {
        note(&format!(
            "the session that you are in is among them: {session}"
        ));
    }
    if !listed.outcome.complete {
        note(INCOMPLETE);
    }
    Ok(if count == 0 || !listed.outcome.complete {
        Outcome::Nothing
    } else {
        Outcome::Done
    })
}

/// Refuses a change of everything that was not asked for in so many words.
pub(crate) fn require_filter(query: &Query, all: bool, verb: &'static str) -> Result<(), Failure> {
    match (query.is_any(), all) {
        (true, false) => Err(Failure::new(
            "refused",
            format!("{verb} what? No filter was given"),
            "say which entries, by a query or by flags (--src, --proto, …), or --all",
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
    let mut text = format!("{} matched: {} {verb}", changed.selected, changed.done);
    let others = [
        (changed.gone, "had gone already"),
        (changed.refused, "refused by the kernel"),
        (changed.unknown, "of which the kernel's answer was lost"),
        (
            changed.selected - changed.tried().min(changed.selected),
            "not tried",
        ),
    ];
    for (count, what) in others.into_iter().filter(|(count, _)| *count > 0) {
        text += &format!(", {count} {what}");
    }
    print_line(&text)?;
    if let Some(failure) = &changed.first {
        exit::print(failure);
    }
    if !changed.read_whole {
        note(INCOMPLETE);
    }
    match &changed.ended_by {
        Some(failure) => Err(failure.clone()),
        None if changed.done == 0 || !changed.is_whole() => Ok(Outcome::Nothing),
        None => Ok(Outcome::Done),
    }
}
