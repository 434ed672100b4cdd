//! What conntrack messages hold: entries, expectations, statistics, filters, changes.

mod change;
mod encode;
mod entry;
mod expectation;
mod filter;
mod labels;
mod protoinfo;
mod stats;
mod status;
mod tuple;

pub use change::{Change, NatRange, NewEntry, Update};
pub use entry::{
    Counters, Direction, Entry, Extra, HelperName, Key, SeqAdj, SynProxy, Timestamps, Zone,
    ZoneDirection,
};
pub use expectation::{Expectation, ExpectationFlags, ExpectationKey, NewExpectation};
pub use filter::{Filter, Masked, TupleFilter};
pub use labels::Labels;
pub use protoinfo::{
    DccpInfo, DccpState, ProtoInfo, SctpInfo, SctpState, TcpFlags, TcpInfo, TcpState,
};
pub use stats::{CpuStats, ExpectationCpuStats, GlobalStats};
pub use status::Status;
pub use tuple::{Family, L4, Protocol, Tuple};
