//! Every name that leaves the gateway in telemetry: metrics, attributes of spans, headers. A convention that moves is an edit here.

use crate::formats::Endpoint;

/// Attributes of the span that stands for one dispatch: OpenTelemetry's for generative AI where it has one, our own else.
pub(crate) mod attribute {
    pub(crate) const OPERATION: &str = "gen_ai.operation.name";
    pub(crate) const PROVIDER: &str = "gen_ai.provider.name";
    pub(crate) const REQUEST_MODEL: &str = "gen_ai.request.model";
    pub(crate) const REQUEST_MAX_TOKENS: &str = "gen_ai.request.max_tokens";
    pub(crate) const RESPONSE_MODEL: &str = "gen_ai.response.model";
    /// Cached input included.
    pub(crate) const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
    pub(crate) const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
    pub(crate) const CACHE_READ_TOKENS: &str = "gen_ai.usage.cache_read.input_tokens";
    pub(crate) const CACHE_WRITE_TOKENS: &str = "gen_ai.usage.cache_write.input_tokens";
    pub(crate) const REASONING_TOKENS: &str = "gen_ai.usage.reasoning.output_tokens";
    /// The run.
    pub(crate) const CONVERSATION: &str = "gen_ai.conversation.id";
    pub(crate) const ERROR_TYPE: &str = "error.type";
    pub(crate) const STATUS: &str = "http.response.status_code";
    pub(crate) const REQUEST_ID: &str = "tollgate.request.id";
    pub(crate) const DECISION_ID: &str = "tollgate.decision.id";
    pub(crate) const DECISIONS: &str = "tollgate.decisions";
    /// `proceed`, `slow`, `hold` or `refuse`: the last decision's.
    pub(crate) const VERDICT: &str = "tollgate.verdict";
    /// The policy that settled it; `host` where it was none.
    pub(crate) const POLICY: &str = "tollgate.policy";
    pub(crate) const REASON: &str = "tollgate.reason";
    pub(crate) const GENERATION: &str = "tollgate.generation";
    pub(crate) const WAITED_MS: &str = "tollgate.waited_ms";
    pub(crate) const TASK_TYPE: &str = "tollgate.task_type";
    pub(crate) const STAGE: &str = "tollgate.stage";
    pub(crate) const TIER: &str = "tollgate.tier";
    pub(crate) const BACKEND: &str = "tollgate.backend";
    /// A whole number: no amount of money is a float.
    pub(crate) const COST_NANODOLLARS: &str = "tollgate.cost.nanodollars";
    pub(crate) const COST_ESTIMATED: &str = "tollgate.cost.estimated";
    /// What the layer that exports spans takes out of their fields.
    pub(crate) const SPAN_NAME: &str = "otel.name";
    pub(crate) const SPAN_KIND: &str = "otel.kind";
    pub(crate) const SPAN_STATUS: &str = "otel.status_code";
}

/// Metrics, without the suffixes that their units and types add: `_total`, `_seconds`, `_usd`.
pub(crate) mod metric {
    pub(crate) const VERDICTS: &str = "tollgate_decisions";
    pub(crate) const SHADOW_VERDICTS: &str = "tollgate_shadow_decisions";
    pub(crate) const OUTCOMES: &str = "tollgate_outcomes";
    pub(crate) const DECISION_DURATION: &str = "tollgate_decision_duration";
    pub(crate) const REQUESTS: &str = "tollgate_requests";
    pub(crate) const REQUESTS_OPEN: &str = "tollgate_requests_open";
    pub(crate) const UPSTREAM_DISPATCHES: &str = "tollgate_upstream_dispatches";
    pub(crate) const UPSTREAM_FAILURES: &str = "tollgate_upstream_failures";
    pub(crate) const TOKENS: &str = "tollgate_tokens";
    pub(crate) const SPEND: &str = "tollgate_spend";
    pub(crate) const BUDGET_REMAINING: &str = "tollgate_budget_remaining";
    pub(crate) const BUDGET_ACCOUNTS: &str = "tollgate_budget_accounts";
    pub(crate) const RESERVATIONS_OPEN: &str = "tollgate_reservations_open";
    pub(crate) const STREAMS_OPEN: &str = "tollgate_streams_open";
    pub(crate) const CUTS: &str = "tollgate_cuts";
    pub(crate) const SWITCHES: &str = "tollgate_switches_engaged";
    pub(crate) const RECORDS: &str = "tollgate_records";
    pub(crate) const RECORDS_LOST: &str = "tollgate_records_lost";
    pub(crate) const RECORDS_WAITING: &str = "tollgate_records_waiting";
    pub(crate) const LEDGER_QUEUE: &str = "tollgate_ledger_queue";
    pub(crate) const QUARANTINES: &str = "tollgate_quarantines";
    pub(crate) const POLICIES_QUARANTINED: &str = "tollgate_policies_quarantined";
    pub(crate) const GENERATION: &str = "tollgate_generation";
}

/// What OpenTelemetry calls what a request does; it has no word for counting tokens.
pub(crate) const fn operation(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::ChatCompletions | Endpoint::Responses | Endpoint::Messages => "chat",
        Endpoint::Embeddings => "embeddings",
        Endpoint::CountTokens => "count_tokens",
    }
}

/// A request's name: the caller's or ours, on the way in, out and on.
pub(crate) const REQUEST_ID_HEADER: &str = "x-request-id";
/// The provider's own, where the caller's took its place.
pub(crate) const UPSTREAM_REQUEST_ID_HEADER: &str = "x-tollgate-upstream-request-id";
/// W3C trace context.
pub(crate) const TRACE_HEADERS: [&str; 2] = ["traceparent", "tracestate"];
