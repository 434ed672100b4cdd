//! `-U`, `-D` and `-F` of connections.

use std::ops::ControlFlow;

use ctnetlink::{
    Change, Client, Entry, ErrorKind, Filter, Labels, Masked, ProtoInfo, Status, Table as Dumped,
    Update, ZoneDirection,
};
use engine::saved::line::Verb as Saved;
use query::Query;

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

/// What came of changing entries: how many were, and whether they could be printed.
pub(super) struct Done {
    pub(super) count: u64,
    pub(super) printed: Result<(), Fault>,
}

/// Deletes what matches and prints it. An entry that is not the same any more when its turn comes is
/// left.
pub(super) fn delete(session: &mut Session, line: &Line) -> Result<Done, Fault> {
    check_masks(line)?;
    let template = &line.template;
    // A time to live is one more condition, but only beside another one.
    let timeout = template.timeout.filter(|_| line.flags.any(&CONDITIONS));
    let query = template.query(Verb::Delete);
    // The original shows no labels here.
    let output = Output {
        labels: false,
        ..without_dates(line.output)
    };
    let printer = Printer::new(output, Saved::Delete, None)?;
    let is_meant = |entry: &Entry| {
        template.matches(entry, Verb::Delete)
            && timeout.is_none_or(|timeout| entry.timeout == Some(timeout))
    };
    in_batches(session, &query, printer, is_meant, delete_all)
}

/// Begin and end are shown of what is listed, not of what is changed.
const fn without_dates(mut output: Output) -> Output {
    output.ktimestamp = false;
    output
}

/// Reads the table, gives what is meant of it to `each` some thousand entries at a time, and adds up what
/// that has done.
fn in_batches(
    session: &mut Session,
    query: &Query,
    mut printer: Printer,
    is_meant: impl Fn(&Entry) -> bool,
    each: impl Fn(&Client, &[Entry], &mut Printer) -> Result<u64, Fault>,
) -> Result<Done, Fault> {
    let source = session.source()?;
    let client = source.client()?;
    let (mut count, mut fault) = (0, None);
    let mut entries: Vec<Entry> = Vec::new();
    let read = source.stream(Dumped::Conntrack, query, |entry| {
        if is_meant(entry) {
            entries.push(entry.clone());
        }
        if entries.len() < AT_ONCE {
            return Ok(ControlFlow::Continue(()));
        }
        let done = each(client, &entries, &mut printer);
        entries.clear();
        Ok(match done {
            Ok(more) => {
                count += more;
                ControlFlow::Continue(())
            }
            Err(error) => {
                fault = Some(error);
                ControlFlow::Break(())
            }
        })
    });
    let done = match (fault, read) {
        (Some(fault), _) => Err(fault),
        (None, Err(failure)) => Err(failure.into()),
        (None, Ok(_)) => each(client, &entries, &mut printer),
    };
    let printed = printer.finish();
    count += done?;
    Ok(Done { count, printed })
}

fn delete_all(client: &Client, entries: &[Entry], printer: &mut Printer) -> Result<u64, Fault> {
    let changes: Vec<Change> = entries
        .iter()
        .map(|entry| Change::Delete(entry.key()))
        .collect();
    let mut results = Vec::with_capacity(changes.len());
    client.apply(changes, |_, result| results.push(result))?;
    let mut deleted = 0;
    for (entry, result) in entries.iter().zip(results) {
        match result {
            Ok(()) => {
                deleted += 1;
                printer.entry_or_later(entry);
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(deleted)
}

/// Changes what matches and prints what came of it.
///
/// The original names an entry without its zone. So do scripts, and entries in zones stay as they are.
pub(super) fn update(session: &mut Session, line: &Line) -> Result<Done, Fault> {
    check_masks(line)?;
    let template = &line.template;
    let query = template.query(Verb::Update);
    let printer = Printer::new(without_dates(line.output), Saved::Add, None)?;
    let is_meant = |entry: &Entry| template.matches(entry, Verb::Update) && is_in_no_zone(entry);
    in_batches(
        session,
        &query,
        printer,
        is_meant,
        |client, entries, printer| update_all(line, client, entries, printer),
    )
}

fn update_all(
    line: &Line,
    client: &Client,
    entries: &[Entry],
    printer: &mut Printer,
) -> Result<u64, Fault> {
    let mut updated = 0;
    for entry in entries {
        let Some(update) = update_of(line, entry)? else {
            continue;
        };
        let done = client
            .update(entry.key(), update)
            .and_then(|()| client.get(&entry.key()));
        match done {
            Ok(entry) => {
                updated += 1;
                printer.entry_or_later(&entry);
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(updated)
}

fn is_in_no_zone(entry: &Entry) -> bool {
    entry.zone.id == 0 || entry.zone.direction == ZoneDirection::Reply
}

/// What is to change in an entry; `None` if it is so already.
fn update_of(line: &Line, entry: &Entry) -> Result<Option<Update>, Fault> {
    let template = &line.template;
    let found = entry.mark.unwrap_or(0);
    // The bits of the mask go, and the mark is put over what stays.
    let mark = template.mark.map(|mark| (found & !mark.mask) ^ mark.value);
    let before = entry.status.unwrap_or_default();
    // The kernel takes no bit away, and what is not to be there is not asked of it.
    let status = template.status.map(|bits| before | bits.set);
    let protoinfo = create::changed_protoinfo(template, entry);
    let labels = labels_of(line, entry)?;
    let is_changed = template.timeout.is_some()
        || mark.is_some_and(|mark| mark != found)
        || status.is_some_and(|status| status != before)
        || protoinfo.is_some_and(|wanted| is_other(wanted, entry.protoinfo))
        || labels.is_some();
    if !is_changed {
        return Ok(None);
    }
    if template.source_nat.flatten().is_some() || template.destination_nat.flatten().is_some() {
        // The kernel translates new connections only.
        return Err(Fault::plain(libc::EOPNOTSUPP));
    }
    Ok(Some(Update {
        timeout: template.timeout,
        mark: mark.map(Masked::exactly),
        status: status.map(|status| status | Status::CONFIRMED),
        labels,
        protoinfo,
        ..Update::default()
    }))
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
fn labels_of(line: &Line, entry: &Entry) -> Result<Option<(Labels, Labels)>, Fault> {
    let before = entry.labels.unwrap_or_default();
    if let Some(added) = line.template.labels_added {
        let labels = added.whole().ok_or_else(|| Fault::plain(libc::ERANGE))?;
        return Ok((!added.are_in(before)).then_some((labels, labels)));
    }
    let removed = line.template.labels_removed.unwrap_or_default();
    let removed = removed.whole().ok_or_else(|| Fault::plain(libc::ERANGE))?;
    Ok((before.bits() & removed.bits() != 0).then_some((Labels::NONE, removed)))
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
