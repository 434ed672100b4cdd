//! `read`, action `protocols`; and the states by which `conntrack` filters.

use ctnetlink::{DccpState, Entry, Filter, ProtoInfo, Protocol, SctpState, TcpState};
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

/// A state by name: the number that it has in each protocol that knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    tcp: Option<TcpState>,
    sctp: Option<SctpState>,
    dccp: Option<DccpState>,
}

impl State {
    /// The state of a name, in any case, in one protocol or in all.
    pub(super) fn named(text: &str, protocol: Option<Protocol>) -> Option<Self> {
        let is = |wanted| protocol.is_none_or(|protocol| protocol == wanted);
        let tcp = if text.eq_ignore_ascii_case(LISTEN) {
            Some(TcpState::SYN_SENT2)
        } else {
            TcpState::from_name(text)
        };
        let state = Self {
            tcp: tcp.filter(|_| is(Protocol::TCP)),
            sctp: SctpState::from_name(text).filter(|_| is(Protocol::SCTP)),
            dccp: DccpState::from_name(text).filter(|_| is(Protocol::DCCP)),
        };
        (state.protocols().count() > 0).then_some(state)
    }

    /// The names that [`named`](Self::named) knows, as the contract prints them.
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

    /// Whether an entry is in this state.
    #[inline]
    pub(super) fn matches(&self, entry: &Entry) -> bool {
        match entry.protoinfo {
            Some(ProtoInfo::Tcp(tcp)) => self.tcp.is_some() && tcp.state == self.tcp,
            Some(ProtoInfo::Sctp(sctp)) => self.sctp.is_some() && sctp.state == self.sctp,
            Some(ProtoInfo::Dccp(dccp)) => self.dccp.is_some() && dccp.state == self.dccp,
            None => false,
        }
    }

    /// What the kernel can do of it: leave out other protocols, if one alone has the state.
    pub(super) fn narrow(&self, filter: &mut Filter) {
        let mut protocols = self.protocols();
        if let (Some(protocol), None) = (protocols.next(), protocols.next()) {
            filter.protocol = Some(protocol);
        }
    }

    fn protocols(&self) -> impl Iterator<Item = Protocol> + use<> {
        [
            self.tcp.map(|_| Protocol::TCP),
            self.sctp.map(|_| Protocol::SCTP),
            self.dccp.map(|_| Protocol::DCCP),
        ]
        .into_iter()
        .flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let names = State::names(protocol);
            assert!(names.len() >= 10);
            for name in names {
                assert!(State::named(name, protocol).is_some(), "{name}");
            }
        }
        assert_eq!(State::names(Some(Protocol::UDP)), [""; 0]);
    }

    #[test]
    fn listen_and_syn_sent2_are_one_state_of_tcp() {
        let listen = State::named("LISTEN", None).unwrap();
        assert_eq!(State::named("syn_sent2", Some(Protocol::TCP)), Some(listen));
        assert_eq!(State::named("LISTEN", Some(Protocol::SCTP)), None);
    }

    #[test]
    fn a_state_of_one_protocol_narrows_what_the_kernel_sends() {
        let mut filter = Filter::any();
        State::named("ESTABLISHED", None)
            .unwrap()
            .narrow(&mut filter);
        assert_eq!(filter.protocol, None);
        State::named("TIME_WAIT", None).unwrap().narrow(&mut filter);
        assert_eq!(filter.protocol, Some(Protocol::TCP));
    }
}
