//! Lent facts without the SDK, from `docs/lent-facts.md` byte by byte.

use std::cell::UnsafeCell;

use crate::types::{
    Candidate, Dispatch, Health, Hosting, Priority, Reason, ScopeKind, ScopeState, Selector, SwitchMode, Tier,
};
use crate::{
    BudgetFacts, BudgetVerdict, Guest, KillSwitchFacts, KillSwitchVerdict, RetryCeilingFacts, RetryCeilingVerdict,
    RoutingFacts, RoutingVerdict, budget, kill_switch, retry_ceiling, routing,
};

/// Facts, verdict and rows of one kind, in units that are aligned as the page wants it.
pub struct Area<const WORDS: usize>(UnsafeCell<[u64; WORDS]>);

// SAFETY: a guest has one thread.
unsafe impl<const WORDS: usize> Sync for Area<WORDS> {}

pub static KILL_SWITCH: Area<16> = Area::new();
pub static RETRY_CEILING: Area<15> = Area::new();
pub static ROUTING: Area<{ 15 + 64 * 3 }> = Area::new();
pub static BUDGET: Area<{ 13 + 64 * 7 }> = Area::new();

pub const KILL_SWITCH_LAYOUT: u64 = 0x3f1a_c130_b9ea_c333;
pub const RETRY_CEILING_LAYOUT: u64 = 0x0cd6_8931_ddf9_00e6;
pub const ROUTING_LAYOUT: u64 = 0xd382_339b_77da_dc23;
pub const BUDGET_LAYOUT: u64 = 0x3c1f_1ea2_f8c2_fc41;

/// Where the verdict's record begins.
const KILL_SWITCH_VERDICT: usize = 80;
const RETRY_CEILING_VERDICT: usize = 72;
const ROUTING_VERDICT: usize = 72;
const BUDGET_VERDICT: usize = 56;

impl<const WORDS: usize> Area<WORDS> {
    const fn new() -> Self {
        Self(UnsafeCell::new([0; WORDS]))
    }

    pub fn address(&self) -> u32 {
        self.0.get().expose_provenance() as u32
    }

    fn bytes<const SIZE: usize>(&self, at: usize) -> [u8; SIZE] {
        assert!(at + SIZE <= WORDS * 8);
        // SAFETY: inside the area, and nobody writes to it meanwhile.
        unsafe { self.0.get().cast::<u8>().add(at).cast::<[u8; SIZE]>().read() }
    }

    pub fn put(&self, at: usize, bytes: &[u8]) {
        assert!(at + bytes.len() <= WORDS * 8);
        // SAFETY: inside the area, and nobody else holds it.
        unsafe { self.0.get().cast::<u8>().add(at).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) }
    }

    fn u8(&self, at: usize) -> u8 {
        let [byte] = self.bytes(at);
        byte
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.bytes(at))
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.bytes(at))
    }

    fn dispatch(&self) -> Dispatch {
        Dispatch {
            now: self.u64(0),
            waited_ms: self.u32(8),
            task_type: self.u32(12),
            stage: self.u32(16),
            priority: [Priority::Low, Priority::Normal, Priority::High][usize::from(self.u8(20))],
            approved: self.u8(21) == 1,
        }
    }

    fn reason(&self, at: usize, reason: Reason) {
        self.put(at, &reason.code.to_le_bytes());
        self.put(at + 4, &[reason.unit as u8]);
        self.put(at + 8, &reason.actual.to_le_bytes());
        self.put(at + 16, &reason.limit.to_le_bytes());
    }
}

const TIERS: [Tier; 3] = [Tier::Low, Tier::Middle, Tier::Premium];
const SCOPES: [ScopeKind; 7] = [
    ScopeKind::Organisation,
    ScopeKind::Team,
    ScopeKind::Project,
    ScopeKind::WorkItem,
    ScopeKind::Run,
    ScopeKind::User,
    ScopeKind::Key,
];

fn number(case: u8, with: u32) -> u64 {
    u64::from(case) | u64::from(with) << 32
}

pub fn kill_switch_area() -> u32 {
    KILL_SWITCH.address()
}

pub fn retry_ceiling_area() -> u32 {
    RETRY_CEILING.address()
}

/// The rows follow the verdict.
pub fn routing_area() -> u32 {
    let rows = ROUTING.address() + 120;
    ROUTING.put(64, &rows.to_le_bytes());
    ROUTING.address()
}

/// The rows follow the verdict.
pub fn budget_area() -> u32 {
    let rows = BUDGET.address() + 104;
    BUDGET.put(48, &rows.to_le_bytes());
    BUDGET.address()
}

