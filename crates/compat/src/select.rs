//! Which connections a template means.

use std::fmt::Write as _;
use std::net::IpAddr;

use ctnetlink::{Entry, Family, L4 as Fields, ProtoInfo, Protocol, Status, Tuple, ZoneDirection};
use query::{Query, Vocabulary};

use crate::options::Verb;
use crate::template::{Addresses, NatTo, Template};
use crate::value::masked;

impl Template {
    /// Whether an entry is meant. What `-U` sets is no part of it.
    pub(crate) fn matches(&self, entry: &Entry, verb: Verb) -> bool {
        self.is_of_tuples(entry)
            && self.id.is_none_or(|id| entry.id == Some(id))
            && self.is_of_labels(entry)
            && self.is_translated_so(entry)
            && self.is_of_zone(entry)
            && (verb == Verb::Update || self.is_in_state(entry, verb))
    }

    fn is_of_tuples(&self, entry: &Entry) -> bool {
        let values = &self.values;
        self.family.is_none_or(|family| family == entry.family())
            && self.l4.is_none_or(|l4| l4.protocol == entry.orig.protocol)
            && is_masked(self.orig.src, self.mask.src, entry.orig.src)
            && is_masked(self.orig.dst, self.mask.dst, entry.orig.dst)
            && is_masked(self.reply.src, None, entry.reply.src)
            && is_masked(self.reply.dst, None, entry.reply.dst)
            && is_pair(&entry.orig, values.orig.src, values.orig.dst)
            && is_pair(&entry.reply, values.reply.src, values.reply.dst)
            && self.is_icmp(&entry.orig)
    }

    fn is_icmp(&self, tuple: &Tuple) -> bool {
        let values = &self.values;
        match tuple.l4 {
            Fields::Icmp { kind, code, id } => {
                values.icmp_type.is_none_or(|wanted| wanted == kind)
                    && values.icmp_code.is_none_or(|wanted| wanted == code)
                    && values.icmp_id.is_none_or(|wanted| wanted == id)
            }
            _ => {
                values.icmp_type.is_none() && values.icmp_code.is_none() && values.icmp_id.is_none()
            }
        }
    }

    fn is_of_labels(&self, entry: &Entry) -> bool {
        self.labels
            .is_none_or(|wanted| wanted.are_in(entry.labels.unwrap_or_default()))
    }

    fn is_of_zone(&self, entry: &Entry) -> bool {
        let zone = |direction| {
            if entry.zone.direction == direction {
                entry.zone.id
            } else {
                0
            }
        };
        self.zone.is_none_or(|id| id == zone(ZoneDirection::Both))
            && self
                .orig_zone
                .is_none_or(|id| id == zone(ZoneDirection::Original))
            && self
                .reply_zone
                .is_none_or(|id| id == zone(ZoneDirection::Reply))
    }

    fn is_in_state(&self, entry: &Entry, verb: Verb) -> bool {
        let state = || match entry.protoinfo {
            Some(ProtoInfo::Tcp(tcp)) => tcp.state.map(|state| state.0),
            Some(ProtoInfo::Sctp(sctp)) => sctp.state.map(|state| state.0),
            Some(ProtoInfo::Dccp(dccp)) => dccp.state.map(|state| state.0),
            None => None,
        };
        // The last event of an entry tells no mark, which is not the same as the mark 0.
        let found = entry.mark.or((verb != Verb::Event).then_some(0));
        // Of the wanted mark all bits count: one outside of the mask is in no entry.
        self.mark
            .is_none_or(|mark| found.is_some_and(|found| found & mark.mask == mark.value))
            // Kernels of today tell a security context instead.
            && self
                .secmark
                .is_none_or(|secmark| entry.secmark.is_none_or(|found| found == secmark))
            && self
                .status
                .is_none_or(|bits| bits.matches(entry.status.unwrap_or_default()))
            && self
                .values
                .state
                .is_none_or(|wanted| state() == Some(wanted))
    }

    fn is_translated_so(&self, entry: &Entry) -> bool {
        let source = |to: Option<NatTo>| {
            is_source_nat(entry) && is_to(to, entry.reply.dst, entry.reply.dst_port())
        };
        let destination = |to: Option<NatTo>| {
            is_destination_nat(entry) && is_to(to, entry.reply.src, entry.reply.src_port())
        };
        self.source_nat.is_none_or(source)
            && self.destination_nat.is_none_or(destination)
            && self.any_nat.is_none_or(|to| source(to) || destination(to))
    }

