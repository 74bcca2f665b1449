use std::time::Duration;

use tollgate_core::{
    Configuration, CounterBy, CounterEvent, CounterRule, Dispatch, Failure, Nanodollars, Pattern, Reference, Report,
    ScopeKind, Status, Symbol, Symbols,
};

use super::*;
use crate::book::{
    Beneficiary, Budget, Dimension, Event, Raise, RaiseError, Refusal, Request, ReservationId, ReserveError,
    Resolution, ResolveError, Settlement, Swept, Window,
};

const DOLLAR: Nanodollars = Nanodollars::new(1_000_000_000);
pub(super) const TEAM: Dimension = Dimension::Scope(ScopeKind::Team);
const USER: Dimension = Dimension::Scope(ScopeKind::User);

fn budgets() -> Budgets {
    let team = Budget { hard: DOLLAR, ..Budget::each(ScopeKind::Team, DOLLAR) };
    let user = Budget { window: Window::Rolling { length_ms: 60_000 }, ..Budget::each(ScopeKind::User, DOLLAR) };
    Budgets::new(vec![team, user]).unwrap()
}

pub(super) fn open(folder: &FilePath) -> Ledger {
    Ledger::open(folder, budgets(), Options { resident_accounts: 10, ..Options::default() }, 0).unwrap()
}

pub(super) fn reserve(
    ledger: &Ledger,
    id: u128,
    names: &[(Dimension, &str)],
    amount: Nanodollars,
) -> Result<(), LedgerError<ReserveError>> {
    let path = ledger.path(names).unwrap();
    ledger.reserve(&Request { id: ReservationId(id), path: &path, amount, expires_ms: 60_000 }, 0)
}

pub(super) fn post(ledger: &Ledger, id: u128, cost: Nanodollars) -> Result<(), LedgerError<ResolveError>> {
    Ok(ledger.post(ReservationId(id), Settlement::exact(cost), None, 1)?.wait()?)
}

#[test]
fn a_ledger_is_opened_by_one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let _first = open(folder.path());
    let second = Ledger::open(folder.path(), budgets(), Options::default(), 0);
    assert!(matches!(second, Err(OpenError::InUse { .. })));
}

#[test]
fn spend_reservations_limits_and_approvals_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let red = [(TEAM, "red"), (Dimension::Scope(ScopeKind::Run), "7")];
    let raise = Raise {
        id: 1,
        beneficiary: "run=7".into(),
        budget: None,
        amount: Nanodollars::new(50),
        until_ms: 1_000,
        author: "ada".into(),
        reason: "release day".into(),
    };
    let ledger = open(folder.path());
    reserve(&ledger, 1, &red, Nanodollars::new(600)).unwrap();
    post(&ledger, 1, Nanodollars::new(500)).unwrap();
    reserve(&ledger, 2, &red, Nanodollars::new(300)).unwrap();
    ledger.sent(ReservationId(2), 9_000, 0).unwrap();
    let limit = Nanodollars::new(900);
    ledger.set_limit("team", (limit, limit), ("ada", "less"), 0).unwrap().wait().unwrap();
    ledger.approve(raise, 0).unwrap().wait().unwrap();
    drop(ledger);

    let ledger = open(folder.path());
    let path = ledger.path(&red).unwrap();
    let standing = ledger.standings(&path, 0).unwrap()[0];
    assert_eq!((standing.spent.as_u64(), standing.reserved.as_u64(), standing.hard), (500, 300, limit));
    assert!(reserve(&ledger, 3, &red, Nanodollars::new(151)).is_err());
    reserve(&ledger, 3, &red, Nanodollars::new(150)).unwrap();
    let double = post(&ledger, 1, Nanodollars::new(1)).unwrap_err();
    let was = Resolution::Posted(Nanodollars::new(500));
    assert!(
        matches!(double, LedgerError::Book(ResolveError::Double { was: found }) if found == was),
        "also after a restart"
    );
    post(&ledger, 1, Nanodollars::new(500)).unwrap();
    assert_eq!(ledger.sweep(9_000).unwrap(), Swept { expired: 0, estimated: 1 }, "what was sent stays whole");
}

