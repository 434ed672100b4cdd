//! What is known, each part of it only where it could be read.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ctnetlink::CpuStats;
use serde::Serialize;

use super::contents::Contents;
use crate::failure::Failure;

/// All that checks judge by. What is `None` is not known.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Whose table it is.
    pub place: Place,
    /// How full it is.
    pub usage: Option<Usage>,
    /// How full it was, oldest first: for a trend.
    pub counts: Vec<Count>,
    /// The kernel's counters.
    pub counters: Option<Counters>,
    /// The numbers in `/proc/sys/net/netfilter`, by the names of their files.
    pub settings: BTreeMap<String, u64>,
    /// What files of sysctl say of these settings.
    pub written: Option<Vec<Written>>,
    /// What one pass over the table found.
    pub contents: Option<Contents>,
    /// Whether anything makes the kernel track connections.
    pub tracking: Option<bool>,
    /// How many expectations there are.
    pub expectations: Option<u64>,
    /// The buffer that a listener to events gets.
    pub buffer: Option<Buffer>,
    /// Programs that listen to netfilter over netlink, other than this one.
    pub listeners: Option<Vec<Listener>>,
    /// Whether the table can be read by BPF.
    pub walk: Option<Walk>,
    /// Whether the kernel provably filters dumps; if not, why.
    pub filters: Option<Result<(), String>>,
    /// Memory of the machine in bytes.
    pub memory: Option<u64>,
    /// What only a daemon knows.
    pub daemon: Option<Daemon>,
    /// What could not be read, and why.
    pub unseen: Vec<Unseen>,
}

/// Whose table it is, as far as remedies need to know it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The namespace as it was named: a name of `ip netns`, a path, or a process's number.
    pub namespace: Option<String>,
    /// Whether it is the initial one, where the settings of all of them are.
    pub is_initial: Option<bool>,
    /// Whether nf_conntrack is a module, which can be loaded after `sysctl.d` was read.
    pub is_module: Option<bool>,
}

/// How full the table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Entries of this namespace.
    pub entries: u64,
    /// How many may be (`nf_conntrack_max`); 0 is no limit.
    pub limit: Option<u64>,
}

/// How many entries there were at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// When, by a clock that nobody sets.
    pub at: Instant,
    /// Entries.
    pub entries: u64,
}

/// A setting of `net.netfilter` as a file has it that is read at boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its name behind `net.netfilter.`.
    pub name: String,
    /// Its value.
    pub value: u64,
    /// The file, which is the last that has it.
    pub file: String,
}

/// The kernel's counters, summed over its CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// As they are.
    pub now: CpuStats,
    /// As they were.
    pub earlier: Option<Earlier>,
}

/// Counters as they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Earlier {
    /// The counters.
    pub stats: CpuStats,
    /// How long ago.
    pub ago: Duration,
}

/// How much a counter rose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rising {
    /// By how much.
    pub count: u64,
    /// Within which time.
    pub over: Duration,
}

/// The buffer for events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// Bytes that the configuration wants.
    pub wanted: u64,
    /// Bytes that the kernel gives.
    pub granted: u64,
    /// What the kernel gives at most to whoever has no CAP_NET_ADMIN (`net.core.rmem_max`).
    pub limit: Option<u64>,
}

/// A program that listens to netfilter over netlink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its port, which mostly is the process's number.
    pub port: u32,
    /// The program's name, where the port is a process.
    pub program: Option<String>,
    /// Messages that it lost because its buffer was full.
    pub lost: u64,
}

/// Whether the table can be read by BPF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Walk {
    /// It can.
    Works,
    /// It cannot.
    Refused {
        /// A stable word.
        code: &'static str,
        /// Why.
        reason: String,
    },
}

/// What only a daemon knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Daemon {
    /// Events lost since the start, as far as the kernel counts them.
    pub events_lost: u64,
    /// How often events were lost since the start, whether or not they could be counted.
    pub losses: u64,
    /// How often lately.
    pub losing_events: Option<Rising>,
    /// Bytes of the buffer for events that the configuration asks for.
    pub event_buffer: u64,
    /// The configuration file.
    pub config: PathBuf,
    /// The folder for what is kept, the history among it.
    pub state: PathBuf,
    /// Whether the last reading of the table was whole.
    pub is_complete: bool,
    /// Why the table cannot be kept as it should: events or readings that fail.
    pub troubles: Vec<Failure>,
    /// Why nothing is recorded, or not all.
    pub history: Option<Failure>,
    /// Where the database is that was damaged and set aside.
    pub set_aside: Option<String>,
    /// Why the DNS cannot be asked, if it should be.
    pub names: Option<Failure>,
}

/// What could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unseen {
    /// What it is.
    pub what: &'static str,
    /// Why.
    #[serde(flatten)]
    pub failure: Failure,
}

impl Facts {
    /// A setting of `/proc/sys/net/netfilter`.
    pub(super) fn setting(&self, name: &str) -> Option<u64> {
        self.settings.get(name).copied()
    }

    /// A switch of `/proc/sys/net/netfilter`.
    pub(super) fn switch(&self, name: &str) -> Option<bool> {
        self.setting(name).map(|value| value != 0)
    }

    /// Entries and their limit, where there is one.
    pub(super) fn limited(&self) -> Option<(u64, u64)> {
        let usage = self.usage?;
        let limit = usage.limit.filter(|&limit| limit > 0)?;
        Some((usage.entries, limit))
    }
}

impl Usage {
    /// Whether there is a limit at all; `None` where it is not known.
    pub(super) fn is_limited(self) -> Option<bool> {
        self.limit.map(|limit| limit > 0)
    }
}

impl Counters {
    /// A counter's value and how much it rose; `None` where this kernel does not have it.
    pub(super) fn of(
        &self,
        counter: impl Fn(&CpuStats) -> Option<u32>,
    ) -> Option<(u64, Option<Rising>)> {
        let now = counter(&self.now)?;
        let rising = self.earlier.and_then(|earlier| {
            let before = counter(&earlier.stats)?;
            Some(Rising {
                // The kernel's counters wrap.
                count: u64::from(now.wrapping_sub(before)),
                over: earlier.ago,
            })
        });
        Some((u64::from(now), rising))
    }
}

impl Rising {
    /// How much a second; 0 if no time has passed.
    pub fn per_second(&self) -> f64 {
        let seconds = self.over.as_secs_f64();
        if seconds > 0.0 {
            self.count as f64 / seconds
        } else {
            0.0
        }
    }
}
