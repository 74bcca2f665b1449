//! Keeps tasks out of endless loops: after so many failures a stronger tier, then a pause, then a human, then
//! no more. What an attempt is, how long a streak lasts and what counts as fast is the host's to say; this
//! policy only climbs the ladder.

mod config;
mod ladder;

pub use config::{
    BACK_OFF_AFTER, BACK_OFF_BASE, BACK_OFF_CAP, BackOff, Config, ELAPSED_CEILING, ELAPSED_FROM_FAILURE,
    ESCALATE_AFTER, ESCALATE_AFTER_REJECTIONS, Elapsed, Ending, FAST_FAILURES, FAST_FAILURES_FROM_ATTEMPT,
    FastFailures, HOLD_AFTER, HOLD_AFTER_PREMIUM_REJECTIONS, Loop, OUTPUT_LIMIT_REPETITIONS, REFUSE_AFTER, REPETITIONS,
    Repetitions,
};

use tollgate_sdk::retry_ceiling::{Facts, Repetition, Verdict};
use tollgate_sdk::{ConfigError, Lookup, NameKind, Policy, ReasonCode, RetryCeiling, Setup, Span, Tokens, ensure};

/// The retry ceiling, configured.
#[derive(Debug)]
pub struct Ladder {
    config: Config,
    context_ceilings: Lookup<Tokens>,
    codes: Codes,
}

#[derive(Debug)]
struct Codes {
    split_the_task: ReasonCode,
    failed_attempts: ReasonCode,
    failures_in_a_row: ReasonCode,
    fast_failures: ReasonCode,
    failing_for: ReasonCode,
    rejected_at_premium: ReasonCode,
    same_failure: ReasonCode,
    timed_out_context: ReasonCode,
    output_limit: ReasonCode,
    same_proposal: ReasonCode,
}

impl Codes {
    fn repetition(&self, repetition: Repetition) -> ReasonCode {
        match repetition {
            Repetition::SameFailure => self.same_failure,
            Repetition::TimedOutContext => self.timed_out_context,
            Repetition::OutputLimit => self.output_limit,
            Repetition::SameProposal => self.same_proposal,
        }
    }
}

impl Policy for Ladder {
    type Config = Config;

    fn configure(config: Config, setup: &mut Setup) -> Result<Self, ConfigError> {
        check(&config)?;
        let ceilings = config.context_ceilings.iter().map(|(pattern, ceiling)| (pattern.as_str(), *ceiling));
        Ok(Self {
            context_ceilings: setup.lookup(NameKind::TaskType, ceilings)?,
            codes: Codes {
                split_the_task: setup.reason("split-the-task"),
                failed_attempts: setup.reason("failed-attempts"),
                failures_in_a_row: setup.reason("failures-in-a-row"),
                fast_failures: setup.reason("fast-failures"),
                failing_for: setup.reason("failing-for"),
                rejected_at_premium: setup.reason("rejected-at-premium"),
                same_failure: setup.reason("same-failure"),
                timed_out_context: setup.reason("timed-out-context"),
                output_limit: setup.reason("output-limit"),
                same_proposal: setup.reason("same-proposal"),
            },
            config,
        })
    }
}

/// A ladder whose rungs are out of order would skip some of them silently.
fn check(config: &Config) -> Result<(), ConfigError> {
    ensure(config.escalate_after <= config.refuse_after, "escalate_after", "must not be above `refuse_after`")?;
    ensure(config.hold_after <= config.refuse_after, "hold_after", "must not be above `refuse_after`")?;
    ensure(config.back_off.base <= config.back_off.cap, "back_off.base", "must not be above `back_off.cap`")?;
    let longest = Span::milliseconds(u32::MAX.into());
    ensure(config.back_off.cap <= longest, "back_off.cap", "must not be above 49 days")?;
    for (pattern, ceiling) in &config.context_ceilings {
        let setting = format!("context_ceilings.{pattern}");
        ensure(*ceiling > Tokens(0), &setting, "must be above 0: it would refuse every dispatch")?;
    }
    Ok(())
}

impl RetryCeiling for Ladder {
    /// The strictest rung that applies. Waiting comes before a raised floor, because the dispatch is decided
    /// again after it and the floor is raised then.
    #[inline(always)]
    fn evaluate(&self, facts: &Facts) -> Verdict {
        if let Some(reason) = self.refusal(facts) {
            return Verdict::Refuse(reason);
        }
        if let Some(reason) = self.hold(facts).filter(|_| !facts.dispatch.approved) {
            return Verdict::HoldForHuman(reason);
        }
        if let Some(wait) = self.wait(facts) {
            return Verdict::BackOff(wait);
        }
        self.floor(facts).map_or(Verdict::Proceed, Verdict::RaiseFloor)
    }
}

tollgate_sdk::export!(Ladder: retry_ceiling);
