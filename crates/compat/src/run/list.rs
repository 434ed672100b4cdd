//! `-L` and `-G`.

use std::ops::ControlFlow;

use ctnetlink::{DumpRequest, Filter, Key, Operation, Table as Dumped, Zone};
use engine::saved::line::Verb as Saved;

use super::{Session, change, check_masks, create};
use crate::exit::{Fault, say};
use crate::options::{Flag, Table, Verb};
use crate::parse::Line;
use crate::show::Printer;

/// Lists connections.
pub(super) fn list(session: &mut Session, line: &Line) -> Result<u8, Fault> {
    if line.table == Table::Conntrack {
        // Entries that are not shown would lose their counters too.
        let is_filtered = line.flags.any(&change::CONDITIONS) || line.flags.has(Flag::Label);
        if line.flags.has(Flag::Zero) && is_filtered {
            return Err(Fault::usage("Can't use -z with filtering parameters"));
        }
        check_masks(line)?;
        refuse_no_status(line)?;
    }
    let mut printer = Printer::new(line.output, Saved::Add, Some("conntrack"))?;
    let mut shown = 0u64;
    let template = &line.template;
    match line.table {
        Table::Conntrack if !line.flags.has(Flag::Zero) => {
            let query = template.query(Verb::List);
            session
                .source()?
                .stream(Dumped::Conntrack, &query, |entry| {
                    if template.matches(entry, Verb::List) {
                        shown += 1;
                        if printer.entry(entry).is_err() {
                            return Ok(ControlFlow::Break(()));
                        }
                    }
                    Ok(ControlFlow::Continue(()))
                })?;
        }
        table => {
            let filter = Filter {
                family: template.family,
                ..Filter::any()
            };
            let client = session.client()?;
            let mut dump = if table == Table::Conntrack {
                client.dump_and_zero(&filter)?
            } else {
                client.dump(&DumpRequest {
                    table: if table == Table::Dying {
                        Dumped::Dying
                    } else {
                        Dumped::Unconfirmed
                    },
                    filters: vec![filter],
                })?
            };
            while let Some(entry) = dump.next_entry()? {
                if template.matches(entry, Verb::List) {
                    shown += 1;
                    printer.entry(entry)?;
                }
            }
        }
    }
    printer.finish()?;
    say(&format!("{shown} flow entries have been shown."));
    Ok(0)
}

/// The kernel refuses to look for no status bit at all. Its other lists are not looked through by it.
fn refuse_no_status(line: &Line) -> Result<(), Fault> {
    match line.template.status {
        Some(bits) if bits.all().is_empty() => {
            Err(Fault::refused(Some(Operation::Dump), libc::EINVAL))
        }
        _ => Ok(()),
    }
}

/// Shows one connection.
pub(super) fn get(session: &mut Session, line: &Line) -> Result<u8, Fault> {
    let template = &line.template;
    if template.orig.src.is_none() || template.orig.dst.is_none() {
        return Err(create::invalid());
    }
    let key = Key::original(create::orig(template)?).in_zone(Zone::new(0));
    let entry = session.client()?.get(&key)?;
    let mut shown = 0;
    let mut printer = Printer::new(line.output, Saved::Add, Some("conntrack"))?;
    if template.matches(&entry, Verb::Get) {
        printer.entry(&entry)?;
        shown = 1;
    }
    printer.finish()?;
    say(&format!("{shown} flow entries have been shown."));
    Ok(u8::from(shown == 0))
}
