//! Lends the facts of a budget policy.

use std::mem::forget;

use super::{BudgetRecord, HASH_START, Lent, VerdictRecord, hash_scope_state, list, number, reason, rows, types};
use crate::Budget;
use crate::export::Component;
use crate::wire::budget::exports::tollgate::policy::budget::{Facts, Verdict};
use crate::wire::guest::policy;

static LENT: Lent<BudgetRecord> = Lent::new(BudgetRecord::ZERO);

/// Tells this layout from others.
pub const LAYOUT: u64 = VerdictRecord::hash(hash_scope_state(BudgetRecord::hash(HASH_START)));

/// Where the area lies; from now on there is memory for scopes.
pub fn lend() -> u32 {
    LENT.set_facts(BudgetRecord { scopes: rows::<types::ScopeState>(), ..BudgetRecord::ZERO });
    LENT.place()
}

/// The verdict on the facts in the area.
pub fn evaluate<C: Component<Policy: Budget>>() -> u64 {
    let facts = LENT.facts();
    let facts = Facts {
        dispatch: dispatch!(facts),
        model: facts.model,
        tier: word!(facts.tier, types::Tier { Low, Middle, Premium }),
        estimated_cost: facts.estimated_cost,
        output_tokens: facts.output_tokens,
        scopes: list(facts.scopes, facts.scopes_count),
    };
    let facts = facts.into();
    let verdict = policy::<C>().evaluate(&facts);
    forget(facts.scopes);
    match verdict.into() {
        Verdict::Proceed => number(0, 0),
        Verdict::Slow(milliseconds) => number(1, milliseconds),
        Verdict::CapOutput(tokens) => number(2, tokens),
        Verdict::HoldForApproval(why) => {
            LENT.set_verdict(reason(why));
            number(3, 0)
        }
        Verdict::Refuse(why) => {
            LENT.set_verdict(reason(why));
            number(4, 0)
        }
    }
}
