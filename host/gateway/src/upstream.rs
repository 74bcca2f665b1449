//! Backends: where they are, how they are, and the one function that sends. It takes a permit and a reservation, so nothing
//! reaches a provider without both.

use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tollgate_core::config::{Api, BackendConfiguration};
use tollgate_core::{Candidate, Dispatch, Health, Permit, Switch, Symbol};
use tollgate_runtime::Host;

use crate::accounts::Reservation;
use crate::call::Call;
use crate::serving::{Serving, Simulated};
use crate::{Gateway, Times, clock};

/// All backends, and the connections to them.
pub(crate) struct Upstream {
    client: Client<HttpConnector, Full<Bytes>>,
    simulated: Simulated,
    serving: ArcSwap<Serving>,
}

/// One backend.
pub(crate) struct Backend {
    pub(crate) name: String,
    pub(crate) api: Api,
    base: String,
    key: Option<HeaderValue>,
    in_flight: AtomicU32,
    down_until_ms: AtomicU64,
    failures: AtomicU32,
}

/// Why a backend cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// It has no address.
    #[error(
        "backend `{backend}` has no `url`: add one, as its SDK takes it, such as `url = \"http://127.0.0.1:8000/v1\"`"
    )]
    NoUrl {
        /// Which.
        backend: String,
    },
    /// Nobody said what it speaks.
    #[error("backend `{backend}` has no `api`: add `api = \"openai\"` or `api = \"anthropic\"`")]
    NoApi {
        /// Which.
        backend: String,
    },
    /// Its address is none that can be used.
    #[error("backend `{backend}`: `{url}` is not `http://host[:port][/path]`")]
    Url {
        /// Which.
        backend: String,
        /// What it says.
        url: String,
    },
    /// TLS is not there yet.
    #[error(
        "backend `{backend}`: `{url}` needs TLS, which this build does not speak yet: put a local TLS proxy before it"
    )]
    Tls {
        /// Which.
        backend: String,
        /// What it says.
        url: String,
    },
    /// Its key is not there.
    #[error(
        "backend `{backend}` takes its key from `${variable}`, which is not set: set it, or drop `key_env` to pass the caller's own key on"
    )]
    NoKey {
        /// Which.
        backend: String,
        /// Where the key should be.
        variable: String,
    },
}

/// A place taken at a backend; given back when it is dropped.
pub(crate) struct Place(Arc<Backend>);

/// What came of sending.
pub(crate) enum Sent {
    /// The backend has begun to answer.
    Answer(Response<Incoming>, Place),
    /// The permit had died: nothing was sent, and it is decided again.
    Stale,
    /// No connection: nothing was sent.
    Unreachable,
    /// It went, and no answer came.
    Lost(Loss),
    /// A switch cut it.
    Cut(Switch),
    /// The ledger did not take down that it goes, so it did not.
    Unrecorded(String),
}

/// How an answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    TimedOut,
    Broken,
}

/// Why an answer did not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// Nothing was sent.
    Unreachable,
    TimedOut,
    Broken,
}

/// Failures in a row after which a backend is taken for down, and for how long at first and at most, in milliseconds.
const DOWN_AFTER: u32 = 3;
const FIRST_PAUSE_MS: u64 = 1_000;
const LONGEST_PAUSE_MS: u64 = 60_000;

