//! A daemon's API, over its socket or over the network.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::Failure;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tui::Transport;
use tui::transport::{Answer, Request};
use tui::wire::Fault;

use super::body::Reader;
use super::no_way;
use super::tls::Tls;

/// For how long a daemon may not be reached, and its answer not begin.
const CONNECT: Duration = Duration::from_secs(10);
const BEGIN: Duration = Duration::from_secs(70);

/// Where a daemon answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A socket in the file system.
    Socket(PathBuf),
    /// A host and a port.
    Host {
        /// Name or address, as the URL has it.
        host: String,
        /// Port.
        port: u16,
        /// Whether TLS is spoken.
        is_tls: bool,
        /// What comes before `/api`; empty, or begins with a slash.
        prefix: String,
    },
}

impl Place {
    /// Whether what is said to it can be read on the way.
    pub(crate) fn is_plain(&self) -> bool {
        let Self::Host {
            host,
            is_tls: false,
            ..
        } = self
        else {
            return false;
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let is_here = bare.parse().map_or(bare == "localhost", |address: IpAddr| {
            address.to_canonical().is_loopback()
        });
        !is_here
    }

    /// From what a flag says.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (is_tls, rest) = match text.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            Some(("unix", path)) => return Ok(Self::Socket(path.into())),
            Some((other, _)) => {
                return Err(format!("{other}:// is not known: http, https or unix"));
            }
            None => {
                let path = text.strip_prefix("unix:").unwrap_or(text);
                if path.contains('/') {
                    return Ok(Self::Socket(path.into()));
                }
                return Err(
                    "neither an address such as http://127.0.0.1:8470 nor a path".to_owned(),
                );
            }
        };
        let (authority, prefix) = match rest.find('/') {
            Some(slash) => (&rest[..slash], rest[slash..].trim_end_matches('/')),
            None => (rest, ""),
        };
        let uri: http::uri::Authority = authority
            .parse()
            .map_err(|_| format!("{authority:?} is no host with a port"))?;
        if authority.contains('@') {
            return Err("a token goes into a file: --token-file".to_owned());
        }
        Ok(Self::Host {
            host: uri.host().to_owned(),
            port: uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 }),
            is_tls,
            prefix: prefix.to_owned(),
        })
    }
}

/// A daemon.
pub(crate) struct Daemon {
    runtime: Runtime,
    place: Place,
    token: Option<String>,
    tls: Option<Tls>,
}

