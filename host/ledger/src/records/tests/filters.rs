//! What a filter finds, and what names are written like.

use super::*;

fn a_record(host: &Host) -> DecisionRecord {
    let dispatch = dispatch(host, 1_000);
    let raise = Verdict::RetryCeiling(RetryCeilingVerdict::RaiseFloor(Tier::Premium));
    let decision = decide(&dispatch, &SwitchBoard::default(), &[raise]);
    let mut slot = slot::Slot::default();
    slot.fill(DecisionId { session: 1, number: 1 }, &dispatch, &decision, &Context::default());
    DecisionRecord::of(&slot, &host.0, &host.policies(1).unwrap()).unwrap()
}

#[test]
fn everything_that_is_said_has_to_hold() {
    let record = a_record(&Host::new());
    let text = |text: &str| Some(text.to_owned());
    let none = Filter::default;
    for (filter, matches) in [
        (none(), true),
        (Filter { since_ms: Some(1_000), ..none() }, true),
        (Filter { since_ms: Some(1_001), ..none() }, false),
        (Filter { until_ms: Some(1_000), ..none() }, false),
        (Filter { until_ms: Some(1_001), ..none() }, true),
        (Filter { outcomes: vec!["hold".to_owned(), "proceed".to_owned()], ..none() }, true),
        (Filter { outcomes: vec!["refuse".to_owned()], ..none() }, false),
        (Filter { task: text("task-7"), ..none() }, true),
        (Filter { task: text("task-8"), ..none() }, false),
        (Filter { task_type: text("refactoring"), ..none() }, true),
        (Filter { stage: text("planning"), ..none() }, false),
        (Filter { scopes: vec![(ScopeKind::Run, "run-7".to_owned())], ..none() }, true),
        (Filter { scopes: vec![(ScopeKind::User, "run-7".to_owned())], ..none() }, false),
        (Filter { scopes: vec![(ScopeKind::Run, "run-7".into()), (ScopeKind::Team, "blue".into())], ..none() }, false),
        (Filter { model: text("large"), ..none() }, true),
        (Filter { by: text("host"), ..none() }, false),
        (Filter { policy: text("first"), ..none() }, true),
        (Filter { policy: text("second"), ..none() }, false),
        (Filter { kind: Some(PolicyKind::RetryCeiling), verdict: text("raise-floor"), ..none() }, true),
        (Filter { kind: Some(PolicyKind::Budget), verdict: text("raise-floor"), ..none() }, false),
    ] {
        assert_eq!(filter.matches(&record), matches, "{filter:?}");
    }
}

#[test]
fn an_event_has_the_members_of_a_decision_log() {
    let host = Host::new();
    let recorded = Recorded {
        decision: a_record(&host),
        header: Arc::new(Header { program: "0.1.0".to_owned(), ..Header::default() }),
        policies: Arc::new(host.policies(1).unwrap()),
    };
    let event = serde_json::to_value(Event::of(&recorded)).unwrap();
    assert_eq!(event["decision_id"], "0000000000000001-1");
    assert_eq!(event["timestamp"], "1970-01-01T00:00:01Z");
    assert_eq!(event["bundles"]["first"]["revision"], "sha256:00");
    assert_eq!(event["labels"]["version"], "0.1.0");
    assert_eq!(event["result"]["outcome"], "proceed");
    assert_eq!(event["input"]["scopes"]["run"]["reference"].as_str().map(str::len), Some(16));
    assert_eq!(event["metrics"]["timer_decide_ns"], 0);
}

#[test]
fn a_decision_id_reads_back_and_nothing_else_does() {
    let id = DecisionId { session: 0x019b_e1f0_c2a0_b3d4, number: 17 };
    assert_eq!(id.to_string(), "019be1f0c2a0b3d4-17");
    assert_eq!(id.to_string().parse(), Ok(id));
    for text in ["", "17", "-17", "019be1f0c2a0b3d4", "019be1f0c2a0b3d4-", "019be1f0c2a0b3d4-+1", "+19be1f0c2a0b3d4-1"]
    {
        let error = text.parse::<DecisionId>().unwrap_err().to_string();
        assert!(error.contains("is no decision id"), "{error}");
    }
}
