//! The connections contract: one JSON object in, one JSON object out.
//!
//! A gateway's panel calls [`read`] and [`delete`] as programs or over HTTP. Nothing here touches
//! standard output: a [`Reply`] knows its body, the HTTP status that fits, and what is to be told
//! beside it.
//!
//! Choices that the contract leaves open:
//! - `null` and `""` mean the same as an absent field. A field of the action that is given twice
//!   is wrong; fields that the action does not know are ignored, whatever is in them.
//! - Whole numbers may be numbers or digits; states and protocols are taken in any case, actions
//!   and field names as they are written.
//! - "Accounting is on" is what the switch `nf_conntrack_acct` of the namespace says now.
//!   Connections from before the switch have no counters; they list as 0 bytes.
//! - Protocols without ports, ICMP's aside, show empty `sport` and `dport`. Where the kernel says no
//!   timeout (offloaded entries) or no use count, the text is empty.
//! - A number in a mark that has a value but no name shows as the number.

mod connection;
mod delete;
mod fault;
mod list;
mod reply;
mod request;
mod states;
mod stats;
mod top;

use std::sync::Arc;

use ctnetlink::{Client, Error, Namespace};

pub use fault::{Attribute, Kind, word};
pub use reply::{Changed, Reply, Source};
pub use request::{INPUT_LIMIT, read_input};

use fault::Fault;
use request::{Fields, Request};

use crate::config::Config;
use crate::failure::Failure;
use crate::history::History;
use crate::kernel::{Kernel, Way};

/// The kernel's switch for counters, of the network namespace of whoever reads it.
const ACCOUNTING: &str = "/proc/sys/net/netfilter/nf_conntrack_acct";

/// What the calls work with.
#[derive(Debug, Default)]
pub struct Setup {
    /// Names and addresses.
    pub config: Config,
    /// Whose table; `None` for the one of the calling thread.
    pub namespace: Option<Namespace>,
    /// In which way the table is read.
    pub way: Way,
    /// What this process records; `None` where another one records, or nobody: then its file is read.
    pub history: Option<Arc<History>>,
}

impl Setup {
    /// Opened only for requests that are valid and need it, so that nobody needs a privilege to
    /// be told of a mistake.
    fn client(&self) -> Result<Client, Error> {
        match &self.namespace {
            None => Client::open(),
            Some(namespace) => Client::open_in(namespace),
        }
    }

    /// The table of the same namespace, to be read.
    fn table(&self) -> Result<crate::Source, Failure> {
        let namespace = self.namespace.as_ref().map(Namespace::try_clone);
        let kernel = Kernel::open(namespace.transpose()?, self.way)?;
        Ok(crate::Source::Kernel(Box::new(kernel)))
    }

    /// Runs something in the namespace.
    fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
        match &self.namespace {
            None => Ok(work()),
            Some(namespace) => namespace.run(|| Ok(work())),
        }
    }

    /// Whether connections get counters now. Where the kernel does not track, there is no switch.
    fn accounting(&self) -> Result<bool, Error> {
        self.inside(|| std::fs::read(ACCOUNTING).is_ok_and(|value| value.trim_ascii() != b"0"))
    }
}

/// What `read` can be asked for.
const READS: [&str; 3] = ["conntrack", "protocols", "stats"];

/// The contract's `read`: `protocols`, `conntrack`, `stats`.
pub fn read(input: &[u8], setup: &Setup) -> Reply {
    let answer = || {
        let request = Request::parse(input)?;
        match action(&request, &READS)? {
            "protocols" => Ok(Reply::protocols()),
            "stats" => stats::read(&request, setup),
            _ => list::read(&request, setup),
        }
    };
    answer().into()
}

/// Whether a request may list more connections than so many. One that is wrong lists none.
pub fn lists_more_than(input: &[u8], many: usize) -> bool {
    let asked = || {
        let request = Request::parse(input)?;
        let is_list = action(&request, &READS)? == "conntrack";
        let limit = list::limit(&request)?;
        Ok::<_, Fault>(is_list && limit.is_none_or(|limit| limit > many))
    };
    asked().unwrap_or(false)
}

/// The contract's `delete`: `flush`, `connection`.
pub fn delete(input: &[u8], setup: &Setup) -> Reply {
    let answer = || {
        let request = Request::parse(input)?;
        match action(&request, &["flush", "connection"])? {
            "flush" => delete::flush(setup),
            _ => delete::connection(&request, setup),
        }
    };
    answer().into()
}

/// The answer to a request that could not be taken up at all.
pub fn refuse(failure: Failure) -> Reply {
    Fault::from(failure).into()
}

/// The answer to a request that could not be read.
pub fn refuse_input() -> Reply {
    Fault::no_json().into()
}

fn action(request: &Request, valid: &[&'static str]) -> Result<&'static str, Fault> {
    let mut fields = Fields::new(request);
    let action = fields.one_of("action", valid);
    fields.finish(action)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(reply: &Reply) -> serde_json::Value {
        let mut bytes = Vec::new();
        reply.write_to(&mut bytes).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[test]
    fn an_unknown_action_lists_the_valid_ones() {
        let reply = read(br#"{"action":"flush"}"#, &Setup::default());
        assert_eq!(reply.http_status(), 400);
        let body = body(&reply);
        assert_eq!(body["type"], "NotValid");
        assert_eq!(body["message"], "validation_failed");
        assert_eq!(
            body["attributes"],
            serde_json::json!([{
                "parameter": "action", "value": "flush", "error": "unknown",
                "valid": ["conntrack", "protocols", "stats"],
            }])
        );
    }

    #[test]
    fn no_action_and_a_wrong_one_are_told_apart() {
        for (request, error) in [
            ("{}", "missing"),
            (r#"{"action":""}"#, "missing"),
            (r#"{"Action":"flush"}"#, "missing"),
            (r#"{"action":"FLUSH"}"#, "unknown"),
            (r#"{"action":["flush"]}"#, "wrong_type"),
            (r#"{"action":"flush","action":"connection"}"#, "duplicate"),
        ] {
            let reply = delete(request.as_bytes(), &Setup::default());
            let body = body(&reply);
            assert_eq!(body["attributes"][0]["error"], error, "{request}");
            assert_eq!(body["attributes"].as_array().unwrap().len(), 1);
        }
    }

    #[test]
    fn protocols_need_no_kernel() {
        let reply = read(br#"{"action":"protocols","x":[1]}"#, &Setup::default());
        assert!(reply.is_ok());
        assert_eq!(body(&reply)["protocols"]["tcp"][5], "LISTEN");
    }
}
