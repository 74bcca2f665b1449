//! The facts of a recorded dispatch, one by one, with where each came from.

use serde::Serialize;
use serde_json::{Map, Value};
use tollgate_core::Nanodollars;
use tollgate_ledger::records::{DispatchRecord, Origin, Origins};

/// One fact.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Fact {
    pub(crate) fact: String,
    pub(crate) value: Value,
    pub(crate) from: Origin,
}

/// Fields that are amounts of money.
const MONEY: [&str; 9] = [
    "run_cost",
    "run_per_minute",
    "scope_per_minute",
    "task_type_p95",
    "estimated_cost",
    "spent",
    "reserved",
    "limit",
    "hard",
];

/// Every fact that has not its neutral value.
pub(crate) fn of(input: &DispatchRecord) -> anyhow::Result<Vec<Fact>> {
    let mut whole = serde_json::to_value(input)?;
    if let Some(fields) = whole.as_object_mut() {
        // Told on their own: they are no facts of the dispatch.
        for field in ["from", "covered", "cut"] {
            fields.remove(field);
        }
    }
    let mut facts = Vec::new();
    flatten("", "", &whole, &input.from, &mut facts);
    Ok(facts)
}

fn flatten(path: &str, field: &str, value: &Value, origins: &Origins, facts: &mut Vec<Fact>) {
    match value {
        Value::Object(fields) if !fields.contains_key("reference") => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flatten(&path, name, value, origins, facts);
            }
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                flatten(&format!("{path}[{index}]"), field, value, origins, facts);
            }
        }
        value => {
            let value = match value {
                Value::Object(thing) => named(thing),
                value => amount(field, value).unwrap_or_else(|| value.clone()),
            };
            facts.push(Fact { fact: path.to_owned(), value, from: origin(path, field, origins) });
        }
    }
}

/// `red (5d1c…)`: what it is called, where that is known, and what policies see.
fn named(thing: &Map<String, Value>) -> Value {
    let text = |field| thing.get(field).and_then(Value::as_str);
    let reference = text("reference").unwrap_or_default();
    text("name").map_or_else(|| reference.to_owned(), |name| format!("{name} ({reference})")).into()
}

fn amount(field: &str, value: &Value) -> Option<Value> {
    let nanodollars = MONEY.contains(&field).then(|| value.as_u64())??;
    Some(Nanodollars::new(nanodollars).to_string().into())
}

fn origin(path: &str, field: &str, origins: &Origins) -> Origin {
    let group = path.split(['.', '[']).next().unwrap_or_default();
    match (group, field) {
        ("now_ms" | "waited_ms", _) => origins.now,
        ("approved", _) => origins.approved,
        ("spending", _) => origins.spending,
        ("attempts", _) => origins.attempts,
        ("input_tokens" | "output_tokens" | "requested_tier" | "requested_model", _) => origins.request,
        ("sticky", _) | ("candidates", "warm") => origins.route,
        ("candidates", "estimated_cost") => origins.estimates,
        ("candidates", _) => origins.candidates,
        ("accounts", "spent" | "reserved") => origins.accounts,
        ("accounts", _) => origins.budgets,
        ("tags", _) => origins.tags,
        ("counters", _) => origins.counters,
        _ => origins.identity,
    }
}

#[cfg(test)]
mod tests {
    use tollgate_core::{Reference, ScopeKind};
    use tollgate_ledger::records::Thing;

    use super::*;

    #[test]
    fn each_fact_tells_where_it_came_from() -> anyhow::Result<()> {
        let from =
            Origins { now: Origin::Clock, identity: Origin::Given, spending: Origin::History, ..Origins::default() };
        let mut input = DispatchRecord { now_ms: 5, from, ..DispatchRecord::default() };
        input.spending.run_cost = Nanodollars::new(14_200_000_000);
        let team = Thing { name: Some("red".into()), reference: Reference::from_u64(0xab) };
        input.scopes.insert(ScopeKind::Team, team);
        let facts = of(&input)?;
        let find = |name: &str| facts.iter().find(|fact| fact.fact == name).map(|fact| (fact.value.clone(), fact.from));
        assert_eq!(find("now_ms"), Some((5.into(), Origin::Clock)));
        assert_eq!(find("scopes.team"), Some(("red (00000000000000ab)".into(), Origin::Given)));
        assert_eq!(find("spending.run_cost"), Some(("14.20 USD".into(), Origin::History)));
        assert_eq!(find("attempts.failed"), None, "neutral facts are not told");
        Ok(())
    }
}
