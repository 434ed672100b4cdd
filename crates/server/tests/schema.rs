//! The API does what its description says, whatever it is asked.

mod support;

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use support::{daemon_in, operator};
use testkit::{Lab, available, skip};

/// Schemathesis, as `scripts/schemathesis-for-tests` installs it.
const PROGRAM: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../target/schemathesis-venv/bin/schemathesis"
);

/// What is held: no failure of the server's, no status, type or body that the description does not have, no
/// method that it does not have.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance,\
                      negative_data_rejection,unsupported_method";

#[tokio::test(flavor = "multi_thread")]
async fn no_request_gets_a_server_error_or_an_answer_that_is_not_described() {
    if !Path::new(PROGRAM).exists() {
        return skip("Schemathesis is missing: scripts/setup test installs it");
    }
    let Some(lab) = available(Lab::new()) else {
        return;
    };
    let Some(traffic) = available(lab.start_traffic()) else {
        return;
    };
    let app = daemon_in(&lab.gateway().path());
    let router = server::api::routes().with_state(app);
    let router = router.layer(axum::middleware::from_fn(sign_in));
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let folder = tempfile::tempdir().unwrap();
    let mut schemathesis = Command::new(PROGRAM);
    schemathesis
        .current_dir(folder.path())
        .env("NO_COLOR", "1")
        .arg("run")
        .arg(format!("http://{address}/api/openapi.json"))
        .args(["--checks", CHECKS])
        .args(["-H", "Authorization: Bearer secret"])
        // Bodies without end are tried in streams.rs.
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
    let tried = tokio::task::spawn_blocking(move || schemathesis.output());
    let tried = tried.await.unwrap().unwrap();
    server.abort();
    drop(traffic);
    let told = String::from_utf8_lossy(&tried.stdout);
    assert!(
        tried.status.success(),
        "{told}{}",
        String::from_utf8_lossy(&tried.stderr)
    );
}

/// Who has the token is an operator, everybody else is nobody.
async fn sign_in(mut request: Request, next: Next) -> Response {
    let token = request.headers().get("authorization");
    if token.is_some_and(|token| token == "Bearer secret") {
        request.extensions_mut().insert(operator());
    }
    next.run(request).await
}
