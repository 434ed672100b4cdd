//! The HTTP API: handlers parse, ask the engine, and print. docs/api.md is the guide.

pub mod answer;
pub mod audit;
pub mod changes;
pub mod columns;
pub mod connection;
pub mod connections;
pub mod deletions;
pub mod described;
pub mod edit;
pub mod error;
pub mod events;
pub mod expectations;
pub mod explain;
pub mod extract;
pub mod groups;
pub mod health;
pub mod live;
pub mod openapi;
pub mod own;
pub mod panel;
pub mod preview;
pub mod queries;
pub mod ring;
pub mod shape;
pub mod shot;
pub mod sse;
pub mod status;
pub mod sysctl;
pub mod view;
pub mod work;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::middleware::from_fn;
use tower_http::compression::CompressionLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::memory;
use error::Fault;

/// The longest body that is taken: the contract's limit.
const BODY_LIMIT: usize = 1 << 20;

/// What the API keeps between requests.
pub struct Api {
    /// When the daemon began.
    pub started: Instant,
    /// What is under way.
    pub work: work::Work,
    /// Deletions that wait for a yes.
    pub deletions: preview::Deletions,
    /// The latest events.
    pub events: ring::Events,
    /// Pages that somebody watches.
    pub views: view::Views,
}

impl Default for Api {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            work: work::Work::default(),
            deletions: preview::Deletions::default(),
            events: ring::Events::default(),
            views: view::Views::default(),
        }
    }
}

impl Api {
    /// Ends the streams that would go on without end; those of events end with the table.
    pub fn close(&self) {
        self.views.close();
    }
}

/// All routes below `/api`: the contract, `/api/v1`, `/api/openapi.json`, `/api/docs`.
///
/// Who asks must be in the request's extensions ([`Who`](crate::who::Who)) for all but the last two.
pub fn routes() -> Router<Arc<App>> {
    let (router, openapi) = documented().split_for_parts();
    router
        .merge(openapi::routes(&openapi))
        .route("/api/{*path}", axum::routing::any(nowhere))
        .route("/api", axum::routing::any(nowhere))
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn(memory::hold_answer))
        .layer(CompressionLayer::new())
}

/// The description of the API, OpenAPI 3.1, as it is at `/api/openapi.json`.
pub fn description() -> serde_json::Value {
    openapi::described(documented().get_openapi())
}

fn documented() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(panel::read))
        .routes(routes!(panel::delete))
        .routes(routes!(connections::list, changes::create, changes::update))
        .routes(routes!(
            connections::one,
            changes::update_one,
            changes::delete_one
        ))
        .routes(routes!(groups::list))
        .routes(routes!(queries::check))
        .routes(routes!(queries::complete))
        .routes(routes!(queries::fields))
        .routes(routes!(events::events))
        .routes(routes!(live::live))
        .routes(routes!(deletions::create))
        .routes(routes!(deletions::one, deletions::forget))
        .routes(routes!(deletions::confirm))
        .routes(routes!(deletions::undo))
        .routes(routes!(changes::flush))
        .routes(routes!(expectations::list, expectations::create))
        .routes(routes!(expectations::forget))
        .routes(routes!(health::health))
        .routes(routes!(health::history))
        .routes(routes!(status::summary))
        .routes(routes!(status::status))
        .routes(routes!(status::statistics))
        .routes(routes!(status::configuration))
}

async fn nowhere() -> Fault {
    Fault::new(
        "no-such-path",
        "there is nothing at this path",
        "see /api/docs for what there is",
    )
}

async fn wrong_method() -> Fault {
    Fault::new(
        "method-not-allowed",
        "this cannot be done here",
        "the header Allow has the methods; see /api/docs",
    )
}
