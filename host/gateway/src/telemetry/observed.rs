//! One request as those who watch see it: its name from end to end, and the span that stands for its dispatch. Where nobody
//! watches, there is no span, and what would be told is not looked up.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, HeaderName, HeaderValue, Response};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TraceContextExt;
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tollgate_core::config::Api;
use tollgate_core::{Decision, Nanodollars, Outcome, Reason, Refusal, Source};
use tollgate_runtime::Host;
use tracing::Span;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::counts::One;
use super::names::{self, attribute};
use super::observing::SPANS;
use crate::call::Call;
use crate::formats::ModelRequest;
use crate::http::Body;
use crate::identity::Identity;
use crate::settle::{Exchange, Used};
use crate::{Gateway, clock};

/// A caller's name for a request may have so many bytes; a longer one is replaced by ours.
const MAX_REQUEST_ID_BYTES: usize = 128;

/// One request. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Observed(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    number: u128,
    name: HeaderValue,
    callers: bool,
    span: Span,
    last: Mutex<Last>,
    failed: AtomicBool,
    _open: One,
}

/// What the last decision said, where there is a span to tell it.
#[derive(Debug, Default)]
struct Last {
    decisions: u64,
    decision: String,
    verdict: &'static str,
    policy: String,
    reason: String,
    generation: u64,
}

impl Observed {
    /// A request for a model begins. Its span is a child of the caller's.
    pub(crate) fn dispatch(gateway: &Gateway, headers: &HeaderMap) -> Self {
        let span = dispatch_span();
        if !span.is_disabled() {
            // Without the layer that exports there is nobody to have a parent for.
            let _ = span.set_parent(TraceContextPropagator::new().extract(&HeaderExtractor(headers)));
        }
        Self::begin(gateway, headers, span)
    }

    /// Another request begins.
    pub(crate) fn request(gateway: &Gateway, headers: &HeaderMap) -> Self {
        Self::begin(gateway, headers, Span::none())
    }

    fn begin(gateway: &Gateway, headers: &HeaderMap, span: Span) -> Self {
        let number = crate::ordered_id(clock::now_ms());
        let callers = headers.get(names::REQUEST_ID_HEADER).filter(|value| is_name(value)).cloned();
        let ours = || HeaderValue::from_str(&format!("{number:032x}")).expect("digits are a header's value");
        Self(Arc::new(Inner {
            number,
            callers: callers.is_some(),
            name: callers.unwrap_or_else(ours),
            span,
            last: Mutex::default(),
            failed: AtomicBool::new(false),
            _open: gateway.telemetry.requests.begin(),
        }))
    }

    /// Our own number for it.
    pub(crate) fn number(&self) -> u128 {
        self.0.number
    }

    /// What is asked, and for whom.
    pub(crate) fn identified(&self, request: &ModelRequest, identity: &Identity) {
        let span = &self.0.span;
        if span.is_disabled() {
            return;
        }
        let operation = names::operation(request.endpoint);
        span.record(attribute::SPAN_NAME, format!("{operation} {}", request.model));
        span.record(attribute::OPERATION, operation);
        span.record(attribute::PROVIDER, request.endpoint.api().as_str());
        span.record(attribute::REQUEST_MODEL, request.model.as_str());
        span.record(attribute::REQUEST_MAX_TOKENS, request.max_tokens.map(whole));
        span.record(attribute::CONVERSATION, identity.run.as_str());
        span.record(attribute::TASK_TYPE, identity.task_type.as_deref());
        span.record(attribute::STAGE, identity.stage.as_deref());
        span.record(attribute::REQUEST_ID, self.name());
    }

