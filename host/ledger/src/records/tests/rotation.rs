//! Files that follow each other, files that were cut off, files that are damaged, files that still grow.

use std::fs::{self, OpenOptions};
use std::io::Write;

use super::*;

#[test]
fn every_file_stands_alone_and_the_earliest_are_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::new();
    let recorder = recorder(folder.path(), &host, 1, 3);
    let ids = record(&recorder, &host, 10);
    drop(recorder);
    assert_eq!(files::list(folder.path()).unwrap().len(), 3);
    let (decisions, others) = read_all(folder.path());
    let kept: Vec<_> = decisions.iter().map(|recorded| recorded.decision.decision_id).collect();
    assert_eq!(kept, ids[7..]);
    assert!(others.is_empty(), "{others:?}");
    for recorded in &decisions {
        assert_eq!(recorded.header.version, VERSION);
        assert_eq!(recorded.policies.policies.len(), 2);
    }
}

#[test]
fn the_policies_of_each_generation_stand_before_its_decisions() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::new();
    let recorder = recorder(folder.path(), &host, 1 << 20, 3);
    let dispatch = dispatch(&host, 5);
    for generation in [1, 2, 2, 1, 1_000] {
        let ruling = Ruling::open(&dispatch, &SwitchBoard::default());
        recorder.record(&dispatch, &ruling.conclude(generation, Trail::new()), &Context::default());
    }
    drop(recorder);
    let (decisions, _) = read_all(folder.path());
    let sets: Vec<_> =
        decisions.iter().map(|recorded| (recorded.policies.generation, recorded.policies.policies.len())).collect();
    assert_eq!(sets, [(1, 2), (2, 2), (2, 2), (1, 2), (1_000, 0)], "of the last nobody knows the policies any more");
}

#[test]
fn a_file_that_was_cut_off_anywhere_gives_what_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::new();
    let recorder = recorder(folder.path(), &host, 1 << 20, 3);
    record(&recorder, &host, 3);
    drop(recorder);
    let file = files::list(folder.path()).unwrap().remove(0);
    let whole = fs::read(&file).unwrap();
    let mut seen = 0;
    for length in (0..whole.len()).step_by(3).chain([whole.len()]) {
        fs::write(&file, &whole[..length]).unwrap();
        let (decisions, others) = read_all(folder.path());
        assert!(decisions.len() >= seen && others.len() <= 1, "after {length} bytes: {others:?}");
        assert!(others.iter().all(|other| other.contains("was cut off")), "{others:?}");
        seen = decisions.len();
    }
    assert_eq!(seen, 3);
}

#[test]
fn a_damaged_byte_costs_at_most_the_rest_of_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::new();
    let recorder = recorder(folder.path(), &host, 1, 9);
    record(&recorder, &host, 2);
    drop(recorder);
    let files = files::list(folder.path()).unwrap();
    let whole = fs::read(&files[0]).unwrap();
    let mut noticed = 0;
    for place in (0..whole.len()).step_by(3) {
        let mut bytes = whole.clone();
        bytes[place] ^= 0xff;
        fs::write(&files[0], &bytes).unwrap();
        let (decisions, others) = read_all(folder.path());
        let second = decisions.iter().filter(|recorded| recorded.decision.decision_id.number() == 2);
        assert!(second.count() >= 1, "byte {place}: {others:?}");
        noticed += usize::from(!others.is_empty());
    }
    assert!(noticed > whole.len() / 6, "only {noticed} of {} were noticed", whole.len() / 3);
}

#[test]
fn records_of_a_later_version_are_told_and_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let header = Header { version: VERSION + 1, ..Header::default() };
    let bytes = files::encode(&Entry::Header(header)).unwrap();
    fs::write(folder.path().join("decisions-0000000000000001-000001.msgpack"), bytes).unwrap();
    fs::write(folder.path().join("decisions-0000000000000001-000002.msgpack"), b"\xc0 text").unwrap();
    let (decisions, others) = read_all(folder.path());
    assert!(decisions.is_empty());
    assert!(others[0].contains("has version 2 of the records, and this build reads version 1"), "{others:?}");
    assert!(others[1].contains("is damaged from byte 0 on"), "{others:?}");
}

#[test]
fn a_folder_without_records_says_how_to_get_some() {
    let folder = tempfile::tempdir().unwrap();
    assert!(read(folder.path()).unwrap_err().to_string().contains("--records <FOLDER>"));
    assert!(read(&folder.path().join("none")).unwrap_err().to_string().contains("cannot read the records"));
}

#[test]
fn files_that_grow_are_followed() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::new();
    let first = recorder(folder.path(), &host, 1, 9);
    record(&first, &host, 2);
    let mut records = read(folder.path()).unwrap();
    let numbers = |records: &mut Records| -> Vec<u64> {
        records
            .map(|item| match item {
                Item::Decision(recorded) => recorded.decision.decision_id.number(),
                other => panic!("{other:?}"),
            })
            .collect()
    };
    assert_eq!(numbers(&mut records), [1, 2]);
    assert!(!records.look_again().unwrap());
    record(&first, &host, 2);
    assert!(records.look_again().unwrap());
    assert_eq!(numbers(&mut records), [3, 4]);
    drop(first);

    // Half an entry is not there yet.
    let last = files::list(folder.path()).unwrap().pop().unwrap();
    let entry = files::encode(&Entry::Decision(Box::new(read_all(folder.path()).0.remove(0).decision))).unwrap();
    let mut file = OpenOptions::new().append(true).open(last).unwrap();
    file.write_all(&entry[..9]).unwrap();
    records.look_again().unwrap();
    assert!(numbers(&mut records).is_empty());
    file.write_all(&entry[9..]).unwrap();
    assert!(records.look_again().unwrap());
    assert_eq!(numbers(&mut records), [1]);
    assert!(records.cut().is_none());
}
