//! A client of the admin listener, for the command line.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::uri::Scheme;
use http::{Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::tls;

/// The largest answer in bytes: as many switches as there can be.
const MAX_BYTES: usize = 16 << 20;
/// A gateway on the same machine answers at once or not at all.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a running gateway takes its operators' requests, and what opens its doors.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminClient {
    /// `127.0.0.1:4801`.
    pub address: String,
    /// The token that the gateway was opened with.
    pub token: String,
    /// The file with the certificate that it shows, where it speaks TLS: that one is believed, and no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
}

/// Why a request had no effect, or none that is known of.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// Nobody answers there.
    #[error("no gateway answers at `{address}`: {why}")]
    Unreachable {
        /// Where.
        address: String,
        /// Why.
        why: String,
    },
    /// The gateway said no.
    #[error("{detail}")]
    Refused {
        /// Why.
        detail: String,
    },
}

impl AdminClient {
    /// Sends one request and waits for its answer.
    ///
    /// # Errors
    /// When nobody answers, or the gateway says no.
    pub fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, AdminError> {
        let unreachable = |why: String| AdminError::Unreachable { address: self.address.clone(), why };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| unreachable(error.to_string()))?;
        let connector = match &self.certificate {
            Some(certificate) => tls::pinned(certificate, PATIENCE),
            None => tls::connector(&Scheme::HTTP, None, PATIENCE),
        };
        let connector = connector.map_err(|error| unreachable(error.to_string()))?;
        let scheme = if self.certificate.is_some() { "https" } else { "http" };
        let request = Request::builder()
            .method(method)
            .uri(format!("{scheme}://{}{path}", self.address))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body.map(Value::to_string).unwrap_or_default())))
            .map_err(|error| unreachable(error.to_string()))?;
        runtime.block_on(async {
            let client = Client::builder(TokioExecutor::new()).build::<_, Full<Bytes>>(connector);
            let answered = tokio::time::timeout(PATIENCE, client.request(request)).await;
            let response = answered.map_err(|_| unreachable("it does not answer in time".to_owned()))?;
            let response = response.map_err(|error| unreachable(error.to_string()))?;
            let status = response.status();
            let read = tokio::time::timeout(PATIENCE, Limited::new(response.into_body(), MAX_BYTES).collect()).await;
            let read = read.ok().and_then(Result::ok).ok_or_else(|| unreachable("its answer broke off".to_owned()))?;
            let body: Value =
                serde_json::from_slice(&read.to_bytes()).map_err(|error| unreachable(error.to_string()))?;
            if status.is_success() {
                return Ok(body);
            }
            let detail = body.get("detail").and_then(Value::as_str).unwrap_or("it refused and does not say why");
            Err(AdminError::Refused { detail: detail.to_owned() })
        })
    }
}
