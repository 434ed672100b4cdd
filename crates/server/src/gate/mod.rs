//! Who may: before any handler, it is found out who asks and whether they may ask so.

mod attempts;
mod sessions;
mod signin;
mod tokens;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use engine::Failure;
use engine::config::Server;

use crate::who::{Role, Who};

pub use attempts::Attempts;
pub use sessions::Sessions;
pub use signin::routes;
pub(crate) use tokens::random;
pub use tokens::{LINK, Token, Tokens};

/// The cookie of a browser's session. Over TLS its name says that it came so.
const COOKIE: &str = "tracklight";
const COOKIE_OF_TLS: &str = "__Host-tracklight";

/// From where a request came; put into it by the listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The other end's address, over TCP.
    pub from: Option<SocketAddr>,
    /// The other end's user, over the unix socket.
    pub uid: Option<u32>,
    /// Whether it came over TLS.
    pub is_tls: bool,
}

/// What is known of those who may.
pub struct Gate {
    /// Tokens.
    pub tokens: Tokens,
    /// Sessions of browsers.
    pub sessions: Sessions,
    /// Attempts that were wrong.
    pub attempts: Attempts,
    /// The user that the daemon runs as.
    uid: u32,
    settings: RwLock<Settings>,
}

struct Settings {
    names: Vec<String>,
    metrics_without_token: bool,
}

impl Settings {
    fn of(server: &Server) -> Self {
        Self {
            names: server.names.iter().map(|n| n.to_lowercase()).collect(),
            metrics_without_token: server.metrics_without_token,
        }
    }
}

impl Gate {
    /// With the tokens of a state folder. `uid`: the user that the daemon runs as.
    pub fn new(tokens: Tokens, server: &Server, uid: u32) -> Self {
        Self {
            tokens,
            sessions: Sessions::default(),
            attempts: Attempts::default(),
            uid,
            settings: RwLock::new(Settings::of(server)),
        }
    }

    /// Other settings from now on.
    pub fn set(&self, server: &Server) {
        let mut settings = self
            .settings
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *settings = Settings::of(server);
    }

    /// Who asks.
    fn who(&self, peer: &Peer, headers: &HeaderMap, method: &Method) -> Result<Who, Refused> {
        if let Some(uid) = peer.uid {
            if uid != 0 && uid != self.uid {
                return Err(Refused::Forbidden(format!(
                    "user {uid} is not the daemon's"
                )));
            }
            return Ok(Who {
                name: format!("uid {uid}"),
                role: Role::Operator,
                from: None,
            });
        }
        let who = |token: Token| Who {
            name: token.name,
            role: token.role,
            from: peer.from,
        };
        if let Some(value) = headers.get(header::AUTHORIZATION) {
            let token = value.to_str().ok().and_then(bearer).unwrap_or_default();
            // One that is right is let through whatever others at its address did: nobody finds 256
            // random bits, and anybody could shut out the programs of a whole machine.
            return match self.tokens.find(token) {
                Ok(Some(token)) => Ok(who(token)),
                found => self.attempt(peer, || found).map(who),
            };
        }
        let Some(secret) = cookie(headers, peer.is_tls) else {
            return Err(Refused::Unknown);
        };
        // A page of somebody else's can make a browser send the cookie, but not say so.
        self.check_host(headers)?;
        if !matches!(*method, Method::GET | Method::HEAD) {
            check_origin(headers, peer.is_tls)?;
        }
        match self.sessions.find(secret, &self.tokens) {
            Ok(Some(token)) => Ok(who(token)),
            Ok(None) => Err(Refused::Unknown),
            Err(failure) => Err(Refused::Failed(failure)),
        }
    }

    /// Looks at something that may be a secret; not too often if it is none.
    fn attempt(
        &self,
        peer: &Peer,
        look: impl FnOnce() -> Result<Option<Token>, Failure>,
    ) -> Result<Token, Refused> {
        let address = peer
            .from
            .map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |from| from.ip());
        if let Some(wait) = self.attempts.wait(address) {
            return Err(Refused::TooOften(wait.as_secs().max(1)));
        }
        match look() {
            Ok(Some(token)) => Ok(token),
            Ok(None) => {
                self.attempts.wrong(address);
                Err(Refused::Wrong)
            }
            Err(failure) => Err(Refused::Failed(failure)),
        }
    }

    /// A name that somebody else's name server gave to our address is not ours (DNS rebinding).
    fn check_host(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let host = host(headers);
        let name = host.map(without_port).unwrap_or_default().to_lowercase();
        let is_address = name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        let settings = self.settings.read().unwrap_or_else(PoisonError::into_inner);
        if is_address || name == "localhost" || settings.names.contains(&name) {
            Ok(())
        } else {
            Err(Refused::Host(name))
        }
    }

    fn is_open(&self, method: &Method, path: &str) -> bool {
        let settings = self.settings.read().unwrap_or_else(PoisonError::into_inner);
        path == "/healthz"
            || path == "/readyz"
            || path == "/signin"
            || path == "/api/v1/session" && *method == Method::POST
            || path == "/metrics" && settings.metrics_without_token
    }
}

