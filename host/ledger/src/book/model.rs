//! The book against a naive model that keeps every reservation for ever and adds them all up for each question.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use tollgate_core::ScopeKind;

use super::*;

const CASES: u32 = 10_000;
/// Names of runs and teams; few, so that they meet.
const NAMES: [&str; 3] = ["a", "b", "c"];

#[derive(Clone, Debug)]
enum Op {
    Reserve { run: usize, team: usize, amount: u64, at_once: bool },
    Extend { which: usize, total: u64 },
    Send { which: usize },
    Post { which: usize, cost: u64, estimated: bool },
    Void { which: usize },
    Correct { which: usize, cost: u64 },
    Sweep,
    Limit { limit: u64 },
    Clock { to: Jump },
}

#[derive(Clone, Debug)]
enum Jump {
    By(u64),
    Back(u64),
    To(usize),
}

/// Moments around which calendars stumble.
const MOMENTS: [&str; 8] = [
    "2026-03-29T00:59:30Z",
    "2026-10-25T00:30:00Z",
    "2026-10-25T01:00:00Z",
    "2028-02-28T23:59:59Z",
    "2028-02-29T22:59:59Z",
    "2026-12-31T22:59:59Z",
    "2026-02-28T23:00:00Z",
    "2026-11-01T05:59:59Z",
];

fn op() -> impl Strategy<Value = Op> {
    let which = 0_usize..12;
    prop_oneof![
        6 => (0..NAMES.len(), 0..NAMES.len(), 0_u64..400, any::<bool>())
            .prop_map(|(run, team, amount, at_once)| Op::Reserve { run, team, amount, at_once }),
        1 => (which.clone(), 0_u64..600).prop_map(|(which, total)| Op::Extend { which, total }),
        2 => which.clone().prop_map(|which| Op::Send { which }),
        5 => (which.clone(), 0_u64..500, any::<bool>()).prop_map(|(which, cost, estimated)| Op::Post { which, cost, estimated }),
        1 => which.clone().prop_map(|which| Op::Void { which }),
        1 => (which, 0_u64..500).prop_map(|(which, cost)| Op::Correct { which, cost }),
        1 => Just(Op::Sweep),
        1 => (300_u64..1500).prop_map(|limit| Op::Limit { limit }),
        3 => prop_oneof![
            (0_u64..100_000_000).prop_map(Jump::By),
            (0_u64..10_000_000_000).prop_map(Jump::By),
            (0_u64..10_000_000_000).prop_map(Jump::Back),
            (0..MOMENTS.len()).prop_map(Jump::To),
        ]
        .prop_map(|to| Op::Clock { to }),
    ]
}

fn window() -> impl Strategy<Value = Window> {
    let zone = prop_oneof![Just("Europe/Berlin"), Just("America/New_York"), Just("UTC"), Just("Asia/Kolkata")]
        .prop_map(|name| TimeZone::get(name).unwrap());
    prop_oneof![
        Just(Window::Total),
        zone.clone().prop_map(Window::Hour),
        zone.clone().prop_map(Window::Day),
        zone.clone().prop_map(Window::Week),
        zone.prop_map(Window::Month),
        (60_u64..200_000_000).prop_map(|length_ms| Window::Rolling { length_ms }),
    ]
}

/// One reservation, from beginning to end.
struct Line {
    accounts: Vec<(AccountId, u64)>,
    state: State,
    asked: u64,
    held: u64,
    deadline: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Held,
    Sent,
    Ended(Resolution),
}

#[derive(Default)]
struct Naive {
    lines: Vec<Line>,
    /// Every window each account has been in, oldest first, with what was carried into it.
    windows: std::collections::HashMap<AccountId, Vec<(Bounds, u64)>>,
}

impl Naive {
    fn spent(&self, account: AccountId, start: u64) -> u64 {
        let cost = |line: &&Line| match line.state {
            State::Ended(Resolution::Posted(cost) | Resolution::Estimated(cost) | Resolution::Corrected(cost)) => {
                cost.as_u64()
            }
            _ => 0,
        };
        self.lines.iter().filter(|line| line.accounts.contains(&(account, start))).map(|line| cost(&line)).sum()
    }

    fn reserved(&self, account: AccountId, start: u64) -> u64 {
        let open = |line: &&Line| !matches!(line.state, State::Ended(_)) && line.accounts.contains(&(account, start));
        self.lines.iter().filter(open).map(|line| line.held).sum()
    }

