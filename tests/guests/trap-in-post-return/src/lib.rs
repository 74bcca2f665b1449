//! Gives a verdict, and traps when the host lets it clean up.

use std::sync::atomic::{AtomicBool, Ordering};

use plain_policy::{BudgetFacts, BudgetVerdict, Guest};

struct TrapInPostReturn;

static ARMED: AtomicBool = AtomicBool::new(false);

impl Guest for TrapInPostReturn {
    fn budget(_: BudgetFacts) -> BudgetVerdict {
        ARMED.store(true, Ordering::Relaxed);
        BudgetVerdict::Proceed
    }
}

/// The canonical ABI's name for what runs after the result was read.
#[unsafe(export_name = "cabi_post_tollgate:policy/budget@0.1.0#evaluate")]
extern "C" fn clean_up(_result: *mut u8) {
    if ARMED.load(Ordering::Relaxed) {
        core::arch::wasm32::unreachable()
    }
}

plain_policy::export!(only the component of TrapInPostReturn as budget);
