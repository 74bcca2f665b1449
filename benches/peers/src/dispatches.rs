//! Dispatches that differ in everything a rule looks at, each as the host reads it and as the peers do. The same on every machine.

use peer_rules::{CANDIDATES, Candidate, DOLLAR, Facts, SCOPES, Scope};
use tollgate_core::{
    Account, Attempts, Dispatch, Health, Hosting, Nanodollars, Priority, Reference, Repetition, ScopeKind, Spending,
    Symbol, Tier,
};
use tollgate_runtime::Host;

/// As many as are verified, and as are timed: more than a branch predictor learns by heart.
pub(crate) const CASES: usize = 1_024;
/// The team whose dispatches a switch covers.
pub(crate) const STOPPED_TEAM: &str = "stopped";
/// 2026-01-14, 14:00 UTC.
const NOW_MS: u64 = 1_768_399_200_000;
const TENTH: u64 = DOLLAR.unsigned_abs() / 10;
const SCOPE_KINDS: [ScopeKind; SCOPES] =
    [ScopeKind::Organisation, ScopeKind::Team, ScopeKind::Project, ScopeKind::Run, ScopeKind::Key];

/// The same dispatch twice.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) dispatch: Dispatch,
    pub(crate) facts: Facts,
}

/// Dispatches of every verdict.
pub(crate) fn varied(host: &Host) -> Vec<Case> {
    endless(host).take(CASES).collect()
}

/// Dispatches that no policy stops, so that each engine has to go through all four.
pub(crate) fn proceeding(host: &Host) -> Vec<Case> {
    endless(host).skip(CASES).filter(|case| peer_rules::decide(&case.facts).proceeds()).take(CASES).collect()
}

fn endless(host: &Host) -> impl Iterator<Item = Case> {
    (0_u64..).map(|number| {
        let mut mix = Mix(number);
        let (task_type, covered) = (mix.below(9), mix.one_in(20));
        let dispatch = dispatch(number, &mut mix, task_type, covered, host);
        let facts = facts(&dispatch, task_type, covered);
        Case { dispatch, facts }
    })
}

fn dispatch(number: u64, mix: &mut Mix, task_type: u64, covered: bool, host: &Host) -> Dispatch {
    let mut dispatch = Dispatch {
        now_ms: NOW_MS + mix.below(60_000),
        waited_ms: if mix.one_in(4) { mix.small(8_000) } else { 0 },
        task_type: known_task_type(host, task_type),
        priority: mix.one_of([Priority::Low, Priority::Normal, Priority::High]),
        approved: mix.one_in(6),
        task: Some(Reference::of(&format!("task-{number}"))),
        sample: Some(Reference::of(&format!("run-{number}"))),
        spending: spending(mix),
        attempts: attempts(mix),
        input_tokens: mix.below(60_000),
        output_tokens: mix.below(4_000),
        requested_tier: mix.one_in(4).then(|| mix.tier()),
        sticky: mix.one_in(2).then(|| mix.small(CANDIDATES as u64)),
        candidates: host.catalogue().candidates(|_, _| Some(Nanodollars::ZERO)),
        ..Dispatch::default()
    };
    for (index, candidate) in dispatch.candidates.iter_mut().enumerate() {
        // Costs in tenths of a dollar are equal now and then, so that what comes after them counts.
        candidate.estimated_cost = Nanodollars::new(mix.below(80) * TENTH);
        candidate.hosting = if mix.one_in(5) { Hosting::Local } else { Hosting::Remote };
        candidate.warm = mix.one_in(4);
        candidate.free_slots = if mix.one_in(6) { 0 } else { mix.one_of([1, 8, u32::MAX]) };
        candidate.health = match mix.below(8) {
            // One that can be used is left: without any the host asks no policy.
            0 if index > 0 => Health::Down,
            1 => Health::Degraded,
            _ => Health::Healthy,
        };
    }
    for kind in SCOPE_KINDS {
        let name =
            if covered && kind == ScopeKind::Team { STOPPED_TEAM.to_owned() } else { format!("{kind}-{number}") };
        dispatch.scopes.set(kind, Reference::of(&name));
        dispatch.accounts.push(account(mix, kind));
    }
    dispatch
}

/// The place 0 is a task type that nobody knows.
fn known_task_type(host: &Host, place: u64) -> Symbol {
    let known = host.catalogue();
    let place = usize::try_from(place).ok().and_then(|place| place.checked_sub(1));
    place.and_then(|place| known.task_types().get(place)).copied().unwrap_or_default()
}

fn spending(mix: &mut Mix) -> Spending {
    // Mostly what a run spends, now and then around a ceiling; in tenths of a dollar.
    let money = |mix: &mut Mix, ceiling: u64, mostly: u64| {
        let tenths = if mix.one_in(25) { ceiling - ceiling / 4 + mix.below(ceiling / 2) } else { mix.below(mostly) };
        Nanodollars::new(tenths * TENTH)
    };
    Spending {
        run_cost: money(mix, 10_000, 70),
        run_per_minute: money(mix, 250, 50),
        scope_per_minute: money(mix, 250, 50),
        fastest_scope: ScopeKind::Team,
        task_type_p95: Nanodollars::new(mix.below(30) * TENTH),
        finished_runs: mix.small(64),
    }
}