/// Lets through who may, with [`Who`] in the request.
pub async fn check(State(gate): State<Arc<Gate>>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().copied();
    let Some(peer) = peer else {
        return Refused::Unknown.into_response();
    };
    let is_open = gate.is_open(request.method(), request.uri().path());
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let response = match gate.who(&peer, request.headers(), request.method()) {
        Ok(who) => {
            request.extensions_mut().insert(who);
            next.run(request).await
        }
        Err(_) if is_open => next.run(request).await,
        Err(Refused::Unknown) if is_read && request.uri().path() == "/" => {
            axum::response::Redirect::to("/signin").into_response()
        }
        Err(refused) => refused.into_response(),
    };
    with_headers(response)
}

/// What every answer tells browsers: to run, frame, guess and keep nothing.
fn with_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; \
             object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // With less, browsers would not say their own origin when a form is sent.
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    response
}

/// Why somebody is not let through.
pub(crate) enum Refused {
    /// Nobody said who asks.
    Unknown,
    /// The token or code is none.
    Wrong,
    /// Wrong ones came too often: seconds to wait.
    TooOften(u64),
    /// Known, and not allowed.
    Forbidden(String),
    /// Asked under a name that is not ours.
    Host(String),
    /// A change that a page of another origin asked for.
    Origin,
    /// It could not be found out.
    Failed(Failure),
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut wait = None;
        let (status, failure) = match self {
            Self::Unknown => (
                StatusCode::UNAUTHORIZED,
                Failure::new(
                    "not-signed-in",
                    "nobody said who asks",
                    "sign in, or send a token: Authorization: Bearer tl_…; tracklight token add makes \
                     one",
                ),
            ),
            Self::Wrong => (
                StatusCode::UNAUTHORIZED,
                Failure::new(
                    "wrong-token",
                    "this token or link is not known, or does not hold any more",
                    "see which there are: tracklight token list; make another: tracklight token add, \
                     tracklight token link",
                ),
            ),
            Self::TooOften(seconds) => {
                wait = Some(seconds);
                (
                    StatusCode::TOO_MANY_REQUESTS,
                    Failure::new(
                        "too-many-attempts",
                        format!("too many wrong tokens came from there; wait {seconds} s"),
                        "a program with a token that was revoked should be stopped",
                    ),
                )
            }
            Self::Forbidden(words) => (
                StatusCode::FORBIDDEN,
                Failure::new(
                    "forbidden",
                    words,
                    "ask as root, or as the daemon's own user",
                ),
            ),
            Self::Host(name) => (
                StatusCode::MISDIRECTED_REQUEST,
                Failure::new(
                    "wrong-host",
                    format!("'{name}' is not a name of this daemon"),
                    "use its address, or add the name to server.names in the configuration",
                ),
            ),
            Self::Origin => (
                StatusCode::FORBIDDEN,
                Failure::new(
                    "wrong-origin",
                    "a page of another origin asked for a change",
                    "programs send a token instead of a cookie",
                ),
            ),
            Self::Failed(failed) => (StatusCode::INTERNAL_SERVER_ERROR, failed),
        };
        let mut response = (status, axum::Json(failure)).into_response();
        if let Some(Ok(value)) = wait.map(|wait| HeaderValue::try_from(wait.to_string())) {
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        if status == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, bearer);
        }
        response
    }
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}

const fn cookie_name(is_tls: bool) -> &'static str {
    if is_tls { COOKIE_OF_TLS } else { COOKIE }
}

fn cookie(headers: &HeaderMap, is_tls: bool) -> Option<&str> {
    let lines = headers.get_all(header::COOKIE).iter();
    lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == cookie_name(is_tls))
        .map(|(_, value)| value)
}

fn host(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::HOST)?.to_str().ok()
}

/// `[::1]:80` and `name:80`: the address or name.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => name,
        _ => host,
    }
}

/// Browsers say from which page a change comes.
fn check_origin(headers: &HeaderMap, is_tls: bool) -> Result<(), Refused> {
    let scheme = if is_tls { "https://" } else { "http://" };
    let origin = headers.get(header::ORIGIN).and_then(|o| o.to_str().ok());
    let is_ours = origin
        .and_then(|origin| origin.strip_prefix(scheme))
        .is_some_and(|origin| Some(origin) == host(headers));
    if is_ours {
        Ok(())
    } else {
        Err(Refused::Origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_told_from_its_port() {
        for (host, name) in [
            ("localhost:8470", "localhost"),
            ("[::1]:8470", "[::1]"),
            ("[::1]", "[::1]"),
            ("192.0.2.1", "192.0.2.1"),
        ] {
            assert_eq!(without_port(host), name);
        }
    }

    #[test]
    fn only_the_own_origin_may_change() {
        let headers = |origin: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("localhost:8470"));
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, HeaderValue::from_str(origin).unwrap());
            }
            headers
        };
        let is_ours = |origin, is_tls| check_origin(&headers(origin), is_tls).is_ok();
        assert!(is_ours(Some("http://localhost:8470"), false));
        assert!(is_ours(Some("https://localhost:8470"), true));
        for wrong in [
            None,
            Some("null"),
            Some("http://localhost"),
            Some("http://localhost:8470.example.org"),
            Some("https://localhost:8470"),
            Some("http://example.org"),
        ] {
            assert!(!is_ours(wrong, false), "{wrong:?}");
        }
    }
}