#[test]
fn an_estimate_is_corrected_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let red = [(TEAM, "red")];
    let ledger = open(folder.path());
    reserve(&ledger, 1, &red, Nanodollars::new(600)).unwrap();
    ledger.post(ReservationId(1), Settlement::estimated(Nanodollars::new(700)), None, 1).unwrap().wait().unwrap();
    drop(ledger);
    let ledger = open(folder.path());
    ledger.correct(ReservationId(1), Nanodollars::new(40), 2).unwrap().wait().unwrap();
    let path = ledger.path(&red).unwrap();
    assert_eq!(ledger.standings(&path, 0).unwrap()[0].spent.as_u64(), 40);
    drop(ledger);
    let verification = Sqlite::open(&folder.path().join(DATABASE)).unwrap().verify().unwrap();
    assert!(verification.is_clean(), "{verification:?}");
}

#[test]
fn accounts_that_left_memory_come_back_as_they_went() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    for number in 0..200_u64 {
        let name = format!("user-{number}");
        reserve(&ledger, u128::from(number), &[(USER, &name)], Nanodollars::new(1_000)).unwrap();
        post(&ledger, u128::from(number), Nanodollars::new(number)).unwrap();
    }
    assert!(ledger.resident_accounts() <= 11);
    for number in 0..200_u64 {
        let path = ledger.path(&[(USER, &format!("user-{number}"))]).unwrap();
        let standing = ledger.standings(&path, 0).unwrap()[0];
        assert_eq!((standing.spent.as_u64(), standing.reserved.as_u64()), (number, 0));
    }
}

#[test]
fn a_dispatch_that_only_reservations_keep_out_waits_briefly() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let path = ledger.path(&[(TEAM, "red")]).unwrap();
    reserve(&ledger, 1, &[(TEAM, "red")], DOLLAR).unwrap();
    let request = Request { id: ReservationId(2), path: &path, amount: DOLLAR, expires_ms: 60_000 };
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| ledger.reserve_patiently(&request, Duration::from_secs(600), || 0));
        while ledger.lock().waiting == 0 {
            std::thread::yield_now();
        }
        ledger.void(ReservationId(1), 0).unwrap().wait().unwrap();
        waiting.join().unwrap().unwrap();
    });
    post(&ledger, 2, DOLLAR).unwrap();
    let request = Request { id: ReservationId(3), ..request };
    let refused = ledger.reserve_patiently(&request, Duration::from_secs(600), || 0);
    let brief = |refusal: &Refusal| refusal.is_brief();
    assert!(
        matches!(refused, Err(LedgerError::Book(ReserveError::Refused(refusal))) if !brief(&refusal)),
        "spent is spent: no wait"
    );
}

/// What policies are told: spent, reserved, limit, ceiling.
fn told(ledger: &Ledger, names: &[(Dimension, &str)], now_ms: u64) -> Vec<[u64; 4]> {
    let path = ledger.path(names).unwrap();
    let mut dispatch = Dispatch { now_ms, scopes: *path.scopes(), ..Dispatch::default() };
    ledger.inform(&mut dispatch, &path).unwrap();
    let amounts = |account: &tollgate_core::Account| [account.spent, account.reserved, account.limit, account.hard];
    dispatch.accounts.iter().map(|account| amounts(account).map(Nanodollars::as_u64)).collect()
}

