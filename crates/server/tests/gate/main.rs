//! The daemon's gate and listeners over real sockets, before handlers of the test's own.

mod daemon;
mod faults;
mod tls;
mod who;
