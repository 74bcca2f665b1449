//! `GET /metrics`: everything that is counted, as Prometheus reads it. Whoever scrapes does the work; what is counted is only read.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, Response, StatusCode, header};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, MetricEncoder, NoLabelSet};
use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::counts::{FAILURES, OfPolicy, TOKENS, VERDICTS};
use super::names::metric;
use super::{FORMATS, OUTCOMES, Telemetry};
use crate::http::{Body, typed};
use crate::{Gateway, clock};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Answers a scrape, in the form that it accepts.
pub(crate) fn answer(gateway: &Arc<Gateway>, headers: &HeaderMap) -> Response<Body> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape(Arc::clone(gateway))));
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let open_metrics = accepted.contains("application/openmetrics-text");
    let mut out = String::new();
    let written = match open_metrics {
        true => text::encode(&mut out, &registry),
        false => prometheus_text::encode(&mut out, &registry),
    };
    match written {
        Ok(()) => typed(StatusCode::OK, if open_metrics { OPEN_METRICS } else { PROMETHEUS }, out),
        // Only writing can fail, and a string takes what it is given.
        Err(fmt::Error) => typed(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", "the metrics cannot be written"),
    }
}

/// One look at a gateway.
struct Scrape(Arc<Gateway>);

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scrape")
    }
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (gateway, mut page) = (&*self.0, Page(encoder));
        let telemetry = &gateway.telemetry;
        // What was never met yet shows as zero rather than not at all.
        telemetry.counted.meet(&gateway.host, gateway.host.status().running.id);
        decisions(&mut page, telemetry)?;
        traffic(&mut page, telemetry)?;
        upstream(&mut page, telemetry)?;
        money(&mut page, gateway)?;
        state(&mut page, gateway)
    }
}

fn decisions(page: &mut Page<'_>, telemetry: &Telemetry) -> fmt::Result {
    let policies = telemetry.counted.known().policies.clone();
    let help = "Verdicts of policies that count";
    page.family(metric::VERDICTS, help, MetricType::Counter, None, |family| {
        policies.iter().try_for_each(|policy| verdicts(family, policy, |policy, at| policy.verdicts[at].read()))
    })?;
    let help = "Verdicts of policies in shadow, which change nothing";
    page.family(metric::SHADOW_VERDICTS, help, MetricType::Counter, None, |family| {
        policies.iter().try_for_each(|policy| verdicts(family, policy, |policy, at| policy.shadow[at].read()))
    })?;
    page.family(metric::OUTCOMES, "What became of decisions", MetricType::Counter, None, |family| {
        let counts = OUTCOMES.iter().zip(&telemetry.outcomes);
        counts.into_iter().try_for_each(|(outcome, count)| count_of(family, &[("outcome", outcome)], count.read()))
    })?;
    let help = "How long decisions took, without waits";
    page.family(metric::DECISION_DURATION, help, MetricType::Histogram, Some(&Unit::Seconds), |family| {
        let buckets = telemetry.durations.buckets();
        let all = buckets.iter().map(|(_, count)| count).sum();
        family.encode_histogram::<NoLabelSet>(telemetry.durations.sum_seconds(), all, &buckets, None)
    })
}

/// Those that were ever given: most policies serve as one kind.
fn verdicts(family: &mut MetricEncoder<'_>, policy: &OfPolicy, count: impl Fn(&OfPolicy, usize) -> u64) -> fmt::Result {
    VERDICTS.iter().enumerate().try_for_each(|(at, (kind, verdict))| match count(policy, at) {
        0 => Ok(()),
        given => {
            let named = [("policy", policy.policy.as_str()), ("version", policy.version.as_str())];
            count_of(family, &[("kind", kind.as_str()), named[0], named[1], ("verdict", verdict)], given)
        }
    })
}

fn traffic(page: &mut Page<'_>, telemetry: &Telemetry) -> fmt::Result {
    let help = "Requests of clients by the status they were answered with";
    page.family(metric::REQUESTS, help, MetricType::Counter, None, |family| {
        FORMATS.iter().zip(&telemetry.statuses).try_for_each(|(format, statuses)| {
            statuses.seen().try_for_each(|(status, count)| {
                count_of(family, &[("format", format), ("status", &status.to_string())], count)
            })
        })
    })?;
    page.gauge(metric::REQUESTS_OPEN, "Requests that are not over, streams among them", telemetry.requests.read())?;
    page.gauge(metric::STREAMS_OPEN, "Streams under way", telemetry.streams.read())?;
    page.counter(metric::CUTS, "Dispatches that a switch cut while they were under way", telemetry.cuts.read())
}

