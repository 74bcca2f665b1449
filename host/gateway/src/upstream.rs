//! Backends: where they are, how they are, and the one function that sends. It takes a permit and a reservation, so nothing
//! reaches a provider without both.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::Full;
use tollgate_core::config::{Api, BackendConfiguration};
use tollgate_core::{Health, Permit, Switch, Symbol};
use tollgate_runtime::Host;

use crate::backend_key::{BackendKey, BackendKeyError};
use crate::call::Call;
use crate::checks::Checks;
use crate::gateway::Log;
use crate::pool::{Arriving, Pool, SendError};
use crate::serving::{Serving, Simulated};
use crate::settle::Exchange;
use crate::tls::{self, TlsError};
use crate::{Gateway, Times};

/// All backends, and the connections to them.
pub(crate) struct Upstream {
    simulated: Simulated,
    times: Times,
    serving: ArcSwap<Serving>,
}

/// One backend.
pub(crate) struct Backend {
    pub(crate) name: String,
    pub(crate) api: Api,
    /// The path of its address, which those of requests are below.
    path: String,
    pool: Arc<Pool>,
    pub(crate) times: Times,
    key: BackendKey,
    checks: Checks,
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
    #[error("backend `{backend}`: `{url}` is not `https://host[:port][/path]`, or the same with `http`")]
    Url {
        /// Which.
        backend: String,
        /// What it says, without what stands before an `@`: that may be a password.
        url: String,
    },
    /// It cannot be believed, or has nobody who would vouch for it.
    #[error("backend `{backend}`: {source}")]
    Tls {
        /// Which.
        backend: String,
        /// Why.
        source: TlsError,
    },
    /// Its key.
    #[error("backend `{backend}` {source}")]
    Key {
        /// Which.
        backend: String,
        /// What is wrong with it.
        source: BackendKeyError,
    },
}

/// A place taken at a backend; given back when it is dropped.
pub(crate) struct Place(Arc<Backend>);

/// What came of sending.
pub(crate) enum Sent {
    /// The backend has begun to answer.
    Answer(Response<Arriving>, Place),
    /// No connection: nothing was sent.
    Unreachable,
    /// It went, and no answer came.
    Lost(Loss),
    /// A switch cut it.
    Cut(Switch),
}

/// How an answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    TimedOut,
    Broken,
    /// The gateway is ending.
    Ending,
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
/// How long a backend may take to say how it is.
const CHECK_PATIENCE: Duration = Duration::from_secs(5);

impl Upstream {
    /// Every backend of the host's configuration.
    pub(crate) fn new(host: &Host, times: Times, simulated: Simulated) -> Result<Self, BackendError> {
        let serving = Serving::new(host, (&simulated, times), None)?;
        Ok(Self { simulated, times, serving: ArcSwap::from_pointee(serving) })
    }

