//! cedar-policy: one request for the kill switch, the retry ceiling and the budget. Cedar answers allow or deny and has no loops, so
//! routing and waits are computed natively, in its favour.

use std::collections::HashMap;

use anyhow::{Context as _, Result, anyhow, ensure};
use cedar_policy::{
    Authorizer, Context, Decision, Entities, EntityUid, PolicyId, PolicySet, Request, RestrictedExpression,
};
use peer_rules::{Facts, Rule, SCALARS, SCOPES, Scope, Verdict, back_off, budget, floor, route};

use super::Peer;
use crate::dispatches::Case;

/// What its rules read.
const READ: [&str; 15] = [
    "covered",
    "approved",
    "priority",
    "run_cost",
    "run_per_minute",
    "task_type_p95",
    "finished_runs",
    "attempts",
    "streak",
    "streak_elapsed_ms",
    "fast_failures",
    "rejections",
    "failed_tier",
    "repetition",
    "repetitions",
];

pub(crate) struct Cedar {
    authorizer: Authorizer,
    policies: PolicySet,
    rules: HashMap<PolicyId, i64>,
    entities: Entities,
    principal: EntityUid,
    action: EntityUid,
    resource: EntityUid,
    scope_names: Vec<String>,
}

impl Cedar {
    pub(crate) fn new() -> Result<Self> {
        let policies: PolicySet =
            include_str!("../../policies/rules.cedar").parse().map_err(|error| anyhow!("{error}"))?;
        let rule = |policy: &cedar_policy::Policy| {
            let number = policy.annotation("rule")?.parse().ok()?;
            Some((policy.id().clone(), number))
        };
        Ok(Self {
            rules: policies.policies().filter_map(rule).collect(),
            policies,
            authorizer: Authorizer::new(),
            entities: Entities::empty(),
            principal: r#"Agent::"run""#.parse()?,
            action: r#"Action::"dispatch""#.parse()?,
            resource: r#"Model::"chosen""#.parse()?,
            scope_names: (0..SCOPES)
                .flat_map(|place| Scope::NAMES.iter().map(move |name| format!("{name}_{place}")))
                .collect(),
        })
    }

    fn context(&self, facts: &Facts, cost: i64) -> Result<Context> {
        let is_read = |(name, _): &(&&str, i64)| READ.contains(*name);
        let long = |name: &str, number: i64| (name.to_owned(), RestrictedExpression::new_long(number));
        let scalars = SCALARS.iter().zip(facts.scalars()).filter(is_read).map(|(name, number)| long(name, number));
        let scopes = facts.scopes.iter().flat_map(Scope::numbers);
        let scopes = self.scope_names.iter().zip(scopes).map(|(name, number)| long(name, number));
        Ok(Context::from_pairs(scalars.chain(scopes).chain([long("cost", cost)]))?)
    }
}

impl Peer for Cedar {
    fn name(&self) -> &'static str {
        "cedar-policy 4.14"
    }

    fn includes(&self) -> &'static str {
        "facts to a context, one request for three of the policies; routing and waits are native Rust"
    }

    fn decide(&mut self, case: &Case) -> Result<Verdict> {
        let facts = &case.facts;
        let wait = back_off(facts);
        let chosen = route(facts, floor(facts, wait));
        let cost = chosen.map_or(0, |index| facts.candidates[index].cost);
        let context = self.context(facts, cost)?;
        let (principal, action, resource) = (self.principal.clone(), self.action.clone(), self.resource.clone());
        let request = Request::new(principal, action, resource, context, None)?;
        let response = self.authorizer.is_authorized(&request, &self.policies, &self.entities);
        ensure!(response.diagnostics().errors().next().is_none(), "a policy failed: {:?}", response.diagnostics());
        let stopped = (response.decision() == Decision::Deny)
            .then(|| response.diagnostics().reason().filter_map(|policy| self.rules.get(policy)).min())
            .flatten();
        match (stopped, chosen) {
            // Before routing the order is the policies'; after it there is nothing to pay.
            (Some(rule), _) => Ok(Verdict::from_number(rule * 1_000_000_000)),
            (None, None) => Ok(Verdict::stopped(Rule::NoCandidate)),
            (None, Some(chosen)) => {
                let slow = budget(facts, cost).ok().context("cedar let a dispatch go that the budget stops")?;
                Ok(Verdict::goes(chosen, wait.max(slow)))
            }
        }
    }
}
