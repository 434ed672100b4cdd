//! The configuration file, `/etc/tracklight/tracklight.toml`.
//!
//! What it does not say is as in `packaging/tracklight.toml`, which lists every setting with its
//! default. A setting that is not known is an error: it would be a mistake that nobody notices.

mod contradictions;
mod meant;
mod origin;
mod show;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use toml::Spanned;

pub(crate) use contradictions::BUFFER as EVENT_BUFFER;
pub use origin::Origin;

use crate::failure::Failure;
use crate::{history, live, names};

/// Where the configuration is if nobody names another file.
pub const PATH: &str = "/etc/tracklight/tracklight.toml";

/// The environment variable that names another file.
pub const VARIABLE: &str = "TRACKLIGHT_CONFIG";

/// The longest configuration that is read.
const SIZE_LIMIT: u64 = 1 << 20;

const HINT: &str = "correct the file; packaging/tracklight.toml shows every setting";

/// All settings.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Config {
    /// Where the counts of connections are recorded.
    pub netdata: Netdata,
    /// What the bits of a mark mean.
    pub marks: Marks,
    /// How the daemon keeps the table.
    pub live: live::Settings,
    /// What the daemon records.
    pub history: history::Settings,
    /// Names of addresses.
    pub names: names::Settings,
    /// Where the daemon listens, and who may.
    pub server: Server,
    /// What is told to Prometheus beyond the numbers that are always there.
    pub metrics: Metrics,
}

/// `[metrics]`: what is told to Prometheus.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Metrics {
    /// How many sources of connections, those with the most, are told one by one: 0 to 100.
    #[serde(deserialize_with = "top_sources")]
    pub top_sources: usize,
}

/// `[server]`: where the daemon listens, and what it keeps.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Server {
    /// Addresses and ports.
    pub listen: Vec<SocketAddr>,
    /// A socket in the file system that is its owner's only; empty for none.
    pub socket: PathBuf,
    /// Whether an address that others can reach may do without TLS.
    pub allow_plain_http: bool,
    /// Certificates in PEM, the server's own first.
    pub tls_certificate: Option<PathBuf>,
    /// Its key in PEM.
    pub tls_key: Option<PathBuf>,
    /// A folder for tokens, recorded history and the audit log.
    pub state: PathBuf,
    /// Names under which browsers reach it, beside addresses and `localhost`.
    pub names: Vec<String>,
    /// The origin of its pages, as browsers say it, where something that speaks TLS for it stands
    /// before it.
    pub origin: Option<Origin>,
    /// Whether `/metrics` is for everybody who can connect.
    pub metrics_without_token: bool,
}

/// A local Netdata.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Netdata {
    /// Address and port.
    pub address: SocketAddr,
    /// How long an answer may take, in milliseconds.
    #[serde(rename = "timeout-ms", deserialize_with = "milliseconds")]
    pub timeout: Duration,
}

/// Which bits of a mark hold what.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Marks {
    /// Traffic-shaping class.
    pub class: Field,
    /// Application.
    pub application: Applications,
    /// Uplink.
    pub uplink: Field,
}

/// A number in a mark: `(mark >> shift) & mask`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// How far the number is shifted: 0 to 31 bits.
    pub shift: u32,
    /// Which bits it has after the shift.
    pub mask: u32,
    /// Names of the numbers.
    pub names: BTreeMap<Number, String>,
}

/// The application's number and where its names come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applications {
    /// Which bits, and names for numbers that the list does not have.
    pub field: Field,
    /// The kernel's own list, which need not exist.
    pub list: PathBuf,
}

/// A number as a key of a table, decimal or hexadecimal with `0x`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number(pub u32);

impl Config {
    /// The file that is named by a flag, else by the environment; `None` for the default one.
    pub fn named(flag: Option<&Path>) -> Option<PathBuf> {
        let variable = std::env::var_os(VARIABLE).filter(|value| !value.is_empty());
        flag.map(Path::to_owned).or(variable.map(PathBuf::from))
    }

    /// Reads the file that is named by a flag, else by the environment, else the default one. Only
    /// the default one may be missing.
    pub fn load(flag: Option<&Path>) -> Result<Self, Failure> {
        match Self::named(flag) {
            Some(path) => Self::read(&path)?.ok_or_else(|| {
                Failure::new(
                    "configuration",
                    format!("there is no configuration file {}", path.display()),
                    "name one that exists, or none for the defaults",
                )
            }),
            None => Ok(Self::read(Path::new(PATH))?.unwrap_or_default()),
        }
    }

