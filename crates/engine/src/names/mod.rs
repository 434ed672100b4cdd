//! Names of addresses and ports, and the ways to addresses.
//!
//! Names of addresses come from the configuration, dnsmasq's leases, hosts(5), and, where that is
//! asked for, from the DNS. Looking one up never waits: what is not known yet is asked in the
//! background and is there the next time.

mod cache;
mod dns;
mod known;
mod route;
mod service;
mod settings;
mod text;

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use serde::{Serialize, Serializer};
use tokio::sync::mpsc;

use crate::failure::Failure;
use cache::{Cache, Known};
use known::{Hosts, Networks, Watched};

pub use route::{Route, RouteKind, Routes};
pub use service::Services;
pub(crate) use service::{SERVICES_FILE, Service, parse as parse_services};
pub use settings::{Server, Settings};

/// The system's servers of the DNS, resolv.conf(5).
const RESOLVER: &str = "/etc/resolv.conf";

/// How many addresses may wait to be asked of the DNS; more are asked when they are looked up again.
const WAITING: usize = 1_024;

/// A name of an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Name {
    /// The name. What came from the network has only letters, digits, dots, hyphens and underscores
    /// of ASCII, and question marks for everything else.
    #[serde(serialize_with = "text_of")]
    pub name: Arc<str>,
    /// Who says so.
    pub from: Origin,
}

/// Who gave an address its name; the first one that has one is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// `[names.hosts]` of the configuration.
    Configuration,
    /// A lease of dnsmasq's.
    Lease,
    /// hosts(5).
    Hosts,
    /// The DNS.
    Dns,
    /// `[names.networks]` of the configuration: it is the network's name, not the address's own.
    Network,
}

/// What the DNS was asked, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Answers that are remembered, those that an address has no name among them.
    pub remembered: usize,
    /// Addresses that wait for an answer.
    pub waiting: usize,
    /// Questions that were asked.
    pub asked: u64,
    /// Questions without an answer: too late, refused, no server.
    pub failed: u64,
    /// Addresses that were not asked because too many waited already.
    pub passed_over: u64,
}

/// Names of addresses.
pub struct Names {
    hosts: Hosts,
    networks: Networks,
    shared: Arc<Shared>,
    /// `None` where the DNS is not asked, and at the end.
    questions: Option<mpsc::Sender<IpAddr>>,
    /// Tells the worker to end, by being dropped.
    alive: Option<mpsc::Sender<()>>,
    worker: Option<JoinHandle<()>>,
}

/// Tells the time.
type Clock = Box<dyn Fn() -> Instant + Send + Sync>;

/// What the worker writes and everybody reads.
struct Shared {
    clock: Clock,
    state: Mutex<State>,
}

struct State {
    leases: Hosts,
    hosts_file: Hosts,
    answers: Cache,
    /// What waits or is under way.
    waiting: HashSet<IpAddr>,
    counts: Counts,
    trouble: Option<Failure>,
}

impl Shared {
    /// Held for some instructions at a time, never while anything is waited for.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Names {
    /// With a configuration; starts the thread that reads files anew and asks the DNS.
    ///
    /// Fails where a thread cannot be started. A DNS that cannot be asked is no failure:
    /// [`trouble`](Self::trouble) tells it.
    pub fn new(settings: &Settings) -> Result<Self, Failure> {
        Self::with_clock(settings, Box::new(Instant::now))
    }

    fn with_clock(settings: &Settings, clock: Clock) -> Result<Self, Failure> {
        Self::with_resolver(settings, clock, Path::new(RESOLVER))
    }

