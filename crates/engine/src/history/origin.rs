//! Whose table was recorded.

use std::os::unix::fs::MetadataExt;

use serde::Serialize;

/// A network namespace, as far as it can be known again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// This run of the kernel (`/proc/sys/kernel/random/boot_id`); namespaces have other numbers in the
    /// next.
    pub boot: String,
    /// The namespace's number; `None` where it could not be read.
    pub namespace: Option<u64>,
}

impl Origin {
    /// The calling thread's.
    pub fn here() -> Self {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let file = std::fs::metadata("/proc/thread-self/ns/net").ok();
        Self {
            boot: boot.trim().to_owned(),
            namespace: file.map(|file| file.ino()),
        }
    }

    /// Whether it is known to be another one.
    pub fn is_other_than(&self, other: &Self) -> bool {
        self.boot == other.boot
            && !self.boot.is_empty()
            && self.namespace.is_some()
            && other.namespace.is_some()
            && self.namespace != other.namespace
    }
}
