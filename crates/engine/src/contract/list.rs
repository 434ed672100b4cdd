//! `read`, action `conntrack`: connections by protocol and state, the largest first.

use query::{Query, Vocabulary};

use super::Setup;
use super::connection::Order;
use super::fault::Fault;
use super::reply::Reply;
use super::request::{Fields, Request};
use super::states;
use super::top::{First, without_repetitions};
use crate::marks::Marks;
use crate::source::Wanted;

/// What is asked for.
#[derive(Clone, Debug)]
struct Asked {
    query: Query,
    limit: Option<usize>,
}

/// Reads the table; memory grows with the limit, not with the table.
pub(super) fn read(request: &Request, setup: &Setup) -> Result<Reply, Fault> {
    let asked = Asked::parse(request)?;
    let source = setup.table()?;
    let order = if setup.accounting()? {
        Order::Bytes
    } else {
        Order::Timeout
    };
    let floor = order.floor().filter(|_| asked.limit.is_some());
    let wanted = Wanted {
        floor: floor.as_ref(),
        ..Wanted::of(&asked.query)
    };
    let folded = source.fold(
        &wanted,
        |_| {},
        || First::new(order, asked.limit),
        |first, entry| {
            if let (Some(least), Some(floor)) = (first.offer(entry), &floor) {
                floor.raise(least);
            }
        },
        First::merge,
    )?;
    let (first, outcome) = (folded.value, folded.outcome);
    let mut rows = first.into_rows();
    if !outcome.complete {
        rows = without_repetitions(rows);
    }
    let reply = Reply::connections(rows, Marks::new(&setup.config.marks));
    Ok(if outcome.complete {
        reply
    } else {
        reply.with_note(
            "the kernel's table changed under the reading, as when it is resized, more than once: connections may \
             be missing"
                .to_owned(),
        )
    })
}

/// How many connections a request lists at most; `None` for all.
pub(super) fn limit(request: &Request) -> Result<Option<usize>, Fault> {
    Asked::parse(request).map(|asked| asked.limit)
}

impl Asked {
    fn parse(request: &Request) -> Result<Self, Fault> {
        let mut fields = Fields::new(request);
        let protocol = fields.protocol("protocol");
        let state = fields.text("state").filter(|state| {
            // A wrong protocol has been noted; the state is then looked up in all.
            let names = states::names(protocol);
            let is_known = states::is_known(state, protocol);
            if !is_known {
                fields.unknown("state", names);
            }
            is_known
        });
        let limit = fields
            .any_integer("limit")
            .filter(|&limit| limit > 0)
            .map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let conditions = [
            protocol.map(|protocol| format!("proto == {protocol}")),
            state.map(|state| format!("state == {state}")),
        ];
        let text: Vec<String> = conditions.into_iter().flatten().collect();
        let query = Query::parse(&text.join(" and "), &Vocabulary::default());
        let wanted = query.ok().map(|query| Self { query, limit });
        fields.finish(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fault::{Attribute, word};
    use super::*;
    use ctnetlink::Protocol;

    fn parse(text: &str) -> Result<Asked, Vec<Attribute>> {
        let request = Request::parse(text.as_bytes()).unwrap();
        Asked::parse(&request).map_err(|fault| fault.attributes)
    }

    #[test]
    fn zero_negative_empty_and_absent_limits_mean_all() {
        for limit in [
            "0", "-1", "\"\"", "\"0\"", "\"-5\"", "null", "-1e300", "0.0",
        ] {
            let asked = parse(&format!("{{\"limit\":{limit}}}")).unwrap();
            assert_eq!(asked.limit, None, "{limit}");
        }
        assert_eq!(parse("{}").unwrap().limit, None);
        let lists = |limit: &str| {
            let text = format!(r#"{{"action":"conntrack","limit":{limit}}}"#);
            super::super::lists_more_than(text.as_bytes(), 10_000)
        };
        assert!(lists("0") && lists("\"\"") && lists("10001"));
        assert!(!lists("10000") && !lists("\"25\"") && !lists("\"many\""));
        assert_eq!(parse(r#"{"limit":"25"}"#).unwrap().limit, Some(25));
    }

    #[test]
    fn every_wrong_field_is_told() {
        let wrong = parse(r#"{"protocol":"tpc","state":"OPENED","limit":"many"}"#).unwrap_err();
        let told: Vec<_> = wrong
            .iter()
            .map(|wrong| (wrong.parameter, wrong.value.as_str(), wrong.error))
            .collect();
        assert_eq!(
            told,
            [
                ("protocol", "tpc", word::UNKNOWN),
                ("state", "OPENED", word::UNKNOWN),
                ("limit", "many", word::NOT_AN_INTEGER),
            ]
        );
        assert!(wrong[0].valid.as_ref().unwrap().contains(&"icmpv6"));
    }

    #[test]
    fn a_state_is_one_of_its_protocol() {
        assert!(parse(r#"{"protocol":"TCP","state":"ESTABLISHED"}"#).is_ok());
        assert!(parse(r#"{"protocol":"udp","state":"ESTABLISHED"}"#).is_err());
        assert!(parse(r#"{"protocol":"sctp","state":"COOKIE_WAIT"}"#).is_ok());
        assert!(parse(r#"{"protocol":"tcp","state":"COOKIE_WAIT"}"#).is_err());
        let both = parse(r#"{"protocol":6,"state":"listen"}"#).unwrap();
        assert_eq!(
            both.query.to_string(),
            "proto == tcp and state == SYN_SENT2"
        );
        let alone = parse(r#"{"state":"COOKIE_WAIT"}"#).unwrap();
        assert_eq!(alone.query.filters()[0].protocol, Some(Protocol::SCTP));
    }
}
