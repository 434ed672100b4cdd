//! The description of the API, OpenAPI 3.1, and Swagger UI to read it with.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use serde_json::{Value, json};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Components, InfoBuilder, License, OpenApi, OpenApiBuilder};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::answer::{is_known, tag_of, tagged, with_tag};
use crate::app::App;

/// Where the description is.
const PLACE: &str = "/api/openapi.json";

/// What the description begins with.
pub fn base() -> OpenApi {
    let mut license = License::new("MIT OR Apache-2.0");
    license.identifier = Some("MIT OR Apache-2.0".to_owned());
    let info = InfoBuilder::new()
        .title("Tracklight")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Connections that pass this machine: shown, searched, explained, steered. docs/api.md is the guide.",
        ))
        .license(Some(license))
        .build();
    let token = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
    let mut components = Components::new();
    components.add_security_scheme("token", token);
    let mut openapi = OpenApiBuilder::new()
        .info(info)
        .components(Some(components))
        .security(Some([SecurityRequirement::new(
            "token",
            Vec::<String>::new(),
        )]))
        .build();
    openapi.merge(crate::gate::described());
    openapi
}

/// The description and Swagger UI, whose files are in the program.
pub fn routes(openapi: &OpenApi) -> Router<Arc<App>> {
    let text = Bytes::from(described(openapi).to_string());
    let swagger: Router<Arc<App>> = SwaggerUi::new("/api/docs")
        .config(Config::from(PLACE))
        .into();
    let description = get(move |headers: HeaderMap| {
        let text = text.clone();
        async move { tagged(&headers, "application/json", text) }
    });
    swagger
        .layer(middleware::from_fn(file_tag))
        .route(PLACE, description)
}

/// Files that change with the program only.
async fn file_tag(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let tag = tag_of(&(env!("CARGO_PKG_VERSION"), path));
    if is_known(request.headers(), &tag) {
        return with_tag(axum::http::StatusCode::NOT_MODIFIED, &tag);
    }
    let response = next.run(request).await;
    if response.status().is_success() {
        with_tag(response, &tag)
    } else {
        response
    }
}

/// The description as JSON: what every answer may be is put to each, and members of answers that may be
/// absent are never null.
pub fn described(openapi: &OpenApi) -> Value {
    // The structs of the description always serialise.
    let mut value = serde_json::to_value(openapi).unwrap_or_default();
    if let Some(schemas) = value
        .pointer_mut("/components/schemas")
        .and_then(Value::as_object_mut)
    {
        for (name, schema) in schemas {
            if !name.ends_with("Request") {
                never_null(schema);
            }
        }
    }
    if let Some(paths) = value.pointer_mut("/paths").and_then(Value::as_object_mut) {
        for operations in paths.values_mut().filter_map(Value::as_object_mut) {
            for operation in operations.values_mut() {
                for_all(operation);
            }
        }
    }
    value
}

/// Parameters are never null; every answer may be one of these.
fn for_all(operation: &mut Value) {
    for parameter in operation
        .pointer_mut("/parameters")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        if let Some(schema) = parameter.get_mut("schema") {
            not_null(schema);
        }
    }
    let error = json!({"application/json": {"schema": {"$ref": "#/components/schemas/ErrorBody"}}});
    let Some(responses) = operation
        .pointer_mut("/responses")
        .and_then(Value::as_object_mut)
    else {
        return;
    };
    if responses.contains_key("413") {
        let late = json!({"description": "The body did not come in time", "content": error});
        responses.insert("408".to_owned(), late);
    }
    for (status, description) in [
        ("401", "Who asks is not known"),
        (
            "421",
            "A browser asks under a name that is none of the daemon's",
        ),
        (
            "429",
            "Too many wrong tokens came from there, or a token has too many connections",
        ),
        ("500", "The kernel or the system failed"),
        ("503", "Too much is asked for at once"),
    ] {
        let response = json!({"description": description, "content": error});
        responses.entry(status).or_insert(response);
    }
}

fn never_null(schema: &mut Value) {
    let required: Vec<String> = schema
        .get("required")
        .and_then(Value::as_array)
        .map(|names| {
            names
                .iter()
                .filter_map(|name| name.as_str().map(str::to_owned))
                .collect()
        })
        .unwrap_or_default();
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    for (name, property) in properties.into_iter().flatten() {
        if !required.contains(name) {
            not_null(property);
        }
    }
}

fn not_null(schema: &mut Value) {
    if let Some(types) = schema.get_mut("type").and_then(Value::as_array_mut) {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            schema["type"] = only;
        }
    }
    let Some(object) = schema.as_object_mut() else {
        return;
    };
    if let Some(Value::Array(mut choices)) = object.remove("oneOf") {
        choices.retain(|choice| choice.get("type").is_none_or(|kind| kind != "null"));
        match choices.as_slice() {
            [only] => {
                let only = only.as_object().cloned().unwrap_or_default();
                for (name, value) in only {
                    object.entry(name).or_insert(value);
                }
            }
            _ => {
                object.insert("oneOf".to_owned(), Value::Array(choices));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_is_openapi_3_1_and_every_operation_says_what_may_go_wrong() {
        let (_, openapi) = super::super::documented().split_for_parts();
        let value = described(&openapi);
        assert!(
            value["openapi"]
                .as_str()
                .is_some_and(|version| version.starts_with("3.1."))
        );
        let paths = value["paths"].as_object().unwrap();
        assert!(paths.len() > 15, "{}", paths.len());
        for (path, operations) in paths {
            for (method, operation) in operations.as_object().unwrap() {
                for status in ["401", "500", "503"] {
                    assert!(
                        operation["responses"].get(status).is_some(),
                        "{method} {path} {status}"
                    );
                }
                assert!(operation["summary"].is_string(), "{method} {path}");
            }
        }
    }
}
