//! `delete`, actions `flush` and `connection`.

use ctnetlink::{Client, Family, Filter, Key, Protocol, TupleFilter};

use super::Setup;
use super::fault::{Fault, Kind, word};
use super::reply::{self, Reply};
use super::request::{Fields, Request};
use crate::actions::{self, Changed, Named};
use crate::source::ATTEMPTS;

/// Empties the table.
pub(super) fn flush(setup: &Setup) -> Result<Reply, Fault> {
    let client = setup.client()?;
    // The kernel does not count what it flushes.
    let count = || Some(u64::from(client.global_stats().ok()?.entries?));
    let before = count();
    client.flush(&Filter::any())?;
    let told = Reply::success();
    Ok(match before.zip(count()) {
        Some((matched, left)) => told.with_changed(reply::Changed {
            matched,
            done: matched.saturating_sub(left),
            refused: 0,
        }),
        None => told,
    })
}

/// Deletes every entry that the request names; none is an error.
///
/// The entries are looked up first and then deleted one by one, by tuple, zone and id: what was
/// made meanwhile under the same addresses is not what was asked for.
pub(super) fn connection(request: &Request, setup: &Setup) -> Result<Reply, Fault> {
    let filter = parse(request)?;
    let client = setup.client()?;
    let named = named(&client, &filter)?;
    let changed = actions::delete(&client, &named, |_| {});
    Ok(Reply::from(answer(&changed)).with_changed(reply::Changed {
        matched: changed.selected,
        done: changed.done,
        refused: changed.refused,
    }))
}

/// Success is that all of it is gone; what is not known to be whole is not success.
fn answer(changed: &Changed) -> Result<Reply, Fault> {
    let trouble = changed.first.as_ref().or(changed.ended_by.as_ref());
    match trouble {
        None if !changed.read_whole => Err(Fault::new(
            Kind::Incomplete,
            format!(
                "{} connections were deleted, but the table could not be read whole, so more may \
                 be there; try again",
                changed.done
            ),
        )),
        None if changed.done > 0 => Ok(Reply::success()),
        None => Err(not_found()),
        Some(failure) if changed.done + changed.unknown == 0 => Err(failure.clone().into()),
        Some(failure) => Err(Fault::new(
            Kind::Incomplete,
            format!(
                "{} of {} connections were deleted, {} were not, of {} it is not known ({failure}); \
                 read the table and delete the rest again",
                changed.done,
                changed.selected,
                changed.selected - changed.done - changed.gone - changed.unknown,
                changed.unknown,
            ),
        )),
    }
}

fn not_found() -> Fault {
    Fault::new(
        Kind::NotFound,
        "no such connection; it may have ended in the meantime: read the table again, and name \
         the original direction",
    )
}

/// Names of all entries that match.
fn named(client: &Client, filter: &Filter) -> Result<Named, Fault> {
    let (keys, outcome) = client.fold(
        &(*filter).into(),
        ATTEMPTS,
        Vec::new,
        |keys: &mut Vec<Key>, entry| {
            keys.push(entry.key());
        },
    )?;
    Ok(Named::new(keys, outcome))
}

