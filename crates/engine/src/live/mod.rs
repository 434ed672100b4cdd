//! The table as the daemon keeps it: read once, kept by events, with counters and rates from readings
//! that follow.

use std::sync::Arc;
use std::time::Duration;

use ctnetlink::{Client, Entry, Event, Key, Namespace};
use query::Query;
use serde::{Deserialize, Serialize};

use crate::column::Column;
use crate::failure::Failure;
use crate::group::{Groups, Plan};
use crate::kernel::Way;
use crate::source::Source;

/// `[live]` of the configuration: how the table is kept.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// How much of one core reading the table may take, in percent.
    pub cpu_percent: f64,
    /// The same while somebody looks.
    pub cpu_percent_watched: f64,
    /// Seconds between two readings at least, while somebody looks.
    pub shortest_seconds: f64,
    /// Seconds between two readings at most, whatever they cost.
    pub longest_seconds: f64,
    /// Bytes of the kernel's buffer for events.
    pub event_buffer: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cpu_percent: 10.0,
            cpu_percent_watched: 25.0,
            shortest_seconds: 1.0,
            longest_seconds: 60.0,
            event_buffer: 64 << 20,
        }
    }
}

/// What belongs to every answer: how far it can be believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Truth {
    /// When the counters were read last, in nanoseconds since the epoch; 0 before the first reading.
    pub taken_ns: u64,
    /// How it was read: `bpf` or `netlink`.
    pub source: &'static str,
    /// Why not by BPF: a code and a sentence.
    pub source_reason: Option<(&'static str, String)>,
    /// Whether the last reading was whole and nothing is known to be missing since.
    pub complete: bool,
    /// Events that the kernel could not hand over, since the start.
    pub events_lost: u64,
    /// Whether new connections get counters (`nf_conntrack_acct`).
    pub accounting: bool,
    /// Whether new connections get start times (`nf_conntrack_timestamp`).
    pub timestamps: bool,
    /// Connections in a flow table, whose counters stand still.
    pub offloaded: u64,
}

/// How much moves, a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Rates {
    /// Bytes of the original direction.
    pub bytes_orig: f32,
    /// Bytes of the reply direction.
    pub bytes_reply: f32,
    /// Packets of the original direction.
    pub packets_orig: f32,
    /// Packets of the reply direction.
    pub packets_reply: f32,
}

/// A connection of the live table.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// All that is known of it.
    pub entry: Entry,
    /// How much it moves; `None` before it was read twice, and where accounting is off.
    pub rates: Option<Rates>,
}

/// What a page is sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortBy {
    /// A column.
    Column(Column),
    /// Bytes a second, both directions.
    Rate,
    /// Bytes a second, original direction.
    RateOrig,
    /// Bytes a second, reply direction.
    RateReply,
}

/// Which rows are wanted.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// Selects connections.
    pub query: Query,
    /// Their order; the table's own where none is given.
    pub sort: Option<SortBy>,
    /// Whether the last comes first.
    pub reverse: bool,
    /// How many rows.
    pub limit: usize,
    /// How many rows before them.
    pub offset: usize,
    /// A page that was answered before, whose order is gone on with.
    pub cursor: Option<String>,
}

/// Some rows of all that are selected.
#[derive(Clone, Debug)]
pub struct Page {
    /// The rows, in order.
    pub rows: Vec<Row>,
    /// Sums of all that is selected.
    pub totals: Totals,
    /// Names this result for the pages behind: they stay as they are, except that what has ended is left
    /// out. Forgotten some minutes after its last use.
    pub cursor: Option<String>,
    /// How far it can be believed.
    pub truth: Truth,
}

/// Sums over connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Totals {
    /// How many.
    pub connections: u64,
    /// Bytes of both directions, of those that have counters.
    pub bytes: Option<u64>,
    /// Packets of both directions.
    pub packets: Option<u64>,
    /// How much they move.
    pub rates: Option<Rates>,
}