    /// Reads a file; `None` if there is none.
    fn read(path: &Path) -> Result<Option<Self>, Failure> {
        let failed = |error: &dyn fmt::Display| {
            Failure::new(
                "configuration",
                format!("cannot read {}: {error}", path.display()),
                "it must be a readable text file",
            )
        };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&error)),
        };
        let mut text = String::new();
        file.take(SIZE_LIMIT + 1)
            .read_to_string(&mut text)
            .map_err(|error| failed(&error))?;
        if text.len() as u64 > SIZE_LIMIT {
            return Err(failed(&"it is longer than 1 MiB"));
        }
        Self::parse(&text, path).map(Some)
    }

    /// Understands a file's text; errors name `path` and the line.
    pub fn parse(text: &str, path: &Path) -> Result<Self, Failure> {
        let failed = |offset: Option<usize>, message: &str| {
            let line = offset
                .and_then(|offset| text.get(..offset))
                .map(|before| format!(", line {}", before.matches('\n').count() + 1))
                .unwrap_or_default();
            let message = message.trim().replace('\n', " ");
            Failure::new(
                "configuration",
                format!("{}{line}: {message}", path.display()),
                HINT,
            )
        };
        let written: Written = toml::from_str(text).map_err(|error| {
            let place = error.span().map(|span| span.start);
            failed(place, &meant::explain(error.message()))
        })?;
        let mut config = Self {
            netdata: written.netdata,
            live: written.live,
            history: written.history,
            names: written.names,
            server: written.server,
            metrics: written.metrics,
            ..Self::default()
        };
        let Marks {
            class,
            application,
            uplink,
        } = &mut config.marks;
        if let Some(list) = written.marks.application.list {
            application.list = list;
        }
        for (field, written) in [
            (class, written.marks.class),
            (&mut application.field, written.marks.application.field),
            (uplink, written.marks.uplink),
        ] {
            written
                .apply(field)
                .map_err(|(offset, message)| failed(Some(offset), &message))?;
        }
        if let Some((place, message)) = contradictions::find(&config, text) {
            return Err(failed(place, &message));
        }
        Ok(config)
    }
}

impl Default for Netdata {
    fn default() -> Self {
        Self {
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 19999),
            timeout: Duration::from_secs(3),
        }
    }
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8470)],
            socket: PathBuf::from("/run/tracklight/tracklight.sock"),
            allow_plain_http: false,
            tls_certificate: None,
            tls_key: None,
            state: PathBuf::from("/var/lib/tracklight"),
            names: Vec::new(),
            origin: None,
            metrics_without_token: false,
        }
    }
}

/// The contract's layout: class in bits 0 to 7, application in 8 to 15, uplink in 16 to 31.
impl Default for Marks {
    fn default() -> Self {
        let field = |shift, mask, names: &[(u32, &str)]| Field {
            shift,
            mask,
            names: names
                .iter()
                .map(|&(number, name)| (Number(number), name.to_owned()))
                .collect(),
        };
        Self {
            class: field(
                0,
                0xff,
                &[(0, "default"), (1, "high"), (2, "medium"), (3, "low")],
            ),
            application: Applications {
                field: field(
                    8,
                    0xff,
                    &[
                        (5, "DNS"),
                        (7, "HTTP"),
                        (9, "NTP"),
                        (91, "SSL"),
                        (92, "SSH"),
                    ],
                ),
                list: PathBuf::from("/proc/net/xt_ndpi/proto"),
            },
            uplink: field(16, 0xffff, &[]),
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Key;
        impl Visitor<'_> for Key {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number such as 91 or 0x5b")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Number, E> {
                match text.strip_prefix("0x") {
                    Some(digits) => u32::from_str_radix(digits, 16),
                    None => text.parse(),
                }
                .map(Number)
                .map_err(|_| E::custom(format!("`{text}` is not a number such as 91 or 0x5b")))
            }
        }
        deserializer.deserialize_str(Key)
    }
}

fn milliseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    const LONGEST: u64 = 60_000;
    match u64::deserialize(deserializer)? {
        milliseconds @ 1..=LONGEST => Ok(Duration::from_millis(milliseconds)),
        other => Err(D::Error::custom(format!(
            "{other} is not between 1 and {LONGEST} milliseconds"
        ))),
    }
}

fn top_sources<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    const MOST: i64 = 100;
    match i64::deserialize(deserializer)? {
        sources @ 0..=MOST => Ok(sources.unsigned_abs() as usize),
        other => Err(D::Error::custom(format!(
            "{other} is not between 0 and {MOST}"
        ))),
    }
}

/// The file as it is written: everything may be missing.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
struct Written {
    netdata: Netdata,
    marks: WrittenMarks,
    live: live::Settings,
    history: history::Settings,
    names: names::Settings,
    server: Server,
    metrics: Metrics,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WrittenMarks {
    class: WrittenField,
    application: WrittenApplications,
    uplink: WrittenField,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WrittenField {
    shift: Option<Spanned<u32>>,
    mask: Option<u32>,
    names: Option<WrittenNames>,
}

#[derive(Default)]
struct WrittenApplications {
    field: WrittenField,
    list: Option<PathBuf>,
}

/// By hand, for serde cannot both flatten and refuse unknown fields.
impl<'de> Deserialize<'de> for WrittenApplications {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        struct All {
            shift: Option<Spanned<u32>>,
            mask: Option<u32>,
            names: Option<WrittenNames>,
            list: Option<PathBuf>,
        }
        let All {
            shift,
            mask,
            names,
            list,
        } = All::deserialize(deserializer)?;
        Ok(Self {
            field: WrittenField { shift, mask, names },
            list,
        })
    }
}

/// Names in the order in which they are written, also two of one number.
struct WrittenNames(Vec<(Spanned<Number>, String)>);

impl<'de> Deserialize<'de> for WrittenNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Table;
        impl<'de> Visitor<'de> for Table {
            type Value = WrittenNames;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of numbers and names")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<WrittenNames, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = map.next_entry()? {
                    names.push(name);
                }
                // The parser hands them out in the order of their keys.
                names.sort_by_key(|(number, _): &(Spanned<Number>, String)| number.span().start);
                Ok(WrittenNames(names))
            }
        }
        deserializer.deserialize_map(Table)
    }
}

