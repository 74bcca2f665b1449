//! Facts as they lie in lent memory: the contract's records, nested ones taken apart, each field at the next multiple of
//! its own size. Each layout has a number that the guest must name too, so that two layouts never meet.

use tollgate_core::PolicyKind;

use crate::bindings::{budget, kill_switch, retry_ceiling, routing, types};
use crate::rows;

/// Name, offset and size in bytes.
pub(crate) type Field = (&'static str, usize, usize);

/// Defines a record of numbers: its size and the offset of each field.
macro_rules! record {
    ($(#[$doc:meta])* $name:ident[$size:literal] { $($field:ident: $type:ty = $offset:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub(super) struct $name { $(pub(super) $field: $type),+ }

        impl $name {
            pub(super) const SIZE: usize = $size;
            pub(super) const FIELDS: &[Field] = &[$((stringify!($field), $offset, size_of::<$type>())),+];

            /// Puts each field where it belongs; what is between them stays the guest's.
            #[inline]
            #[allow(dead_code, reason = "facts are written and never read, verdicts the other way round")]
            pub(super) fn write(&self, area: &mut [u8; $size]) {
                $(area[$offset..$offset + size_of::<$type>()].copy_from_slice(&self.$field.to_le_bytes());)+
            }

            /// What lies in memory.
            #[allow(dead_code, reason = "facts are written and never read, verdicts the other way round")]
            pub(super) fn read(bytes: &[u8; $size]) -> Self {
                let mut record = Self::default();
                $(
                    let mut field = [0; size_of::<$type>()];
                    field.copy_from_slice(&bytes[$offset..$offset + size_of::<$type>()]);
                    record.$field = <$type>::from_le_bytes(field);
                )+
                record
            }
        }
    };
}

record!(
    /// `kill-switch.facts`
    KillSwitchRecord[80] {
        now: u64 = 0, waited_ms: u32 = 8, task_type: u32 = 12, stage: u32 = 16, priority: u8 = 20, approved: u8 = 21,
        moment: u8 = 22, covered: u8 = 23, covered_reason: u32 = 24, run_cost: u64 = 32,
        run_spend_per_minute: u64 = 40, scope_spend_per_minute: u64 = 48, fastest_scope: u8 = 56,
        task_type_p95: u64 = 64, finished_runs: u32 = 72,
    }
);

record!(
    /// `retry-ceiling.facts`
    RetryCeilingRecord[72] {
        now: u64 = 0, waited_ms: u32 = 8, task_type: u32 = 12, stage: u32 = 16, priority: u8 = 20, approved: u8 = 21,
        attempts: u32 = 24, streak: u32 = 28, streak_elapsed_ms: u64 = 32, since_failure_ms: u64 = 40,
        fast_failures: u32 = 48, rejections: u32 = 52, failed_tier: u8 = 56, repetition: u8 = 57,
        repetitions: u32 = 60, input_tokens: u64 = 64,
    }
);

record!(
    /// `routing.facts`
    RoutingRecord[72] {
        now: u64 = 0, waited_ms: u32 = 8, task_type: u32 = 12, stage: u32 = 16, priority: u8 = 20, approved: u8 = 21,
        floor: u8 = 22, requested_tier: u8 = 23, requested_model: u32 = 24, sticky_given: u8 = 28, sticky: u32 = 32,
        affordable: u64 = 40, rejections: u32 = 48, input_tokens: u64 = 56, candidates: u32 = 64,
        candidates_count: u32 = 68,
    }
);

record!(
    /// `budget.facts`
    BudgetRecord[56] {
        now: u64 = 0, waited_ms: u32 = 8, task_type: u32 = 12, stage: u32 = 16, priority: u8 = 20, approved: u8 = 21,
        model: u32 = 24, tier: u8 = 28, estimated_cost: u64 = 32, output_tokens: u64 = 40, scopes: u32 = 48,
        scopes_count: u32 = 52,
    }
);

record!(
    /// What the guest leaves behind a verdict with a reason, or with a trip. The rest of the verdict is in its number.
    VerdictRecord[48] {
        code: u32 = 0, unit: u8 = 4, actual: u64 = 8, limit: u64 = 16,
        selector: u8 = 24, selected: u32 = 28, mode: u8 = 32, time_to_live_ms: u64 = 40,
    }
);

/// What a guest lends for a kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// The facts' size in bytes; the verdict follows.
    pub(super) facts: usize,
    /// Where the facts name the list of rows, and the size of a row.
    pub(super) rows: Option<(usize, usize)>,
    /// What the guest's `layout` has to return.
    pub(super) number: u64,
}

impl Layout {
    pub(super) const fn of(kind: PolicyKind) -> Self {
        match kind {
            PolicyKind::KillSwitch => {
                Self { facts: KillSwitchRecord::SIZE, rows: None, number: number(KillSwitchRecord::FIELDS, &[]) }
            }
            PolicyKind::RetryCeiling => {
                Self { facts: RetryCeilingRecord::SIZE, rows: None, number: number(RetryCeilingRecord::FIELDS, &[]) }
            }
            PolicyKind::Routing => Self {
                facts: RoutingRecord::SIZE,
                rows: Some((64, rows::candidate::SIZE)),
                number: number(RoutingRecord::FIELDS, rows::candidate::FIELDS),
            },
            PolicyKind::Budget => Self {
                facts: BudgetRecord::SIZE,
                rows: Some((48, rows::scope_state::SIZE)),
                number: number(BudgetRecord::FIELDS, rows::scope_state::FIELDS),
            },
        }
    }
}

/// FNV-1a (64 bits) over each field's name, offset and size: those of the facts, of a row, of the verdict. Offsets and
/// sizes are taken as one step each.
const fn number(facts: &[Field], row: &[Field]) -> u64 {
    hash(hash(hash(0xcbf2_9ce4_8422_2325, facts), row), VerdictRecord::FIELDS)
}

const fn hash(mut hash: u64, fields: &[Field]) -> u64 {
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let mut field = 0;
    while field < fields.len() {
        let (name, offset, size) = fields[field];
        let name = name.as_bytes();
        let mut at = 0;
        while at < name.len() {
            hash = (hash ^ name[at] as u64).wrapping_mul(PRIME);
            at += 1;
        }
        hash = (hash ^ offset as u64).wrapping_mul(PRIME);
        hash = (hash ^ size as u64).wrapping_mul(PRIME);
        field += 1;
    }
    hash
}

/// A record with the dispatch's fields, and the ones named.
macro_rules! with_dispatch {
    ($record:ident, $facts:ident, { $($field:ident: $value:expr),+ $(,)? }) => {{
        let types::Dispatch { now, waited_ms, task_type, stage, priority, approved } = $facts.dispatch;
        $record {
            now, waited_ms, task_type, stage, priority: priority as u8, approved: u8::from(approved),
            $($field: $value),+
        }
    }};
}

impl From<&kill_switch::Facts> for KillSwitchRecord {
    #[inline]
    fn from(facts: &kill_switch::Facts) -> Self {
        with_dispatch!(Self, facts, {
            moment: facts.moment as u8,
            covered: facts.covered as u8,
            covered_reason: facts.covered_reason,
            run_cost: facts.run_cost,
            run_spend_per_minute: facts.run_spend_per_minute,
            scope_spend_per_minute: facts.scope_spend_per_minute,
            fastest_scope: facts.fastest_scope as u8,
            task_type_p95: facts.task_type_p95,
            finished_runs: facts.finished_runs,
        })
    }
}

impl From<&retry_ceiling::Facts> for RetryCeilingRecord {
    #[inline]
    fn from(facts: &retry_ceiling::Facts) -> Self {
        with_dispatch!(Self, facts, {
            attempts: facts.attempts,
            streak: facts.streak,
            streak_elapsed_ms: facts.streak_elapsed_ms,
            since_failure_ms: facts.since_failure_ms,
            fast_failures: facts.fast_failures,
            rejections: facts.rejections,
            failed_tier: facts.failed_tier as u8,
            repetition: facts.repetition as u8,
            repetitions: facts.repetitions,
            input_tokens: facts.input_tokens,
        })
    }
}

impl RoutingRecord {
    /// The candidates are rows elsewhere: `count` of them, at `place` in the guest's memory.
    #[inline]
    pub(super) fn new(facts: &routing::Facts, place: u32, count: u32) -> Self {
        with_dispatch!(Self, facts, {
            floor: facts.floor as u8,
            requested_tier: facts.requested_tier as u8,
            requested_model: facts.requested_model,
            sticky_given: u8::from(facts.sticky.is_some()),
            sticky: facts.sticky.unwrap_or(0),
            affordable: facts.affordable,
            rejections: facts.rejections,
            input_tokens: facts.input_tokens,
            candidates: place,
            candidates_count: count,
        })
    }
}

impl BudgetRecord {
    /// The scopes are rows elsewhere: `count` of them, at `place` in the guest's memory.
    #[inline]
    pub(super) fn new(facts: &budget::Facts, place: u32, count: u32) -> Self {
        with_dispatch!(Self, facts, {
            model: facts.model,
            tier: facts.tier as u8,
            estimated_cost: facts.estimated_cost,
            output_tokens: facts.output_tokens,
            scopes: place,
            scopes_count: count,
        })
    }
}
