//! `-E` of connections.

use ctnetlink::constants::{
    IPCTNL_MSG_CT_DELETE, IPCTNL_MSG_CT_NEW, NFNL_SUBSYS_CTNETLINK, NLM_F_CREATE,
};
use ctnetlink::wire::Message;
use ctnetlink::{Client, Entry, EventBatch, EventOptions, Events, Groups};
use engine::saved::line::Verb as Saved;

use super::{Session, check_masks};
use crate::exit::{Fault, say, warn};
use crate::options::Verb;
use crate::parse::Line;
use crate::show::Printer;
use crate::xml::Event;

/// Prints events of connections until a signal ends it.
pub(super) fn events(session: &mut Session, line: &Line) -> Result<u8, Fault> {
    check_masks(line)?;
    let mut groups = Groups::empty();
    let wanted = line.events;
    groups.set(Groups::NEW, wanted.new);
    groups.set(Groups::UPDATE, wanted.update);
    groups.set(Groups::DESTROY, wanted.destroy);
    if groups.is_empty() {
        groups = Groups::CONNTRACK;
    }
    let mut printer = Printer::new(line.output, Saved::Add, Some("conntrack"))?;
    let mut entry = Entry::blank();
    let mut shown = 0u64;
    follow(session.client()?, groups, line, |batch| {
        for message in batch.messages() {
            let Ok(message) = message else {
                break;
            };
            let Some(event) = event_of(&message) else {
                continue;
            };
            let decoded = message
                .nfnetlink()
                .and_then(|(_, attrs)| entry.decode_into(attrs));
            if let Err(error) = decoded {
                say(&format!("an event cannot be read: {error}"));
            } else if line.template.matches(&entry, Verb::Event) {
                shown += 1;
                printer.event(&entry, event, message.header.port)?;
            }
        }
        printer.flush()
    })?;
    printer.finish()?;
    say(&format!("{shown} flow events have been shown."));
    Ok(0)
}

fn event_of(message: &Message<'_>) -> Option<Event> {
    let header = message.header;
    if header.kind >> 8 != NFNL_SUBSYS_CTNETLINK {
        return None;
    }
    match header.kind & 0xff {
        IPCTNL_MSG_CT_NEW if header.flags & NLM_F_CREATE != 0 => Some(Event::New),
        IPCTNL_MSG_CT_NEW => Some(Event::Update),
        IPCTNL_MSG_CT_DELETE => Some(Event::Destroy),
        _ => None,
    }
}

/// Gives each batch of events to `each` until a signal comes or it fails. A loss is told, and it goes
/// on.
pub(super) fn follow(
    client: &Client,
    groups: Groups,
    line: &Line,
    mut each: impl FnMut(&EventBatch) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut options = EventOptions::default();
    if let Some(bytes) = line.buffer {
        options.receive_buffer = bytes;
    }
    let mut events: Events = client.events(groups, options)?;
    if line.buffer.is_some() {
        warn(&format!(
            "NOTICE: Netlink socket buffer size has been set to {} bytes.",
            events.receive_buffer()
        ));
    }
    let stopper = events.stopper()?;
    ctrlc::set_handler(move || stopper.stop())
        .map_err(|error| Fault::Failed(format!("cannot handle signals: {error}")))?;
    while let Some(batch) = events.next_batch(None)? {
        if let Some(lost) = batch.overrun() {
            let lost = lost.map_or_else(|| "some".to_owned(), |lost| lost.to_string());
            warn(&format!(
                "WARNING: We have hit ENOBUFS! {lost} events are lost; what follows is shown. \
                 --buffer-size sets a larger buffer, it has {} bytes.",
                events.receive_buffer()
            ));
        }
        match each(&batch) {
            Ok(()) => {}
            Err(Fault::Closed) => return Ok(()),
            Err(fault) => return Err(fault),
        }
    }
    Ok(())
}
