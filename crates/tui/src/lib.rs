//! Tracklight's terminal screen: the table as it moves, like htop for connections.
//!
//! [`State`] is all that it knows, [`update`](update()) the only place where that changes, [`view`](view::view)
//! only draws it. What has to be done outside comes out of `update` as [`Effect`](event::Effect)s, which
//! [`run`](run()) does. Everything is asked of the HTTP API through a [`Transport`].

#![forbid(unsafe_code)]

pub mod batch;
pub mod cell;
pub mod column;
pub mod event;
pub mod format;
pub mod layout;
mod run;
pub mod saved;
pub mod state;
pub mod transport;
mod update;
pub mod view;
pub mod wire;

pub use run::{Ender, Options, run};
pub use saved::View;
pub use state::State;
pub use transport::Transport;
pub use update::{begin, update};
