//! Every metric that there is; `docs/metrics.md` has the same list.

/// What a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only goes up, from the daemon's start.
    Counter,
    /// Always 1; what it tells is in its labels.
    Info,
}

impl Kind {
    /// The word in documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Info => "info",
        }
    }

    /// What the name of a series ends in beyond its family's.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Gauge => "",
            Self::Counter => "_total",
            Self::Info => "_info",
        }
    }
}

/// A family of series.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name, without the ending of its kind and with its unit.
    pub family: &'static str,
    /// What its numbers are.
    pub kind: Kind,
    /// `bytes` or `seconds`, with which the name ends; nothing for a plain number.
    pub unit: Option<&'static str>,
    /// What its series differ in.
    pub labels: &'static [&'static str],
    /// What it tells, one sentence.
    pub help: &'static str,
}

impl Metric {
    /// The name by which it is asked for.
    pub fn name(&self) -> String {
        format!("{}{}", self.family, self.kind.suffix())
    }
}

macro_rules! metrics {
    ($($metric:ident $kind:ident $family:literal $([$($label:literal),+])? $(in $unit:literal)? : $help:literal;)+) => {
        $(
            #[doc = $help]
            pub const $metric: Metric = Metric {
                family: $family,
                kind: Kind::$kind,
                unit: metrics!(@unit $($unit)?),
                labels: &[$($($label),+)?],
                help: $help,
            };
        )+

        /// All of them, in the order in which they are told.
        pub const ALL: &[&Metric] = &[$(&$metric),+];
    };
    (@unit) => { None };
    (@unit $unit:literal) => { Some($unit) };
}

