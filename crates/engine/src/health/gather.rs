//! Facts, as this machine tells them.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use ctnetlink::{
    Client, CpuStats, EventOptions, Family, Feature, Filter, Groups, Namespace, Protocol,
};
use ctwalk::{Refusal, Walker};

use super::contents::Contents;
use super::facts::{Buffer, Count, Counters, Earlier, Facts, Listener, Place, Unseen, Usage, Walk};
use super::written::written;
use crate::failure::Failure;
use crate::source::Source;

/// Where the settings of the calling thread's network namespace are.
const SETTINGS: &str = "/proc/sys/net/netfilter";

/// What is asked, and of whom.
pub struct Ask<'a> {
    /// The kernel's table.
    pub source: &'a Source,
    /// Its namespace; `None` for the calling thread's.
    pub namespace: Option<&'a Namespace>,
    /// How somebody named it, for commands.
    pub named: Option<&'a str>,
    /// Bytes of the buffer for events that are wanted.
    pub event_buffer: u64,
    /// How long to look on before the table is read, as [`Facts::watch`] does; zero for not at all.
    pub watch: Duration,
    /// Whether to read the table for [`Facts::contents`]. Who has it already, such as a daemon, adds its entries to
    /// a [`Contents`] instead.
    pub read_table: bool,
    /// Whether to find out if the table can be read by BPF, which takes some ten milliseconds.
    pub try_walk: bool,
}

/// Gathers what can be known. What cannot is told in [`Facts::unseen`].
///
/// An error only where the namespace cannot be entered, or a saved table was given.
pub fn gather(ask: &Ask<'_>, progress: impl FnMut(u64)) -> Result<Facts, Failure> {
    let client = ask.source.client()?;
    let inside = ask.inside(Inside::read)?;
    let mut facts = Facts {
        // The files are for the initial namespace.
        written: (inside.is_initial == Some(true)).then(|| written(Path::new("/"))),
        place: Place {
            namespace: ask.named.map(str::to_owned),
            is_initial: inside.is_initial,
            is_module: is_module(),
        },
        listeners: inside.listeners,
        memory: memory(),
        ..Facts::default()
    };
    match inside.settings {
        Ok(settings) => facts.settings = settings,
        Err(failure) => facts.miss("settings", failure),
    }
    facts.read_usage(client);
    // Who may not ask the kernel may not listen to it either.
    let may_listen = facts.read_counters(client, inside.counters);
    facts.expectations = facts
        .read(
            "expectations",
            client.expectations(None).map_err(Failure::from),
        )
        .map(|expectations| expectations.len() as u64);
    facts.tracking = tracking(client);
    if may_listen {
        let buffer = buffer(client, ask.event_buffer, inside.rmem_max);
        facts.buffer = facts.read("buffer", buffer);
    }
    facts.filters = filters(client);
    // The table last, so that it is as it is when somebody is told.
    if !ask.watch.is_zero() {
        facts.watch(ask, ask.watch)?;
    }
    if ask.read_table {
        facts.contents = facts.read("table", Contents::read(ask.source, progress));
    }
    if ask.try_walk {
        facts.walk = walk(ask);
    }
    Ok(facts)
}

/// Reads the kernel's counters, over all CPUs.
pub fn counters(client: &Client) -> Result<CpuStats, Failure> {
    let cpus = client.cpu_stats()?;
    Ok(cpus
        .into_iter()
        .reduce(|all, cpu| all.plus(&cpu))
        .unwrap_or_default())
}

impl Facts {
    /// Looks on for so long, for what only shows in time: which counters rise, and the trend of the number of
    /// entries, which is counted once a second.
    pub fn watch(&mut self, ask: &Ask<'_>, over: Duration) -> Result<(), Failure> {
        const STEP: Duration = Duration::from_secs(1);
        let client = ask.source.client()?;
        let Some(before) = self.counters.map(|counters| counters.now) else {
            return Ok(());
        };
        let began = Instant::now();
        self.note_count();
        while let Some(left) = over
            .checked_sub(began.elapsed())
            .filter(|left| !left.is_zero())
        {
            std::thread::sleep(left.min(STEP));
            if let Ok(usage) = usage(client) {
                self.usage = Some(usage);
                self.note_count();
            }
        }
        let now = match counters(client) {
            Ok(now) => Some(now),
            Err(_) => ask.inside(counters_in_proc)?,
        };
        if let Some(now) = now {
            let earlier = Some(Earlier {
                stats: before,
                ago: began.elapsed(),
            });
            self.counters = Some(Counters { now, earlier });
        }
        Ok(())
    }

