//! The thread behind the names: reads files anew when they change, and asks the DNS.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::RData;
use hickory_resolver::system_conf::parse_resolv_conf;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{self, MissedTickBehavior};

use super::known::{Seen, Watched, read};
use super::settings::Server;
use super::text::tamed;
use super::{Shared, State};
use crate::failure::Failure;

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Answers hold for at least a minute, so that nobody can make us ask all the time, and for at most a day.
const POSITIVE: (u32, u32) = (60, 86_400);

/// That there is no name holds for at most an hour; where no time is told, for five minutes.
const NEGATIVE: (u32, u32) = (60, 3_600);
const NEGATIVE_USUAL: u32 = 300;

/// When a question is asked again that had no answer, in seconds.
const AGAIN: u32 = 60;

/// The files that give names.
pub(super) struct Files {
    pub(super) leases: Watched,
    pub(super) hosts: Watched,
}

/// What the thread works with.
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) files: Files,
    pub(super) at_once: usize,
    pub(super) timeout: Duration,
    /// Whom to ask; `None` where the DNS is not asked.
    pub(super) asked: Option<Asked>,
}

/// Who is asked.
pub(super) enum Asked {
    /// The servers of the configuration.
    Named(Vec<Server>),
    /// The system's, which are read anew when they change, and again and again while they cannot be read.
    System {
        /// resolv.conf(5).
        file: PathBuf,
        /// How it looked when it was read.
        seen: Option<Seen>,
    },
}

impl Asked {
    /// The servers of the configuration, else those of a file.
    pub(super) fn new(servers: &[Server], file: &Path) -> Self {
        if servers.is_empty() {
            Self::System {
                file: file.to_owned(),
                seen: None,
            }
        } else {
            Self::Named(servers.to_vec())
        }
    }
}

/// What came of a question: a name or that there is none, and for how many seconds that holds.
struct Answer {
    address: IpAddr,
    name: Option<Arc<str>>,
    seconds: u32,
    has_failed: bool,
}

impl Worker {
    /// Works until the other end of `end` is gone.
    pub(super) fn run(self, questions: mpsc::Receiver<IpAddr>, end: mpsc::Receiver<()>) {
        match tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
        {
            Ok(runtime) => runtime.block_on(self.work(questions, end)),
            Err(error) => self.cannot(&error.to_string()),
        }
    }

