//! `tollgate decide`: one dispatch, read as JSON from standard input.

use std::io::Read;

use anyhow::Context;
use clap::Args;
use serde::Serialize;
use serde_json::Value;
use tollgate_core::{Dispatch, DispatchDocument, Nanodollars, Usage};
use tollgate_ledger::prices::{CostOptions, PriceTable};
use tollgate_runtime::Host;

use crate::output::{self, Table};
use crate::setup::{self, SetupArguments};
use crate::view::DecisionView;

/// The longest dispatch that is read.
const MAX_INPUT_BYTES: u64 = 16 << 20;

#[derive(Args)]
pub(crate) struct DecideArguments {
    #[command(flatten)]
    setup: SetupArguments,
    /// A price table in LiteLLM's format, over the built-in one; prices candidates that give no estimate.
    #[arg(long, value_name = "FILE")]
    prices: Option<std::path::PathBuf>,
    /// Tell every fact with where it came from, and every verdict.
    #[arg(long)]
    explain: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Where a fact came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Origin {
    /// The document said so.
    Given,
    /// Nobody said anything.
    Default,
    /// The models and backends of the configuration.
    Configuration,
    /// The price table, from the tokens of the document.
    PriceTable,
    /// This machine's clock.
    Clock,
}

#[derive(Debug, Serialize)]
struct Fact {
    fact: String,
    value: Value,
    from: Origin,
}

#[derive(Serialize)]
struct Explained {
    #[serde(flatten)]
    decision: DecisionView,
    facts: Vec<Fact>,
}

pub(crate) fn run(arguments: &DecideArguments) -> anyhow::Result<()> {
    let host = arguments.setup.host_builder().build(&arguments.setup.configuration()?)?;
    let prices = setup::prices(arguments.prices.as_deref())?;
    let mut input = String::new();
    std::io::stdin().take(MAX_INPUT_BYTES).read_to_string(&mut input).context("cannot read standard input")?;
    let given: Value = serde_json::from_str(&input)
        .context("standard input is not JSON: give a dispatch, as in `echo '{}' | tollgate decide`")?;
    let mut document: DispatchDocument =
        serde_json::from_value(given.clone()).context("standard input is not a dispatch")?;
    let clock = given.get("now_ms").is_none();
    if clock {
        document.now_ms = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0);
    }
    let mut dispatch = document.to_dispatch(&host.catalogue(), host.symbols())?;
    price(&document, &mut dispatch, &host, &prices);
    let decision = host.decide(&dispatch);
    let view = DecisionView::of(&decision, &dispatch, &host);
    let facts = if arguments.explain { facts(&given, &document, &dispatch, &host)? } else { Vec::new() };
    match (arguments.json, arguments.explain) {
        (true, true) => output::print_json(&Explained { decision: view, facts }),
        (true, false) => output::print_json(&view),
        (false, _) => output::print(&render(&view, &facts, decision.nanoseconds)),
    }
}

/// Prices the candidates that give no estimate from the tokens of the document; those without a price stay at
/// what they are.
fn price(document: &DispatchDocument, dispatch: &mut Dispatch, host: &Host, prices: &PriceTable) {
    let usage = Usage { uncached_input: document.input_tokens, output: document.output_tokens, ..Usage::default() };
    for (index, candidate) in dispatch.candidates.iter_mut().enumerate() {
        let given = document.candidates.get(index).and_then(|candidate| candidate.estimated_cost);
        let name = host.symbols().display(candidate.model);
        if given.is_none()
            && let Some(price) = prices.lookup(&name).price()
            && let Ok(cost) = price.cost(&usage, CostOptions::default())
        {
            candidate.estimated_cost = cost;
        }
    }
}