fn attempts(mix: &mut Mix) -> Attempts {
    let failed = if mix.one_in(2) { 0 } else { mix.small(8) };
    let streak = failed.saturating_sub(mix.small(2));
    let if_failed = |count: u32| if failed > 0 { count } else { 0 };
    let tier = mix.tier();
    let repeats = failed > 0 && mix.one_in(3);
    Attempts {
        failed,
        streak,
        streak_elapsed_ms: if streak > 0 { mix.below(25 * 60_000) } else { 0 },
        since_failure_ms: if streak > 0 { mix.below(60_000) } else { 0 },
        fast_failures: if mix.one_in(4) { if_failed(1) } else { 0 },
        rejections: if mix.one_in(4) { if_failed(mix.small(4)) } else { 0 },
        failed_tier: (failed > 0 && !mix.one_in(4)).then_some(tier),
        repetition: if repeats { mix.one_of(LOOPS) } else { Repetition::None },
        repetitions: if repeats { mix.small(5) } else { 0 },
    }
}

/// In the order of the rules' numbers, from 1.
const LOOPS: [Repetition; 4] =
    [Repetition::SameFailure, Repetition::TimedOutContext, Repetition::OutputLimit, Repetition::SameProposal];

fn account(mix: &mut Mix, kind: ScopeKind) -> Account {
    let limit = (50 + mix.below(1_000)) * TENTH;
    let percent = if mix.one_in(10) { 75 + mix.below(40) } else { mix.below(60) };
    let committed = limit / 100 * percent;
    let reserved = committed / 10;
    Account {
        kind,
        owner: Symbol::UNKNOWN,
        spent: Nanodollars::new(committed - reserved),
        reserved: Nanodollars::new(reserved),
        limit: Nanodollars::new(limit),
        hard: Nanodollars::new(limit / 10 * 11),
        window_end_ms: u64::MAX,
    }
}

fn facts(dispatch: &Dispatch, task_type: u64, covered: bool) -> Facts {
    let Dispatch { spending, attempts, .. } = dispatch;
    let tier = |tier: Option<Tier>| tier.map_or(-1, |tier| tier as i64);
    let whole = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    Facts {
        covered: covered.into(),
        approved: dispatch.approved.into(),
        priority: dispatch.priority as i64,
        waited_ms: dispatch.waited_ms.into(),
        task_type: whole(task_type),
        run_cost: money(spending.run_cost),
        run_per_minute: money(spending.run_per_minute),
        task_type_p95: money(spending.task_type_p95),
        finished_runs: spending.finished_runs.into(),
        attempts: attempts.failed.into(),
        streak: attempts.streak.into(),
        streak_elapsed_ms: whole(attempts.streak_elapsed_ms),
        since_failure_ms: whole(attempts.since_failure_ms),
        fast_failures: attempts.fast_failures.into(),
        rejections: attempts.rejections.into(),
        failed_tier: tier(attempts.failed_tier),
        repetition: LOOPS.iter().position(|kind| *kind == attempts.repetition).map_or(0, |place| place as i64 + 1),
        repetitions: attempts.repetitions.into(),
        requested_tier: tier(dispatch.requested_tier),
        sticky: dispatch.sticky.map_or(-1, i64::from),
        affordable: money(dispatch.affordable()),
        candidates: std::array::from_fn(|index| candidate(&dispatch.candidates[index])),
        scopes: std::array::from_fn(|index| scope(&dispatch.accounts[index])),
    }
}

fn candidate(candidate: &tollgate_core::Candidate) -> Candidate {
    Candidate {
        tier: candidate.tier as i64,
        cost: money(candidate.estimated_cost),
        health: candidate.health as i64,
        local: (candidate.hosting == Hosting::Local).into(),
        warm: candidate.warm.into(),
        free_slots: candidate.free_slots.into(),
    }
}

fn scope(account: &Account) -> Scope {
    Scope {
        committed: money(account.spent.saturating_add(account.reserved)),
        limit: money(account.limit),
        hard: money(account.hard),
    }
}

fn money(amount: Nanodollars) -> i64 {
    i64::try_from(amount.as_u64()).unwrap_or(i64::MAX)
}

/// Numbers that look random (SplitMix64), and are the same for the same dispatch.
struct Mix(u64);

impl Mix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn small(&mut self, bound: u64) -> u32 {
        u32::try_from(self.below(bound)).unwrap_or(u32::MAX)
    }

    fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    fn one_of<T: Copy, const N: usize>(&mut self, choices: [T; N]) -> T {
        choices[usize::try_from(self.below(N as u64)).unwrap_or(0)]
    }

    fn tier(&mut self) -> Tier {
        self.one_of([Tier::Low, Tier::Middle, Tier::Premium])
    }
}