impl Upstream {
    /// Every backend of the host's configuration.
    pub(crate) fn new(host: &Host, times: Times, simulated: Simulated) -> Result<Self, BackendError> {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(times.connect));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(times.idle_connection)
            .build(connector);
        let serving = Serving::new(host, &simulated, None)?;
        Ok(Self { client, simulated, serving: ArcSwap::from_pointee(serving) })
    }

    /// From now on the backends are those of the host's configuration.
    pub(crate) fn reconfigure(&self, host: &Host) -> Result<(), BackendError> {
        let next = Serving::new(host, &self.simulated, Some(&self.serving.load()))?;
        self.serving.store(Arc::new(next));
        Ok(())
    }

    /// The backends and what offers them, as they are now.
    pub(crate) fn serving(&self) -> Arc<Serving> {
        self.serving.load_full()
    }

    pub(crate) fn backend(&self, name: Symbol) -> Option<Arc<Backend>> {
        self.serving.load().backend(name).map(Arc::clone)
    }

    /// Sends a call where its permit says. The permit is checked at the last moment; from then on the reservation counts.
    pub(crate) async fn send(
        &self,
        gateway: &Gateway,
        call: &Call,
        (dispatch, candidate): (&Dispatch, &Candidate),
        permit: Permit,
        reservation: &Reservation,
    ) -> Sent {
        // A configuration without it was taken over since it was offered.
        let Some(backend) = self.backend(candidate.backend) else { return Sent::Stale };
        let model = gateway.host.symbols().display(candidate.model);
        let request = backend.request(call, call.request.body_for(&model, permit.output_cap()));
        if !permit.is_live(clock::now_ms(), gateway.host.switches().epoch()) {
            return Sent::Stale;
        }
        if let Err(error) = gateway.accounts.sent(reservation, gateway.settings.times.resolved_within()) {
            return Sent::Unrecorded(error);
        }
        let place = Place::take(&backend);
        let answered = tokio::select! {
            switch = gateway.cut(dispatch, candidate) => return Sent::Cut(switch),
            answered = self.ask(gateway.settings.times, request) => answered,
        };
        match answered {
            Ok(response) => Sent::Answer(response, place),
            Err(Unanswered::Unreachable) => Sent::Unreachable,
            Err(Unanswered::Broken) => Sent::Lost(Loss::Broken),
            Err(Unanswered::TimedOut) => Sent::Lost(Loss::TimedOut),
        }
    }

    /// Sends a request, and waits for the beginning of its answer.
    pub(crate) async fn ask(
        &self,
        times: Times,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, Unanswered> {
        match tokio::time::timeout(times.first_byte, self.client.request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) if error.is_connect() => Err(Unanswered::Unreachable),
            Ok(Err(_)) => Err(Unanswered::Broken),
            Err(_) => Err(Unanswered::TimedOut),
        }
    }
}

impl Backend {
    pub(crate) fn new(
        configured: &BackendConfiguration,
        simulated: impl Fn(Api) -> Option<String>,
    ) -> Result<Self, BackendError> {
        let backend = || configured.name.clone();
        let api = configured.api.ok_or_else(|| BackendError::NoApi { backend: backend() })?;
        let base = configured
            .url
            .clone()
            .or_else(|| simulated(api))
            .ok_or_else(|| BackendError::NoUrl { backend: backend() })?;
        let base = base.trim_end_matches('/').to_owned();
        let uri: Option<Uri> = base.parse().ok();
        match uri.as_ref().and_then(|uri| uri.host().and(uri.scheme_str())) {
            Some("http") => {}
            Some("https") => return Err(BackendError::Tls { backend: backend(), url: base }),
            _ => return Err(BackendError::Url { backend: backend(), url: base }),
        }
        let key = configured.key_env.as_ref().map(|variable| {
            let missing = || BackendError::NoKey { backend: backend(), variable: variable.clone() };
            let key = env::var(variable).ok().filter(|key| !key.is_empty()).ok_or_else(missing)?;
            let text = if api == Api::Openai { format!("Bearer {key}") } else { key };
            let mut value = HeaderValue::from_str(&text).map_err(|_| missing())?;
            value.set_sensitive(true);
            Ok(value)
        });
        Ok(Self {
            name: configured.name.clone(),
            api,
            base,
            key: key.transpose()?,
            in_flight: AtomicU32::new(0),
            down_until_ms: AtomicU64::new(0),
            failures: AtomicU32::new(0),
        })
    }

    /// Of so many slots, those that are free.
    pub(crate) fn free_slots(&self, slots: u32) -> u32 {
        if slots == u32::MAX { slots } else { slots.saturating_sub(self.in_flight.load(Ordering::Relaxed)) }
    }

    /// Calls at it now.
    pub(crate) fn under_way(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(crate) fn health(&self, now_ms: u64) -> Health {
        if now_ms < self.down_until_ms.load(Ordering::Relaxed) {
            Health::Down
        } else if self.failures.load(Ordering::Relaxed) > 0 {
            Health::Degraded
        } else {
            Health::Healthy
        }
    }

    /// It answered as it should.
    pub(crate) fn answered(&self) {
        self.failures.store(0, Ordering::Relaxed);
    }

    /// It did not. A provider that says when to come back is left alone until then; one that says nothing, once it has failed
    /// some times in a row, for longer each time.
    pub(crate) fn failed(&self, now_ms: u64, retry_after_ms: Option<u64>) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let again = failures.saturating_sub(DOWN_AFTER).min(6);
        let pause = match retry_after_ms {
            Some(told) => told,
            None if failures >= DOWN_AFTER => FIRST_PAUSE_MS << again,
            None => return,
        };
        self.down_until_ms.fetch_max(now_ms.saturating_add(pause.min(LONGEST_PAUSE_MS)), Ordering::Relaxed);
    }

