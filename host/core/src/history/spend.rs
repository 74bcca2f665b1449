//! What scopes have spent: in the windows of their budgets, and in the last minutes.

use super::bounded::Bounded;
use super::numbers::Numbers;
use crate::config::{BudgetConfiguration, Window};
use crate::{Account, Nanodollars, Reference, ScopeKind, ScopePath, Spending, Symbol, Symbols};

/// The most accounts; the ones untouched for longest are forgotten first.
const ACCOUNTS: usize = 1_000_000;

/// The accounts of the configured budgets.
#[derive(Debug)]
pub(super) struct Accounts {
    rules: Vec<Rule>,
    numbers: Numbers<Counted>,
    /// By number of the budget, scope and end of the window.
    spent: Bounded<(u64, Reference, u64), Spent>,
}

#[derive(Debug, Default)]
struct Spent {
    amount: Nanodollars,
    reached: Option<Threshold>,
    /// What `reached` was judged by: a budget that was raised can be reached again.
    ceilings: (Nanodollars, Nanodollars),
}

/// What has to be the same of two budgets for what was spent under one to count under the other. The last is which of
/// several alike it is.
type Counted = (ScopeKind, Option<Reference>, Window, usize);

/// A mark on the way to a budget's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Threshold {
    /// 80 % of the limit.
    Approaching,
    /// The limit.
    AtLimit,
    /// The hard ceiling.
    Over,
}

/// A budget reached a threshold, for the first time in its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThresholdReached {
    /// Which.
    pub threshold: Threshold,
    /// Of what kind of scope.
    pub kind: ScopeKind,
    /// Which scope.
    pub scope: Reference,
    /// Who answers for it.
    pub owner: Symbol,
    /// What was spent.
    pub spent: Nanodollars,
    /// Of what.
    pub limit: Nanodollars,
}

/// From here on a budget is approaching its limit.
const APPROACHING_PERMILLE: u32 = 800;

#[derive(Debug)]
struct Rule {
    number: u64,
    scope: ScopeKind,
    only: Option<Reference>,
    limit: Nanodollars,
    hard: Nanodollars,
    window: Window,
    owner: Symbol,
}

impl Accounts {
    pub(super) fn new(budgets: &[BudgetConfiguration], symbols: &Symbols) -> Self {
        let mut accounts = Self { rules: Vec::new(), numbers: Numbers::new(), spent: Bounded::new(ACCOUNTS) };
        accounts.adopt(budgets, symbols);
        accounts
    }

    /// From now on these budgets. One for the same scope and window, with whatever limit, goes on with what was spent.
    pub(super) fn adopt(&mut self, budgets: &[BudgetConfiguration], symbols: &Symbols) {
        let counted =
            |budget: &BudgetConfiguration| (budget.scope, budget.name.as_deref().map(Reference::of), budget.window);
        let mut rules: Vec<Rule> = Vec::with_capacity(budgets.len());
        for budget in budgets {
            let (scope, only, window) = counted(budget);
            let alike = rules.iter().filter(|rule| (rule.scope, rule.only, rule.window) == (scope, only, window));
            let nth = alike.count();
            rules.push(Rule {
                number: self.numbers.of((scope, only, window, nth)),
                scope,
                only,
                limit: budget.limit,
                hard: budget.hard(),
                window,
                owner: budget.owner.as_deref().map_or(Symbol::UNKNOWN, |owner| symbols.lookup(owner)),
            });
        }
        self.rules = rules;
    }