#[test]
fn policies_are_told_what_the_book_says_also_of_accounts_that_left_memory() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let all = DOLLAR.as_u64();
    assert_eq!(told(&ledger, &[(TEAM, "red")], 0), [[0, 0, all, all]], "the first dispatch of a team");
    reserve(&ledger, 1, &[(TEAM, "red")], Nanodollars::new(600)).unwrap();
    assert_eq!(told(&ledger, &[(TEAM, "red")], 0), [[0, 600, all, all]]);
    post(&ledger, 1, Nanodollars::new(500)).unwrap();
    for number in 0..50_u64 {
        reserve(&ledger, 100 + u128::from(number), &[(TEAM, &number.to_string())], DOLLAR).unwrap();
        post(&ledger, 100 + u128::from(number), DOLLAR).unwrap();
    }
    let path = ledger.path(&[(TEAM, "red")]).unwrap();
    assert_eq!(ledger.lock().book.missing(&path).count(), 1, "it has left memory");
    assert_eq!(told(&ledger, &[(TEAM, "red")], 0), [[500, 0, all, all]]);
    let limit = Nanodollars::new(900);
    ledger.set_limit("team", (limit, limit), ("ada", "less"), 0).unwrap().wait().unwrap();
    assert_eq!(told(&ledger, &[(TEAM, "red")], 0), [[500, 0, 900, 900]]);
}

#[test]
fn a_window_that_nobody_opened_yet_is_told_as_empty() {
    let budget = Budget { window: Window::parse("hour", None).unwrap(), ..Budget::each(ScopeKind::Team, DOLLAR) };
    let ledger = Ledger::in_memory(Budgets::new(vec![budget]).unwrap()).unwrap();
    reserve(&ledger, 1, &[(TEAM, "red")], Nanodollars::new(600)).unwrap();
    post(&ledger, 1, Nanodollars::new(500)).unwrap();
    let spent = |now_ms| told(&ledger, &[(TEAM, "red")], now_ms)[0][0];
    assert_eq!((spent(3_599_999), spent(3_600_000)), (500, 0));
}

#[test]
fn nobody_who_writes_keeps_a_decision_waiting() {
    let ledger = Ledger::in_memory(budgets()).unwrap();
    reserve(&ledger, 1, &[(TEAM, "red")], Nanodollars::new(600)).unwrap();
    // A writer has the lock for as long as this lives; were it needed, the next line would never return.
    let writer = ledger.lock();
    assert_eq!(told(&ledger, &[(TEAM, "red")], 0)[0][1], 600);
    drop(writer);
}

#[test]
fn an_approval_raises_the_ceiling_that_policies_see_until_it_ends() {
    let ledger = Ledger::in_memory(budgets()).unwrap();
    let names = [(TEAM, "red"), (Dimension::Scope(ScopeKind::Run), "7")];
    let raise = Raise {
        id: 1,
        beneficiary: "run=7".into(),
        budget: None,
        amount: Nanodollars::new(50),
        until_ms: 1_000,
        author: "ada".into(),
        reason: "release day".into(),
    };
    reserve(&ledger, 1, &names, Nanodollars::new(1)).unwrap();
    ledger.approve(raise, 0).unwrap().wait().unwrap();
    let path = ledger.path(&names).unwrap();
    for (now_ms, hard, approved) in [(999, DOLLAR.as_u64() + 50, true), (1_000, DOLLAR.as_u64(), false)] {
        let mut dispatch = Dispatch { now_ms, ..Dispatch::default() };
        ledger.inform(&mut dispatch, &path).unwrap();
        assert_eq!((dispatch.accounts[0].hard.as_u64(), dispatch.approved), (hard, approved));
    }
}

