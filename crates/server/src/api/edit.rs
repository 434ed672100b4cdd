//! What an entry is to be, or to become, as JSON.

use std::net::IpAddr;

use ctnetlink::{
    HelperName, L4, Labels, Masked, NatRange, NewEntry, ProtoInfo, Protocol, SctpInfo, SctpState,
    Status, TcpInfo, TcpState, Tuple, Zone,
};
use engine::actions::Edit;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::Fault;
use super::extract::shown;

/// A connection to be made.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateRequest {
    /// The protocol's name or IANA number.
    #[schema(example = "tcp")]
    protocol: String,
    /// Source address.
    #[schema(value_type = String, example = "10.0.0.7")]
    src: IpAddr,
    /// Destination address.
    #[schema(value_type = String, example = "192.0.2.1")]
    dst: IpAddr,
    /// Source port, or key of GRE; needed where the protocol has them.
    #[schema(example = 40000)]
    sport: Option<u16>,
    /// Destination port, or key of GRE; needed where the protocol has them.
    #[schema(example = 443)]
    dport: Option<u16>,
    /// Type of ICMP; needed there.
    #[serde(rename = "type")]
    kind: Option<u8>,
    /// Code of ICMP.
    code: Option<u8>,
    /// Identifier of ICMP.
    id: Option<u16>,
    /// Seconds until it is dropped if no packet comes; the kernel holds 2147483647 ticks of its clock at most, 24
    /// days where it has 1000 a second, and takes more for that.
    #[schema(example = 60, minimum = 1)]
    timeout: u32,
    /// Zone.
    #[serde(default)]
    zone: u16,
    /// Source of the reply, where it is not the destination.
    #[schema(value_type = Option<String>)]
    reply_src: Option<IpAddr>,
    /// Destination of the reply, where it is not the source.
    #[schema(value_type = Option<String>)]
    reply_dst: Option<IpAddr>,
    /// Source port of the reply.
    reply_sport: Option<u16>,
    /// Destination port of the reply.
    reply_dport: Option<u16>,
    /// Let the kernel translate the source to this address.
    #[schema(value_type = Option<String>)]
    nat_src: Option<IpAddr>,
    /// Let the kernel translate the destination to this address.
    #[schema(value_type = Option<String>)]
    nat_dst: Option<IpAddr>,
    /// State of TCP or SCTP; TCP is `ESTABLISHED` without it.
    state: Option<String>,
    /// Names of status bits to set: `SEEN_REPLY`, `ASSURED`.
    #[serde(default)]
    status: Vec<String>,
    /// Mark.
    mark: Option<u32>,
    /// Numbers of labels to set, 0 to 127.
    #[serde(default)]
    labels: Vec<u8>,
    /// Helper, such as `ftp`; it must be loaded.
    helper: Option<String>,
}

/// What to change; what is not given stays.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EditRequest {
    /// Seconds until it is dropped if no packet comes; the kernel holds 2147483647 ticks of its clock at most, 24
    /// days where it has 1000 a second, and takes more for that.
    timeout: Option<u32>,
    /// Mark.
    mark: Option<u32>,
    /// Which bits of the mark; all without it.
    mark_mask: Option<u32>,
    /// Names of status bits to set. None can be cleared.
    #[serde(default)]
    status: Vec<String>,
    /// State of TCP.
    state: Option<String>,
    /// Numbers of labels to set, 0 to 127.
    #[serde(default)]
    labels: Vec<u8>,
    /// Numbers of labels to clear, 0 to 127.
    #[serde(default)]
    clear_labels: Vec<u8>,
    /// Helper; an empty name takes it away.
    helper: Option<String>,
}

/// A protocol by its name or number, in the field `protocol`.
fn protocol(text: &str) -> Result<Protocol, Fault> {
    Protocol::from_name(text).ok_or_else(|| {
        let message = format!("there is no protocol {}", shown(text));
        Fault::usage(
            "protocol",
            message,
            "a name such as tcp, or an IANA number from 0 to 255",
        )
    })
}

/// The same, of those that have ports.
pub fn protocol_with_ports(text: &str) -> Result<Protocol, Fault> {
    let protocol = protocol(text)?;
    if !protocol.has_ports() {
        let message = format!("{protocol} has no ports");
        return Err(Fault::usage(
            "protocol",
            message,
            "tcp, udp, or another with ports",
        ));
    }
    Ok(protocol)
}

