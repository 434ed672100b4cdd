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
    skip_unless(
        std::env::var_os(REQUIRE_KERNEL).is_some_and(|value| value == "1"),
        reason,
    );
}

#[track_caller]
fn skip_unless(required: bool, reason: &str) {
    assert!(!required, "{REQUIRE_KERNEL}=1, but {reason}");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skip_is_allowed_where_the_kernel_is_not_required() {
        skip_unless(false, "there is none");
    }

    #[test]
    #[should_panic(expected = "TRACKLIGHT_REQUIRE_KERNEL=1, but there is none")]
    fn a_skip_is_a_failure_where_the_kernel_is_required() {
        skip_unless(true, "there is none");
    }

    #[test]
    #[should_panic(expected = "waited 1s for nothing")]
    fn what_is_no_property_of_the_machine_is_never_skipped() {
        let error = Error::TimedOut {
            what: "nothing".to_owned(),
            waited: std::time::Duration::from_secs(1),
            seen: String::new(),
        };
        available::<()>(Err(error));
    }
}
