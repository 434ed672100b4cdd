//! TLS, from files that may be renewed while the daemon runs.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use engine::Failure;
use engine::config::Server;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// What connections are encrypted with.
pub struct Tls(RwLock<Arc<ServerConfig>>);

/// Certificates that were read, and are good.
pub(crate) struct Certificates(Arc<ServerConfig>);

impl Tls {
    /// By the files of the configuration; `None` where it names none.
    pub fn open(server: &Server) -> Result<Option<Self>, Failure> {
        Ok(read(server)?.map(|config| Self(RwLock::new(config))))
    }

    /// Reads the files anew, and changes nothing.
    pub(crate) fn read(&self, server: &Server) -> Result<Option<Certificates>, Failure> {
        Ok(read(server)?.map(Certificates))
    }

    /// Other certificates from now on. What is encrypted already stays as it is.
    pub(crate) fn set(&self, certificates: Option<Certificates>) {
        if let Some(Certificates(config)) = certificates {
            *self.0.write().unwrap_or_else(PoisonError::into_inner) = config;
        }
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let config = self.0.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&config))
    }
}

fn read(server: &Server) -> Result<Option<Arc<ServerConfig>>, Failure> {
    let (certificate, key) = match (&server.tls_certificate, &server.tls_key) {
        (None, None) => return Ok(None),
        (Some(certificate), Some(key)) => (certificate, key),
        _ => {
            return Err(Failure::new(
                "configuration",
                "TLS needs a certificate and its key",
                "set both server.tls-certificate and server.tls-key, or none",
            ));
        }
    };
    let failed = |path: &Path, error: &dyn std::fmt::Display| {
        Failure::new(
            "tls-unusable",
            format!("cannot use {}: {error}", path.display()),
            "it must be readable for the daemon, and in PEM",
        )
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| failed(certificate, &error))?;
    if chain.is_empty() {
        return Err(failed(certificate, &"there is no certificate in it"));
    }
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| failed(key, &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(certificate, &error))?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|error| failed(certificate, &error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(Arc::new(config)))
}
