//! Routes to the lowest tier, whatever the floor is.

use plain_policy::{Guest, RoutingFacts, RoutingVerdict};

struct CandidateBelowFloor;

impl Guest for CandidateBelowFloor {
    fn routing(facts: RoutingFacts) -> RoutingVerdict {
        let lowest = (0..).zip(&facts.candidates).min_by_key(|(_, candidate)| candidate.tier as u8);
        lowest.map_or(RoutingVerdict::NoOpinion, |(index, _)| RoutingVerdict::UseCandidate(index))
    }
}

plain_policy::export!(CandidateBelowFloor as routing);
