//! Scribbles over everything it has lent, after each answer. It harms nobody: what the host needs it writes anew, and
//! where the rows lie it has not forgotten.

use plain_policy::{BudgetFacts, BudgetVerdict, Guest, lent};

struct LentScribbler;

impl Guest for LentScribbler {
    /// Says what it saw, so that a fact that was not written would be noticed.
    fn budget(facts: BudgetFacts) -> BudgetVerdict {
        let spent = facts.scopes.iter().fold(facts.estimated_cost, |sum, scope| sum.wrapping_add(scope.spent));
        BudgetVerdict::CapOutput((spent % 1_000) as u32 + 1_000)
    }
}

fn evaluate() -> u64 {
    let verdict = lent::budget_evaluate::<LentScribbler>();
    lent::BUDGET.put(0, &[0xff; (13 + 64 * 7) * 8]);
    verdict
}

plain_policy::export!(only the component of LentScribbler as budget);
plain_policy::lend!(budget: lent::BUDGET_LAYOUT, lent::budget_area, evaluate);
