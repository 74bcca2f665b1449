//! A record as others read it: the decision-log event of Open Policy Agent, with its header's labels and its generation's
//! policies joined to it. What `tollgate log` prints, a JSON object a line.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::form::{DecisionRecord, DispatchRecord, Metrics, ResultRecord, VerdictRecord};
use super::{DecisionId, Recorded};

/// A decision-log event.
#[derive(Debug, Serialize)]
pub struct Event<'a> {
    decision_id: DecisionId,
    labels: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    span_id: Option<&'a str>,
    /// The policies by name.
    bundles: BTreeMap<&'a str, Bundle<'a>>,
    input: &'a DispatchRecord,
    result: &'a ResultRecord,
    shadow: &'a [VerdictRecord],
    /// RFC 3339, in UTC.
    timestamp: String,
    metrics: &'a Metrics,
}

#[derive(Debug, Serialize)]
struct Bundle<'a> {
    /// The digest of the component.
    revision: &'a str,
    plugin: &'a str,
    version: &'a str,
    /// The digest of the configuration.
    configuration: &'a str,
}

impl<'a> Event<'a> {
    /// Of a record.
    #[must_use]
    pub fn of(recorded: &'a Recorded) -> Self {
        let DecisionRecord { decision_id, trace_id, span_id, input, result, shadow, metrics } = &recorded.decision;
        let header = &recorded.header;
        let mut labels: BTreeMap<_, _> =
            header.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        labels.insert("version", &header.program);
        let bundles = recorded.policies.policies.iter().map(|policy| {
            let bundle = Bundle {
                revision: &policy.digest,
                plugin: &policy.plugin,
                version: &policy.version,
                configuration: &policy.configuration,
            };
            (&*policy.policy, bundle)
        });
        Self {
            decision_id: *decision_id,
            labels,
            trace_id: trace_id.as_deref(),
            span_id: span_id.as_deref(),
            bundles: bundles.collect(),
            input,
            result,
            shadow,
            timestamp: rfc3339(input.now_ms),
            metrics,
        }
    }
}

/// A moment in milliseconds since the Unix epoch as RFC 3339, in UTC; one past the year 9999 is shown as the last one that
/// can be written.
#[must_use]
pub fn rfc3339(milliseconds: u64) -> String {
    let milliseconds = i64::try_from(milliseconds).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::MAX).to_string()
}
