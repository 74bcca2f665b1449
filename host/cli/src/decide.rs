//! `tollgate decide`: one dispatch, read as JSON from standard input. docs/dispatch-format.md is its form.

mod facts;

use std::io::Read;

use anyhow::{Context, bail};
use clap::Args;
use serde::Serialize;
use serde_json::Value;
use tollgate_core::form::{self, Object};
use tollgate_core::{Configuration, Decision, Dimension, Dispatch, DispatchDocument, ScopeKind, Usage};
use tollgate_gateway::policy_set;
use tollgate_ledger::Ledger;
use tollgate_ledger::book::Budgets;
use tollgate_ledger::prices::{CostOptions, PriceTable};
use tollgate_ledger::records::ResultRecord;
use tollgate_runtime::Host;

use crate::output;
use crate::records::facts::Fact;
use crate::records::render;
use crate::setup::{self, SetupArguments};
use crate::view::DecisionView;

/// The longest dispatch that is read.
const MAX_INPUT_BYTES: u64 = 16 << 20;

const FORM: &str = "\
Every field of a dispatch may be left out. An example:

  {\"task_type\": \"refactoring\", \"scopes\": {\"run\": \"r-7\"}, \"input_tokens\": 12000, \"output_tokens\": 800}

Fields: now_ms, waited_ms, task, task_type, stage, priority, approved, scopes, spending, attempts,
input_tokens, output_tokens, requested_tier, requested_model, sticky, candidates, accounts, tags, counters.
Amounts are \"0.25 USD\" or whole nanodollars. docs/dispatch-format.md has the form of each of them, and that of
what --json prints.

Exit status: 0 whatever was decided (read `outcome`), 1 when nothing could be decided, 2 when the arguments are
not understood.";

#[derive(Args)]
#[command(after_help = FORM)]
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

#[derive(Serialize)]
struct Told {
    #[serde(flatten)]
    decision: DecisionView,
    /// From the call of `decide` to the last verdict: the first of this process, with its instances made.
    decision_ns: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    facts: Vec<Fact>,
}

pub(crate) fn run(arguments: &DecideArguments) -> anyhow::Result<()> {
    let configuration = arguments.setup.configuration()?;
    let host = arguments.setup.host_builder()?.build(&configuration)?;
    let prices = setup::prices(arguments.prices.as_deref())?;
    let (given, mut document) = read()?;
    if given.get("now_ms").is_none() {
        document.now_ms = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0);
    }
    for candidate in &document.candidates {
        // No policy knows a model that no configuration names, and still it has to be told by its name.
        host.symbols().intern(&candidate.model).context("the `model` of a candidate")?;
    }
    let mut dispatch = document.to_dispatch(&host.catalogue(), host.symbols())?;
    if given.get("accounts").is_none() {
        apply_budgets(&configuration, &document, &mut dispatch, &host)?;
    }
    price(&document, &mut dispatch, &host, &prices);
    let decision = host.decide(&dispatch);
    let view = DecisionView::of(&decision, &dispatch, &host);
    let facts = if arguments.explain { facts::of(&given, &document, &dispatch, &host)? } else { Vec::new() };
    if arguments.json {
        return output::print_json(&Told { decision: view, decision_ns: decision.nanoseconds, facts });
    }
    output::print(&render(&decision, &dispatch, &host, &facts))
}

/// The document as it was written, and as what it means.
fn read() -> anyhow::Result<(Value, DispatchDocument)> {
    let mut input = Vec::new();
    std::io::stdin().take(MAX_INPUT_BYTES + 1).read_to_end(&mut input).context("cannot read standard input")?;
    if input.len() as u64 > MAX_INPUT_BYTES {
        bail!("standard input has more than {MAX_INPUT_BYTES} bytes, which no dispatch has");
    }
    let given: Value = form::from_json(&input)
        .context("standard input is not JSON: give a dispatch, as in `echo '{}' | tollgate decide`")?;
    let Object(document) = form::from_json(&input).context("standard input is not a dispatch")?;
    Ok((given, document))
}

/// The configured budgets on the scopes of the dispatch. Nothing is known of what they spent but the run's own cost.
fn apply_budgets(
    configuration: &Configuration,
    document: &DispatchDocument,
    dispatch: &mut Dispatch,
    host: &Host,
) -> anyhow::Result<()> {
    let budgets = Budgets::new(configuration.budgets.clone())?.with_owners(host.symbols());
    let scopes = document.scopes.iter().map(|(kind, name)| (Dimension::Scope(*kind), name.as_str()));
    let task_type = document.task_type.as_deref().map(|name| (Dimension::TaskType, name));
    let model = document.requested_model.as_deref().map(|name| (Dimension::Model, name));
    let names: Vec<(Dimension, &str)> = scopes.chain(task_type).chain(model).collect();
    let nothing_spent = Ledger::in_memory(budgets)?;
    let mut informed = dispatch.clone();
    nothing_spent.inform(&mut informed, &nothing_spent.path(&names)?)?;
    dispatch.accounts = informed.accounts;
    for account in &mut dispatch.accounts {
        if account.kind == ScopeKind::Run && account.window_end_ms == u64::MAX {
            account.spent = dispatch.spending.run_cost;
        }
    }
    Ok(())
}

/// Prices the candidates that give no estimate from the tokens of the document. Those without a price stay at
/// nothing, and no budget can object to them, so that is said.
fn price(document: &DispatchDocument, dispatch: &mut Dispatch, host: &Host, prices: &PriceTable) {
    let usage = Usage { uncached_input: document.input_tokens, output: document.output_tokens, ..Usage::default() };
    let mut unpriced = Vec::new();
    for (index, candidate) in dispatch.candidates.iter_mut().enumerate() {
        let written = document.candidates.get(index);
        if written.is_some_and(|written| written.estimated_cost.is_some()) {
            continue;
        }
        let name = host.symbols().display(candidate.model);
        match prices.lookup(&name).price().map(|price| price.cost(&usage, CostOptions::default())) {
            Some(Ok(cost)) => candidate.estimated_cost = cost,
            _ => unpriced.push(format!("`{name}`")),
        }
    }
    if !unpriced.is_empty() {
        output::warn(&format!(
            "no price for {}, so nothing is what it is estimated to cost: give `estimated_cost` or --prices",
            unpriced.join(", ")
        ));
    } else if usage == Usage::default()
        && !dispatch.candidates.is_empty()
        && document.candidates.iter().all(|one| one.estimated_cost.is_none())
    {
        output::warn(
            "no `input_tokens` and no `output_tokens`: every candidate is estimated to cost nothing, and no budget objects",
        );
    }
}

/// The same as `tollgate explain` shows of a recorded decision.
fn render(decision: &Decision, dispatch: &Dispatch, host: &Host, facts: &[Fact]) -> String {
    let policies = policy_set(decision.generation, &host.policies());
    let (result, shadow) = ResultRecord::of(decision, dispatch, host.symbols(), &policies);
    let mut text = render::headline(&result);
    text.push_str("\n\nverdicts\n");
    let of_shadows = shadow.iter().map(|verdict| (verdict, true));
    let mut verdicts: Vec<_> = result.verdicts.iter().map(|verdict| (verdict, false)).chain(of_shadows).collect();
    verdicts.sort_by_key(|(verdict, _)| verdict.kind);
    text.push_str(&render::verdicts(verdicts.into_iter()));
    if !facts.is_empty() {
        text.push_str("\nfacts\n");
        text.push_str(&render::facts(facts));
    }
    text.push_str(&format!("\ndecided in {} ns, the first call of this process\n", decision.nanoseconds));
    text
}
