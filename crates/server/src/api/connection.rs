//! The JSON of a connection, as those see it who read it. [`engine::render::connection`] writes it;
//! a test reads what was written back into this.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::shape::Rates;

/// A connection: the kernel's entry, its name here, how much it moves, what its mark says.
/// docs/output.md explains the members; what the kernel did not say is absent.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    /// Short name for addresses (URLs): stable while it lives.
    pub name: String,
    /// `ipv4` or `ipv6`.
    pub family: String,
    /// The protocol's name, where the kernel tracks more than addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// IANA number.
    pub protocol_number: u8,
    /// The kernel's name of the protocol's state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// As opened.
    pub orig: Way,
    /// As answered.
    pub reply: Way,
    /// Whether addresses or ports are translated.
    pub nat: bool,
    /// Zone.
    pub zone: u16,
    /// `orig` or `reply`, where the zone applies to one direction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone_direction: Option<String>,
    /// Names of the status bits that are set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Vec<String>>,
    /// The status bits as a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_bits: Option<u32>,
    /// Seconds until it is dropped if no packet comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u32>,
    /// Mark.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mark: Option<u32>,
    /// Security mark.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secmark: Option<u32>,
    /// References in the kernel.
    #[serde(rename = "use", skip_serializing_if = "Option::is_none")]
    pub use_count: Option<u32>,
    /// Id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u32>,
    /// Begin, in nanoseconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_ns: Option<u64>,
    /// End, in nanoseconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_ns: Option<u64>,
    /// When an event happened, in nanoseconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_ns: Option<u64>,
    /// Window scales and flags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp: Option<Tcp>,
    /// Verification tags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sctp: Option<Sctp>,
    /// Role and handshake.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dccp: Option<Dccp>,
    /// Name of the helper at work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub helper: Option<String>,
    /// Numbers of the labels that are set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<u8>>,
    /// Security context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secctx: Option<String>,
    /// Sequence adjustment, original direction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seqadj_orig: Option<SeqAdj>,
    /// Sequence adjustment, reply direction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seqadj_reply: Option<SeqAdj>,
    /// SYN proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub synproxy: Option<SynProxy>,
    /// Original tuple of the connection that expected this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master: Option<Way>,
    /// Uplink, by the mark and the configured names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Application, by the mark and the configured names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// Traffic class, by the mark and the configured names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prio: Option<String>,
    /// Service that was addressed, by its port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Names of its addresses, as far as they are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<BTreeMap<String, AddressName>>)]
    pub names: Option<BTreeMap<IpAddr, AddressName>>,
    /// How much it moves; absent before it was read twice, and where accounting is off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rates: Option<Rates>,
}

/// A name of an address.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddressName {
    /// The name.
    pub name: String,
    /// Who says so: `configuration`, `lease`, `hosts`, `dns`; `network` where it is the name of the
    /// network that the address is in.
    pub from: String,
}

/// A row of a page.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum PageRow {
    /// All that is known of a connection.
    Connection(Box<Connection>),
    /// The columns that were asked for, by their names.
    Columns(BTreeMap<String, ColumnValue>),
}

/// A value of a column.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ColumnValue {
    /// Of ports, sums, times.
    Number(u64),
    /// Of everything else.
    Text(String),
}

/// One direction: who sends to whom, and how much.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Way {
    /// Source address.
    #[schema(value_type = String)]
    pub src: IpAddr,
    /// Destination address.
    #[schema(value_type = String)]
    pub dst: IpAddr,
    /// Source port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sport: Option<u16>,
    /// Destination port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dport: Option<u16>,
    /// Type of ICMP.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<u8>,
    /// Code of ICMP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<u8>,
    /// Identifier of ICMP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u16>,
    /// The source's key of GRE.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub srckey: Option<u16>,
    /// The destination's key of GRE.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dstkey: Option<u16>,
    /// Packets, with accounting on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packets: Option<u64>,
    /// Bytes, with accounting on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// What is known of TCP.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Tcp {
    /// Window scale of the opener.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wscale_orig: Option<u8>,
    /// Window scale of the other end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wscale_reply: Option<u8>,
    /// Flags of the kernel's for the opener.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flags_orig: Option<u8>,
    /// Flags of the kernel's for the other end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flags_reply: Option<u8>,
}

/// What is known of SCTP.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Sctp {
    /// Verification tag of the opener.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vtag_orig: Option<u32>,
    /// Verification tag of the other end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vtag_reply: Option<u32>,
}

/// What is known of DCCP.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Dccp {
    /// Role of the opener.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<u8>,
    /// Sequence number of the handshake.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handshake_seq: Option<u64>,
}

/// How sequence numbers are adjusted.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SeqAdj {
    /// Where.
    pub correction_pos: u32,
    /// By how much before that.
    pub offset_before: i32,
    /// By how much after it.
    pub offset_after: i32,
}

/// What a SYN proxy keeps.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SynProxy {
    /// Initial sequence number.
    pub isn: u32,
    /// Initial timestamp.
    pub its: u32,
    /// Offset of timestamps.
    pub tsoff: u32,
}
