//! The origin of pages, RFC 6454: scheme, host and port.

use std::net::Ipv6Addr;

use serde::de::{Deserialize, Deserializer, Error as _};

/// An origin as browsers say it: `https://gateway.example.org`, with a port where it is not the
/// scheme's own, and nothing after it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct Origin(String);

impl Origin {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not an origin such as https://gateway.example.org: scheme, host, port"
            )
        };
        let lower = text.to_ascii_lowercase();
        let lower = lower.strip_suffix('/').unwrap_or(&lower);
        let (scheme, host) = lower.split_once("://").ok_or_else(wrong)?;
        let usual = match scheme {
            "https" => ":443",
            "http" => ":80",
            _ => return Err(wrong()),
        };
        let host = host.strip_suffix(usual).unwrap_or(host);
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
            _ => (host, None),
        };
        let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port != 0));
        let inside = name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'));
        let is_name = match inside {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => {
                let is_good = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
                !name.is_empty() && name.chars().all(is_good)
            }
        };
        if !is_port || !is_name {
            return Err(wrong());
        }
        Ok(Self(format!("{scheme}://{host}")))
    }

    /// As in the header `Origin`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Host and port, as in the header `Host`.
    pub fn host(&self) -> &str {
        self.0.split_once("://").map_or("", |(_, host)| host)
    }

    /// Whether it is reached over TLS.
    pub fn is_secure(&self) -> bool {
        self.0.starts_with("https:")
    }
}

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_as_browsers_say_it() {
        for (written, said) in [
            ("https://gateway.example.org", "https://gateway.example.org"),
            (
                "HTTPS://Gateway.example.org:443/",
                "https://gateway.example.org",
            ),
            ("http://192.0.2.1:8080", "http://192.0.2.1:8080"),
            ("https://[2001:db8::1]:444", "https://[2001:db8::1]:444"),
            ("https://[2001:db8::1]", "https://[2001:db8::1]"),
        ] {
            assert_eq!(Origin::parse(written).unwrap().as_str(), said);
        }
        for wrong in [
            "gateway.example.org",
            "ftp://gateway",
            "https://",
            "https://gateway/panel",
            "https://gateway:0",
            "https://gateway:99999",
            "https://me@gateway",
            "https://[gateway]",
        ] {
            let told = Origin::parse(wrong).unwrap_err();
            assert!(told.contains(wrong), "{told}");
        }
    }
}
