//! State belongs to the host: a thousand reloads under load lose none of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use tollgate_core::{
    Budget, Dimension, Dispatch, Failure, History, Nanodollars, Reason, Reference, Report, ScopeKind, Selector, Status,
    Switch, SwitchMode, Symbol, Tier,
};
use tollgate_ledger::book::{Budgets, Request, ReservationId, ReserveError, Settlement};
use tollgate_ledger::{Ledger, LedgerError};
use tollgate_runtime::{Cause, Host};
use tollgate_tests::{Chain, PolicyEntry, dispatch};

use crate::{Told, numbered, parsed};

const RELOADS: u32 = 1_000;
const CENT: Nanodollars = Nanodollars::new(10_000_000);

/// A policy with another number each time, which has the host count, and a budget that other reloads move, drop and
/// bring back.
fn configuration(number: u32) -> tollgate_core::Configuration {
    let policy = PolicyEntry::guest("numbered").config(&format!("number = {number}"));
    let mut configuration = parsed(&Chain::new().policy(&policy));
    let budget = |scope| Budget::each(scope, Nanodollars::new(u64::from(number) * 1_000_000_000_000));
    configuration.budgets = match number % 3 {
        0 => vec![budget(ScopeKind::Team)],
        1 => vec![budget(ScopeKind::Key), budget(ScopeKind::Team)],
        _ => vec![budget(ScopeKind::Team), budget(ScopeKind::Key)],
    };
    configuration
}

#[test]
fn nothing_counted_is_lost_in_a_thousand_reloads_under_load() {
    let told = Told::start(&numbered(0));
    let host = &told.host;
    host.reload(&configuration(1), Cause::Start).expect("it loads");
    let running = host.configuration();
    let budgets = Budgets::new(running.budgets.clone()).expect("they are right").with_owners(host.symbols());
    let history = History::new(running.attempts, host.counters(), History::REMEMBERED);
    let ledger = Ledger::in_memory(budgets).expect("its thread starts").with_history(history);
    let switch = Switch {
        selector: Selector::Scope(ScopeKind::Run, Reference::of("elsewhere")),
        mode: SwitchMode::Cut,
        reason: Reason::named(Symbol::UNKNOWN),
        author: "alice".into(),
        engaged_ms: 0,
        expires_ms: None,
    };
    host.engage(switch).expect("there is room");
    let template = dispatch(host);
    let (done, reports, decided) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let work = |thread: u64| {
        let mut turn = 0_u64;
        while done.load(Ordering::Relaxed) == 0 {
            let mut dispatch = Dispatch { now_ms: template.now_ms + turn, ..template.clone() };
            inform(&ledger, &mut dispatch);
            let decision = host.decide(&dispatch);
            assert_eq!(decision.outcome.word(), "slow", "lost: {decision:?}");
            decided.fetch_add(1, Ordering::Relaxed);
            if turn.is_multiple_of(8) {
                spend(&ledger, ReservationId(u128::from(thread << 32 | turn)), dispatch.now_ms);
                ledger.outcome(&report(&dispatch, thread, turn));
                reports.fetch_add(1, Ordering::Relaxed);
            }
            turn += 1;
        }
    };
    thread::scope(|scope| {
        let work = &work;
        let threads = [scope.spawn(move || work(1)), scope.spawn(move || work(2))];
        for number in 2..2 + RELOADS {
            host.reload(&configuration(number), Cause::Start).expect("it loads");
            adopt(&ledger, host);
        }
        done.store(1, Ordering::Relaxed);
        threads.into_iter().for_each(|thread| thread.join().expect("nothing lost"));
    });
    host.reload(&configuration(1), Cause::Start).expect("it loads");
    adopt(&ledger, host);

    let reports = reports.load(Ordering::Relaxed);
    let mut after = template.clone();
    after.now_ms += 10_000;
    inform(&ledger, &mut after);
    let count = u32::try_from(reports).expect("not that many");
    assert!(reports > 0 && decided.load(Ordering::Relaxed) > reports);
    assert_eq!(after.attempts.failed, count, "attempts");
    assert_eq!(after.attempts.repetitions, count, "the same failure each time");
    let spent = Nanodollars::new(CENT.as_u64() * reports);
    // The budget on keys was configured only two thirds of the time; that on teams always.
    assert_eq!(after.accounts.len(), 2);
    assert_eq!((after.accounts[1].kind, after.accounts[1].spent), (ScopeKind::Team, spent), "spend");
    assert!(after.accounts[0].spent <= spent && after.accounts[0].spent > Nanodollars::ZERO);
    assert_eq!(after.spending.run_cost, spent, "rates");
    assert!(!after.counters.is_empty());
    assert!(after.counters.iter().all(|(_, counted)| *counted == reports), "counters: {:?}", after.counters);
    let switches = host.switches();
    assert_eq!(switches.switches().len(), 1, "switches");
    assert_eq!(host.status().running.id, u64::from(RELOADS) + 3);
}

/// What an embedder does after a reload: what is counted goes on by the new configuration.
fn adopt(ledger: &Ledger, host: &Host) {
    let running = host.configuration();
    ledger.set_attempt_rules(running.attempts);
    ledger.declare_counters(host.counters());
    ledger.replace_budgets(Budgets::new(running.budgets.clone()).expect("they are right").with_owners(host.symbols()));
}

/// The scopes of the dispatch, by their names.
const NAMES: [(Dimension, &str); 3] = [
    (Dimension::Scope(ScopeKind::Team), "red"),
    (Dimension::Scope(ScopeKind::Run), "run-7"),
    (Dimension::Scope(ScopeKind::Key), "ci"),
];

fn inform(ledger: &Ledger, dispatch: &mut Dispatch) {
    let path = ledger.path(&NAMES).expect("few budgets");
    assert_eq!(path.scopes(), &dispatch.scopes);
    ledger.inform(dispatch, &path).expect("all of it is in memory");
}

/// Spends a cent, on the budgets that are in force when it is reserved.
fn spend(ledger: &Ledger, id: ReservationId, now_ms: u64) {
    loop {
        let path = ledger.path(&NAMES).expect("few budgets");
        let request = Request { id, path: &path, amount: CENT, expires_ms: u64::MAX };
        let reserved = ledger.reserve(&request, now_ms);
        if !matches!(reserved, Err(LedgerError::Book(ReserveError::StalePath))) {
            reserved.expect("there is room");
            break;
        }
    }
    let _nowhere = ledger.post(id, Settlement::exact(CENT), None, now_ms).expect("it is reserved");
}

fn report(dispatch: &Dispatch, thread: u64, turn: u64) -> Report {
    Report {
        task: dispatch.task.expect("it has one"),
        scopes: dispatch.scopes,
        task_type: dispatch.task_type,
        started_ms: dispatch.now_ms,
        ended_ms: dispatch.now_ms + 1,
        tier: Some(Tier::Low),
        status: Status::Failed(Failure::Other { fingerprint: 7 }),
        context: None,
        proposal: Some(thread << 32 | turn),
        productive: None,
    }
}
