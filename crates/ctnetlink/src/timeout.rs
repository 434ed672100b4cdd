//! Timeout policies (nfnetlink_cttimeout): times to live that rules give to connections, and the
//! namespace's own for all others.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

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
    /// Its name, at most [`LONGEST_NAME`](Self::LONGEST_NAME) bytes, in any encoding; empty in the
    /// namespace's own.
    pub name: OsString,
    /// The kernel's number of the family: 2 is IPv4, 10 is IPv6. The kernel takes any other number
    /// too, but rules only use policies of their own family.
    pub family: u16,
    /// The protocol; [`GENERIC`](Self::GENERIC) is all that the kernel tracks by address only.
    pub protocol: Protocol,
    /// Seconds of each state, by the attribute's number in the kernel's header.
    pub seconds: Vec<(u16, u32)>,
    /// How many rules use it; `None` in the namespace's own.
    pub users: Option<u32>,
}

impl TimeoutPolicy {
    /// Bytes of the longest name: `CTNL_TIMEOUT_NAME_MAX` without the closing zero byte.
    pub const LONGEST_NAME: usize = 31;

    /// What stands for all protocols that the kernel tracks by address only: `IPPROTO_RAW`, as in
    /// the kernel's `nf_conntrack_l4proto_generic`.
    pub const GENERIC: Protocol = Protocol(255);

    /// The protocol's name: that of an entry's protocol, or `generic`.
    pub fn protocol_name(&self) -> Option<&'static str> {
        if self.protocol == Self::GENERIC {
            return Some("generic");
        }
        self.protocol.name()
    }

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

    /// The attribute of a state's name, in any case.
    pub fn number(protocol: Protocol, state: &str) -> Option<u16> {
        let index = Self::states(protocol)
            .iter()
            .position(|name| name.eq_ignore_ascii_case(state))?;
        u16::try_from(index + 1).ok()
    }

    fn decode(attrs: Attrs<'_>) -> Result<Self, DecodeError> {
        let mut policy = Self {
            name: OsString::new(),
            family: 0,
            protocol: Protocol(0),
            seconds: Vec::new(),
            users: None,
        };
        for attr in attrs {
            let attr = attr?;
            match attr.kind {
                CTA_TIMEOUT_NAME => {
                    OsStr::from_bytes(attr.raw_text()).clone_into(&mut policy.name);
                }
                CTA_TIMEOUT_L3PROTO => policy.family = attr.be16("CTA_TIMEOUT_L3PROTO")?,
                CTA_TIMEOUT_L4PROTO => {
                    policy.protocol = Protocol(attr.u8("CTA_TIMEOUT_L4PROTO")?);
                }
                // A reference count, which begins at one: the kernel's list of policies holds each.
                CTA_TIMEOUT_USE => {
                    let references = attr.be32("CTA_TIMEOUT_USE")?;
                    policy.users = Some(references.saturating_sub(1));
                }
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

    /// All but the name, which the namespace's own times have not.
    fn encode_times(&self, w: &mut Writer) {
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
        self.ask_timeout(Operation::TimeoutPolicies, GET, NLM_F_DUMP, |_| {})
    }

    /// One timeout policy by its name.
    pub fn timeout_policy(&self, name: impl AsRef<OsStr>) -> Result<Option<TimeoutPolicy>, Error> {
        let found = self.ask_timeout(Operation::TimeoutPolicyGet, GET, NLM_F_ACK, |w| {
            w.raw_text(CTA_TIMEOUT_NAME, name.as_ref().as_bytes());
        })?;
        Ok(found.into_iter().next())
    }

    /// Makes a timeout policy. Times that it does not say are the namespace's own.
    pub fn create_timeout_policy(&self, policy: &TimeoutPolicy) -> Result<(), Error> {
        let flags = NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK;
        self.ask_timeout(Operation::TimeoutPolicyCreate, NEW, flags, |w| {
            w.raw_text(CTA_TIMEOUT_NAME, policy.name.as_bytes());
            policy.encode_times(w);
        })
        .map(drop)
    }

    /// Deletes a timeout policy that no rule uses.
    pub fn delete_timeout_policy(&self, name: impl AsRef<OsStr>) -> Result<(), Error> {
        self.ask_timeout(Operation::TimeoutPolicyDelete, DELETE, NLM_F_ACK, |w| {
            w.raw_text(CTA_TIMEOUT_NAME, name.as_ref().as_bytes());
        })
        .map(drop)
    }

    /// The namespace's own times of a protocol: those of its sysctls.
    pub fn default_timeouts(
        &self,
        family: u16,
        protocol: Protocol,
    ) -> Result<Option<TimeoutPolicy>, Error> {
        let found = self.ask_timeout(Operation::DefaultTimeouts, DEFAULT_GET, NLM_F_ACK, |w| {
            w.be16(CTA_TIMEOUT_L3PROTO, family);
            w.u8(CTA_TIMEOUT_L4PROTO, protocol.0);
        })?;
        Ok(found.into_iter().next())
    }

    /// Sets the namespace's own times of a protocol; its name is not looked at.
    pub fn set_default_timeouts(&self, policy: &TimeoutPolicy) -> Result<(), Error> {
        let operation = Operation::DefaultTimeoutsUpdate;
        self.ask_timeout(operation, DEFAULT_SET, NLM_F_ACK, |w| {
            policy.encode_times(w);
        })
        .map(drop)
    }

    fn ask_timeout(
        &self,
        operation: Operation,
        kind: u16,
        flags: u16,
        body: impl FnOnce(&mut Writer),
    ) -> Result<Vec<TimeoutPolicy>, Error> {
        let mut policies = Vec::new();
        self.exchange()?
            .request(operation, kind, flags, ANY, body, |_, attrs| {
                policies.push(TimeoutPolicy::decode(attrs)?);
                Ok(())
            })?;
        Ok(policies)
    }
}
