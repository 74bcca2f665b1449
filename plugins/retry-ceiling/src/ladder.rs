//! The rungs, from the strictest down. Each only computes what it would say.

use tollgate_sdk::retry_ceiling::{Facts, Repetition};
use tollgate_sdk::{Reason, Span, Tier, Tokens};

use crate::{Ending, Ladder, Loop};

impl Ladder {
    /// What no approval lifts: a context that is too large, a loop that only a change can end, and a task
    /// that has failed too often.
    #[inline]
    pub(crate) fn refusal(&self, facts: &Facts) -> Option<Reason> {
        self.context(facts).or_else(|| self.repetition(facts, Ending::Refuse)).or_else(|| {
            let limit = self.config.refuse_after;
            let too_many = facts.attempts >= limit;
            too_many.then(|| self.codes.failed_attempts.exceeded(facts.attempts, limit))
        })
    }

    /// What a human may let pass.
    #[inline]
    pub(crate) fn hold(&self, facts: &Facts) -> Option<Reason> {
        self.repetition(facts, Ending::Hold)
            .or_else(|| self.fast_failures(facts))
            .or_else(|| {
                let limit = self.config.hold_after;
                let too_many = facts.streak >= limit;
                too_many.then(|| self.codes.failures_in_a_row.exceeded(facts.streak, limit))
            })
            .or_else(|| self.elapsed(facts))
            .or_else(|| self.rejected_at_premium(facts))
    }

    /// How much longer to wait. The dispatch is decided again after each wait, so what has passed counts:
    /// since the failure by the clock, or waited where a host does not move the clock.
    #[inline]
    pub(crate) fn wait(&self, facts: &Facts) -> Option<Span> {
        let back_off = &self.config.back_off;
        let doublings = facts.streak.checked_sub(back_off.after)?;
        let passed = facts.since_failure.max(facts.dispatch.waited);
        let left = back_off.base.doubled(doublings, back_off.cap).saturating_sub(passed);
        (left > Span::ZERO).then_some(left)
    }

    /// One tier above the one that failed. Where nobody knows which failed, it is taken to be the lowest, so
    /// that a task with a history does not start from the bottom again.
    #[inline]
    pub(crate) fn floor(&self, facts: &Facts) -> Option<Tier> {
        let escalates =
            facts.attempts >= self.config.escalate_after || facts.rejections >= self.config.escalate_after_rejections;
        escalates.then(|| facts.failed_tier.unwrap_or(Tier::Low).above())
    }

    #[inline]
    fn context(&self, facts: &Facts) -> Option<Reason> {
        // 0 is a size that nobody knows.
        let ceiling = *self.context_ceilings.find(facts.dispatch.task_type)?;
        let too_large = facts.input > Tokens(0) && facts.input > ceiling;
        too_large.then(|| self.codes.split_the_task.exceeded(facts.input, ceiling))
    }

    #[inline]
    fn repetition(&self, facts: &Facts, ending: Ending) -> Option<Reason> {
        let repetition = facts.repetition?;
        let Loop { times, then } = self.rule(repetition);
        let applies = then == ending && facts.repetitions >= times;
        applies.then(|| self.codes.repetition(repetition).exceeded(facts.repetitions, times))
    }

    fn rule(&self, repetition: Repetition) -> Loop {
        let rules = &self.config.repetitions;
        match repetition {
            Repetition::SameFailure => rules.same_failure,
            Repetition::TimedOutContext => rules.timed_out_context,
            Repetition::OutputLimit => rules.output_limit,
            Repetition::SameProposal => rules.same_proposal,
        }
    }

    #[inline]
    fn fast_failures(&self, facts: &Facts) -> Option<Reason> {
        let rule = &self.config.fast_failures;
        let applies = rule.enabled && facts.attempts >= rule.from_attempt && facts.fast_failures >= rule.in_a_row;
        applies.then(|| self.codes.fast_failures.exceeded(facts.fast_failures, rule.in_a_row))
    }

    #[inline]
    fn elapsed(&self, facts: &Facts) -> Option<Reason> {
        let rule = &self.config.elapsed;
        let applies = rule.enabled && facts.streak >= rule.from_failure && facts.streak_elapsed > rule.ceiling;
        applies.then(|| self.codes.failing_for.exceeded(facts.streak_elapsed, rule.ceiling))
    }

    #[inline]
    fn rejected_at_premium(&self, facts: &Facts) -> Option<Reason> {
        let limit = self.config.hold_after_premium_rejections;
        let applies = facts.failed_tier == Some(Tier::Premium) && facts.rejections >= limit;
        applies.then(|| self.codes.rejected_at_premium.exceeded(facts.rejections, limit))
    }
}
