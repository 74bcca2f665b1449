use jiff::tz::TimeZone;
use tollgate_core::ScopeKind;

use super::*;

const DOLLAR: Nanodollars = Nanodollars::new(1_000_000_000);
const RUN: Dimension = Dimension::Scope(ScopeKind::Run);
const TEAM: Dimension = Dimension::Scope(ScopeKind::Team);
const USER: Dimension = Dimension::Scope(ScopeKind::User);
const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

fn dollars(dollars: u64) -> Nanodollars {
    Nanodollars::from_dollars(dollars).unwrap()
}

fn cents(cents: u64) -> Nanodollars {
    Nanodollars::new(cents * 10_000_000)
}

struct Desk {
    book: Book,
    effects: Effects,
    next: u128,
}

impl Desk {
    fn new(budgets: Vec<Budget>) -> Self {
        let book = Book::new(Budgets::new(budgets).unwrap(), Residency::Complete);
        Self { book, effects: Effects::default(), next: 0 }
    }

    fn path(&self, names: &[(Dimension, &str)]) -> Path {
        self.book.budgets().path(names).unwrap()
    }

    fn reserve(&mut self, path: &Path, amount: Nanodollars, now_ms: u64) -> Result<ReservationId, ReserveError> {
        self.next += 1;
        let id = ReservationId(self.next);
        let expires_ms = now_ms.saturating_add(60_000);
        self.book.reserve(&Request { id, path, amount, expires_ms }, now_ms, &mut self.effects).map(|()| id)
    }

    fn post(&mut self, id: ReservationId, cost: Nanodollars, now_ms: u64) -> Result<(), ResolveError> {
        self.book.post(id, Settlement::exact(cost), now_ms, &mut self.effects)
    }

    fn spend(&mut self, path: &Path, cost: Nanodollars, now_ms: u64) {
        let id = self.reserve(path, cost, now_ms).unwrap();
        self.post(id, cost, now_ms).unwrap();
    }

    fn standing(&self, path: &Path, now_ms: u64) -> Standing {
        self.book.standings(path, now_ms)[0]
    }

    fn thresholds(&mut self) -> Vec<u32> {
        let events = std::mem::take(&mut self.effects.events);
        let threshold = |event: &Event| match event {
            Event::Threshold { threshold_permille, .. } => Some(*threshold_permille),
            Event::OverCeiling { .. } | Event::Overrun { .. } => None,
        };
        events.iter().filter_map(threshold).collect()
    }
}

fn daily(limit: Nanodollars) -> Budget {
    Budget { window: Window::Day(TimeZone::UTC), hard: limit, ..Budget::each(ScopeKind::Team, limit) }
}

#[test]
fn the_last_dollar_goes_to_one_of_two() {
    let mut desk = Desk::new(vec![Budget { hard: DOLLAR, ..Budget::each(ScopeKind::Team, DOLLAR) }]);
    let path = desk.path(&[(TEAM, "red")]);
    desk.reserve(&path, DOLLAR, 0).unwrap();
    let Err(ReserveError::Refused(refusal)) = desk.reserve(&path, Nanodollars::new(1), 0) else { panic!("it fits") };
    assert!(refusal.is_brief(), "nothing is spent yet: worth a short wait");
}

#[test]
fn an_amount_that_fills_the_ceiling_exactly_fits() {
    let mut desk = Desk::new(vec![Budget::each(ScopeKind::Team, DOLLAR)]);
    let path = desk.path(&[(TEAM, "red")]);
    assert!(desk.reserve(&path, cents(110), 0).is_ok());
    assert!(desk.reserve(&path, Nanodollars::ZERO, 0).is_ok(), "nothing always fits");
    assert!(desk.reserve(&path, Nanodollars::new(1), 0).is_err());
}