    /// The window of an account at a moment; time never goes back.
    fn enter(&mut self, account: AccountId, budget: &Budget, now: u64) -> u64 {
        let last = self.windows.get(&account).and_then(|all| all.last().copied());
        if let Some((bounds, _)) = last
            && now < bounds.end_ms
        {
            return bounds.start_ms;
        }
        let mut carried = 0;
        if let Some((last, carried_in)) = last
            && budget.window.rolling_ms().is_none()
        {
            let limit = budget.limit.as_u64();
            let used = self.spent(account, last.start_ms) + self.reserved(account, last.start_ms);
            carried = (limit + carried_in).saturating_sub(used).min(budget.carry_over.as_u64());
            let mut end = last.end_ms;
            for _ in 0..4 {
                let skipped = budget.window.bounds(end);
                if skipped.end_ms > now {
                    break;
                }
                carried = (carried + limit).min(budget.carry_over.as_u64());
                end = skipped.end_ms;
            }
        }
        let bounds = budget.window.bounds(now);
        self.windows.entry(account).or_default().push((bounds, carried));
        bounds.start_ms
    }

    fn fits(&self, account: AccountId, budget: &Budget, start: u64, amount: u64) -> bool {
        if amount == 0 {
            return true;
        }
        let all = &self.windows[&account];
        let hard = budget.hard.as_u64();
        if let Some(length) = budget.window.rolling_ms() {
            let from = all.last().unwrap().0.start_ms.saturating_sub(length);
            let spent: u64 = all
                .iter()
                .filter(|(bounds, _)| bounds.end_ms > from)
                .map(|(bounds, _)| self.spent(account, bounds.start_ms))
                .sum();
            let reserved: u64 = all.iter().map(|(bounds, _)| self.reserved(account, bounds.start_ms)).sum();
            return spent + reserved + amount <= hard;
        }
        let carried = all.iter().find(|(bounds, _)| bounds.start_ms == start).unwrap().1;
        self.spent(account, start) + self.reserved(account, start) + amount <= hard + carried
    }
}

struct Pair {
    book: Book,
    naive: Naive,
    effects: Effects,
    now: u64,
}

impl Pair {
    fn id(which: usize) -> ReservationId {
        ReservationId(which as u128)
    }

    fn step(&mut self, op: &Op) -> Result<(), TestCaseError> {
        match *op {
            Op::Clock { ref to } => {
                self.now = match *to {
                    Jump::By(by) => self.now + by,
                    Jump::Back(by) => self.now.saturating_sub(by),
                    Jump::To(moment) => {
                        u64::try_from(MOMENTS[moment].parse::<Timestamp>().unwrap().as_millisecond()).unwrap()
                    }
                }
            }
            Op::Reserve { run, team, amount, at_once } => self.reserve((run, team), amount, at_once)?,
            Op::Extend { which, total } => self.extend(which, total)?,
            Op::Limit { limit } => {
                let (limit, hard) = (Nanodollars::new(limit), Nanodollars::new(limit + limit / 10));
                self.book.set_limit("team", limit, hard, &mut self.effects).unwrap();
            }
            Op::Send { which } => {
                let open = self.naive.lines.get(which).is_some_and(|line| !matches!(line.state, State::Ended(_)));
                let sent = self.book.sent(Self::id(which), self.now + 500_000, self.now, &mut self.effects);
                prop_assert_eq!(sent.is_ok(), open);
                let now = self.now;
                if let Some(line) = self.naive.lines.get_mut(which)
                    && line.state == State::Held
                {
                    (line.state, line.deadline) = (State::Sent, now + 500_000);
                }
            }
            Op::Post { which, cost, estimated } => {
                let amount = Nanodollars::new(cost);
                let (settlement, end) = if estimated {
                    (Settlement::estimated(amount), Resolution::Estimated(amount))
                } else {
                    (Settlement::exact(amount), Resolution::Posted(amount))
                };
                let posted = self.book.post(Self::id(which), settlement, self.now, &mut self.effects);
                prop_assert_eq!(posted.is_ok(), self.resolve(which, end, |_| true));
            }
            Op::Void { which } => {
                let voided = self.book.void(Self::id(which), self.now, &mut self.effects);
                prop_assert_eq!(voided.is_ok(), self.resolve(which, Resolution::Voided, |state| state == State::Held));
            }
            Op::Correct { which, cost } => {
                let cost = Nanodollars::new(cost);
                let corrected = self.book.correct(Self::id(which), cost, self.now, &mut self.effects);
                let line = self.naive.lines.get_mut(which);
                let expected = match line.as_ref().map(|line| line.state) {
                    Some(State::Ended(Resolution::Estimated(_))) => true,
                    Some(State::Ended(Resolution::Corrected(was))) => was == cost,
                    _ => false,
                };
                prop_assert_eq!(corrected.is_ok(), expected);
                if let (true, Some(line)) = (expected, line) {
                    line.state = State::Ended(Resolution::Corrected(cost));
                }
            }
            Op::Sweep => {
                self.book.sweep(self.now, &mut self.effects);
                for line in &mut self.naive.lines {
                    if line.deadline <= self.now {
                        line.state = match line.state {
                            State::Held => State::Ended(Resolution::Expired),
                            State::Sent => State::Ended(Resolution::Estimated(Nanodollars::new(line.held))),
                            ended => ended,
                        };
                    }
                }
            }
        }
        self.compare()
    }

