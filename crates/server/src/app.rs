//! What every request works with.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use ctnetlink::Namespace;
use engine::history::History;
use engine::live::Live;
use engine::names::Routes;
use engine::naming::Naming;
use engine::{Config, Failure, Query, Way};
use query::Vocabulary;

use crate::api::Api;
use crate::audit::Audit;
use crate::watch::Watch;

/// How many comparisons a query may have that is asked over HTTP: each of them is made for each connection, while
/// others wait for their turn.
const MOST_COMPARISONS: usize = 256;

/// What every request works with. One for the life of the daemon.
pub struct App {
    /// The table.
    pub live: Arc<Live>,
    /// In which way the table is read.
    pub way: Way,
    /// The namespace whose table it is, as it was named; `None` for the daemon's own.
    pub namespace: Option<String>,
    /// What the API keeps between requests.
    pub api: Api,
    /// What was found wrong last.
    pub watch: Watch,
    /// The ways to addresses, once somebody has asked for one.
    routes: OnceLock<Routes>,
    /// The configuration file, where another one than the usual was named.
    file: OnceLock<PathBuf>,
    /// The namespace itself, where its name may not be opened later.
    opened: OnceLock<Namespace>,
    history: OnceLock<Arc<History>>,
    audit: OnceLock<Audit>,
    settings: RwLock<Arc<Settings>>,
}

/// What can be read anew while the daemon runs.
pub struct Settings {
    /// The configuration.
    pub config: Config,
    /// The names that queries know.
    pub vocabulary: Vocabulary,
    /// The names that answers have.
    pub naming: Arc<Naming>,
}

impl Settings {
    /// Of a configuration. Fails where [`Naming::new`] does.
    pub fn new(config: Config, vocabulary: Vocabulary) -> Result<Self, Failure> {
        Ok(Self {
            naming: Arc::new(Naming::new(&config)?),
            config,
            vocabulary,
        })
    }
}

impl App {
    /// With a table and a configuration.
    pub fn new(live: Arc<Live>, way: Way, namespace: Option<String>, settings: Settings) -> Self {
        Self {
            live,
            way,
            namespace,
            api: Api::default(),
            watch: Watch::default(),
            routes: OnceLock::new(),
            file: OnceLock::new(),
            opened: OnceLock::new(),
            history: OnceLock::new(),
            audit: OnceLock::new(),
            settings: RwLock::new(Arc::new(settings)),
        }
    }

    /// The namespace whose table it is; `None` for the daemon's own.
    pub fn table_namespace(&self) -> Result<Option<Namespace>, Failure> {
        Ok(match (self.opened.get(), &self.namespace) {
            (Some(opened), _) => Some(opened.try_clone()?),
            (None, Some(name)) => Some(Namespace::parse(name)?),
            (None, None) => None,
        })
    }

    /// The ways to addresses, in the table's namespace.
    pub fn routes(&self) -> Result<&Routes, Failure> {
        if let Some(routes) = self.routes.get() {
            return Ok(routes);
        }
        let routes = Routes::open(self.table_namespace()?.as_ref())?;
        Ok(self.routes.get_or_init(|| routes))
    }

    /// The configuration file, as it was named.
    pub fn file(&self) -> PathBuf {
        let named = self.file.get().map(PathBuf::as_path);
        named
            .unwrap_or_else(|| Path::new(engine::config::PATH))
            .to_owned()
    }

    /// Another configuration file than the usual one was named; only the first one given counts.
    pub fn set_file(&self, file: PathBuf) {
        let _is_set_already = self.file.set(file);
    }

    /// The namespace that was opened; only the first one given counts.
    pub fn set_table_namespace(&self, namespace: Namespace) {
        let _is_set_already = self.opened.set(namespace);
    }

    /// What is recorded, if anything is.
    pub fn history(&self) -> Option<&Arc<History>> {
        self.history.get()
    }

    /// Where changes are written down, if anywhere.
    pub fn audit(&self) -> Option<&Audit> {
        self.audit.get()
    }

    /// Records from now on; the first one that is said holds.
    pub fn set_history(&self, history: Arc<History>) {
        let _ = self.history.set(history);
    }

    /// Writes changes down from now on; the first one that is said holds.
    pub fn set_audit(&self, audit: Audit) {
        let _ = self.audit.set(audit);
    }

    /// The settings as they are now.
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The names as they are now.
    pub fn naming(&self) -> Arc<Naming> {
        Arc::clone(&self.settings().naming)
    }

    /// Other settings from now on.
    pub fn set_settings(&self, settings: Settings) {
        *self
            .settings
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }

    /// Understands a query; the failure has its place.
    pub fn query(&self, text: &str) -> Result<Query, Failure> {
        let query = Query::parse(text, &self.settings().vocabulary)
            .map_err(|error| Failure::of_query(&error, text))?;
        let many = query.comparisons();
        if many > MOST_COMPARISONS {
            return Err(Failure::new(
                "query-too-large",
                format!(
                    "the query has {many} comparisons; over HTTP it may have {MOST_COMPARISONS}"
                ),
                "put values into sets: dport in {80, 443}; or ask more than once",
            ));
        }
        Ok(query)
    }
}
