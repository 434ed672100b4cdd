//! Does what a command line asks for.

mod change;
mod create;
mod events;
mod expect;
mod list;
mod load;
mod proc;
mod words;

use std::fmt::Write as _;

use ctnetlink::{Client, Namespace};
use engine::{Kernel, Source, Way};

pub(crate) use load::load;

use crate::exit::{Fault, NAME, say};
use crate::help;
use crate::options::{Flag, Table, Verb};
use crate::parse::Line;
use crate::show::Out;
use change::Done;

/// The table of a namespace, opened when it is needed.
pub(crate) struct Session {
    namespace: Option<Namespace>,
    /// Whether it is the namespace of this process, of which /proc tells.
    is_own: bool,
    way: Way,
    source: Option<Source>,
}

impl Session {
    pub(crate) const fn new(namespace: Option<Namespace>, way: Way) -> Self {
        Self {
            is_own: namespace.is_none(),
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
        (Verb::Update, _) => tell(change::update(session, line)?, "updated"),
        (Verb::Delete, _) => tell(change::delete(session, line)?, "deleted"),
        (Verb::Event, _) => events::events(session, line),
    }
}

/// Says how many entries were changed, even where they could not be printed.
fn tell(done: Done, what: &str) -> Result<u8, Fault> {
    say(&format!("{} flow entries have been {what}.", done.count));
    done.printed?;
    Ok(u8::from(done.count == 0))
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

/// Prints how many there are.
fn count(session: &mut Session) -> Result<u8, Fault> {
    let told = session.client().and_then(|client| {
        let stats = client.global_stats()?;
        Ok(format!("{}\n", stats.entries.unwrap_or(0)))
    });
    print_or_proc(session, told, proc::count)
}

/// Prints the counters of each CPU, those that this kernel has.
fn stats(session: &mut Session, table: Table) -> Result<u8, Fault> {
    let told = session.client().and_then(|client| {
        let mut text = String::new();
        if table == Table::Expect {
            for of in client.expectation_cpu_stats()? {
                push_counters(&mut text, of.cpu, "expect_", of.fields());
            }
        } else {
            for of in client.cpu_stats()? {
                push_counters(&mut text, of.cpu, "", of.fields());
            }
        }
        Ok(text)
    });
    print_or_proc(session, told, proc::counters)
}

/// One CPU's counters in a line.
fn push_counters<'a>(
    text: &mut String,
    cpu: u16,
    prefix: &str,
    fields: impl Iterator<Item = (&'a str, Option<u32>)>,
) {
    let _ = write!(text, "cpu={cpu:<4}\t");
    for (name, value) in fields {
        if let Some(value) = value {
            let _ = write!(text, "{prefix}{name}={value} ");
        }
    }
    text.push('\n');
}

/// Prints what the kernel told. Where it did not, as to a plain user, what /proc has is printed, and the
/// command fails all the same: monitoring reads the number and not the status.
fn print_or_proc(
    session: &Session,
    told: Result<String, Fault>,
    proc: impl FnOnce() -> Option<String>,
) -> Result<u8, Fault> {
    match told {
        Ok(text) => print(&text),
        Err(fault) => {
            if let Some(text) = session.is_own.then(proc).flatten() {
                print(&text)?;
            }
            Err(fault)
        }
    }
}

fn print(text: &str) -> Result<u8, Fault> {
    let mut out = Out::stdout()?;
    out.buffer.extend_from_slice(text.as_bytes());
    out.flush()?;
    Ok(0)
}