/// The table in numbers, as it is now.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Nanoseconds since the epoch.
    pub time_ns: u64,
    /// Connections in the table, of this namespace.
    pub connections: u64,
    /// What the kernel allows (`nf_conntrack_max`).
    pub limit: Option<u32>,
    /// Births since the start.
    pub births: u64,
    /// Deaths since the start.
    pub deaths: u64,
    /// How much all of them moved since the start, as far as it was read; `None` where accounting is off.
    pub moved: Option<Moved>,
    /// How much all of them move.
    pub rates: Option<Rates>,
    /// Connections by protocol number.
    pub protocols: Vec<(u8, u64)>,
    /// Connections by protocol number and the kernel's name of the state.
    pub states: Vec<(u8, &'static str, u64)>,
    /// Connections that are assured: the last that a full table gives up.
    pub assured: u64,
    /// Connections without an answer.
    pub unreplied: u64,
    /// Connections with translated addresses or ports.
    pub nat: u64,
}

/// Bytes and packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// Bytes.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
}

/// Events of one listener, in a queue that is bounded. It ends when the listener is too slow
/// ([`Feed::is_too_slow`]) or the table is closed.
pub struct Feed {
    /// What comes.
    pub events: tokio::sync::mpsc::Receiver<Arc<Event>>,
}

/// While one of these lives, somebody looks: counters are read more often.
pub struct Looking(#[allow(dead_code)] Arc<Live>);

/// The live table.
pub struct Live {}

impl Live {
    /// Opens the table of a namespace and begins to keep it.
    pub fn open(
        _namespace: Option<Namespace>,
        _way: Way,
        _settings: &Settings,
    ) -> Result<Arc<Self>, Failure> {
        Ok(Arc::new(Self {}))
    }

    /// The kernel's table itself, for actions and for what must be read now.
    pub fn source(&self) -> &Source {
        unimplemented!()
    }

    /// The kernel over netlink.
    pub fn client(&self) -> &Client {
        unimplemented!()
    }

    /// Waits for the first reading; `false` if that takes longer.
    pub fn wait_until_ready(&self, _at_most: Duration) -> bool {
        unimplemented!()
    }

    /// How far it can be believed.
    pub fn truth(&self) -> Truth {
        unimplemented!()
    }

    /// The table in numbers.
    pub fn summary(&self) -> Summary {
        unimplemented!()
    }

    /// Somebody looks from now on.
    pub fn look(self: &Arc<Self>) -> Looking {
        Looking(Arc::clone(self))
    }

    /// Changes its number after every reading of the counters.
    pub fn readings(&self) -> tokio::sync::watch::Receiver<u64> {
        unimplemented!()
    }

    /// Rows of all that is selected.
    pub fn page(&self, _request: &PageRequest) -> Result<Page, Failure> {
        unimplemented!()
    }

    /// All selected connections, in no order, in parts: for streams of any length.
    pub fn scan(
        &self,
        _query: &Query,
        _each: &mut dyn FnMut(&Row) -> Result<std::ops::ControlFlow<()>, Failure>,
    ) -> Result<Truth, Failure> {
        unimplemented!()
    }

    /// Groups of what is selected.
    pub fn groups(&self, _query: &Query, _plan: &Plan) -> (Groups, Truth) {
        unimplemented!()
    }

    /// One connection, as the kernel has it now, with its rates.
    pub fn get(&self, _key: &Key) -> Result<Row, Failure> {
        unimplemented!()
    }

    /// The connection of a short name ([`name`]).
    pub fn find(&self, _name: &str) -> Result<Row, Failure> {
        unimplemented!()
    }

    /// Births, changes and deaths from now on that a query selects; at most so many may wait.
    pub fn feed(&self, _query: Query, _queue: usize) -> Feed {
        unimplemented!()
    }

    /// Ends the threads.
    pub fn close(&self) {}
}

impl Feed {
    /// Whether it ended because events came faster than they were taken.
    pub fn is_too_slow(&self) -> bool {
        unimplemented!()
    }
}

/// A short name of a connection for addresses (URLs): its id and a hash of its tuple and zone.
pub fn name(_entry: &Entry) -> String {
    unimplemented!()
}
