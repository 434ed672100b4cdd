//! What this kernel can do, found out by trying.
//!
//! Version numbers say little: distributions port features back, and a filter that exists may be
//! wrong. A probe makes a network namespace of its own, puts into it one entry that a filter
//! selects and, for each part of the filter, one that differs in just that part, and looks at what
//! the kernel makes of it. A part that the kernel ignores, or compares wrongly, shows.

use std::collections::HashMap;
use std::collections::HashSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::Namespace;
use crate::client::Client;
use crate::error::{Error, Operation};
use crate::message::{
    Entry, Family, Filter, L4, Masked, NewEntry, Protocol, Status, Tuple, TupleFilter, Zone,
};

/// Something that not every kernel can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Feature {
    /// Filter a dump by all parts of a filter (Linux 5.8 for tuples, 5.15 for the status).
    FilteredDump,
    /// Filter a dump that sets counters to zero.
    FilteredZero,
    /// Filter a flush by all parts of a filter.
    FilteredFlush,
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FilteredDump => "filter a dump so",
            Self::FilteredZero => "filter the zeroing of counters so",
            Self::FilteredFlush => "filter a flush so",
        })
    }
}

/// What this kernel can do. Probes run when first asked for and are remembered for the life of
/// the process.
#[derive(Clone, Debug)]
pub struct Features {
    is_kernel: bool,
}

impl Features {
    pub(crate) const fn new(is_kernel: bool) -> Self {
        Self { is_kernel }
    }

    /// Whether this kernel provably does `feature` by every part of a filter; if not, why.
    ///
    /// Needs `CAP_SYS_ADMIN`, for the namespace in which it tries; without it nothing is proven.
    pub fn proves(&self, feature: Feature, filter: &Filter) -> Result<(), String> {
        if filter.is_any() {
            return Ok(());
        }
        if !self.is_kernel {
            return Err("it cannot be probed".to_owned());
        }
        if !filter.is_exact_in_kernel() {
            return Err("the kernel compares ports only for TCP and UDP".to_owned());
        }
        let families: Vec<Family> = filter.families().collect();
        families
            .into_iter()
            .try_for_each(|family| proven(Shape::of(feature, filter, family)))
    }

    pub(crate) fn require_exact(&self, filter: &Filter, operation: Operation) -> Result<(), Error> {
        let feature = match operation {
            Operation::Flush => Feature::FilteredFlush,
            _ => Feature::FilteredZero,
        };
        self.proves(feature, filter)
            .map_err(|reason| Error::Unsupported {
                operation,
                feature,
                reason,
            })
    }
}

/// A filter with its values taken out: which parts it has. Kernels differ by shape, not by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Shape {
    feature: Feature,
    family: Family,
    has_family: bool,
    protocol: Option<Protocol>,
    orig: TupleParts,
    reply: TupleParts,
    zone: bool,
    mark: bool,
    status: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct TupleParts {
    src: bool,
    dst: bool,
    src_port: bool,
    dst_port: bool,
    icmp_type: bool,
    icmp_code: bool,
    icmp_id: bool,
}

impl TupleParts {
    const fn of(filter: &TupleFilter) -> Self {
        Self {
            src: filter.src.is_some(),
            dst: filter.dst.is_some(),
            src_port: filter.src_port.is_some(),
            dst_port: filter.dst_port.is_some(),
            icmp_type: filter.icmp_type.is_some(),
            icmp_code: filter.icmp_code.is_some(),
            icmp_id: filter.icmp_id.is_some(),
        }
    }

    /// The same parts with the values of a tuple.
    fn filter(self, tuple: &Tuple) -> TupleFilter {
        let (kind, code, id) = match tuple.l4 {
            L4::Icmp { kind, code, id } => (Some(kind), Some(code), Some(id)),
            _ => (None, None, None),
        };
        TupleFilter {
            src: self.src.then_some(tuple.src),
            dst: self.dst.then_some(tuple.dst),
            src_port: tuple.src_port().filter(|_| self.src_port),
            dst_port: tuple.dst_port().filter(|_| self.dst_port),
            icmp_type: kind.filter(|_| self.icmp_type),
            icmp_code: code.filter(|_| self.icmp_code),
            icmp_id: id.filter(|_| self.icmp_id),
        }
    }
}

/// An entry of the probe and what its presence or absence proves.
struct Subject {
    /// The part in which it differs; `None` for the entry that the filter selects.
    differs_in: Option<&'static str>,
    entry: NewEntry,
}

const MARK: Masked = Masked {
    value: 0x05,
    mask: 0x0f,
};
const STATUS: Masked = Masked {
    value: Status::ASSURED.bits(),
    mask: Status::ASSURED.bits(),
};
const ZONE: u16 = 7;

impl Shape {
    const fn of(feature: Feature, filter: &Filter, family: Family) -> Self {
        Self {
            feature,
            family,
            has_family: filter.family.is_some(),
            protocol: filter.protocol,
            orig: TupleParts::of(&filter.orig),
            reply: TupleParts::of(&filter.reply),
            zone: filter.zone.is_some(),
            mark: filter.mark.is_some(),
            status: filter.status.is_some(),
        }
    }