#[test]
fn a_refusal_names_the_scope_that_bound_and_leaves_no_trace() {
    let mut tight = Budget::each(ScopeKind::Run, DOLLAR);
    tight.owner = Some("ada".into());
    let mut desk =
        Desk::new(vec![Budget::each(ScopeKind::Team, dollars(10)), tight, Budget::each(ScopeKind::User, dollars(2))]);
    let path = desk.path(&[(TEAM, "red"), (RUN, "7"), (USER, "bob")]);
    let Err(ReserveError::Refused(refusal)) = desk.reserve(&path, dollars(3), 0) else { panic!("it fits") };
    assert_eq!((&*refusal.account, refusal.owner.as_deref()), ("run run=7", Some("ada")));
    assert!(!refusal.is_brief(), "one dispatch alone does not fit");
    assert!(desk.effects.entries.is_empty());
    assert!(desk.book.standings(&path, 0).iter().all(|standing| standing.reserved == Nanodollars::ZERO));
}

#[test]
fn the_first_request_of_a_new_user_is_checked_too() {
    let mut desk = Desk::new(vec![Budget::each(ScopeKind::User, DOLLAR)]);
    let path = desk.path(&[(USER, "new")]);
    assert!(matches!(desk.reserve(&path, dollars(2), 0), Err(ReserveError::Refused(_))));
}

#[test]
fn a_dispatch_is_charged_to_the_window_in_which_it_was_reserved() {
    let mut desk = Desk::new(vec![daily(dollars(2))]);
    let path = desk.path(&[(TEAM, "red")]);
    let yesterday = desk.reserve(&path, DOLLAR, DAY - 1).unwrap();
    let today = desk.reserve(&path, DOLLAR, DAY).unwrap();
    assert_eq!(desk.standing(&path, DAY).reserved, DOLLAR, "only today's");
    desk.post(yesterday, cents(150), DAY + 1).unwrap();
    assert_eq!(desk.standing(&path, DAY + 1).spent, Nanodollars::ZERO);
    desk.post(today, DOLLAR, DAY + 2).unwrap();
    assert_eq!(desk.standing(&path, DAY + 2).spent, DOLLAR);
    let posted: Vec<u64> = desk
        .effects
        .entries
        .iter()
        .filter(|entry| entry.kind == EntryKind::Post)
        .map(|entry| entry.windows[0])
        .collect();
    assert_eq!(posted, [0, DAY]);
}

#[test]
fn a_window_starts_anew_without_a_restart_and_never_runs_backwards() {
    let mut desk = Desk::new(vec![daily(DOLLAR)]);
    let path = desk.path(&[(TEAM, "red")]);
    desk.spend(&path, DOLLAR, DAY + 5);
    assert!(desk.reserve(&path, DOLLAR, 2 * DAY - 1).is_err());
    assert!(desk.reserve(&path, DOLLAR, 5).is_err(), "the clock went back a day: spend does not come back");
    assert!(desk.reserve(&path, DOLLAR, 2 * DAY).is_ok());
}

#[test]
fn what_is_left_is_carried_over_up_to_its_bound() {
    let mut desk = Desk::new(vec![Budget { carry_over: cents(150), ..daily(DOLLAR) }]);
    let path = desk.path(&[(TEAM, "red")]);
    desk.spend(&path, cents(40), 0);
    assert_eq!(desk.standing(&path, DAY).hard, cents(160));
    assert_eq!(
        desk.standing(&path, 2 * DAY).hard,
        cents(250),
        "a day without a dispatch leaves all of it, up to the bound"
    );
    desk.spend(&path, cents(160), DAY);
    assert_eq!(desk.standing(&path, 2 * DAY).hard, DOLLAR, "nothing was left");
}

#[test]
fn a_rolling_window_forgets_part_by_part() {
    let rolling = Budget { window: Window::Rolling { length_ms: HOUR }, ..daily(DOLLAR) };
    let mut desk = Desk::new(vec![rolling]);
    let path = desk.path(&[(TEAM, "red")]);
    desk.spend(&path, cents(60), 0);
    desk.spend(&path, cents(40), HOUR / 2);
    assert!(desk.reserve(&path, Nanodollars::new(1), HOUR).is_err());
    let minute = HOUR / 60;
    assert!(desk.reserve(&path, cents(60), HOUR + minute).is_ok(), "the first spend has left");
    assert!(desk.reserve(&path, Nanodollars::new(1), HOUR + minute).is_err());
}

