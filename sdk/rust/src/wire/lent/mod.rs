//! Lent facts: the second way into a policy, beside the component's own exports.
//!
//! The guest lends the host an area of its memory for each kind. The host writes the facts there, calls a function
//! without parameters, and gets the verdict in one number; only a reason or a trip is left in the area. Same facts,
//! same verdicts, without the canonical ABI's bookkeeping. Layout and rules: `docs/lent-facts.md`.

#![expect(unsafe_code, reason = "the host writes into memory that is lent to it; each place says why that is sound")]

use std::cell::UnsafeCell;
use std::mem::{forget, offset_of};

use super::types;

/// The most rows of a list: candidates, scopes.
const MOST_ROWS: usize = 64;

/// FNV-1a over the names, places and sizes of fields: a host that writes another layout sees another number.
const fn hash_field(mut hash: u64, name: &str, offset: usize, size: usize) -> u64 {
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let name = name.as_bytes();
    let mut at = 0;
    while at < name.len() {
        hash = (hash ^ name[at] as u64).wrapping_mul(PRIME);
        at += 1;
    }
    hash = (hash ^ offset as u64).wrapping_mul(PRIME);
    (hash ^ size as u64).wrapping_mul(PRIME)
}

/// FNV-1a's offset basis.
const HASH_START: u64 = 0xcbf2_9ce4_8422_2325;

/// A record as it lies in memory. Its fields are those of the contract's record, nested ones taken apart, in order: then
/// the places are the canonical ABI's.
macro_rules! record {
    ($name:ident { $($field:ident: $type:ty),+ $(,)? }) => {
        #[derive(Clone, Copy)]
        #[repr(C)]
        struct $name { $($field: $type),+ }

        impl $name {
            const fn hash(mut hash: u64) -> u64 {
                $(hash = hash_field(hash, stringify!($field), offset_of!($name, $field), size_of::<$type>());)+
                hash
            }

            const ZERO: Self = Self { $($field: 0),+ };
        }
    };
}

record!(KillSwitchRecord {
    now: u64,
    waited_ms: u32,
    task_type: u32,
    stage: u32,
    priority: u8,
    approved: u8,
    moment: u8,
    covered: u8,
    covered_reason: u32,
    run_cost: u64,
    run_spend_per_minute: u64,
    scope_spend_per_minute: u64,
    fastest_scope: u8,
    task_type_p95: u64,
    finished_runs: u32,
});

record!(RetryCeilingRecord {
    now: u64,
    waited_ms: u32,
    task_type: u32,
    stage: u32,
    priority: u8,
    approved: u8,
    attempts: u32,
    streak: u32,
    streak_elapsed_ms: u64,
    since_failure_ms: u64,
    fast_failures: u32,
    rejections: u32,
    failed_tier: u8,
    repetition: u8,
    repetitions: u32,
    input_tokens: u64,
});

record!(RoutingRecord {
    now: u64,
    waited_ms: u32,
    task_type: u32,
    stage: u32,
    priority: u8,
    approved: u8,
    floor: u8,
    requested_tier: u8,
    requested_model: u32,
    sticky_given: u8,
    sticky: u32,
    affordable: u64,
    rejections: u32,
    input_tokens: u64,
    candidates: u32,
    candidates_count: u32,
});

record!(BudgetRecord {
    now: u64,
    waited_ms: u32,
    task_type: u32,
    stage: u32,
    priority: u8,
    approved: u8,
    model: u32,
    tier: u8,
    estimated_cost: u64,
    output_tokens: u64,
    scopes: u32,
    scopes_count: u32,
});

// What the guest leaves for the host to read, where the verdict's number does not say all.
record!(VerdictRecord {
    code: u32,
    unit: u8,
    actual: u64,
    limit: u64,
    selector: u8,
    selected: u32,
    mode: u8,
    time_to_live_ms: u64,
});

/// Hashes the fields of a row, which is the generated type itself.
macro_rules! hash_row {
    ($hash:expr, $row:ty { $($field:ident: $type:ty),+ $(,)? }) => {{
        let mut hash = $hash;
        $(hash = hash_field(hash, stringify!($field), offset_of!($row, $field), size_of::<$type>());)+
        hash
    }};
}

const fn hash_candidate(hash: u64) -> u64 {
    hash_row!(
        hash,
        types::Candidate {
            model: u32,
            backend: u32,
            tier: u8,
            health: u8,
            hosting: u8,
            warm: u8,
            free_slots: u32,
            estimated_cost: u64,
        }
    )
}

const fn hash_scope_state(hash: u64) -> u64 {
    hash_row!(
        hash,
        types::ScopeState {
            kind: u8,
            owner: u32,
            spent: u64,
            reserved: u64,
            limit: u64,
            hard: u64,
            window_end: u64,
            utilisation_permille: u32,
        }
    )
}