pub fn kill_switch_evaluate<G: Guest>() -> u64 {
    use kill_switch::exports::tollgate::policy::kill_switch::{Cover, Guest as Exported, Moment};

    let area = &KILL_SWITCH;
    let verdict = <G as Exported>::evaluate(KillSwitchFacts {
        dispatch: area.dispatch(),
        moment: [Moment::Dispatch, Moment::Extend, Moment::Post][usize::from(area.u8(22))],
        covered: [Cover::None, Cover::Drain, Cover::Cut][usize::from(area.u8(23))],
        covered_reason: area.u32(24),
        run_cost: area.u64(32),
        run_spend_per_minute: area.u64(40),
        scope_spend_per_minute: area.u64(48),
        fastest_scope: SCOPES[usize::from(area.u8(56))],
        task_type_p95: area.u64(64),
        finished_runs: area.u32(72),
    });
    match verdict {
        KillSwitchVerdict::Proceed => number(0, 0),
        KillSwitchVerdict::Stop(reason) => {
            area.reason(KILL_SWITCH_VERDICT, reason);
            number(1, 0)
        }
        KillSwitchVerdict::Trip(trip) => {
            let (selector, selected) = match trip.selector {
                Selector::Everything => (0, 0),
                Selector::Scope(kind) => (1, kind as u32),
                Selector::Model(model) => (2, model),
                Selector::TaskType(task_type) => (3, task_type),
            };
            area.reason(KILL_SWITCH_VERDICT, trip.reason);
            area.put(KILL_SWITCH_VERDICT + 24, &[selector]);
            area.put(KILL_SWITCH_VERDICT + 28, &selected.to_le_bytes());
            area.put(KILL_SWITCH_VERDICT + 32, &[(trip.mode == SwitchMode::Cut).into()]);
            area.put(KILL_SWITCH_VERDICT + 40, &trip.time_to_live_ms.to_le_bytes());
            number(2, 0)
        }
    }
}

pub fn retry_ceiling_evaluate<G: Guest>() -> u64 {
    use retry_ceiling::exports::tollgate::policy::retry_ceiling::{FailedTier, Guest as Exported, Repetition};

    let area = &RETRY_CEILING;
    let tiers = [FailedTier::None, FailedTier::Low, FailedTier::Middle, FailedTier::Premium];
    let repetitions = [
        Repetition::None,
        Repetition::SameFailure,
        Repetition::TimedOutContext,
        Repetition::OutputLimit,
        Repetition::SameProposal,
    ];
    let verdict = <G as Exported>::evaluate(RetryCeilingFacts {
        dispatch: area.dispatch(),
        attempts: area.u32(24),
        streak: area.u32(28),
        streak_elapsed_ms: area.u64(32),
        since_failure_ms: area.u64(40),
        fast_failures: area.u32(48),
        rejections: area.u32(52),
        failed_tier: tiers[usize::from(area.u8(56))],
        repetition: repetitions[usize::from(area.u8(57))],
        repetitions: area.u32(60),
        input_tokens: area.u64(64),
    });
    match verdict {
        RetryCeilingVerdict::Proceed => number(0, 0),
        RetryCeilingVerdict::RaiseFloor(tier) => number(1, tier as u32),
        RetryCeilingVerdict::BackOff(milliseconds) => number(2, milliseconds),
        RetryCeilingVerdict::HoldForHuman(reason) => {
            area.reason(RETRY_CEILING_VERDICT, reason);
            number(3, 0)
        }
        RetryCeilingVerdict::Refuse(reason) => {
            area.reason(RETRY_CEILING_VERDICT, reason);
            number(4, 0)
        }
    }
}

pub fn routing_evaluate<G: Guest>() -> u64 {
    use routing::exports::tollgate::policy::routing::{Guest as Exported, RequestedTier};

    let area = &ROUTING;
    let tiers = [RequestedTier::None, RequestedTier::Low, RequestedTier::Middle, RequestedTier::Premium];
    let verdict = <G as Exported>::evaluate(RoutingFacts {
        dispatch: area.dispatch(),
        floor: TIERS[usize::from(area.u8(22))],
        requested_tier: tiers[usize::from(area.u8(23))],
        requested_model: area.u32(24),
        sticky: (area.u8(28) == 1).then(|| area.u32(32)),
        affordable: area.u64(40),
        rejections: area.u32(48),
        input_tokens: area.u64(56),
        candidates: (0..area.u32(68) as usize).map(|row| candidate(120 + row * 24)).collect(),
    });
    match verdict {
        RoutingVerdict::UseCandidate(index) => number(0, index),
        RoutingVerdict::NoOpinion => number(1, 0),
        RoutingVerdict::Refuse(reason) => {
            area.reason(ROUTING_VERDICT, reason);
            number(2, 0)
        }
    }
}