#[test]
fn thresholds_are_told_once_and_again_only_after_falling_well_below() {
    let mut desk = Desk::new(vec![daily(DOLLAR)]);
    let path = desk.path(&[(TEAM, "red")]);
    desk.spend(&path, cents(79), 0);
    assert_eq!(desk.thresholds().len(), 0);
    desk.spend(&path, cents(1), 0);
    assert_eq!(desk.thresholds(), [800], "reached is reached: not only passed");
    desk.spend(&path, cents(5), 0);
    assert_eq!(desk.thresholds().len(), 0);
    // A raised limit takes it just below, then well below.
    for (limit, told) in [(DOLLAR.saturating_add(cents(8)), 0), (dollars(2), 0)] {
        desk.book.set_limit("team", limit, limit, &mut Effects::default()).unwrap();
        desk.spend(&path, Nanodollars::new(1), 0);
        assert_eq!(desk.thresholds().len(), told);
    }
    desk.book.set_limit("team", DOLLAR, DOLLAR, &mut Effects::default()).unwrap();
    desk.spend(&path, cents(14), 0);
    assert_eq!(desk.thresholds(), [800], "it had fallen to 425 ‰");
    desk.spend(&path, cents(80), DAY);
    assert_eq!(desk.thresholds(), [800], "a new window");
}

#[test]
fn a_raised_limit_arms_the_thresholds_that_spend_no_longer_reaches() {
    let mut desk = Desk::new(vec![daily(DOLLAR)]);
    let path = desk.path(&[(TEAM, "red")]);
    desk.spend(&path, cents(85), 0);
    assert_eq!(desk.thresholds(), [800]);
    let mut effects = Effects::default();
    desk.book.set_limit("team", dollars(2), dollars(2), &mut effects).unwrap();
    assert_eq!(effects.crossed.iter().map(|(.., bits)| *bits).collect::<Vec<_>>(), [0], "storage is told");
    desk.book.set_limit("team", DOLLAR, DOLLAR, &mut effects).unwrap();
    desk.spend(&path, Nanodollars::new(1), 0);
    assert_eq!(desk.thresholds(), [800], "nothing was spent in between, and it is told again all the same");
}

#[test]
fn an_overrun_is_recorded_as_itself() {
    let mut desk = Desk::new(vec![daily(DOLLAR)]);
    let path = desk.path(&[(TEAM, "red")]);
    let id = desk.reserve(&path, DOLLAR, 0).unwrap();
    desk.post(id, dollars(3), 1).unwrap();
    assert_eq!(desk.standing(&path, 1).spent, dollars(3), "neither clamped nor refused");
    let kinds: Vec<(EntryKind, Nanodollars)> =
        desk.effects.entries.iter().map(|entry| (entry.kind, entry.change.spend)).collect();
    assert_eq!(
        kinds,
        [(EntryKind::Reserve, Nanodollars::ZERO), (EntryKind::Post, DOLLAR), (EntryKind::Overrun, dollars(2))]
    );
    assert!(desk.effects.events.contains(&Event::Overrun { at_ms: 1, reservation: id, amount: dollars(2) }));
}

#[test]
fn every_reservation_ends_exactly_once() {
    let mut desk = Desk::new(vec![daily(dollars(10))]);
    let path = desk.path(&[(TEAM, "red")]);
    let id = desk.reserve(&path, DOLLAR, 0).unwrap();
    desk.post(id, DOLLAR, 1).unwrap();
    let lines = desk.effects.entries.len();
    desk.post(id, DOLLAR, 2).unwrap();
    assert_eq!(desk.effects.entries.len(), lines, "the same again changes nothing");
    let double = Err(ResolveError::Double { was: Resolution::Posted(DOLLAR) });
    assert_eq!(desk.post(id, dollars(2), 3), double);
    assert_eq!(desk.book.void(id, 3, &mut desk.effects), double);
    assert_eq!(desk.book.correct(id, dollars(2), 3, &mut desk.effects), double, "exact is exact");
    assert_eq!(desk.book.sweep(u64::MAX, &mut desk.effects), Swept::default());
    let request = Request { id, path: &path, amount: DOLLAR, expires_ms: 9 };
    let ended = desk.book.reserve(&request, 4, &mut desk.effects);
    assert_eq!(ended, Err(ReserveError::Ended(Resolution::Posted(DOLLAR))));
    assert_eq!(desk.post(ReservationId(99), DOLLAR, 5), Err(ResolveError::Unknown));
    assert_eq!(desk.standing(&path, 6).spent, DOLLAR);
}

