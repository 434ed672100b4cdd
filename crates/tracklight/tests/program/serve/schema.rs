//! The API does what its description says, whatever it is asked.

use std::path::Path;

use testkit::{Lab, available, skip};

use super::{Daemon, folder};
use crate::run::{command, tracklight};

/// Schemathesis, as `scripts/schemathesis-for-tests` installs it.
const PROGRAM: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../target/schemathesis-venv/bin/schemathesis"
);

/// What is held: no failure of the server's, no status, type or body that the description does not have, no
/// method that it does not have. Not that nobody is let in with a wrong token (crates/server/tests/gate): the
/// check takes no 429 for an answer.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance,\
                      negative_data_rejection,unsupported_method";

#[test]
fn no_request_gets_a_server_error_or_an_answer_that_is_not_described() {
    if !Path::new(PROGRAM).exists() {
        return skip("Schemathesis is missing: scripts/setup test installs it");
    }
    let Some(lab) = available(Lab::new()) else {
        return;
    };
    let Some(traffic) = available(lab.start_traffic()) else {
        return;
    };
    let gateway = lab.gateway();
    let folder = folder();
    let _daemon = Daemon::ready(command(gateway, &[]), folder.path());
    let state = folder.path().join("state");
    let add = ["token", "add", "schema", "--role", "operator", "--state"];
    let token = tracklight(gateway, &[&add[..], &[state.to_str().unwrap()]].concat());
    let token = token.exits(0).out;
    let mut schemathesis = gateway.command(PROGRAM);
    schemathesis
        .current_dir(folder.path())
        .env("NO_COLOR", "1")
        .arg("run")
        .arg("http://127.0.0.1:8470/api/openapi.json")
        .args(["--checks", CHECKS])
        .args(["-H", &format!("Authorization: Bearer {}", token.trim())])
        // Bodies without end are tried in crates/server/tests/streams.rs.
        .args([
            "--exclude-path",
            "/api/v1/events",
            "--exclude-path",
            "/api/v1/live",
        ])
        .args(["--phases", "examples,coverage,fuzzing,stateful"])
        .args([
            "--max-examples",
            "25",
            "--seed",
            "1",
            "--generation-database",
            "none",
        ])
        .args(["--suppress-health-check", "all", "--request-timeout", "60"]);
    let tried = schemathesis.output().unwrap();
    drop(traffic);
    let told = String::from_utf8_lossy(&tried.stdout);
    assert!(
        tried.status.success(),
        "{told}{}",
        String::from_utf8_lossy(&tried.stderr)
    );
}
