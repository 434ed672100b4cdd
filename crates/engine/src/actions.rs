//! What can be done to the table. Command line, contract and screens call these and print what
//! comes out.

use ctnetlink::{
    Change, Client, DumpOutcome, DumpRequest, Entry, ErrorKind, GlobalStats, Key, Labels, Masked,
    ProtoInfo, Status, Table, TcpInfo, TcpState, Update,
};

use crate::failure::Failure;
use crate::select::Selection;

/// How often a dump that was interrupted is begun anew.
pub const ATTEMPTS: u32 = 3;

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

/// Reads the selected entries one by one, as they come from the kernel; nothing is kept.
///
/// What has been given out cannot be taken back, so an interrupted dump is not begun anew: the
/// outcome says that it is not complete.
pub fn list(
    client: &Client,
    table: Table,
    selection: &Selection,
    mut each: impl FnMut(&Entry) -> Result<Flow, Failure>,
) -> Result<Listed, Failure> {
    let mut dump = client.dump(&DumpRequest {
        table,
        filter: selection.kernel_filter(),
    })?;
    let mut selected = 0;
    while let Some(entry) = dump.next_entry()? {
        if selection.matches(entry) {
            selected += 1;
            if each(entry)?.is_break() {
                break;
            }
        }
    }
    Ok(Listed {
        selected,
        outcome: dump.outcome(),
    })
}

/// Reads the selected entries and sets their counters to zero.
pub fn list_and_zero(
    client: &Client,
    selection: &Selection,
    mut each: impl FnMut(&Entry) -> Result<Flow, Failure>,
) -> Result<Listed, Failure> {
    if !selection.is_exact_in_kernel() {
        return Err(Failure::new(
            "unsupported",
            "the kernel cannot select so when it sets counters to zero, and would zero more",
            "select by family, protocol, single addresses and ports, zone, one mark, or status",
        ));
    }
    let mut dump = client.dump_and_zero(&selection.kernel_filter())?;
    let mut selected = 0;
    while let Some(entry) = dump.next_entry()? {
        if !selection.matches(entry) {
            continue;
        }
        selected += 1;
        if each(entry)?.is_break() {
            break;
        }
    }
    Ok(Listed {
        selected,
        outcome: dump.outcome(),
    })
}

/// Counts the selected entries.
pub fn count(client: &Client, selection: &Selection) -> Result<Listed, Failure> {
    let request = DumpRequest {
        table: Table::Conntrack,
        filter: selection.kernel_filter(),
    };
    let (selected, outcome) = client.fold(
        &request,
        ATTEMPTS,
        || 0u64,
        |count, entry| *count += u64::from(selection.matches(entry)),
    )?;
    Ok(Listed { selected, outcome })
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
    /// Why the first of them was refused.
    pub first_refusal: Option<Failure>,
}

impl Changed {
    /// Adds one more result.
    fn record(&mut self, result: Result<(), ctnetlink::Error>) {
        match result {
            Ok(()) => self.done += 1,
            Err(error) if error.kind() == ErrorKind::NotFound => self.gone += 1,
            Err(error) => {
                self.refused += 1;
                self.first_refusal.get_or_insert_with(|| error.into());
            }
        }
    }
}

/// The keys of the selected entries.
pub fn keys(client: &Client, selection: &Selection) -> Result<Vec<Key>, Failure> {
    let request = DumpRequest {
        table: Table::Conntrack,
        filter: selection.kernel_filter(),
    };
    let (keys, _) = client.fold(&request, ATTEMPTS, Vec::new, |keys, entry| {
        if selection.matches(entry) {
            keys.push(entry.key());
        }
    })?;
    Ok(keys)
}

/// Deletes exactly the entries of these keys, many in one system call. `progress` is told how
/// many are done.
///
/// An entry that has gone meanwhile, or whose tuple now belongs to another connection, is left
/// alone and counted as gone.
pub fn delete(
    client: &Client,
    keys: &[Key],
    mut progress: impl FnMut(u64),
) -> Result<Changed, Failure> {
    let mut changed = Changed {
        selected: keys.len() as u64,
        ..Changed::default()
    };
    client.apply(keys.iter().map(|key| Change::Delete(*key)), |_, result| {
        changed.record(result);
        progress(changed.done + changed.gone + changed.refused);
    })?;
    Ok(changed)
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
    /// TCP state.
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

/// Changes the selected entries.
pub fn update(
    client: &Client,
    selection: &Selection,
    edit: &Edit,
    mut progress: impl FnMut(u64),
) -> Result<Changed, Failure> {
    let request = DumpRequest {
        table: Table::Conntrack,
        filter: selection.kernel_filter(),
    };
    let (changes, _) = client.fold(&request, ATTEMPTS, Vec::new, |changes, entry| {
        if selection.matches(entry) {
            changes.push(Change::Update(entry.key(), Box::new(edit.update(entry))));
        }
    })?;
    let mut changed = Changed {
        selected: changes.len() as u64,
        ..Changed::default()
    };
    client.apply(changes, |_, result| {
        changed.record(result);
        progress(changed.done + changed.gone + changed.refused);
    })?;
    Ok(changed)
}
