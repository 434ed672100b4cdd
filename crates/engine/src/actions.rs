//! What can be done to the table. Command line, contract and screens call these and print what
//! comes out.

use ctnetlink::{
    Change, Client, Direction, DumpOutcome, Entry, Error, ErrorKind, GlobalStats, Key, Labels,
    Masked, ProtoInfo, Protocol, Status, Table, TcpInfo, TcpState, Update,
};

use query::Query;

use crate::column::Sort;
use crate::failure::Failure;
use crate::group::Groups;
use crate::session::Session;
use crate::source::{Source, Wanted};
use crate::top::Top;

/// What reading the table found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Entries that were selected.
    pub selected: u64,
    /// How the dump went.
    pub outcome: DumpOutcome,
}

/// Whether to go on reading.
pub type Flow = std::ops::ControlFlow<()>;

/// Reads the selected entries one by one, as they come; nothing is kept.
///
/// What has been given out cannot be taken back, so an interrupted dump is not begun anew: the
/// outcome says that it is not complete.
pub fn list(
    source: &Source,
    table: Table,
    query: &Query,
    mut each: impl FnMut(&Entry) -> Result<Flow, Failure>,
) -> Result<Listed, Failure> {
    let mut selected = 0;
    let outcome = source.stream(table, query, |entry| {
        selected += 1;
        each(entry)
    })?;
    Ok(Listed { selected, outcome })
}

/// Reads the selected entries and sets their counters to zero.
///
/// It reads to the end whatever `each` says: the counters are gone by then.
pub fn list_and_zero(
    client: &Client,
    query: &Query,
    mut each: impl FnMut(&Entry) -> Result<Flow, Failure>,
) -> Result<Listed, Failure> {
    let filter = match query.filters() {
        [filter] if query.is_exact_in_kernel() => filter,
        _ => {
            return Err(Failure::new(
                "unsupported",
                "the kernel cannot select so when it sets counters to zero, and would zero more",
                "select by family, protocol, single addresses and ports, zone, one mark, or status",
            ));
        }
    };
    let mut dump = client.dump_and_zero(filter)?;
    let (now, mut selected) = (crate::now(), 0);
    while let Some(entry) = dump.next_entry()? {
        if query.matches(entry, now) {
            selected += 1;
            let _goes_on_anyway = each(entry)?;
        }
    }
    Ok(Listed {
        selected,
        outcome: dump.outcome(),
    })
}

/// The first selected entries of an order, all without a limit. An interrupted dump is begun anew.
/// `progress` is told how many have been read.
pub fn first(
    source: &Source,
    table: Table,
    query: &Query,
    limit: Option<usize>,
    sort: Sort,
    progress: impl FnMut(u64),
) -> Result<(Vec<Entry>, Listed), Failure> {
    let floor = sort.floor();
    let wanted = Wanted {
        table,
        floor: floor.as_ref(),
        ..Wanted::of(query)
    };
    let folded = source.fold(
        &wanted,
        progress,
        || {
            (
                Top::new(limit, |a: &Entry, b: &Entry| sort.compare(a, b)),
                0,
            )
        },
        |(top, selected), entry| {
            *selected += 1;
            if let Some(last) = top.offer(entry)
                && let Some(floor) = &floor
                && let Some(least) = sort.quantity(last)
            {
                floor.raise(least);
            }
        },
        |(top, selected), (other, more)| {
            *selected += more;
            top.merge(other);
        },
    )?;
    let (top, selected) = folded.value;
    let listed = Listed {
        selected: selected + folded.below,
        outcome: folded.outcome,
    };
    Ok((top.into_sorted(), listed))
}

/// The entry of a key.
pub fn get(source: &Source, key: &Key) -> Result<Entry, Failure> {
    if let Source::Kernel(kernel) = source {
        return Ok(kernel.client().get(key)?);
    }
    let mut found = None;
    source.stream(Table::Conntrack, &Query::any(), |entry| {
        let tuple = match key.direction {
            Direction::Original => &entry.orig,
            Direction::Reply => &entry.reply,
        };
        Ok(if *tuple == key.tuple && entry.zone.id == key.zone.id {
            found = Some(entry.clone());
            Flow::Break(())
        } else {
            Flow::Continue(())
        })
    })?;
    found.ok_or_else(|| {
        Failure::new(
            "not-found",
            "no such entry is in the saved table",
            "see what is there: tracklight list --from FILE",
        )
    })
}

