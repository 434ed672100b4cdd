use std::fs;
use std::io;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::namespace::Namespace;

/// Time between two looks while waiting.
const PAUSE: Duration = Duration::from_millis(10);

/// How many lines of the table an error shows.
const SHOWN: usize = 40;

/// What a namespace tracks at one moment, as the kernel's own text: enough to wait for something, without
/// the reader that is under test.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Table {
    /// The kernel's counter of entries.
    pub total: usize,
    /// The lines of /proc/net/nf_conntrack; `None` on a kernel without CONFIG_NF_CONNTRACK_PROCFS.
    pub listing: Option<Vec<String>>,
}

impl Table {
    /// How many entries have all these words, as in `["ipv4", "tcp", "ESTABLISHED", "dport=443"]`.
    ///
    /// `None` if this kernel cannot list; it is less than any number, so `>= Some(1)` does not hold then.
    pub fn matching(&self, words: &[&str]) -> Option<usize> {
        let has = |line: &&String| {
            words
                .iter()
                .all(|word| line.split_whitespace().any(|part| part == *word))
        };
        Some(self.listing.as_ref()?.iter().filter(has).count())
    }

    fn describe(&self) -> String {
        let Some(lines) = &self.listing else {
            return format!(
                "{} entries, and this kernel does not list them in /proc",
                self.total
            );
        };
        let more = lines.len().saturating_sub(SHOWN);
        let mut text = format!("the table has {} entries", self.total);
        for line in lines.iter().take(SHOWN) {
            text.push_str("\n  ");
            text.push_str(line);
        }
        if more > 0 {
            text.push_str(&format!("\n  and {more} more"));
        }
        text
    }
}

impl Namespace {
    /// What is tracked in this namespace now.
    ///
    /// # Errors
    ///
    /// [`Error::Sysctl`] where the kernel does not track, [`Error::System`] for an unreadable listing.
    pub fn table(&self) -> Result<Table> {
        let total = self.conntrack_count()?;
        // Of the thread: /proc/net is the main thread's, who is in another namespace.
        let text = self.run(|| fs::read_to_string("/proc/thread-self/net/nf_conntrack"))?;
        let listing = match text {
            Ok(text) => Some(text.lines().map(str::to_owned).collect()),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => None,
            Err(cause) => return Err(Error::system("read /proc/net/nf_conntrack", cause)),
        };
        Ok(Table { total, listing })
    }

    /// Looks at the table again and again until `holds` says yes, `within` a time. `what` names it in the
    /// error.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] with the table as it was last seen.
    pub fn wait_until(
        &self,
        what: &str,
        within: Duration,
        mut holds: impl FnMut(&Table) -> bool,
    ) -> Result<Table> {
        let start = Instant::now();
        loop {
            let table = self.table()?;
            if holds(&table) {
                return Ok(table);
            }
            if start.elapsed() >= within {
                return Err(Error::TimedOut {
                    what: what.to_owned(),
                    waited: within,
                    seen: table.describe(),
                });
            }
            std::thread::sleep(PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let lines = [
            "ipv4     2 tcp      6 431999 ESTABLISHED src=10.0.0.2 dst=198.51.100.10 sport=1 dport=443",
            "ipv6     10 udp      17 29 src=2001:db8:1::2 dst=2001:db8:2::10 [UNREPLIED]",
        ];
        Table {
            total: 2,
            listing: Some(lines.map(str::to_owned).into()),
        }
    }

    #[test]
    fn words_match_whole_and_all_of_them() {
        assert_eq!(table().matching(&["tcp", "ESTABLISHED"]), Some(1));
        assert_eq!(table().matching(&["tcp", "[UNREPLIED]"]), Some(0));
        assert_eq!(table().matching(&["dport=44"]), Some(0));
        assert_eq!(table().matching(&[]), Some(2));
    }

    #[test]
    fn a_table_that_cannot_be_listed_matches_nothing_and_not_zero() {
        let blind = Table {
            total: 7,
            listing: None,
        };
        assert_eq!(blind.matching(&["tcp"]), None);
        assert!(blind.matching(&["tcp"]) < Some(0));
        assert!(blind.describe().contains("7 entries"));
    }
}
