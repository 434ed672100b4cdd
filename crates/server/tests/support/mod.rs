//! A daemon's API over a namespace of its own.

#![allow(dead_code, unreachable_pub, reason = "each test uses a part of it")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use ctnetlink::{Client, Namespace};
use engine::live::{Live, Settings as LiveSettings};
use engine::{Config, Way};
use futures_util::StreamExt;
use serde_json::Value;
use server::app::{App, Settings};
use server::who::{Role, Who};
use testkit::TestNamespace;
use tower::ServiceExt;

/// Longer than anything takes that works.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The API over a table of its own.
pub struct Daemon {
    pub namespace: TestNamespace,
    pub client: Client,
    pub app: Arc<App>,
    pub who: Option<Who>,
}

/// An answer.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    #[track_caller]
    pub fn json(&self) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

/// One, with an operator who asks; `None` where there is no kernel for it.
pub fn daemon() -> Option<Daemon> {
    let namespace = TestNamespace::new()?;
    let inside = Namespace::by_path(&namespace.path()).unwrap();
    Some(Daemon {
        client: Client::open_in(&inside).unwrap(),
        app: daemon_in(&namespace.path()),
        namespace,
        who: Some(operator()),
    })
}

/// What a daemon works with that keeps the table of a namespace, and reads it as often as it can.
pub fn daemon_in(namespace: &Path) -> Arc<App> {
    let inside = || Namespace::by_path(namespace).unwrap();
    let eager = LiveSettings {
        cpu_percent: 100.0,
        cpu_percent_watched: 100.0,
        shortest_seconds: 0.05,
        ..LiveSettings::default()
    };
    let live = Live::open(Some(inside()), Way::Auto, &eager).unwrap();
    assert!(live.wait_until_ready(PATIENCE));
    let config = Config::default();
    let vocabulary = engine::vocabulary(&config, Some(inside()));
    let path = namespace.to_str().unwrap().to_owned();
    let settings = Settings::new(config, vocabulary).unwrap();
    Arc::new(App::new(live, Way::Auto, Some(path), settings))
}

pub fn operator() -> Who {
    Who {
        name: "admin".to_owned(),
        role: Role::Operator,
        from: None,
    }
}

impl Daemon {
    /// Its routes, with who asks in every request.
    pub fn router(&self) -> Router {
        let router = server::api::routes().with_state(Arc::clone(&self.app));
        match self.who.clone() {
            Some(who) => router.layer(axum::Extension(who)),
            None => router,
        }
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.get_as(path, "application/json").await
    }

    pub async fn get_as(&self, path: &str, accept: &str) -> Answer {
        let request = Request::get(path).header("accept", accept);
        self.send(request.body(Body::empty()).unwrap()).await
    }

    pub async fn ask(&self, method: Method, path: &str, body: &Value) -> Answer {
        let request = Request::builder().method(method).uri(path);
        let request = request.header("content-type", "application/json");
        self.send(request.body(Body::from(body.to_string())).unwrap())
            .await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask(Method::POST, path, body).await
    }

    /// Listens to server-sent events.
    pub async fn listen(&self, path: &str, headers: &[(&str, &str)]) -> Listener {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self
            .router()
            .oneshot(request.body(Body::empty()).unwrap())
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Listener {
            body: response.into_body().into_data_stream(),
            text: String::new(),
        }
    }

    /// Waits until the table as it is known has so many connections.
    pub async fn known(&self, connections: u64) {
        until("connections are known", || {
            self.app.live.summary().connections == connections
        })
        .await;
    }
}

/// Waits until something holds.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "{what}: not in time");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// One who listens.
pub struct Listener {
    body: axum::body::BodyDataStream,
    text: String,
}

/// An event that was heard.
#[derive(Clone, Debug)]
pub struct Heard {
    pub event: String,
    pub id: Option<u64>,
    pub data: Value,
}

impl Listener {
    /// The next event, comments aside; `None` at the end.
    pub async fn next(&mut self) -> Option<Heard> {
        loop {
            if let Some((frame, rest)) = self.text.split_once("\n\n") {
                let (frame, rest) = (frame.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| {
                    let mut lines = frame.lines();
                    lines
                        .find_map(|line| line.strip_prefix(name))
                        .map(str::to_owned)
                };
                if let Some(event) = field("event: ") {
                    let data = field("data: ").unwrap_or_default();
                    return Some(Heard {
                        event,
                        id: field("id: ").and_then(|id| id.parse().ok()),
                        data: serde_json::from_str(&data).unwrap(),
                    });
                }
                continue;
            }
            let piece = tokio::time::timeout(PATIENCE, self.body.next()).await;
            let piece = piece.expect("an event in time")?.unwrap();
            self.text += std::str::from_utf8(&piece).unwrap();
        }
    }

    /// The next event of a kind.
    pub async fn next_of(&mut self, event: &str) -> Heard {
        let search = async {
            loop {
                let heard = self.next().await.expect("it goes on");
                if heard.event == event {
                    return heard;
                }
            }
        };
        let found = tokio::time::timeout(PATIENCE, search).await;
        found.unwrap_or_else(|_| panic!("{event}: not in time"))
    }
}
