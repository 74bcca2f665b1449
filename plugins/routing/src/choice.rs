//! The cheapest of the candidates that are good enough.

use tollgate_sdk::routing::Facts;
use tollgate_sdk::{Candidate, Health, Hosting, Nanodollars, Tier};

use crate::is_ready;

/// Tiers that are good enough.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Band {
    least: Tier,
    most: Tier,
}

impl Band {
    /// This tier and all above it.
    pub(crate) fn from(least: Tier) -> Self {
        Self { least, most: Tier::Premium }
    }

    /// This tier alone.
    pub(crate) fn only(tier: Tier) -> Self {
        Self { least: tier, most: tier }
    }
}

/// What makes one candidate better than another; the smallest wins. Three numbers, since comparing six was a sixth of what routing
/// spent on eight candidates.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// How ready it is, then whether it is paid by the token.
    readiness: u8,
    cost: Nanodollars,
    /// Whether it is cold, then whether another was named, then its tier.
    equals: u8,
}

/// The index of the best candidate that these means can pay: one that is ready before one that is degraded, local
/// hardware before anything that is paid by the token, then the cheapest; among equals the warm one, the
/// one the caller named, the weaker one, the first.
pub(crate) fn cheapest(
    facts: &Facts,
    band: Band,
    means: Nanodollars,
    accept: impl Fn(&Candidate) -> bool,
) -> Option<u32> {
    let mut best: Option<(Rank, u32)> = None;
    for (index, candidate) in (0_u32..).zip(&facts.candidates) {
        let good_enough = candidate.tier >= band.least && candidate.tier <= band.most;
        let possible = candidate.health != Health::Down && candidate.estimated_cost <= means;
        if !good_enough || !possible || !accept(candidate) {
            continue;
        }
        let rank = rank(facts, candidate);
        if best.is_none_or(|(best, _)| rank < best) {
            best = Some((rank, index));
        }
    }
    best.map(|(_, index)| index)
}

/// Waiting in a full queue is worse than a backend that is merely slow.
fn rank(facts: &Facts, candidate: &Candidate) -> Rank {
    let readiness = if is_ready(candidate) {
        0
    } else if candidate.free_slots > 0 {
        1
    } else {
        2
    };
    let another = !facts.requested_model.is_known() || candidate.model != facts.requested_model;
    Rank {
        readiness: readiness << 1 | u8::from(candidate.hosting != Hosting::Local),
        cost: candidate.estimated_cost,
        equals: u8::from(!candidate.warm) << 3 | u8::from(another) << 2 | candidate.tier as u8,
    }
}
