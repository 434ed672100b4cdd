use netlab::{Error, Result};

/// The environment variable that turns every skip into a failure, when it is `1`; CI sets it.
pub const REQUIRE_KERNEL: &str = "TRACKLIGHT_REQUIRE_KERNEL";

/// Says that a test cannot run here, and why. The test returns afterwards.
///
/// # Panics
///
/// When [`REQUIRE_KERNEL`] is `1`.
#[track_caller]
pub fn skip(reason: &str) {
    assert!(
        std::env::var_os(REQUIRE_KERNEL).is_none_or(|value| value != "1"),
        "{REQUIRE_KERNEL}=1, but {reason}"
    );
    eprintln!("skipped: {reason}");
}

/// What could be made, or a [`skip`] when this user or this machine cannot have it:
/// `let Some(lab) = testkit::available(Lab::new()) else { return };`
///
/// Without root, run the tests in a user namespace: `unshare -Urn cargo nextest run`.
///
/// # Panics
///
/// On every other error: that one is a failure of the test, not a property of the machine.
#[track_caller]
pub fn available<T>(outcome: Result<T>) -> Option<T> {
    match outcome {
        Ok(value) => Some(value),
        Err(
            error @ (Error::NotPermitted { .. }
            | Error::UserNamespaceForbidden { .. }
            | Error::ProgramMissing { .. }),
        ) => {
            skip(&format!("{error}. {}", error.hint()));
            None
        }
        Err(error) => panic!("{error}. {}", error.hint()),
    }
}