fn upstream(page: &mut Page<'_>, telemetry: &Telemetry) -> fmt::Result {
    let backends = telemetry.counted.known().backends.clone();
    page.family(metric::UPSTREAM_DISPATCHES, "Dispatches that went", MetricType::Counter, None, |family| {
        backends.iter().try_for_each(|of| count_of(family, &[("backend", &of.backend)], of.dispatches.read()))
    })?;
    let help = "Dispatches that went and were not answered well";
    page.family(metric::UPSTREAM_FAILURES, help, MetricType::Counter, None, |family| {
        backends.iter().try_for_each(|of| {
            FAILURES.iter().zip(&of.failures).try_for_each(|(failure, count)| {
                count_of(family, &[("backend", of.backend.as_str()), ("failure", failure)], count.read())
            })
        })
    })?;
    let models = telemetry.counted.known().models.clone();
    let help = "Tokens that models used; reasoning_output is a part of output";
    page.family(metric::TOKENS, help, MetricType::Counter, None, |family| {
        models.iter().try_for_each(|of| {
            TOKENS.iter().zip(&of.tokens).try_for_each(|(kind, count)| {
                count_of(family, &[("model", of.model.as_str()), ("kind", kind)], count.read())
            })
        })
    })
}

fn money(page: &mut Page<'_>, gateway: &Gateway) -> fmt::Result {
    let usd = Unit::Other("usd".to_owned());
    let models = gateway.telemetry.counted.known().models.clone();
    let help = "What was posted; estimated where the provider never told";
    page.family(metric::SPEND, help, MetricType::Counter, Some(&usd), |family| {
        models.iter().try_for_each(|of| {
            [("false", &of.spent), ("true", &of.spent_estimated)].into_iter().try_for_each(|(estimated, spent)| {
                let labels = [("model", of.model.as_str()), ("estimated", estimated)];
                family.encode_family(&labels)?.encode_counter::<NoLabelSet, f64, f64>(&dollars(spent.read()), None)
            })
        })
    })?;
    let budgets = gateway.accounts.budgets_left();
    let help = "What the tightest account of each budget has left below its ceiling";
    page.family(metric::BUDGET_REMAINING, help, MetricType::Gauge, Some(&usd), |family| {
        budgets.iter().try_for_each(|budget| {
            let labels = [("budget", &*budget.name), ("scope", budget.kind.as_str())];
            family.encode_family(&labels)?.encode_gauge(&dollars(budget.least_left.as_u64()))
        })
    })?;
    page.family(metric::BUDGET_ACCOUNTS, "Accounts of each budget in memory", MetricType::Gauge, None, |family| {
        budgets
            .iter()
            .try_for_each(|budget| family.encode_family(&[("budget", &*budget.name)])?.encode_gauge(&budget.accounts))
    })
}

fn state(page: &mut Page<'_>, gateway: &Gateway) -> fmt::Result {
    let (status, telemetry) = (gateway.host.status(), &gateway.telemetry);
    let now_ms = clock::now_ms();
    let engaged = gateway.host.switches().switches().iter().filter(|switch| switch.is_engaged(now_ms)).count();
    let quarantined = status.running.policies.iter().filter(|policy| policy.service.quarantine.is_some()).count();
    page.gauge(metric::SWITCHES, "Switches that are engaged", engaged)?;
    page.gauge(metric::GENERATION, "The generation of policies that decides", status.running.id)?;
    page.counter(metric::QUARANTINES, "Times that a policy was left alone", telemetry.quarantines.read())?;
    page.gauge(metric::POLICIES_QUARANTINED, "Policies that are left alone now", quarantined)?;
    page.gauge(metric::RESERVATIONS_OPEN, "Reservations that are open", gateway.accounts.open_reservations())?;
    page.gauge(metric::LEDGER_QUEUE, "Batches that wait for the disk", gateway.accounts.waiting_batches())?;
    let records = gateway.records.status().unwrap_or_default();
    page.counter(metric::RECORDS, "Decision records written", records.written)?;
    page.counter(metric::RECORDS_LOST, "Decision records lost", records.lost.all())?;
    page.gauge(metric::RECORDS_WAITING, "Decision records that wait for the disk", records.waiting)
}

/// What is written, a metric at a time.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn family(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        unit: Option<&Unit>,
        write: impl FnOnce(&mut MetricEncoder<'_>) -> fmt::Result,
    ) -> fmt::Result {
        write(&mut self.0.encode_descriptor(name, help, unit, kind)?)
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> fmt::Result {
        self.family(name, help, MetricType::Gauge, None, |metric| metric.encode_gauge(&value))
    }

    fn counter(&mut self, name: &str, help: &str, count: u64) -> fmt::Result {
        self.family(name, help, MetricType::Counter, None, |metric| {
            metric.encode_counter::<NoLabelSet, u64, f64>(&count, None)
        })
    }
}

fn count_of<const N: usize>(family: &mut MetricEncoder<'_>, labels: &[(&str, &str); N], count: u64) -> fmt::Result {
    family.encode_family(labels)?.encode_counter::<NoLabelSet, u64, f64>(&count, None)
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus has no other numbers; the exact amounts are the ledger's")]
fn dollars(nanodollars: u64) -> f64 {
    nanodollars as f64 / 1e9
}
