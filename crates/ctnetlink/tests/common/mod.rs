//! What the tests against the real kernel share.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "each test program uses a part of it"
)]

use std::process::Command;

use ctnetlink::{Client, Dump, Entry, Namespace, NewEntry};

pub type Outcome = Result<(), Box<dyn std::error::Error>>;

/// A network namespace of the test's own and a client of its table.
pub struct Own {
    pub namespace: Namespace,
    pub client: Client,
}

/// `None` without the privilege to make one, which is a failure where
/// `TRACKLIGHT_REQUIRE_KERNEL=1` says so.
pub fn own() -> Option<Own> {
    let made = Namespace::scratch().and_then(|namespace| {
        let client = Client::open_in(&namespace)?;
        client.global_stats()?;
        Ok(Own { namespace, client })
    });
    match made {
        Ok(own) => Some(own),
        Err(error) if std::env::var_os("TRACKLIGHT_REQUIRE_KERNEL").is_some_and(|v| v == "1") => {
            panic!("the kernel is required, and {error}")
        }
        Err(error) => {
            eprintln!("SKIPPED: {error}");
            None
        }
    }
}

macro_rules! own {
    () => {
        match $crate::common::own() {
            Some(own) => own,
            None => return Ok(()),
        }
    };
}

impl Own {
    /// Runs a command inside the namespace; its failure is an error.
    pub fn run(&self, command: &str) -> Outcome {
        let output = self
            .namespace
            .run(|| Command::new("sh").args(["-ec", command]).output())?;
        if output.status.success() {
            Ok(())
        } else {
            Err(format!("{command}: {}", String::from_utf8_lossy(&output.stderr)).into())
        }
    }

    /// Sets one of the namespace's conntrack settings.
    pub fn set(&self, name: &str, value: &str) -> Outcome {
        let path = format!("/proc/sys/net/netfilter/{name}");
        self.namespace.run(|| std::fs::write(path, value))?;
        Ok(())
    }

    /// Gives entries room for labels: a rule that sets one makes the kernel keep it.
    pub fn allow_labels(&self) -> Outcome {
        self.run("nft 'add table inet t; add chain inet t c; add rule inet t c ct label set 1'")
    }

    pub fn create(&self, new: &NewEntry) -> Outcome {
        Ok(self.client.create(new.clone())?)
    }

    /// The whole table.
    pub fn all(&self) -> Result<Vec<Entry>, ctnetlink::Error> {
        entries(self.client.dump(&Default::default()))
    }
}

pub fn entries(dump: Result<Dump, ctnetlink::Error>) -> Result<Vec<Entry>, ctnetlink::Error> {
    dump?.collect().map(|(entries, _)| entries)
}
