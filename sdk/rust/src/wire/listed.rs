//! The exports of the kinds that are handed a list, in the place of the generated ones.
//!
//! What is generated takes every record of a list apart and puts it together again in a second allocation, because an
//! enumeration has bytes that are no word of it: half of what the guest spends on a decision with eight candidates and five scopes.
//! The host writes words only, so the list it has written is taken as it is. Parameters and result are the canonical
//! ABI's; the generated export calls what is here because its macro is told to look for the types in here.

#![expect(unsafe_code, reason = "lists and words come as the host has written them; each place says why that is sound")]

use std::cell::UnsafeCell;
use std::mem::offset_of;

use super::guest::policy;
use super::types;
use super::{budget as budget_part, routing as routing_part};
use crate::export::Component;
use crate::{Budget, Routing};

use budget_part::exports::tollgate::policy::budget as wire_budget;
use routing_part::exports::tollgate::policy::routing as wire_routing;

/// Where the generated macros look.
macro_rules! in_place_of {
    ($kind:ident, $generated:ident, $evaluate:ident) => {
        #[doc(hidden)]
        pub mod $kind {
            pub mod exports {
                pub mod tollgate {
                    pub mod policy {
                        pub mod $kind {
                            pub use crate::wire::listed::$evaluate as _export_evaluate_cabi;
                            pub use crate::wire::$kind::exports::tollgate::policy::$kind::$generated;
                        }
                    }
                }
            }
        }
    };
}

in_place_of!(routing, __export_tollgate_policy_routing_0_1_0_cabi, evaluate_routing);
in_place_of!(budget, __export_tollgate_policy_budget_0_1_0_cabi, evaluate_budget);

/// A verdict as the canonical ABI returns it, of the kinds that have lists: the case, and 8 bytes on what goes with it, which is
/// a number or a reason.
#[repr(C)]
struct Returned {
    case: u64,
    /// The code of a reason.
    with: u32,
    unit: u8,
    actual: u64,
    limit: u64,
}

const _: () = assert!(
    offset_of!(Returned, with) == 8
        && offset_of!(Returned, unit) == 12
        && offset_of!(Returned, actual) == 16
        && offset_of!(Returned, limit) == 24
);

struct Area(UnsafeCell<Returned>);

// SAFETY: without atomics a guest has one thread.
#[cfg(not(target_feature = "atomics"))]
unsafe impl Sync for Area {}

/// Read by the host before it calls again.
static RETURNED: Area = Area(UnsafeCell::new(Returned { case: 0, with: 0, unit: 0, actual: 0, limit: 0 }));

impl Returned {
    const fn number(case: u64, with: u32) -> Self {
        Self { case, with, unit: 0, actual: 0, limit: 0 }
    }

    const fn reason(case: u64, reason: types::Reason) -> Self {
        let types::Reason { code, unit, actual, limit } = reason;
        Self { case, with: code, unit: unit as u8, actual, limit }
    }

    fn place(self) -> *mut u8 {
        // SAFETY: one thread, and the host does not read while the guest runs.
        unsafe { RETURNED.0.get().write(self) };
        RETURNED.0.get().cast()
    }
}

/// The list that the host has written into memory that it asked this guest's allocator for.
///
/// # Safety
/// `count` valid rows lie at `place`, in an allocation of just their size and alignment, or `count` is 0.
unsafe fn list<Row>(place: *mut u8, count: usize) -> Vec<Row> {
    // SAFETY: the caller's promise.
    unsafe { Vec::from_raw_parts(place.cast(), count, count) }
}

/// The low byte, which is all there is to a word.
const fn byte(parameter: i32) -> u8 {
    parameter.to_le_bytes()[0]
}

/// The first parameters of every kind.
const fn dispatch(
    now: i64,
    waited_ms: i32,
    task_type: i32,
    stage: i32,
    priority: i32,
    approved: i32,
) -> types::Dispatch {
    types::Dispatch {
        now: now.cast_unsigned(),
        waited_ms: waited_ms.cast_unsigned(),
        task_type: task_type.cast_unsigned(),
        stage: stage.cast_unsigned(),
        priority: word!(byte(priority), types::Priority { Low, Normal, High }),
        approved: approved != 0,
    }
}

/// The sixteen flat parameters of `routing.evaluate`.
///
/// # Safety
/// The host calls it, with values of the contract.
#[expect(clippy::too_many_arguments, reason = "the canonical ABI's")]
pub unsafe fn evaluate_routing<C: Component<Policy: Routing>>(
    now: i64,
    waited_ms: i32,
    task_type: i32,
    stage: i32,
    priority: i32,
    approved: i32,
    floor: i32,
    requested_tier: i32,
    requested_model: i32,
    sticky_given: i32,
    sticky: i32,
    affordable: i64,
    rejections: i32,
    input_tokens: i64,
    candidates: *mut u8,
    candidates_count: usize,
) -> *mut u8 {
    use wire_routing::{Facts, RequestedTier, Verdict};

    let facts = Facts {
        dispatch: dispatch(now, waited_ms, task_type, stage, priority, approved),
        floor: word!(byte(floor), types::Tier { Low, Middle, Premium }),
        requested_tier: word!(byte(requested_tier), RequestedTier { None, Low, Middle, Premium }),
        requested_model: requested_model.cast_unsigned(),
        sticky: (sticky_given != 0).then_some(sticky.cast_unsigned()),
        affordable: affordable.cast_unsigned(),
        rejections: rejections.cast_unsigned(),
        input_tokens: input_tokens.cast_unsigned(),
        // SAFETY: the canonical ABI's promise about a list.
        candidates: unsafe { list(candidates, candidates_count) },
    };
    match policy::<C>().evaluate(&facts.into()).into() {
        Verdict::UseCandidate(index) => Returned::number(0, index),
        Verdict::NoOpinion => Returned::number(1, 0),
        Verdict::Refuse(why) => Returned::reason(2, why),
    }
    .place()
}

/// The twelve flat parameters of `budget.evaluate`.
///
/// # Safety
/// The host calls it, with values of the contract.
#[expect(clippy::too_many_arguments, reason = "the canonical ABI's")]
pub unsafe fn evaluate_budget<C: Component<Policy: Budget>>(
    now: i64,
    waited_ms: i32,
    task_type: i32,
    stage: i32,
    priority: i32,
    approved: i32,
    model: i32,
    tier: i32,
    estimated_cost: i64,
    output_tokens: i64,
    scopes: *mut u8,
    scopes_count: usize,
) -> *mut u8 {
    use wire_budget::{Facts, Verdict};

    let facts = Facts {
        dispatch: dispatch(now, waited_ms, task_type, stage, priority, approved),
        model: model.cast_unsigned(),
        tier: word!(byte(tier), types::Tier { Low, Middle, Premium }),
        estimated_cost: estimated_cost.cast_unsigned(),
        output_tokens: output_tokens.cast_unsigned(),
        // SAFETY: the canonical ABI's promise about a list.
        scopes: unsafe { list(scopes, scopes_count) },
    };
    match policy::<C>().evaluate(&facts.into()).into() {
        Verdict::Proceed => Returned::number(0, 0),
        Verdict::Slow(milliseconds) => Returned::number(1, milliseconds),
        Verdict::CapOutput(tokens) => Returned::number(2, tokens),
        Verdict::HoldForApproval(why) => Returned::reason(3, why),
        Verdict::Refuse(why) => Returned::reason(4, why),
    }
    .place()
}
