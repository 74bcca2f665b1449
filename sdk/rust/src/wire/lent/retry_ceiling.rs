//! Lends the facts of a retry ceiling.

use super::{HASH_START, Lent, RetryCeilingRecord, VerdictRecord, number, reason, types};
use crate::RetryCeiling;
use crate::export::Component;
use crate::wire::guest::policy;
use crate::wire::retry_ceiling::exports::tollgate::policy::retry_ceiling::{Facts, FailedTier, Repetition, Verdict};

static LENT: Lent<RetryCeilingRecord> = Lent::new(RetryCeilingRecord::ZERO);

/// Tells this layout from others.
pub const LAYOUT: u64 = VerdictRecord::hash(RetryCeilingRecord::hash(HASH_START));

/// Where the area lies.
pub fn lend() -> u32 {
    LENT.place()
}

/// The verdict on the facts in the area.
pub fn evaluate<C: Component<Policy: RetryCeiling>>() -> u64 {
    let facts = LENT.facts();
    let facts = Facts {
        dispatch: dispatch!(facts),
        attempts: facts.attempts,
        streak: facts.streak,
        streak_elapsed_ms: facts.streak_elapsed_ms,
        since_failure_ms: facts.since_failure_ms,
        fast_failures: facts.fast_failures,
        rejections: facts.rejections,
        failed_tier: word!(facts.failed_tier, FailedTier { None, Low, Middle, Premium }),
        repetition: word!(
            facts.repetition,
            Repetition { None, SameFailure, TimedOutContext, OutputLimit, SameProposal }
        ),
        repetitions: facts.repetitions,
        input_tokens: facts.input_tokens,
    };
    match policy::<C>().evaluate(&facts.into()).into() {
        Verdict::Proceed => number(0, 0),
        Verdict::RaiseFloor(tier) => number(1, tier as u32),
        Verdict::BackOff(milliseconds) => number(2, milliseconds),
        Verdict::HoldForHuman(why) => {
            LENT.set_verdict(reason(why));
            number(3, 0)
        }
        Verdict::Refuse(why) => {
            LENT.set_verdict(reason(why));
            number(4, 0)
        }
    }
}