#[test]
fn an_approval_for_a_task_is_for_no_other_and_can_be_taken_back_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let names = [(TEAM, "red"), (Dimension::Scope(ScopeKind::Run), "7")];
    let raise = Raise {
        id: 1,
        beneficiary: Beneficiary::Task { run: "7", task: "5463" }.to_string().into(),
        budget: None,
        amount: Nanodollars::new(50),
        until_ms: 1_000,
        author: "ada".into(),
        reason: "release day".into(),
    };
    let seen = |ledger: &Ledger, task| {
        let path = ledger.path_of_task(&names, task).unwrap();
        let mut dispatch = Dispatch { now_ms: 5, ..Dispatch::default() };
        ledger.inform(&mut dispatch, &path).unwrap();
        (dispatch.accounts[0].hard.as_u64() - DOLLAR.as_u64(), dispatch.approved)
    };
    let ledger = open(folder.path());
    ledger.approve(raise.clone(), 0).unwrap().wait().unwrap();
    ledger.approve(raise.clone(), 0).unwrap().wait().unwrap();
    drop(ledger);
    let ledger = open(folder.path());
    assert_eq!((seen(&ledger, "5463"), seen(&ledger, "5464")), ((50, true), (0, false)));
    assert_eq!(ledger.approvals(999), std::slice::from_ref(&raise));
    let path = ledger.path_of_task(&names, "5463").unwrap();
    let whole = Nanodollars::new(DOLLAR.as_u64() + 50);
    ledger.reserve(&Request { id: ReservationId(9), path: &path, amount: whole, expires_ms: 9 }, 5).unwrap();
    assert!(ledger.revoke(1, ("ada", ""), 5).is_err(), "somebody says why");
    ledger.revoke(1, ("ada", "done early"), 5).unwrap().wait().unwrap();
    ledger.revoke(1, ("bob", "again"), 5).unwrap().wait().unwrap();
    assert_eq!(seen(&ledger, "5463"), (0, false));
    drop(ledger);
    let ledger = open(folder.path());
    assert_eq!(seen(&ledger, "5463"), (0, false));
    assert!(ledger.approvals(5).is_empty());
    assert!(matches!(ledger.approve(raise, 5).map(|_| ()), Err(LedgerError::Book(RaiseError::Revoked))));
}

#[test]
fn cost_is_told_once_and_reaches_run_rate_and_percentile() {
    let symbols = Symbols::new();
    let coding = symbols.intern("coding").unwrap();
    let ledger = Ledger::in_memory(budgets()).unwrap();
    let run = (Dimension::Scope(ScopeKind::Run), "7");
    let path = ledger.path(&[(TEAM, "red"), run]).unwrap();
    let facts = |now_ms| {
        let mut dispatch = Dispatch { now_ms, task_type: coding, scopes: *path.scopes(), ..Dispatch::default() };
        dispatch.task = dispatch.scopes.of(ScopeKind::Run);
        ledger.inform(&mut dispatch, &path).unwrap();
        dispatch
    };
    reserve(&ledger, 1, &[(TEAM, "red"), run], Nanodollars::new(600)).unwrap();
    assert_eq!(facts(0).spending.run_cost.as_u64(), 600, "what is held counts for the run");
    post(&ledger, 1, Nanodollars::new(500)).unwrap();
    let reference = Reference::of("7");
    ledger.outcome(&Report {
        task: reference,
        scopes: *path.scopes(),
        task_type: coding,
        started_ms: 0,
        ended_ms: 1,
        tier: None,
        status: Status::Failed(Failure::Timeout),
        context: None,
        proposal: None,
        productive: None,
    });
    let told = facts(2);
    assert_eq!((told.spending.run_cost.as_u64(), told.spending.run_per_minute.as_u64()), (500, 100));
    assert_eq!((told.attempts.failed, told.accounts[0].spent.as_u64()), (1, 500));
    ledger.finish_run(reference);
    assert_eq!((facts(3).spending.task_type_p95.as_u64(), facts(3).spending.finished_runs), (500, 1));
}

