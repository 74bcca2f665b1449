//! Lends the facts of a routing policy.

use std::mem::forget;

use super::{HASH_START, Lent, RoutingRecord, VerdictRecord, hash_candidate, list, number, reason, rows, types};
use crate::Routing;
use crate::export::Component;
use crate::wire::guest::policy;
use crate::wire::routing::exports::tollgate::policy::routing::{Facts, RequestedTier, Verdict};

static LENT: Lent<RoutingRecord> = Lent::new(RoutingRecord::ZERO);

/// Tells this layout from others.
pub const LAYOUT: u64 = VerdictRecord::hash(hash_candidate(RoutingRecord::hash(HASH_START)));

/// Where the area lies; from now on there is memory for candidates.
pub fn lend() -> u32 {
    LENT.set_facts(RoutingRecord { candidates: rows::<types::Candidate>(), ..RoutingRecord::ZERO });
    LENT.place()
}

/// The verdict on the facts in the area.
pub fn evaluate<C: Component<Policy: Routing>>() -> u64 {
    let facts = LENT.facts();
    let facts = Facts {
        dispatch: dispatch!(facts),
        floor: word!(facts.floor, types::Tier { Low, Middle, Premium }),
        requested_tier: word!(facts.requested_tier, RequestedTier { None, Low, Middle, Premium }),
        requested_model: facts.requested_model,
        sticky: (facts.sticky_given != 0).then_some(facts.sticky),
        affordable: facts.affordable,
        rejections: facts.rejections,
        input_tokens: facts.input_tokens,
        candidates: list(facts.candidates, facts.candidates_count),
    };
    let facts = facts.into();
    let verdict = policy::<C>().evaluate(&facts);
    forget(facts.candidates);
    match verdict.into() {
        Verdict::UseCandidate(index) => number(0, index),
        Verdict::NoOpinion => number(1, 0),
        Verdict::Refuse(why) => {
            LENT.set_verdict(reason(why));
            number(2, 0)
        }
    }
}
