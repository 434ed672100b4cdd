//! Names that are at hand: from the configuration, hosts(5) and dnsmasq's leases.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use ipnet::IpNet;

use super::text::tamed;

/// The longest file that is read: some hundred thousand lines.
const SIZE_LIMIT: u64 = 16 << 20;

/// The most names that are taken from one file.
const NAMES_LIMIT: usize = 200_000;

/// Names of addresses.
pub(crate) type Hosts = HashMap<IpAddr, Arc<str>>;

/// Networks by their names; the longest prefix wins.
#[derive(Debug, Default)]
pub(crate) struct Networks {
    /// By length of the prefix, the longest first, separately for the families.
    v4: Vec<(u8, HashMap<IpNet, Arc<str>>)>,
    v6: Vec<(u8, HashMap<IpNet, Arc<str>>)>,
}

impl Networks {
    pub(crate) fn new<'a>(names: impl IntoIterator<Item = (&'a IpNet, &'a String)>) -> Self {
        let mut networks = Self::default();
        for (net, name) in names {
            let lengths = match net {
                IpNet::V4(_) => &mut networks.v4,
                IpNet::V6(_) => &mut networks.v6,
            };
            let length = net.prefix_len();
            let place = match lengths.binary_search_by(|(other, _)| length.cmp(other)) {
                Ok(place) => place,
                Err(place) => {
                    lengths.insert(place, (length, HashMap::new()));
                    place
                }
            };
            if let Some((_, names)) = lengths.get_mut(place) {
                names.insert(*net, name.as_str().into());
            }
        }
        networks
    }

    /// The smallest network that has the address.
    pub(crate) fn of(&self, address: IpAddr) -> Option<&Arc<str>> {
        let lengths = match address {
            IpAddr::V4(_) => &self.v4,
            IpAddr::V6(_) => &self.v6,
        };
        lengths.iter().find_map(|(length, names)| {
            let net = IpNet::new(address, *length).ok()?.trunc();
            names.get(&net)
        })
    }
}

/// A file of names, which is read anew when it changes.
#[derive(Debug)]
pub(crate) struct Watched {
    path: PathBuf,
    parse: fn(&str) -> Hosts,
    seen: Option<Seen>,
}

/// How a file looked when it was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    changed: Option<SystemTime>,
    length: u64,
    inode: u64,
}

impl Watched {
    pub(crate) fn new(path: &Path, parse: fn(&str) -> Hosts) -> Self {
        Self {
            path: path.to_owned(),
            parse,
            seen: None,
        }
    }

    /// What is in the file, if it is another one than before; nothing if it is gone.
    ///
    /// A file that cannot be read is told in the log, once: names are not worth more.
    pub(crate) fn changes(&mut self) -> Option<Hosts> {
        let seen = Seen::at(&self.path);
        if seen == self.seen {
            return None;
        }
        self.seen = seen;
        if self.seen.is_none() {
            return Some(Hosts::new());
        }
        match read(&self.path) {
            Ok(bytes) => Some((self.parse)(&String::from_utf8_lossy(&bytes))),
            Err(error) => {
                tracing::warn!("no names from {}: {error}", self.path.display());
                Some(Hosts::new())
            }
        }
    }
}

/// A file's bytes, as far as is sensible.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(SIZE_LIMIT).read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl Seen {
    /// `None` where there is no file.
    pub(crate) fn at(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok().filter(Metadata::is_file)?;
        Some(Self::of(&metadata))
    }

    fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self {
            changed: metadata.modified().ok(),
            length: metadata.len(),
            inode: metadata.ino(),
        }
    }
}

/// hosts(5): an address and its names a line; the first of them is taken.
pub(crate) fn hosts(text: &str) -> Hosts {
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        Some((words.next()?.parse().ok()?, words.next()?))
    });
    first_names(lines)
}

/// dnsmasq's leases: end, hardware address or IAID, address, name (`*` if it has none), client a
/// line. IPv6 follows a line with the server's DUID.
pub(crate) fn leases(text: &str) -> Hosts {
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace().skip(2);
        let address = words.next()?.parse().ok()?;
        Some((address, words.next().filter(|name| *name != "*")?))
    });
    first_names(lines)
}

fn first_names<'a>(lines: impl Iterator<Item = (IpAddr, &'a str)>) -> Hosts {
    let mut names = Hosts::new();
    for (address, name) in lines {
        if names.len() >= NAMES_LIMIT {
            break;
        }
        if let Some(name) = tamed(name) {
            names.entry(address).or_insert(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_longest_prefix_wins_in_both_families() {
        let names: Vec<(IpNet, String)> = [
            ("0.0.0.0/0", "internet"),
            ("10.0.0.0/8", "inside"),
            ("10.0.1.0/24", "office"),
            ("10.0.1.5/32", "printer"),
            ("2001:db8::/32", "inside6"),
            ("2001:db8:1::/48", "office6"),
        ]
        .map(|(net, name)| (net.parse().unwrap(), name.to_owned()))
        .into();
        let networks = Networks::new(names.iter().map(|(net, name)| (net, name)));
        for (address, expected) in [
            ("10.0.1.5", Some("printer")),
            ("10.0.1.6", Some("office")),
            ("10.0.2.1", Some("inside")),
            ("192.0.2.1", Some("internet")),
            ("2001:db8:1::1", Some("office6")),
            ("2001:db8:2::1", Some("inside6")),
            ("2001:db9::1", None),
        ] {
            let name = networks.of(at(address)).map(AsRef::as_ref);
            assert_eq!(name, expected, "{address}");
        }
    }

    #[test]
    fn leases_of_both_families_have_their_names() {
        let text = "\
1764115200 52:54:00:12:34:56 10.0.0.17 laptop 01:52:54:00:12:34:56
1764115200 52:54:00:12:34:57 10.0.0.18 * *
duid 00:01:00:01:2c:1e:5f:5a:52:54:00:12:34:56
1764115200 1193046 2001:db8::17 laptop 00:01:00:01
1764115200 1 10.0.0.19 evil\u{1b}[2J x
cut
";
        let names = leases(text);
        let of = |address| names.get(&at(address)).map(AsRef::as_ref);
        assert_eq!(of("10.0.0.17"), Some("laptop"));
        assert_eq!(of("10.0.0.18"), None);
        assert_eq!(of("2001:db8::17"), Some("laptop"));
        assert_eq!(of("10.0.0.19"), Some("evil??2J"));
    }

    #[test]
    fn a_hosts_file_gives_the_first_name_of_an_address() {
        let text = "127.0.0.1 localhost\n::1 localhost ip6-localhost # x\n# 10.0.0.1 no\n10.0.0.2 a b\n10.0.0.2 c\n";
        let names = hosts(text);
        assert_eq!(names.len(), 3);
        assert_eq!(names[&at("10.0.0.2")].as_ref(), "a");
    }

    #[test]
    fn a_file_is_read_again_when_it_changes_and_forgotten_when_it_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("leases");
        let mut watched = Watched::new(&path, leases);
        assert!(watched.changes().is_none());
        std::fs::write(&path, "1 aa 10.0.0.1 one *\n").unwrap();
        assert_eq!(watched.changes().unwrap().len(), 1);
        assert!(watched.changes().is_none());
        std::fs::write(&path, "1 aa 10.0.0.1 one *\n2 bb 10.0.0.2 two *\n").unwrap();
        assert_eq!(watched.changes().unwrap().len(), 2);
        std::fs::remove_file(&path).unwrap();
        assert!(watched.changes().unwrap().is_empty());
        assert!(watched.changes().is_none());
    }
}
