//! What handlers are given: who asks, parameters, bodies. What is wrong with these is told in our
//! own shape.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use serde::de::DeserializeOwned;

use super::BODY_LIMIT;
use super::error::Fault;
use crate::app::App;
use crate::asker::Asker;
use crate::memory;
use crate::who::{Role, Who};

/// Somebody who may see.
#[derive(Clone, Debug)]
pub struct Seer(pub Who);

/// Somebody who may change.
#[derive(Clone, Debug)]
pub struct Operator(pub Who);

impl FromRequestParts<Arc<App>> for Seer {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _app: &Arc<App>) -> Result<Self, Fault> {
        let who = parts.extensions.get::<Who>().cloned();
        who.map(Self).ok_or_else(|| {
            Fault::new(
                "not-signed-in",
                "who asks is not known",
                "sign in, or send a token: Authorization: Bearer …",
            )
        })
    }
}

impl FromRequestParts<Arc<App>> for Operator {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Fault> {
        let Seer(who) = Seer::from_request_parts(parts, app).await?;
        if who.role == Role::Operator {
            return Ok(Self(who));
        }
        Err(Fault::new(
            "forbidden",
            format!("{} may see, but not change", who.name),
            "use a token of the role operator",
        ))
    }
}

/// A parameter of the path.
#[derive(Clone, Debug)]
pub struct Named(pub String);

impl FromRequestParts<Arc<App>> for Named {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Fault> {
        match Path::<String>::from_request_parts(parts, app).await {
            Ok(Path(name)) => Ok(Self(name)),
            Err(rejection) => Err(Fault::usage(
                "path",
                rejection.body_text(),
                "use the name as it was given",
            )),
        }
    }
}

/// Parameters behind the `?`. Unknown ones, and those given twice, are refused: they would be a
/// mistake that nobody notices.
#[derive(Clone, Debug)]
pub struct Params<T>(pub T);

/// What can be made of parameters.
pub trait FromGiven: Sized {
    /// All names.
    const NAMES: &'static [&'static str];

    /// Understands them.
    fn from_given(given: &mut Given) -> Result<Self, Fault>;
}

impl<T: FromGiven> FromRequestParts<Arc<App>> for Params<T> {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _app: &Arc<App>) -> Result<Self, Fault> {
        let given = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let Query(pairs) = given.map_err(|rejection| {
            Fault::usage(
                "parameters",
                rejection.body_text(),
                "write them as name=value, percent-encoded",
            )
        })?;
        let mut given = Given(pairs);
        given.check(T::NAMES)?;
        T::from_given(&mut given).map(Self)
    }
}

/// Parameters that were given, each once.
#[derive(Debug)]
pub struct Given(Vec<(String, String)>);

impl Given {
    fn check(&self, names: &[&'static str]) -> Result<(), Fault> {
        for (place, (name, _)) in self.0.iter().enumerate() {
            if !names.contains(&name.as_str()) {
                let hint = match query::near(name, names.iter().copied()).as_slice() {
                    [near, ..] => format!("did you mean {near}?"),
                    [] if names.is_empty() => "leave it out".to_owned(),
                    [] => format!("there are {}", names.join(", ")),
                };
                let message = format!("there is no parameter {name}");
                return Err(Fault::usage(name, message, hint));
            }
            if self.0.iter().take(place).any(|(other, _)| other == name) {
                let message = format!("{name} is given twice");
                return Err(Fault::usage(name, message, "give it once"));
            }
        }
        Ok(())
    }

    /// The text of a parameter.
    pub fn text(&mut self, name: &str) -> Option<String> {
        let place = self.0.iter().position(|(given, _)| given == name)?;
        Some(self.0.swap_remove(place).1)
    }

    /// The text of a parameter; an empty one is as none.
    pub fn word(&mut self, name: &str) -> Option<String> {
        self.text(name).filter(|text| !text.is_empty())
    }

    /// A number within limits.
    pub fn number<N>(&mut self, name: &str, limits: RangeInclusive<N>) -> Result<Option<N>, Fault>
    where
        N: FromStr + PartialOrd + Display,
    {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = is_plain.then(|| text.parse().ok()).flatten();
        let number = number.filter(|number| limits.contains(number));
        number.map(Some).ok_or_else(|| {
            let (least, most) = (limits.start(), limits.end());
            Fault::usage(
                name,
                format!("{name} is not a whole number from {least} to {most}"),
                format!("such as {name}={least}"),
            )
        })
    }

    /// One of some words.
    pub fn one_of<T: Copy>(
        &mut self,
        name: &str,
        words: &[(&'static str, T)],
    ) -> Result<Option<T>, Fault> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| Some(*value)).ok_or_else(|| {
            let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            Fault::usage(
                name,
                format!("{name} cannot be `{}`", shown(&text)),
                hint_of(&text, &all),
            )
        })
    }
}

/// What was meant, or what there is.
pub fn hint_of(wrong: &str, all: &[&str]) -> String {
    match query::near(wrong, all.iter().copied()).as_slice() {
        [near, ..] => format!("did you mean {near}?"),
        [] => format!("there are {}", all.join(", ")),
    }
}

/// Text of a request in a message: printable, and not too long.
pub fn shown(text: &str) -> String {
    let printable = text
        .chars()
        .map(|c| {
            if engine::printable::is_unseen(c) {
                '?'
            } else {
                c
            }
        })
        .take(60);
    printable.collect()
}

/// No parameters.
#[derive(Clone, Copy, Debug)]
pub struct Nothing;

impl FromGiven for Nothing {
    const NAMES: &'static [&'static str] = &[];

    fn from_given(_: &mut Given) -> Result<Self, Fault> {
        Ok(Self)
    }
}

/// A JSON body. Members that are not known are refused.
#[derive(Clone, Debug)]
pub struct Body<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Body<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, _: &Arc<App>) -> Result<Self, Fault> {
        if !is_json(request.headers()) {
            return Err(Fault::new(
                "media-type",
                "the body must be JSON",
                "send Content-Type: application/json",
            ));
        }
        let bytes = bytes(request).await?;
        let mut json = serde_json::Deserializer::from_slice(&bytes);
        let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let path = error.path().to_string();
            wrong_json(error.inner(), Some(path))
        })?;
        json.end().map_err(|error| wrong_json(&error, None))?;
        Ok(Self(value))
    }
}

/// The bytes of a body. Whoever sent its head may have lost the right to ask by the time that its end has
/// come.
pub async fn bytes(request: Request) -> Result<Bytes, Fault> {
    let (parts, body) = request.into_parts();
    let (holder, length) = (
        parts.extensions.get().cloned(),
        memory::length(&parts.headers),
    );
    // A head may be larger than its body.
    drop(parts);
    let bytes = memory::read(holder.as_ref(), length, body, BODY_LIMIT).await?;
    if let Some(asker) = Asker::now() {
        asker.check()?;
    }
    Ok(bytes)
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE);
    let text = value.and_then(|value| value.to_str().ok());
    let essence = text.and_then(|text| text.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

fn wrong_json(error: &serde_json::Error, path: Option<String>) -> Fault {
    if !error.is_data() {
        return Fault::new(
            "not-json",
            format!("the body is not JSON: {error}"),
            "send one JSON object",
        );
    }
    let text = error.to_string();
    // The place in the text says less than the member's name.
    let message = text.split(" at line ").next().unwrap_or(&text);
    let path = path.filter(|path| path != ".");
    Fault::usage(
        path.unwrap_or_else(|| "body".to_owned()),
        message,
        "see /api/docs for what is taken",
    )
}
