//! Settings that are well written and still cannot hold.

use toml::Spanned;
use toml::de::DeTable;

use super::{Config, Server};
use crate::live;

/// What a core has.
const PERCENT: std::ops::RangeInclusive<f64> = 0.1..=100.0;

/// Seconds between two readings.
const SECONDS: std::ops::RangeInclusive<f64> = 0.1..=86_400.0;

/// Bytes of the buffer for events: below, every burst overruns it; above, the kernel cuts it short.
pub(crate) const BUFFER: std::ops::RangeInclusive<usize> = 64 << 10..=1_000_000_000;

/// What is wrong with a setting.
struct Wrong {
    section: &'static str,
    setting: &'static str,
    message: String,
}

/// The first setting that cannot hold: its place in the text, if it is written there, and why.
pub(super) fn find(config: &Config, text: &str) -> Option<(Option<usize>, String)> {
    let wrong = of_live(&config.live).or_else(|| of_server(&config.server))?;
    Some((place(text, &wrong), wrong.message))
}

fn of_live(live: &live::Settings) -> Option<Wrong> {
    let wrong = |setting, message| Wrong {
        section: "live",
        setting,
        message,
    };
    let ranges = [
        ("cpu-percent", live.cpu_percent, PERCENT),
        ("cpu-percent-watched", live.cpu_percent_watched, PERCENT),
        ("shortest-seconds", live.shortest_seconds, SECONDS),
        ("longest-seconds", live.longest_seconds, SECONDS),
    ];
    for (setting, value, range) in ranges {
        // This way round, for what is no number is in no range.
        if !range.contains(&value) {
            let (least, most) = range.into_inner();
            let message = format!("{setting} = {value} is not between {least} and {most}");
            return Some(wrong(setting, message));
        }
    }
    if live.shortest_seconds > live.longest_seconds {
        return Some(wrong(
            "shortest-seconds",
            format!(
                "shortest-seconds = {} is more than longest-seconds = {}",
                live.shortest_seconds, live.longest_seconds
            ),
        ));
    }
    if !BUFFER.contains(&live.event_buffer) {
        let (least, most) = BUFFER.into_inner();
        let message = format!(
            "event-buffer = {} is not between {least} and {most} bytes",
            live.event_buffer
        );
        return Some(wrong("event-buffer", message));
    }
    None
}

fn of_server(server: &Server) -> Option<Wrong> {
    let wrong = |setting, message: &str| Wrong {
        section: "server",
        setting,
        message: message.to_owned(),
    };
    let is_host = |name: &&String| {
        let mut bytes = name.bytes();
        !name.is_empty()
            && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
    };
    if let Some(name) = server.names.iter().find(|name| !is_host(name)) {
        let message = format!(
            "{name:?} in names is no host's name: write such as \"gateway.lan\", without http:// and port"
        );
        return Some(wrong("names", &message));
    }
    match (&server.tls_certificate, &server.tls_key) {
        (Some(_), None) => Some(wrong(
            "tls-certificate",
            "tls-certificate is given without tls-key",
        )),
        (None, Some(_)) => Some(wrong("tls-key", "tls-key is given without tls-certificate")),
        _ if server.listen.is_empty() && server.socket.as_os_str().is_empty() => Some(wrong(
            "listen",
            "with neither listen nor socket nobody can reach the daemon",
        )),
        _ if !server.state.is_absolute() => Some(wrong("state", "state is not an absolute path")),
        _ => None,
    }
}

/// Where a setting is written.
fn place(text: &str, wrong: &Wrong) -> Option<usize> {
    let table = DeTable::parse(text).ok()?;
    let section = find_in(table.get_ref(), wrong.section)?;
    let setting = find_in(section.get_ref().as_table()?, wrong.setting);
    Some(setting.unwrap_or(section).span().start)
}

fn find_in<'a, 'i>(
    table: &'a DeTable<'i>,
    name: &str,
) -> Option<&'a Spanned<toml::de::DeValue<'i>>> {
    let mut entries = table.iter();
    entries.find_map(|(key, value)| (key.get_ref() == name).then_some(value))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_cannot_hold_is_told_with_its_line() {
        let mistakes = [
            (
                "[server]\nnames = [\"gw.lan\", \"http://gw.lan\"]",
                "f, line 2: \"http://gw.lan\" in names is no host's name: write such as \"gateway.lan\", without \
                 http:// and port",
            ),
            (
                "[live]\n\ncpu-percent = 0",
                "f, line 3: cpu-percent = 0 is not between 0.1 and 100",
            ),
            (
                "[live]\ncpu-percent-watched = 100.5",
                "f, line 2: cpu-percent-watched = 100.5 is not",
            ),
            (
                "[live]\nlongest-seconds = nan",
                "f, line 2: longest-seconds",
            ),
            (
                "[live]\nlongest-seconds = 5\nshortest-seconds = 6",
                "f, line 3: shortest-seconds = 6 is more than longest-seconds = 5",
            ),
            ("live = { event-buffer = 4096 }", "f, line 1: event-buffer"),
            (
                "[server]\ntls-key = '/k'",
                "f, line 2: tls-key is given without tls-certificate",
            ),
            (
                "[server]\nlisten = []\nsocket = ''",
                "f, line 2: with neither listen nor socket",
            ),
            ("[server]\nstate = 'x'", "f, line 2: state is not"),
        ];
        for (text, expected) in mistakes {
            let failure = Config::parse(text, Path::new("f")).unwrap_err();
            assert_eq!(failure.code, "configuration");
            let message = failure.message;
            assert!(message.starts_with(expected), "{text:?}: {message}");
        }
    }
}
