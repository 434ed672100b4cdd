//! The page for browsers, whose files are in the program.
//!
//! They are those of `web/dist`, which `make build` makes before. A program that was built without has
//! no page, and shows the API instead.

use std::borrow::Cow;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use rust_embed::{EmbeddedFile, RustEmbed};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;

use crate::api::answer::{is_known, with_tag};
use crate::api::error::Fault;

#[derive(RustEmbed)]
#[folder = "../../web/dist"]
#[allow_missing = true]
struct Files;

const INDEX: &str = "index.html";
/// Files whose names change with what is in them are below this.
const NAMED: &str = "assets/";

/// `/` and every file of the page.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let index = |headers: HeaderMap| async move {
        match Files::get(INDEX) {
            Some(file) => answer(INDEX, &headers, file),
            None => Redirect::to("/api/docs/").into_response(),
        }
    };
    Router::new()
        .route("/", get(index))
        .fallback(file)
        // Files are asked for once and kept: to pack them well takes 20 ms.
        .layer(CompressionLayer::new().quality(CompressionLevel::Precise(12)))
}

async fn file(request: Request) -> Response {
    let path = request.uri().path().trim_start_matches('/');
    match Files::get(path) {
        Some(file) => answer(path, request.headers(), file),
        None => Fault::new(
            "no-such-path",
            "there is nothing at this path",
            "the page is at /, the API's description at /api/docs",
        )
        .into_response(),
    }
}

fn answer(path: &str, headers: &HeaderMap, file: EmbeddedFile) -> Response {
    let hash = file.metadata.sha256_hash();
    let hash = hash.iter().take(8).map(|byte| format!("{byte:02x}"));
    let tag = format!("\"{}\"", hash.collect::<String>());
    if is_known(headers, &tag) {
        return with_tag(axum::http::StatusCode::NOT_MODIFIED, &tag);
    }
    let kind = HeaderValue::from_static(kind_of(path));
    let body = match file.data {
        Cow::Borrowed(data) => Bytes::from_static(data),
        Cow::Owned(data) => data.into(),
    };
    let mut response = with_tag(([(header::CONTENT_TYPE, kind)], body), &tag);
    if path.starts_with(NAMED) {
        let for_ever = HeaderValue::from_static("private, max-age=31536000, immutable");
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, for_ever);
    }
    response
}

fn kind_of(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, end)| end) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "json" => "application/json",
        "png" => "image/png",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_was_built_is_in_the_program() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web/dist");
        let is_built = folder.join(INDEX).exists();
        assert_eq!(Files::get(INDEX).is_some(), is_built);
        let assets = Files::iter().filter(|path| path.starts_with(NAMED)).count();
        assert_eq!(assets > 0, is_built);
    }
}
