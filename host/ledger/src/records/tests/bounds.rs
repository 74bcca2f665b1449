//! Every bound, hit; and what a record never holds.

use std::fs;
use std::sync::Mutex;

use super::*;

/// A host whose names are not to be had until the lock is let go.
struct Slow {
    host: Host,
    gate: Arc<Mutex<()>>,
}

impl Naming for Slow {
    fn symbols(&self) -> &Symbols {
        drop(self.gate.lock().unwrap());
        self.host.symbols()
    }

    fn policies(&self, generation: u64) -> Option<PolicySet> {
        self.host.policies(generation)
    }
}

#[test]
fn what_the_queue_has_no_room_for_is_counted_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let (host, gate) = (Host::new(), Arc::new(Mutex::new(())));
    let naming = Slow { host: host.clone(), gate: Arc::clone(&gate) };
    let options = Options { queue: 4, ..Options::default() };
    let recorder = Recorder::open(folder.path(), 7, options, naming).unwrap();
    let dispatch = dispatch(&host, 5);
    let decision = decide(&dispatch, &SwitchBoard::default(), &[]);
    let writer_waits = gate.lock().unwrap();
    let ids: Vec<_> = (0..10).map(|_| recorder.record(&dispatch, &decision, &Context::default())).collect();
    assert_eq!(recorder.status().lost, Lost { queue_full: 6, write_failed: 0 });
    drop(writer_waits);
    recorder.flush();
    assert_eq!((recorder.status().written, recorder.status().waiting), (4, 0));
    drop(recorder);
    let (decisions, others) = read_all(folder.path());
    let written: Vec<_> = decisions.iter().map(|recorded| recorded.decision.decision_id).collect();
    assert_eq!(written, ids[..4], "a lost decision has its name all the same");
    assert_eq!(others, [format!("{:?}", Lost { queue_full: 6, write_failed: 0 })]);
}

#[test]
fn what_cannot_be_written_is_counted_and_the_next_is_tried_again() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("records");
    let host = Host::new();
    let recorder = recorder(&folder, &host, 1, 9);
    record(&recorder, &host, 1);
    fs::remove_dir_all(&folder).unwrap();
    record(&recorder, &host, 3);
    assert_eq!(recorder.status().lost, Lost { queue_full: 0, write_failed: 3 });
    fs::create_dir(&folder).unwrap();
    record(&recorder, &host, 2);
    assert_eq!(recorder.status().written, 3);
    drop(recorder);
    let (decisions, others) = read_all(&folder);
    assert_eq!(decisions.len(), 2);
    assert_eq!(others, [format!("{:?}", Lost { queue_full: 0, write_failed: 3 })]);
}

#[test]
fn too_many_facts_are_refused_again_and_longer_lists_are_cut_and_say_so() {
    let host = Host::new();
    let record = |change: &dyn Fn(&mut Dispatch)| {
        let mut dispatch = dispatch(&host, 5);
        change(&mut dispatch);
        let decision = decide(&dispatch, &SwitchBoard::default(), &[]);
        let mut slot = slot::Slot::default();
        slot.fill(DecisionId { session: 1, number: 1 }, &dispatch, &decision, &Context::default());
        DecisionRecord::of(&slot, &host.0, &host.policies(1).unwrap()).unwrap()
    };
    for (candidates, kept, cut) in [(64, 64, false), (65, 65, false), (66, 65, true)] {
        let record = record(&|dispatch| dispatch.candidates = vec![dispatch.candidates[0]; candidates]);
        assert_eq!((record.input.candidates.len(), record.input.cut), (kept, cut));
        let (again, covered) = record.input.to_dispatch(&host.0);
        let refused = Ruling::open_covered(&again, covered).conclude(1, Trail::new());
        assert_eq!(refused.outcome.word(), if candidates > 64 { "refuse" } else { "proceed" });
    }
    let accounts = record(&|dispatch| dispatch.accounts = vec![dispatch.accounts[0]; 66]);
    assert_eq!((accounts.input.accounts.len(), accounts.input.cut), (65, true));
    let tags = record(&|dispatch| dispatch.tags = vec![dispatch.tags[0]; MAX_TAGS + 1]);
    assert_eq!((tags.input.tags.len(), tags.input.cut), (MAX_TAGS, true));
    let counters = record(&|dispatch| dispatch.counters = vec![dispatch.counters[0]; MAX_COUNTERS + 1]);
    assert_eq!((counters.input.counters.len(), counters.input.cut), (MAX_COUNTERS, true));
}

#[test]
fn a_key_is_never_written_and_a_long_name_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::new();
    let mut dispatch = dispatch(&host, 5);
    dispatch.scopes.set(ScopeKind::Key, Reference::of("sk-secret"));
    let decision = decide(&dispatch, &SwitchBoard::default(), &[]);
    let long = "n".repeat(MAX_NAME_BYTES + 1);
    let mut names = Names { task: Some(&long), ..Names::default() };
    names.scopes.set(ScopeKind::Key, "sk-secret");
    names.scopes.set(ScopeKind::Team, &long[1..]);
    let recorder = recorder(folder.path(), &host, 1 << 20, 9);
    recorder.record(&dispatch, &decision, &Context { names, ..Context::default() });
    drop(recorder);
    let (decisions, _) = read_all(folder.path());
    let input = &decisions[0].decision.input;
    assert_eq!(input.scopes[&ScopeKind::Key].name, None);
    assert_eq!(input.task.as_ref().unwrap().name, None);
    assert_eq!(input.scopes[&ScopeKind::Team].name.as_deref(), Some(&long[1..]));
    let file = files::list(folder.path()).unwrap().remove(0);
    let bytes = fs::read(file).unwrap();
    assert!(!bytes.windows(9).any(|bytes| bytes == b"sk-secret"));
}

#[test]
fn a_folder_has_one_recorder() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::new();
    let first = recorder(folder.path(), &host, 1 << 20, 9);
    let second = Recorder::open(folder.path(), 7, Options::default(), host.clone());
    assert!(matches!(second, Err(OpenError::InUse { .. })));
    drop(first);
    assert!(Recorder::open(folder.path(), 7, Options::default(), host).is_ok());
}