    /// A filter of this shape that selects [`subjects`](Self::subjects)' first entry only.
    fn filter(&self) -> Filter {
        let wanted = self.wanted();
        Filter {
            family: self.has_family.then_some(self.family),
            protocol: self.protocol,
            orig: self.orig.filter(&wanted.orig),
            reply: self.reply.filter(&wanted.reply),
            zone: self.zone.then_some(ZONE),
            mark: self.mark.then_some(MARK),
            status: self.status.then_some(STATUS),
        }
    }

    /// The entry to be selected. Its reply is not its mirror image, so that each field of each
    /// direction can differ alone.
    fn wanted(&self) -> NewEntry {
        let protocol = self.protocol.unwrap_or(Protocol::UDP);
        let host = |number| address(self.family, number);
        let (orig, reply) = match protocol {
            Protocol::ICMP => (icmp(8, 1), icmp(0, 1)),
            Protocol::ICMPV6 => (icmp(128, 1), icmp(129, 1)),
            // Since Linux 6.16 the kernel knows nothing of DCCP but the addresses.
            Protocol::DCCP => (L4::Ports { src: 0, dst: 0 }, L4::Ports { src: 0, dst: 0 }),
            _ if protocol.has_ports() => (
                L4::Ports {
                    src: 1001,
                    dst: 1002,
                },
                L4::Ports {
                    src: 1003,
                    dst: 1004,
                },
            ),
            Protocol::GRE => (
                L4::Gre {
                    src_key: 1,
                    dst_key: 2,
                },
                L4::Gre {
                    src_key: 3,
                    dst_key: 4,
                },
            ),
            _ => (L4::None, L4::None),
        };
        let mut wanted = NewEntry::new(
            Tuple {
                src: host(1),
                dst: host(2),
                protocol,
                l4: orig,
            },
            PROBE_TIMEOUT,
        );
        wanted.reply = Tuple {
            src: host(3),
            dst: host(4),
            protocol,
            l4: reply,
        };
        wanted.zone = Zone::new(ZONE);
        wanted.mark = Some(0x15);
        wanted.status = Status::SEEN_REPLY | Status::ASSURED;
        wanted
    }

    /// The entry to be selected and one for each part that must tell it from others.
    fn subjects(&self) -> Result<Vec<Subject>, String> {
        let mut subjects = vec![Subject {
            differs_in: None,
            entry: self.wanted(),
        }];
        let mut differ = |part: &'static str, wanted: bool, change: &dyn Fn(&mut NewEntry)| {
            if wanted {
                let mut entry = self.wanted();
                change(&mut entry);
                self.move_aside(&mut entry, subjects.len() as u16);
                subjects.push(Subject {
                    differs_in: Some(part),
                    entry,
                });
            }
        };
        let other = address(self.family, 9);
        for (parts, is_reply) in [(self.orig, false), (self.reply, true)] {
            let tuple = move |entry: &mut NewEntry, change: &dyn Fn(&mut Tuple)| {
                change(if is_reply {
                    &mut entry.reply
                } else {
                    &mut entry.orig
                });
            };
            differ("source address", parts.src, &|e| {
                tuple(e, &|t| t.src = other)
            });
            differ("destination address", parts.dst, &|e| {
                tuple(e, &|t| t.dst = other)
            });
            differ("source port", parts.src_port, &|e| {
                tuple(e, &|t| {
                    if let L4::Ports { src, .. } = &mut t.l4 {
                        *src = 9;
                    }
                });
            });
            differ("destination port", parts.dst_port, &|e| {
                tuple(e, &|t| {
                    if let L4::Ports { dst, .. } = &mut t.l4 {
                        *dst = 9;
                    }
                });
            });
            differ("ICMP type", parts.icmp_type, &|e| {
                tuple(e, &other_icmp_type)
            });
            differ("ICMP code", parts.icmp_code, &|e| {
                tuple(e, &|t| {
                    if let L4::Icmp { code, .. } = &mut t.l4 {
                        *code = 9;
                    }
                });
            });
            differ("ICMP identifier", parts.icmp_id, &|e| {
                tuple(e, &|t| {
                    if let L4::Icmp { id, .. } = &mut t.l4 {
                        *id = 9;
                    }
                });
            });
        }
        differ("protocol", self.protocol.is_some(), &|e| {
            let other = if self.protocol == Some(Protocol::UDP) {
                Protocol::TCP
            } else {
                Protocol::UDP
            };
            for tuple in [&mut e.orig, &mut e.reply] {
                tuple.protocol = other;
                if !matches!(tuple.l4, L4::Ports { .. }) {
                    tuple.l4 = L4::Ports {
                        src: 1001,
                        dst: 1002,
                    };
                }
            }
        });
        differ("family", self.has_family, &|e| {
            let family = match self.family {
                Family::Ipv4 => Family::Ipv6,
                Family::Ipv6 => Family::Ipv4,
            };
            let new = |number| address(family, number);
            let ports = L4::Ports {
                src: 1001,
                dst: 1002,
            };
            let udp = Protocol::UDP;
            e.orig = Tuple {
                src: new(1),
                dst: new(2),
                protocol: udp,
                l4: ports,
            };
            e.reply = Tuple {
                src: new(3),
                dst: new(4),
                protocol: udp,
                l4: ports,
            };
        });
        differ("zone", self.zone, &|e| e.zone = Zone::new(ZONE + 1));
        differ("mark", self.mark, &|e| e.mark = Some(0x16));
        differ("status", self.status, &|e| e.status = Status::SEEN_REPLY);
        distinct(subjects)
    }

    /// Makes an entry another connection than all others, by what this shape does not look at:
    /// the zone, or else whatever is free in each of its tuples.
    fn move_aside(&self, entry: &mut NewEntry, number: u16) {
        if !self.zone {
            entry.zone = Zone::new(ZONE + 1 + number);
            return;
        }
        for (tuple, parts, hosts) in [
            (&mut entry.orig, self.orig, 100),
            (&mut entry.reply, self.reply, 150),
        ] {
            let host = address(tuple.family(), hosts + number);
            if !parts.src {
                tuple.src = host;
            }
            if !parts.dst {
                tuple.dst = host;
            }
            match &mut tuple.l4 {
                L4::Ports { src, dst } => {
                    if !parts.src_port {
                        *src = 2000 + number;
                    }
                    if !parts.dst_port {
                        *dst = 2000 + number;
                    }
                }
                L4::Icmp { id, .. } if !parts.icmp_id => *id = 2000 + number,
                _ => {}
            }
        }
    }
}

