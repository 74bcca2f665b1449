//! Facts in one line: everything has a default, and a test names what matters to it.

use serde::Deserialize;

use super::{IntoFacts, Written};
use crate::kill_switch::Moment;
use crate::retry_ceiling::Repetition;
use crate::{
    Candidate, Dispatch, Health, Hosting, Nanodollars, Priority, ScopeKind, ScopeState, Share, Span, SwitchMode,
    Symbol, Tier, Timestamp, Tokens,
};

/// A builder for one kind: the setters of the dispatch, which all kinds have, and its own.
macro_rules! builder {
    ($(#[$doc:meta])* $builder:ident for $module:ident { $($(#[$setter_doc:meta])* $setter:ident: $type:ty;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default)]
        #[must_use = "it is only the facts so far"]
        pub struct $builder(crate::$module::Facts);

        $(#[$doc])*
        pub fn $module() -> $builder {
            $builder::default()
        }

        impl $builder {
            /// The facts.
            #[must_use]
            pub fn facts(self) -> crate::$module::Facts {
                self.0
            }

            /// When the decision is made.
            pub fn now(mut self, now: Timestamp) -> Self {
                self.0.dispatch.now = now;
                self
            }

            /// How long the dispatch was kept waiting already.
            #[track_caller]
            pub fn waited(mut self, waited: impl Written<Span>) -> Self {
                self.0.dispatch.waited = waited.read();
                self
            }

            /// What kind of task it is.
            pub fn task_type(mut self, task_type: impl Written<Symbol>) -> Self {
                self.0.dispatch.task_type = task_type.read();
                self
            }

            /// The pipeline step.
            pub fn stage(mut self, stage: impl Written<Symbol>) -> Self {
                self.0.dispatch.stage = stage.read();
                self
            }

            /// How much it matters.
            pub fn priority(mut self, priority: Priority) -> Self {
                self.0.dispatch.priority = priority;
                self
            }

            /// A human approved it.
            pub fn approved(mut self) -> Self {
                self.0.dispatch.approved = true;
                self
            }

            $(
                $(#[$setter_doc])*
                #[track_caller]
                pub fn $setter(mut self, $setter: impl Written<$type>) -> Self {
                    self.0.$setter = $setter.read();
                    self
                }
            )*
        }

        impl IntoFacts for $builder {
            type Facts = crate::$module::Facts;

            fn into_facts(self) -> Self::Facts {
                self.0
            }
        }

        impl IntoFacts for crate::$module::Facts {
            type Facts = Self;

            fn into_facts(self) -> Self {
                self
            }
        }
    };
}

builder! {
    /// Facts for a kill switch: before a dispatch, nothing covered, nothing spent.
    KillSwitchFacts for kill_switch {
        /// Why the covering switch was engaged.
        covered_reason: Symbol;
        /// Settled and reserved by the run.
        run_cost: Nanodollars;
        /// What the run spent in the last minute.
        run_spend_per_minute: Nanodollars;
        /// 95th percentile of what a finished run of the task type costs.
        task_type_p95: Nanodollars;
        /// How many finished runs it rests on.
        finished_runs: u32;
    }
}

impl KillSwitchFacts {
    /// When it is asked.
    pub fn moment(mut self, moment: Moment) -> Self {
        self.0.moment = moment;
        self
    }

    /// A switch covers the dispatch.
    pub fn covered(mut self, mode: SwitchMode) -> Self {
        self.0.covered = Some(mode);
        self
    }

    /// The fastest of the dispatch's other scopes, and what it spent in the last minute.
    #[track_caller]
    pub fn fastest(mut self, scope: ScopeKind, per_minute: impl Written<Nanodollars>) -> Self {
        self.0.fastest_scope = scope;
        self.0.scope_spend_per_minute = per_minute.read();
        self
    }
}

builder! {
    /// Facts for a retry ceiling: nothing failed yet.
    RetryCeilingFacts for retry_ceiling {
        /// Failed attempts since the last success.
        attempts: u32;
        /// Those of them without an idle gap.
        streak: u32;
        /// Since the start of the streak's first attempt.
        streak_elapsed: Span;
        /// Since the end of the last failed attempt.
        since_failure: Span;
        /// Fast failures in a row.
        fast_failures: u32;
        /// Times a verifier rejected the work.
        rejections: u32;
        /// What the dispatch sends.
        input: Tokens;
    }
}

impl RetryCeilingFacts {
    /// So many failed attempts, without an idle gap.
    pub fn failures(mut self, failures: u32) -> Self {
        self.0.attempts = failures;
        self.0.streak = failures;
        self
    }

    /// The highest tier whose work failed.
    pub fn failed_tier(mut self, tier: Tier) -> Self {
        self.0.failed_tier = Some(tier);
        self
    }

    /// The loop it is in, so many times in a row.
    pub fn repeated(mut self, repetition: Repetition, times: u32) -> Self {
        self.0.repetition = Some(repetition);
        self.0.repetitions = times;
        self
    }
}

builder! {
    /// Facts for a routing policy: no floor, no wish, no bound, and no candidate.
    RoutingFacts for routing {
        /// The model the caller named.
        requested_model: Symbol;
        /// What the tightest scope can still pay.
        affordable: Nanodollars;
        /// Times a verifier rejected the work.
        rejections: u32;
        /// What the dispatch sends.
        input: Tokens;
    }
}

impl RoutingFacts {
    /// The lowest tier allowed.
    pub fn floor(mut self, tier: Tier) -> Self {
        self.0.floor = tier;
        self
    }

    /// The tier a workflow gate asked for.
    pub fn requested_tier(mut self, tier: Tier) -> Self {
        self.0.requested_tier = Some(tier);
        self
    }

    /// The candidate that took the run, task and stage so far.
    pub fn sticky(mut self, index: u32) -> Self {
        self.0.sticky = Some(index);
        self
    }

    /// One candidate more.
    pub fn candidate(mut self, candidate: impl Into<Candidate>) -> Self {
        self.0.candidates.push(candidate.into());
        self
    }
}

builder! {
    /// Facts for a budget policy: a free dispatch of the low tier that no budget covers.
    BudgetFacts for budget {
        /// The model that routing chose.
        model: Symbol;
        /// What the dispatch is expected to cost.
        estimated_cost: Nanodollars;
        /// The output it may produce.
        output: Tokens;
    }
}

impl BudgetFacts {
    /// The tier of the model.
    pub fn tier(mut self, tier: Tier) -> Self {
        self.0.tier = tier;
        self
    }

    /// One scope more.
    pub fn scope(mut self, scope: impl Into<ScopeState>) -> Self {
        self.0.scopes.push(scope.into());
        self
    }
}

/// A candidate: healthy, remote and unbounded unless it says otherwise.
#[derive(Clone, Copy, Debug)]
#[must_use = "it is only the candidate so far"]
pub struct CandidateFacts(Candidate);

/// A candidate of a tier that costs so much.
#[track_caller]
pub fn candidate(model: &str, tier: Tier, estimated_cost: impl Written<Nanodollars>) -> CandidateFacts {
    CandidateFacts(Candidate {
        model: super::name(model),
        tier,
        estimated_cost: estimated_cost.read(),
        ..Candidate::default()
    })
}

impl CandidateFacts {
    /// What serves it.
    pub fn backend(mut self, name: &str) -> Self {
        self.0.backend = super::name(name);
        self
    }

    /// Whether it can take a dispatch.
    pub fn health(mut self, health: Health) -> Self {
        self.0.health = health;
        self
    }

    /// It runs on hardware of one's own with so many free slots.
    pub fn local(mut self, free_slots: u32) -> Self {
        self.0.hosting = Hosting::Local;
        self.0.free_slots = free_slots;
        self
    }

    /// It has so many free slots.
    pub fn free_slots(mut self, free_slots: u32) -> Self {
        self.0.free_slots = free_slots;
        self
    }

    /// It holds the prompt cache.
    pub fn warm(mut self) -> Self {
        self.0.warm = true;
        self
    }
}

impl From<CandidateFacts> for Candidate {
    fn from(candidate: CandidateFacts) -> Self {
        candidate.0
    }
}

/// An account as a test writes it: `hard` is 110 % of `limit` and the utilisation follows, unless they are given.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[doc(hidden)]
pub struct Account {
    kind: ScopeKind,
    #[serde(default)]
    owner: Symbol,
    #[serde(default)]
    spent: Nanodollars,
    #[serde(default)]
    reserved: Nanodollars,
    limit: Nanodollars,
    hard: Option<Nanodollars>,
    #[serde(default)]
    window_end: Timestamp,
    utilisation_permille: Option<u32>,
}

/// The default of a budget's hard ceiling.
const HARD: Share = Share::percent(110);

impl From<Account> for ScopeState {
    fn from(account: Account) -> Self {
        let Account { kind, owner, spent, reserved, limit, hard, window_end, utilisation_permille } = account;
        let committed = u128::from(spent.saturating_add(reserved).as_u64());
        let utilisation = match (committed, limit.as_u64()) {
            (0, _) => 0,
            (_, 0) => u32::MAX,
            (committed, limit) => u32::try_from(committed * 1000 / u128::from(limit)).unwrap_or(u32::MAX),
        };
        Self {
            kind,
            owner,
            spent,
            reserved,
            limit,
            hard: hard.unwrap_or_else(|| limit.share(HARD)),
            window_end,
            utilisation_permille: utilisation_permille.unwrap_or(utilisation),
        }
    }
}

/// A budget's account; `hard` is 110 % of the limit unless it says otherwise.
#[derive(Clone, Copy, Debug)]
#[must_use = "it is only the account so far"]
pub struct ScopeFacts(Account);

/// An account with a limit of which nothing is spent.
#[track_caller]
pub fn scope(kind: ScopeKind, limit: impl Written<Nanodollars>) -> ScopeFacts {
    ScopeFacts(Account {
        kind,
        owner: Symbol::UNKNOWN,
        spent: Nanodollars::ZERO,
        reserved: Nanodollars::ZERO,
        limit: limit.read(),
        hard: None,
        window_end: Dispatch::default().now,
        utilisation_permille: None,
    })
}

impl ScopeFacts {
    /// Who answers for it.
    pub fn owner(mut self, name: &str) -> Self {
        self.0.owner = super::name(name);
        self
    }

    /// Settled in this window.
    #[track_caller]
    pub fn spent(mut self, spent: impl Written<Nanodollars>) -> Self {
        self.0.spent = spent.read();
        self
    }

    /// Held for dispatches under way.
    #[track_caller]
    pub fn reserved(mut self, reserved: impl Written<Nanodollars>) -> Self {
        self.0.reserved = reserved.read();
        self
    }

    /// The ceiling that the ledger enforces.
    #[track_caller]
    pub fn hard(mut self, hard: impl Written<Nanodollars>) -> Self {
        self.0.hard = Some(hard.read());
        self
    }

    /// When the window ends.
    pub fn window_end(mut self, end: Timestamp) -> Self {
        self.0.window_end = end;
        self
    }
}

impl From<ScopeFacts> for ScopeState {
    fn from(scope: ScopeFacts) -> Self {
        scope.0.into()
    }
}
