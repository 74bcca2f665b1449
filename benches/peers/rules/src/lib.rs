//! What the peers compute, as plain Rust: the facts, the verdict, and the rules of the four shipped policies with their
//! default configuration, the caller's own choice of a model ignored. It is the floor of the table, and what runs inside the extism guest.
//!
//! Every number is an `i64`, so that no engine pays for a type that it does not have. Money is in nanodollars, tiers are
//! 0 to 2, -1 is "nothing", and yes and no are 1 and 0.

mod facts;
mod verdict;

pub use facts::{CANDIDATES, Candidate, Facts, SCALARS, SCOPES, Scope};
pub use verdict::{Rule, Verdict};

/// One dollar.
pub const DOLLAR: i64 = 1_000_000_000;
/// No candidate of these dispatches costs as much: it lets engines without tuples compare candidates by one number.
pub const COST_BOUND: i64 = 100 * DOLLAR;

pub const RUN_COST: i64 = 1_000 * DOLLAR;
pub const RUN_PER_MINUTE: i64 = 25 * DOLLAR;
pub const OUTLIER_FACTOR: i64 = 10;
pub const OUTLIER_FLOOR: i64 = 5 * DOLLAR;
pub const OUTLIER_FINISHED_RUNS: i64 = 20;
pub const OUTPUT_LIMIT: i64 = 3;
pub const ELAPSED_MS: i64 = 20 * 60_000;
/// By failures in a row above two.
pub const BACK_OFF_MS: [i64; 6] = [10_000, 20_000, 40_000, 80_000, 160_000, 300_000];
/// The tier of each task type; the first is that of an unknown one.
pub const TIERS: [i64; 9] = [2, 0, 0, 0, 0, 1, 1, 2, 2];
pub const DEAR: i64 = 5 * DOLLAR;
pub const SLOW_MS: i64 = 2_000;

const PREMIUM: i64 = 2;
const DEGRADED: i64 = 1;
const DOWN: i64 = 2;

/// The whole decision.
#[must_use]
pub fn decide(facts: &Facts) -> Verdict {
    if let Some(rule) = kill_switch(facts).or_else(|| retry_ceiling(facts)) {
        return Verdict::stopped(rule);
    }
    let back_off = back_off(facts);
    let Some(index) = route(facts, floor(facts, back_off)) else {
        return Verdict::stopped(Rule::NoCandidate);
    };
    match budget(facts, facts.candidates[index].cost) {
        Err(rule) => Verdict::stopped(rule),
        Ok(slow) => Verdict::goes(index, back_off.max(slow)),
    }
}

/// A switch that covers the dispatch, or one that would be engaged.
#[must_use]
pub fn kill_switch(facts: &Facts) -> Option<Rule> {
    let unlike_its_kind = || {
        let ceiling = (facts.task_type_p95 * OUTLIER_FACTOR).max(OUTLIER_FLOOR);
        facts.approved == 0 && facts.finished_runs >= OUTLIER_FINISHED_RUNS && facts.run_cost > ceiling
    };
    match () {
        () if facts.covered == 1 => Some(Rule::SwitchEngaged),
        () if facts.run_cost > RUN_COST => Some(Rule::RunCost),
        () if facts.run_per_minute > RUN_PER_MINUTE => Some(Rule::RunRate),
        () if unlike_its_kind() => Some(Rule::Outlier),
        () => None,
    }
}

/// The rungs that refuse, and those that a human may lift.
#[must_use]
pub fn retry_ceiling(facts: &Facts) -> Option<Rule> {
    if facts.repetition == OUTPUT_LIMIT && facts.repetitions >= 2 {
        return Some(Rule::OutputLimit);
    }
    if facts.attempts >= 6 {
        return Some(Rule::FailedAttempts);
    }
    if facts.approved == 1 {
        return None;
    }
    match () {
        () if facts.repetition > 0 && facts.repetition != OUTPUT_LIMIT && facts.repetitions >= 3 => Some(Rule::Loop),
        () if facts.attempts >= 2 && facts.fast_failures >= 1 => Some(Rule::FastFailures),
        () if facts.streak >= 4 => Some(Rule::FailuresInARow),
        () if facts.streak >= 2 && facts.streak_elapsed_ms > ELAPSED_MS => Some(Rule::FailingFor),
        () if facts.failed_tier == PREMIUM && facts.rejections >= 2 => Some(Rule::RejectedAtPremium),
        () => None,
    }
}