    /// What of it a query can say, for the kernel or the program that reads the table to leave out
    /// what does not match: never less than [`matches`](Self::matches) selects.
    pub(crate) fn query(&self, verb: Verb) -> Query {
        let mut text = String::new();
        let mut and = |part: String| {
            if !text.is_empty() {
                text.push_str(" and ");
            }
            text.push_str(&part);
        };
        if let Some(family) = self.family {
            and(format!("family == {}", family.name()));
        }
        if let Some(l4) = self.l4 {
            and(format!("proto == {}", l4.protocol.0));
        }
        let Addresses { src, dst } = self.orig;
        for (name, address, mask) in [
            ("src", src, self.mask.src),
            ("dst", dst, self.mask.dst),
            ("reply.src", self.reply.src, None),
            ("reply.dst", self.reply.dst, None),
        ] {
            if let Some(part) = address.and_then(|address| network(name, address, mask)) {
                and(part);
            }
        }
        let has_ports = self.l4.is_some_and(|l4| l4.protocol.has_ports());
        let values = &self.values;
        for (name, port) in [
            ("sport", values.orig.src),
            ("dport", values.orig.dst),
            ("reply.sport", values.reply.src),
            ("reply.dport", values.reply.dst),
        ] {
            if let Some(port) = port.filter(|_| has_ports) {
                and(format!("{name} == {port}"));
            }
        }
        if verb != Verb::Update {
            if let Some(mark) = self
                .mark
                .filter(|mark| mark.mask != 0 && mark.value & !mark.mask == 0)
            {
                and(format!("mark & {:#x} == {:#x}", mark.mask, mark.value));
            }
            if let Some(bits) = self.status.filter(|bits| !bits.all().is_empty()) {
                and(format!(
                    "status & {:#x} == {:#x}",
                    bits.all().bits(),
                    bits.set.bits()
                ));
            }
        }
        if let Some(zone) = self.zone.filter(|zone| *zone != 0) {
            and(format!("zone == {zone}"));
        }
        // What cannot be said so is compared afterwards.
        Query::parse(&text, &Vocabulary::default()).unwrap_or_else(|_| Query::any())
    }
}

/// A condition of an address, where its mask is a prefix.
fn network(name: &str, address: IpAddr, mask: Option<IpAddr>) -> Option<String> {
    let Some(mask) = mask else {
        return Some(format!("{name} == {address}"));
    };
    let (ones, is_prefix) = match mask {
        IpAddr::V4(mask) => (mask.to_bits().leading_ones(), {
            let bits = mask.to_bits();
            bits.leading_ones() == bits.count_ones()
        }),
        IpAddr::V6(mask) => (mask.to_bits().leading_ones(), {
            let bits = mask.to_bits();
            bits.leading_ones() == bits.count_ones()
        }),
    };
    if !is_prefix || ones == 0 {
        return None;
    }
    let mut text = String::new();
    let _ = write!(text, "{name} in {}/{ones}", masked(address, mask));
    Some(text)
}

fn is_masked(wanted: Option<IpAddr>, mask: Option<IpAddr>, found: IpAddr) -> bool {
    match (wanted, mask) {
        (None, _) => true,
        (Some(wanted), None) => wanted == found,
        (Some(wanted), Some(mask)) => {
            Family::of(wanted) == Family::of(found) && masked(wanted, mask) == masked(found, mask)
        }
    }
}

fn is_pair(tuple: &Tuple, src: Option<u16>, dst: Option<u16>) -> bool {
    if src.is_none() && dst.is_none() {
        return true;
    }
    match tuple.l4 {
        Fields::Ports {
            src: found_src,
            dst: found_dst,
        }
        | Fields::Gre {
            src_key: found_src,
            dst_key: found_dst,
        } => {
            src.is_none_or(|wanted| wanted == found_src)
                && dst.is_none_or(|wanted| wanted == found_dst)
        }
        _ => false,
    }
}

fn is_to(to: Option<NatTo>, address: IpAddr, port: Option<u16>) -> bool {
    to.is_none_or(|(wanted, wanted_port)| {
        wanted == address && wanted_port.is_none_or(|wanted| port == Some(wanted))
    })
}

/// Whether address or port of the source are translated.
fn is_source_nat(entry: &Entry) -> bool {
    entry.has_status(Status::SRC_NAT_DONE)
        && (entry.reply.dst != entry.orig.src
            || other_port(entry, Tuple::dst_port, Tuple::src_port))
}

/// Whether address or port of the destination are translated.
fn is_destination_nat(entry: &Entry) -> bool {
    entry.has_status(Status::DST_NAT_DONE)
        && (entry.reply.src != entry.orig.dst
            || other_port(entry, Tuple::src_port, Tuple::dst_port))
}

fn other_port(
    entry: &Entry,
    reply: impl Fn(&Tuple) -> Option<u16>,
    orig: impl Fn(&Tuple) -> Option<u16>,
) -> bool {
    entry.orig.protocol != Protocol::GRE && reply(&entry.reply) != orig(&entry.orig)
}
