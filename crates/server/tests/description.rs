//! The page in browsers is built against a copy of the API's description.

use std::path::Path;

/// Writes the copy anew instead of comparing it, when it is set.
const UPDATE: &str = "TRACKLIGHT_UPDATE";

#[test]
fn the_page_is_built_against_the_api_as_it_is() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web/openapi.json");
    let mut text = serde_json::to_string_pretty(&server::api::description()).unwrap();
    text.push('\n');
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let copy = std::fs::read_to_string(&path).unwrap();
    assert!(
        copy == text,
        "web/openapi.json is not the API's description: {UPDATE}=1 cargo test -p server --test description"
    );
}
