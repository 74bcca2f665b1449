//! How the verdicts of a chain become one decision: the fixed order of kinds, the strictest verdict, the floor
//! that only rises. Pure; whoever evaluates policies drives it:
//!
//! ```text
//! open ─► for each kind: hear(entry)… , settled? ─► conclude
//! ```
//!
//! Entries of the trail lie with whoever drives it, and are judged where they lie: copying each of them twice was a tenth
//! of a decision.

use crate::decision::{Decision, Outcome, Permit, Refusal, Source, Trail, TrailEntry};
use crate::dispatch::{Candidate, Dispatch, MAX_ACCOUNTS, MAX_CANDIDATES};
use crate::switch::{Covered, SwitchBoard};
use crate::{
    BudgetVerdict, EvaluationFailure, Health, KillSwitchVerdict, Nanodollars, OnError, PolicyKind, Reason,
    RetryCeilingVerdict, RoutingVerdict, SwitchMode, Symbol, Tier, Verdict,
};

/// A decision in the making.
#[derive(Debug)]
pub struct Ruling<'a> {
    dispatch: &'a Dispatch,
    covered: Covered,
    /// Bit n is set while candidate n can be used.
    usable: u64,
    floor: Tier,
    /// The candidate that routing settled on.
    chosen: Option<u32>,
    output_cap: Option<u32>,
    strictest: Strictest,
}

/// The strictest thing said so far. The first of equals stays, so the order of the configuration decides.
#[derive(Clone, Debug)]
enum Strictest {
    Proceed,
    Slow(u32, Source),
    Hold(Source, Reason),
    Refuse(Source, Refusal),
}

impl Strictest {
    const fn rank(&self) -> (u8, u32) {
        match self {
            Self::Proceed => (0, 0),
            Self::Slow(milliseconds, _) => (1, *milliseconds),
            Self::Hold(..) => (2, 0),
            Self::Refuse(..) => (3, 0),
        }
    }
}

impl<'a> Ruling<'a> {
    /// Begins: looks for the switch that covers the dispatch, and drops the candidates that a switch covers or
    /// whose backend is down.
    #[must_use]
    pub fn open(dispatch: &'a Dispatch, switches: &SwitchBoard) -> Self {
        Self::open_covered(dispatch, switches.covered(dispatch))
    }

    /// The same where it is known already what the switches cover: how a recorded decision is made again.
    #[must_use]
    pub fn open_covered(dispatch: &'a Dispatch, covered: Covered) -> Self {
        let mut ruling = Self {
            dispatch,
            covered,
            usable: 0,
            floor: Tier::Low,
            chosen: None,
            output_cap: None,
            strictest: Strictest::Proceed,
        };
        if dispatch.candidates.len() > MAX_CANDIDATES || dispatch.accounts.len() > MAX_ACCOUNTS {
            ruling.raise(Strictest::Refuse(Source::Host, Refusal::TooManyFacts));
            return ruling;
        }
        for (index, candidate) in (0_u32..).zip(&dispatch.candidates) {
            if candidate.health != Health::Down && !ruling.covered.covers_candidate(index) {
                ruling.usable |= 1_u64.checked_shl(index).unwrap_or(0);
            }
        }
        if ruling.usable == 0 {
            let cause = ruling.covered.candidates_reason.map_or(Refusal::NoCandidate, Refusal::ModelsSwitchedOff);
            ruling.raise(Strictest::Refuse(Source::Host, cause));
        }
        ruling
    }

