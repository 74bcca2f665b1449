//! Spans on their way to a collector: OTLP as protobuf over HTTP. They wait in a bounded queue and are sent by a thread of its
//! own, which alone waits for the collector; what the queue has no room for is dropped.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Runtime;

use super::observing::ObserveError;

/// How long a collector may take for one batch. OTLP's default.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest answer of a collector that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 64 << 10;
/// What a base address is completed with, as OTLP says.
const TRACES_PATH: &str = "/v1/traces";

/// Where spans go: the configuration's word, else the environment's, else nowhere.
pub(super) fn endpoint(configured: Option<&str>, environment: impl Fn(&str) -> Option<String>) -> Option<String> {
    let completed = |base: &str| format!("{}{TRACES_PATH}", base.trim_end_matches('/'));
    let set = |name: &str| environment(name).filter(|value| !value.trim().is_empty());
    configured
        .map(completed)
        .or_else(|| set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))
        .or_else(|| set("OTEL_EXPORTER_OTLP_ENDPOINT").map(|base| completed(&base)))
}

/// Opens the way to a collector. Whether anyone is there shows only later: a gateway does not wait for its watchers.
pub(super) fn provider(endpoint: &str) -> Result<SdkTracerProvider, ObserveError> {
    let wrong = |why: String| ObserveError::Endpoint { endpoint: endpoint.to_owned(), why };
    let uri: Uri = endpoint.parse().map_err(|error: http::uri::InvalidUri| wrong(error.to_string()))?;
    let secure = match (uri.scheme_str(), uri.host()) {
        (Some("http"), Some(_)) => false,
        (Some("https"), Some(_)) => true,
        _ => return Err(wrong("write `http://host:port` or `https://host:port`".to_owned())),
    };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_endpoint(endpoint)
        .with_http_client(Collector::new(secure).map_err(|error| wrong(error.to_string()))?)
        .build()
        .map_err(|error| wrong(error.to_string()))?;
    let resource = Resource::builder();
    let resource = match std::env::var_os("OTEL_SERVICE_NAME") {
        Some(_) => resource,
        None => resource.with_service_name("tollgate"),
    };
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build()).build())
}

/// A client that does its work on the thread that sends spans, and on no other.
struct Collector {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    runtime: Runtime,
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Collector")
    }
}

impl Collector {
    fn new(secure: bool) -> std::io::Result<Self> {
        let builder = HttpsConnectorBuilder::new();
        let provider = rustls::crypto::ring::default_provider();
        let builder = if secure {
            builder.with_provider_and_native_roots(provider)?
        } else {
            // No certificate will be asked for.
            let none = rustls::ClientConfig::builder_with_provider(provider.into())
                .with_safe_default_protocol_versions()
                .map_err(std::io::Error::other)?;
            builder.with_tls_config(none.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth())
        };
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(builder.https_or_http().enable_http1().build()),
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
        })
    }

    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let response = self.client.request(request.map(Full::new)).await?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await?;
        Ok(Response::from_parts(parts, body.to_bytes()))
    }
}

impl HttpClient for Collector {
    fn send_bytes<'client, 'result>(
        &'client self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'result>>
    where
        'client: 'result,
        Self: 'result,
    {
        Box::pin(async move {
            // Called on the exporting thread, which has nothing else to do and no runtime of its own.
            self.runtime.block_on(async { tokio::time::timeout(PATIENCE, self.send(request)).await? })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_comes_before_the_environment() {
        let set = |name: &str| match name {
            "OTEL_EXPORTER_OTLP_ENDPOINT" => Some("http://all:4318/".to_owned()),
            _ => None,
        };
        let both = |name: &str| match name {
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" => Some("http://traces/as/it/is".to_owned()),
            other => set(other),
        };
        assert_eq!(endpoint(Some("http://mine:1"), both).as_deref(), Some("http://mine:1/v1/traces"));
        assert_eq!(endpoint(None, both).as_deref(), Some("http://traces/as/it/is"));
        assert_eq!(endpoint(None, set).as_deref(), Some("http://all:4318/v1/traces"));
        assert_eq!(endpoint(None, |_| Some(" ".to_owned())), None);
    }

    #[test]
    fn an_address_that_is_none_says_what_to_write() {
        for (address, says) in [("collector:4318", "http://host:port"), ("ftp://x", "http://host:port"), ("", "empty")]
        {
            let error = provider(address).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(says), "{address}: {error}");
        }
    }
}
