//! What is asked by a right that ends before it is done is not done.

mod support;

use std::convert::Infallible;
use std::sync::{Arc, mpsc};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::middleware::from_fn_with_state;
use engine::Failure;
use engine::config::Server;
use futures_util::{StreamExt, poll, stream};
use server::gate::{self, Gate, Peer, Tokens};
use server::who::Role;
use support::{Daemon, PATIENCE, daemon};
use tempfile::TempDir;
use testkit::fill::fill;
use tower::ServiceExt;

/// A daemon's API behind its gate.
struct Gated {
    daemon: Daemon,
    folder: TempDir,
    router: Router,
}

impl Gated {
    fn start() -> Option<Self> {
        let mut daemon = daemon()?;
        daemon.who = None;
        let folder = tempfile::tempdir().unwrap();
        let tokens = Tokens::open(folder.path()).unwrap();
        let gate = Arc::new(Gate::new(tokens, &Server::default(), 0));
        let router = daemon
            .router()
            .layer(from_fn_with_state(gate, gate::check))
            .layer(axum::Extension(Peer {
                from: Some(([127, 0, 0, 1], 50_000).into()),
                uid: None,
                is_tls: false,
            }));
        Some(Self {
            daemon,
            folder,
            router,
        })
    }

    /// The tokens as another process has them.
    fn tokens(&self) -> Tokens {
        Tokens::open(self.folder.path()).unwrap()
    }

    async fn ask(&self, request: Request<Body>) -> (u16, String) {
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let status = answer.status().as_u16();
        let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await;
        (status, String::from_utf8(body.unwrap().to_vec()).unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_comes_after_its_token_was_revoked_changes_nothing() {
    let Some(gated) = Gated::start() else { return };
    fill(&gated.daemon.client, 10).unwrap();
    gated.daemon.known(10).await;
    for (method, path, first, rest) in [
        (
            "POST",
            "/api/connections/delete",
            "{\"action\":",
            "\"flush\"}",
        ),
        (
            "PATCH",
            "/api/v1/connections",
            "{\"query\":\"\",\"all\":true,",
            "\"change\":{\"timeout\":1}}",
        ),
    ] {
        let secret = gated.tokens().add("one", Role::Operator, None).unwrap();
        let tokens = gated.tokens();
        // The head was let through when the body is asked for.
        let rest = stream::once(async move {
            tokens.revoke("one").unwrap();
            rest
        });
        let body = stream::once(async move { first }).chain(rest);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {secret}"))
            .header("content-type", "application/json")
            .body(Body::from_stream(body.map(Ok::<_, Infallible>)))
            .unwrap();
        let (status, text) = gated.ask(request).await;
        assert_eq!(status, 401, "{text}");
        assert!(text.contains("\"signed-out\""), "{text}");
    }
    assert_eq!(gated.daemon.namespace.conntrack_count().unwrap(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_signed_out_while_waiting_for_a_turn_is_not_answered() {
    let Some(gated) = Gated::start() else { return };
    let secret = gated.tokens().add("one", Role::Viewer, None).unwrap();
    // All turns that a viewer could have are taken.
    let (begun, has_begun) = mpsc::channel();
    let mut ends = Vec::new();
    for _ in 0..3 {
        let (end, ended) = mpsc::channel::<()>();
        let (app, begun) = (Arc::clone(&gated.daemon.app), begun.clone());
        tokio::spawn(async move {
            let work = move || {
                begun.send(()).unwrap();
                let _ = ended.recv();
                Ok::<_, Failure>(())
            };
            app.api.work.run(work).await
        });
        ends.push(end);
        has_begun.recv_timeout(PATIENCE).unwrap();
    }
    let request = Request::get("/api/v1/connections")
        .header("authorization", format!("Bearer {secret}"))
        .body(Body::empty())
        .unwrap();
    let mut asked = Box::pin(gated.ask(request));
    assert!(poll!(&mut asked).is_pending());
    gated.tokens().revoke("one").unwrap();
    drop(ends);
    let (status, text) = asked.await;
    assert_eq!(status, 401, "{text}");
    assert!(text.contains("\"signed-out\""), "{text}");
}

#[test]
fn short_lists_of_the_contract_that_nobody_reads_hold_no_thread() {
    let Some(gated) = Gated::start() else { return };
    fill(&gated.daemon.client, 1_900).unwrap();
    let secrets =
        ["one", "other"].map(|name| gated.tokens().add(name, Role::Viewer, None).unwrap());
    let ask = |secret: &str| {
        let request = Request::post("/api/connections/read")
            .header("authorization", format!("Bearer {secret}"))
            .body(Body::from(r#"{"action":"conntrack"}"#));
        gated.router.clone().oneshot(request.unwrap())
    };
    let threads = 2;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .max_blocking_threads(threads)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut unread = Vec::new();
        while unread.len() <= threads {
            let answer = ask(&secrets[0]).await.unwrap();
            assert_eq!(answer.status(), 200);
            unread.push(answer);
        }
        let other = ask(&secrets[1]).await.unwrap();
        let body = axum::body::to_bytes(other.into_body(), usize::MAX);
        let whole = tokio::time::timeout(PATIENCE, body).await;
        let whole = whole.expect("a thread waits for whoever does not read");
        assert!(
            whole.unwrap().len() > 600 << 10,
            "more than waits in pieces"
        );
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn who_watches_many_pages_leaves_some_to_others() {
    let Some(gated) = Gated::start() else { return };
    let secrets =
        ["one", "other"].map(|name| gated.tokens().add(name, Role::Viewer, None).unwrap());
    let ask = |secret: &str, offset: usize| {
        let request = Request::get(format!("/api/v1/live?limit=1&offset={offset}"))
            .header("authorization", format!("Bearer {secret}"))
            .body(Body::empty());
        gated.router.clone().oneshot(request.unwrap())
    };
    let mut watched = Vec::new();
    for offset in 0..17 {
        let answer = ask(&secrets[0], offset).await.unwrap();
        let wanted = if offset < 16 { 200 } else { 503 };
        assert_eq!(answer.status(), wanted, "{offset}");
        watched.push(answer);
    }
    assert_eq!(ask(&secrets[0], 3).await.unwrap().status(), 200, "the same");
    assert_eq!(ask(&secrets[1], 99).await.unwrap().status(), 200);
}