    fn reserve(&mut self, (run, team): (usize, usize), amount: u64, at_once: bool) -> Result<(), TestCaseError> {
        let names = [(Dimension::Scope(ScopeKind::Run), NAMES[run]), (Dimension::Scope(ScopeKind::Team), NAMES[team])];
        let path = self.book.budgets().path(&names).unwrap();
        let budgets: Vec<Budget> =
            path.accounts().iter().map(|account| self.book.budgets().named(&account.budget).unwrap().clone()).collect();
        let mut accounts = Vec::new();
        for (account, budget) in path.accounts().iter().zip(&budgets) {
            accounts.push((account.id, self.naive.enter(account.id, budget, self.now)));
        }
        let fits = accounts
            .iter()
            .zip(&budgets)
            .all(|((account, start), budget)| self.naive.fits(*account, budget, *start, amount));
        let id = Self::id(self.naive.lines.len());
        let expires_ms = self.now + 100_000;
        let request = Request { id, path: &path, amount: Nanodollars::new(amount), expires_ms };
        let (reserved, state) = if at_once {
            (self.book.dispatch(&request, self.now, &mut self.effects), State::Sent)
        } else {
            (self.book.reserve(&request, self.now, &mut self.effects), State::Held)
        };
        prop_assert_eq!(reserved.is_ok(), fits, "{:?}", reserved);
        if fits {
            self.naive.lines.push(Line { accounts, state, asked: amount, held: amount, deadline: expires_ms });
        }
        Ok(())
    }

    fn extend(&mut self, which: usize, total: u64) -> Result<(), TestCaseError> {
        let extended = self.book.extend(Self::id(which), Nanodollars::new(total), self.now, &mut self.effects);
        let expected = self.naive.lines.get(which).is_some_and(|line| {
            let more = total.saturating_sub(line.held);
            let budgets = self.book.budgets();
            let of = |index: usize| &budgets.all()[index];
            let fits = line
                .accounts
                .iter()
                .enumerate()
                .all(|(index, (account, start))| self.naive.fits(*account, of(index), *start, more));
            !matches!(line.state, State::Ended(_)) && fits
        });
        prop_assert_eq!(extended.is_ok(), expected, "{:?}", extended);
        if let (true, Some(line)) = (expected, self.naive.lines.get_mut(which)) {
            line.held = line.held.max(total);
        }
        Ok(())
    }

    fn resolve(&mut self, which: usize, end: Resolution, allowed: impl Fn(State) -> bool) -> bool {
        match self.naive.lines.get_mut(which) {
            Some(line) if !matches!(line.state, State::Ended(_)) => {
                let allowed = allowed(line.state);
                if allowed {
                    line.state = State::Ended(end);
                }
                allowed
            }
            Some(line) => line.state == State::Ended(end),
            None => false,
        }
    }

    /// Every window that the book still has is what all reservations add up to, and no ceiling is passed but by overruns.
    fn compare(&self) -> Result<(), TestCaseError> {
        for (id, account) in self.book.accounts() {
            for window in &account.windows {
                let start = window.bounds.start_ms;
                prop_assert_eq!(
                    window.spent.as_u64(),
                    self.naive.spent(id, start),
                    "spent of {} at {}",
                    account.label,
                    start
                );
                prop_assert_eq!(
                    window.reserved.as_u64(),
                    self.naive.reserved(id, start),
                    "reserved of {}",
                    account.label
                );
            }
        }
        let open = self.naive.lines.iter().filter(|line| !matches!(line.state, State::Ended(_))).count();
        prop_assert_eq!(self.book.open_reservations(), open);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, ..ProptestConfig::default() })]
    #[test]
    fn the_book_agrees_with_a_naive_model(
        ops in proptest::collection::vec(op(), 1..48), window in window(), run_limit in 300_u64..1500, carry in 0_u64..800,
    ) {
        let team = Budget {
            window,
            carry_over: Nanodollars::new(carry),
            ..Budget::each(ScopeKind::Team, Nanodollars::new(1000))
        };
        let budgets = vec![Budget::each(ScopeKind::Run, Nanodollars::new(run_limit)), team];
        let book = Book::new(Budgets::new(budgets).unwrap(), Residency::Complete);
        let mut pair = Pair { book, naive: Naive::default(), effects: Effects::default(), now: 1_774_742_400_000 };
        for op in &ops {
            pair.step(op)?;
        }
        let asked: u64 = pair.naive.lines.iter().map(|line| line.asked).sum();
        let entered: u64 = pair.effects.entries.iter().filter(|entry| matches!(entry.kind, EntryKind::Reserve | EntryKind::Dispatch)).map(|entry| entry.change.hold.as_u64()).sum();
        prop_assert_eq!(asked, entered);
    }
}
