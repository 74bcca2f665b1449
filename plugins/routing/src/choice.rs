//! The cheapest of the candidates that are good enough.

use std::cmp::Reverse;

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

/// What makes one candidate better than another; the smallest wins.
type Rank = (Readiness, Reverse<bool>, Nanodollars, Reverse<bool>, Reverse<bool>, Tier);

/// Waiting in a full queue is worse than a backend that is merely slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Readiness {
    Ready,
    Degraded,
    Full,
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

fn rank(facts: &Facts, candidate: &Candidate) -> Rank {
    let readiness = if is_ready(candidate) {
        Readiness::Ready
    } else if candidate.free_slots > 0 {
        Readiness::Degraded
    } else {
        Readiness::Full
    };
    (
        readiness,
        Reverse(candidate.hosting == Hosting::Local),
        candidate.estimated_cost,
        Reverse(candidate.warm),
        Reverse(facts.requested_model.is_known() && candidate.model == facts.requested_model),
        candidate.tier,
    )
}
