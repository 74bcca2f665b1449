//! What is counted of a candidate, and what is said about it.

use tollgate_core::config::CandidateRules;
use tollgate_core::{Decision, Dispatch, Nanodollars, Outcome, Reason, Refusal, Source, Symbols, TrailEntry, Verdict};

use super::{Ending, failed};
use crate::generation::Generation;
use crate::probe::Mix;

/// Differing decisions that are kept, evenly spread over all of them.
const DIFFERENCES: usize = 32;
/// Times that are kept, the latest.
const TIMES: usize = 1_024;

/// How a candidate compares with what runs, so far.
#[derive(Clone, Debug, serde::Serialize)]
pub struct CandidateReport {
    /// The candidate's number; it keeps it when it is promoted.
    pub generation: u64,
    /// Decisions that both made.
    pub compared: u64,
    /// Of those, the ones in which the same is done.
    pub agreed: u64,
    /// Decisions that were to be compared and were not, since the queue was full.
    pub lost: u64,
    /// What the decisions of the running generation are expected to cost.
    pub live_cost: Nanodollars,
    /// What the candidate's are.
    pub candidate_cost: Nanodollars,
    /// How it fares itself.
    pub candidate: Figures,
    /// How what runs fares.
    pub live: Figures,
    /// Some of the decisions that differ.
    pub differences: Vec<Difference>,
}

/// Of one of the two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Figures {
    /// Evaluations of its policies.
    pub evaluations: u64,
    /// Of those, the ones that failed.
    pub failures: u64,
    /// Median time of a decision, in nanoseconds, both on the observing thread.
    pub p50_ns: u32,
    /// 99th percentile, likewise.
    pub p99_ns: u32,
}

/// A decision that the candidate would have made otherwise.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Difference {
    /// When it was made, in milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// What kind of task it was about.
    pub task_type: String,
    /// What was decided.
    pub live: Said,
    /// What the candidate decides.
    pub candidate: Said,
}

/// A decision in words. It carries no permit: nothing goes by what a candidate says.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Said {
    /// `proceed`, `slow`, `hold` or `refuse`.
    pub outcome: &'static str,
    /// Where it goes: the model, and what serves it.
    pub to: Option<(String, String)>,
    /// The policy that settled it, where one did, and why.
    pub because: Option<(String, String)>,
    /// What each policy said.
    pub verdicts: Vec<SaidVerdict>,
}

/// What one policy said.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SaidVerdict {
    /// Which.
    pub policy: String,
    /// As which kind.
    pub kind: &'static str,
    /// The contract's word.
    pub verdict: &'static str,
    /// Its reason, where it gave one.
    pub reason: Option<String>,
}

impl Said {
    pub(super) fn of(decision: &Decision, generation: &Generation, dispatch: &Dispatch, symbols: &Symbols) -> Self {
        let to = decision.outcome.permit().and_then(|permit| {
            let candidate = dispatch.candidates.get(usize::try_from(permit.candidate()).ok()?)?;
            Some((symbols.display(candidate.model).to_string(), symbols.display(candidate.backend).to_string()))
        });
        let by = |source: &Source| match source {
            Source::Host => "host".to_owned(),
            Source::Policy(index, _) => generation.policy(*index).name.to_string(),
        };
        let because = match &decision.outcome {
            Outcome::Proceed(_) => None,
            Outcome::Slow { milliseconds, by: source } => Some((by(source), format!("{milliseconds} ms"))),
            Outcome::Hold { by: source, reason } => Some((by(source), reason.display(symbols))),
            Outcome::Refuse { by: source, cause: Refusal::Policy(reason) } => {
                Some((by(source), reason.display(symbols)))
            }
            Outcome::Refuse { by: source, cause } => Some((by(source), cause.as_str().to_owned())),
        };
        let verdict = |entry: &TrailEntry| SaidVerdict {
            policy: generation.policy(entry.policy).name.to_string(),
            kind: entry.kind.as_str(),
            verdict: entry.verdict.word(),
            reason: match entry.verdict {
                Verdict::Failed(failure, _) => Some(failure.as_str().to_owned()),
                verdict => verdict.reason().map(|reason: Reason| reason.display(symbols)),
            },
        };
        let verdicts = decision.trail.iter().map(verdict).collect();
        Self { outcome: decision.outcome.word(), to, because, verdicts }
    }
}

/// The counts of a trial.
pub(super) struct Tally {
    compared: u64,
    agreed: u64,
    costs: (Nanodollars, Nanodollars),
    evaluations: (u64, u64),
    failures: (u64, u64),
    times: (Times, Times),
    differences: Vec<Difference>,
    mix: Mix,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            compared: 0,
            agreed: 0,
            costs: Default::default(),
            evaluations: (0, 0),
            failures: (0, 0),
            times: Default::default(),
            differences: Vec::new(),
            mix: Mix(0),
        }
    }
}

impl Tally {
    pub(super) fn agree(&mut self) {
        self.compared = self.compared.saturating_add(1);
        self.agreed = self.agreed.saturating_add(1);
    }

