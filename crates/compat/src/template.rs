//! What a command line says of a connection: each part of it may be missing.

use std::net::IpAddr;

use ctnetlink::{Family, Masked};

use crate::exit::Fault;
use crate::l4::{L4, Values};
use crate::labels::Wanted;
use crate::value::Bits;

/// A description of connections or of one connection.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Template {
    /// The family, from `-f` or from an address.
    pub(crate) family: Option<Family>,
    /// Addresses of the original direction.
    pub(crate) orig: Addresses,
    /// Addresses of the reply direction.
    pub(crate) reply: Addresses,
    /// Masks of the original direction's addresses, or of an expectation.
    pub(crate) mask: Addresses,
    /// Addresses of an expectation's tuple.
    pub(crate) tuple: Addresses,
    /// The protocol.
    pub(crate) l4: Option<L4>,
    /// What its options said.
    pub(crate) values: Values,
    /// Seconds.
    pub(crate) timeout: Option<u32>,
    /// Mark and which of its bits.
    pub(crate) mark: Option<Masked>,
    pub(crate) secmark: Option<u32>,
    pub(crate) status: Option<Bits>,
    pub(crate) id: Option<u32>,
    pub(crate) zone: Option<u16>,
    pub(crate) orig_zone: Option<u16>,
    pub(crate) reply_zone: Option<u16>,
    /// What the source is translated to; `Some(None)` is to anything.
    pub(crate) source_nat: Option<Option<NatTo>>,
    /// What the destination is translated to.
    pub(crate) destination_nat: Option<Option<NatTo>>,
    /// What either is translated to.
    pub(crate) any_nat: Option<Option<NatTo>>,
    /// Labels that are wanted.
    pub(crate) labels: Option<Wanted>,
    /// Labels to be set.
    pub(crate) labels_added: Option<Wanted>,
    /// Labels to be taken away.
    pub(crate) labels_removed: Option<Wanted>,
}

/// Source and destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Addresses {
    pub(crate) src: Option<IpAddr>,
    pub(crate) dst: Option<IpAddr>,
}

impl Addresses {
    pub(crate) const fn is_none(self) -> bool {
        self.src.is_none() && self.dst.is_none()
    }

    /// Those of the other direction, where nothing is translated.
    pub(crate) const fn mirror(self) -> Self {
        Self {
            src: self.dst,
            dst: self.src,
        }
    }

    /// These, or what is missing of them from others.
    pub(crate) fn or(self, others: Self) -> Self {
        Self {
            src: self.src.or(others.src),
            dst: self.dst.or(others.dst),
        }
    }
}

/// Address and port that are translated to.
pub(crate) type NatTo = (IpAddr, Option<u16>);

impl Template {
    /// Notes a family; two of them do not go together.
    pub(crate) fn set_family(&mut self, family: Family) -> Result<(), Fault> {
        if self.family.is_some_and(|known| known != family) {
            return Err(Fault::usage("mismatched address family"));
        }
        self.family = Some(family);
        Ok(())
    }
}
