//! What Tracklight's tests share.

pub mod capture;
pub mod fake_kernel;
pub mod fill;

pub use capture::Capture;
pub use fake_kernel::{FakeKernel, Reply, Request};
pub use fill::fill;
