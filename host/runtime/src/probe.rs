//! Trying a policy before it serves: the same sample dispatches on one instance in order and on fresh instances
//! in another order. A policy whose verdicts differ keeps something to itself, and is refused.

use std::time::Duration;

use tollgate_core::{
    Account, Attempts, Candidate, Catalogue, Dispatch, EvaluationFailure, Health, Hosting, Nanodollars, PolicyKind,
    Priority, Reference, Repetition, RetryCeilingVerdict, Ruling, ScopeKind, Spending, SwitchBoard, Symbol, Tier,
    TrailEntry, Verdict,
};
use tollgate_core::{OnError, PolicyIndex};

use crate::chain;
use crate::convert::Moment;
use crate::instance::{Instance, InstanceError};
use crate::lent::{Lane, WhyCanonical};
use crate::loader::Loader;

/// How many samples each kind is tried with.
const SAMPLES: u64 = 32;

/// What the probe measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProbeFigures {
    /// How many evaluations were made on the reused instance.
    pub evaluations: u32,
    /// The most fuel that one of them spent.
    pub fuel_max: u64,
    /// The median time of one of them.
    pub median: Duration,
}

/// Why a policy did not pass.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// It failed on a sample.
    #[error("as {kind} it fails on a sample dispatch: {}: {cause}", failure.as_str())]
    Failed {
        /// As which kind.
        kind: PolicyKind,
        /// How.
        failure: EvaluationFailure,
        /// Of what, and what to do about it.
        cause: String,
    },
    /// The same dispatch, another verdict.
    #[error(
        "as {kind} it says `{reused}` on an instance that was asked before and `{fresh}` on a fresh one, about the same \
         dispatch: a policy keeps no state; let the host count (`counters` of `describe`)"
    )]
    Impure {
        /// As which kind.
        kind: PolicyKind,
        /// On the reused instance.
        reused: &'static str,
        /// On the fresh one.
        fresh: &'static str,
    },
    /// The same dispatch, another verdict on the other lane.
    #[error(
        "as {kind} it says `{lent}` where its facts are lent and `{canonical}` through the component, about the same \
         dispatch: build it with this version's SDK, or set `lane = \"canonical\"`"
    )]
    LanesDiffer {
        /// As which kind.
        kind: PolicyKind,
        /// Where the facts are lent.
        lent: &'static str,
        /// Through the component.
        canonical: &'static str,
    },
    /// No second instance.
    #[error(transparent)]
    Instance(#[from] InstanceError),
}

/// Tries the policy as each of its kinds.
pub(crate) fn run(
    lane: &Lane,
    kinds: &[PolicyKind],
    fresh: impl Fn(&Lane) -> Result<Instance, InstanceError>,
    loader: &Loader,
) -> Result<ProbeFigures, ProbeError> {
    let samples: Vec<_> = (0..SAMPLES).map(|seed| sample(seed, loader.catalogue())).collect();
    let mut figures = ProbeFigures::default();
    let mut times = Vec::new();
    let mut reused = fresh(lane)?;
    for kind in kinds {
        let mut verdicts = Vec::new();
        for dispatch in &samples {
            let started = loader.clock().now();
            let (verdict, fuel) = ask(&mut reused, *kind, dispatch)?;
            times.push(started.elapsed());
            figures.evaluations = figures.evaluations.saturating_add(1);
            figures.fuel_max = figures.fuel_max.max(fuel);
            verdicts.push(verdict);
        }
        // Another order (37 has no factor in common with the number of samples), two evaluations to an instance,
        // so that what one leaves behind meets another.
        let mut second = fresh(lane)?;
        for step in 0..SAMPLES {
            let place = usize::try_from(step.wrapping_mul(37).wrapping_add(11) % SAMPLES).unwrap_or(0);
            if step % 2 == 0 {
                second = fresh(lane)?;
            }
            let (Some(dispatch), Some(reused)) = (samples.get(place), verdicts.get(place)) else {
                continue;
            };
            let (verdict, _) = ask(&mut second, *kind, dispatch)?;
            if verdict != *reused {
                return Err(ProbeError::Impure { kind: *kind, reused: reused.word(), fresh: verdict.word() });
            }
        }
        if *lane == Lane::Lent {
            let mut canonical = fresh(&Lane::Canonical(WhyCanonical::Configured))?;
            for (dispatch, lent) in samples.iter().zip(&verdicts) {
                let (verdict, _) = ask(&mut canonical, *kind, dispatch)?;
                if verdict != *lent {
                    return Err(ProbeError::LanesDiffer { kind: *kind, lent: lent.word(), canonical: verdict.word() });
                }
            }
        }
    }
    times.sort_unstable();
    figures.median = times.get(times.len() / 2).copied().unwrap_or_default();
    Ok(figures)
}

