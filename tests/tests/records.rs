//! A recorded dispatch, decided again by the same plugins and configuration, gets the same verdicts: in the host that
//! recorded it and in another whose symbols are other numbers.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::sync::Arc;

use tollgate_core::{
    Configuration, Dispatch, Nanodollars, OnError, Reason, Reference, ScopeKind, Selector, Switch, SwitchMode, Symbol,
    Symbols,
};
use tollgate_ledger::records::{
    self, Context, Item, Naming, Options, PolicyRecord, PolicySet, Recorded, Recorder, ResultRecord, VerdictRecord,
};
use tollgate_runtime::Host;
use tollgate_tests::{Chain, PolicyEntry, dispatch, guests_folder, plugins_folder};

const DOLLAR: u64 = 1_000_000_000;

/// The shipped policies, and runs that trip.
fn shipped() -> Chain {
    let kill_switch = PolicyEntry::shipped("kill-switch").config("run_cost = { ceiling = \"150.00 USD\" }");
    ["retry-ceiling", "routing", "budget"]
        .iter()
        .fold(Chain::new().policy(&kill_switch), |chain, name| chain.policy(&PolicyEntry::shipped(name)))
}

fn host(configuration: &str) -> Arc<Host> {
    let builder = Host::builder().plugin_folder(plugins_folder()).compile_cache(guests_folder().join("compiled"));
    Arc::new(builder.build(&Configuration::parse(configuration).unwrap()).unwrap())
}

struct NamesOf(Arc<Host>);

impl Naming for NamesOf {
    fn symbols(&self) -> &Symbols {
        self.0.symbols()
    }

    fn policies(&self, generation: u64) -> Option<PolicySet> {
        let policies = self.0.policies_of(generation)?;
        let policies = policies.iter().map(|about| PolicyRecord {
            policy: about.policy.as_str().into(),
            plugin: about.plugin.clone(),
            version: about.version.clone(),
            digest: about.digest.to_string(),
            configuration: about.configuration.to_string(),
            on_error: OnError::Refuse,
            shadow: false,
        });
        Some(PolicySet { generation, policies: policies.collect() })
    }
}

/// Dispatches that each kind has something to say about, some of them under a switch.
fn dispatches(host: &Host) -> Vec<Dispatch> {
    let base = dispatch(host);
    let vary = |number: u64| {
        let mut dispatch = Dispatch { now_ms: base.now_ms + number, ..base.clone() };
        let failed = u32::try_from(number % 7).unwrap();
        (dispatch.attempts.failed, dispatch.attempts.streak) = (failed, failed);
        dispatch.attempts.streak_elapsed_ms = number * 1_000;
        dispatch.spending.run_cost = Nanodollars::new(number * DOLLAR / 2);
        dispatch.accounts.iter_mut().for_each(|account| account.spent = Nanodollars::new(number % 13 * 10 * DOLLAR));
        let rest = dispatch.candidates.len() as u64;
        dispatch.sticky = number.is_multiple_of(3).then_some(u32::try_from(number % rest).unwrap());
        dispatch.task_type = if number.is_multiple_of(5) { Symbol::UNKNOWN } else { dispatch.task_type };
        dispatch.approved = number.is_multiple_of(11);
        dispatch.scopes.set(ScopeKind::Run, Reference::of(&format!("run-{}", number % 20)));
        dispatch.counters = host.counters().iter().map(|rule| (rule.name, number)).collect();
        dispatch
    };
    (0..400).map(vary).collect()
}

/// Decides all of them, with switches that come on the way, and reads the records back.
fn recorded(host: &Arc<Host>, folder: &Path) -> Vec<Recorded> {
    let options = Options { queue: 1_000, file_bytes: 64 << 10, ..Options::default() };
    let recorder = Recorder::open(folder, 5, options, NamesOf(Arc::clone(host))).unwrap();
    for (number, dispatch) in dispatches(host).iter().enumerate() {
        if number == 300 {
            let selector = Selector::Model(dispatch.candidates[0].model);
            let reason = Reason::named(host.symbol("security"));
            let author = "operator".into();
            let (engaged_ms, expires_ms) = (dispatch.now_ms, None);
            let switch = Switch { selector, mode: SwitchMode::Cut, reason, author, engaged_ms, expires_ms };
            host.engage(switch).unwrap();
        }
        let decision = host.decide(dispatch);
        recorder.record(dispatch, &decision, &Context::default());
    }
    drop(recorder);
    let items = records::read(folder).unwrap().map(|item| match item {
        Item::Decision(recorded) => *recorded,
        other => unreachable!("nothing is lost here: {other:?}"),
    });
    items.collect()
}

/// Everything but what it took. Fuel is no part of it: the first evaluation of an instance fills the guest's free lists.
fn said(mut result: ResultRecord) -> ResultRecord {
    for verdict in &mut result.verdicts {
        *verdict = VerdictRecord { timer_evaluate_ns: 0, fuel: 0, ..verdict.clone() };
    }
    result
}

fn decide_again(recorded: &Recorded, host: &Host) -> ResultRecord {
    let (dispatch, covered) = recorded.decision.input.to_dispatch(host.symbols());
    let decision = host.decide_again(&dispatch, covered);
    ResultRecord::of(&decision, &dispatch, host.symbols(), &recorded.policies).0
}

#[test]
fn the_same_verdicts_in_the_same_and_in_another_host() {
    let folder = tempfile::tempdir().unwrap();
    let text = shipped().text();
    let first = host(&text);
    let records = recorded(&first, folder.path());
    assert_eq!(records.len(), 400);
    let outcomes: std::collections::BTreeSet<_> =
        records.iter().map(|recorded| recorded.decision.result.outcome.to_string()).collect();
    assert!(outcomes.len() >= 3, "too tame dispatches: {outcomes:?}");
    assert!(records.iter().any(|recorded| recorded.decision.input.covered.by.is_some()), "a policy trips a run");
    assert!(records.iter().any(|recorded| !recorded.decision.input.covered.candidates.is_empty()));

    let other_numbers = text.replace(r#"["refactoring", "security"]"#, r#"["one-more", "security", "refactoring"]"#);
    let second = host(&other_numbers);
    assert_ne!(first.symbol("refactoring"), second.symbol("refactoring"));
    let engaged = first.switches().epoch();
    for recorded in &records {
        let as_recorded = said(recorded.decision.result.clone());
        assert_eq!(said(decide_again(recorded, &first)), as_recorded, "{}", recorded.decision.decision_id);
        assert_eq!(said(decide_again(recorded, &second)), as_recorded, "{}", recorded.decision.decision_id);
    }
    assert_eq!(first.switches().epoch(), engaged, "deciding again engages nothing");
    assert!(second.switches().switches().is_empty());
}
