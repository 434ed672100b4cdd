//! Timeout policies (nfnetlink_cttimeout): times to live that rules give to connections, and the
//! namespace's own for all others.

use crate::client::Client;
use crate::constants::*;
use crate::error::{Error, Operation};
use crate::message::Protocol;
use crate::wire::{Attrs, DecodeError, NfGen, Writer};

const SUBSYSTEM: u16 = 8 << 8;
const NEW: u16 = SUBSYSTEM;
const GET: u16 = SUBSYSTEM | 1;
const DELETE: u16 = SUBSYSTEM | 2;
const DEFAULT_SET: u16 = SUBSYSTEM | 3;
const DEFAULT_GET: u16 = SUBSYSTEM | 4;

const CTA_TIMEOUT_NAME: u16 = 1;
const CTA_TIMEOUT_L3PROTO: u16 = 2;
const CTA_TIMEOUT_L4PROTO: u16 = 3;
const CTA_TIMEOUT_DATA: u16 = 4;
const CTA_TIMEOUT_USE: u16 = 5;

/// A set of times to live of one protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeoutPolicy {
    /// Its name, at most 31 bytes; empty in the namespace's own.
    pub name: String,
    /// The kernel's number of the family: 2 is IPv4, 10 is IPv6, 0 any.
    pub family: u16,
    /// The protocol; one that the kernel tracks by address only is 255.
    pub protocol: Protocol,
    /// Seconds of each state, by the attribute's number in the kernel's header.
    pub seconds: Vec<(u16, u32)>,
    /// How many rules use it.
    pub use_count: Option<u32>,
}

impl TimeoutPolicy {
    /// Names of a protocol's states, in the order of the kernel's attributes, which begin at 1.
    pub const fn states(protocol: Protocol) -> &'static [&'static str] {
        match protocol {
            Protocol::TCP => &[
                "syn_sent",
                "syn_recv",
                "established",
                "fin_wait",
                "close_wait",
                "last_ack",
                "time_wait",
                "close",
                "syn_sent2",
                "retrans",
                "unacknowledged",
            ],
            Protocol::UDP | Protocol::UDPLITE | Protocol::GRE => &["unreplied", "replied"],
            Protocol::SCTP => &[
                "closed",
                "cookie_wait",
                "cookie_echoed",
                "established",
                "shutdown_sent",
                "shutdown_recd",
                "shutdown_ack_sent",
                "heartbeat_sent",
                "heartbeat_acked",
            ],
            Protocol::DCCP => &[
                "request", "respond", "partopen", "open", "closereq", "closing", "timewait",
            ],
            _ => &["timeout"],
        }
    }

    /// The seconds of each state by its name; a number that has none is left out.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, u32)> {
        let states = Self::states(self.protocol);
        self.seconds.iter().filter_map(move |(number, seconds)| {
            let index = usize::from(*number).checked_sub(1)?;
            Some((*states.get(index)?, *seconds))
        })
    }

    /// The attribute of a state's name.
    pub fn number(protocol: Protocol, state: &str) -> Option<u16> {
        let index = Self::states(protocol)
            .iter()
            .position(|name| *name == state)?;
        u16::try_from(index + 1).ok()
    }

    fn decode(attrs: Attrs<'_>) -> Result<Self, DecodeError> {
        let mut policy = Self {
            name: String::new(),
            family: 0,
            protocol: Protocol(0),
            seconds: Vec::new(),
            use_count: None,
        };
        for attr in attrs {
            let attr = attr?;
            match attr.kind {
                CTA_TIMEOUT_NAME => attr.text("CTA_TIMEOUT_NAME")?.clone_into(&mut policy.name),
                CTA_TIMEOUT_L3PROTO => policy.family = attr.be16("CTA_TIMEOUT_L3PROTO")?,
                CTA_TIMEOUT_L4PROTO => {
                    policy.protocol = Protocol(attr.u8("CTA_TIMEOUT_L4PROTO")?);
                }
                CTA_TIMEOUT_USE => policy.use_count = Some(attr.be32("CTA_TIMEOUT_USE")?),
                CTA_TIMEOUT_DATA => {
                    for part in attr.nested() {
                        let part = part?;
                        policy
                            .seconds
                            .push((part.kind, part.be32("CTA_TIMEOUT_DATA")?));
                    }
                }
                _ => {}
            }
        }
        Ok(policy)
    }

    fn encode(&self, w: &mut Writer) {
        if !self.name.is_empty() {
            w.text(CTA_TIMEOUT_NAME, &self.name);
        }
        w.be16(CTA_TIMEOUT_L3PROTO, self.family);
        w.u8(CTA_TIMEOUT_L4PROTO, self.protocol.0);
        w.nested(CTA_TIMEOUT_DATA, |w| {
            for (number, seconds) in &self.seconds {
                w.be32(*number, *seconds);
            }
        });
    }
}

/// nfnetlink's header of a request for all families.
const ANY: NfGen = NfGen {
    family: AF_UNSPEC,
    version: 0,
    resource: 0,
};

impl Client {
    /// All timeout policies.
    pub fn timeout_policies(&self) -> Result<Vec<TimeoutPolicy>, Error> {
        self.ask_timeout(GET, NLM_F_DUMP, |_| {})
    }

    /// One timeout policy by its name.
    pub fn timeout_policy(&self, name: &str) -> Result<Option<TimeoutPolicy>, Error> {
        let found = self.ask_timeout(GET, NLM_F_ACK, |w| w.text(CTA_TIMEOUT_NAME, name))?;
        Ok(found.into_iter().next())
    }

    /// Makes a timeout policy. Times that it does not say are the namespace's own.
    pub fn create_timeout_policy(&self, policy: &TimeoutPolicy) -> Result<(), Error> {
        let flags = NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK;
        self.ask_timeout(NEW, flags, |w| policy.encode(w)).map(drop)
    }

    /// Deletes a timeout policy that no rule uses.
    pub fn delete_timeout_policy(&self, name: &str) -> Result<(), Error> {
        self.ask_timeout(DELETE, NLM_F_ACK, |w| w.text(CTA_TIMEOUT_NAME, name))
            .map(drop)
    }

    /// The namespace's own times of a protocol: those of its sysctls.
    pub fn default_timeouts(
        &self,
        family: u16,
        protocol: Protocol,
    ) -> Result<Option<TimeoutPolicy>, Error> {
        let found = self.ask_timeout(DEFAULT_GET, NLM_F_ACK, |w| {
            w.be16(CTA_TIMEOUT_L3PROTO, family);
            w.u8(CTA_TIMEOUT_L4PROTO, protocol.0);
        })?;
        Ok(found.into_iter().next())
    }

    /// Sets the namespace's own times of a protocol; its name is not looked at.
    pub fn set_default_timeouts(&self, policy: &TimeoutPolicy) -> Result<(), Error> {
        let policy = TimeoutPolicy {
            name: String::new(),
            ..policy.clone()
        };
        self.ask_timeout(DEFAULT_SET, NLM_F_ACK, |w| policy.encode(w))
            .map(drop)
    }

    fn ask_timeout(
        &self,
        kind: u16,
        flags: u16,
        body: impl FnOnce(&mut Writer),
    ) -> Result<Vec<TimeoutPolicy>, Error> {
        let mut policies = Vec::new();
        self.exchange()?.request(
            Operation::TimeoutPolicies,
            kind,
            flags,
            ANY,
            body,
            |_, attrs| {
                policies.push(TimeoutPolicy::decode(attrs)?);
                Ok(())
            },
        )?;
        Ok(policies)
    }
}
