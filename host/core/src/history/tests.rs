use super::*;
use crate::{Repetition, Spending};

const MINUTE: u64 = 60_000;

fn history() -> History {
    History::new(AttemptRules::default(), &[], Vec::new(), &Symbols::new())
}

fn report(started_minute: u64, minutes: u64, status: Status) -> Report {
    Report {
        task: Reference::of("task"),
        scopes: ScopePath::default(),
        task_type: Symbol::UNKNOWN,
        started_ms: started_minute * MINUTE,
        ended_ms: (started_minute + minutes) * MINUTE,
        tier: Some(Tier::Low),
        cost: Nanodollars::ZERO,
        status,
        context: None,
        proposal: None,
        productive: None,
    }
}

fn at(history: &History, minute: u64) -> crate::Attempts {
    let mut dispatch = Dispatch { now_ms: minute * MINUTE, task: Some(Reference::of("task")), ..Dispatch::default() };
    history.inform(&mut dispatch);
    dispatch.attempts
}

const TIMEOUT: Status = Status::Failed(Failure::Timeout);

#[test]
fn only_failures_count_as_attempts() {
    let mut history = history();
    history.record(&report(0, 5, TIMEOUT));
    history.record(&report(5, 1, Status::ProviderUnavailable));
    history.record(&report(5, 1, Status::Unreported));
    history.record(&report(6, 5, Status::Rejected));
    let attempts = at(&history, 12);
    assert_eq!((attempts.failed, attempts.streak, attempts.rejections), (2, 2, 1));
    assert_eq!((attempts.streak_elapsed_ms, attempts.since_failure_ms), (12 * MINUTE, MINUTE));
    history.record(&report(12, 1, Status::Succeeded));
    assert_eq!(at(&history, 14), crate::Attempts::default());
}

#[test]
fn an_idle_gap_ends_a_streak_and_keeps_the_count() {
    let mut history = history();
    history.record(&report(0, 5, TIMEOUT));
    history.record(&report(35, 5, TIMEOUT));
    assert_eq!(at(&history, 41).streak, 2, "30 minutes are no gap yet");
    history.record(&report(71, 5, TIMEOUT));
    let attempts = at(&history, 77);
    assert_eq!((attempts.failed, attempts.streak), (3, 1));
    let attempts = at(&history, 107);
    assert_eq!((attempts.failed, attempts.streak), (3, 0));
}

#[test]
fn the_highest_tier_that_failed_is_remembered() {
    let mut history = history();
    history.record(&Report { tier: Some(Tier::Premium), ..report(0, 1, TIMEOUT) });
    history.record(&report(1, 1, TIMEOUT));
    assert_eq!(at(&history, 3).failed_tier, Some(Tier::Premium));
}

#[test]
fn fast_failures_count_only_at_the_end_of_the_streak() {
    let mut history = history();
    let fast = |minute| Report { ended_ms: minute * MINUTE + 9_999, ..report(minute, 0, TIMEOUT) };
    history.record(&fast(0));
    history.record(&report(1, 1, TIMEOUT));
    history.record(&fast(3));
    history.record(&fast(4));
    assert_eq!(at(&history, 5).fast_failures, 2);
}

#[test]
fn loops_are_told_apart() {
    let other = Status::Failed(Failure::Other { fingerprint: 7 });
    for (status, context, repetition) in [
        (other, None, Repetition::SameFailure),
        (TIMEOUT, None, Repetition::SameFailure),
        (TIMEOUT, Some(1), Repetition::TimedOutContext),
        (Status::Failed(Failure::OutputLimit), Some(1), Repetition::OutputLimit),
    ] {
        let mut history = history();
        for minute in 0..3 {
            history.record(&Report { context, ..report(minute, 1, status) });
        }
        let attempts = at(&history, 4);
        assert_eq!((attempts.repetition, attempts.repetitions), (repetition, 3), "{status:?}");
        history.record(&report(4, 1, Status::Failed(Failure::Other { fingerprint: 8 })));
        assert_eq!(at(&history, 6).repetition, Repetition::None);
    }
}

#[test]
fn a_proposal_is_a_loop_only_without_progress() {
    let mut history = history();
    let again = |minute, productive| Report {
        proposal: Some(9),
        productive: Some(productive),
        ..report(minute, 1, Status::Succeeded)
    };
    for minute in 0..3 {
        history.record(&again(minute, false));
    }
    let attempts = at(&history, 4);
    assert_eq!((attempts.repetition, attempts.repetitions), (Repetition::SameProposal, 3));
    history.record(&again(5, true));
    assert_eq!(at(&history, 7).repetition, Repetition::None);
}

#[test]
fn spend_reaches_every_scope_and_its_window_ends() -> Result<(), crate::ConfigurationError> {
    let configuration = crate::Configuration::parse(
        "version = 1\n[[budget]]\nscope = \"team\"\nlimit = \"1.00 USD\"\nwindow = \"hour\"\n\
         [[budget]]\nscope = \"run\"\nlimit = \"2.00 USD\"\n[[budget]]\nscope = \"team\"\nname = \"blue\"\nlimit = \"1.00 USD\"\n",
    )?;
    let mut history = History::new(AttemptRules::default(), &configuration.budgets, Vec::new(), &Symbols::new());
    let mut scopes = ScopePath::default();
    scopes.set(ScopeKind::Team, Reference::of("red"));
    scopes.set(ScopeKind::Run, Reference::of("run"));
    let cost = Nanodollars::new(500_000_000);
    history.record(&Report { scopes, cost, ..report(0, 1, Status::Succeeded) });
    let read = |minute| {
        let mut dispatch = Dispatch { now_ms: minute * MINUTE, scopes, ..Dispatch::default() };
        history.inform(&mut dispatch);
        dispatch
    };
    let dispatch = read(2);
    assert_eq!(dispatch.accounts.len(), 2, "the team blue is another");
    assert_eq!(dispatch.accounts[0].utilisation_permille(), 500);
    assert_eq!(dispatch.affordable(), Nanodollars::new(600_000_000));
    assert_eq!(
        dispatch.spending,
        Spending {
            run_cost: cost,
            run_per_minute: Nanodollars::new(100_000_000),
            scope_per_minute: Nanodollars::new(100_000_000),
            fastest_scope: ScopeKind::Team,
            ..Spending::default()
        }
    );
    let later = read(60);
    assert_eq!(later.accounts[0].spent, Nanodollars::ZERO, "the hour is over");
    assert_eq!(later.accounts[1].spent, cost);
    assert_eq!(later.spending.run_per_minute, Nanodollars::ZERO);
    Ok(())
}

