#![doc = include_str!("../README.md")]

mod error;
mod namespace;
mod privilege;
mod program;
mod table;

pub use error::{Error, Result};
pub use namespace::Namespace;
pub use privilege::{Privilege, enter_user_namespace};
pub use table::Table;
