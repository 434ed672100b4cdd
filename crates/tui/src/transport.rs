//! How the screen asks: the HTTP API, wherever it answers.

use std::fmt::Write as _;
use std::io::Read;

use crate::wire::Fault;

/// What is done at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// Look.
    Get,
    /// Do.
    Post,
    /// Forget.
    Delete,
}

impl Method {
    /// As HTTP writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

/// A request to the API.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// What is done.
    pub method: Method,
    /// Path and parameters, percent-encoded.
    pub path: String,
    /// A body of JSON.
    pub body: Option<String>,
    /// Whether the answer goes on without end, so that no time is set for it.
    pub is_stream: bool,
}

/// An answer, as far as it is there.
pub struct Answer {
    /// HTTP's status.
    pub status: u16,
    /// The body, read as it comes.
    pub body: Box<dyn Read + Send>,
}

/// Something that answers as the API does: a daemon, or the API in this very process.
pub trait Transport: Send + Sync {
    /// Asks, and waits for the head of the answer. An error is one of the way there; what the API refuses is an
    /// answer.
    fn open(&self, request: &Request) -> Result<Answer, Fault>;

    /// Whose table it is, in a few words.
    fn place(&self) -> String;
}

impl Request {
    /// A look at a path, with parameters that are not encoded yet.
    pub fn get(path: &str, parameters: &[(&str, &str)]) -> Self {
        let mut path = path.to_owned();
        for (place, (name, value)) in parameters.iter().enumerate() {
            path.push(if place == 0 { '?' } else { '&' });
            path.push_str(name);
            path.push('=');
            encode(&mut path, value);
        }
        Self {
            method: Method::Get,
            path,
            body: None,
            is_stream: false,
        }
    }

    /// A deed, with what it is about.
    pub fn post(path: impl Into<String>, body: &serde_json::Value) -> Self {
        Self {
            method: Method::Post,
            path: path.into(),
            body: Some(body.to_string()),
            is_stream: false,
        }
    }

    /// A deed that needs nothing said.
    pub fn bare(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            body: None,
            is_stream: false,
        }
    }

    /// Of an answer that does not end.
    pub fn stream(self) -> Self {
        Self {
            is_stream: true,
            ..self
        }
    }
}

fn encode(path: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(path, "%{byte:02X}");
        }
    }
}

/// Asks and reads the whole answer.
pub fn ask<T: serde::de::DeserializeOwned>(
    transport: &dyn Transport,
    request: &Request,
) -> Result<T, Fault> {
    let answer = transport.open(request)?;
    let body = whole(answer)?;
    serde_json::from_slice(&body).map_err(|error| {
        Fault::new(
            "not-understood",
            format!("the answer is not what was expected: {error}"),
            "the daemon may be of another version: bring both to the same",
        )
    })
}

/// The longest answer that is taken.
const MOST: u64 = 64 << 20;

/// The whole body; a failure where the API refuses.
pub fn whole(answer: Answer) -> Result<Vec<u8>, Fault> {
    let mut body = Vec::new();
    let read = answer.body.take(MOST).read_to_end(&mut body);
    read.map_err(|error| {
        Fault::new(
            "broken-off",
            format!("the answer broke off: {error}"),
            "it is asked again by itself",
        )
    })?;
    if (200..300).contains(&answer.status) {
        return Ok(body);
    }
    let status = answer.status;
    Err(serde_json::from_slice(&body).unwrap_or_else(|_| {
        Fault::new(
            "refused",
            format!("this is not Tracklight's API: it answers with status {status}"),
            "look whether the address is the daemon's",
        )
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_encoded() {
        let request = Request::get("/a", &[("query", "x == \"é\" & 1"), ("limit", "5")]);
        assert_eq!(
            request.path,
            "/a?query=x%20%3D%3D%20%22%C3%A9%22%20%26%201&limit=5"
        );
    }

    #[test]
    fn what_is_refused_is_told_as_the_api_tells_it() {
        let answer = |status, text: &'static str| Answer {
            status,
            body: Box::new(text.as_bytes()),
        };
        let told = r#"{"code":"forbidden","message":"no","hint":"ask"}"#;
        assert_eq!(whole(answer(403, told)).unwrap_err().code, "forbidden");
        assert!(
            whole(answer(404, "<html>"))
                .unwrap_err()
                .message
                .contains("404")
        );
        assert_eq!(whole(answer(200, "{}")).unwrap(), b"{}");
    }
}
