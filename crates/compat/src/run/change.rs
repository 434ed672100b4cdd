//! `-U`, `-D` and `-F` of connections.

use std::ops::ControlFlow;

use ctnetlink::{
    Change, Entry, ErrorKind, Filter, Labels, Masked, ProtoInfo, Status, Table as Dumped, Update,
    ZoneDirection,
};
use engine::saved::line::Verb as Saved;
use engine::{Failure, Source};

use super::{Session, check_masks, create};
use crate::exit::{Fault, say};
use crate::options::{Flag, Verb};
use crate::parse::Line;
use crate::show::Printer;
use crate::value::Output;

/// Entries that are deleted at once. Their lines are kept until it is known that they are gone.
const AT_ONCE: usize = 4096;

/// The options that say which entries are meant; `-t` is one only beside another.
pub(super) const CONDITIONS: [Flag; 12] = [
    Flag::OrigSrc,
    Flag::OrigDst,
    Flag::ReplySrc,
    Flag::ReplyDst,
    Flag::Proto,
    Flag::Mark,
    Flag::Secmark,
    Flag::Status,
    Flag::Id,
    Flag::Zone,
    Flag::OrigZone,
    Flag::ReplyZone,
];

/// Deletes what matches, prints it, and gives how many. An entry that is not the same any more when
/// its turn comes is left.
pub(super) fn delete(session: &mut Session, line: &Line) -> Result<u64, Fault> {
    check_masks(line)?;
    let template = &line.template;
    // A time to live is one more condition, but only beside another one.
    let timeout = template.timeout.filter(|_| line.flags.any(&CONDITIONS));
    let query = template.query(Verb::Delete);
    let source = session.source()?;
    let mut printer = Printer::new(without_dates(line.output), Saved::Delete, None)?;
    let mut deleted = 0;
    let mut fault = None;
    let mut entries: Vec<Entry> = Vec::new();
    source.stream(Dumped::Conntrack, &query, |entry| {
        if template.matches(entry, Verb::Delete)
            && timeout.is_none_or(|timeout| entry.timeout == Some(timeout))
        {
            entries.push(entry.clone());
            if entries.len() == AT_ONCE
                && let Err(error) = delete_all(source, &mut entries, &mut printer, &mut deleted)
            {
                fault = Some(error);
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    if let Some(fault) = fault {
        return Err(fault);
    }
    delete_all(source, &mut entries, &mut printer, &mut deleted)?;
    printer.finish()?;
    Ok(deleted)
}

/// Begin and end are shown of what is listed, not of what is changed.
const fn without_dates(mut output: Output) -> Output {
    output.ktimestamp = false;
    output
}

fn delete_all(
    source: &Source,
    entries: &mut Vec<Entry>,
    printer: &mut Printer,
    deleted: &mut u64,
) -> Result<(), Fault> {
    let changes: Vec<Change> = entries
        .iter()
        .map(|entry| Change::Delete(entry.key()))
        .collect();
    let mut results = Vec::with_capacity(changes.len());
    source
        .client()?
        .apply(changes, |_, result| results.push(result))?;
    for (entry, result) in entries.iter().zip(results) {
        match result {
            Ok(()) => {
                *deleted += 1;
                printer.entry(entry)?;
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                printer.flush()?;
                return Err(error.into());
            }
        }
    }
    entries.clear();
    Ok(())
}

/// Changes what matches, prints what came of it, and gives how many.
///
/// The original names an entry without its zone. So do scripts, and entries in zones stay as they are.
pub(super) fn update(session: &mut Session, line: &Line) -> Result<u64, Fault> {
    check_masks(line)?;
    let template = &line.template;
    let query = template.query(Verb::Update);
    let source = session.source()?;
    let mut entries = Vec::new();
    source.stream(Dumped::Conntrack, &query, |entry| {
        if template.matches(entry, Verb::Update) && is_in_no_zone(entry) {
            entries.push(entry.clone());
        }
        Ok::<_, Failure>(ControlFlow::Continue(()))
    })?;
    let client = source.client()?;
    let mut printer = Printer::new(without_dates(line.output), Saved::Add, None)?;
    let mut updated = 0;
    for entry in &entries {
        let Some(update) = update_of(line, entry) else {
            continue;
        };
        if template.source_nat.flatten().is_some() || template.destination_nat.flatten().is_some() {
            // The kernel translates new connections only.
            return Err(Fault::Failed(
                "Operation failed: Operation not supported".to_owned(),
            ));
        }
        let done = client
            .update(entry.key(), update)
            .and_then(|()| client.get(&entry.key()));
        match done {
            Ok(entry) => {
                updated += 1;
                printer.entry(&entry)?;
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                printer.flush()?;
                return Err(error.into());
            }
        }
    }
    printer.finish()?;
    Ok(updated)
}

fn is_in_no_zone(entry: &Entry) -> bool {
    entry.zone.id == 0 || entry.zone.direction == ZoneDirection::Reply
}

/// What is to change in an entry; `None` if it is so already.
fn update_of(line: &Line, entry: &Entry) -> Option<Update> {
    let template = &line.template;
    let found = entry.mark.unwrap_or(0);
    // The bits of the mask go, and the mark is put over what stays.
    let mark = template.mark.map(|mark| (found & !mark.mask) ^ mark.value);
    let before = entry.status.unwrap_or_default();
    let status = template.status.map(|status| before | status);
    let protoinfo = create::changed_protoinfo(template, entry);
    let labels = labels_of(line, entry);
    let is_changed = template.timeout.is_some()
        || mark.is_some_and(|mark| mark != found)
        || status.is_some_and(|status| status != before)
        || protoinfo.is_some_and(|wanted| is_other(wanted, entry.protoinfo))
        || labels.is_some();
    is_changed.then(|| Update {
        timeout: template.timeout,
        mark: mark.map(Masked::exactly),
        status: status.map(|status| status | Status::CONFIRMED),
        labels,
        protoinfo,
        ..Update::default()
    })
}

fn is_other(wanted: ProtoInfo, found: Option<ProtoInfo>) -> bool {
    match (wanted, found) {
        (ProtoInfo::Tcp(wanted), Some(ProtoInfo::Tcp(found))) => wanted.state != found.state,
        (ProtoInfo::Sctp(wanted), Some(ProtoInfo::Sctp(found))) => wanted != found,
        (ProtoInfo::Dccp(wanted), Some(ProtoInfo::Dccp(found))) => {
            (wanted.state, wanted.role) != (found.state, found.role)
        }
        _ => true,
    }
}

/// Labels and which of them are meant.
fn labels_of(line: &Line, entry: &Entry) -> Option<(Labels, Labels)> {
    let before = entry.labels.unwrap_or_default().bits();
    if let Some(added) = line.template.labels_added {
        let added = added.bits();
        return (before & added != added)
            .then(|| (Labels::from_bits(added), Labels::from_bits(added)));
    }
    let removed = line.template.labels_removed?;
    let removed = removed.map_or(u128::MAX, Labels::bits);
    (before & removed != 0).then(|| (Labels::NONE, Labels::from_bits(removed)))
}

/// Empties the table, or what it has of one family.
pub(super) fn flush(session: &mut Session, line: &Line) -> Result<u8, Fault> {
    let filter = Filter {
        family: line.template.family,
        ..Filter::any()
    };
    session.client()?.flush(&filter)?;
    say("connection tracking table has been emptied.");
    Ok(0)
}