    /// From now on the backends are those of the host's configuration.
    pub(crate) fn reconfigure(&self, host: &Host) -> Result<(), BackendError> {
        let next = Serving::new(host, (&self.simulated, self.times), Some(&self.serving.load()))?;
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

    /// Closes connections that were idle for too long.
    pub(crate) fn retire_idle(&self) {
        self.serving.load().backends().for_each(|backend| backend.pool.retire_idle());
    }
}

/// Sends an exchange where its permit says: it has the reservation, so nothing reaches a provider without both.
pub(crate) async fn send(gateway: &Gateway, exchange: &Exchange, permit: Permit, backend: &Arc<Backend>) -> Sent {
    let Exchange { call, dispatch, candidate, model, .. } = exchange;
    let request = backend.request(call, call.request.body_for(model, permit.output_cap()));
    let place = Place::take(backend);
    let mut asking = pin!(backend.ask(&gateway.log, request));
    let at_once = poll_fn(|context| Poll::Ready(asking.as_mut().poll(context))).await;
    // The provider has it now: what is not needed for that is done while it thinks.
    gateway.accounts.count_sent(&call.request, dispatch, candidate);
    let answered = match at_once {
        Poll::Ready(answered) => answered,
        Poll::Pending => tokio::select! {
            biased;
            switch = gateway.cut(dispatch, candidate) => return Sent::Cut(switch),
            () = gateway.ending.cancelled() => return Sent::Lost(Loss::Ending),
            answered = asking => answered,
        },
    };
    match answered {
        Ok(response) => Sent::Answer(response, place),
        Err(Unanswered::Unreachable) => Sent::Unreachable,
        Err(Unanswered::Broken) => Sent::Lost(Loss::Broken),
        Err(Unanswered::TimedOut) => Sent::Lost(Loss::TimedOut),
    }
}

impl Backend {
    pub(crate) fn new(
        configured: &BackendConfiguration,
        simulated: &Simulated,
        times: Times,
    ) -> Result<Self, BackendError> {
        let backend = || configured.name.clone();
        let api = configured.api.ok_or_else(|| BackendError::NoApi { backend: backend() })?;
        let base = configured.url.clone().or_else(|| simulated.url(api));
        let base = base.ok_or_else(|| BackendError::NoUrl { backend: backend() })?.trim_end_matches('/').to_owned();
        let Some((scheme, authority, path)) = address(&base) else {
            let url = base.rsplit_once('@').map_or(base.clone(), |(_, host)| format!("…@{host}"));
            return Err(BackendError::Url { backend: backend(), url });
        };
        let times = times.of_backend(configured.timeouts);
        let ca_file = configured.ca_file.as_ref().map(|file| simulated.path(file));
        let connector = tls::connector(&scheme, ca_file.as_deref(), times.connect)
            .map_err(|source| BackendError::Tls { backend: backend(), source })?;
        let key_file = configured.key_file.as_ref().map(|file| simulated.path(file));
        let key = BackendKey::new(api, configured.key_env.as_deref(), key_file)
            .map_err(|source| BackendError::Key { backend: backend(), source })?;
        Ok(Self {
            name: configured.name.clone(),
            api,
            path,
            pool: Arc::new(Pool::new(connector, scheme, authority, times.idle_connection)),
            times,
            key,
            checks: Checks::new(configured.health.clone()),
            in_flight: AtomicU32::new(0),
            down_until_ms: AtomicU64::new(0),
            failures: AtomicU32::new(0),
        })
    }

    /// Sends a request, and waits for the beginning of its answer.
    pub(crate) async fn ask(&self, log: &Log, request: Request<Full<Bytes>>) -> Result<Response<Arriving>, Unanswered> {
        match tokio::time::timeout(self.times.first_byte, self.pool.send(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(SendError::Connect(error))) => {
                log.line(&format!("backend `{}` cannot be reached: {}", self.name, causes(&*error)));
                Err(Unanswered::Unreachable)
            }
            Ok(Err(SendError::Broken)) => Err(Unanswered::Broken),
            Err(_) => Err(Unanswered::TimedOut),
        }
    }

    /// Reads its key again where that has changed; a line for the log.
    pub(crate) fn look_at_key(&self) -> Option<String> {
        match self.key.look()? {
            Ok(()) => Some(format!("backend `{}` is called with another key from now on", self.name)),
            Err(error) => Some(format!("the key of before stays: backend `{}` {error}", self.name)),
        }
    }

    pub(crate) fn is_to_be_asked(&self, now_ms: u64) -> bool {
        self.checks.is_due(now_ms)
    }

    /// Whether it says that it is well.
    pub(crate) async fn ask_how_it_is(&self) -> bool {
        let Some(url) = self.checks.path().and_then(|path| path.parse::<Uri>().ok()) else { return false };
        let mut request = Request::new(Full::new(Bytes::new()));
        *request.uri_mut() = url;
        self.authorise(request.headers_mut());
        let answered = tokio::time::timeout(CHECK_PATIENCE, self.pool.send(request)).await;
        let Ok(Ok(response)) = answered else { return false };
        response.status().is_success()
    }

