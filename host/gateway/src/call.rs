//! One call under way: what was asked, by whom, and what a decision may know about it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use tollgate_core::{
    Candidate, Dispatch, Health, Hosting, Nanodollars, Reference, ScopeKind, ScopePath, Symbol, Tier, Usage,
};
use tollgate_ledger::book::Dimension;
use tollgate_ledger::estimate::{InputSize, OutputLimit, worst_case};
use tollgate_ledger::prices::{CostOptions, ModelPrice};
use tollgate_ledger::records::DecisionId;

use crate::Gateway;
use crate::accounts::Uninformed;
use crate::formats::{Endpoint, ModelRequest, NextAction, Problem};
use crate::identity::Identity;
use crate::room::Taken;
use crate::serving::Offer;
use crate::telemetry::Observed;

/// So many bytes of a body are a token of input, for an estimate: prose has four, code and JSON fewer.
const BYTES_PER_INPUT_TOKEN: u64 = 3;

/// One call under way.
pub(crate) struct Call {
    /// Names it where its decisions are not recorded.
    pub(crate) id: u128,
    /// The last decision about it, as records call it.
    pub(crate) decided: Mutex<Option<DecisionId>>,
    /// How those who watch see it.
    pub(crate) observed: Observed,
    pub(crate) request: ModelRequest,
    /// What stood behind the path, which goes on with it.
    pub(crate) query: Option<String>,
    pub(crate) identity: Identity,
    pub(crate) headers: HeaderMap,
    pub(crate) started_ms: u64,
    /// A keyed hash of the whole body: the same again after a failure is a loop.
    pub(crate) context: u64,
    /// What its body takes up.
    pub(crate) _room: Taken,
}

impl Call {
    /// The facts for a decision, as they are now. Backends that were tried and failed are offered as down.
    pub(crate) fn facts(&self, gateway: &Gateway, waited: Duration, failed: &[Symbol]) -> Result<Dispatch, Problem> {
        let host = &gateway.host;
        let symbol = |name: &Option<String>| name.as_deref().map_or(Symbol::UNKNOWN, |name| host.symbol(name));
        let requested_model = host.symbol(&self.request.model);
        let mut dispatch = Dispatch {
            now_ms: crate::clock::now_ms(),
            waited_ms: u32::try_from(waited.as_millis()).unwrap_or(u32::MAX),
            task_type: symbol(&self.identity.task_type),
            stage: symbol(&self.identity.stage),
            priority: self.identity.priority,
            scopes: self.scopes(),
            task: Some(self.task()),
            sample: Some(Reference::of(&self.identity.run)),
            input_tokens: self.input_tokens(),
            output_tokens: self.request.max_tokens.unwrap_or(0),
            requested_model,
            candidates: self.candidates(gateway, requested_model, failed)?,
            ..Dispatch::default()
        };
        let informed = gateway.accounts.inform(&self.names(None), &self.identity.task, &mut dispatch);
        informed.map_err(|error| uninformed(gateway, &error))?;
        dispatch.attempts.failed = dispatch.attempts.failed.max(self.identity.tried_before);
        Ok(dispatch)
    }

    /// Notes what the records call the decision that was just made about it.
    pub(crate) fn note_decision(&self, id: Option<DecisionId>) {
        *self.decided.lock().unwrap_or_else(PoisonError::into_inner) = id;
    }

    /// What answers call the last decision about it: what `tollgate explain` takes, where it was recorded.
    pub(crate) fn decision_name(&self) -> String {
        let decided = *self.decided.lock().unwrap_or_else(PoisonError::into_inner);
        decided.map_or_else(|| format!("{:032x}", self.id), |decided| decided.to_string())
    }

    /// The task's name is the run's own.
    pub(crate) fn task(&self) -> Reference {
        task_of(&self.identity.run, &self.identity.task)
    }

    pub(crate) fn scopes(&self) -> ScopePath {
        let mut path = ScopePath::default();
        for scope in &self.identity.scopes {
            path.set(scope.kind, scope.reference());
        }
        path
    }

