//! The Linux kernel's connection tracking table (conntrack) over netlink: read, get, create,
//! change, delete, flush, events, expectations, statistics.
//!
//! - [`Client`] speaks with the table of one network namespace.
//! - [`Dump`] is a stream of [`Entry`] values; [`Events`] a stream of what happens to them.
//! - [`Filter`] selects entries in the kernel where the kernel can, and here where it cannot:
//!   the result is the same on every kernel.
//! - [`Features`] tells what this kernel can do, found out by trying.
//!
//! Names are the kernel's. What the kernel did not send is `None`, never zero. The codec
//! ([`wire`], [`Entry::decode`]) does no I/O and can be used on captured bytes.
//!
//! ```no_run
//! use ctnetlink::{Client, Key, Protocol, Tuple};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::open()?;
//! println!("{:?}", client.global_stats()?);
//! let asked = Tuple::ports(
//!     Protocol::UDP, "10.0.0.2".parse()?, 40000, "192.0.2.1".parse()?, 53,
//! );
//! client.delete(Key::original(asked))?;
//! # Ok(())
//! # }
//! ```
//!
//! Reading and changing need `CAP_NET_ADMIN` in the user namespace that owns the network
//! namespace.

mod client;
pub mod constants;
mod control;
mod dump;
mod error;
mod events;
mod exchange;
mod features;
mod helper;
mod message;
mod netns;
mod socket;
mod timeout;
#[cfg(feature = "tokio")]
pub mod tokio;
pub mod wire;

pub use client::Client;
pub use dump::{Dump, DumpOutcome, DumpRequest, Table};
pub use error::{Error, ErrorKind, Operation};
pub use events::{Event, EventBacklog, EventBatch, EventOptions, EventStopper, Events, Groups};
pub use exchange::Exchange;
pub use features::{Feature, Features};
pub use helper::UserHelper;
pub use message::*;
pub use netns::Namespace;
pub use timeout::TimeoutPolicy;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