fn parse(request: &Request) -> Result<Filter, Fault> {
    let mut fields = Fields::new(request);
    let protocol = fields.required_protocol("protocol");
    let src = fields.required_address("src");
    let dst = fields.required_address("dst");
    let zone = fields.number16("zone");
    let (mut src_port, mut dst_port, mut icmp_id) = (None, None, None);
    match protocol {
        Some(protocol) if protocol.has_ports() => {
            src_port = fields.required_port("sport");
            dst_port = fields.required_port("dport");
        }
        Some(Protocol::ICMP | Protocol::ICMPV6) => icmp_id = fields.number16("id"),
        _ => {}
    }
    let family = match protocol {
        Some(Protocol::ICMP) => Some(Family::Ipv4),
        Some(Protocol::ICMPV6) => Some(Family::Ipv6),
        _ => src.map(Family::of),
    };
    for (name, address) in [("src", src), ("dst", dst)] {
        if let (Some(address), Some(family)) = (address, family)
            && Family::of(address) != family
        {
            fields.wrong(name, word::WRONG_FAMILY);
        }
    }
    let orig = TupleFilter {
        src,
        dst,
        src_port,
        dst_port,
        icmp_id,
        ..TupleFilter::default()
    };
    fields.finish(Some(Filter {
        protocol,
        orig,
        zone,
        ..Filter::any()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> Vec<(&'static str, &'static str)> {
        let request = Request::parse(text.as_bytes()).unwrap();
        match parse(&request) {
            Ok(_) => Vec::new(),
            Err(fault) => fault
                .attributes
                .iter()
                .map(|wrong| (wrong.parameter, wrong.error))
                .collect(),
        }
    }

    #[test]
    fn the_document_s_example_is_valid_and_its_ports_do_not_count() {
        let request = Request::parse(
            br#"{"action":"connection","protocol":"icmp","dport":389,"sport":46286,
                "src":"10.0.0.212","dst":"1.2.3.4"}"#,
        )
        .unwrap();
        let filter = parse(&request).unwrap();
        assert_eq!(filter.protocol, Some(Protocol::ICMP));
        assert_eq!((filter.orig.src_port, filter.orig.dst_port), (None, None));
    }

    #[test]
    fn every_missing_field_is_told() {
        let three = ["protocol", "src", "dst"].map(|name| (name, word::MISSING));
        assert_eq!(wrong("{}"), three);
        let all: Vec<_> = ["src", "dst", "sport", "dport"]
            .map(|name| (name, word::MISSING))
            .into();
        for protocol in ["tcp", "UDP", "udplite", "sctp", "dccp"] {
            assert_eq!(wrong(&format!("{{\"protocol\":\"{protocol}\"}}")), all);
        }
        let two = ["src", "dst"].map(|name| (name, word::MISSING));
        for protocol in ["icmp", "icmpv6", "gre", "50"] {
            assert_eq!(wrong(&format!("{{\"protocol\":\"{protocol}\"}}")), two);
        }
    }

    #[test]
    fn every_wrong_field_is_told() {
        assert_eq!(
            wrong(
                r#"{"protocol":"tcp","src":"10.0.0.300","dst":7,"sport":70000,"dport":"http",
                   "zone":-1}"#
            ),
            [
                ("src", word::NOT_AN_ADDRESS),
                ("dst", word::WRONG_TYPE),
                ("zone", word::OUT_OF_RANGE),
                ("sport", word::OUT_OF_RANGE),
                ("dport", word::NOT_AN_INTEGER),
            ]
        );
    }

    #[test]
    fn addresses_of_two_families_name_no_connection() {
        let ports = r#""sport":1,"dport":2"#;
        assert_eq!(
            wrong(&format!(
                r#"{{"protocol":"udp","src":"::1","dst":"127.0.0.1",{ports}}}"#
            )),
            [("dst", word::WRONG_FAMILY)]
        );
        assert_eq!(
            wrong(r#"{"protocol":"icmp","src":"::1","dst":"::2"}"#),
            [("src", word::WRONG_FAMILY), ("dst", word::WRONG_FAMILY)]
        );
    }

    fn changed(done: u64, gone: u64, unknown: u64) -> Changed {
        Changed {
            selected: 2,
            done,
            gone,
            unknown,
            read_whole: true,
            ..Changed::default()
        }
    }

    #[test]
    fn part_of_it_is_neither_success_nor_nothing() {
        let lost = ctnetlink::Error::AnswerLost {
            operation: ctnetlink::Operation::Delete,
        };
        let part = Changed {
            first: Some(lost.into()),
            ..changed(1, 0, 1)
        };
        let fault = answer(&part).unwrap_err();
        assert_eq!(fault.kind, Kind::Incomplete);
        assert!(
            fault.message.starts_with("1 of 2 connections were deleted"),
            "{}",
            fault.message
        );
        let half_read = Changed {
            read_whole: false,
            ..changed(0, 0, 0)
        };
        assert_eq!(
            answer(&half_read).unwrap_err().kind,
            Kind::Incomplete,
            "not: not found"
        );
    }

    #[test]
    fn what_ended_by_itself_counts_as_gone_but_not_as_found() {
        assert_eq!(answer(&changed(0, 2, 0)).unwrap_err().kind, Kind::NotFound);
        assert!(answer(&changed(1, 1, 0)).is_ok());
    }
}