/// Ends the connection when what comes over it is not read any more.
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Daemon {
    /// With a token, and the authorities that are trusted instead of the system's.
    pub(crate) fn new(
        place: Place,
        token: Option<String>,
        authorities: Option<&Path>,
    ) -> Result<Self, Failure> {
        let tls = match &place {
            Place::Host { is_tls: true, .. } => Some(Tls::new(authorities)?),
            _ => None,
        };
        let runtime = super::runtime("ask", 1)?;
        Ok(Self {
            runtime,
            place,
            token,
            tls,
        })
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, Fault> {
        match &self.place {
            Place::Socket(path) => {
                let stream = UnixStream::connect(path).await.map_err(|error| {
                    no_way(
                        format!("nobody answers at {}: {error}", path.display()),
                        "look whether it runs (systemctl status tracklight), and whether you may use \
                         its socket",
                    )
                })?;
                Ok(Box::new(stream))
            }
            Place::Host { host, port, .. } => {
                let bare = host.trim_start_matches('[').trim_end_matches(']');
                let stream = TcpStream::connect((bare, *port)).await.map_err(|error| {
                    no_way(
                        format!("nobody answers at {host}:{port}: {error}"),
                        "look whether it runs and listens there: systemctl status tracklight",
                    )
                })?;
                // Requests are small, and wait for nothing.
                let _ = stream.set_nodelay(true);
                match &self.tls {
                    None => Ok(Box::new(stream)),
                    Some(tls) => Ok(Box::new(tls.connect(bare, stream).await?)),
                }
            }
        }
    }

    async fn ask(
        &self,
        request: &Request,
    ) -> Result<(http::Response<Incoming>, Connection), Fault> {
        let in_time = tokio::time::timeout(CONNECT, self.connect());
        let stream = in_time.await.unwrap_or_else(|_| {
            let text = format!(
                "the daemon is not reached within {} seconds",
                CONNECT.as_secs()
            );
            Err(no_way(
                text,
                "look whether something on the way drops packets",
            ))
        })?;
        let broken = |error: hyper::Error| {
            no_way(
                format!("the daemon's answer cannot be read: {error}"),
                "look whether it speaks HTTP there, or HTTPS: --connect https://…",
            )
        };
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        let connection = tokio::spawn(async move {
            // What is wrong with it is told to who reads.
            let _ = connection.await;
        });
        let connection = Connection(connection);
        let asked = self
            .head(request)
            .map_err(|error| no_way(error.to_string(), ""))?;
        let begun = tokio::time::timeout(BEGIN, sender.send_request(asked)).await;
        let answer = begun.map_err(|_| {
            no_way(
                "the daemon did not answer within a minute",
                "try again, or narrow the query",
            )
        })?;
        Ok((answer.map_err(broken)?, connection))
    }

    fn head(&self, request: &Request) -> Result<http::Request<Full<Bytes>>, http::Error> {
        let (host, prefix) = match &self.place {
            Place::Socket(_) => ("localhost".to_owned(), ""),
            Place::Host {
                host, port, prefix, ..
            } => (format!("{host}:{port}"), prefix.as_str()),
        };
        let mut head = http::Request::builder()
            .method(request.method.name())
            .uri(format!("{prefix}{}", request.path))
            .header("host", host);
        if let Some(token) = &self.token {
            head = head.header("authorization", format!("Bearer {token}"));
        }
        if request.body.is_some() {
            head = head.header("content-type", "application/json");
        }
        let body = Bytes::from(request.body.clone().unwrap_or_default());
        head.body(Full::new(body))
    }
}

impl Transport for Daemon {
    fn open(&self, request: &Request) -> Result<Answer, Fault> {
        let (answer, connection) = self.runtime.block_on(self.ask(request))?;
        let status = answer.status().as_u16();
        let runtime = self.runtime.handle().clone();
        Ok(Answer {
            status,
            body: Box::new(Reader::new(answer.into_body(), runtime, connection)),
        })
    }

    fn place(&self) -> String {
        match &self.place {
            Place::Socket(path) => path.display().to_string(),
            Place::Host { host, port, .. } if self.place.is_plain() => {
                format!("{host}:{port}, not encrypted")
            }
            Place::Host { host, port, .. } => format!("{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_sockets_are_told_apart() {
        let host = |host: &str, port, is_tls, prefix: &str| Place::Host {
            host: host.to_owned(),
            port,
            is_tls,
            prefix: prefix.to_owned(),
        };
        for (text, place) in [
            ("http://127.0.0.1:8470", host("127.0.0.1", 8470, false, "")),
            ("https://fw.example/t/", host("fw.example", 443, true, "/t")),
            ("http://[::1]:8470/", host("[::1]", 8470, false, "")),
            ("/run/t.sock", Place::Socket("/run/t.sock".into())),
            ("unix:/run/t.sock", Place::Socket("/run/t.sock".into())),
            ("unix:///run/t.sock", Place::Socket("/run/t.sock".into())),
        ] {
            assert_eq!(Place::parse(text), Ok(place), "{text}");
        }
        for (url, is_plain) in [
            ("http://fw.example:8470", true),
            ("http://192.0.2.1:8470", true),
            ("http://[::1]:8470", false),
            ("http://127.0.0.1", false),
            ("http://localhost:8470", false),
            ("https://fw.example", false),
            ("/run/t.sock", false),
        ] {
            assert_eq!(Place::parse(url).unwrap().is_plain(), is_plain, "{url}");
        }
        for text in ["fw", "ftp://fw", "http://", "https://tl_x@fw"] {
            assert!(Place::parse(text).is_err(), "{text}");
        }
    }
}
