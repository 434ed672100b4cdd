//! Who may: before any handler, it is found out who asks and whether they may ask so.

mod attempts;
mod hold;
mod refused;
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
use engine::config::{Origin, Server};

use crate::api::extract::shown;
use crate::asker::Asker;
use crate::listen::Place;
use crate::memory::{Holder, Memory};
use crate::who::{Role, Who};

pub use attempts::Attempts;
use hold::Right;
pub(crate) use hold::Still;
use refused::Refused;
pub use sessions::Sessions;
pub(crate) use signin::described;
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
    memory: Arc<Memory>,
    settings: RwLock<Settings>,
}

struct Settings {
    names: Vec<String>,
    origin: Option<Origin>,
    metrics_without_token: bool,
}

impl Settings {
    fn of(server: &Server) -> Self {
        Self {
            names: server.names.iter().map(|n| n.to_lowercase()).collect(),
            origin: server.origin.clone(),
            metrics_without_token: server.metrics_without_token,
        }
    }
}

impl Gate {
    /// With the tokens of a state folder. `uid`: the user that the daemon runs as.
    pub fn new(tokens: Tokens, server: &Server, uid: u32) -> Self {
        Self {
            sessions: Sessions::open(tokens.folder()),
            tokens,
            attempts: Attempts::default(),
            uid,
            memory: Arc::default(),
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

    /// Who asks, and by what right.
    fn who(
        &self,
        peer: &Peer,
        headers: &HeaderMap,
        method: &Method,
    ) -> Result<(Who, Right), Refused> {
        if let Some(uid) = peer.uid {
            if uid != 0 && uid != self.uid {
                return Err(Refused::Forbidden(format!(
                    "user {uid} is not the daemon's"
                )));
            }
            let who = Who {
                name: format!("uid {uid}"),
                role: Role::Operator,
                from: None,
            };
            return Ok((who, Right::Socket));
        }
        let who = |token: &Token| Who {
            name: token.name.clone(),
            role: token.role,
            from: peer.from,
        };
        if let Some(value) = headers.get(header::AUTHORIZATION) {
            let token = value.to_str().ok().and_then(bearer).unwrap_or_default();
            let token = self.attempt(peer, || self.tokens.find(token))?;
            return Ok((who(&token), Right::Token(token)));
        }
        let Some(secret) = self.cookie(headers, peer) else {
            return Err(Refused::Unknown);
        };
        // A page of somebody else's can make a browser send the cookie, but not say so.
        self.check_host(headers)?;
        if !matches!(*method, Method::GET | Method::HEAD) {
            self.check_origin(headers, peer)?;
        }
        match self.sessions.find(secret, &self.tokens) {
            Ok(Some(token)) => Ok((who(&token), Right::Session(secret.to_owned()))),
            Ok(None) => Err(Refused::Unknown),
            Err(failure) => Err(Refused::Failed(failure)),
        }
    }

    /// Looks at something that may be a secret. Wrong ones of an address have to wait when they come
    /// too often; one that is right is let through whatever others at its address did: nobody finds
    /// 256 random bits, and anybody could shut out the programs of a whole machine.
    fn attempt(
        &self,
        peer: &Peer,
        look: impl FnOnce() -> Result<Option<Token>, Failure>,
    ) -> Result<Token, Refused> {
        if let Some(token) = look().map_err(Refused::Failed)? {
            return Ok(token);
        }
        let address = peer
            .from
            .map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |from| from.ip());
        if let Some(wait) = self.attempts.wait(address) {
            return Err(Refused::TooOften(wait.as_secs().max(1)));
        }
        self.attempts.wrong(address);
        Err(Refused::Wrong)
    }

    /// A name that somebody else's name server gave to our address is not ours (DNS rebinding).
    fn check_host(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let host = host_of(headers);
        let name = host.map(without_port).unwrap_or_default().to_lowercase();
        let is_address = name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        let settings = self.settings.read().unwrap_or_else(PoisonError::into_inner);
        let is_public = || {
            let public = settings.origin.as_ref().map(|origin| origin.host());
            public.is_some_and(|host| without_port(host) == name)
        };
        if is_address || name == "localhost" || settings.names.contains(&name) || is_public() {
            Ok(())
        } else {
            Err(Refused::Host(shown(&name)))
        }
    }

    /// Browsers say from which page a change comes.
    fn check_origin(&self, headers: &HeaderMap, peer: &Peer) -> Result<(), Refused> {
        let settings = self.settings.read().unwrap_or_else(PoisonError::into_inner);
        let public = settings.origin.as_ref().map(Origin::as_str);
        let scheme = if peer.is_tls { "https://" } else { "http://" };
        let is_ours = origin(headers).is_some_and(|origin| {
            let host = origin.strip_prefix(scheme);
            public == Some(origin) || host.is_some() && host == host_of(headers)
        });
        if is_ours {
            Ok(())
        } else {
            Err(Refused::Origin)
        }
    }

    /// Whether the browser speaks TLS: with us, or with what stands before us.
    fn is_secure(&self, headers: &HeaderMap, peer: &Peer) -> bool {
        let settings = self.settings.read().unwrap_or_else(PoisonError::into_inner);
        let public = settings.origin.as_ref().filter(|origin| origin.is_secure());
        peer.is_tls || public.is_some_and(|public| origin(headers) == Some(public.as_str()))
    }

    /// The secret of a browser's session. Over TLS only the cookie counts whose name says so; what
    /// stands before us hands that on over plain HTTP.
    fn cookie<'a>(&self, headers: &'a HeaderMap, peer: &Peer) -> Option<&'a str> {
        let settings = self.settings.read().unwrap_or_else(PoisonError::into_inner);
        let is_handed_on = settings.origin.as_ref().is_some_and(Origin::is_secure);
        let of_tls = || cookie(headers, COOKIE_OF_TLS);
        if peer.is_tls {
            of_tls()
        } else {
            let handed_on = is_handed_on.then(of_tls).flatten();
            handed_on.or_else(|| cookie(headers, COOKIE))
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
    let place = request.extensions().get::<Arc<Place>>().cloned();
    let place = place.as_deref();
    let asks = gate.who(&peer, request.headers(), request.method());
    let asks = asks.and_then(|(who, right)| {
        let asker = Asker::new(who, Still::new(Arc::clone(&gate), right.clone()));
        match place {
            Some(place) if !place.known(&asker) => Err(Refused::TooMany(asker.name().to_owned())),
            _ => Ok((asker, right)),
        }
    });
    // Kept here until the answer's head is there.
    let holder = match &asks {
        Ok((asker, _)) => Holder::known(&gate.memory, asker.name()),
        Err(_) => Holder::stranger(&gate.memory, peer.from.map(|from| from.ip())),
    };
    request.extensions_mut().insert(holder.clone());
    let is_known = asks.is_ok();
    let response = match asks {
        Ok((asker, right)) => {
            request.extensions_mut().insert(asker.who().clone());
            let response = asker.ask(next.run(request)).await;
            hold::while_it_holds(response, &gate, right)
        }
        Err(_) if is_open => next.run(request).await,
        Err(Refused::Unknown) if is_read && request.uri().path() == "/" => {
            signin::first(request.uri())
        }
        Err(refused) => refused.into_response(),
    };
    if let Some(place) = place
        && (!is_known || response.status() == StatusCode::UNAUTHORIZED)
    {
        place.unknown();
    }
    drop(holder);
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

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).iter();
    lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value)
}

fn host_of(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::HOST)?.to_str().ok()
}

fn origin(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::ORIGIN)?.to_str().ok()
}

/// `[::1]:80` and `name:80`: the address or name.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => name,
        _ => host,
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
}