    /// What budgets select by.
    pub(crate) fn names<'a>(&'a self, model: Option<&'a str>) -> Vec<(Dimension, &'a str)> {
        let scopes = self.identity.scopes.iter().map(|scope| (Dimension::Scope(scope.kind), &*scope.name));
        let task_type = self.identity.task_type.as_deref().map(|name| (Dimension::TaskType, name));
        scopes.chain(task_type).chain(model.map(|model| (Dimension::Model, model))).collect()
    }

    /// Input as expected, in tokens.
    pub(crate) fn input_tokens(&self) -> u64 {
        (self.request.body().len() as u64).div_ceil(BYTES_PER_INPUT_TOKEN)
    }

    /// The word for tables.
    pub(crate) fn task_type(&self) -> &str {
        self.identity.task_type.as_deref().unwrap_or_default()
    }

    /// The most that this can cost at a candidate: what is reserved for it.
    pub(crate) fn worst_case(
        &self,
        gateway: &Gateway,
        candidate: &Candidate,
        model: &str,
        output_cap: Option<u32>,
    ) -> Result<Nanodollars, Problem> {
        if candidate.hosting == Hosting::Local || self.request.endpoint.is_free() {
            return Ok(Nanodollars::ZERO);
        }
        let unbounded = |error: &dyn std::fmt::Display| {
            Problem::new(
                403,
                "cost-unbounded",
                format!("what this can cost has no bound: {error}"),
                NextAction::ChangeRequest,
            )
        };
        let prices = gateway.prices.load();
        let price = prices.lookup(model);
        let price = price.price().ok_or_else(|| unbounded(&format!("the price table has no price for `{model}`")))?;
        let cap = output_cap.map(u64::from);
        let max_tokens = self.request.max_tokens.into_iter().chain(cap).min();
        let output = OutputLimit { max_tokens, answers: self.request.answers };
        let worst =
            worst_case(price, self.request.tier, self.request.input, output).map_err(|error| unbounded(&error))?;
        Ok(worst.amount)
    }

    /// Every model that a backend of the caller's format serves, that is there for such a request, and that has a price.
    fn candidates(&self, gateway: &Gateway, asked: Symbol, failed: &[Symbol]) -> Result<Vec<Candidate>, Problem> {
        let (serving, prices) = (gateway.upstream.serving(), gateway.prices.load());
        let (endpoint, now_ms) = (self.request.endpoint, crate::clock::now_ms());
        let speaks = |offer: &&Offer| offer.backend.api == endpoint.api() && (offer.writes || !endpoint.writes());
        let at_tier = |offer: &&Offer| self.identity.tier.is_none_or(|tier| offer.candidate.tier == tier);
        let mut candidates = Vec::new();
        for offer in serving.offers.iter().filter(speaks).filter(at_tier) {
            let price = prices.lookup(&offer.model).price();
            if endpoint.writes() && price.is_some_and(ModelPrice::embeds) {
                continue;
            }
            let Some(estimated_cost) = self.expected_cost(gateway, offer, price) else { continue };
            let mut candidate = Candidate { estimated_cost, ..offer.now(now_ms) };
            if failed.contains(&candidate.backend) {
                candidate.health = Health::Down;
            }
            candidates.push(candidate);
        }
        let is_asked_for = |candidate: &Candidate| candidate.model == asked && asked != Symbol::UNKNOWN;
        // What one model has embedded says nothing to another. Models of a provider count much alike, so that another one is better
        // than none.
        if endpoint == Endpoint::Embeddings || endpoint == Endpoint::CountTokens && candidates.iter().any(is_asked_for)
        {
            candidates.retain(is_asked_for);
        }
        if endpoint == Endpoint::Embeddings && candidates.is_empty() {
            let detail =
                format!("no backend serves `{}`, and no other model can embed in its place", self.request.model);
            return Err(Problem::new(404, "unknown-model", detail, NextAction::ChangeRequest));
        }
        Ok(candidates)
    }

    /// The least that would be reserved for it at a candidate of a tier; nothing where none can take it.
    pub(crate) fn least_worst_case(&self, gateway: &Gateway, dispatch: &Dispatch, floor: Tier) -> Nanodollars {
        let at_floor = dispatch.candidates.iter().filter(|candidate| candidate.tier >= floor);
        let costs = at_floor.filter_map(|candidate| {
            let model = gateway.host.symbols().display(candidate.model);
            self.worst_case(gateway, candidate, &model, None).ok()
        });
        costs.min().unwrap_or(Nanodollars::ZERO)
    }

    /// Nothing where it has no price.
    fn expected_cost(&self, gateway: &Gateway, offer: &Offer, price: Option<&ModelPrice>) -> Option<Nanodollars> {
        if offer.candidate.hosting == Hosting::Local || self.request.endpoint.is_free() {
            return Some(Nanodollars::ZERO);
        }
        let price = price?;
        let input = match self.request.input {
            InputSize::Tokens(tokens) => tokens,
            InputSize::Bytes(_) | InputSize::Unknown => self.input_tokens(),
        };
        let expected = gateway.accounts.expected_output(&offer.model, self.task_type());
        let output =
            self.request.max_tokens.map_or(expected, |most| most.min(expected)).saturating_mul(self.request.answers);
        let usage = Usage { uncached_input: input, output, ..Usage::default() };
        // One that cannot be counted is too dear, not unknown.
        let cost = price.cost(&usage, CostOptions { tier: self.request.tier, ..CostOptions::default() });
        Some(cost.unwrap_or(Nanodollars::MAX))
    }

    pub(crate) fn scope(&self, kind: ScopeKind) -> Option<String> {
        self.identity.scope(kind).map(str::to_owned)
    }
}

/// A task's reference: its name is the run's own.
pub(crate) fn task_of(run: &str, task: &str) -> Reference {
    Reference::of(&format!("{run}/{task}"))
}

/// Budgets that are too many do not become fewer by waiting.
fn uninformed(gateway: &Gateway, error: &Uninformed) -> Problem {
    match error {
        Uninformed::Budgets(error) => {
            gateway.log.seldom(&format!("budgets: {error}"), crate::clock::now_ms());
            Problem::new(
                503,
                "too-many-budgets",
                format!("{error}: an operator has to take some away"),
                NextAction::Stop,
            )
        }
        Uninformed::Storage(error) => ledger_failed(gateway, &error.to_string()),
    }
}

/// The ledger promises nothing now, so nothing is sent; what is wrong is the operator's to know.
pub(crate) fn ledger_failed(gateway: &Gateway, error: &str) -> Problem {
    gateway.log.seldom(&format!("ledger: {error}"), crate::clock::now_ms());
    Problem::new(
        503,
        "ledger-unavailable",
        "the ledger cannot be written, so nothing is sent",
        NextAction::RetryAfter(30),
    )
}