    fn with_resolver(settings: &Settings, clock: Clock, resolver: &Path) -> Result<Self, Failure> {
        let mut files = dns::Files {
            leases: Watched::new(&settings.dhcp_leases, known::leases),
            hosts: Watched::new(&settings.hosts_file, known::hosts),
        };
        let shared = Arc::new(Shared {
            clock,
            state: Mutex::new(State {
                leases: files.leases.changes().unwrap_or_default(),
                hosts_file: files.hosts.changes().unwrap_or_default(),
                answers: Cache::new(settings.dns_remembered),
                waiting: HashSet::new(),
                counts: Counts::default(),
                trouble: None,
            }),
        });
        let (questions, asked) = mpsc::channel(WAITING);
        let (alive, end) = mpsc::channel(1);
        let worker = dns::Worker {
            shared: Arc::clone(&shared),
            files,
            at_once: settings.dns_at_once,
            timeout: settings.dns_timeout(),
            asked: settings
                .dns
                .then(|| dns::Asked::new(&settings.dns_servers, resolver)),
        };
        let thread = thread::Builder::new()
            .name("names".to_owned())
            .spawn(move || worker.run(asked, end))
            .map_err(|error| {
                Failure::new(
                    "kernel-error",
                    format!("cannot begin a thread: {error}"),
                    "see the limits of the service (TasksMax, ulimit -u)",
                )
            })?;
        let hosts = settings.hosts.iter();
        Ok(Self {
            hosts: hosts
                .map(|(address, name)| (*address, name.as_str().into()))
                .collect(),
            networks: Networks::new(&settings.networks),
            shared,
            questions: settings.dns.then_some(questions),
            alive: Some(alive),
            worker: Some(thread),
        })
    }

    /// The name of an address, as far as it is known now; never waits for anybody. Where the DNS
    /// may know more, it is asked, and its answer is there later.
    pub fn of(&self, address: IpAddr) -> Option<Name> {
        self.find(address, self.questions.as_ref())
    }

    /// The same, but nobody is asked for more.
    pub fn known(&self, address: IpAddr) -> Option<Name> {
        self.find(address, None)
    }

    fn find(&self, address: IpAddr, questions: Option<&mpsc::Sender<IpAddr>>) -> Option<Name> {
        let address = address.to_canonical();
        if let Some(name) = self.hosts.get(&address) {
            return Some(Name::new(name, Origin::Configuration));
        }
        let now = (self.shared.clock)();
        let mut state = self.shared.state();
        if let Some(name) = state.leases.get(&address) {
            return Some(Name::new(name, Origin::Lease));
        }
        if let Some(name) = state.hosts_file.get(&address) {
            return Some(Name::new(name, Origin::Hosts));
        }
        let known = if self.questions.is_some() && is_worth_asking(address) {
            match (state.answers.find(address, now), questions) {
                (Known::Nothing(name), Some(questions)) => {
                    state.ask(address, questions);
                    name
                }
                (Known::Name(name) | Known::Nothing(name), _) => name,
            }
        } else {
            None
        };
        drop(state);
        match known {
            Some(name) => Some(Name::new(&name, Origin::Dns)),
            None => self.network(address),
        }
    }

    /// The name of the smallest configured network that has the address.
    pub fn network(&self, address: IpAddr) -> Option<Name> {
        let name = self.networks.of(address.to_canonical())?;
        Some(Name::new(name, Origin::Network))
    }

    /// What the DNS was asked.
    pub fn counts(&self) -> Counts {
        let state = self.shared.state();
        Counts {
            remembered: state.answers.len(),
            waiting: state.waiting.len(),
            ..state.counts
        }
    }

    /// Why the DNS cannot be asked, if it should be.
    pub fn trouble(&self) -> Option<Failure> {
        self.shared.state().trouble.clone()
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        self.questions = None;
        self.alive = None;
        if let Some(worker) = self.worker.take() {
            // One that panicked has said so.
            let _ = worker.join();
        }
    }
}

impl State {
    /// Lets the DNS be asked, unless it is about to be or too many wait.
    fn ask(&mut self, address: IpAddr, questions: &mpsc::Sender<IpAddr>) {
        if self.trouble.is_some() || self.waiting.contains(&address) {
            return;
        }
        if questions.try_send(address).is_ok() {
            self.waiting.insert(address);
        } else {
            self.counts.passed_over += 1;
        }
    }
}

impl Name {
    fn new(name: &Arc<str>, from: Origin) -> Self {
        Self {
            name: Arc::clone(name),
            from,
        }
    }
}

/// Whether the DNS may know an address: not one that means something else on each link.
fn is_worth_asking(address: IpAddr) -> bool {
    let is_of_a_link = match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !(is_of_a_link || address.is_loopback() || address.is_multicast() || address.is_unspecified())
}

fn text_of<S: Serializer>(name: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name)
}

#[cfg(test)]
mod tests;
