//! What is printed of a connection or an expectation, and how it goes out.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::{SystemTime, UNIX_EPOCH};

use ctnetlink::{Entry, Expectation};
use engine::render::conntrack::{Options, push_l4, write_entry};
use engine::render::{push_address_ntop, push_number};
use engine::saved::line::{self, Verb as Saved};

use crate::cause::Causes;
use crate::exit::{Fault, system};
use crate::labels::{self, Names};
use crate::value::Output;
use crate::xml::{self, Event, Shown};

/// Bytes that are written at once.
const BUFFER: usize = 128 * 1024;

/// Prints entries, one a line.
pub(crate) struct Printer {
    out: Out,
    output: Output,
    names: Option<&'static Names>,
    /// What its lines ask for with `-o save`.
    saved: Saved,
    /// The element around the entries, if there is one; once something is in it.
    root: Option<&'static str>,
    is_open: bool,
    now: i64,
    causes: Causes,
}

impl Printer {
    /// Prints in this way. `root` is the element around an XML document.
    pub(crate) fn new(
        output: Output,
        saved: Saved,
        root: Option<&'static str>,
    ) -> Result<Self, Fault> {
        Ok(Self {
            out: Out::stdout()?,
            output,
            names: output.labels.then(labels::names).and_then(Names::present),
            saved,
            root: root.filter(|_| output.xml),
            is_open: false,
            now: seconds(),
            causes: Causes::new(true),
        })
    }

    /// The same for events of another network namespace than this process's.
    pub(crate) fn elsewhere(mut self) -> Self {
        self.causes = Causes::new(false);
        self
    }

    /// One entry.
    pub(crate) fn entry(&mut self, entry: &Entry) -> Result<(), Fault> {
        self.open();
        self.push_entry(entry, None);
        self.out.buffer.push(b'\n');
        self.out.spill()
    }

    /// One entry of those that are changed: what cannot be printed does not keep the rest from being done,
    /// and is told by [`finish`](Self::finish).
    pub(crate) fn entry_or_later(&mut self, entry: &Entry) {
        let _ = self.entry(entry);
    }

    /// One event; `cause` is the netlink port of the program that made it happen, 0 if a packet did.
    pub(crate) fn event(&mut self, entry: &Entry, event: Event, cause: u32) -> Result<(), Fault> {
        self.open();
        self.now = seconds();
        self.saved = match event {
            Event::New => Saved::Add,
            Event::Update => Saved::Update,
            Event::Destroy => Saved::Delete,
        };
        if !self.output.xml && !self.output.save {
            self.push_head(Some(event));
        }
        self.push_entry(entry, Some(event));
        if cause != 0 && !self.output.xml {
            self.causes.push(&mut self.out.buffer, cause);
        }
        self.out.buffer.push(b'\n');
        self.out.spill()
    }

    /// One expectation, or an event of it.
    pub(crate) fn expectation(
        &mut self,
        expectation: &Expectation,
        event: Option<Event>,
    ) -> Result<(), Fault> {
        self.open();
        if self.output.xml {
            xml::write_expectation(&mut self.out.buffer, expectation, event);
        } else {
            self.push_head(event);
            push_expectation(&mut self.out.buffer, expectation);
        }
        self.out.buffer.push(b'\n');
        self.out.spill()
    }

    /// Puts out what is printed, at the end of some events that came together.
    pub(crate) fn flush(&mut self) -> Result<(), Fault> {
        self.causes.forget();
        self.out.flush()
    }

    /// The end.
    pub(crate) fn finish(mut self) -> Result<(), Fault> {
        if let Some(root) = self.root.filter(|_| self.is_open) {
            let _ = writeln!(self.out.buffer, "</{root}>");
        }
        self.out.flush()
    }

    fn open(&mut self) {
        if let Some(root) = self.root.filter(|_| !self.is_open) {
            let _ = writeln!(
                self.out.buffer,
                "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<{root}>"
            );
            self.is_open = true;
        }
    }

    /// What stands before an event.
    fn push_head(&mut self, event: Option<Event>) {
        let out = &mut self.out.buffer;
        if self.output.timestamp {
            let now = since_epoch();
            let _ = write!(out, "[{:<8}.{:06}]\t", now.as_secs(), now.subsec_micros());
        }
        out.extend_from_slice(match event {
            None => b"",
            Some(Event::New) => b"    [NEW] ",
            Some(Event::Update) => b" [UPDATE] ",
            Some(Event::Destroy) => b"[DESTROY] ",
        });
    }