    /// Notes a decision; the last one is told when the request is answered.
    pub(super) fn decided(&self, host: &Host, call: &Call, decision: &Decision) {
        if self.0.span.is_disabled() {
            return;
        }
        let (by, reason) = match &decision.outcome {
            Outcome::Proceed(_) => (None, None),
            Outcome::Slow { by, .. } => (Some(by), None),
            Outcome::Hold { by, reason } => (Some(by), Some(*reason)),
            Outcome::Refuse { by, cause: Refusal::Policy(reason) | Refusal::ModelsSwitchedOff(reason) } => {
                (Some(by), Some(*reason))
            }
            Outcome::Refuse { by, .. } => (Some(by), None),
        };
        let mut last = self.last();
        *last = Last {
            decisions: last.decisions.saturating_add(1),
            decision: call.decision_name(),
            verdict: decision.outcome.word(),
            policy: match by {
                Some(Source::Policy(index, _)) => host.policy_name(*index).to_string(),
                Some(Source::Host) => "host".to_owned(),
                None => String::new(),
            },
            reason: reason.map(|Reason { code, .. }| host.symbols().display(code).to_string()).unwrap_or_default(),
            generation: decision.generation,
        };
    }

    /// What it used and cost. Called once for each backend it went to; only one of them costs anything.
    pub(super) fn settled(&self, host: &Host, exchange: &Exchange, used: Used, cost: Nanodollars) {
        let span = &self.0.span;
        let Exchange { candidate, dispatch, model, .. } = exchange;
        tracing::debug!(
            target: "tollgate",
            request = self.name(),
            model = &**model,
            backend = %host.symbols().display(candidate.backend),
            cost_nanodollars = cost.as_u64(),
            exact = matches!(used, Used::Exact(..)),
            "settled"
        );
        if span.is_disabled() || used == Used::Nothing {
            return;
        }
        if let Used::Exact(usage, _) | Used::Counted(usage, _) = used {
            span.record(attribute::INPUT_TOKENS, usage.input().map(whole));
            span.record(attribute::OUTPUT_TOKENS, whole(usage.output));
            span.record(attribute::CACHE_READ_TOKENS, whole(usage.cache_read));
            span.record(
                attribute::CACHE_WRITE_TOKENS,
                whole(usage.cache_write_5m.saturating_add(usage.cache_write_1h)),
            );
            span.record(attribute::REASONING_TOKENS, whole(usage.reasoning));
        }
        span.record(attribute::RESPONSE_MODEL, &**model);
        span.record(attribute::TIER, candidate.tier.as_str());
        span.record(attribute::BACKEND, &*host.symbols().display(candidate.backend));
        span.record(attribute::WAITED_MS, i64::from(dispatch.waited_ms));
        span.record(attribute::COST_NANODOLLARS, whole(cost.as_u64()));
        span.record(attribute::COST_ESTIMATED, !matches!(used, Used::Exact(..)));
    }

    /// A stream ended before its time, after its answer had begun.
    pub(crate) fn broke(&self, code: &'static str) {
        self.error(code);
    }

    /// The answer begins: gives it the request's name, counts it and tells what was decided. `code` says what was wrong, where
    /// it was ours to say.
    pub(crate) fn answered(
        &self,
        gateway: &Gateway,
        mut response: Response<Body>,
        api: Option<Api>,
        code: Option<&'static str>,
    ) -> Response<Body> {
        let status = response.status();
        gateway.telemetry.answered(api, status);
        self.name_answer(response.headers_mut());
        let last = self.last();
        tracing::debug!(
            target: "tollgate",
            request = self.name(),
            decision = last.decision,
            verdict = last.verdict,
            status = status.as_u16(),
            code,
            "answered"
        );
        let span = &self.0.span;
        if span.is_disabled() {
            return response;
        }
        span.record(attribute::STATUS, i64::from(status.as_u16()));
        if last.decisions > 0 {
            span.record(attribute::DECISION_ID, last.decision.as_str());
            span.record(attribute::DECISIONS, whole(last.decisions));
            span.record(attribute::VERDICT, last.verdict);
            span.record(attribute::POLICY, some(&last.policy));
            span.record(attribute::REASON, some(&last.reason));
            span.record(attribute::GENERATION, whole(last.generation));
        }
        drop(last);
        match code {
            Some(code) => self.error(code),
            None if status.is_client_error() || status.is_server_error() => self.error(status.as_str()),
            None => {}
        }
        response
    }

