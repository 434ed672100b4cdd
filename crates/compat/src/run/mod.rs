//! Does what a command line asks for.

mod change;
mod create;
mod events;
mod expect;
mod list;
mod load;

use ctnetlink::{Client, Namespace};
use engine::{Kernel, Source, Way};

pub(crate) use load::load;

use crate::exit::{Fault, NAME, say};
use crate::help;
use crate::options::{Flag, Table, Verb};
use crate::parse::Line;
use crate::show::Out;

/// The table of a namespace, opened when it is needed.
pub(crate) struct Session {
    namespace: Option<Namespace>,
    way: Way,
    source: Option<Source>,
}

impl Session {
    pub(crate) const fn new(namespace: Option<Namespace>, way: Way) -> Self {
        Self {
            namespace,
            way,
            source: None,
        }
    }

    fn source(&mut self) -> Result<&Source, Fault> {
        if self.source.is_none() {
            let kernel = Kernel::open(self.namespace.take(), self.way)?;
            self.source = Some(Source::Kernel(Box::new(kernel)));
        }
        match &self.source {
            Some(source) => Ok(source),
            None => Err(Fault::Failed("the table is not open".to_owned())),
        }
    }

    fn client(&mut self) -> Result<&Client, Fault> {
        Ok(self.source()?.client()?)
    }
}

/// Does it, and gives the exit status.
pub(crate) fn run(line: &Line, session: &mut Session) -> Result<u8, Fault> {
    match (line.verb, line.table) {
        (Verb::None | Verb::Help, _) => print(&help::text(line.template.l4)),
        (Verb::Version, _) => print(&format!("{NAME}\n")),
        (Verb::Count, Table::Expect) => expect::count(session),
        (Verb::Count, _) => count(session),
        (Verb::Stats, table) => stats(session, table),
        (Verb::Flush, Table::Expect) => expect::flush(session),
        (Verb::Flush, _) => change::flush(session, line),
        (Verb::List, Table::Expect) => expect::list(session, line),
        (Verb::Get, Table::Expect) => expect::get(session, line),
        (Verb::Create | Verb::Add, Table::Expect) => expect::create(session, line),
        (Verb::Delete, Table::Expect) => expect::delete(session, line),
        (Verb::Event, Table::Expect) => expect::events(session, line),
        (Verb::List, _) => list::list(session, line),
        (Verb::Get, _) => list::get(session, line),
        (Verb::Create | Verb::Add, _) => {
            create::create(session, line)?;
            let done = if line.verb == Verb::Add {
                "added"
            } else {
                "created"
            };
            say(&format!("1 flow entries have been {done}."));
            Ok(0)
        }
        (Verb::Update, _) => {
            let updated = change::update(session, line)?;
            say(&format!("{updated} flow entries have been updated."));
            Ok(u8::from(updated == 0))
        }
        (Verb::Delete, _) => {
            let deleted = change::delete(session, line)?;
            say(&format!("{deleted} flow entries have been deleted."));
            Ok(u8::from(deleted == 0))
        }
        (Verb::Event, _) => events::events(session, line),
    }
}

/// A mask alone says nothing.
fn check_masks(line: &Line) -> Result<(), Fault> {
    for (mask, address, names) in [
        (Flag::MaskSrc, Flag::OrigSrc, "--mask-src without --src"),
        (Flag::MaskDst, Flag::OrigDst, "--mask-dst without --dst"),
    ] {
        if line.flags.has(mask) && !line.flags.has(address) {
            return Err(Fault::usage(format!("Can't use {names}")));
        }
    }
    Ok(())
}

fn count(session: &mut Session) -> Result<u8, Fault> {
    let stats = session.client()?.global_stats()?;
    print(&format!("{}\n", stats.entries.unwrap_or(0)))
}

/// The counters of each CPU, those that this kernel has.
fn stats(session: &mut Session, table: Table) -> Result<u8, Fault> {
    let client = session.client()?;
    let mut text = String::new();
    if table == Table::Expect {
        for stats in client.expectation_cpu_stats()? {
            text += &format!("cpu={:<4}\t", stats.cpu);
            for (name, value) in stats.fields() {
                if let Some(value) = value {
                    text += &format!("expect_{name}={value} ");
                }
            }
            text.push('\n');
        }
    } else {
        for stats in client.cpu_stats()? {
            text += &format!("cpu={:<4}\t", stats.cpu);
            for (name, value) in stats.fields() {
                if let Some(value) = value {
                    text += &format!("{name}={value} ");
                }
            }
            text.push('\n');
        }
    }
    print(&text)
}

fn print(text: &str) -> Result<u8, Fault> {
    let mut out = Out::stdout()?;
    out.buffer.extend_from_slice(text.as_bytes());
    out.flush()?;
    Ok(0)
}