    /// What is decided about.
    #[must_use]
    pub const fn dispatch(&self) -> &'a Dispatch {
        self.dispatch
    }

    /// The strictest switch that covers the dispatch: its mode, and the name of its reason.
    #[must_use]
    pub fn cover(&self) -> Option<(SwitchMode, Symbol)> {
        self.covered.by.as_ref().map(|switch| (switch.mode, switch.reason.code))
    }

    /// The lowest tier the retry ceilings left so far.
    #[must_use]
    pub const fn floor(&self) -> Tier {
        self.floor
    }

    /// The candidates that can be used, with their index in the dispatch.
    pub fn usable_candidates(&self) -> impl Iterator<Item = (u32, &'a Candidate)> + Clone + use<'a> {
        let usable = self.usable;
        (0_u32..).zip(&self.dispatch.candidates).filter(move |(index, _)| is_set(usable, *index))
    }

    /// Where a candidate of the dispatch stands among the usable ones.
    #[must_use]
    pub fn usable_place(&self, index: u32) -> Option<u32> {
        let before = 1_u64.checked_shl(index)?.wrapping_sub(1);
        is_set(self.usable, index).then(|| (self.usable & before).count_ones())
    }

    /// How many candidates can be used.
    #[must_use]
    #[inline]
    pub const fn usable_count(&self) -> u32 {
        self.usable.count_ones()
    }

    /// The candidate of the dispatch that has this place among the usable ones.
    #[must_use]
    #[inline]
    pub fn usable_index(&self, place: u32) -> Option<u32> {
        let mut left = self.usable;
        for _ in 0..place.min(u64::BITS) {
            // Without its lowest bit.
            left &= left.wrapping_sub(1);
        }
        (left != 0).then(|| left.trailing_zeros())
    }

    /// The candidate that routing settled on, once it has.
    #[must_use]
    pub fn chosen(&self) -> Option<&'a Candidate> {
        self.chosen.and_then(|index| self.candidate(index))
    }

    /// Whether nothing can change the outcome any more: a refusal or a hold ends the chain after its kind.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        matches!(self.strictest, Strictest::Hold(..) | Strictest::Refuse(..))
    }

    /// Takes in what one policy said. A routing verdict that is out of range, not usable or below the floor
    /// becomes a failure of that policy. Shadow policies are written down and change nothing.
    #[inline]
    pub fn hear(&mut self, entry: &mut TrailEntry, on_error: OnError) {
        self.judge(entry, on_error);
        if entry.shadow {
            return;
        }
        match entry.verdict {
            Verdict::KillSwitch(KillSwitchVerdict::Proceed)
            | Verdict::RetryCeiling(RetryCeilingVerdict::Proceed)
            | Verdict::Routing(RoutingVerdict::NoOpinion)
            | Verdict::Budget(BudgetVerdict::Proceed) => {}
            Verdict::Routing(RoutingVerdict::UseCandidate(index)) => {
                if self.chosen.is_none() {
                    self.chosen = Some(index);
                }
            }
            _ => self.take_in(entry),
        }
    }

    /// Makes the entry what it counts as: a route that is out of range, not usable or below the floor is a failure.
    #[inline]
    pub fn judge(&self, entry: &mut TrailEntry, on_error: OnError) {
        if let Verdict::Routing(RoutingVerdict::UseCandidate(index)) = entry.verdict
            && let Err(failure) = self.check_candidate(index)
        {
            entry.verdict = Verdict::Failed(failure, on_error);
        }
    }

    /// What changes more than the candidate.
    fn take_in(&mut self, entry: &TrailEntry) {
        let by = Source::Policy(entry.policy, entry.kind);
        match entry.verdict {
            Verdict::KillSwitch(verdict) => self.hear_kill_switch(verdict, by),
            Verdict::RetryCeiling(verdict) => self.hear_retry_ceiling(verdict, by),
            Verdict::Routing(verdict) => self.hear_routing(verdict, by),
            Verdict::Budget(verdict) => self.hear_budget(verdict, by),
            Verdict::Failed(failure, OnError::Refuse | OnError::LastGood) if entry.kind != PolicyKind::Routing => {
                self.raise(Strictest::Refuse(by, Refusal::PolicyFailed(failure)));
            }
            Verdict::Failed(..) => {}
        }
    }

    /// Ends the routing kind: where no policy had an opinion, the cheapest usable candidate at or above the floor is taken, the
    /// first of equals; those of the model that was asked for before all others.
    pub fn settle_route(&mut self) {
        if self.is_settled() || self.chosen.is_some() {
            return;
        }
        let (floor, asked) = (self.floor, self.dispatch.requested_model);
        let cheapest = self
            .usable_candidates()
            .filter(|(_, candidate)| candidate.tier >= floor)
            .min_by_key(|(_, candidate)| (candidate.model != asked, candidate.estimated_cost));
        match cheapest {
            Some((index, _)) => self.chosen = Some(index),
            None => self.raise(Strictest::Refuse(Source::Host, Refusal::NoCandidateAtFloor)),
        }
    }

    /// What the chosen candidate is expected to cost.
    #[must_use]
    pub fn estimated_cost(&self) -> Nanodollars {
        self.chosen().map_or(Nanodollars::ZERO, |candidate| candidate.estimated_cost)
    }

    /// Ends the chain, with the entries that it has heard. This is the only place where a permit is made.
    pub fn conclude(self, generation: u64, trail: Trail) -> Decision {
        let mut decision = Decision { trail, ..Decision::pending() };
        self.conclude_in(generation, &mut decision);
        decision
    }

    /// The same where the trail lies in a [`Decision::pending`] already.
    #[inline]
    pub fn conclude_in(mut self, generation: u64, decision: &mut Decision) {
        self.settle_route();
        decision.outcome = match (self.strictest, self.chosen) {
            (Strictest::Proceed, Some(candidate)) => {
                Outcome::Proceed(Permit::new(candidate, self.output_cap, self.covered.epoch, self.dispatch.now_ms))
            }
            (Strictest::Refuse(by, cause), _) => Outcome::Refuse { by, cause },
            (Strictest::Hold(by, reason), _) => Outcome::Hold { by, reason },
            (Strictest::Slow(milliseconds, by), _) => Outcome::Slow { milliseconds, by },
            (Strictest::Proceed, None) => Outcome::Refuse { by: Source::Host, cause: Refusal::NoCandidate },
        };
        decision.floor = self.floor;
        decision.generation = generation;
        decision.covered = self.covered;
    }

    fn hear_kill_switch(&mut self, verdict: KillSwitchVerdict, by: Source) {
        match verdict {
            KillSwitchVerdict::Proceed => {}
            KillSwitchVerdict::Stop(reason) => self.raise(Strictest::Refuse(by, Refusal::Policy(reason))),
            KillSwitchVerdict::Trip(trip) => self.raise(Strictest::Refuse(by, Refusal::Policy(trip.reason))),
        }
    }

    fn hear_retry_ceiling(&mut self, verdict: RetryCeilingVerdict, by: Source) {
        match verdict {
            RetryCeilingVerdict::Proceed => {}
            RetryCeilingVerdict::RaiseFloor(tier) => self.floor = self.floor.max(tier),
            RetryCeilingVerdict::BackOff { milliseconds } => self.raise(Strictest::Slow(milliseconds, by)),
            RetryCeilingVerdict::HoldForHuman(reason) => self.raise(Strictest::Hold(by, reason)),
            RetryCeilingVerdict::Refuse(reason) => self.raise(Strictest::Refuse(by, Refusal::Policy(reason))),
        }
    }

    fn hear_routing(&mut self, verdict: RoutingVerdict, by: Source) {
        match verdict {
            RoutingVerdict::Refuse(reason) => self.raise(Strictest::Refuse(by, Refusal::Policy(reason))),
            // `hear` has taken these in.
            RoutingVerdict::NoOpinion | RoutingVerdict::UseCandidate(_) => {}
        }
    }

    fn hear_budget(&mut self, verdict: BudgetVerdict, by: Source) {
        match verdict {
            BudgetVerdict::Proceed => {}
            BudgetVerdict::Slow { milliseconds } => self.raise(Strictest::Slow(milliseconds, by)),
            BudgetVerdict::CapOutput { tokens } => {
                self.output_cap = Some(self.output_cap.map_or(tokens, |cap| cap.min(tokens)));
            }
            BudgetVerdict::HoldForApproval(reason) => self.raise(Strictest::Hold(by, reason)),
            BudgetVerdict::Refuse(reason) => self.raise(Strictest::Refuse(by, Refusal::Policy(reason))),
        }
    }

    fn raise(&mut self, said: Strictest) {
        // A wait of nothing is no wait.
        if said.rank() > self.strictest.rank() && !matches!(said, Strictest::Slow(0, _)) {
            self.strictest = said;
        }
    }

    fn check_candidate(&self, index: u32) -> Result<(), EvaluationFailure> {
        match self.candidate(index) {
            Some(candidate) if is_set(self.usable, index) => {
                if candidate.tier < self.floor {
                    Err(EvaluationFailure::BelowFloor)
                } else {
                    Ok(())
                }
            }
            _ => Err(EvaluationFailure::CandidateOutOfRange),
        }
    }

    fn candidate(&self, index: u32) -> Option<&'a Candidate> {
        usize::try_from(index).ok().and_then(|index| self.dispatch.candidates.get(index))
    }
}

fn is_set(bits: u64, index: u32) -> bool {
    bits.checked_shr(index).unwrap_or(0) & 1 == 1
}

#[cfg(test)]
#[path = "ruling_tests.rs"]
mod tests;
