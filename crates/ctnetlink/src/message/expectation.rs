use std::net::IpAddr;

use super::entry::helper_name;
use super::{Direction, Family, HelperName, L4, Tuple};
use crate::constants::*;
use crate::wire::{Attrs, DecodeError, Writer};

bitflags::bitflags! {
    /// Flags of an expectation (`NF_CT_EXPECT_…`). Unknown bits are kept.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct ExpectationFlags: u32 {
        /// Stays after the first connection that it expected.
        const PERMANENT = 1;
        /// Does not match yet.
        const INACTIVE = 2;
        /// Made by a helper in user space.
        const USERSPACE = 4;

        const _ = !0;
    }
}

/// A connection that a helper expects, such as FTP's data connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// The tuple that is expected.
    pub tuple: Tuple,
    /// Which bits of `tuple` count.
    pub mask: Tuple,
    /// Original tuple of the connection that made it.
    pub master: Tuple,
    /// Seconds left.
    pub timeout: Option<u32>,
    /// Hash that stands for it while it lives.
    pub id: Option<u32>,
    /// Zone; kernels of today do not send it.
    pub zone: Option<u16>,
    /// Flags.
    pub flags: Option<ExpectationFlags>,
    /// The helper's class.
    pub class: Option<u32>,
    /// Name of the helper of the connection that made it.
    pub helper: Option<HelperName>,
    /// Function that the kernel calls when it comes true, by name, such as `nat-follow-master`.
    pub function: Option<String>,
    /// Translation for the expected connection: its direction and the source it had.
    pub nat: Option<(Direction, Tuple)>,
}

impl Expectation {
    /// Family of the addresses.
    pub const fn family(&self) -> Family {
        self.tuple.family()
    }

    /// What names it.
    pub fn key(&self) -> ExpectationKey {
        ExpectationKey {
            tuple: self.tuple,
            zone: self.zone.unwrap_or(0),
            id: self.id,
        }
    }

    /// Reads the attributes of an expectation message.
    pub fn decode(attrs: Attrs<'_>) -> Result<Self, DecodeError> {
        let (mut tuple, mut mask, mut master, mut timeout) = (None, None, None, None);
        let (mut id, mut zone, mut flags, mut class) = (None, None, None, None);
        let (mut helper, mut function, mut nat) = (None, None, None);
        for attr in attrs {
            let attr = attr?;
            match attr.kind {
                CTA_EXPECT_TUPLE => tuple = Some(Tuple::decode(&attr, "CTA_EXPECT_TUPLE")?.0),
                CTA_EXPECT_MASK => mask = Some(Tuple::decode(&attr, "CTA_EXPECT_MASK")?.0),
                CTA_EXPECT_MASTER => master = Some(Tuple::decode(&attr, "CTA_EXPECT_MASTER")?.0),
                CTA_EXPECT_TIMEOUT => timeout = Some(attr.be32("CTA_EXPECT_TIMEOUT")?),
                CTA_EXPECT_ID => id = Some(attr.be32("CTA_EXPECT_ID")?),
                CTA_EXPECT_ZONE => zone = Some(attr.be16("CTA_EXPECT_ZONE")?),
                CTA_EXPECT_FLAGS => {
                    flags = Some(ExpectationFlags::from_bits_retain(
                        attr.be32("CTA_EXPECT_FLAGS")?,
                    ));
                }
                CTA_EXPECT_CLASS => class = Some(attr.be32("CTA_EXPECT_CLASS")?),
                CTA_EXPECT_HELP_NAME => {
                    helper = Some(helper_name(&attr, "CTA_EXPECT_HELP_NAME")?);
                }
                CTA_EXPECT_FN => function = Some(attr.text("CTA_EXPECT_FN")?.to_owned()),
                CTA_EXPECT_NAT => nat = decode_nat(attr.nested())?,
                _ => {}
            }
        }
        let missing = |field| DecodeError::Missing { field };
        Ok(Self {
            tuple: tuple.ok_or(missing("CTA_EXPECT_TUPLE"))?,
            mask: mask.ok_or(missing("CTA_EXPECT_MASK"))?,
            master: master.ok_or(missing("CTA_EXPECT_MASTER"))?,
            timeout,
            id,
            zone,
            flags,
            class,
            helper,
            function,
            nat,
        })
    }
}

