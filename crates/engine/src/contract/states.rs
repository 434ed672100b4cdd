//! `read`, action `protocols`; and the states by which `conntrack` filters.

use ctnetlink::{DccpState, Protocol, SctpState, TcpState};
use serde::Serialize;

use super::connection::LISTEN;

/// The document's protocols and their states.
#[derive(Debug, Serialize)]
pub(super) struct Protocols {
    protocols: States,
}

#[derive(Debug, Serialize)]
struct States {
    udp: [&'static str; 0],
    tcp: [&'static str; 10],
    icmp: [&'static str; 0],
}

impl Protocols {
    /// As the document has it, in its order.
    pub(super) const DOCUMENT: Self = Self {
        protocols: States {
            udp: [],
            tcp: [
                "CLOSE",
                "CLOSE_WAIT",
                "ESTABLISHED",
                "FIN_WAIT",
                "LAST_ACK",
                LISTEN,
                "NONE",
                "SYN_SENT",
                "SYN_RECV",
                "TIME_WAIT",
            ],
            icmp: [],
        },
    };
}

/// The states of a protocol, or of all, as the contract prints them.
pub(super) fn names(protocol: Option<Protocol>) -> Vec<&'static str> {
    let is = |wanted| protocol.is_none_or(|protocol| protocol == wanted);
    let tcp = Protocols::DOCUMENT.protocols.tcp.into_iter();
    let sctp = SctpState::ALL.iter().filter_map(|state| state.name());
    let dccp = DccpState::ALL.iter().filter_map(|state| state.name());
    let mut names: Vec<&'static str> = Vec::new();
    for name in tcp
        .filter(|_| is(Protocol::TCP))
        .chain(sctp.filter(|_| is(Protocol::SCTP)))
        .chain(dccp.filter(|_| is(Protocol::DCCP)))
    {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Whether a protocol, or any, has a state of that name, in any case; also by the kernel's own name
/// of the document's `LISTEN`.
pub(super) fn is_known(text: &str, protocol: Option<Protocol>) -> bool {
    let kernel_name = TcpState::SYN_SENT2
        .name()
        .filter(|_| names(protocol).contains(&LISTEN));
    let mut known = names(protocol).into_iter().chain(kernel_name);
    known.any(|name| name.eq_ignore_ascii_case(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use query::{Query, Vocabulary};

    #[test]
    fn protocols_are_the_document_s_in_its_order() {
        let document = r#"{"protocols":{"udp":[],"tcp":["CLOSE","CLOSE_WAIT","ESTABLISHED","FIN_WAIT","LAST_ACK","LISTEN","NONE","SYN_SENT","SYN_RECV","TIME_WAIT"],"icmp":[]}}"#;
        let ours = serde_json::to_string(&Protocols::DOCUMENT).unwrap();
        assert_eq!(ours, document);
    }

    #[test]
    fn every_state_that_is_named_can_be_asked_for() {
        let protocols = [
            None,
            Some(Protocol::TCP),
            Some(Protocol::SCTP),
            Some(Protocol::DCCP),
        ];
        for protocol in protocols {
            let names = names(protocol);
            assert!(names.len() >= 10);
            for name in names {
                assert!(is_known(&name.to_lowercase(), protocol), "{name}");
                let query = format!("state == {name}");
                assert!(
                    Query::parse(&query, &Vocabulary::default()).is_ok(),
                    "{name}"
                );
            }
        }
        assert_eq!(names(Some(Protocol::UDP)), [""; 0]);
    }

    #[test]
    fn listen_and_syn_sent2_are_one_state_of_tcp() {
        assert!(is_known("listen", None) && is_known("syn_sent2", Some(Protocol::TCP)));
        assert!(!is_known("LISTEN", Some(Protocol::SCTP)));
        assert!(!is_known("SYN_SENT2", Some(Protocol::DCCP)));
    }
}
