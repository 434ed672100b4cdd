//! From the kernel's table into a file.

use std::io::{self, BufWriter, Write};

use ctnetlink::{Client, Entry, Table};

use super::file::unwritable;
use super::{Format, Header, TableWriter, Target, line};
use crate::actions::{self, ATTEMPTS, Flow, Listed};
use crate::failure::Failure;
use crate::select::Selection;

/// What was saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Entries in the file.
    pub entries: u64,
    /// Whether the table stood still enough; if not, entries may be missing or twice.
    pub complete: bool,
}

/// Saves the selected entries as they come from the kernel; no more than a block of them is in
/// memory.
///
/// Into a file, a dump that was interrupted is begun anew; into a stream it cannot be. `progress`
/// is told how many have been saved and says whether to go on: if not, nothing is left behind.
pub fn save(
    client: &Client,
    selection: &Selection,
    header: &Header,
    format: Format,
    mut target: Target,
    mut progress: impl FnMut(u64) -> Flow,
) -> Result<Kept, Failure> {
    let mut attempt = 1;
    let listed = loop {
        let listed = once(
            client,
            selection,
            header,
            format,
            &mut target,
            &mut progress,
        )?;
        let can_be_better = !listed.outcome.complete && attempt < ATTEMPTS;
        let begun = |error: io::Error| unwritable("what was begun", &error);
        if !can_be_better || !target.begin_anew().map_err(begun)? {
            break listed;
        }
        attempt += 1;
    };
    target.commit()?;
    Ok(Kept {
        entries: listed.selected,
        complete: listed.outcome.complete,
    })
}

fn once(
    client: &Client,
    selection: &Selection,
    header: &Header,
    format: Format,
    target: &mut Target,
    progress: &mut impl FnMut(u64) -> Flow,
) -> Result<Listed, Failure> {
    let name = target.name().to_owned();
    let failed = |error: io::Error| unwritable(&name, &error);
    let buffered = BufWriter::with_capacity(1 << 17, target);
    let mut sink = Sink::new(format, buffered, header).map_err(failed)?;
    let mut saved = 0;
    let mut stopped = false;
    let listed = actions::list(client, Table::Conntrack, selection, |entry| {
        sink.push(entry).map_err(failed)?;
        saved += 1;
        let flow = progress(saved);
        stopped = flow.is_break();
        Ok(flow)
    })?;
    if stopped {
        return Err(Failure::new(
            "interrupted",
            "interrupted: nothing was saved",
            "",
        ));
    }
    sink.finish(listed.outcome.complete).map_err(failed)?;
    Ok(listed)
}

enum Sink<W: Write> {
    Table(Box<TableWriter<W>>),
    Lines { out: W, line: Vec<u8> },
}

impl<W: Write> Sink<W> {
    fn new(format: Format, out: W, header: &Header) -> io::Result<Self> {
        Ok(match format {
            Format::Table => Self::Table(Box::new(TableWriter::new(out, header)?)),
            Format::Conntrack => Self::Lines {
                out,
                line: Vec::new(),
            },
        })
    }

    fn push(&mut self, entry: &Entry) -> io::Result<()> {
        match self {
            Self::Table(writer) => writer.push(entry),
            Self::Lines { out, line } => {
                line.clear();
                line::write(line, entry);
                line.push(b'\n');
                out.write_all(line)
            }
        }
    }

    fn finish(self, complete: bool) -> io::Result<()> {
        match self {
            Self::Table(writer) => writer.finish(Some(complete)).map(|_| ()),
            Self::Lines { mut out, .. } => out.flush(),
        }
    }
}