fn ask(instance: &mut Instance, kind: PolicyKind, dispatch: &Dispatch) -> Result<(Verdict, u64), ProbeError> {
    let board = SwitchBoard::default();
    let mut ruling = Ruling::open(dispatch, &board);
    if kind == PolicyKind::Routing && dispatch.attempts.rejections > 1 {
        ruling.hear(&mut raise_floor(), OnError::Refuse);
    }
    if kind == PolicyKind::Budget {
        ruling.settle_route();
    }
    let (verdict, fuel) = chain::evaluate(instance, kind, &ruling, Moment::Dispatch);
    let failed = |failure| ProbeError::Failed { kind, failure, cause: cause(failure, instance.told_failure()) };
    let verdict = verdict.map_err(failed)?;
    let mut entry = TrailEntry { verdict, ..TrailEntry::unsaid(PolicyIndex(0), kind) };
    ruling.judge(&mut entry, OnError::Refuse);
    match entry.verdict {
        Verdict::Failed(failure, _) => Err(failed(failure)),
        verdict => Ok((verdict, fuel)),
    }
}

/// What happened, and what its author does about it.
fn cause(failure: EvaluationFailure, told: Option<String>) -> String {
    let advice = match failure {
        // What is told of these says it all.
        EvaluationFailure::OutOfFuel | EvaluationFailure::DeadlineExceeded | EvaluationFailure::Trapped => "",
        EvaluationFailure::InvalidResult => {
            "; what it returns is not of the contract, so build it with the SDK, or with bindings of this version's `wit/`"
        }
        EvaluationFailure::CandidateOutOfRange => {
            "it chose a candidate that was not offered; what it returns is an index into `candidates`, from 0"
        }
        EvaluationFailure::BelowFloor => "it chose a candidate whose tier is below the `floor` of its facts",
        EvaluationFailure::NoInstance => "no instance of it could be made",
        EvaluationFailure::Quarantined => "it is left alone for a while",
    };
    format!("{}{advice}", told.unwrap_or_default())
}

fn raise_floor() -> TrailEntry {
    let verdict = Verdict::RetryCeiling(RetryCeilingVerdict::RaiseFloor(Tier::Premium));
    TrailEntry { verdict, ..TrailEntry::unsaid(PolicyIndex(0), PolicyKind::RetryCeiling) }
}