#[test]
fn a_route_sticks_to_its_run_task_and_stage() {
    let candidate = |model| Candidate {
        model: Symbol::from_u32(model),
        backend: Symbol::from_u32(9),
        tier: Tier::Low,
        health: crate::Health::Healthy,
        hosting: crate::Hosting::Remote,
        warm: false,
        free_slots: u32::MAX,
        estimated_cost: Nanodollars::ZERO,
    };
    let mut dispatch = Dispatch {
        task: Some(Reference::of("task")),
        candidates: vec![candidate(1), candidate(2)],
        ..Dispatch::default()
    };
    let mut history = history();
    history.remember_route(&dispatch, &candidate(2));
    history.inform(&mut dispatch);
    assert_eq!((dispatch.sticky, dispatch.candidates[1].warm), (Some(1), true));
    let mut other = Dispatch { stage: Symbol::from_u32(5), sticky: None, ..dispatch.clone() };
    history.inform(&mut other);
    assert_eq!(other.sticky, None);
}

#[test]
fn a_threshold_is_reached_once_in_a_window() -> Result<(), crate::ConfigurationError> {
    let configuration = crate::Configuration::parse(
        "version = 1\n[[budget]]\nscope = \"team\"\nlimit = \"1.00 USD\"\nwindow = \"hour\"\n",
    )?;
    let mut history = History::new(AttemptRules::default(), &configuration.budgets, Vec::new(), &Symbols::new());
    let mut scopes = ScopePath::default();
    scopes.set(ScopeKind::Team, Reference::of("red"));
    let mut spend = |minute, cost| {
        let cost = Nanodollars::new(cost);
        let reached = history.record(&Report { scopes, cost, ..report(minute, 0, Status::Succeeded) });
        reached.into_iter().map(|reached| reached.threshold).collect::<Vec<_>>()
    };
    assert_eq!(spend(0, 799_000_000), []);
    assert_eq!(spend(1, 1_000_000), [Threshold::Approaching]);
    assert_eq!(spend(2, 100_000_000), []);
    assert_eq!(spend(3, 200_000_000), [Threshold::AtLimit]);
    assert_eq!(spend(4, 1), [Threshold::Over]);
    assert_eq!(spend(60, 2_000_000_000), [Threshold::Over], "a new window, and all of it at once");
    Ok(())
}

#[test]
fn another_configuration_forgets_nothing() -> Result<(), crate::ConfigurationError> {
    let parse = |budgets: &str| crate::Configuration::parse(&format!("version = 1\n{budgets}"));
    let team = |limit: u32| format!("[[budget]]\nscope = \"team\"\nlimit = \"{limit}.00 USD\"\n");
    let (small, large, none) = (parse(&team(1))?, parse(&format!("{}{}", team(2), team(5)))?, parse("")?);
    let rule = |name, event| CounterRule { name, event, by: CounterBy::Task, window_seconds: 0 };
    let failures = rule(Symbol::from_u32(1), CounterEvent::Failure);
    let others = rule(Symbol::from_u32(2), CounterEvent::Success);
    let symbols = Symbols::new();
    let mut history = History::new(AttemptRules::default(), &small.budgets, vec![failures], &symbols);
    let mut scopes = ScopePath::default();
    scopes.set(ScopeKind::Team, Reference::of("red"));
    let cost = Nanodollars::new(1_500_000_000);
    let spend = Report { scopes, cost, ..report(0, 1, TIMEOUT) };
    let thresholds = |reached: Vec<ThresholdReached>| -> Vec<_> { reached.iter().map(|one| one.threshold).collect() };
    assert_eq!(thresholds(history.record(&spend)), [Threshold::Over]);

    let read = |history: &History| {
        let mut dispatch =
            Dispatch { now_ms: MINUTE, task: Some(Reference::of("task")), scopes, ..Dispatch::default() };
        history.inform(&mut dispatch);
        let accounts: Vec<_> = dispatch.accounts.iter().map(|account| account.spent).collect();
        (dispatch.attempts.failed, accounts, dispatch.counters, dispatch.spending.scope_per_minute)
    };
    let per_minute = read(&history).3;
    history.adopt(AttemptRules::default(), &none.budgets, vec![others], &symbols);
    assert_eq!(read(&history), (1, vec![], vec![(others.name, 0)], per_minute));
    history.adopt(AttemptRules::default(), &large.budgets, vec![others, failures], &symbols);
    let counts = vec![(others.name, 0), (failures.name, 1)];
    assert_eq!(read(&history), (1, vec![cost, Nanodollars::ZERO], counts, per_minute), "the second budget is new");
    assert_eq!(
        thresholds(history.record(&Report { cost: Nanodollars::new(600_000_000), ..spend })),
        [Threshold::AtLimit],
        "the raised limit is reached again"
    );
    Ok(())
}