    /// What the kernel refuses to tell over netlink stands among its settings.
    fn read_usage(&mut self, client: &Client) {
        self.usage = match usage(client) {
            Ok(usage) => Some(usage),
            Err(failure) => {
                let known = self.usage_in_settings();
                known.or_else(|| self.read("count", Err(failure)))
            }
        };
    }

    /// Counters over netlink, else as /proc has them; whether it was netlink.
    fn read_counters(&mut self, client: &Client, in_proc: Option<CpuStats>) -> bool {
        let counters = counters(client);
        let is_netlink = counters.is_ok();
        let now = match counters {
            Ok(now) => Some(now),
            Err(failure) => in_proc.or_else(|| self.read("counters", Err(failure))),
        };
        self.counters = now.map(|now| Counters { now, earlier: None });
        is_netlink
    }

    fn note_count(&mut self) {
        if let Some(usage) = self.usage {
            self.counts.push(Count {
                at: Instant::now(),
                entries: usage.entries,
            });
        }
    }

    /// What was read, or nothing and why.
    fn read<T>(&mut self, what: &'static str, result: Result<T, Failure>) -> Option<T> {
        result.map_err(|failure| self.miss(what, failure)).ok()
    }

    fn miss(&mut self, what: &'static str, failure: Failure) {
        self.unseen.push(Unseen { what, failure });
    }

    fn usage_in_settings(&self) -> Option<Usage> {
        Some(Usage {
            entries: self.setting("nf_conntrack_count")?,
            limit: self.setting("nf_conntrack_max"),
        })
    }
}

impl Ask<'_> {
    /// Runs something in the namespace.
    fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Failure> {
        match self.namespace {
            None => Ok(work()),
            Some(namespace) => Ok(namespace.run(|| Ok(work()))?),
        }
    }
}

/// What has to be read by a thread that is in the namespace.
struct Inside {
    settings: Result<BTreeMap<String, u64>, Failure>,
    is_initial: Option<bool>,
    rmem_max: Option<u64>,
    listeners: Option<Vec<Listener>>,
    counters: Option<CpuStats>,
}

impl Inside {
    fn read() -> Self {
        // Only the initial namespace can change what all of them share.
        let shared = fs::metadata(Path::new(SETTINGS).join("nf_conntrack_buckets"));
        Self {
            settings: settings(),
            is_initial: shared
                .ok()
                .map(|file| file.permissions().mode() & 0o200 != 0),
            rmem_max: number("/proc/sys/net/core/rmem_max"),
            listeners: fs::read_to_string("/proc/thread-self/net/netlink")
                .ok()
                .map(|text| listeners(&text, &own_sockets(), program)),
            counters: counters_in_proc(),
        }
    }
}

fn settings() -> Result<BTreeMap<String, u64>, Failure> {
    let unreadable = |error: io::Error| {
        let hint = if error.kind() == io::ErrorKind::NotFound {
            "the kernel's connection tracking is not loaded: modprobe nf_conntrack"
        } else {
            "run it as root"
        };
        Failure::new(
            "unreadable",
            format!("cannot read {SETTINGS}: {error}"),
            hint,
        )
    };
    let mut settings = BTreeMap::new();
    for file in fs::read_dir(SETTINGS).map_err(unreadable)? {
        let file = file.map_err(unreadable)?;
        if let Ok(name) = file.file_name().into_string()
            && name.starts_with("nf_conntrack_")
            && let Some(value) = number(file.path())
        {
            settings.insert(name, value);
        }
    }
    if settings.is_empty() {
        return Err(unreadable(io::ErrorKind::NotFound.into()));
    }
    Ok(settings)
}

