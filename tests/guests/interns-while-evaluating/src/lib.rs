//! Interns a name during an evaluation.

use plain_policy::{BudgetFacts, BudgetVerdict, Guest, facts};

struct InternsWhileEvaluating;

impl Guest for InternsWhileEvaluating {
    fn budget(facts: BudgetFacts) -> BudgetVerdict {
        facts::intern(&format!("seen at {}", facts.dispatch.now));
        BudgetVerdict::Proceed
    }
}

plain_policy::export!(InternsWhileEvaluating as budget);