#[test]
fn budgets_of_a_new_configuration_hold_from_the_next_reservation_on() {
    let symbols = Symbols::new();
    let owner = symbols.intern("ada").unwrap();
    let text =
        |limit: &str| format!("version = 1\n[[budget]]\nscope = \"team\"\nlimit = \"{limit} USD\"\nowner = \"ada\"\n");
    let budgets = |limit| {
        let configuration = Configuration::parse(&text(limit)).unwrap();
        Budgets::new(configuration.budgets).unwrap().with_owners(&symbols)
    };
    let ledger = Ledger::in_memory(budgets("1.00")).unwrap();
    reserve(&ledger, 1, &[(TEAM, "red")], DOLLAR).unwrap();
    let stale = ledger.path(&[(TEAM, "red")]).unwrap();
    ledger.replace_budgets(budgets("2.00"));
    let request = Request { id: ReservationId(2), path: &stale, amount: DOLLAR, expires_ms: 60_000 };
    assert!(matches!(ledger.reserve(&request, 0), Err(LedgerError::Book(ReserveError::StalePath))));
    reserve(&ledger, 2, &[(TEAM, "red")], DOLLAR).unwrap();
    let path = ledger.path(&[(TEAM, "red")]).unwrap();
    let mut dispatch = Dispatch::default();
    ledger.inform(&mut dispatch, &path).unwrap();
    assert_eq!(
        (dispatch.accounts[0].owner, dispatch.accounts[0].reserved),
        (owner, DOLLAR.checked_add(DOLLAR).unwrap())
    );
    assert_ne!(owner, Symbol::UNKNOWN);
}

#[test]
fn a_budget_that_comes_back_has_what_was_spent_and_is_reached_again() {
    let budgets = |limit: Option<u32>| {
        let text = limit.map(|limit| format!("[[budget]]\nscope = \"team\"\nlimit = \"{limit}.00 USD\"\n"));
        let text =
            format!("version = 1\n[[budget]]\nscope = \"user\"\nlimit = \"100.00 USD\"\n{}", text.unwrap_or_default());
        Budgets::new(Configuration::parse(&text).unwrap().budgets).unwrap()
    };
    let ledger = Ledger::in_memory(budgets(Some(1))).unwrap();
    let red = [(TEAM, "red"), (USER, "ada")];
    let spend = |id, cents: u64| {
        reserve(&ledger, id, &red, Nanodollars::ZERO).unwrap();
        post(&ledger, id, Nanodollars::new(cents * 10_000_000)).unwrap();
        let mut events = ledger.take_events();
        events.retain(|event| !matches!(event, Event::Overrun { .. }));
        events
    };
    spend(1, 150);
    ledger.replace_budgets(budgets(None));
    assert_eq!(told(&ledger, &red, 2).len(), 1);
    assert!(spend(2, 20).is_empty(), "nobody's limit");
    ledger.replace_budgets(budgets(Some(2)));
    let accounts = told(&ledger, &red, 2);
    assert_eq!((accounts.len(), accounts[1][0], accounts[1][2]), (2, 1_500_000_000, 2_000_000_000));
    let refused = reserve(&ledger, 3, &red, DOLLAR);
    assert!(
        matches!(refused, Err(LedgerError::Book(ReserveError::Refused(_)))),
        "its ceiling holds again: {refused:?}"
    );
    let reached = spend(4, 60);
    assert!(
        reached.iter().any(|event| matches!(event, Event::Threshold { threshold_permille: 1000, .. })),
        "the raised limit is reached again: {reached:?}"
    );
}

