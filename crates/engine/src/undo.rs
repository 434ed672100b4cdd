//! Deleting so that it can be undone: what is deleted is in a file first.

use std::collections::HashSet;
use std::path::Path;

use ctnetlink::Key;

use crate::Query;
use crate::actions::Named;
use crate::failure::Failure;
use crate::saved::{self, Format, Header, Rereadable, TableWriter, Target};
use crate::session::Session;
use crate::source::Source;

/// Saves the selected entries to a file of their own, which must not be there yet, and names exactly
/// those that are in it. `look` is told of the remote session that we run in, if it is one of them,
/// and how many have been saved; when it refuses, no file is left. None is left either where
/// nothing is selected.
pub fn save(
    source: &Source,
    query: &Query,
    header: &Header,
    path: &Path,
    mut look: impl FnMut(Option<Session>, u64) -> Result<(), Failure>,
) -> Result<Named, Failure> {
    // Whatever is there, a pipe or a device as well, is not the place for the only way back.
    if path.as_os_str() == "-" || path.symlink_metadata().is_ok() {
        return Err(Failure::new(
            "file-exists",
            format!(
                "{} cannot be the undo file: it is there already, or is none",
                path.display()
            ),
            "name a file that is not there yet",
        ));
    }
    let target = Target::open(path, false)?;
    let session = Session::own();
    let mut keys = Vec::new();
    let listed = saved::save(
        source,
        query,
        header,
        Format::Table,
        target,
        |entry, saved| {
            // An interrupted dump begins anew.
            if saved == 0 {
                keys.clear();
            }
            keys.push(entry.key());
            let own = session.filter(|session| session.is(entry));
            look(own, saved).map(|()| true)
        },
    )?;
    if listed.selected == 0 {
        keys.clear();
        // It holds nothing, and would only be in the way of the next attempt.
        let _ = std::fs::remove_file(path);
    }
    Ok(Named::new(keys, listed.outcome))
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

/// The same of a table that is in memory.
pub fn without(saved: &[u8], left: &[Key]) -> Result<Rereadable, Failure> {
    const NAME: &str = "what was deleted";
    let all = Rereadable::in_memory(saved, NAME);
    if left.is_empty() {
        return Ok(all);
    }
    let left: HashSet<&Key> = left.iter().collect();
    let mut all = all.read()?;
    let unwritable = |error| Failure::new("internal", format!("{NAME}: {error}"), "report it");
    let mut rest = TableWriter::new(Vec::new(), all.header()).map_err(unwritable)?;
    while let Some(entry) = all.next_entry()? {
        if !left.contains(&entry.key()) {
            rest.push(entry).map_err(unwritable)?;
        }
    }
    let complete = all.end().and_then(|end| end.complete);
    let rest = rest.finish(complete).map_err(unwritable)?;
    Ok(Rereadable::in_memory(&rest, NAME))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctnetlink::{Entry, Protocol, Tuple};

    #[test]
    fn what_was_not_deleted_is_left_out_and_the_rest_stays() {
        let entry = |port| {
            let host = std::net::IpAddr::from([192, 0, 2, 1]);
            let orig = Tuple::ports(Protocol::UDP, host, port, host, 53);
            Entry {
                id: Some(port.into()),
                ..Entry::new(orig, orig.mirror())
            }
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("undo");
        let header = Header {
            filter: Some("udp".to_owned()),
            ..Header::default()
        };
        let mut writer = saved::TableWriter::new(Vec::new(), &header).unwrap();
        for port in 1..=3 {
            writer.push(&entry(port)).unwrap();
        }
        std::fs::write(&path, writer.finish(Some(true)).unwrap()).unwrap();

        leave_out(&path, &[entry(2).key()]).unwrap();
        let mut file = saved::Saved::open(&path).unwrap();
        assert_eq!(file.header(), &header);
        let mut ports = Vec::new();
        while let Some(entry) = file.next_entry().unwrap() {
            ports.push(entry.orig.src_port());
        }
        assert_eq!(ports, [Some(1), Some(3)]);
    }
}
