//! The Linux kernel's connection tracking table read by a BPF program, many times faster than
//! netlink tells it.
//!
//! Netlink spends two microseconds of kernel time on writing each entry into a message. The entries
//! are a hash table in memory, and a BPF program can read it in a few cache misses each.
//! [`Walker::open`] loads that program and finds the table; [`Walker::walk`] gives a stream of the same
//! [`Entry`](ctnetlink::Entry) values as a netlink dump, in no order. Where the kernel does not allow
//! it, a [`Refusal`] says why, and [`ctnetlink::Client::dump`] does the same work.
//!
//! A [`Filter`] is applied in the kernel. How the table is found, why reading it is safe, and what
//! is checked when, is in `docs/bpf.md`.
//!
//! ```no_run
//! use ctnetlink::{Client, Namespace};
//! use ctwalk::{Filter, Walker};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let walker = Walker::open(&Namespace::current()?, Client::open()?)?;
//! let mut walk = walker.walk(&Filter::any())?;
//! while let Some(entry) = walk.next_entry()? {
//!     println!("{:?}", entry.orig);
//! }
//! assert!(walk.outcome().complete);
//! # Ok(())
//! # }
//! ```
//!
//! Needs `CAP_BPF`, `CAP_PERFMON`, `CAP_NET_ADMIN` and `CAP_SYSLOG` in the initial user namespace, and
//! `CAP_SYS_ADMIN` for another network namespace than the caller's, or where nf_conntrack is a module;
//! Linux 5.18 and its type information.

mod filter;
mod fold;
mod id;
mod locate;
mod make;
#[cfg_attr(not(ctwalk_program), path = "program_absent.rs")]
mod program;
mod proof;
mod ranges;
mod read;
mod record;
mod refusal;
mod slot;
#[cfg(ctwalk_program)]
mod types;
mod walk;
mod walker;

pub use filter::{Condition, Filter, Number, STATE_DCCP, STATE_SCTP};
pub use fold::{Floor, Wish};
pub use refusal::Refusal;
pub use walk::{Given, Walk, WalkOutcome};
pub use walker::Walker;

/// Whether this was built with the BPF program in it.
pub const IS_BUILT: bool = cfg!(ctwalk_program);