    /// Takes in what it said; a line for the log where that changes how it is.
    pub(crate) fn note_check(&self, well: bool) -> Option<String> {
        let changed = self.checks.note(well);
        let told =
            if well { "says that it is well again" } else { "does not say that it is well: nothing is sent to it" };
        changed.then(|| format!("backend `{}` {told}", self.name))
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
        if self.checks.is_unwell() || now_ms < self.down_until_ms.load(Ordering::Relaxed) {
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
        let mut url = call.request.endpoint.url(&self.path);
        if let Some(query) = &call.query {
            url.push('?');
            url.push_str(query);
        }
        *request.uri_mut() =
            url.parse().expect("the path was parsed when the backend was made, the query when it came");
        let headers = request.headers_mut();
        *headers = passed_on(call.headers.clone());
        call.observed.pass_on(headers);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // A compressed answer could not be metered on its way.
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        self.authorise(headers);
        request
    }

    /// Puts the backend's key in the place of the caller's.
    pub(crate) fn authorise(&self, headers: &mut HeaderMap) {
        let Some(key) = self.key.value() else { return };
        headers.remove("x-api-key");
        headers.remove(header::AUTHORIZATION);
        let name = if self.api == Api::Openai { header::AUTHORIZATION } else { HeaderName::from_static("x-api-key") };
        headers.insert(name, key);
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
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

/// The parts of a backend's address; nothing where it is none that can be used, or has something in it that is no part of one.
fn address(base: &str) -> Option<(Scheme, Authority, String)> {
    let strange = base.contains(['?', '#']);
    let parts = base.parse::<Uri>().ok().filter(|_| !strange)?.into_parts();
    let scheme = parts.scheme.filter(|scheme| [Scheme::HTTP, Scheme::HTTPS].contains(scheme))?;
    let authority = parts.authority.filter(|authority| !authority.as_str().contains('@'))?;
    let path = parts.path_and_query.map_or(String::new(), |path| path.as_str().trim_end_matches('/').to_owned());
    Some((scheme, authority, path))
}

/// An error with what it came from, which alone says what was wrong with a certificate.
fn causes(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |error| error.source()).fold(error.to_string(), |told, cause| {
        let cause = cause.to_string();
        if told.contains(&cause) { told } else { format!("{told}: {cause}") }
    })
}

/// Headers that belong to one connection, or to Tollgate.
const NOT_PASSED_ON: [HeaderName; 14] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-authentication-info"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::HOST,
    header::CONTENT_LENGTH,
    header::EXPECT,
    HeaderName::from_static("prefer"),
];

/// The headers that go on: all but those of the connection, those it names, and our own.
pub(crate) fn passed_on(mut headers: HeaderMap) -> HeaderMap {
    let named = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let named = named.flat_map(|names| names.split(',')).filter_map(|name| name.trim().parse().ok());
    let ours = |name: &&HeaderName| NOT_PASSED_ON.contains(name) || name.as_str().starts_with("x-tollgate-");
    // Those that are there are compared, which costs less than to look for each that could be.
    let staying: Vec<HeaderName> = named.chain(headers.keys().filter(ours).cloned()).collect();
    for name in staying {
        headers.remove(name);
    }
    headers
}

#[cfg(test)]
mod tests {
    use tollgate_core::Configuration;

    use super::*;

    fn backend(url: &str) -> Result<Backend, BackendError> {
        let text = format!("version = 1\n[[backend]]\nname = \"b\"\nmodels = []\napi = \"openai\"\nurl = \"{url}\"");
        let configured = Configuration::parse(&text).unwrap().backends.remove(0);
        Backend::new(&configured, &Simulated::default(), Times::default())
    }

    #[test]
    fn a_mistake_in_a_backend_says_what_to_write() {
        for (url, says) in
            ["ftp://x", "nonsense", "https:///v1", "http://ada:secret@x/v1", "http://x/v1?a=1", "http://x/#a"]
                .map(|url| (url, "is not `https://"))
        {
            let error = backend(url).err().unwrap().to_string();
            assert!(error.contains(says) && !error.contains("secret"), "{error}");
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
        for name in [
            "anthropic-version",
            "connection",
            "x-private",
            "x-tollgate-run",
            "transfer-encoding",
            "authorization",
            "proxy-connection",
        ] {
            headers.insert(name, HeaderValue::from_static("x"));
        }
        headers.insert("connection", HeaderValue::from_static("close, X-Private"));
        let passed = passed_on(headers);
        let mut names: Vec<&str> = passed.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["anthropic-version", "authorization"]);
    }
}
