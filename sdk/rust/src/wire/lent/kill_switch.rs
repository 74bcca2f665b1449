//! Lends the facts of a kill switch.

use super::{HASH_START, KillSwitchRecord, Lent, VerdictRecord, number, reason, types};
use crate::KillSwitch;
use crate::export::Component;
use crate::wire::guest::policy;
use crate::wire::kill_switch::exports::tollgate::policy::kill_switch::{Cover, Facts, Moment, Trip, Verdict};

static LENT: Lent<KillSwitchRecord> = Lent::new(KillSwitchRecord::ZERO);

/// Tells this layout from others.
pub const LAYOUT: u64 = VerdictRecord::hash(KillSwitchRecord::hash(HASH_START));

/// Where the area lies.
pub fn lend() -> u32 {
    LENT.place()
}

/// The verdict on the facts in the area.
pub fn evaluate<C: Component<Policy: KillSwitch>>() -> u64 {
    let facts = LENT.facts();
    let facts = Facts {
        dispatch: dispatch!(facts),
        moment: word!(facts.moment, Moment { Dispatch, Extend, Post }),
        covered: word!(facts.covered, Cover { None, Drain, Cut }),
        covered_reason: facts.covered_reason,
        run_cost: facts.run_cost,
        run_spend_per_minute: facts.run_spend_per_minute,
        scope_spend_per_minute: facts.scope_spend_per_minute,
        fastest_scope: word!(
            facts.fastest_scope,
            types::ScopeKind { Organisation, Team, Project, WorkItem, Run, User, Key }
        ),
        task_type_p95: facts.task_type_p95,
        finished_runs: facts.finished_runs,
    };
    match policy::<C>().evaluate(&facts.into()).into() {
        Verdict::Proceed => number(0, 0),
        Verdict::Stop(why) => {
            LENT.set_verdict(reason(why));
            number(1, 0)
        }
        Verdict::Trip(trip) => {
            LENT.set_verdict(tripped(trip));
            number(2, 0)
        }
    }
}

fn tripped(trip: Trip) -> VerdictRecord {
    let (selector, selected) = match trip.selector {
        types::Selector::Everything => (0, 0),
        types::Selector::Scope(kind) => (1, kind as u32),
        types::Selector::Model(model) => (2, model),
        types::Selector::TaskType(task_type) => (3, task_type),
    };
    let Trip { mode, time_to_live_ms, .. } = trip;
    VerdictRecord { selector, selected, mode: mode as u8, time_to_live_ms, ..reason(trip.reason) }
}
