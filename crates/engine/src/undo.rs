//! Deleting so that it can be undone: what is deleted is in a file first.

use std::collections::HashSet;
use std::path::Path;

use ctnetlink::Key;

use crate::Query;
use crate::actions::Named;
use crate::failure::Failure;
use crate::saved::{self, Format, Header, Rereadable, Target};
use crate::session::Session;
use crate::source::Source;

/// Saves the selected entries to a file that is not there yet, and names exactly those that are in
/// it. `look` is told of the remote session that we run in, if it is one of them, and how many
/// have been saved; when it refuses, no file is left.
pub fn save(
    source: &Source,
    query: &Query,
    header: &Header,
    path: &Path,
    mut look: impl FnMut(Option<Session>, u64) -> Result<(), Failure>,
) -> Result<Named, Failure> {
    let target = Target::open(path, false)?;
    let session = Session::own();
    let saved = saved::save(
        source,
        query,
        header,
        Format::Table,
        target,
        |entry, saved| {
            let own = session.filter(|session| session.is(entry));
            look(own, saved).map(|()| true)
        },
    )?;
    let mut keys = Vec::new();
    let mut file = Rereadable::open(path)?.read()?;
    while let Some(entry) = file.next_entry()? {
        keys.push(entry.key());
    }
    Ok(Named::new(keys, saved.outcome))
}

/// Takes out of the file what was not deleted after all: to put back a connection that ended by
/// itself would be a mistake.
pub fn leave_out(path: &Path, left: &[Key]) -> Result<(), Failure> {
    if left.is_empty() {
        return Ok(());
    }
    let left: HashSet<&Key> = left.iter().collect();
    let source = Source::Saved(Rereadable::open(path)?);
    let header = source.header()?.unwrap_or_default();
    let target = Target::open(path, true)?;
    saved::save(
        &source,
        &Query::any(),
        &header,
        Format::Table,
        target,
        |entry, _| Ok(!left.contains(&entry.key())),
    )?;
    Ok(())
}