    fn push_entry(&mut self, entry: &Entry, event: Option<Event>) {
        let out = &mut self.out.buffer;
        if self.output.save {
            line::write_as(out, self.saved, entry);
        } else if self.output.xml {
            let shown = Shown {
                event,
                times: self.output.ktimestamp,
                labels: self.names,
                when: self.output.timestamp && event.is_some(),
                now: self.now,
            };
            xml::write_entry(out, entry, shown);
        } else {
            let options = Options {
                extended: self.output.extended,
                id: self.output.id,
                ktimestamp: self.output.ktimestamp,
            };
            write_entry(out, entry, options, self.now);
            if let (Some(names), Some(labels)) = (self.names, entry.labels) {
                push_labels(out, names, labels);
            }
        }
    }
}

fn push_labels(out: &mut Vec<u8>, names: &Names, labels: ctnetlink::Labels) {
    out.extend_from_slice(b" labels=");
    for name in labels.iter().filter_map(|number| names.name(number)) {
        out.extend_from_slice(name.as_bytes());
        out.push(b',');
    }
    // The last comma, or the sign where no label has a name.
    out.pop();
}

fn push_expectation(out: &mut Vec<u8>, expectation: &Expectation) {
    let Expectation {
        tuple,
        mask,
        master,
        ..
    } = expectation;
    if let Some(timeout) = expectation.timeout {
        push_number(out, timeout);
        out.push(b' ');
    }
    out.extend_from_slice(b"proto=");
    push_number(out, tuple.protocol.0);
    out.push(b' ');
    for (src, dst, tuple) in [
        ("src=", "dst=", tuple),
        ("mask-src=", "mask-dst=", mask),
        ("master-src=", "master-dst=", master),
    ] {
        out.extend_from_slice(src.as_bytes());
        push_address_ntop(out, tuple.src);
        out.push(b' ');
        out.extend_from_slice(dst.as_bytes());
        push_address_ntop(out, tuple.dst);
        out.push(b' ');
        push_l4(out, tuple);
    }
    if let Some(zone) = expectation.zone.filter(|zone| *zone != 0) {
        let _ = write!(out, "zone={zone} ");
    }
    let flags = expectation.flags.unwrap_or_default();
    let names: Vec<&str> = flags.iter_names().map(|(name, _)| name).collect();
    if !names.is_empty() {
        let _ = write!(out, "{} ", names.join(","));
    }
    if let Some(class) = expectation.class {
        let _ = write!(out, "class={class} ");
    }
    if let Some(helper) = &expectation.helper {
        let _ = write!(out, "helper={helper} ");
    }
    out.pop();
}

fn since_epoch() -> std::time::Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

fn seconds() -> i64 {
    since_epoch().as_secs().cast_signed()
}

/// Standard output, buffered.
pub(crate) struct Out {
    file: File,
    pub(crate) buffer: Vec<u8>,
    /// Why nothing is written any more.
    fault: Option<Fault>,
}

impl Out {
    pub(crate) fn stdout() -> Result<Self, Fault> {
        let file = io::stdout()
            .as_fd()
            .try_clone_to_owned()
            .map_err(|error| fault(&error))?
            .into();
        Ok(Self {
            file,
            buffer: Vec::with_capacity(BUFFER + 4096),
            fault: None,
        })
    }

    /// Writes if there is enough to be worth it.
    pub(crate) fn spill(&mut self) -> Result<(), Fault> {
        if self.buffer.len() >= BUFFER {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Writes everything. What has failed once is not tried again, and fails.
    pub(crate) fn flush(&mut self) -> Result<(), Fault> {
        if self.fault.is_none()
            && let Err(error) = self.file.write_all(&self.buffer)
        {
            self.fault = Some(fault(&error));
        }
        self.buffer.clear();
        self.fault.clone().map_or(Ok(()), Err)
    }
}

fn fault(error: &io::Error) -> Fault {
    if error.kind() == io::ErrorKind::BrokenPipe {
        Fault::Closed
    } else {
        Fault::Failed(format!(
            "cannot write to standard output: {}",
            system(error)
        ))
    }
}