fn number(path: impl AsRef<Path>) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn counters_in_proc() -> Option<CpuStats> {
    parse_counters(&fs::read_to_string("/proc/thread-self/net/stat/nf_conntrack").ok()?)
}

/// The lines of `/proc/net/stat/nf_conntrack`: names, then for each CPU its numbers in hexadecimal.
fn parse_counters(text: &str) -> Option<CpuStats> {
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next()?.split_whitespace().collect();
    let cpus = lines.map(|line| {
        let numbers = line.split_whitespace();
        let mut stats = CpuStats::default();
        for (name, number) in names.iter().zip(numbers) {
            let value = u32::from_str_radix(number, 16).ok();
            match *name {
                "found" => stats.found = value,
                "invalid" => stats.invalid = value,
                "insert" => stats.insert = value,
                "insert_failed" => stats.insert_failed = value,
                "drop" => stats.drop = value,
                "early_drop" => stats.early_drop = value,
                "icmp_error" => stats.error = value,
                "search_restart" => stats.search_restart = value,
                "clashres" => stats.clash_resolve = value,
                "chainlength" => stats.chaintoolong = value,
                _ => {}
            }
        }
        stats
    });
    cpus.reduce(|all, cpu| all.plus(&cpu))
}

/// The inodes of this process's sockets.
fn own_sockets() -> HashSet<String> {
    let Ok(descriptors) = fs::read_dir("/proc/self/fd") else {
        return HashSet::new();
    };
    let sockets = descriptors.filter_map(|descriptor| {
        let target = fs::read_link(descriptor.ok()?.path()).ok()?;
        let inode = target.to_str()?.strip_prefix("socket:[")?;
        Some(inode.strip_suffix(']')?.to_owned())
    });
    sockets.collect()
}

/// The lines of `/proc/net/netlink`: those who listen to a group of netfilter, without the sockets that are
/// our own, by their inodes.
fn listeners(
    text: &str,
    own: &HashSet<String>,
    program: impl Fn(u32) -> Option<String>,
) -> Vec<Listener> {
    /// `NETLINK_NETFILTER`
    const NETFILTER: &str = "12";
    let mut lines = text.lines();
    let heads: Vec<&str> = lines
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let place = |name: &str| heads.iter().position(|head| *head == name);
    let (Some(protocol), Some(port), Some(groups), Some(drops), Some(inode)) = (
        place("Eth"),
        place("Pid"),
        place("Groups"),
        place("Drops"),
        place("Inode"),
    ) else {
        return Vec::new();
    };
    let listener = |line: &str| {
        let cells: Vec<&str> = line.split_whitespace().collect();
        let port: u32 = cells.get(port)?.parse().ok()?;
        let listens = u64::from_str_radix(cells.get(groups)?, 16).ok()? != 0;
        let is_own = own.contains(*cells.get(inode)?);
        // The kernel's own has port 0.
        (*cells.get(protocol)? == NETFILTER && listens && port != 0 && !is_own).then(|| {
            Some(Listener {
                port,
                program: program(port),
                lost: cells.get(drops)?.parse().ok()?,
            })
        })?
    };
    lines.filter_map(listener).collect()
}

/// A process's name.
fn program(pid: u32) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}

fn is_module() -> Option<bool> {
    let module = Path::new("/sys/module/nf_conntrack");
    module.exists().then(|| module.join("initstate").exists())
}

/// Memory in bytes.
fn memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

fn usage(client: &Client) -> Result<Usage, Failure> {
    let stats = client.global_stats()?;
    let unknown = || {
        Failure::new(
            "bad-answer",
            "the kernel did not say how many entries there are",
            "",
        )
    };
    Ok(Usage {
        entries: stats.entries.ok_or_else(unknown)?.into(),
        // Linux before 4.18 tells it in the settings only.
        limit: stats
            .max_entries
            .map(u64::from)
            .or_else(|| number(Path::new(SETTINGS).join("nf_conntrack_max"))),
    })
}

