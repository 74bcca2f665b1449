//! The way to a backend: in the clear to `http`, and to `https` only if the system's root certificates, or those of its `ca_file`, vouch
//! for it. There is no way to believe a certificate that nobody vouches for.

use std::future::poll_fn;
use std::path::Path;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tower_service::Service;

use super::{TlsError, certificates, provider};

/// Connects within a time, the handshake included.
#[derive(Clone)]
pub(crate) struct Connector {
    inner: HttpsConnector<HttpConnector>,
    limit: Duration,
}

/// A connector to an address; `ca_file` adds to whom it believes.
pub(crate) fn connector(scheme: &Scheme, ca_file: Option<&Path>, limit: Duration) -> Result<Connector, TlsError> {
    let roots = if *scheme == Scheme::HTTPS { roots(ca_file)? } else { RootCertStore::empty() };
    let versions = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let builder = versions.expect("this cryptography speaks the versions that rustls takes for safe");
    Ok(of(builder.with_root_certificates(roots).with_no_client_auth(), limit))
}

pub(super) fn of(config: ClientConfig, limit: Duration) -> Connector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    let inner = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1().wrap_connector(tcp);
    Connector { inner, limit }
}

impl Connector {
    pub(crate) async fn connect(
        &self,
        address: Uri,
    ) -> Result<<Self as Service<Uri>>::Response, <Self as Service<Uri>>::Error> {
        let mut connector = self.clone();
        poll_fn(|context| connector.poll_ready(context)).await?;
        connector.call(address).await
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (connecting, limit) = (self.inner.call(uri), self.limit);
        Box::pin(async move {
            let connected = tokio::time::timeout(limit, connecting).await;
            connected.unwrap_or_else(|_| Err(format!("no connection within {} ms", limit.as_millis()).into()))
        })
    }
}

/// The system's root certificates, and those of a file.
fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    let (system, problem) = of_the_system();
    // Some systems have one among them that cannot be read; the others are as good as before.
    store.add_parsable_certificates(system.iter().cloned());
    if let Some(path) = ca_file {
        for certificate in certificates(path)? {
            let wrong = |error: rustls::Error| TlsError::File { path: path.to_owned(), problem: error.to_string() };
            store.add(certificate).map_err(wrong)?;
        }
    }
    if store.is_empty() { Err(TlsError::NoRoots { problem: problem.clone() }) } else { Ok(store) }
}

/// Read once: they are a few hundred files on some systems.
fn of_the_system() -> &'static (Vec<CertificateDer<'static>>, String) {
    static SYSTEM: OnceLock<(Vec<CertificateDer<'static>>, String)> = OnceLock::new();
    SYSTEM.get_or_init(|| {
        let loaded = rustls_native_certs::load_native_certs();
        let problem = loaded.errors.first().map_or_else(|| "none found".to_owned(), ToString::to_string);
        (loaded.certs, problem)
    })
}