fn candidate(at: usize) -> Candidate {
    let area = &ROUTING;
    Candidate {
        model: area.u32(at),
        backend: area.u32(at + 4),
        tier: TIERS[usize::from(area.u8(at + 8))],
        health: [Health::Healthy, Health::Degraded, Health::Down][usize::from(area.u8(at + 9))],
        hosting: [Hosting::Remote, Hosting::Local][usize::from(area.u8(at + 10))],
        warm: area.u8(at + 11) == 1,
        free_slots: area.u32(at + 12),
        estimated_cost: area.u64(at + 16),
    }
}

pub fn budget_evaluate<G: Guest>() -> u64 {
    use budget::exports::tollgate::policy::budget::Guest as Exported;

    let area = &BUDGET;
    let verdict = <G as Exported>::evaluate(BudgetFacts {
        dispatch: area.dispatch(),
        model: area.u32(24),
        tier: TIERS[usize::from(area.u8(28))],
        estimated_cost: area.u64(32),
        output_tokens: area.u64(40),
        scopes: (0..area.u32(52) as usize).map(|row| scope_state(104 + row * 56)).collect(),
    });
    match verdict {
        BudgetVerdict::Proceed => number(0, 0),
        BudgetVerdict::Slow(milliseconds) => number(1, milliseconds),
        BudgetVerdict::CapOutput(tokens) => number(2, tokens),
        BudgetVerdict::HoldForApproval(reason) => {
            area.reason(BUDGET_VERDICT, reason);
            number(3, 0)
        }
        BudgetVerdict::Refuse(reason) => {
            area.reason(BUDGET_VERDICT, reason);
            number(4, 0)
        }
    }
}

fn scope_state(at: usize) -> ScopeState {
    let area = &BUDGET;
    ScopeState {
        kind: SCOPES[usize::from(area.u8(at))],
        owner: area.u32(at + 4),
        spent: area.u64(at + 8),
        reserved: area.u64(at + 16),
        limit: area.u64(at + 24),
        hard: area.u64(at + 32),
        window_end: area.u64(at + 40),
        utilisation_permille: area.u32(at + 48),
    }
}

/// The eight bytes at a place of the facts, as a number.
pub fn number_at<const WORDS: usize>(area: &Area<WORDS>, at: usize) -> u64 {
    area.u64(at)
}

/// Exports what one kind lends; `layout`, `area` and `evaluate` may be other functions than this module's.
#[macro_export]
macro_rules! lend {
    (kill_switch: $layout:expr, $area:expr, $evaluate:expr) => { $crate::lend!(@ "tollgate_lent_kill_switch" $layout, $area, $evaluate); };
    (retry_ceiling: $layout:expr, $area:expr, $evaluate:expr) => { $crate::lend!(@ "tollgate_lent_retry_ceiling" $layout, $area, $evaluate); };
    (routing: $layout:expr, $area:expr, $evaluate:expr) => { $crate::lend!(@ "tollgate_lent_routing" $layout, $area, $evaluate); };
    (budget: $layout:expr, $area:expr, $evaluate:expr) => { $crate::lend!(@ "tollgate_lent_budget" $layout, $area, $evaluate); };
    (@ $name:literal $layout:expr, $area:expr, $evaluate:expr) => {
        const _: () = {
            #[unsafe(export_name = concat!($name, "_layout"))]
            extern "C" fn lent_layout() -> u64 {
                $layout
            }

            #[unsafe(export_name = concat!($name, "_area"))]
            extern "C" fn lent_area() -> u32 {
                $area()
            }

            #[unsafe(export_name = concat!($name, "_evaluate"))]
            extern "C" fn lent_evaluate() -> u64 {
                $evaluate()
            }
        };
    };
    ($guest:ident kill_switch) => {
        $crate::lend!(kill_switch: $crate::lent::KILL_SWITCH_LAYOUT, $crate::lent::kill_switch_area, $crate::lent::kill_switch_evaluate::<$guest>);
    };
    ($guest:ident retry_ceiling) => {
        $crate::lend!(retry_ceiling: $crate::lent::RETRY_CEILING_LAYOUT, $crate::lent::retry_ceiling_area, $crate::lent::retry_ceiling_evaluate::<$guest>);
    };
    ($guest:ident routing) => {
        $crate::lend!(routing: $crate::lent::ROUTING_LAYOUT, $crate::lent::routing_area, $crate::lent::routing_evaluate::<$guest>);
    };
    ($guest:ident budget) => {
        $crate::lend!(budget: $crate::lent::BUDGET_LAYOUT, $crate::lent::budget_area, $crate::lent::budget_evaluate::<$guest>);
    };
}