/// What is left to wait after failures in a row, in milliseconds.
#[must_use]
pub fn back_off(facts: &Facts) -> i64 {
    let Some(wait) = usize::try_from(facts.streak - 3).ok().map(|failures| BACK_OFF_MS[failures.min(5)]) else {
        return 0;
    };
    (wait - facts.since_failure_ms.max(facts.waited_ms)).max(0)
}

/// The lowest tier after failures; waiting comes before a raised floor.
#[must_use]
pub fn floor(facts: &Facts, back_off: i64) -> i64 {
    if back_off == 0 && (facts.attempts >= 2 || facts.rejections >= 1) {
        (facts.failed_tier.max(0) + 1).min(PREMIUM)
    } else {
        0
    }
}

/// The candidate that has the run's prompt cache while it is good enough; else the best.
#[must_use]
pub fn route(facts: &Facts, floor: i64) -> Option<usize> {
    let tier = match facts.requested_tier {
        0.. => facts.requested_tier,
        _ if facts.rejections > 0 => PREMIUM,
        _ => usize::try_from(facts.task_type).ok().and_then(|place| TIERS.get(place)).copied().unwrap_or(PREMIUM),
    };
    let tier = tier.max(floor);
    if let Some(index) = usize::try_from(facts.sticky).ok().filter(|index| keeps(facts, *index, tier, floor)) {
        return Some(index);
    }
    let candidates = facts.candidates.iter().enumerate();
    let ranked = candidates.filter_map(|(index, candidate)| Some((rank(facts, candidate, tier, floor)?, index)));
    ranked.min().map(|(_, index)| index)
}

fn keeps(facts: &Facts, index: usize, tier: i64, floor: i64) -> bool {
    let candidate = &facts.candidates[index];
    let holds = match facts.requested_tier {
        0.. => candidate.tier == tier,
        _ if facts.rejections > 0 => candidate.tier == PREMIUM,
        _ => candidate.tier >= floor,
    };
    holds && candidate.health == 0 && candidate.free_slots > 0 && candidate.cost <= facts.affordable
}

/// What makes a candidate better than another, the smallest first; nothing where it cannot be had. First come those at or above
/// the tier that can be paid, then the nearest below, then what cannot be paid.
fn rank(facts: &Facts, candidate: &Candidate, tier: i64, floor: i64) -> Option<(i64, i64, i64, i64, i64, i64)> {
    let asked = facts.requested_tier >= 0;
    let lowest = if asked { tier } else { floor };
    let phase = match candidate.cost <= facts.affordable {
        _ if candidate.health == DOWN => return None,
        true if candidate.tier >= tier => 0,
        true if !asked && candidate.tier >= floor => 2 - candidate.tier,
        _ if candidate.tier >= lowest => 3,
        _ => return None,
    };
    let readiness = match candidate.health {
        _ if candidate.free_slots == 0 => 2,
        DEGRADED => 1,
        _ => 0,
    };
    Some((phase, readiness, 1 - candidate.local, candidate.cost, 1 - candidate.warm, candidate.tier))
}

/// A rule that stops the dispatch, or how long it waits, in milliseconds.
///
/// # Errors
/// The rule.
pub fn budget(facts: &Facts, cost: i64) -> Result<i64, Rule> {
    let over =
        |bound: fn(&Scope) -> i64| cost > 0 && facts.scopes.iter().any(|scope| scope.committed + cost > bound(scope));
    if over(|scope| scope.hard) {
        return Err(Rule::HardCeiling);
    }
    let low = facts.priority == 0;
    if facts.approved == 0 && (low || cost >= DEAR) && over(|scope| scope.limit) {
        return Err(Rule::Limit);
    }
    let near = low && facts.scopes.iter().any(|scope| scope.committed * 5 >= scope.limit * 4);
    Ok(if near { (SLOW_MS - facts.waited_ms).max(0) } else { 0 })
}