/// Entries that would be the same to the kernel cannot tell anything.
fn distinct(subjects: Vec<Subject>) -> Result<Vec<Subject>, String> {
    let mut seen = HashSet::new();
    let all = subjects.iter().all(|subject| {
        seen.insert((subject.entry.orig, subject.entry.zone))
            && seen.insert((subject.entry.reply, subject.entry.zone))
    });
    if all {
        Ok(subjects)
    } else {
        Err("the filter names a whole entry: use its key instead".to_owned())
    }
}

const PROBE_TIMEOUT: u32 = 600;

fn address(family: Family, number: u16) -> IpAddr {
    match family {
        Family::Ipv4 => IpAddr::V4(Ipv4Addr::new(192, 0, 2, number as u8)),
        Family::Ipv6 => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, number)),
    }
}

const fn icmp(kind: u8, id: u16) -> L4 {
    L4::Icmp { kind, code: 0, id }
}

fn other_icmp_type(tuple: &mut Tuple) {
    if let L4::Icmp { kind, .. } = &mut tuple.l4 {
        *kind = match *kind {
            8 => 13,
            0 => 14,
            128 => 139,
            _ => 140,
        };
    }
}

/// The probe's result for a shape, from memory if it has run.
fn proven(shape: Shape) -> Result<(), String> {
    static PROVEN: OnceLock<Mutex<HashMap<Shape, Result<(), String>>>> = OnceLock::new();
    let mut known = PROVEN
        .get_or_init(Mutex::default)
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if let Some(result) = known.get(&shape) {
        return result.clone();
    }
    match probe(shape) {
        Ok(result) => known.entry(shape).or_insert(result).clone(),
        // It may succeed another time: nothing is known yet.
        Err(error) => Err(format!("the probe failed: {error}")),
    }
}

/// What trying shows; an error if it could not be tried.
fn probe(shape: Shape) -> Result<Result<(), String>, Error> {
    let subjects = match shape.subjects() {
        Ok(subjects) => subjects,
        Err(reason) => return Ok(Err(reason)),
    };
    let client = Client::open_in(&Namespace::scratch()?)?;
    for subject in &subjects {
        client.create(subject.entry.clone())?;
    }
    let filter = shape.filter();
    let selected: HashSet<(Tuple, Zone)> = match shape.feature {
        Feature::FilteredFlush => {
            client.flush_unproven(&filter, Some(shape.family))?;
            let left = keys(client.dump_unproven(&Filter::any(), None, false))?;
            let all = subjects.iter().map(|s| (s.entry.orig, s.entry.zone));
            all.filter(|key| !left.contains(key)).collect()
        }
        feature => {
            let zero = feature == Feature::FilteredZero;
            keys(client.dump_unproven(&filter, Some(shape.family), zero))?
        }
    };
    for subject in &subjects {
        let is_selected = selected.contains(&(subject.entry.orig, subject.entry.zone));
        match subject.differs_in {
            Some(part) if is_selected => return Ok(Err(format!("it ignores the {part}"))),
            None if !is_selected => {
                return Ok(Err("it does not select what it should".to_owned()));
            }
            _ => {}
        }
    }
    Ok(Ok(()))
}

fn keys(entries: Result<crate::Dump, Error>) -> Result<HashSet<(Tuple, Zone)>, Error> {
    entries?
        .map(|entry| entry.map(|entry: Entry| (entry.orig, entry.zone)))
        .collect()
}
