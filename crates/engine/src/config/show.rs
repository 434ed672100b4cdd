//! The configuration as a text that can be read back.

use serde::ser::{Serialize, SerializeMap, SerializeStruct, Serializer};

use super::{Applications, Config, Field, Netdata, Number};
use crate::Failure;

impl Config {
    /// All settings that hold, defaults included, as a file that says the same. There are no secrets
    /// in it: keys and tokens are in files of their own.
    pub fn to_toml(&self) -> Result<String, Failure> {
        toml::to_string(self).map_err(|error| {
            Failure::new(
                "configuration",
                format!("the settings cannot be written as TOML: {error}"),
                "see them as JSON: tracklight config show -o json",
            )
        })
    }
}

impl Serialize for Netdata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut netdata = serializer.serialize_struct("Netdata", 2)?;
        netdata.serialize_field("address", &self.address)?;
        let timeout = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX);
        netdata.serialize_field("timeout-ms", &timeout)?;
        netdata.end()
    }
}

impl Serialize for Field {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut field = serializer.serialize_map(Some(3))?;
        field.serialize_entry("shift", &self.shift)?;
        field.serialize_entry("mask", &self.mask)?;
        field.serialize_entry("names", &self.names)?;
        field.end()
    }
}

impl Serialize for Applications {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut applications = serializer.serialize_map(Some(4))?;
        applications.serialize_entry("shift", &self.field.shift)?;
        applications.serialize_entry("mask", &self.field.mask)?;
        applications.serialize_entry("list", &self.list)?;
        applications.serialize_entry("names", &self.field.names)?;
        applications.end()
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_is_shown_says_the_same_when_it_is_read_back() {
        let text = "[server]\nlisten = ['[::1]:1', '10.0.0.1:2']\ntls-certificate = '/c'\n\
                    tls-key = '/k'\n[marks.uplink]\nnames = { 0x10 = \"a 'b' \\\"c\\\"\" }\n\
                    [netdata]\ntimeout-ms = 17\n[live]\ncpu-percent = 0.5";
        let path = Path::new("tracklight.toml");
        let config = Config::parse(text, path).unwrap();
        for config in [config, Config::default()] {
            let shown = config.to_toml().unwrap();
            assert_eq!(Config::parse(&shown, path), Ok(config), "{shown}");
        }
    }
}