metrics! {
    BUILD Info "tracklight_build" ["version"]: "Version of the daemon.";
    READY Gauge "tracklight_ready": "Whether the table was read since the start: 1 or 0. Before that, nothing is told of it.";
    CONNECTIONS Gauge "tracklight_connections": "Connections in the table of this network namespace.";
    LIMIT Gauge "tracklight_connections_limit": "Connections that the kernel allows (nf_conntrack_max).";
    PROTOCOLS Gauge "tracklight_protocol_connections" ["protocol"]: "Connections by protocol; those that the kernel tracks by address only are other.";
    STATES Gauge "tracklight_state_connections" ["protocol", "state"]: "Connections by protocol and the kernel's name of the state.";
    ASSURED Gauge "tracklight_assured_connections": "Connections that are assured, the last that a full table gives up.";
    UNREPLIED Gauge "tracklight_unreplied_connections": "Connections without an answer.";
    NAT Gauge "tracklight_nat_connections": "Connections with translated addresses or ports.";
    OFFLOADED Gauge "tracklight_offloaded_connections": "Connections in a flow table, whose counters stand still.";
    SOURCES Gauge "tracklight_source_connections" ["src"]: "Connections of the sources that have the most; as many as metrics.top-sources says.";
    BIRTHS Counter "tracklight_births": "Connections that began.";
    DEATHS Counter "tracklight_deaths": "Connections that ended.";
    MOVED_BYTES Counter "tracklight_traffic_bytes" in "bytes": "Bytes that all connections moved, as far as they were read; absent where accounting is off.";
    MOVED_PACKETS Counter "tracklight_traffic_packets": "Packets that all connections moved, as far as they were read; absent where accounting is off.";
    RATE_BYTES Gauge "tracklight_traffic_bytes_per_second" ["direction"]: "Bytes a second between the last two readings; absent where accounting is off.";
    RATE_PACKETS Gauge "tracklight_traffic_packets_per_second" ["direction"]: "Packets a second between the last two readings; absent where accounting is off.";
    KERNEL_SEARCHED Counter "tracklight_kernel_searched": "Look-ups, before Linux 4.10.";
    KERNEL_FOUND Counter "tracklight_kernel_found": "Look-ups that found an entry.";
    KERNEL_NEW Counter "tracklight_kernel_new": "New entries, before Linux 4.10.";
    KERNEL_INVALID Counter "tracklight_kernel_invalid": "Packets that no entry fits and none can be made for.";
    KERNEL_IGNORE Counter "tracklight_kernel_ignore": "Packets that already had an entry, before Linux 4.10.";
    KERNEL_DELETE Counter "tracklight_kernel_delete": "Entries removed, before Linux 4.10.";
    KERNEL_DELETE_LIST Counter "tracklight_kernel_delete_list": "Entries put on the dying list, before Linux 4.10.";
    KERNEL_INSERT Counter "tracklight_kernel_insert": "Entries inserted, where the kernel counts them.";
    KERNEL_INSERT_FAILED Counter "tracklight_kernel_insert_failed": "Entries that could not be inserted, mostly a clash or a port already in use by NAT; their packets are lost.";
    KERNEL_DROP Counter "tracklight_kernel_drop": "Packets dropped because an entry could not be made: table full, or out of memory.";
    KERNEL_EARLY_DROP Counter "tracklight_kernel_early_drop": "Entries evicted to make room in a full table.";
    KERNEL_ERROR Counter "tracklight_kernel_error": "ICMP errors that fit no entry.";
    KERNEL_SEARCH_RESTART Counter "tracklight_kernel_search_restart": "Look-ups begun anew because the table was being resized.";
    KERNEL_CLASH_RESOLVE Counter "tracklight_kernel_clash_resolve": "Clashes that were resolved without loss.";
    KERNEL_CHAINTOOLONG Counter "tracklight_kernel_chaintoolong": "Entries refused because their bucket's chain was too long.";
    COMPLETE Gauge "tracklight_table_complete": "Whether the last reading was whole and nothing is known to be missing since: 1 or 0.";
    READING_AGE Gauge "tracklight_reading_age_seconds" in "seconds": "Time since the counters of the connections were read last.";
    READING_DURATION Gauge "tracklight_reading_duration_seconds" in "seconds": "How long the last reading took.";
    SOURCE Info "tracklight_reading" ["source", "reason"]: "How the table was read last, bpf or netlink, and the code of why not by bpf.";
    EVENTS_LOST Counter "tracklight_events_lost": "Events that the kernel could not hand over, as far as it counts them.";
    UNHEARD Gauge "tracklight_unheard_connections": "Connections of which no event has told: born while nobody listened, they are as the last reading found them.";
    LOSSES Counter "tracklight_event_losses": "Times at which events were lost, or were not heard for a while.";
    ACCOUNTING Gauge "tracklight_accounting_enabled": "Whether new connections get counters (nf_conntrack_acct): 1 or 0.";
    TIMESTAMPS Gauge "tracklight_timestamps_enabled": "Whether new connections get start times (nf_conntrack_timestamp): 1 or 0.";
    TROUBLES Gauge "tracklight_troubles" ["code"]: "Why the table cannot be kept just now, by the code of the failure (docs/errors.md).";
    FINDINGS Gauge "tracklight_health_findings" ["severity"]: "What tracklight doctor finds, by how bad it is.";
    CPU Counter "process_cpu_seconds" in "seconds": "Processor time of the daemon, its own and the kernel's for it.";
    RESIDENT Gauge "process_resident_memory_bytes" in "bytes": "Memory of the daemon that is in use.";
    VIRTUAL Gauge "process_virtual_memory_bytes" in "bytes": "Address space of the daemon.";
    OPEN_FILES Gauge "process_open_fds": "Open files of the daemon.";
    MOST_FILES Gauge "process_max_fds": "Files that the daemon may have open.";
    THREADS Gauge "process_threads": "Threads of the daemon.";
    START_TIME Gauge "process_start_time_seconds" in "seconds": "When the daemon started, in seconds since the epoch.";
}

/// The kernel's counters by the kernel's names of them.
pub const KERNEL: &[(&str, &Metric)] = &[
    ("searched", &KERNEL_SEARCHED),
    ("found", &KERNEL_FOUND),
    ("new", &KERNEL_NEW),
    ("invalid", &KERNEL_INVALID),
    ("ignore", &KERNEL_IGNORE),
    ("delete", &KERNEL_DELETE),
    ("delete_list", &KERNEL_DELETE_LIST),
    ("insert", &KERNEL_INSERT),
    ("insert_failed", &KERNEL_INSERT_FAILED),
    ("drop", &KERNEL_DROP),
    ("early_drop", &KERNEL_EARLY_DROP),
    ("error", &KERNEL_ERROR),
    ("search_restart", &KERNEL_SEARCH_RESTART),
    ("clash_resolve", &KERNEL_CLASH_RESOLVE),
    ("chaintoolong", &KERNEL_CHAINTOOLONG),
];
