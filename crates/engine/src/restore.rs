//! From a saved table back into the kernel's.

mod entry;

use std::collections::HashSet;

use ctnetlink::{Change, Client, Entry, Error, ErrorKind, Key, Labels, NewEntry, Tuple};
use query::Query;

use crate::actions::Flow;
use crate::failure::Failure;
use crate::saved::{Header, Rereadable};

pub use entry::to_create;

/// Entries that are in memory and on their way at once.
const AT_ONCE: usize = 4096;

/// What reading a whole file found.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What the file says of itself.
    pub header: Header,
    /// Good entries: all, or those before the damage.
    pub good: u64,
    /// How many of them are selected.
    pub selected: u64,
    /// Whether the table stood still enough when it was saved, where the file says so.
    pub complete: Option<bool>,
    /// What is wrong with the file.
    pub damage: Option<Failure>,
}

/// Reads the whole file before anything is done with it. Damage is part of the result; a file that
/// has not even a header is a failure. `progress` is told how many entries have been read.
pub fn check(
    file: &Rereadable,
    query: &Query,
    mut progress: impl FnMut(u64),
) -> Result<Checked, Failure> {
    let mut saved = file.read()?;
    let (mut selected, now) = (0, saved.now());
    let damage = loop {
        match saved.next_entry() {
            Ok(None) => break None,
            Ok(Some(entry)) => selected += u64::from(query.matches(entry, now)),
            Err(failure) => break Some(failure),
        }
        progress(saved.read());
    };
    Ok(Checked {
        header: saved.header().clone(),
        good: saved.read(),
        selected,
        complete: saved.end().and_then(|end| end.complete),
        damage,
    })
}

/// What came of restoring.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Entries that were to be restored.
    pub selected: u64,
    /// Entries that were created; those that took another's place are among them.
    pub created: u64,
    /// How many of these took the place of what was there.
    pub replaced: u64,
    /// Entries that were there already, with both tuples.
    pub there: u64,
    /// Entries that could not be created, as where one of their tuples belongs to another.
    pub refused: u64,
    /// Entries of which the kernel's answer was lost: they may be there or not.
    pub unknown: u64,
    /// Why the first of them was refused or is unknown.
    pub first: Option<Failure>,
    /// Created without their labels: no rule of this namespace has any.
    pub without_labels: u64,
    /// Created without their helper: it is not loaded.
    pub without_helper: u64,
    /// Created without the connection that expected them: it is not there.
    pub without_master: u64,
    /// Why the work ended early; what is not counted above was not tried.
    pub ended_by: Option<Failure>,
}

impl Restored {
    /// How many have had their turn.
    pub const fn tried(&self) -> u64 {
        self.created + self.there + self.refused + self.unknown
    }

    /// Whether everything that was selected is there.
    pub const fn is_whole(&self) -> bool {
        self.refused == 0 && self.unknown == 0 && self.ended_by.is_none()
    }

    fn refuse(&mut self, error: Error) {
        match error {
            Error::AnswerLost { .. } => self.unknown += 1,
            _ => self.refused += 1,
        }
        self.first.get_or_insert_with(|| error.into());
    }
}

/// Creates the selected entries among the first `good` ones of the file, many in one system call.
///
/// Entries that others expected come after these. What is in the way stays, unless `replace` says
/// to delete it; if the new entry is refused then, the old one is put back. What an entry cannot
/// have here (labels, helper, the connection that expected it) is left out and counted. `progress`
/// is told how many are done and says whether to go on.
pub fn restore(
    client: &Client,
    file: &Rereadable,
    checked: &Checked,
    query: &Query,
    replace: bool,
    progress: impl FnMut(u64) -> Flow,
) -> Restored {
    let mut work = Work {
        client,
        replace,
        progress,
        done: Restored {
            selected: checked.selected,
            ..Restored::default()
        },
        has_labels: None,
    };
    work.done.ended_by = work.all(file, checked.good, query).err();
    work.done
}

