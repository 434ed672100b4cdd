//! `-E` of connections.

use std::io;
use std::thread;

use ctnetlink::constants::{
    IPCTNL_MSG_CT_DELETE, IPCTNL_MSG_CT_NEW, NFNL_SUBSYS_CTNETLINK, NLM_F_CREATE,
};
use ctnetlink::wire::Message;
use ctnetlink::{Client, Entry, Error, EventBatch, EventOptions, EventStopper, Groups};
use engine::saved::line::Verb as Saved;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use super::{Session, check_masks};
use crate::exit::{Fault, say, system, warn};
use crate::options::{Table, Verb};
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
    if !session.is_own {
        printer = printer.elsewhere();
    }
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
    let mut events = client
        .events(groups, options)
        .map_err(|error| not_opened(line.table, &error))?;
    if line.buffer.is_some() {
        warn(&format!(
            "NOTICE: Netlink socket buffer size has been set to {} bytes.",
            events.receive_buffer()
        ));
    }
    stop_at_signals(events.stopper()?)
        .map_err(|error| Fault::Failed(format!("cannot handle signals: {}", system(&error))))?;
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

/// Why there are no events, mostly for want of rights: in the original's words, which here are those of
/// its library.
fn not_opened(table: Table, error: &Error) -> Fault {
    if table == Table::Expect {
        return Fault::Failed("Can't open handler".to_owned());
    }
    let why = error.errno().map_or_else(
        || error.to_string(),
        |errno| system(&io::Error::from_raw_os_error(errno)),
    );
    warn(&format!("mnl_socket_bind: {why}"));
    Fault::Failed("Can't open netlink socket".to_owned())
}

/// Lets the first SIGINT or SIGTERM end it in order and the second at once: whoever does not read standard
/// output would hold up the end. SIGHUP stays as it is: nohup(1) ignores it.
fn stop_at_signals(stopper: EventStopper) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let wait = move || {
        let mut signals = signals.forever();
        if signals.next().is_some() {
            stopper.stop();
        }
        if let Some(signal) = signals.next() {
            let _ = emulate_default_handler(signal);
        }
    };
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(wait)
        .map(drop)
}