impl CreateRequest {
    /// The entry to be made; what the kernel would pass over in silence is refused.
    pub fn entry(&self) -> Result<NewEntry, Fault> {
        let orig = self.tuple()?;
        if self.timeout == 0 {
            return Err(Fault::usage(
                "timeout",
                "it would end at once",
                "give a second at least",
            ));
        }
        let mut new = NewEntry::new(orig, self.timeout);
        new.zone = Zone::new(self.zone);
        self.reply(&mut new)?;
        new.nat_src = self.nat_src.map(NatRange::to);
        new.nat_dst = self.nat_dst.map(NatRange::to);
        new.status = status(&self.status)?;
        new.protoinfo = self.protoinfo(orig.protocol)?;
        new.mark = self.mark;
        new.labels = (!self.labels.is_empty())
            .then(|| labels("labels", &self.labels))
            .transpose()?;
        new.helper = self.helper.as_deref().map(helper).transpose()?;
        Ok(new)
    }

    fn tuple(&self) -> Result<Tuple, Fault> {
        let protocol = protocol(&self.protocol)?;
        let is_v4 = self.src.is_ipv4();
        if is_v4 != self.dst.is_ipv4() {
            return Err(other_family("dst"));
        }
        let needed = |field: &'static str, value: Option<u16>| {
            value.ok_or_else(|| {
                Fault::usage(
                    field,
                    format!("{protocol} needs {field}"),
                    "a number from 0 to 65535",
                )
            })
        };
        let refused = |field: &'static str, is_given: bool| {
            if is_given {
                let message = format!("{protocol} has no {field}");
                return Err(Fault::usage(field, message, "leave it out"));
            }
            Ok(())
        };
        let is_icmp = matches!(protocol, Protocol::ICMP | Protocol::ICMPV6);
        let has_ports = protocol.has_ports() || protocol == Protocol::GRE;
        for (field, is_given) in [
            ("type", self.kind.is_some()),
            ("code", self.code.is_some()),
            ("id", self.id.is_some()),
        ] {
            refused(field, is_given && !is_icmp)?;
        }
        for (field, value) in [
            ("sport", self.sport),
            ("dport", self.dport),
            ("reply_sport", self.reply_sport),
            ("reply_dport", self.reply_dport),
        ] {
            refused(field, value.is_some() && !has_ports)?;
        }
        if is_icmp && is_v4 != (protocol == Protocol::ICMP) {
            let hint = "icmp goes with IPv4, icmpv6 with IPv6";
            return Err(Fault::usage(
                "protocol",
                "it is of another family than the addresses",
                hint,
            ));
        }
        let l4 = if is_icmp {
            let kind = self.kind.ok_or_else(|| {
                let hint = "an echo request is 8, of ICMPv6 128";
                Fault::usage("type", format!("{protocol} needs type"), hint)
            })?;
            L4::Icmp {
                kind,
                code: self.code.unwrap_or(0),
                id: self.id.unwrap_or(0),
            }
        } else if has_ports {
            let (src, dst) = (needed("sport", self.sport)?, needed("dport", self.dport)?);
            if protocol == Protocol::GRE {
                L4::Gre {
                    src_key: src,
                    dst_key: dst,
                }
            } else {
                L4::Ports { src, dst }
            }
        } else {
            L4::None
        };
        Ok(Tuple {
            src: self.src,
            dst: self.dst,
            protocol,
            l4,
        })
    }

    fn reply(&self, new: &mut NewEntry) -> Result<(), Fault> {
        let is_v4 = self.src.is_ipv4();
        for (field, address) in [
            ("reply_src", self.reply_src),
            ("reply_dst", self.reply_dst),
            ("nat_src", self.nat_src),
            ("nat_dst", self.nat_dst),
        ] {
            if address.is_some_and(|address| address.is_ipv4() != is_v4) {
                return Err(other_family(field));
            }
        }
        let is_nat = self.nat_src.is_some() || self.nat_dst.is_some();
        if is_nat && (self.reply_src.is_some() || self.reply_dst.is_some()) {
            let hint = "give nat_src and nat_dst, or reply_src and reply_dst";
            return Err(Fault::usage(
                "nat_src",
                "the kernel makes the reply itself then",
                hint,
            ));
        }
        new.reply.src = self.reply_src.unwrap_or(new.reply.src);
        new.reply.dst = self.reply_dst.unwrap_or(new.reply.dst);
        if let L4::Ports { src, dst }
        | L4::Gre {
            src_key: src,
            dst_key: dst,
        } = &mut new.reply.l4
        {
            *src = self.reply_sport.unwrap_or(*src);
            *dst = self.reply_dport.unwrap_or(*dst);
        }
        Ok(())
    }

    fn protoinfo(&self, protocol: Protocol) -> Result<Option<ProtoInfo>, Fault> {
        let unknown = |state: &str| {
            let message = format!("{protocol} has no state {}", shown(state));
            Fault::usage(
                "state",
                message,
                "/api/connections/read lists them: {\"action\":\"protocols\"}",
            )
        };
        Ok(match (protocol, self.state.as_deref()) {
            (Protocol::TCP, None) => Some(tcp(TcpState::ESTABLISHED)),
            (Protocol::TCP, Some(name)) => {
                Some(tcp(TcpState::from_name(name).ok_or_else(|| unknown(name))?))
            }
            (Protocol::SCTP, Some(name)) => Some(ProtoInfo::Sctp(SctpInfo {
                state: Some(SctpState::from_name(name).ok_or_else(|| unknown(name))?),
                vtag_orig: Some(0),
                vtag_reply: Some(0),
            })),
            (_, Some(name)) => return Err(unknown(name)),
            (_, None) => None,
        })
    }
}