/// Every fact of the dispatch, flattened, with where it came from.
fn facts(given: &Value, document: &DispatchDocument, dispatch: &Dispatch, host: &Host) -> anyhow::Result<Vec<Fact>> {
    let mut facts = Vec::new();
    let mut whole = serde_json::to_value(document)?;
    if let Some(fields) = whole.as_object_mut() {
        fields.remove("candidates");
    }
    flatten("", &whole, Some(given), &mut facts);
    if given.get("now_ms").is_none()
        && let Some(now) = facts.iter_mut().find(|fact| fact.fact == "now_ms")
    {
        now.from = Origin::Clock;
    }
    for (index, candidate) in dispatch.candidates.iter().enumerate() {
        let name = |symbol| Value::from(host.symbols().display(symbol).as_ref());
        let given = given.get("candidates").and_then(|candidates| candidates.get(index));
        let has = |field: &str| given.is_some_and(|given| given.get(field).is_some());
        let origin = |field, otherwise| if has(field) { Origin::Given } else { otherwise };
        let otherwise = if given.is_some() { Origin::Default } else { Origin::Configuration };
        let estimated =
            if candidate.estimated_cost == Nanodollars::ZERO { Origin::Default } else { Origin::PriceTable };
        let mut push = |field: &str, value: Value, from| {
            facts.push(Fact { fact: format!("candidates[{index}].{field}"), value, from });
        };
        push("model", name(candidate.model), origin("model", otherwise));
        push("backend", name(candidate.backend), origin("backend", otherwise));
        push("tier", candidate.tier.as_str().into(), origin("tier", Origin::Configuration));
        push("estimated_cost", candidate.estimated_cost.to_string().into(), origin("estimated_cost", estimated));
        push("health", candidate.health.as_str().into(), origin("health", otherwise));
        push("hosting", candidate.hosting.as_str().into(), origin("hosting", otherwise));
        push("warm", candidate.warm.into(), origin("warm", Origin::Default));
    }
    Ok(facts)
}

fn flatten(path: &str, value: &Value, given: Option<&Value>, facts: &mut Vec<Fact>) {
    let nested = |name: &str| {
        if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
    };
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                flatten(&nested(name), value, given.and_then(|given| given.get(name)), facts);
            }
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                flatten(&format!("{path}[{index}]"), value, given.and_then(|given| given.get(index)), facts);
            }
        }
        value => {
            let from = if given.is_some() { Origin::Given } else { Origin::Default };
            facts.push(Fact { fact: path.to_owned(), value: value.clone(), from });
        }
    }
}

fn render(view: &DecisionView, facts: &[Fact], nanoseconds: u32) -> String {
    let mut text = headline(view);
    text.push_str("\n\nverdicts\n");
    let mut verdicts = Table::new(&["policy", "verdict", "why", "fuel"]);
    for verdict in &view.verdicts {
        let why = verdict.reason.as_ref().map(|reason| reason.text.clone()).or_else(|| verdict.detail.clone());
        let said = if verdict.shadow { format!("({})", verdict.verdict) } else { verdict.verdict.to_owned() };
        verdicts.row([verdict.policy.clone(), said, why.unwrap_or_default(), verdict.fuel.to_string()]);
    }
    text.push_str(&verdicts.render());
    if !facts.is_empty() {
        text.push_str("\nfacts\n");
        let mut table = Table::new(&["fact", "value", "from"]);
        for fact in facts {
            let value = fact.value.as_str().map_or_else(|| fact.value.to_string(), str::to_owned);
            let from = serde_json::to_value(fact.from).ok();
            let from = from.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
            table.row([fact.fact.clone(), value, from]);
        }
        text.push_str(&table.render());
    }
    text.push_str(&format!("\ndecided in {nanoseconds} ns, the first call of this process\n"));
    text
}

fn headline(view: &DecisionView) -> String {
    let reason = view.reason.as_ref().map(|reason| reason.text.as_str()).unwrap_or_default();
    let by = view.by.as_deref().unwrap_or_default();
    match (view.outcome, &view.model, &view.backend) {
        ("proceed", Some(model), Some(backend)) => {
            let cap = view.output_cap.map(|cap| format!(", at most {cap} output tokens")).unwrap_or_default();
            format!("proceed: {model} on {backend}{cap}")
        }
        ("slow", ..) => format!("slow: wait {} ms, then decide again (by {by})", view.wait_ms.unwrap_or(0)),
        (outcome, ..) => format!("{outcome}: {reason} (by {by})"),
    }
}