/// Counts the selected entries.
pub fn count(source: &Source, query: &Query, progress: impl FnMut(u64)) -> Result<Listed, Failure> {
    let folded = source.fold(
        &Wanted::of(query).without_ids(),
        progress,
        || 0,
        |count, _| *count += 1,
        |count, more| *count += more,
    )?;
    Ok(Listed {
        selected: folded.value,
        outcome: folded.outcome,
    })
}

/// Puts the selected entries into groups. `progress` is told how many have been read.
pub fn group(
    source: &Source,
    query: &Query,
    fresh: impl Fn() -> Groups + Sync,
    progress: impl FnMut(u64),
) -> Result<(Groups, DumpOutcome), Failure> {
    let folded = source.fold(
        &Wanted::of(query).without_ids(),
        progress,
        fresh,
        Groups::add,
        |groups, others| groups.merge(&others),
    )?;
    Ok((folded.value, folded.outcome))
}

/// How full the table is: entries of this namespace and the limit.
pub fn usage(client: &Client) -> Result<GlobalStats, Failure> {
    let mut stats = client.global_stats()?;
    if stats.max_entries.is_none() {
        let text = std::fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_max").ok();
        stats.max_entries = text.and_then(|text| text.trim().parse().ok());
    }
    Ok(stats)
}

/// What came of a change to many entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Entries that were selected.
    pub selected: u64,
    /// Entries that were changed or deleted.
    pub done: u64,
    /// Entries that had gone, or had become others, before their turn.
    pub gone: u64,
    /// Entries that the kernel refused to change.
    pub refused: u64,
    /// Entries of which the kernel's answer was lost: they may be changed or not.
    pub unknown: u64,
    /// Why the first of them was refused or is unknown.
    pub first: Option<Failure>,
    /// Why the work ended early; what is not counted above was not tried.
    pub ended_by: Option<Failure>,
    /// Names of those that were to be deleted and certainly were not: gone or refused.
    pub left: Vec<Key>,
    /// Whether the table could be read whole; if not, entries that should have been selected may
    /// have been missed.
    pub read_whole: bool,
}

impl Changed {
    /// How many have had their turn.
    pub const fn tried(&self) -> u64 {
        self.done + self.gone + self.refused + self.unknown
    }

    /// Whether everything that was selected is as it was asked to be.
    pub const fn is_whole(&self) -> bool {
        self.refused == 0 && self.unknown == 0 && self.ended_by.is_none() && self.read_whole
    }

    fn record(&mut self, result: Result<(), Error>) {
        let Err(error) = result else {
            self.done += 1;
            return;
        };
        match (error.kind(), &error) {
            (ErrorKind::NotFound, _) => {
                self.gone += 1;
                return;
            }
            (_, Error::AnswerLost { .. }) => self.unknown += 1,
            _ => self.refused += 1,
        }
        self.first.get_or_insert_with(|| error.into());
    }
}

/// The selected entries' names, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The names, as they came: entries that the kernel keeps side by side are found and deleted
    /// faster one after the other.
    pub keys: Vec<Key>,
    /// How the dump went.
    pub outcome: DumpOutcome,
    /// The remote session that we run in, if it is one of them.
    pub own_session: Option<Session>,
}

/// Reads the names of the selected entries. `progress` is told how many have been read.
pub fn keys(source: &Source, query: &Query, progress: impl FnMut(u64)) -> Result<Named, Failure> {
    let session = Session::own();
    let folded = source.fold(
        &Wanted::of(query),
        progress,
        || (Vec::new(), None),
        |(keys, own), entry| {
            keys.push(entry.key());
            *own = own.or(session.filter(|session| session.is(entry)));
        },
        |(keys, own), (mut more, other)| {
            keys.append(&mut more);
            *own = own.or(other);
        },
    )?;
    let (keys, own_session) = folded.value;
    Ok(Named {
        own_session,
        ..Named::new(keys, folded.outcome)
    })
}

impl Named {
    /// These names, each once: a dump that was interrupted, or from whose place in the table an
    /// entry has gone, may give one twice.
    pub(crate) fn new(mut keys: Vec<Key>, outcome: DumpOutcome) -> Self {
        crate::once::keep_once(&mut keys);
        Self {
            keys,
            outcome,
            own_session: None,
        }
    }
}