/// What restoring would do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Preview {
    /// Entries that would be created.
    pub absent: u64,
    /// Entries that are there already.
    pub there: u64,
    /// Entries in whose way another one is.
    pub in_the_way: u64,
}

/// Looks what restoring would do, and does nothing.
pub fn preview(
    client: &Client,
    file: &Rereadable,
    checked: &Checked,
    query: &Query,
    mut progress: impl FnMut(u64),
) -> Result<Preview, Failure> {
    let mut saved = file.read()?;
    let now = saved.now();
    let mut preview = Preview::default();
    while saved.read() < checked.good
        && let Some(entry) = saved.next_entry()?
    {
        if !query.matches(entry, now) {
            continue;
        }
        let holders = holders(client, entry)?;
        let count = match holders.as_slice() {
            [] => &mut preview.absent,
            [there] if is_same(there, entry) => &mut preview.there,
            _ => &mut preview.in_the_way,
        };
        *count += 1;
        progress(preview.absent + preview.there + preview.in_the_way);
    }
    Ok(preview)
}

/// Whether it is the same connection.
fn is_same(there: &Entry, saved: &Entry) -> bool {
    (there.orig, there.reply) == (saved.orig, saved.reply)
}

/// The entries of the table that have one of an entry's tuples: none, one or two.
fn holders(client: &Client, entry: &Entry) -> Result<Vec<Entry>, Error> {
    let keys = [Key::original(entry.orig), Key::reply(entry.reply)];
    let mut holders: Vec<Entry> = Vec::new();
    for key in keys {
        match client.get(&key.in_zone(entry.zone)) {
            Ok(there) if holders.iter().any(|other| is_same(other, &there)) => {}
            Ok(there) => holders.push(there),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(holders)
}

/// What an entry had to be created without.
#[derive(Clone, Copy, Default)]
struct Without {
    labels: bool,
    helper: bool,
    master: bool,
}

impl Without {
    /// Takes out of an entry what this refusal may be about; whether there was such a thing.
    fn lessen(&mut self, new: &mut NewEntry, error: &Error) -> bool {
        match error.kind() {
            // ENOSPC: no room for labels.
            ErrorKind::TableFull if new.labels.is_some() => {
                new.labels = None;
                self.labels = true;
            }
            ErrorKind::Unsupported if new.helper.is_some() => {
                new.helper = None;
                self.helper = true;
            }
            ErrorKind::NotFound if new.master.is_some() => {
                new.master = None;
                self.master = true;
            }
            _ => return false,
        }
        true
    }
}

struct Work<'a, P> {
    client: &'a Client,
    replace: bool,
    progress: P,
    done: Restored,
    /// Whether entries of this namespace have labels, once one that was created has told.
    has_labels: Option<bool>,
}

impl<P: FnMut(u64) -> Flow> Work<'_, P> {
    fn all(&mut self, file: &Rereadable, good: u64, query: &Query) -> Result<(), Failure> {
        let mut saved = file.read()?;
        let now = saved.now();
        let (mut next, mut expected) = (Vec::with_capacity(AT_ONCE), Vec::new());
        while saved.read() < good
            && let Some(entry) = saved.next_entry()?
        {
            if !query.matches(entry, now) {
                continue;
            }
            if entry.master().is_some() {
                expected.push(entry.clone());
                continue;
            }
            next.push(entry.clone());
            if next.len() == AT_ONCE {
                self.some(&next)?;
                next.clear();
            }
        }
        self.some(&next)?;
        self.expected(expected)
    }

    /// Those that others expected, each after the one that expected it.
    fn expected(&mut self, mut waiting: Vec<Entry>) -> Result<(), Failure> {
        while !waiting.is_empty() {
            let names: HashSet<Tuple> = waiting.iter().map(|entry| entry.orig).collect();
            let is_later =
                |entry: &Entry| entry.master().is_some_and(|master| names.contains(master));
            let (mut later, mut now): (Vec<_>, Vec<_>) = waiting.into_iter().partition(is_later);
            if now.is_empty() {
                // They expected one another, which no kernel says.
                std::mem::swap(&mut now, &mut later);
            }
            for some in now.chunks(AT_ONCE) {
                self.some(some)?;
            }
            waiting = later;
        }
        Ok(())
    }

    fn some(&mut self, entries: &[Entry]) -> Result<(), Failure> {
        let mut turn: Vec<(&Entry, NewEntry, Without)> = entries
            .iter()
            .map(|entry| (entry, to_create(entry), Without::default()))
            .collect();
        let mut in_the_way = Vec::new();
        while !turn.is_empty() {
            let mut again = Vec::new();
            let changes = turn.iter().map(|(_, new, _)| change(new));
            let mut results = Vec::with_capacity(turn.len());
            let applied = self.client.apply(changes, |_, result| results.push(result));
            for ((entry, mut new, mut without), result) in turn.into_iter().zip(results) {
                match result {
                    Ok(()) => self.created(&new, without),
                    Err(error) if error.kind() == ErrorKind::Exists => {
                        in_the_way.push((entry, new, without, error));
                    }
                    // It will be the same with all others.
                    Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                        return Err(error.into());
                    }
                    Err(error) if without.lessen(&mut new, &error) => {
                        again.push((entry, new, without));
                    }
                    Err(error) => self.done.refuse(error),
                }
            }
            applied?;
            turn = again;
        }
        for (entry, new, without, error) in in_the_way {
            if self.replace {
                self.replace(entry, new, without)?;
            } else {
                match holders(self.client, entry)?.as_slice() {
                    [there] if is_same(there, entry) => self.done.there += 1,
                    _ => self.done.refuse(error),
                }
            }
        }
        if (self.progress)(self.done.tried()).is_break() {
            return Err(Failure::new("interrupted", "interrupted", ""));
        }
        Ok(())
    }

    fn created(&mut self, new: &NewEntry, without: Without) {
        self.done.created += 1;
        let is_bare = without.labels || self.lost_its_labels(new);
        self.done.without_labels += u64::from(is_bare);
        self.done.without_helper += u64::from(without.helper);
        self.done.without_master += u64::from(without.master);
    }

    /// Some kernels take labels where there are none, say nothing, and leave them out. It is the
    /// same for all entries of a namespace.
    fn lost_its_labels(&mut self, new: &NewEntry) -> bool {
        if new.labels.is_none_or(|labels| labels == Labels::NONE) {
            return false;
        }
        let client = self.client;
        let ask = || {
            let there = client.get(&Key::original(new.orig).in_zone(new.zone));
            // Whoever has gone already is no witness, but there is no better one.
            there.map_or(true, |there| there.labels.is_some())
        };
        !*self.has_labels.get_or_insert_with(ask)
    }

    /// Creates an entry in the place of those that have its tuples.
    fn replace(&mut self, entry: &Entry, new: NewEntry, without: Without) -> Result<(), Failure> {
        let holders = holders(self.client, entry)?;
        for holder in &holders {
            match self.client.delete(holder.key()) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    self.done.refuse(error);
                    return Ok(());
                }
                _ => {}
            }
        }
        match self.create(new.clone(), without) {
            Ok(without) => {
                self.created(&new, without);
                self.done.replaced += 1;
            }
            Err(error) => {
                self.done.refuse(error);
                for holder in &holders {
                    // What was there comes back as far as it can be created.
                    let _ = self.create(to_create(holder), Without::default());
                }
            }
        }
        Ok(())
    }

    /// Creates one entry, without what it cannot have here.
    fn create(&self, mut new: NewEntry, mut without: Without) -> Result<Without, Error> {
        loop {
            match self.client.create(new.clone()) {
                Ok(()) => return Ok(without),
                Err(error) if without.lessen(&mut new, &error) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn change(new: &NewEntry) -> Change {
    Change::Create(Box::new(new.clone()))
}
