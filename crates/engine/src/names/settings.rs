//! `[names]` of the configuration.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

/// The longest name that the configuration may give, in bytes.
const LONGEST: usize = 100;

/// `[names]` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Whether names are asked of the DNS.
    pub dns: bool,
    /// Which servers are asked; the system's (`/etc/resolv.conf`) if there are none.
    pub dns_servers: Vec<Server>,
    /// How long a server may take to answer, in milliseconds.
    #[serde(deserialize_with = "milliseconds")]
    pub dns_timeout_ms: u64,
    /// How many questions may be under way at once.
    #[serde(deserialize_with = "questions")]
    pub dns_at_once: usize,
    /// How many answers are remembered.
    #[serde(deserialize_with = "answers")]
    pub dns_remembered: usize,
    /// Where dnsmasq notes the addresses that it gave out; the file need not exist.
    pub dhcp_leases: PathBuf,
    /// hosts(5); the file need not exist.
    pub hosts_file: PathBuf,
    /// Names of single addresses.
    #[serde(deserialize_with = "hosts")]
    pub hosts: BTreeMap<IpAddr, String>,
    /// Names of networks.
    #[serde(deserialize_with = "networks")]
    pub networks: BTreeMap<IpNet, String>,
}

/// A server of the DNS: an address, or an address and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server(pub SocketAddr);

impl Default for Settings {
    fn default() -> Self {
        Self {
            dns: false,
            dns_servers: Vec::new(),
            dns_timeout_ms: 2_000,
            dns_at_once: 16,
            dns_remembered: 20_000,
            dhcp_leases: PathBuf::from("/var/lib/misc/dnsmasq.leases"),
            hosts_file: PathBuf::from("/etc/hosts"),
            hosts: BTreeMap::new(),
            networks: BTreeMap::new(),
        }
    }
}

impl Settings {
    pub(crate) const fn dns_timeout(&self) -> Duration {
        Duration::from_millis(self.dns_timeout_ms)
    }
}

impl FromStr for Server {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let with_port = text.parse();
        let without = text.parse().map(|address| SocketAddr::new(address, 53));
        with_port.or(without).map(Self).map_err(|_| {
            format!(
                "`{text}` is not a server's address such as 10.0.0.1, 10.0.0.1:5353 or [::1]:53"
            )
        })
    }
}

impl<'de> Deserialize<'de> for Server {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

impl Serialize for Server {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.port() == 53 {
            serializer.collect_str(&self.0.ip())
        } else {
            serializer.collect_str(&self.0)
        }
    }
}

fn milliseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    within(deserializer, 1, 60_000, " milliseconds")
}

fn questions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    within(deserializer, 1, 256, "").map(|number| number as usize)
}

fn answers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    within(deserializer, 1, 1_000_000, "").map(|number| number as usize)
}

fn within<'de, D: Deserializer<'de>>(
    deserializer: D,
    least: u64,
    most: u64,
    unit: &str,
) -> Result<u64, D::Error> {
    match i64::deserialize(deserializer)? {
        number if u64::try_from(number).is_ok_and(|n| (least..=most).contains(&n)) => {
            Ok(number.unsigned_abs())
        }
        other => Err(D::Error::custom(format!(
            "{other} is not between {least} and {most}{unit}"
        ))),
    }
}

fn hosts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<IpAddr, String>, D::Error> {
    deserializer.deserialize_map(Table::<Host>(PhantomData))
}

fn networks<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<IpNet, String>, D::Error> {
    deserializer.deserialize_map(Table::<Network>(PhantomData))
}

/// What a table of names has on its left sides.
trait Key {
    type Value: Ord + fmt::Display;
    const EXAMPLE: &'static str;

    fn parse(text: &str) -> Result<Self::Value, String>;
}

struct Host;

impl Key for Host {
    type Value = IpAddr;
    const EXAMPLE: &'static str = "an address such as 10.0.0.5 or 2001:db8::5";

    fn parse(text: &str) -> Result<IpAddr, String> {
        text.parse()
            .map_err(|_| format!("`{text}` is not {}", Self::EXAMPLE))
    }
}

struct Network;

impl Key for Network {
    type Value = IpNet;
    const EXAMPLE: &'static str = "a network such as 10.0.0.0/24 or 2001:db8::/32";

    fn parse(text: &str) -> Result<IpNet, String> {
        let net: IpNet = text
            .parse()
            .map_err(|_| format!("`{text}` is not {}", Self::EXAMPLE))?;
        let whole = net.trunc();
        if whole == net {
            Ok(net)
        } else {
            Err(format!(
                "`{text}` is an address in a network: write {whole}"
            ))
        }
    }
}

/// A key while it is read, so that a wrong one is told with its line.
struct Parsed<K: Key>(K::Value);

impl<'de, K: Key> Deserialize<'de> for Parsed<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        K::parse(&text).map(Self).map_err(D::Error::custom)
    }
}

