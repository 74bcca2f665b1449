//! The host: `Host::decide` whole, with the four shipped policies in four sandboxes, their fuel, deadlines and trail.
//! All of their rules are at their defaults, but for the caller's own choice of a model, which is ignored.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use peer_rules::{Rule, Verdict};
use tollgate_core::{
    Configuration, Decision, Outcome, Reason, Reference, Refusal, ScopeKind, Selector, Switch, SwitchMode, Symbol,
};
use tollgate_runtime::control::measured_configuration;
use tollgate_runtime::{Host, Lane};

use super::Peer;
use crate::dispatches::{Case, STOPPED_TEAM};

/// The policies' names of what the rules are numbers of.
const REASONS: [(&str, Rule); 16] = [
    ("switch-engaged", Rule::SwitchEngaged),
    ("run-cost", Rule::RunCost),
    ("run-spend-per-minute", Rule::RunRate),
    ("run-cost-outlier", Rule::Outlier),
    ("output-limit", Rule::OutputLimit),
    ("failed-attempts", Rule::FailedAttempts),
    ("same-failure", Rule::Loop),
    ("timed-out-context", Rule::Loop),
    ("same-proposal", Rule::Loop),
    ("fast-failures", Rule::FastFailures),
    ("failures-in-a-row", Rule::FailuresInARow),
    ("failing-for", Rule::FailingFor),
    ("rejected-at-premium", Rule::RejectedAtPremium),
    ("no-candidate", Rule::NoCandidate),
    ("budget-hard-ceiling", Rule::HardCeiling),
    ("budget-limit", Rule::Limit),
];

pub(crate) struct Tollgate {
    host: Host,
    rules: HashMap<Symbol, Rule>,
}

fn configuration() -> Configuration {
    let mut configuration = measured_configuration();
    for policy in configuration.policies.iter_mut().filter(|policy| policy.name == "routing") {
        policy.config.insert("requested_model".to_owned(), "ignore".into());
    }
    configuration
}

/// One that covers some of the varied dispatches, and two that match nothing.
fn engage_switches(host: &Host) -> Result<()> {
    for selector in [
        Selector::Scope(ScopeKind::Team, Reference::of(STOPPED_TEAM)),
        Selector::Model(Symbol::from_u32(u32::MAX)),
        Selector::TaskType(Symbol::from_u32(u32::MAX)),
    ] {
        host.engage(Switch {
            selector,
            mode: SwitchMode::Cut,
            reason: Reason::default(),
            author: "bench".into(),
            engaged_ms: 0,
            expires_ms: None,
        })?;
    }
    Ok(())
}

impl Tollgate {
    pub(crate) fn new(plugins: &Path) -> Result<Self> {
        let host = Host::builder().plugin_folder(plugins).build(&configuration())?;
        if let Some(about) = host.policies().iter().find(|about| !matches!(about.lane, Lane::Lent)) {
            bail!("`{}` does not lend its facts: {}", about.policy, about.lane);
        }
        engage_switches(&host)?;
        let rules: HashMap<_, _> = REASONS.iter().map(|(name, rule)| (host.symbol(name), *rule)).collect();
        ensure!(!rules.contains_key(&Symbol::UNKNOWN), "the policies name other reasons than {REASONS:?}");
        Ok(Self { host, rules })
    }

    pub(crate) const fn host(&self) -> &Host {
        &self.host
    }

    fn verdict(&self, decision: &Decision) -> Result<Verdict> {
        let code = match &decision.outcome {
            Outcome::Proceed(permit) => return Ok(Verdict::goes(permit.candidate() as usize, 0)),
            Outcome::Slow { milliseconds, .. } => return Ok(Verdict::goes(0, i64::from(*milliseconds))),
            Outcome::Hold { reason, .. } => reason.code,
            Outcome::Refuse { cause: Refusal::Policy(reason), .. } => reason.code,
            Outcome::Refuse { cause: Refusal::NoCandidate | Refusal::NoCandidateAtFloor, .. } => {
                return Ok(Verdict::stopped(Rule::NoCandidate));
            }
            Outcome::Refuse { cause, .. } => bail!("the host refuses: {}", cause.as_str()),
        };
        let name = || format!("no rule is called `{}`", self.host.symbols().display(code));
        Ok(Verdict::stopped(*self.rules.get(&code).with_context(name)?))
    }
}

impl Peer for Tollgate {
    fn name(&self) -> &'static str {
        "tollgate, four policies"
    }

    fn includes(&self) -> &'static str {
        "Host::decide whole: switches, four sandboxes, fuel, deadlines, times, trail, permit"
    }

    fn is_to_be_beaten(&self) -> bool {
        false
    }

    fn is_host(&self) -> bool {
        true
    }

    /// A policy that trips engages a switch.
    fn settle(&mut self) {
        for switch in self.host.switches().switches() {
            if switch.author.starts_with("policy:") {
                self.host.lift(switch.selector);
            }
        }
    }

    fn decide(&mut self, case: &Case) -> Result<Verdict> {
        let decision = self.host.decide(&case.dispatch);
        self.verdict(&decision)
    }
}
