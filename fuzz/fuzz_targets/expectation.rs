//! The attributes of an expectation.
#![no_main]

use ctnetlink::Expectation;
use ctnetlink::wire::Attrs;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(expectation) = Expectation::decode(Attrs::from_bytes(bytes)) {
        let _ = (expectation.key(), expectation.family());
    }
});