fn tcp(state: TcpState) -> ProtoInfo {
    ProtoInfo::Tcp(TcpInfo {
        state: Some(state),
        ..TcpInfo::default()
    })
}

impl EditRequest {
    /// What to change; what cannot be is refused.
    pub fn edit(&self) -> Result<Edit, Fault> {
        let status = status(&self.status)?;
        let (add, clear) = (
            labels("labels", &self.labels)?,
            labels("clear_labels", &self.clear_labels)?,
        );
        if add.bits() & clear.bits() != 0 {
            return Err(Fault::usage(
                "clear_labels",
                "a label is both set and cleared",
                "name it once",
            ));
        }
        let label_mask = Labels::from_bits(add.bits() | clear.bits());
        let mask = self.mark_mask.unwrap_or(u32::MAX);
        let mark = match self.mark {
            Some(value) if value & !mask != 0 => {
                return Err(Fault::usage(
                    "mark",
                    "it has bits outside of mark_mask",
                    "leave these out",
                ));
            }
            None if self.mark_mask.is_some() => {
                return Err(Fault::usage(
                    "mark_mask",
                    "there is no mark to it",
                    "give mark too",
                ));
            }
            mark => mark.map(|value| Masked { value, mask }),
        };
        let state = self.state.as_deref().map(|name| {
            TcpState::from_name(name).ok_or_else(|| {
                let states = TcpState::ALL.iter().filter_map(|state| state.name());
                let states: Vec<&str> = states.collect();
                let message = format!("TCP has no state {}", shown(name));
                Fault::usage("state", message, format!("there are {}", states.join(", ")))
            })
        });
        let edit = Edit {
            timeout: self.timeout,
            mark,
            status: (!status.is_empty()).then_some(status),
            state: state.transpose()?,
            labels: (label_mask != Labels::NONE).then_some((add, label_mask)),
            helper: self.helper.as_deref().map(helper).transpose()?,
        };
        if edit.is_empty() {
            return Err(Fault::usage(
                "body",
                "nothing is to be changed",
                "say what: timeout, mark, …",
            ));
        }
        Ok(edit)
    }
}

fn other_family(field: &'static str) -> Fault {
    Fault::usage(
        field,
        "it is of another family than src",
        "give all addresses in IPv4 or all in IPv6",
    )
}

fn status(names: &[String]) -> Result<Status, Fault> {
    names.iter().try_fold(Status::empty(), |all, name| {
        let bit = Status::from_bit_name(name).ok_or_else(|| {
            let message = format!("there is no status {}", shown(name));
            Fault::usage(
                "status",
                message,
                "SEEN_REPLY, ASSURED, FIXED_TIMEOUT and HELPER can be set",
            )
        })?;
        if bit.intersects(Status::UNCHANGEABLE) {
            let message = format!("the status {} is the kernel's own", shown(name));
            return Err(Fault::usage(
                "status",
                message,
                "SEEN_REPLY, ASSURED, FIXED_TIMEOUT and HELPER can be set",
            ));
        }
        Ok(all | bit)
    })
}

fn labels(field: &'static str, numbers: &[u8]) -> Result<Labels, Fault> {
    if numbers.iter().any(|&number| number > 127) {
        return Err(Fault::usage(
            field,
            "there is no such label",
            "numbers from 0 to 127",
        ));
    }
    let bits = numbers.iter().fold(0, |bits, &number| bits | 1 << number);
    Ok(Labels::from_bits(bits))
}

/// A helper by its name.
pub fn helper(name: &str) -> Result<HelperName, Fault> {
    if name.bytes().any(|byte| byte == 0) {
        return Err(Fault::usage(
            "helper",
            "a name has no zero bytes",
            "such as ftp",
        ));
    }
    HelperName::from(name).map_err(|_| {
        Fault::usage(
            "helper",
            "a helper's name has at most 15 bytes",
            "such as ftp",
        )
    })
}
