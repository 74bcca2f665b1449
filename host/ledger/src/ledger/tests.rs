use tollgate_core::ScopeKind;

use super::*;
use crate::book::{Budget, Dimension, Refusal, Resolution, Window};

const DOLLAR: Nanodollars = Nanodollars::new(1_000_000_000);
const TEAM: Dimension = Dimension::Scope(ScopeKind::Team);
const USER: Dimension = Dimension::Scope(ScopeKind::User);

fn budgets() -> Budgets {
    let team = Budget { hard: DOLLAR, ..Budget::each(ScopeKind::Team, DOLLAR) };
    let user = Budget { window: Window::Rolling { length_ms: 60_000 }, ..Budget::each(ScopeKind::User, DOLLAR) };
    Budgets::new(vec![team, user]).unwrap()
}

fn open(folder: &FilePath) -> Ledger {
    Ledger::open(folder, budgets(), Options { resident_accounts: 10, ..Options::default() }, 0).unwrap()
}

fn reserve(
    ledger: &Ledger,
    id: u128,
    names: &[(Dimension, &str)],
    amount: Nanodollars,
) -> Result<(), LedgerError<ReserveError>> {
    let path = ledger.path(names).unwrap();
    ledger.reserve(&Request { id: ReservationId(id), path: &path, amount, expires_ms: 60_000 }, 0)
}

fn post(ledger: &Ledger, id: u128, cost: Nanodollars) -> Result<(), LedgerError<ResolveError>> {
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
