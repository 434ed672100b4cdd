//! `read`, action `conntrack`: connections by protocol and state, the largest first.

use ctnetlink::{Client, Error, Family, Filter, Protocol};

use super::Setup;
use super::connection::Order;
use super::fault::Fault;
use super::reply::Reply;
use super::request::{Fields, Request};
use super::states::State;
use super::top::{First, without_repetitions};
use crate::marks::Marks;
use crate::source::ATTEMPTS;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wanted {
    filter: Filter,
    state: Option<State>,
    limit: Option<usize>,
}

/// Reads the table; memory grows with the limit, not with the table.
pub(super) fn read(request: &Request, setup: &Setup) -> Result<Reply, Fault> {
    let wanted = Wanted::parse(request)?;
    let client = setup.client()?;
    let order = if setup.accounting()? {
        Order::Bytes
    } else {
        Order::Timeout
    };
    let (first, complete) = collect(&client, &wanted, order)?;
    let mut rows = first.into_rows();
    if !complete {
        rows = without_repetitions(rows);
    }
    let reply = Reply::connections(rows, Marks::new(&setup.config.marks));
    Ok(if complete {
        reply
    } else {
        reply.with_note(
            "the kernel's table changed under the reading, as when it is resized, more than once: connections may \
             be missing"
                .to_owned(),
        )
    })
}

/// The first rows, and whether the table stood still enough.
///
/// The kernel filters by protocol within one family only, so each family is a walk over the whole
/// table. They go side by side: the time is the kernel's, and it has more than one core.
fn collect(client: &Client, wanted: &Wanted, order: Order) -> Result<(First, bool), Error> {
    let [one, other] = Family::ALL.map(|family| wanted.in_family(family));
    match wanted.filter.protocol {
        None | Some(Protocol::ICMP | Protocol::ICMPV6) => collect_one(client, wanted, order),
        Some(_) => std::thread::scope(|scope| {
            let other = scope.spawn(move || collect_one(client, &other, order));
            let (mut first, complete) = collect_one(client, &one, order)?;
            let (rest, also_complete) = other
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            first.add(rest);
            Ok((first, complete && also_complete))
        }),
    }
}

fn collect_one(client: &Client, wanted: &Wanted, order: Order) -> Result<(First, bool), Error> {
    let (first, outcome) = client.fold(
        &wanted.filter.into(),
        ATTEMPTS,
        || First::new(order, wanted.limit),
        |first, entry| {
            if wanted.state.is_none_or(|state| state.matches(entry)) {
                first.offer(entry);
            }
        },
    )?;
    Ok((first, outcome.complete))
}

impl Wanted {
    const fn in_family(mut self, family: Family) -> Self {
        self.filter.family = Some(family);
        self
    }

    fn parse(request: &Request) -> Result<Self, Fault> {
        let mut fields = Fields::new(request);
        let protocol = fields.protocol("protocol");
        let state = fields.text("state").and_then(|text| {
            // A wrong protocol has been noted; the state is then looked up in all.
            let state = State::named(text, protocol);
            if state.is_none() {
                fields.unknown("state", State::names(protocol));
            }
            state
        });
        let limit = fields
            .any_integer("limit")
            .filter(|&limit| limit > 0)
            .map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let mut filter = Filter {
            protocol,
            ..Filter::any()
        };
        if let Some(state) = state {
            state.narrow(&mut filter);
        }
        fields.finish(Some(Self {
            filter,
            state,
            limit,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fault::{Attribute, word};
    use super::*;

    fn parse(text: &str) -> Result<Wanted, Vec<Attribute>> {
        let request = Request::parse(text.as_bytes()).unwrap();
        Wanted::parse(&request).map_err(|fault| fault.attributes)
    }

    #[test]
    fn zero_negative_empty_and_absent_limits_mean_all() {
        for limit in [
            "0", "-1", "\"\"", "\"0\"", "\"-5\"", "null", "-1e300", "0.0",
        ] {
            let wanted = parse(&format!("{{\"limit\":{limit}}}")).unwrap();
            assert_eq!(wanted.limit, None, "{limit}");
        }
        assert_eq!(parse("{}").unwrap().limit, None);
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
        let alone = parse(r#"{"state":"COOKIE_WAIT"}"#).unwrap();
        assert_eq!(alone.filter.protocol, Some(Protocol::SCTP));
    }
}
