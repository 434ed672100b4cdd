//! Entries as text: the conntrack(8) line, JSON, CSV. Each appends to a buffer and allocates
//! nothing for a common entry, for a table has millions.

pub mod conntrack;
pub mod json;
mod scalar;

pub(crate) use scalar::push_address_ntop;
pub use scalar::{push_address, push_number};