/// What is lent for one kind.
#[repr(C)]
struct Area<Record> {
    /// The host's to write, before each call.
    facts: Record,
    /// The guest's to write, in a call.
    verdict: VerdictRecord,
}

/// An area for the life of the instance.
struct Lent<Record>(UnsafeCell<Area<Record>>);

// SAFETY: without atomics a guest has one thread.
#[cfg(not(target_feature = "atomics"))]
unsafe impl<Record> Sync for Lent<Record> {}

impl<Record: Copy> Lent<Record> {
    const fn new(facts: Record) -> Self {
        Self(UnsafeCell::new(Area { facts, verdict: VerdictRecord::ZERO }))
    }

    /// The number that the host knows the area by.
    fn place(&self) -> u32 {
        address(self.0.get())
    }

    /// What the host has written. Not for keeping beyond the call.
    fn facts(&self) -> &Record {
        // SAFETY: one thread; the host writes between calls only, and the guest only while it lends.
        unsafe { &(*self.0.get()).facts }
    }

    fn set_facts(&self, facts: Record) {
        // SAFETY: one thread, and nobody holds facts while they are lent.
        unsafe { (*self.0.get()).facts = facts }
    }

    fn set_verdict(&self, verdict: VerdictRecord) {
        // SAFETY: one thread, and nobody holds a reference to the verdict.
        unsafe { (*self.0.get()).verdict = verdict }
    }
}

/// Memory is of 32 bits here.
fn address<T>(place: *const T) -> u32 {
    u32::try_from(place.addr()).expect("a guest's addresses have 32 bits")
}

/// Memory for the rows of a list, for the life of the instance.
fn rows<Row>() -> u32 {
    let mut rows = Vec::<Row>::with_capacity(MOST_ROWS);
    let place = rows.as_mut_ptr().expose_provenance();
    forget(rows);
    u32::try_from(place).expect("a guest's addresses have 32 bits")
}

/// The list that the host has written. The caller forgets it after the call: its memory stays lent.
fn list<Row>(place: u32, count: u32) -> Vec<Row> {
    assert!(place != 0, "lent before it is asked");
    let count = (count as usize).min(MOST_ROWS);
    // SAFETY: `rows` made it of this type with this capacity, and nobody frees it. The host has written `count` rows,
    // each valid: a host that writes others breaks the contract of the other lane as well.
    unsafe { Vec::from_raw_parts(std::ptr::with_exposed_provenance_mut(place as usize), count, MOST_ROWS) }
}

macro_rules! dispatch {
    ($facts:ident) => {
        types::Dispatch {
            now: $facts.now,
            waited_ms: $facts.waited_ms,
            task_type: $facts.task_type,
            stage: $facts.stage,
            priority: word!($facts.priority, types::Priority { Low, Normal, High }),
            approved: $facts.approved != 0,
        }
    };
}

/// The number of a verdict: its case, and above 32 bits what goes with it.
fn number(case: u8, with: u32) -> u64 {
    u64::from(case) | u64::from(with) << 32
}

fn reason(reason: types::Reason) -> VerdictRecord {
    let types::Reason { code, unit, actual, limit } = reason;
    VerdictRecord { code, unit: unit as u8, actual, limit, ..VerdictRecord::ZERO }
}

// Behind the macros that they use.
pub mod budget;
pub mod kill_switch;
pub mod retry_ceiling;
pub mod routing;

/// Exports what one kind lends.
#[doc(hidden)]
#[macro_export]
macro_rules! __lend_kind {
    (kill_switch $component:ident) => { $crate::__lend_kind!(@ kill_switch $component "tollgate_lent_kill_switch"); };
    (retry_ceiling $component:ident) => { $crate::__lend_kind!(@ retry_ceiling $component "tollgate_lent_retry_ceiling"); };
    (routing $component:ident) => { $crate::__lend_kind!(@ routing $component "tollgate_lent_routing"); };
    (budget $component:ident) => { $crate::__lend_kind!(@ budget $component "tollgate_lent_budget"); };
    (@ $kind:ident $component:ident $name:literal) => {
        const _: () = {
            #[unsafe(export_name = concat!($name, "_layout"))]
            extern "C" fn layout() -> u64 {
                $crate::wire::lent::$kind::LAYOUT
            }

            #[unsafe(export_name = concat!($name, "_area"))]
            extern "C" fn area() -> u32 {
                $crate::wire::lent::$kind::lend()
            }

            #[unsafe(export_name = concat!($name, "_evaluate"))]
            extern "C" fn evaluate() -> u64 {
                $crate::wire::lent::$kind::evaluate::<$component>()
            }
        };
    };
}
