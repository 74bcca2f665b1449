//! Routes to a candidate that was not offered.

use plain_policy::{Guest, RoutingFacts, RoutingVerdict};

struct CandidateOutOfRange;

impl Guest for CandidateOutOfRange {
    fn routing(facts: RoutingFacts) -> RoutingVerdict {
        RoutingVerdict::UseCandidate(facts.candidates.len() as u32)
    }
}

plain_policy::export!(CandidateOutOfRange as routing);