fn tracking(client: &Client) -> Option<bool> {
    let families = Family::ALL.map(|family| client.is_tracking(family).unwrap_or(None));
    if families.contains(&Some(true)) {
        return Some(true);
    }
    families
        .iter()
        .all(|tracking| *tracking == Some(false))
        .then_some(false)
}

fn buffer(client: &Client, wanted: u64, limit: Option<u64>) -> Result<Buffer, Failure> {
    let options = EventOptions {
        receive_buffer: usize::try_from(wanted).unwrap_or(usize::MAX),
        queue: 1 << 16,
        reliable: false,
    };
    // Of no group: nobody is made to tell anything.
    let events = client.events(Groups::empty(), options)?;
    Ok(Buffer {
        wanted,
        // The kernel tells twice what it takes for messages.
        granted: events.receive_buffer() as u64 / 2,
        limit,
    })
}

/// Whether dumps are filtered; nothing where it could not be tried.
fn filters(client: &Client) -> Option<Result<(), String>> {
    let filter = Filter {
        protocol: Some(Protocol::TCP),
        ..Filter::any()
    };
    match client.features().proves(Feature::FilteredDump, &filter) {
        Err(reason) if reason.starts_with("the probe failed") => None,
        proof => Some(proof),
    }
}

/// Whether the table can be read by BPF: as it was read, or else by trying.
fn walk(ask: &Ask<'_>) -> Option<Walk> {
    let reading = ask.source.reading();
    match reading.because {
        _ if reading.by == "bpf" => return Some(Walk::Works),
        // These say nothing of whether it could be.
        None | Some(("small" | "list" | "gaps" | "busy", _)) => {}
        Some((code, reason)) => return Some(Walk::Refused { code, reason }),
    }
    let (namespace, client) = match ask.namespace {
        None => (Namespace::current(), Client::open()),
        Some(namespace) => (namespace.try_clone(), Client::open_in(namespace)),
    };
    match Walker::open(&namespace.ok()?, client.ok()?) {
        Ok(_) => Some(Walk::Works),
        Err(Refusal::Busy) => None,
        Err(refusal) => Some(Walk::Refused {
            code: refusal.code(),
            reason: refusal.to_string(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_all_cpus_are_summed_from_proc() {
        let text = "\
entries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop icmp_error  expect_new expect_create expect_delete search_restart
00000018  00000001 00000000 00000000 0000000a 00000000 00000000 00000002 00000000 00000003 00000000 00000000 00000000  00000000 00000000 00000000 00000000
00000018  00000000 00000000 00000000 00000010 00000000 00000000 00000000 00000000 ffffffff 00000004 00000000 00000000  00000000 00000000 00000000 00000000
";
        let stats = parse_counters(text).unwrap();
        assert_eq!(stats.invalid, Some(26));
        assert_eq!(stats.insert_failed, Some(2), "they wrap");
        assert_eq!((stats.drop, stats.chaintoolong), (Some(4), Some(2)));
        assert_eq!(stats.searched, None);
        assert_eq!(parse_counters(""), None);
        assert_eq!(parse_counters("entries drop\n"), None);
    }

    #[test]
    fn listeners_are_those_that_are_in_a_group_of_netfilter() {
        let text = "\
sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode
0000000000000000 12  0          00000000 0        0        0     2        0        1047
0000000000000000 12  4711       00000007 0        0        0     2        12       1048
0000000000000000 12  4712       00000000 0        0        0     2        9        1049
0000000000000000 0   4713       00000001 0        0        0     2        9        1050
";
        let found = listeners(text, &HashSet::new(), |port| Some(format!("p{port}")));
        let expected = Listener {
            port: 4711,
            program: Some("p4711".to_owned()),
            lost: 12,
        };
        assert_eq!(found, [expected]);
        let own = HashSet::from(["1048".to_owned()]);
        assert!(listeners(text, &own, |_| None).is_empty());
        assert!(listeners("", &own, |_| None).is_empty());
    }
}