#[test]
fn the_same_request_again_is_the_same_reservation() {
    let mut desk = Desk::new(vec![daily(dollars(10))]);
    let path = desk.path(&[(TEAM, "red")]);
    let id = desk.reserve(&path, DOLLAR, 0).unwrap();
    let request = |amount| Request { id, path: &path, amount, expires_ms: 9 };
    desk.book.reserve(&request(DOLLAR), 0, &mut desk.effects).unwrap();
    assert_eq!(desk.standing(&path, 0).reserved, DOLLAR);
    assert_eq!(desk.book.reserve(&request(dollars(2)), 0, &mut desk.effects), Err(ReserveError::Conflict));
}

#[test]
fn a_stream_that_outgrows_its_reservation_extends_it_or_does_not() {
    let mut desk = Desk::new(vec![daily(dollars(2))]);
    let path = desk.path(&[(TEAM, "red")]);
    let id = desk.reserve(&path, DOLLAR, 0).unwrap();
    desk.book.extend(id, cents(150), 1, &mut desk.effects).unwrap();
    desk.book.extend(id, cents(150), 1, &mut desk.effects).unwrap();
    assert_eq!(desk.standing(&path, 1).reserved, cents(150));
    assert!(matches!(desk.book.extend(id, cents(201), 1, &mut desk.effects), Err(ReserveError::Refused(_))));
    desk.post(id, cents(140), 2).unwrap();
    assert_eq!(desk.standing(&path, 2).headroom(), cents(60));
    let ended = desk.book.extend(id, dollars(2), 3, &mut desk.effects);
    assert_eq!(ended, Err(ReserveError::Ended(Resolution::Posted(cents(140)))));
}

#[test]
fn only_what_was_never_sent_expires_to_nothing() {
    let mut desk = Desk::new(vec![daily(dollars(10))]);
    let path = desk.path(&[(TEAM, "red")]);
    let (unsent, lost) = (desk.reserve(&path, DOLLAR, 0).unwrap(), desk.reserve(&path, dollars(2), 0).unwrap());
    desk.book.sent(lost, 600_000, 1, &mut desk.effects).unwrap();
    assert_eq!(desk.book.void(lost, 2, &mut desk.effects), Err(ResolveError::WasSent));
    assert_eq!(desk.book.sweep(60_000, &mut desk.effects), Swept { expired: 1, estimated: 0 });
    assert_eq!(desk.standing(&path, 60_000).reserved, dollars(2), "sent and unresolved still counts");
    assert_eq!(desk.book.sweep(600_000, &mut desk.effects), Swept { expired: 0, estimated: 1 });
    assert_eq!(desk.standing(&path, 600_000).spent, dollars(2));
    let expired = Err(ResolveError::Double { was: Resolution::Expired });
    assert_eq!(desk.book.sent(unsent, 1, 600_001, &mut desk.effects), expired, "it must not be sent any more");
    desk.book.correct(lost, cents(30), 700_000, &mut desk.effects).unwrap();
    desk.book.correct(lost, cents(30), 700_000, &mut desk.effects).unwrap();
    assert_eq!(desk.standing(&path, 700_000).spent, cents(30), "late usage corrects it");
    assert!(desk.book.correct(lost, cents(31), 700_000, &mut desk.effects).is_err());
}

#[test]
fn a_changed_limit_takes_effect_at_the_next_reservation() {
    let mut desk = Desk::new(vec![daily(dollars(2))]);
    let path = desk.path(&[(TEAM, "red")]);
    let id = desk.reserve(&path, dollars(2), 0).unwrap();
    assert_eq!(desk.book.set_limit("team", DOLLAR, DOLLAR, &mut Effects::default()), Ok((dollars(2), dollars(2))));
    desk.post(id, dollars(2), 1).unwrap();
    assert_eq!(desk.standing(&path, 1).spent, dollars(2), "history stays");
    assert!(desk.reserve(&path, Nanodollars::new(1), 1).is_err());
    desk.book.set_limit("team", dollars(3), dollars(3), &mut Effects::default()).unwrap();
    assert!(desk.reserve(&path, DOLLAR, 1).is_ok());
    assert!(matches!(
        desk.book.set_limit("crew", DOLLAR, DOLLAR, &mut Effects::default()),
        Err(LimitError::Unknown { .. })
    ));
    assert!(matches!(
        desk.book.set_limit("team", DOLLAR, cents(1), &mut Effects::default()),
        Err(LimitError::Budget(_))
    ));
}