/// A name while it is read.
struct Named(String);

impl<'de> Deserialize<'de> for Named {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        if name.trim().is_empty() {
            return Err(D::Error::custom("a name has at least one letter"));
        }
        if name.len() > LONGEST || name.chars().any(char::is_control) {
            return Err(D::Error::custom(format!(
                "a name has at most {LONGEST} bytes, and no control characters"
            )));
        }
        Ok(Self(name))
    }
}

struct Table<K>(PhantomData<K>);

impl<'de, K: Key> Visitor<'de> for Table<K> {
    type Value = BTreeMap<K::Value, String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a table of names, each behind {}", K::EXAMPLE)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut names = BTreeMap::new();
        while let Some(Parsed::<K>(key)) = map.next_key()? {
            let Named(name) = map.next_value()?;
            if names.contains_key(&key) {
                return Err(A::Error::custom(format!("{key} has two names")));
            }
            names.insert(key, name);
        }
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::Config;

    fn parse(text: &str) -> Result<Settings, String> {
        Config::parse(text, Path::new("t.toml"))
            .map(|config| config.names)
            .map_err(|failure| failure.message)
    }

    #[test]
    fn addresses_networks_and_servers_are_of_both_families() {
        let settings = parse(
            "[names]
             dns = true
             dns-servers = ['10.0.0.1', '127.0.0.1:5353', '2001:db8::1', '[::1]:54']
             hosts = { '10.0.0.5' = 'printer', '2001:db8::5' = 'printer' }
             [names.networks]
             '10.0.0.0/24' = 'office'
             '2001:db8::/32' = 'office'",
        )
        .unwrap();
        let servers: Vec<String> = settings
            .dns_servers
            .iter()
            .map(|server| server.0.to_string())
            .collect();
        assert_eq!(
            servers,
            [
                "10.0.0.1:53",
                "127.0.0.1:5353",
                "[2001:db8::1]:53",
                "[::1]:54"
            ]
        );
        assert_eq!((settings.hosts.len(), settings.networks.len()), (2, 2));
    }

    #[test]
    fn a_mistake_is_told_with_its_line() {
        let mistakes = [
            (
                "[names.hosts]\n'10.0.0.4' = 'a'\n'10.0.0' = 'b'",
                "t.toml, line 3: `10.0.0` is not an address such as",
            ),
            (
                "[names.networks]\n\n'10.0.0.5/24' = 'office'",
                "t.toml, line 3: `10.0.0.5/24` is an address in a network: write 10.0.0.0/24",
            ),
            (
                "[names.networks]\n'10.0.0.0/33' = 'office'",
                "t.toml, line 2: `10.0.0.0/33` is not a network such as",
            ),
            (
                "[names]\ndns-servers = [\n'10.0.0.1',\n'router']",
                "t.toml, line 2: `router` is not a server's address",
            ),
            (
                "[names.hosts]\n'::5' = 'a'\n'0::5' = 'b'",
                "t.toml, line 1: ::5 has two names",
            ),
            (
                "[names.hosts]\n'10.0.0.5' = \"a\\u001bb\"",
                "t.toml, line 2: a name has at most 100 bytes, and no control",
            ),
            (
                "[names]\ndns-at-once = 0",
                "t.toml, line 2: 0 is not between 1 and 256",
            ),
            (
                "[names]\ndns-timeout-ms = -1",
                "t.toml, line 2: -1 is not between 1 and 60000 milliseconds",
            ),
            ("[names]\nhosts = 'x'", "t.toml, line 2: "),
            (
                "[names]\ndnss = true",
                "t.toml, line 2: unknown setting `dnss`",
            ),
        ];
        for (text, expected) in mistakes {
            let message = parse(text).unwrap_err();
            assert!(message.starts_with(expected), "{text:?}: {message}");
        }
    }

    #[test]
    fn the_packaged_file_has_every_setting() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/tracklight.toml");
        let text = std::fs::read_to_string(path).unwrap();
        let (_, part) = text.split_once("\n[names]\n").unwrap();
        let settings = serde_json::to_value(Settings::default()).unwrap();
        for setting in settings.as_object().unwrap().keys() {
            let is_of = |line: &str| {
                line.starts_with(&format!("{setting} = ")) || line == format!("[names.{setting}]")
            };
            assert!(part.lines().any(is_of), "{setting}");
        }
    }

    #[test]
    fn what_is_written_out_is_read_again() {
        let settings = parse(
            "[names]\ndns-servers = ['10.0.0.1', '[::1]:54']\nhosts = { '10.0.0.5' = 'printer' }",
        )
        .unwrap();
        let json = serde_json::to_string(&settings).unwrap();
        assert_eq!(serde_json::from_str::<Settings>(&json).unwrap(), settings);
    }
}
