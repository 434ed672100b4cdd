//! TLS to a daemon: by the system's authorities, or by those of a file.

use std::path::Path;
use std::sync::Arc;

use engine::Failure;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tui::wire::Fault;

use super::no_way;

/// What TLS is spoken with.
pub(super) struct Tls(TlsConnector);

fn unusable(message: String) -> Failure {
    Failure::new(
        "unreadable",
        message,
        "name a file with certificates in PEM: --ca FILE",
    )
}

impl Tls {
    /// Trusts the authorities of a file, else the system's.
    pub(super) fn new(authorities: Option<&Path>) -> Result<Self, Failure> {
        let mut roots = RootCertStore::empty();
        match authorities {
            Some(path) => {
                let cannot = |error: &dyn std::fmt::Display| {
                    unusable(format!("cannot use {}: {error}", path.display()))
                };
                let all = CertificateDer::pem_file_iter(path).map_err(|error| cannot(&error))?;
                for certificate in all {
                    let certificate = certificate.map_err(|error| cannot(&error))?;
                    roots.add(certificate).map_err(|error| cannot(&error))?;
                }
            }
            None => {
                let found = rustls_native_certs::load_native_certs();
                roots.add_parsable_certificates(found.certs);
            }
        }
        if roots.is_empty() {
            let message = "no authorities are known by which a daemon could be told to be the one";
            return Err(unusable(message.to_owned()));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Speaks it over a connection.
    pub(super) async fn connect(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, Fault> {
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|error| no_way(format!("{host} is no name: {error}"), ""))?;
        self.0.connect(name, stream).await.map_err(|error| {
            no_way(
                format!("no TLS with {host}: {error}"),
                "a certificate of one's own is trusted with --ca FILE",
            )
        })
    }
}