impl WrittenField {
    /// Puts what is written over the defaults; an error has its place in the text. Names are
    /// replaced as a whole.
    fn apply(self, field: &mut Field) -> Result<(), (usize, String)> {
        if let Some(shift) = self.shift {
            let place = shift.span().start;
            field.shift = shift.into_inner();
            if field.shift > 31 {
                return Err((place, format!("shift = {} is beyond bit 31", field.shift)));
            }
        }
        if let Some(mask) = self.mask {
            field.mask = mask;
            field.names.retain(|number, _| number.0 & !mask == 0);
        }
        if let Some(names) = self.names {
            field.names.clear();
            for (number, name) in names.0 {
                let place = number.span().start;
                let number = number.into_inner();
                if number.0 & !field.mask != 0 {
                    let message = format!(
                        "no mark can hold number {} with mask = {:#x}",
                        number.0, field.mask
                    );
                    return Err((place, message));
                }
                if field.names.insert(number, name).is_some() {
                    return Err((place, format!("number {} has two names", number.0)));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new("tracklight.toml")).map_err(|failure| {
            assert_eq!(failure.code, "configuration");
            failure.message
        })
    }

    #[test]
    fn the_packaged_file_says_what_holds_without_it() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/tracklight.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(parse(&text), Ok(Config::default()));
        // Every setting is there to be found, not only left to its default.
        for setting in ["address", "timeout-ms", "shift", "mask", "names", "list"] {
            let written = |line: &str| line.starts_with(setting) || line.contains(".names]");
            assert!(text.lines().any(written), "{setting}");
        }
    }

    #[test]
    fn nothing_is_the_default() {
        assert_eq!(parse(""), Ok(Config::default()));
    }

    #[test]
    fn a_part_of_a_field_leaves_the_rest_as_it_is() {
        let config = parse("[marks.uplink]\nnames = { 1 = 'wan1', 0x10 = 'wan16' }").unwrap();
        let uplink = &config.marks.uplink;
        assert_eq!((uplink.shift, uplink.mask), (16, 0xffff));
        assert_eq!(uplink.names[&Number(16)], "wan16");
        assert_eq!(config.marks.class, Marks::default().class);
    }

    #[test]
    fn a_mistake_is_told_with_file_and_line() {
        let mistakes = [
            (
                "[marks.class]\nshfit = 3",
                "tracklight.toml, line 2: unknown setting `shfit`: did you mean `shift`?",
            ),
            (
                "\n\n[netdata]\naddress = 'nowhere'",
                "tracklight.toml, line 4: ",
            ),
            ("[marks.application]\nlist = 7", "tracklight.toml, line 2: "),
            (
                "[marks.application]\nfile = ''",
                "tracklight.toml, line 2: unknown setting `file`; there are shift, mask, names, list",
            ),
            (
                "[marks.class]\nmask = 0xf\n[marks.class.names]\n16 = 'x'",
                "tracklight.toml, line 4: no mark can hold number 16",
            ),
            (
                "[marks.class.names]\nlow = 'x'",
                "tracklight.toml, line 2: `low` is not a number",
            ),
            (
                "[marks.class.names]\n16 = 'x'\n0x10 = 'y'",
                "tracklight.toml, line 3: number 16 has two names",
            ),
            (
                "[marks.uplink]\nshift = 32",
                "tracklight.toml, line 2: shift = 32",
            ),
            (
                "[netdata]\ntimeout-ms = 0",
                "tracklight.toml, line 2: 0 is not between",
            ),
            (
                "[metrics]\ntop-sources = 101",
                "tracklight.toml, line 2: 101 is not between 0 and 100",
            ),
            ("[marks.class\n", "tracklight.toml, line 1: "),
            ("a = 1\na = 2", "tracklight.toml, line "),
        ];
        for (text, expected) in mistakes {
            let message = parse(text).unwrap_err();
            assert!(message.starts_with(expected), "{text:?}: {message}");
            assert!(!message.contains('\n'), "{message:?}");
        }
    }

    #[test]
    fn a_named_file_must_exist() {
        let failure = Config::load(Some(Path::new("/nonexistent/tracklight.toml"))).unwrap_err();
        assert_eq!(failure.code, "configuration");
        assert!(failure.message.contains("/nonexistent/tracklight.toml"));
    }
}