#[test]
fn an_approval_raises_the_ceiling_for_its_run_by_an_amount_until_a_time() {
    let mut desk = Desk::new(vec![daily(DOLLAR)]);
    let (seven, eight) = (desk.path(&[(TEAM, "red"), (RUN, "7")]), desk.path(&[(TEAM, "red"), (RUN, "8")]));
    desk.spend(&seven, DOLLAR, 0);
    let raise = Raise {
        id: 1,
        beneficiary: "run=7".into(),
        budget: None,
        amount: cents(50),
        until_ms: 1000,
        author: "ada".into(),
        reason: "release day".into(),
    };
    assert_eq!(desk.book.approve(raise.clone(), 10), Ok(true));
    assert_eq!(desk.book.approve(raise.clone(), 10), Ok(false), "the same approval counts once");
    assert_eq!(desk.book.approve(Raise { amount: DOLLAR, ..raise.clone() }, 10), Err(RaiseError::Conflict));
    assert_eq!(desk.book.approve(Raise { author: "".into(), id: 2, ..raise.clone() }, 10), Err(RaiseError::Anonymous));
    assert_eq!(desk.book.approve(Raise { until_ms: 5, id: 2, ..raise }, 10), Err(RaiseError::Over));
    assert!(desk.reserve(&eight, cents(1), 20).is_err(), "another run is not raised");
    assert!(desk.reserve(&seven, cents(51), 20).is_err(), "the raise is bounded");
    assert!(desk.reserve(&seven, cents(20), 20).is_ok());
    assert!(desk.reserve(&seven, cents(20), 1000).is_err(), "it has ended");
}

#[test]
fn a_path_made_for_other_budgets_is_stale() {
    let mut desk = Desk::new(vec![daily(DOLLAR)]);
    let path = desk.path(&[(TEAM, "red"), (RUN, "7")]);
    let id = desk.reserve(&path, cents(50), 0).unwrap();
    desk.book.replace_budgets(
        Budgets::new(vec![Budget::each(ScopeKind::Run, DOLLAR), daily(DOLLAR)]).unwrap(),
        &mut Effects::default(),
    );
    assert_eq!(desk.reserve(&path, cents(1), 1), Err(ReserveError::StalePath), "it would miss the new budget");
    desk.post(id, cents(50), 1).unwrap();
    let path = desk.path(&[(TEAM, "red"), (RUN, "7")]);
    let spent: Vec<Nanodollars> = desk.book.standings(&path, 1).iter().map(|standing| standing.spent).collect();
    assert_eq!(spent, [Nanodollars::ZERO, cents(50)], "in the order of the new budgets; nothing was lost");
}

#[test]
fn an_account_in_storage_is_not_taken_for_a_new_one() {
    let budgets = Budgets::new(vec![daily(DOLLAR)]).unwrap();
    let mut book = Book::new(budgets, Residency::Partial);
    let path = book.budgets().path(&[(TEAM, "red")]).unwrap();
    let mut effects = Effects::default();
    let request = |id| Request { id: ReservationId(id), path: &path, amount: DOLLAR, expires_ms: 1 };
    assert!(matches!(book.reserve(&request(1), 0, &mut effects), Err(ReserveError::NotResident { .. })));
    book.admit(&path.accounts()[0], None).unwrap();
    book.reserve(&request(1), 0, &mut effects).unwrap();
    assert_eq!(book.evict(0, |_| true), [], "what is held stays");
    book.post(ReservationId(1), Settlement::exact(DOLLAR), 0, &mut effects).unwrap();
    let state = book.accounts().next().map(|(_, state)| state.clone()).unwrap();
    assert_eq!(book.evict(0, |_| false), []);
    assert_eq!((book.evict(0, |_| true).len(), book.resident()), (1, 0));
    book.admit(&path.accounts()[0], Some(state)).unwrap();
    assert!(
        matches!(book.reserve(&request(2), 0, &mut effects), Err(ReserveError::Refused(_))),
        "it came back as it went"
    );
}