    /// Headers for the backend: the request's name, and where it is in its trace.
    pub(crate) fn pass_on(&self, headers: &mut HeaderMap) {
        headers.insert(HeaderName::from_static(names::REQUEST_ID_HEADER), self.0.name.clone());
        if self.0.span.is_disabled() {
            return;
        }
        let context = self.0.span.context();
        if context.span().span_context().is_valid() {
            for name in names::TRACE_HEADERS {
                headers.remove(name);
            }
            TraceContextPropagator::new().inject_context(&context, &mut HeaderInjector(headers));
        }
    }

    /// The caller's own name comes back to it. Where it has none, the provider's does, which its SDK shows; else ours.
    fn name_answer(&self, headers: &mut HeaderMap) {
        let name = HeaderName::from_static(names::REQUEST_ID_HEADER);
        match headers.get(&name).cloned() {
            Some(_) if !self.0.callers => {}
            Some(providers) if providers != self.0.name => {
                headers.insert(HeaderName::from_static(names::UPSTREAM_REQUEST_ID_HEADER), providers);
                headers.insert(name, self.0.name.clone());
            }
            _ => {
                headers.insert(name, self.0.name.clone());
            }
        }
    }

    /// The first error is the one that is told.
    fn error(&self, code: &str) {
        if !self.0.span.is_disabled() && !self.0.failed.swap(true, Ordering::Relaxed) {
            self.0.span.record(attribute::ERROR_TYPE, code);
            self.0.span.record(attribute::SPAN_STATUS, "ERROR");
        }
    }

    fn name(&self) -> &str {
        self.0.name.to_str().unwrap_or_default()
    }

    fn last(&self) -> std::sync::MutexGuard<'_, Last> {
        self.0.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// OpenTelemetry has no other whole numbers: what is unsigned would be exported as text.
fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// A name that can be shown anywhere.
fn is_name(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    !bytes.is_empty() && bytes.len() <= MAX_REQUEST_ID_BYTES && bytes.iter().all(u8::is_ascii_graphic)
}

/// Below the level that logs show by themselves, so that it costs one look at a number where nobody exports spans.
fn dispatch_span() -> Span {
    tracing::debug_span!(
        target: SPANS,
        parent: None,
        "dispatch",
        { attribute::SPAN_NAME } = Empty,
        { attribute::SPAN_KIND } = "client",
        { attribute::SPAN_STATUS } = Empty,
        { attribute::OPERATION } = Empty,
        { attribute::PROVIDER } = Empty,
        { attribute::REQUEST_MODEL } = Empty,
        { attribute::REQUEST_MAX_TOKENS } = Empty,
        { attribute::RESPONSE_MODEL } = Empty,
        { attribute::INPUT_TOKENS } = Empty,
        { attribute::OUTPUT_TOKENS } = Empty,
        { attribute::CACHE_READ_TOKENS } = Empty,
        { attribute::CACHE_WRITE_TOKENS } = Empty,
        { attribute::REASONING_TOKENS } = Empty,
        { attribute::CONVERSATION } = Empty,
        { attribute::ERROR_TYPE } = Empty,
        { attribute::STATUS } = Empty,
        { attribute::REQUEST_ID } = Empty,
        { attribute::DECISION_ID } = Empty,
        { attribute::DECISIONS } = Empty,
        { attribute::VERDICT } = Empty,
        { attribute::POLICY } = Empty,
        { attribute::REASON } = Empty,
        { attribute::GENERATION } = Empty,
        { attribute::WAITED_MS } = Empty,
        { attribute::TASK_TYPE } = Empty,
        { attribute::STAGE } = Empty,
        { attribute::TIER } = Empty,
        { attribute::BACKEND } = Empty,
        { attribute::COST_NANODOLLARS } = Empty,
        { attribute::COST_ESTIMATED } = Empty,
    )
}
