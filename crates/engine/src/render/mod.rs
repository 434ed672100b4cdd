//! Entries and groups of them as text: the conntrack(8) line, JSON, CSV. Each appends to a buffer and allocates
//! nothing for a common entry, for a table has millions.

pub mod connection;
pub mod conntrack;
pub mod csv;
pub mod group;
pub mod history;
pub mod json;
mod scalar;

pub use scalar::{push_address, push_address_ntop, push_hex, push_number};