    fn of<'a>(&'a self, scopes: &'a ScopePath, now_ms: u64) -> impl Iterator<Item = (&'a Rule, (u64, Reference, u64))> {
        self.rules.iter().filter_map(move |rule| {
            let reference = scopes.of(rule.scope).filter(|scope| rule.only.is_none_or(|only| only == *scope))?;
            Some((rule, (rule.number, reference, rule.window.end_ms(now_ms))))
        })
    }

    pub(super) fn read(&self, scopes: &ScopePath, now_ms: u64, into: &mut Vec<Account>) {
        into.extend(self.of(scopes, now_ms).map(|(rule, key)| Account {
            kind: rule.scope,
            owner: rule.owner,
            spent: self.spent.get(&key).map(|spent| spent.amount).unwrap_or_default(),
            reserved: Nanodollars::ZERO,
            limit: rule.limit,
            hard: rule.hard,
            window_end_ms: key.2,
        }));
    }

    /// Adds a cost to every account, and tells which thresholds were reached by it.
    pub(super) fn spend(&mut self, scopes: &ScopePath, now_ms: u64, cost: Nanodollars) -> Vec<ThresholdReached> {
        let mut reached = Vec::new();
        for rule in &self.rules {
            let scope = scopes.of(rule.scope).filter(|scope| rule.only.is_none_or(|only| only == *scope));
            let Some(scope) = scope else { continue };
            let spent = self.spent.entry((rule.number, scope, rule.window.end_ms(now_ms)), now_ms);
            if spent.ceilings != (rule.limit, rule.hard) {
                spent.ceilings = (rule.limit, rule.hard);
                spent.reached = rule.threshold(spent.amount).filter(|_| spent.amount > Nanodollars::ZERO);
            }
            spent.amount = spent.amount.saturating_add(cost);
            let threshold = rule.threshold(spent.amount);
            if threshold > spent.reached {
                spent.reached = threshold;
                reached.extend(threshold.map(|threshold| ThresholdReached {
                    threshold,
                    kind: rule.scope,
                    scope,
                    owner: rule.owner,
                    spent: spent.amount,
                    limit: rule.limit,
                }));
            }
        }
        reached
    }
}

impl Rule {
    fn threshold(&self, spent: Nanodollars) -> Option<Threshold> {
        if spent > self.hard {
            Some(Threshold::Over)
        } else if spent >= self.limit {
            Some(Threshold::AtLimit)
        } else if spent.permille_of(self.limit) >= APPROACHING_PERMILLE {
            Some(Threshold::Approaching)
        } else {
            None
        }
    }
}

/// How far back a rate looks, in minutes: long enough that one dear call is not a trend.
const RATE_MINUTES: usize = 5;
const MINUTE_MS: u64 = 60_000;

/// What each scope spent in the last minutes, and each run in all.
#[derive(Debug)]
pub(super) struct Rates {
    scopes: Bounded<(ScopeKind, Reference), Rate>,
}

#[derive(Debug, Default)]
struct Rate {
    total: Nanodollars,
    /// Spend in the minute whose number is beside it, at that number modulo the length.
    minutes: [(u64, Nanodollars); RATE_MINUTES],
}

impl Rate {
    fn per_minute(&self, now_ms: u64) -> Nanodollars {
        let minute = now_ms.checked_div(MINUTE_MS).unwrap_or(0);
        let recent = self
            .minutes
            .iter()
            .filter(|(number, _)| minute.saturating_sub(*number) < RATE_MINUTES as u64)
            .fold(0_u64, |sum, (_, spent)| sum.saturating_add(spent.as_u64()));
        Nanodollars::new(recent.checked_div(RATE_MINUTES as u64).unwrap_or(0))
    }

    fn spend(&mut self, now_ms: u64, cost: Nanodollars) {
        self.total = self.total.saturating_add(cost);
        let minute = now_ms.checked_div(MINUTE_MS).unwrap_or(0);
        let place = usize::try_from(minute).ok().and_then(|minute| minute.checked_rem(RATE_MINUTES)).unwrap_or(0);
        if let Some((number, spent)) = self.minutes.get_mut(place) {
            if *number != minute {
                (*number, *spent) = (minute, Nanodollars::ZERO);
            }
            *spent = spent.saturating_add(cost);
        }
    }
}

impl Rates {
    pub(super) fn new(capacity: usize) -> Self {
        Self { scopes: Bounded::new(capacity) }
    }

    /// What the run cost and how fast it and the fastest other scope spend, over the last five minutes.
    pub(super) fn read(&self, scopes: &ScopePath, now_ms: u64) -> Spending {
        let mut spending = Spending::default();
        for kind in ScopeKind::ALL {
            let rate = scopes.of(kind).and_then(|reference| self.scopes.get(&(kind, reference)));
            let Some(rate) = rate else { continue };
            let per_minute = rate.per_minute(now_ms);
            if kind == ScopeKind::Run {
                (spending.run_cost, spending.run_per_minute) = (rate.total, per_minute);
            } else if per_minute > spending.scope_per_minute {
                (spending.scope_per_minute, spending.fastest_scope) = (per_minute, kind);
            }
        }
        spending
    }

    pub(super) fn spend(&mut self, scopes: &ScopePath, now_ms: u64, cost: Nanodollars) {
        for kind in ScopeKind::ALL {
            if let Some(reference) = scopes.of(kind) {
                self.scopes.entry((kind, reference), now_ms).spend(now_ms, cost);
            }
        }
    }
}
