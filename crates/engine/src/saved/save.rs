//! From the kernel's table into a file.

use std::io::{self, BufWriter, Write};

use ctnetlink::{Entry, Table};
use query::Query;

use super::file::unwritable;
use super::{Format, Header, TableWriter, Target, line};
use crate::actions::{self, Flow, Listed};
use crate::failure::Failure;
use crate::source::{ATTEMPTS, Source};

/// Saves the selected entries as they come; no more than a block of them is in memory. `keep` is
/// told each of them and how many have been saved, and says whether this one is; if it fails,
/// nothing is left behind.
///
/// Into a file, a dump that was interrupted is begun anew; into a stream it cannot be.
pub fn save(
    source: &Source,
    query: &Query,
    header: &Header,
    format: Format,
    mut target: Target,
    mut keep: impl FnMut(&Entry, u64) -> Result<bool, Failure>,
) -> Result<Listed, Failure> {
    let mut attempt = 1;
    let listed = loop {
        let listed = once(source, query, header, format, &mut target, &mut keep)?;
        let can_be_better = !listed.outcome.complete && attempt < ATTEMPTS;
        let begun = |error: io::Error| unwritable("what was begun", &error);
        if !can_be_better || !target.begin_anew().map_err(begun)? {
            break listed;
        }
        attempt += 1;
    };
    target.commit()?;
    Ok(listed)
}

fn once(
    source: &Source,
    query: &Query,
    header: &Header,
    format: Format,
    target: &mut Target,
    keep: &mut impl FnMut(&Entry, u64) -> Result<bool, Failure>,
) -> Result<Listed, Failure> {
    let name = target.name().to_owned();
    let failed = |error: io::Error| unwritable(&name, &error);
    let buffered = BufWriter::with_capacity(1 << 17, target);
    let mut sink = Sink::new(format, buffered, header).map_err(failed)?;
    let mut saved = 0;
    let listed = actions::list(source, Table::Conntrack, query, |entry| {
        if keep(entry, saved)? {
            sink.push(entry).map_err(failed)?;
            saved += 1;
        }
        Ok(Flow::Continue(()))
    })?;
    sink.finish(listed.outcome.complete).map_err(failed)?;
    Ok(Listed {
        selected: saved,
        ..listed
    })
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
