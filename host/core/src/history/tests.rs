use super::*;
use crate::{Repetition, Spending};

const MINUTE: u64 = 60_000;

fn history() -> History {
    History::new(AttemptRules::default(), Vec::new(), 100)
}

fn report(started_minute: u64, minutes: u64, status: Status) -> Report {
    Report {
        task: Reference::of("task"),
        scopes: ScopePath::default(),
        task_type: Symbol::UNKNOWN,
        started_ms: started_minute * MINUTE,
        ended_ms: (started_minute + minutes) * MINUTE,
        tier: Some(Tier::Low),
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
    let history = history();
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
    let history = history();
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
    let history = history();
    history.record(&Report { tier: Some(Tier::Premium), ..report(0, 1, TIMEOUT) });
    history.record(&report(1, 1, TIMEOUT));
    assert_eq!(at(&history, 3).failed_tier, Some(Tier::Premium));
}

#[test]
fn fast_failures_count_only_at_the_end_of_the_streak() {
    let history = history();
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
        let history = history();
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
    let history = history();
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
fn spend_reaches_every_scope_and_what_is_held_the_run() {
    let history = history();
    let mut scopes = ScopePath::default();
    scopes.set(ScopeKind::Team, Reference::of("red"));
    scopes.set(ScopeKind::Run, Reference::of("run"));
    let (cost, held) = (Nanodollars::new(500_000_000), Nanodollars::new(700_000_000));
    let take = |minute, movement| history.take(&scopes, &Movement { at_ms: minute * MINUTE, ..movement });
    let read = |minute| {
        let mut dispatch = Dispatch { now_ms: minute * MINUTE, scopes, ..Dispatch::default() };
        history.inform(&mut dispatch);
        dispatch.spending
    };
    take(0, Movement { hold: held, ..Movement::default() });
    assert_eq!(read(0), Spending { run_cost: held, ..Spending::default() });
    take(0, Movement { release: held, spend: cost, ..Movement::default() });
    let expected = Spending {
        run_cost: cost,
        run_per_minute: Nanodollars::new(100_000_000),
        scope_per_minute: Nanodollars::new(100_000_000),
        fastest_scope: ScopeKind::Team,
        ..Spending::default()
    };
    assert_eq!(read(2), expected);
    assert_eq!(read(60), Spending { run_cost: cost, ..Spending::default() });
    take(61, Movement { spend: Nanodollars::new(1), refund: cost, ..Movement::default() });
    assert_eq!(read(61).run_cost, Nanodollars::new(1), "an estimate was corrected");
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
    let history = history();
    history.remember_route(&dispatch, &candidate(2));
    history.inform(&mut dispatch);
    assert_eq!((dispatch.sticky, dispatch.candidates[1].warm), (Some(1), true));
    let mut other = Dispatch { stage: Symbol::from_u32(5), sticky: None, ..dispatch.clone() };
    history.inform(&mut other);
    assert_eq!(other.sticky, None);
}