    fn request(&self, call: &Call, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        let url = call.request.endpoint.url(&self.base);
        let url = call.query.as_ref().map_or(url.clone(), |query| format!("{url}?{query}"));
        *request.uri_mut() =
            url.parse().expect("the base was parsed when the backend was made, the query when it came");
        let headers = request.headers_mut();
        *headers = passed_on(&call.headers);
        call.observed.pass_on(headers);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // A compressed answer could not be metered on its way.
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        self.authorise(headers);
        request
    }

    /// Puts the backend's key in the place of the caller's.
    pub(crate) fn authorise(&self, headers: &mut HeaderMap) {
        let Some(key) = &self.key else { return };
        headers.remove("x-api-key");
        headers.remove(header::AUTHORIZATION);
        let name = if self.api == Api::Openai { header::AUTHORIZATION } else { HeaderName::from_static("x-api-key") };
        headers.insert(name, key.clone());
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }
}

impl Place {
    pub(crate) fn take(backend: &Arc<Backend>) -> Self {
        backend.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(backend))
    }

    pub(crate) fn backend(&self) -> &Backend {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Headers that belong to one connection, or to Tollgate.
const NOT_PASSED_ON: [&str; 11] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "host",
    "content-length",
    "expect",
];

/// The headers that go on: all but those of the connection, those it names, and our own.
pub(crate) fn passed_on(headers: &HeaderMap) -> HeaderMap {
    let named: Vec<String> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(|name| name.trim().to_ascii_lowercase()))
        .collect();
    let goes = |name: &HeaderName| {
        let name = name.as_str();
        !NOT_PASSED_ON.contains(&name) && !name.starts_with("x-tollgate-") && !named.iter().any(|other| other == name)
    };
    headers.iter().filter(|(name, _)| goes(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(url: &str) -> Result<Backend, BackendError> {
        let configured = BackendConfiguration {
            name: "b".to_owned(),
            models: Vec::new(),
            hosting: tollgate_core::Hosting::Remote,
            slots: None,
            api: Some(Api::Openai),
            url: Some(url.to_owned()),
            key_env: None,
        };
        Backend::new(&configured, |_| None)
    }

    #[test]
    fn a_mistake_in_a_backend_says_what_to_write() {
        for (url, says) in
            [("ftp://x", "is not `http://"), ("nonsense", "is not `http://"), ("https://x/v1", "needs TLS")]
        {
            let error = backend(url).err().unwrap().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn a_backend_that_keeps_failing_is_left_alone_for_longer_each_time() {
        let backend = backend("http://x").unwrap();
        backend.failed(0, None);
        backend.failed(0, None);
        assert_eq!(backend.health(0), Health::Degraded);
        backend.failed(0, None);
        assert_eq!((backend.health(999), backend.health(1_000)), (Health::Down, Health::Degraded));
        backend.failed(1_000, None);
        assert_eq!((backend.health(2_999), backend.health(3_000)), (Health::Down, Health::Degraded));
        for _ in 0..100 {
            backend.failed(3_000, Some(u64::MAX));
        }
        assert_eq!(
            backend.health(3_000 + LONGEST_PAUSE_MS),
            Health::Degraded,
            "a pause is bounded whatever it is told"
        );
        backend.answered();
        assert_eq!(backend.health(3_000 + LONGEST_PAUSE_MS), Health::Healthy);
    }

    #[test]
    fn headers_of_the_connection_and_our_own_stay_here() {
        let mut headers = HeaderMap::new();
        for name in
            ["anthropic-version", "connection", "x-private", "x-tollgate-run", "transfer-encoding", "authorization"]
        {
            headers.insert(name, HeaderValue::from_static("x"));
        }
        headers.insert("connection", HeaderValue::from_static("close, X-Private"));
        let passed = passed_on(&headers);
        let mut names: Vec<&str> = passed.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["anthropic-version", "authorization"]);
    }
}