/// Deletes exactly the entries of these names, many in one system call. `progress` is told how
/// many are done.
///
/// An entry that has gone meanwhile, or whose tuple now belongs to another connection, is left
/// alone and counted as gone.
pub fn delete(client: &Client, named: &Named, progress: impl FnMut(u64)) -> Changed {
    let changes = named.keys.iter().map(|key| Change::Delete(*key));
    apply(client, changes, named.keys.len(), named.outcome, progress)
}

/// What to change in entries; what is `None` stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Edit {
    /// Seconds until they are dropped.
    pub timeout: Option<u32>,
    /// Bits of the mark.
    pub mark: Option<Masked>,
    /// Status bits to set; bits that are set stay set.
    pub status: Option<Status>,
    /// TCP state; entries of other protocols are refused.
    pub state: Option<TcpState>,
    /// Labels to set and all that may change: `(value, mask)`.
    pub labels: Option<(Labels, Labels)>,
    /// Helper; an empty name takes it away.
    pub helper: Option<ctnetlink::HelperName>,
}

impl Edit {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn update(&self, entry: &Entry) -> Update {
        Update {
            timeout: self.timeout,
            mark: self.mark,
            status: self
                .status
                .map(|bits| entry.status.unwrap_or_default() | bits),
            labels: self.labels,
            helper: self.helper,
            protoinfo: self.state.map(|state| {
                ProtoInfo::Tcp(TcpInfo {
                    state: Some(state),
                    ..TcpInfo::default()
                })
            }),
            ..Update::default()
        }
    }
}

/// What of a selection can be changed so; the rest the kernel would pass over in silence.
fn can_have(edit: &Edit, entry: &Entry) -> bool {
    edit.state.is_none() || entry.orig.protocol == Protocol::TCP
}

/// Changes the selected entries. `progress` is told how many are done.
///
/// The kernel makes the changes to one entry one after the other: of one that it refuses, some may
/// have been made.
pub fn update(
    source: &Source,
    query: &Query,
    edit: &Edit,
    progress: impl FnMut(u64),
) -> Result<Changed, Failure> {
    let client = source.client()?;
    let folded = source.fold(
        &Wanted::of(query),
        |_| {},
        Vec::new,
        |changes, entry| {
            changes.push((
                entry.key(),
                can_have(edit, entry).then(|| edit.update(entry)),
            ));
        },
        |changes: &mut Vec<_>, mut more| changes.append(&mut more),
    )?;
    let (mut changes, outcome) = (folded.value, folded.outcome);
    changes.sort_unstable_by_key(|(key, _)| *key);
    changes.dedup_by_key(|(key, _)| *key);
    let selected = changes.len();
    let changes = changes
        .into_iter()
        .filter_map(|(key, update)| update.map(|update| Change::Update(key, Box::new(update))));
    let changes: Vec<Change> = changes.collect();
    let passed_over = (selected - changes.len()) as u64;
    let mut changed = apply(client, changes, selected, outcome, progress);
    if passed_over > 0 {
        changed.refused += passed_over;
        changed.first.get_or_insert_with(no_state);
    }
    Ok(changed)
}

/// Changes one entry. What is no longer the same connection is not found.
pub fn change(client: &Client, entry: &Entry, edit: &Edit) -> Result<(), Failure> {
    if can_have(edit, entry) {
        return Ok(client.update(entry.key(), edit.update(entry))?);
    }
    Err(no_state())
}

fn no_state() -> Failure {
    Failure::new(
        "invalid",
        "only TCP connections have a TCP state",
        "add tcp to the query",
    )
}

fn apply(
    client: &Client,
    changes: impl IntoIterator<Item = Change>,
    selected: usize,
    outcome: DumpOutcome,
    mut progress: impl FnMut(u64),
) -> Changed {
    let mut changed = Changed {
        selected: selected as u64,
        read_whole: outcome.complete,
        ..Changed::default()
    };
    let applied = client.apply(changes, |change, result| {
        if let (Change::Delete(key), Err(error)) = (change, &result)
            && !matches!(error, Error::AnswerLost { .. })
        {
            changed.left.push(*key);
        }
        changed.record(result);
        progress(changed.tried());
    });
    changed.ended_by = applied.err().map(Failure::from);
    changed
}
