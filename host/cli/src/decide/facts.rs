//! Every fact of a dispatch, flattened, with where it came from.

use serde_json::Value;
use tollgate_core::{Dispatch, DispatchDocument, Nanodollars, ScopeKind, Symbol};
use tollgate_ledger::records::Origin;
use tollgate_runtime::Host;

use crate::records::facts::Fact;

/// Every fact of the dispatch, flattened, with where it came from.
pub(super) fn of(
    given: &Value,
    document: &DispatchDocument,
    dispatch: &Dispatch,
    host: &Host,
) -> anyhow::Result<Vec<Fact>> {
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
    candidates(given, dispatch, host, &mut facts);
    if document.accounts.is_empty() {
        accounts(given, dispatch, host, &mut facts);
    }
    Ok(facts)
}

fn candidates(given: &Value, dispatch: &Dispatch, host: &Host, facts: &mut Vec<Fact>) {
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
}

/// The budgets of the configuration on the scopes of the dispatch.
fn accounts(given: &Value, dispatch: &Dispatch, host: &Host, facts: &mut Vec<Fact>) {
    let run_cost_given = given.get("spending").is_some_and(|spending| spending.get("run_cost").is_some());
    for (index, account) in dispatch.accounts.iter().enumerate() {
        let mut push = |field: &str, value: Value, from| {
            facts.push(Fact { fact: format!("accounts[{index}].{field}"), value, from });
        };
        let run = account.kind == ScopeKind::Run && account.window_end_ms == u64::MAX;
        push("kind", account.kind.as_str().into(), Origin::Configuration);
        if account.owner != Symbol::UNKNOWN {
            push("owner", host.symbols().display(account.owner).as_ref().into(), Origin::Configuration);
        }
        let spent = if run && run_cost_given { Origin::Given } else { Origin::Default };
        push("spent", account.spent.to_string().into(), spent);
        push("limit", account.limit.to_string().into(), Origin::Configuration);
        push("hard", account.hard.to_string().into(), Origin::Configuration);
    }
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
