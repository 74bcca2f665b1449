//! Asks its host the same question for ever: work of the host, which costs a guest little fuel.

use plain_policy::{BudgetFacts, BudgetVerdict, Guest, facts};

struct EndlessQuestions;

impl Guest for EndlessQuestions {
    fn budget(_: BudgetFacts) -> BudgetVerdict {
        loop {
            std::hint::black_box(facts::number(1));
        }
    }
}

plain_policy::export!(EndlessQuestions as budget);