#[test]
fn a_leased_part_of_a_budget_is_a_grant_that_can_be_topped_up() {
    let mut desk = Desk::new(vec![daily(dollars(10))]);
    let path = desk.path(&[(TEAM, "red")]);
    desk.spend(&path, cents(1), 0);
    let grant = |hard| Some(Grant { limit: hard, hard });
    desk.book.grant(&path.accounts()[0], grant(DOLLAR)).unwrap();
    assert!(desk.reserve(&path, DOLLAR, 0).is_err());
    desk.book.grant(&path.accounts()[0], grant(dollars(2))).unwrap();
    assert!(desk.reserve(&path, DOLLAR, 0).is_ok());
}

#[test]
fn an_amount_past_what_storage_holds_is_an_error() {
    let mut desk = Desk::new(vec![Budget { hard: Nanodollars::MAX, ..Budget::each(ScopeKind::Team, DOLLAR) }]);
    let path = desk.path(&[(TEAM, "red")]);
    assert!(matches!(desk.reserve(&path, Nanodollars::MAX, 0), Err(ReserveError::TooLarge { .. })));
    let id = desk.reserve(&path, MAX_AMOUNT, 0).unwrap();
    assert!(matches!(desk.reserve(&path, Nanodollars::new(1), 0), Err(ReserveError::TooLarge { .. })));
    assert!(matches!(desk.post(id, Nanodollars::MAX, 0), Err(ResolveError::TooLarge { .. })));
    desk.post(id, Nanodollars::ZERO, 0).unwrap();
}

#[test]
fn spend_that_overruns_the_ceiling_is_told_once() {
    let mut desk = Desk::new(vec![Budget { hard: DOLLAR, ..Budget::each(ScopeKind::Team, DOLLAR) }]);
    let path = desk.path(&[(TEAM, "red")]);
    let over = |desk: &mut Desk| {
        let events = std::mem::take(&mut desk.effects.events);
        events.iter().filter(|event| matches!(event, Event::OverCeiling { .. })).count()
    };
    let mut spend = |cost, now_ms| {
        let id = desk.reserve(&path, Nanodollars::ZERO, now_ms).unwrap();
        desk.post(id, cost, now_ms).unwrap();
        over(&mut desk)
    };
    assert_eq!([spend(DOLLAR, 0), spend(Nanodollars::new(1), 1), spend(DOLLAR, 2)], [0, 1, 0]);
}

#[test]
fn what_is_sent_at_once_is_never_released_for_nothing() {
    let mut desk = Desk::new(vec![Budget::each(ScopeKind::Team, DOLLAR)]);
    let path = desk.path(&[(TEAM, "red")]);
    let request = Request { id: ReservationId(1), path: &path, amount: DOLLAR, expires_ms: 60_000 };
    desk.book.dispatch(&request, 0, &mut desk.effects).unwrap();
    assert_eq!(desk.effects.entries.iter().map(|entry| entry.kind).collect::<Vec<_>>(), [EntryKind::Dispatch]);
    assert_eq!(desk.book.void(request.id, 1, &mut desk.effects), Err(ResolveError::WasSent));
    desk.book.dispatch(&request, 2, &mut desk.effects).unwrap();
    assert_eq!(desk.effects.entries.len(), 1, "the same again is the same");
    assert_eq!(desk.book.sweep(60_000, &mut desk.effects), Swept { expired: 0, estimated: 1 });
    assert_eq!(desk.standing(&path, 60_000).spent, DOLLAR);
    assert!(matches!(desk.book.dispatch(&request, 60_001, &mut desk.effects), Err(ReserveError::Ended(_))));
    desk.next = 1;
    // One that was held before is sent with it.
    let id = desk.reserve(&path, Nanodollars::ZERO, 0).unwrap();
    let held = Request { id, path: &path, amount: Nanodollars::ZERO, expires_ms: 70_000 };
    desk.book.dispatch(&held, 0, &mut desk.effects).unwrap();
    assert_eq!(desk.book.status(id), Some(Status::Open { held: Nanodollars::ZERO, sent: true }));
}
