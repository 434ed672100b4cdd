//! What the tests share: when to skip, a namespace of one's own, a network in a box, real peers, a
//! table filler, a fake kernel.
//!
//! ```no_run
//! let Some(namespace) = testkit::TestNamespace::new() else { return };
//! let at = (std::net::Ipv4Addr::LOCALHOST, 0);
//! let _pair = netlab::tcp_connect(&namespace, at, &namespace, at).unwrap();
//! assert!(testkit::conntrack(&namespace, &["-L", "-p", "tcp"]).contains("ESTABLISHED"));
//! ```

pub mod fake_kernel;
pub mod fill;
mod namespace;
mod peer;
mod skip;

pub use fake_kernel::{FakeKernel, Reply, Request};
pub use fill::fill;
pub use namespace::TestNamespace;
pub use netlab::{Lab, LabBuilder, Namespace, Traffic};
pub use peer::conntrack;
pub use skip::{REQUIRE_KERNEL, available, skip};
