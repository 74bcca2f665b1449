//! The ladder over every budget of a dispatch: work that can wait is slowed, what would pass a limit needs an
//! approval, and what would pass the hard ceiling is refused in the name of the budget's owner. The accounts
//! are the ledger's, which also enforces the hard ceiling by itself; notifications are events of the host.

mod config;

pub use config::{APPROACHING, CAP_OUTPUT_AT, CAP_OUTPUT_TOKENS, CapOutput, Config, DEAR, SLOW};

use tollgate_sdk::budget::{Facts, Verdict};
use tollgate_sdk::{
    Budget, ConfigError, Nanodollars, Policy, Priority, Reason, ReasonCode, ScopeState, Setup, Share, Span, Tokens,
    ensure,
};

/// The budget policy, configured.
#[derive(Debug)]
pub struct Ladder {
    config: Config,
    hard_ceiling: ReasonCode,
    limit: ReasonCode,
}

impl Policy for Ladder {
    type Config = Config;

    fn configure(config: Config, setup: &mut Setup) -> Result<Self, ConfigError> {
        ensure(config.approaching > Share::percent(0), "approaching", "must be above 0%")?;
        let tokens = config.cap_output.tokens;
        ensure(
            tokens > Tokens(0) && tokens <= Tokens(u32::MAX.into()),
            "cap_output.tokens",
            "must be between 1 and 4294967295",
        )?;
        ensure(config.slow <= Span::milliseconds(u32::MAX.into()), "slow", "must not be above 49 days")?;
        Ok(Self { config, hard_ceiling: setup.reason("budget-hard-ceiling"), limit: setup.reason("budget-limit") })
    }
}

impl Budget for Ladder {
    /// The strictest rung of any scope. Waiting comes before a cap, because the dispatch is decided again
    /// after it.
    #[inline(always)]
    fn evaluate(&self, facts: &Facts) -> Verdict {
        if let Some(reason) = self.over(facts) {
            return Verdict::Refuse(reason);
        }
        if let Some(reason) = self.at_the_limit(facts) {
            return Verdict::HoldForApproval(reason);
        }
        if let Some(wait) = self.approaching(facts) {
            return Verdict::Slow(wait);
        }
        self.cap(facts).map_or(Verdict::Proceed, Verdict::CapOutput)
    }
}

impl Ladder {
    /// Over the hard ceiling of a scope. An approval has already raised the ceiling, where there is one.
    #[inline]
    fn over(&self, facts: &Facts) -> Option<Reason> {
        let (scope, committed, hard) = furthest_over(facts, |scope| scope.hard)?;
        let owner = scope.owner.is_known().then(|| ReasonCode::new(scope.owner));
        Some(owner.unwrap_or(self.hard_ceiling).exceeded(committed, hard))
    }

    /// Past the limit of a scope, what can wait and what is dear waits for an approval.
    #[inline]
    fn at_the_limit(&self, facts: &Facts) -> Option<Reason> {
        let waits = facts.dispatch.priority == Priority::Low || facts.estimated_cost >= self.config.dear;
        if facts.dispatch.approved || !waits {
            return None;
        }
        let (_, committed, limit) = furthest_over(facts, |scope| scope.limit)?;
        Some(self.limit.exceeded(committed, limit))
    }

    /// What is left to wait for work that can wait.
    #[inline]
    fn approaching(&self, facts: &Facts) -> Option<Span> {
        if facts.dispatch.priority != Priority::Low || utilisation(facts) < self.config.approaching {
            return None;
        }
        let left = self.config.slow.saturating_sub(facts.dispatch.waited);
        (left > Span::ZERO).then_some(left)
    }

    /// An output that nobody knows may be any size.
    #[inline]
    fn cap(&self, facts: &Facts) -> Option<Tokens> {
        let CapOutput { enabled, at, tokens } = &self.config.cap_output;
        let larger = facts.output == Tokens(0) || facts.output > *tokens;
        (*enabled && larger && utilisation(facts) >= *at).then_some(*tokens)
    }
}

/// Of the scope that has the least left.
fn utilisation(facts: &Facts) -> Share {
    Share::permille(facts.scopes.iter().map(|scope| scope.utilisation_permille).max().unwrap_or(0))
}

/// The scope that the dispatch would take furthest over a bound, with what would then be committed. A dispatch
/// that costs nothing takes no scope anywhere, not even one that an overrun has left over its bound: that is
/// when local hardware is wanted most.
fn furthest_over(
    facts: &Facts,
    bound: impl Fn(&ScopeState) -> Nanodollars,
) -> Option<(&ScopeState, Nanodollars, Nanodollars)> {
    if facts.estimated_cost == Nanodollars::ZERO {
        return None;
    }
    let mut furthest = None;
    let mut most = Nanodollars::ZERO;
    for scope in &facts.scopes {
        let committed = scope.with(facts.estimated_cost);
        let over = committed.saturating_sub(bound(scope));
        if over > most {
            most = over;
            furthest = Some((scope, committed, bound(scope)));
        }
    }
    furthest
}

tollgate_sdk::export!(Ladder: budget);