/// A dispatch that differs from the others in everything a policy may look at. The same on every machine.
fn sample(seed: u64, catalogue: &Catalogue) -> Dispatch {
    let mut mix = Mix(seed);
    let pick = |mix: &mut Mix, symbols: &[Symbol]| {
        let place = mix.below(symbols.len() as u64 + 1);
        usize::try_from(place).ok().and_then(|place| symbols.get(place)).copied().unwrap_or_default()
    };
    let mut dispatch = Dispatch {
        now_ms: 1_750_000_000_000 + mix.below(86_400_000),
        waited_ms: if mix.below(4) == 0 { 5_000 } else { 0 },
        task_type: pick(&mut mix, catalogue.task_types()),
        stage: pick(&mut mix, catalogue.stages()),
        priority: mix.one_of([Priority::Low, Priority::Normal, Priority::High]),
        approved: mix.below(4) == 0,
        task: Some(Reference::of(&format!("task-{seed}"))),
        sample: Some(Reference::of(&format!("run-{seed}"))),
        spending: spending(&mut mix),
        attempts: attempts(&mut mix),
        input_tokens: mix.below(300_000),
        output_tokens: mix.below(32_000),
        requested_tier: mix.one_of([None, None, Some(Tier::Low), Some(Tier::Premium)]),
        candidates: candidates(&mut mix, catalogue),
        ..Dispatch::default()
    };
    dispatch.sticky = (mix.below(2) == 0).then_some(0);
    for kind in ScopeKind::ALL {
        dispatch.scopes.set(kind, Reference::of(&format!("{kind}-{}", seed % 5)));
        dispatch.accounts.push(account(&mut mix, kind));
    }
    dispatch
}

fn spending(mix: &mut Mix) -> Spending {
    Spending {
        run_cost: mix.dollars(400),
        run_per_minute: mix.dollars(40),
        scope_per_minute: mix.dollars(400),
        fastest_scope: ScopeKind::Team,
        task_type_p95: mix.dollars(20),
        finished_runs: u32::try_from(mix.below(60)).unwrap_or(0),
    }
}

fn attempts(mix: &mut Mix) -> Attempts {
    let failed = u32::try_from(mix.below(8)).unwrap_or(0);
    Attempts {
        failed,
        streak: failed.saturating_sub(1),
        streak_elapsed_ms: mix.below(3_600_000),
        since_failure_ms: mix.below(600_000),
        fast_failures: failed.min(u32::try_from(mix.below(3)).unwrap_or(0)),
        rejections: failed.min(u32::try_from(mix.below(4)).unwrap_or(0)),
        failed_tier: mix.one_of([None, Some(Tier::Low), Some(Tier::Middle), Some(Tier::Premium)]),
        repetition: if mix.below(2) == 0 { Repetition::None } else { Repetition::SameFailure },
        repetitions: failed,
    }
}

fn account(mix: &mut Mix, kind: ScopeKind) -> Account {
    let limit = mix.dollars(100);
    Account {
        kind,
        owner: Symbol::UNKNOWN,
        spent: mix.dollars(100),
        reserved: mix.dollars(5),
        limit,
        hard: limit.saturating_add(mix.dollars(10)),
        window_end_ms: u64::MAX,
    }
}

/// Those of the catalogue; three of no name, one of each tier, where it has none.
fn candidates(mix: &mut Mix, catalogue: &Catalogue) -> Vec<Candidate> {
    let mut candidates = catalogue.candidates(|_, _| Some(Nanodollars::ZERO));
    if candidates.is_empty() {
        candidates = Tier::ALL
            .iter()
            .map(|tier| Candidate {
                model: Symbol::UNKNOWN,
                backend: Symbol::UNKNOWN,
                tier: *tier,
                health: Health::Healthy,
                hosting: Hosting::Remote,
                warm: false,
                free_slots: u32::MAX,
                estimated_cost: Nanodollars::ZERO,
            })
            .collect();
    }
    for candidate in &mut candidates {
        candidate.estimated_cost = mix.dollars(4);
        if mix.below(5) == 0 {
            candidate.health = Health::Degraded;
        }
    }
    candidates.truncate(tollgate_core::MAX_CANDIDATES);
    candidates
}

/// `SplitMix64`: even, and the same everywhere.
pub(crate) struct Mix(pub(crate) u64);

impl Mix {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound.max(1)
    }

    fn one_of<T: Copy, const N: usize>(&mut self, choices: [T; N]) -> T {
        let place = usize::try_from(self.below(N as u64)).unwrap_or(0);
        choices[place]
    }

    fn dollars(&mut self, bound: u64) -> Nanodollars {
        Nanodollars::new(self.below(bound.saturating_mul(1_000_000_000)))
    }
}