    /// Vitter's algorithm R: every difference so far is as likely to be kept as any other.
    pub(super) fn differ(&mut self, difference: impl FnOnce() -> Difference) {
        self.compared = self.compared.saturating_add(1);
        if self.differences.len() < DIFFERENCES {
            return self.differences.push(difference());
        }
        let place = self.mix.below(self.compared.saturating_sub(self.agreed));
        if let Some(place) = usize::try_from(place).ok().and_then(|place| self.differences.get_mut(place)) {
            *place = difference();
        }
    }

    pub(super) fn latencies(&mut self, live: u32, candidate: u32) {
        self.times.0.push(live);
        self.times.1.push(candidate);
    }

    pub(super) fn failures(&mut self, live: &[TrailEntry], candidate: &[TrailEntry]) {
        let failures = |trail: &[TrailEntry]| trail.iter().filter(|entry| failed(entry)).count() as u64;
        self.evaluations.0 = self.evaluations.0.saturating_add(live.len() as u64);
        self.evaluations.1 = self.evaluations.1.saturating_add(candidate.len() as u64);
        self.failures.0 = self.failures.0.saturating_add(failures(live));
        self.failures.1 = self.failures.1.saturating_add(failures(candidate));
    }

    pub(super) fn costs(&mut self, dispatch: &Dispatch, live: &Outcome, candidate: &Outcome) {
        let cost = |outcome: &Outcome| {
            let index = outcome.permit().and_then(|permit| usize::try_from(permit.candidate()).ok());
            let candidate = index.and_then(|index| dispatch.candidates.get(index));
            candidate.map_or(Nanodollars::ZERO, |candidate| candidate.estimated_cost)
        };
        self.costs.0 = self.costs.0.saturating_add(cost(live));
        self.costs.1 = self.costs.1.saturating_add(cost(candidate));
    }

    pub(super) fn ending(&self, rules: &CandidateRules) -> Option<Ending> {
        if rules.discard_after_failures.is_some_and(|most| self.failures.1 >= most.max(1)) {
            return Some(Ending::Discard);
        }
        let enough = rules.promote_after.is_some_and(|after| self.compared >= after.max(1));
        let bound = self.compared.saturating_mul(u64::from(rules.agreement_permille));
        (enough && self.agreed.saturating_mul(1_000) >= bound).then_some(Ending::Promote)
    }

    pub(super) fn report(&self, generation: &Generation, lost: u64) -> CandidateReport {
        let figures = |evaluations, failures, times: &Times| Figures {
            evaluations,
            failures,
            p50_ns: times.quantile(50),
            p99_ns: times.quantile(99),
        };
        CandidateReport {
            generation: generation.id,
            compared: self.compared,
            agreed: self.agreed,
            lost,
            live_cost: self.costs.0,
            candidate_cost: self.costs.1,
            live: figures(self.evaluations.0, self.failures.0, &self.times.0),
            candidate: figures(self.evaluations.1, self.failures.1, &self.times.1),
            differences: self.differences.clone(),
        }
    }
}

/// The latest times.
#[derive(Default)]
struct Times {
    nanoseconds: Vec<u32>,
    next: usize,
}

impl Times {
    fn push(&mut self, nanoseconds: u32) {
        if self.nanoseconds.len() < TIMES {
            self.nanoseconds.push(nanoseconds);
        } else if let Some(oldest) = self.nanoseconds.get_mut(self.next) {
            *oldest = nanoseconds;
            self.next = (self.next + 1) % TIMES;
        }
    }

    fn quantile(&self, percent: usize) -> u32 {
        let mut sorted = self.nanoseconds.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() * percent / 100).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference(now_ms: u64) -> Difference {
        let said = Said { outcome: "refuse", to: None, because: None, verdicts: Vec::new() };
        Difference { now_ms, task_type: String::new(), live: said.clone(), candidate: said }
    }

    #[test]
    fn the_differences_that_are_kept_are_spread_and_bounded() {
        let mut tally = Tally::default();
        (0..10_000).for_each(|now_ms| tally.differ(|| difference(now_ms)));
        assert_eq!((tally.compared, tally.differences.len()), (10_000, DIFFERENCES));
        let late = tally.differences.iter().filter(|difference| difference.now_ms >= 5_000).count();
        assert!((8..=24).contains(&late), "{late} of {DIFFERENCES} from the second half");
    }

    #[test]
    fn a_trial_ends_by_itself_only_where_its_rules_say_so() {
        let rules = |promote_after, discard_after_failures| CandidateRules {
            promote_after,
            agreement_permille: 900,
            discard_after_failures,
            ..CandidateRules::default()
        };
        let mut tally = Tally::default();
        (0..9).for_each(|_| tally.agree());
        assert_eq!(tally.ending(&rules(Some(10), Some(1))), None);
        tally.differ(|| difference(0));
        assert_eq!(tally.ending(&rules(Some(10), Some(1))), Some(Ending::Promote));
        assert_eq!(tally.ending(&rules(None, None)), None);
        tally.differ(|| difference(0));
        assert_eq!(tally.ending(&rules(Some(10), Some(1))), None, "9 of 11 agree");
        tally.failures.1 = 1;
        assert_eq!(tally.ending(&rules(Some(1), Some(1))), Some(Ending::Discard));
    }

    #[test]
    fn quantiles_are_of_the_latest_times() {
        let mut times = Times::default();
        (0..3_000).for_each(|time| times.push(time));
        assert_eq!((times.nanoseconds.len(), times.quantile(50)), (TIMES, 3_000 - 512));
    }
}
