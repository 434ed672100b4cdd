//! A connection of the live table as JSON: the entry, and what is known beyond the kernel's words.

use std::net::IpAddr;

use crate::live::{Rates, Row, name};
use crate::names::Name;
use crate::naming::Naming;

use super::json::{Object, write_entry};
use super::scalar::push_address;

/// Appends a connection as one JSON object: the entry's members, its `name`, `rates` where they are
/// known, the `service` that was addressed, `names` of its addresses, and what its mark says:
/// `provider`, `app`, `prio`.
pub fn write_connection(
    out: &mut Vec<u8>,
    row: &Row,
    naming: &Naming,
    addresses: &[(IpAddr, Name)],
) {
    let marks = &naming.marks;
    let start = out.len();
    write_entry(out, &row.entry);
    // The object goes on.
    out.truncate(out.len().saturating_sub(1).max(start));
    let mut member = |name: &str, value: &str| {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        // Text always serialises, and writing to a vector does not fail.
        let _ = serde_json::to_writer(&mut *out, value);
    };
    member("name", &name(&row.entry));
    let mark = row.entry.mark.unwrap_or(0);
    for (name, value) in [
        ("provider", marks.provider(mark)),
        ("app", marks.application(mark)),
        ("prio", marks.class(mark)),
    ] {
        if !value.is_empty() {
            member(name, &value);
        }
    }
    if let Some(service) = naming.service(&row.entry) {
        member("service", service);
    }
    if !addresses.is_empty() {
        out.extend_from_slice(b",\"names\":");
        write_names(out, addresses);
    }
    if let Some(rates) = &row.rates {
        out.extend_from_slice(b",\"rates\":");
        write_rates(out, rates);
    }
    out.push(b'}');
}

/// Appends names by their addresses.
pub fn write_names(out: &mut Vec<u8>, addresses: &[(IpAddr, Name)]) {
    let mut separator = b'{';
    for (address, name) in addresses {
        out.extend_from_slice(&[separator, b'"']);
        push_address(out, *address);
        out.extend_from_slice(b"\":");
        // Plain structs always serialise, and writing to a vector does not fail.
        let _ = serde_json::to_writer(&mut *out, name);
        separator = b',';
    }
    if addresses.is_empty() {
        out.push(separator);
    }
    out.push(b'}');
}

fn write_rates(out: &mut Vec<u8>, rates: &Rates) {
    let mut object = Object::open(out);
    for (name, value) in [
        ("bytes_orig", rates.bytes_orig),
        ("bytes_reply", rates.bytes_reply),
        ("packets_orig", rates.packets_orig),
        ("packets_reply", rates.packets_reply),
    ] {
        // A tenth of a byte a second is more than anybody reads.
        object
            .key(name)
            .extend_from_slice(format!("{value:.1}").as_bytes());
    }
    object.close();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::naming::Unknown;
    use ctnetlink::{Entry, Protocol, Tuple};

    #[test]
    fn a_connection_is_the_entry_with_name_rates_and_what_its_mark_says() {
        let host = |last| std::net::IpAddr::from([192, 0, 2, last]);
        let orig = Tuple::ports(Protocol::TCP, host(1), 50_000, host(2), 443);
        let entry = Entry {
            id: Some(0x1234),
            mark: Some(0x5b03),
            ..Entry::new(orig, orig.mirror())
        };
        let row = Row {
            rates: Some(Rates {
                bytes_orig: 1234.56,
                ..Rates::default()
            }),
            entry,
            is_read: true,
        };
        let mut config = Config::default();
        config.names.hosts.insert(host(1), "nas".to_owned());
        let naming = Naming::new(&config).unwrap();
        let mut out = Vec::new();
        let names = naming.addresses(&row.entry, Unknown::Leave);
        write_connection(&mut out, &row, &naming, &names);
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let mut entry = Vec::new();
        write_entry(&mut entry, &row.entry);
        let entry: serde_json::Value = serde_json::from_slice(&entry).unwrap();
        for (member, known) in entry.as_object().unwrap() {
            assert_eq!(&value[member], known);
        }
        assert_eq!(value["name"], name(&row.entry));
        assert_eq!(value["rates"]["bytes_orig"], 1234.6);
        assert_eq!(
            (&value["app"], &value["prio"]),
            (&"SSL".into(), &"low".into())
        );
        assert_eq!(value.get("provider"), None);
        assert_eq!(value["service"], "https");
        let nas = serde_json::json!({"192.0.2.1": {"name": "nas", "from": "configuration"}});
        assert_eq!(value["names"], nas);
    }
}