#[test]
fn rules_for_attempts_and_counters_change_and_what_was_counted_stays() {
    let ledger = Ledger::in_memory(budgets()).unwrap();
    let rule = |name, event| CounterRule { name, event, by: CounterBy::Task, window_seconds: 0 };
    let failures = rule(Symbol::from_u32(1), CounterEvent::Failure);
    let others = rule(Symbol::from_u32(2), CounterEvent::Success);
    ledger.declare_counters(vec![failures]);
    ledger.outcome(&Report {
        task: Reference::of("task"),
        scopes: tollgate_core::ScopePath::default(),
        task_type: Symbol::UNKNOWN,
        started_ms: 0,
        ended_ms: 1,
        tier: None,
        status: Status::Failed(Failure::Timeout),
        context: None,
        proposal: None,
        productive: None,
    });
    let read = || {
        let path = ledger.path(&[]).unwrap();
        let mut dispatch = Dispatch { now_ms: 60_000, task: Some(Reference::of("task")), ..Dispatch::default() };
        ledger.inform(&mut dispatch, &path).unwrap();
        (dispatch.attempts.failed, dispatch.attempts.streak, dispatch.counters)
    };
    assert_eq!(read(), (1, 1, vec![(failures.name, 1)]));
    ledger.declare_counters(vec![others]);
    ledger.set_attempt_rules(AttemptRules { idle: tollgate_core::Milliseconds::new(1_000), ..AttemptRules::default() });
    assert_eq!(read(), (1, 0, vec![(others.name, 0)]));
    ledger.declare_counters(vec![others, failures]);
    assert_eq!(read().2, [(others.name, 0), (failures.name, 1)]);
}

#[test]
fn a_limit_changed_at_run_time_ends_where_the_configuration_changes_it() {
    let folder = tempfile::tempdir().unwrap();
    let with = |limit| {
        let limit = Nanodollars::new(limit);
        let budget = Budget { hard: limit, limit, ..Budget::each(ScopeKind::Team, limit) };
        Ledger::open(folder.path(), Budgets::new(vec![budget]).unwrap(), Options::default(), 0).unwrap()
    };
    let limit = |ledger: &Ledger| told(ledger, &[(TEAM, "red")], 0)[0][2];
    let ledger = with(100);
    for (limit, reason) in [(200, "more"), (300, "still more")] {
        let limit = Nanodollars::new(limit);
        ledger.set_limit("team", (limit, limit), ("ada", reason), 0).unwrap().wait().unwrap();
    }
    drop(ledger);
    assert_eq!(limit(&with(100)), 300, "also after a restart");
    assert_eq!(limit(&with(150)), 150, "the configuration says something else now");
}

#[test]
fn after_a_restart_the_accounts_that_are_spent_from_are_there_and_no_more_than_fit() {
    let folder = tempfile::tempdir().unwrap();
    let fullest = |ledger: &Ledger| -> Vec<String> {
        ledger.fullest(Some("team"), 99, 1).iter().map(|account| account.account.to_string()).collect()
    };
    let ledger = open(folder.path());
    for (id, (team, cents)) in (1..).zip([("red", 20), ("blue", 50)]) {
        reserve(&ledger, id, &[(TEAM, team)], DOLLAR).unwrap();
        post(&ledger, id, Nanodollars::new(DOLLAR.as_u64() / 100 * cents)).unwrap();
    }
    drop(ledger);
    let ledger = open(folder.path());
    assert_eq!(fullest(&ledger), ["team team=blue", "team team=red"]);
    assert_eq!(told(&ledger, &[(TEAM, "red")], 1)[0][0], DOLLAR.as_u64() / 5);
    for id in 3..33 {
        reserve(&ledger, id, &[(USER, &id.to_string())], Nanodollars::new(1)).unwrap();
        post(&ledger, id, Nanodollars::new(1)).unwrap();
    }
    drop(ledger);
    assert_eq!(open(folder.path()).resident_accounts(), 10);
    // What the configuration no longer covers is no account of it.
    let with = |selector: &[(Dimension, &str)]| {
        let selector =
            selector.iter().map(|(dimension, pattern)| (*dimension, Pattern::Each((*pattern).into()))).collect();
        let team = Budget { selector, ..Budget::each(ScopeKind::Team, DOLLAR) };
        let options = Options::default();
        fullest(&Ledger::open(folder.path(), Budgets::new(vec![team]).unwrap(), options, 0).unwrap())
    };
    assert_eq!(with(&[(TEAM, "*")]), ["team team=blue", "team team=red"]);
    assert_eq!(with(&[(TEAM, "r*")]), ["team team=red"]);
    assert_eq!(with(&[(TEAM, "*"), (USER, "*")]), [""; 0]);
}