fn decode_nat(attrs: Attrs<'_>) -> Result<Option<(Direction, Tuple)>, DecodeError> {
    let (mut direction, mut tuple) = (None, None);
    for attr in attrs {
        let attr = attr?;
        match attr.kind {
            CTA_EXPECT_NAT_DIR => {
                direction = Some(match attr.be32("CTA_EXPECT_NAT_DIR")? {
                    0 => Direction::Original,
                    _ => Direction::Reply,
                });
            }
            CTA_EXPECT_NAT_TUPLE => {
                tuple = Some(Tuple::decode(&attr, "CTA_EXPECT_NAT_TUPLE")?.0);
            }
            _ => {}
        }
    }
    Ok(direction.zip(tuple))
}

/// What names one expectation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExpectationKey {
    /// The expected tuple.
    pub tuple: Tuple,
    /// Zone.
    pub zone: u16,
    /// Id; the kernel checks it where given.
    pub id: Option<u32>,
}

impl ExpectationKey {
    pub(crate) fn encode(&self, w: &mut Writer) {
        self.tuple.encode(w, CTA_EXPECT_TUPLE, None);
        if self.zone != 0 {
            w.be16(CTA_EXPECT_ZONE, self.zone);
        }
        if let Some(id) = self.id {
            w.be32(CTA_EXPECT_ID, id);
        }
    }
}

/// An expectation to be created. Its master must exist and have a helper.
#[derive(Clone, Debug, PartialEq)]
pub struct NewExpectation {
    /// The tuple that is expected.
    pub tuple: Tuple,
    /// Which bits of `tuple` count.
    pub mask: Tuple,
    /// Original tuple of the connection that it belongs to.
    pub master: Tuple,
    /// Zone of both.
    pub zone: u16,
    /// Seconds until it is forgotten. The kernel takes the helper's own time when it creates
    /// one, and this when it changes one.
    pub timeout: u32,
    /// Flags.
    pub flags: ExpectationFlags,
    /// The helper's class.
    pub class: u32,
    /// Helper of the connection that will come.
    pub helper: Option<HelperName>,
    /// Function to call when it comes true.
    pub function: Option<String>,
    /// Translation for the expected connection.
    pub nat: Option<(Direction, Tuple)>,
}

impl NewExpectation {
    /// Of a tuple, from whatever source port, by a master: the rest of the tuple counts whole.
    pub fn new(tuple: Tuple, master: Tuple, timeout: u32) -> Self {
        let all_bits = match tuple.src {
            IpAddr::V4(_) => IpAddr::from([255; 4]),
            IpAddr::V6(_) => IpAddr::from([255; 16]),
        };
        let l4 = match tuple.l4 {
            L4::Ports { .. } => L4::Ports {
                src: 0,
                dst: u16::MAX,
            },
            other => other,
        };
        let mask = Tuple {
            src: all_bits,
            dst: all_bits,
            protocol: tuple.protocol,
            l4,
        };
        Self {
            tuple,
            mask,
            master,
            zone: 0,
            timeout,
            flags: ExpectationFlags::empty(),
            class: 0,
            helper: None,
            function: None,
            nat: None,
        }
    }

    /// Whether all its addresses are of one family; the kernel would read others wrongly.
    pub fn is_of_one_family(&self) -> bool {
        let is_v4 = self.tuple.src.is_ipv4();
        let tuples = [&self.tuple, &self.mask, &self.master];
        let mut addresses = tuples.into_iter().flat_map(|tuple| [tuple.src, tuple.dst]);
        addresses.all(|address| address.is_ipv4() == is_v4)
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        self.tuple.encode(w, CTA_EXPECT_TUPLE, None);
        self.mask.encode(w, CTA_EXPECT_MASK, None);
        self.master.encode(w, CTA_EXPECT_MASTER, None);
        if self.zone != 0 {
            w.be16(CTA_EXPECT_ZONE, self.zone);
        }
        w.be32(CTA_EXPECT_TIMEOUT, self.timeout);
        w.be32(CTA_EXPECT_FLAGS, self.flags.bits());
        w.be32(CTA_EXPECT_CLASS, self.class);
        if let Some(helper) = &self.helper {
            w.text(CTA_EXPECT_HELP_NAME, helper);
        }
        if let Some(function) = &self.function {
            w.text(CTA_EXPECT_FN, function);
        }
        if let Some((direction, tuple)) = &self.nat {
            w.nested(CTA_EXPECT_NAT, |w| {
                w.be32(
                    CTA_EXPECT_NAT_DIR,
                    u32::from(*direction == Direction::Reply),
                );
                tuple.encode(w, CTA_EXPECT_NAT_TUPLE, None);
            });
        }
    }
}