    async fn work(mut self, mut questions: mpsc::Receiver<IpAddr>, mut end: mpsc::Receiver<()>) {
        let mut resolver = None;
        self.look_whom_to_ask(&mut resolver);
        let mut under_way = JoinSet::new();
        let mut look = time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                _ = end.recv() => return,
                Some(done) = under_way.join_next() => {
                    // A task that panicked has said so; its address is asked no more.
                    if let Ok(answer) = done {
                        self.note(answer);
                    }
                }
                _ = look.tick() => {
                    self.look();
                    self.look_whom_to_ask(&mut resolver);
                }
                Some(address) = questions.recv(), if under_way.len() < self.at_once => {
                    if let Some(resolver) = &resolver {
                        self.shared.state().counts.asked += 1;
                        under_way.spawn(ask(resolver.clone(), address, self.timeout));
                    } else {
                        // So that it is asked when somebody can be.
                        self.shared.state().waiting.remove(&address);
                    }
                }
            }
        }
    }

    /// Makes a resolver where there is none yet, and another one where its file has changed.
    fn look_whom_to_ask(&mut self, resolver: &mut Option<TokioResolver>) {
        let made = match &mut self.asked {
            None => return,
            Some(Asked::Named(_)) if resolver.is_some() => return,
            Some(Asked::Named(servers)) => {
                let servers = servers.iter().map(name_server).collect();
                let config = ResolverConfig::from_parts(None, Vec::new(), servers);
                self.resolver(config, ResolverOpts::default())
            }
            Some(Asked::System { file, seen }) => {
                let now = Seen::at(file);
                if resolver.is_some() && *seen == now {
                    return;
                }
                *seen = now;
                let parsed = read(file)
                    .map_err(NetError::from)
                    .and_then(parse_resolv_conf);
                match parsed {
                    Ok((config, options)) => self.resolver(config, options),
                    Err(error) => Err(error),
                }
            }
        };
        match made {
            Ok(made) => {
                *resolver = Some(made);
                self.shared.state().trouble = None;
            }
            Err(error) => {
                *resolver = None;
                self.cannot(&error.to_string());
            }
        }
    }

    fn resolver(
        &self,
        config: ResolverConfig,
        options: ResolverOpts,
    ) -> Result<TokioResolver, NetError> {
        let mut builder =
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        *builder.options_mut() = options;
        self.limit(builder.options_mut());
        builder.build()
    }

    fn limit(&self, options: &mut ResolverOpts) {
        options.timeout = self.timeout;
        options.attempts = 1;
        options.max_active_requests = self.at_once;
        options.num_concurrent_reqs = 1;
        // Both are done here.
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
    }

    fn note(&self, answer: Answer) {
        let now = (self.shared.clock)();
        let until = now + Duration::from_secs(answer.seconds.into());
        let mut state = self.shared.state();
        let State {
            waiting,
            answers,
            counts,
            ..
        } = &mut *state;
        waiting.remove(&answer.address);
        counts.failed += u64::from(answer.has_failed);
        answers.insert(answer.address, answer.name, until);
    }

    fn look(&mut self) {
        let (leases, hosts) = (self.files.leases.changes(), self.files.hosts.changes());
        let mut state = self.shared.state();
        // The old ones are dropped after the lock.
        let _old = (
            leases.map(|leases| std::mem::replace(&mut state.leases, leases)),
            hosts.map(|hosts| std::mem::replace(&mut state.hosts_file, hosts)),
        );
        drop(state);
    }

    /// Tells in the log once that nobody can be asked.
    fn cannot(&self, error: &str) {
        let failure = Failure::new(
            "dns",
            format!("the DNS cannot be asked for names: {error}"),
            "see /etc/resolv.conf, or name servers: [names] dns-servers",
        );
        let before = self.shared.state().trouble.replace(failure.clone());
        if before.as_ref() != Some(&failure) {
            tracing::warn!("{}", failure.message);
        }
    }
}

fn name_server(server: &Server) -> NameServerConfig {
    let at_port = |mut connection: ConnectionConfig| {
        connection.port = server.0.port();
        connection
    };
    NameServerConfig::new(
        server.0.ip(),
        true,
        [ConnectionConfig::udp(), ConnectionConfig::tcp()]
            .map(at_port)
            .into(),
    )
}

async fn ask(resolver: TokioResolver, address: IpAddr, timeout: Duration) -> Answer {
    // Once more after no answer, and once more by TCP after half of one.
    let result = time::timeout(timeout * 3, resolver.reverse_lookup(address)).await;
    let (name, seconds, has_failed) = match result {
        Ok(Ok(lookup)) => {
            let mut names = lookup.answers().iter().filter_map(|record| {
                let RData::PTR(name) = &record.data else {
                    return None;
                };
                Some((tamed(&name.0.to_utf8())?, record.ttl))
            });
            match names.next() {
                Some((name, ttl)) => (Some(name), ttl.clamp(POSITIVE.0, POSITIVE.1), false),
                None => (None, NEGATIVE_USUAL, false),
            }
        }
        Ok(Err(NetError::Dns(DnsError::NoRecordsFound(none)))) => {
            let seconds = none.negative_ttl.unwrap_or(NEGATIVE_USUAL);
            (None, seconds.clamp(NEGATIVE.0, NEGATIVE.1), false)
        }
        Ok(Err(error)) => {
            tracing::debug!("no name of {address}: {error}");
            (None, AGAIN, true)
        }
        Err(_) => (None, AGAIN, true),
    };
    Answer {
        address,
        name,
        seconds,
        has_failed,
    }
}
