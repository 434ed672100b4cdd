#![doc = include_str!("../README.md")]

pub mod address;
mod echo;
mod error;
mod exchange;
mod lab;
mod namespace;
mod privilege;
mod program;
mod rules;
mod service;
mod table;
mod traffic;

pub use error::{Error, Result};
pub use exchange::{TcpPair, UdpPair, ping, tcp_connect, udp_exchange};
pub use lab::{Lab, LabBuilder};
pub use namespace::{Namespace, bind_to_us};
pub use privilege::{Privilege, enter_user_namespace};
pub use table::Table;
pub use traffic::Traffic;
