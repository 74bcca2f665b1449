//! Sends each task type to the cheapest candidate that is good enough. What good enough means stands in a
//! table with a reason in each row; prices, health and what is affordable come with the dispatch.

mod choice;
mod config;
mod table;

pub use config::{BelowWanted, Config, RequestedModel, Row};
pub use table::{REJECTED, TABLE, UNKNOWN};

use tollgate_sdk::routing::{Facts, Verdict};
use tollgate_sdk::{
    Candidate, ConfigError, Health, Lookup, NameKind, Nanodollars, Policy, ReasonCode, Routing, Setup, Tier, ensure,
};

use crate::choice::{Band, cheapest};

/// Routing, configured.
#[derive(Debug)]
pub struct Table {
    tiers: Lookup<Tier>,
    unknown: Tier,
    rejected: Tier,
    requested_model: RequestedModel,
    below_wanted: BelowWanted,
    no_candidate: ReasonCode,
}

impl Policy for Table {
    type Config = Config;

    fn configure(config: Config, setup: &mut Setup) -> Result<Self, ConfigError> {
        for row in config.table.iter().chain(&config.more) {
            let setting = format!("table.{}", row.task_type);
            ensure(!row.reason.trim().is_empty(), &setting, "a row needs its reason")?;
        }
        let replaced = |row: &&Row| !config.more.iter().any(|more| more.task_type == row.task_type);
        let rows = config.table.iter().filter(replaced).chain(&config.more);
        Ok(Self {
            tiers: setup.lookup(NameKind::TaskType, rows.map(|row| (row.task_type.as_str(), row.tier)))?,
            unknown: config.unknown,
            rejected: config.rejected,
            requested_model: config.requested_model,
            below_wanted: config.below_wanted,
            no_candidate: setup.reason("no-candidate"),
        })
    }
}

impl Routing for Table {
    #[inline(always)]
    fn evaluate(&self, facts: &Facts) -> Verdict {
        let index = self
            .requested(facts)
            .or_else(|| self.sticky(facts))
            .or_else(|| self.wanted(facts))
            .or_else(|| self.below(facts))
            .or_else(|| self.beyond_means(facts));
        index.map_or_else(|| Verdict::Refuse(self.no_candidate.alone()), Verdict::UseCandidate)
    }
}

impl Table {
    /// The least tier, and whether a gate asked for it: a gate's word goes before the table's, and the floor before both.
    #[inline]
    fn tier(&self, facts: &Facts) -> Tier {
        let needed = facts.requested_tier.unwrap_or_else(|| {
            let of_task_type = *self.tiers.find(facts.dispatch.task_type).unwrap_or(&self.unknown);
            if facts.rejections > 0 { of_task_type.max(self.rejected) } else { of_task_type }
        });
        needed.max(facts.floor)
    }

    /// The model that the caller named, where that counts.
    #[inline]
    fn requested(&self, facts: &Facts) -> Option<u32> {
        if self.requested_model != RequestedModel::Honour || !facts.requested_model.is_known() {
            return None;
        }
        let floor = facts.requested_tier.unwrap_or(facts.floor).max(facts.floor);
        let index =
            cheapest(facts, Band::from(floor), facts.affordable, |candidate| candidate.model == facts.requested_model)?;
        facts.candidates.get(index as usize).filter(|candidate| is_ready(candidate)).map(|_| index)
    }

    /// The candidate that holds the run's prompt cache, for as long as it is good enough. Its tier need not be
    /// the table's: changing it throws the cache away, which is most of the money. A gate that asks for a
    /// tier has decided that it is worth it.
    #[inline]
    fn sticky(&self, facts: &Facts) -> Option<u32> {
        let index = facts.sticky?;
        let candidate = facts.candidates.get(index as usize)?;
        let tier_holds = match facts.requested_tier {
            Some(_) => candidate.tier == self.tier(facts),
            None if facts.rejections > 0 => candidate.tier >= self.rejected.max(facts.floor),
            None => candidate.tier >= facts.floor,
        };
        (tier_holds && is_ready(candidate) && candidate.estimated_cost <= facts.affordable).then_some(index)
    }

    /// The cheapest at or above the tier.
    #[inline]
    fn wanted(&self, facts: &Facts) -> Option<u32> {
        cheapest(facts, Band::from(self.tier(facts)), facts.affordable, |_| true)
    }

    /// The cheapest of the nearest tier below, where nothing at or above it can be had or paid.
    #[inline]
    fn below(&self, facts: &Facts) -> Option<u32> {
        if facts.requested_tier.is_some() || self.below_wanted == BelowWanted::Refuse {
            return None;
        }
        [Tier::Middle, Tier::Low]
            .into_iter()
            .filter(|tier| *tier < self.tier(facts) && *tier >= facts.floor)
            .find_map(|tier| cheapest(facts, Band::only(tier), facts.affordable, |_| true))
    }

    /// The cheapest of what is good enough, where none of it can be paid: what happens then is the budgets' to say, who
    /// know the owner and can ask for an approval.
    #[inline]
    fn beyond_means(&self, facts: &Facts) -> Option<u32> {
        let lowest = match (facts.requested_tier, self.below_wanted) {
            (None, BelowWanted::Allow) => facts.floor,
            _ => self.tier(facts),
        };
        cheapest(facts, Band::from(lowest), Nanodollars::MAX, |_| true)
    }
}

/// Can take a dispatch at once.
fn is_ready(candidate: &Candidate) -> bool {
    candidate.health == Health::Healthy && candidate.free_slots > 0
}

tollgate_sdk::export!(Table: routing);
