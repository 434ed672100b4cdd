//! What every request works with.

use std::sync::{Arc, PoisonError, RwLock};

use engine::live::Live;
use engine::{Config, Failure, Query, Way};
use query::Vocabulary;

use crate::api::Api;

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
    settings: RwLock<Arc<Settings>>,
}

/// What can be read anew while the daemon runs.
pub struct Settings {
    /// The configuration.
    pub config: Config,
    /// The names that queries know.
    pub vocabulary: Vocabulary,
}

impl App {
    /// With a table and a configuration.
    pub fn new(live: Arc<Live>, way: Way, namespace: Option<String>, settings: Settings) -> Self {
        Self {
            live,
            way,
            namespace,
            api: Api::default(),
            settings: RwLock::new(Arc::new(settings)),
        }
    }

    /// The settings as they are now.
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
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
        Query::parse(text, &self.settings().vocabulary)
            .map_err(|error| Failure::of_query(&error, text))
    }
}
