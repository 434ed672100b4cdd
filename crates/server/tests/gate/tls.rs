//! A certificate, and a client that speaks HTTP/2 over TLS.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;

use crate::daemon::Answer;

pub(crate) struct TlsFiles {
    folder: TempDir,
    root: CertificateDer<'static>,
}

impl TlsFiles {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let files = Self {
            root: made.cert.der().clone(),
            folder,
        };
        std::fs::write(files.certificate(), made.cert.pem()).unwrap();
        std::fs::write(files.key(), made.signing_key.serialize_pem()).unwrap();
        files
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.path().join("certificate.pem")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    pub(crate) fn h2(
        &self,
        address: SocketAddr,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        form: &str,
    ) -> Answer {
        let mut request = http::Request::builder()
            .method(method)
            .uri(format!("https://{address}{path}"));
        if !form.is_empty() {
            request = request.header("content-type", "application/x-www-form-urlencoded");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).unwrap();
        Runtime::new()
            .unwrap()
            .block_on(self.exchange(address, request, form))
    }

    async fn exchange(
        &self,
        address: SocketAddr,
        request: http::Request<()>,
        form: &str,
    ) -> Answer {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::from(address.ip());
        let connector = TlsConnector::from(Arc::new(config));
        let stream = connector.connect(name, stream).await.unwrap();
        let (mut sender, connection) = h2::client::handshake(stream).await.unwrap();
        let driven = tokio::spawn(connection);
        let is_all = form.is_empty();
        let (answer, mut body) = sender.send_request(request, is_all).unwrap();
        if !is_all {
            body.send_data(form.to_owned().into(), true).unwrap();
        }
        let (head, mut stream) = answer.await.unwrap().into_parts();
        let mut bytes = Vec::new();
        while let Some(data) = stream.data().await {
            bytes.extend(data.unwrap());
        }
        driven.abort();
        let headers = head.headers.iter();
        Answer {
            status: head.status.as_u16(),
            headers: headers
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                .collect(),
            body: String::from_utf8(bytes).unwrap(),
        }
    }
}
