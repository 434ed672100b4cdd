//! The kernel's settings of the table's namespace.

use std::collections::BTreeMap;
use std::fs;

use crate::app::App;

const FOLDER: &str = "/proc/sys/net/netfilter";

/// The kernel's settings about connections, by their names below `net.netfilter`.
#[derive(Debug)]
pub struct Settings(BTreeMap<String, u64>);

impl Settings {
    /// Reads all that are numbers; what cannot be read is not there.
    pub fn of(app: &App) -> Self {
        let read = || {
            let folder = fs::read_dir(FOLDER).into_iter().flatten().flatten();
            let named = folder.filter_map(|file| {
                let name = file.file_name().into_string().ok()?;
                let text = fs::read_to_string(file.path()).ok()?;
                let number = text.trim().parse().ok()?;
                name.starts_with("nf_conntrack").then_some((name, number))
            });
            named.collect()
        };
        let settings = match app.table_namespace() {
            Ok(None) => Some(read()),
            Ok(Some(namespace)) => namespace.run(|| Ok(read())).ok(),
            Err(_) => None,
        };
        Self(settings.unwrap_or_default())
    }

    /// One of them.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.0.get(name).copied()
    }

    /// All of them.
    pub fn into_all(self) -> BTreeMap<String, u64> {
        self.0
    }
}
