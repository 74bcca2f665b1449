//! Every guest of `tests/guests`, what the host does about it, and that nothing else is touched by it.

mod in_service;
mod lanes;
mod refused;

use tollgate_core::EvaluationFailure::{
    BelowFloor, CandidateOutOfRange, DeadlineExceeded, InvalidResult, OutOfFuel, Trapped,
};
use tollgate_core::PolicyKind::{Budget, KillSwitch, RetryCeiling, Routing};

use in_service::fails;
use refused::is_refused;

/// One test for each guest. A guest without a line here fails `every_guest_has_a_test`.
macro_rules! guests {
    ($($test:ident: $guest:literal $met:expr;)+) => {
        $(
            #[test]
            fn $test() {
                let met: fn(&str) = $met;
                met($guest);
            }
        )+

        const TESTED: &[&str] = &[$($guest),+];
    };
}

guests! {
    endless_loop: "endless-loop" |guest| {
        is_refused(guest, "as budget it fails on a sample dispatch: out-of-fuel: it used up its fuel; is there an endless loop? (limits.fuel");
        fails(guest, &[(Budget, OutOfFuel)]);
        in_service::fails_within(guest, &[(Budget, DeadlineExceeded)], PLENTY_OF_FUEL);
    };
    endless_questions: "endless-questions" |guest| {
        is_refused(guest, "as budget it fails on a sample dispatch: out-of-fuel: it used up its fuel; is there an endless loop? (limits.fuel");
        in_service::fails_within(guest, &[(Budget, DeadlineExceeded)], PLENTY_OF_FUEL);
        fails(guest, &[(Budget, OutOfFuel)]);
    };
    endless_configure: "endless-configure" |guest| {
        is_refused(guest, "`configure` failed: it used up its fuel; is there an endless loop? (limits.configure_fuel)");
        refused::within(guest, PLENTY_TO_CONFIGURE, "`configure` failed: it ran past its deadline (limits.deadline)");
    };
    memory_bomb: "memory-bomb" |guest| {
        is_refused(guest, "trapped: it panicked: a native test with the SDK's test kit shows where, unless memory ran out (limits.memory_bytes)");
        fails(guest, &[(Budget, Trapped)]);
    };
    large_memory: "large-memory" |guest| is_refused(guest, "more than `limits` allow: memory has a minimum byte size of 33");
    large_table: "large-table" |guest| is_refused(guest, "more than `limits` allow: table index 0 has a minimum element size of 20");
    deep_recursion: "deep-recursion" |guest| {
        is_refused(guest, "as budget it fails on a sample dispatch: trapped: it reached outside of its memory: is there too deep a recursion");
        fails(guest, &[(Budget, Trapped)]);
    };
    trap_in_describe: "trap-in-describe" |guest| is_refused(guest, "`describe` failed: it panicked");
    trap_in_configure: "trap-in-configure" |guest| is_refused(guest, "`configure` failed: it panicked");
    trap_in_evaluate: "trap-in-evaluate" |guest| {
        is_refused(guest, "as kill-switch it fails on a sample dispatch: trapped: it panicked: a native test");
        fails(guest, &[(KillSwitch, Trapped), (RetryCeiling, Trapped), (Routing, Trapped), (Budget, Trapped)]);
    };
    trap_in_post_return: "trap-in-post-return" |guest| {
        is_refused(guest, "as budget it fails on a sample dispatch: trapped");
        fails(guest, &[(Budget, Trapped)]);
    };
    long_panic: "long-panic" |guest| {
        is_refused(guest, "as budget it fails on a sample dispatch: trapped");
        fails(guest, &[(Budget, Trapped)]);
    };
    wrong_world: "wrong-world" |guest| is_refused(guest, "it does not export `tollgate:policy/plugin`");
    no_kind: "no-kind" |guest| {
        is_refused(guest, "it does not export `tollgate:policy/kill-switch, retry-ceiling, routing or budget`");
    };
    wasi_import: "wasi-import" |guest| {
        is_refused(guest, "it imports `wasi:clocks/monotonic-clock@0.2.3`");
        is_refused(guest, "build without WASI");
    };
    custom_import: "custom-import" |guest| is_refused(guest, "it imports `acme:telemetry/log`");
    wrong_version: "wrong-version" |guest| is_refused(guest, "version 0.2.0 of `tollgate:policy`, and this host knows 0.1");
    wrong_types: "wrong-types" |guest| is_refused(guest, "its types are not those of `tollgate:policy` 0.1");
    schema_not_json: "schema-not-json" |guest| is_refused(guest, "a configuration schema that is not JSON:");
    schema_not_schema: "schema-not-schema" |guest| is_refused(guest, "a configuration schema that is not JSON Schema:");
    schema_from_afar: "schema-from-afar" |guest| is_refused(guest, "a configuration schema that refers to `http://localhost:9/schema.json`");
    schema_bomb: "schema-bomb" |guest| is_refused(guest, "a configuration schema of more than 100000 parts");
    lying_schema: "lying-schema" |guest| is_refused(guest, "it refuses its configuration: `ceiling` is missing");
    configuration_refused: "configuration-refused" |guest| is_refused(guest, "it refuses its configuration: not this one");
    unprintable_name: "unprintable-name" |guest| is_refused(guest, "a name with control characters: `fine\\n\\u{1b}[2Jerror: not fine`");
    huge_string: "huge-string" |guest| is_refused(guest, "limits.result_bytes");
    not_utf8: "not-utf8" |guest| is_refused(guest, "`describe` failed: invalid utf-8");
    million_names: "million-names" |guest| is_refused(guest, "`configure` failed: it interned more than 4096 names");
    long_name: "long-name" |guest| is_refused(guest, "`configure` failed: a name of 100000 bytes");
    names_without_end: "names-without-end" |guest| is_refused(guest, "names");
    interns_while_evaluating: "interns-while-evaluating" |guest| {
        is_refused(guest, "as budget it fails on a sample dispatch: trapped: `intern` may be called only during `configure`");
        fails(guest, &[(Budget, Trapped)]);
    };
    too_many_counters: "too-many-counters" |guest| is_refused(guest, "9 counters: at most 8 are kept");
    same_counters: "same-counters" |guest| is_refused(guest, "two counters called `failures`");
    too_many_tags: "too-many-tags" |guest| is_refused(guest, "1000 tags: at most 64 are read");
    candidate_out_of_range: "candidate-out-of-range" |guest| {
        is_refused(guest, "as routing it fails on a sample dispatch: candidate-out-of-range: it chose a candidate that was not offered");
        fails(guest, &[(Routing, CandidateOutOfRange)]);
    };
    candidate_below_floor: "candidate-below-floor" |guest| {
        is_refused(guest, "as routing it fails on a sample dispatch: below-floor: it chose a candidate whose tier is below the `floor`");
        fails(guest, &[(Routing, BelowFloor)]);
    };
    hidden_state: "hidden-state" |guest| is_refused(guest, "a policy keeps no state");
    invalid_verdict: "invalid-verdict" |guest| {
        is_refused(guest, "as retry-ceiling it fails on a sample dispatch: invalid-result: unexpected discriminant: 200; what it returns is not of the contract");
        fails(guest, &[(RetryCeiling, InvalidResult)]);
    };
    invalid_tier: "invalid-tier" |guest| {
        is_refused(guest, "as retry-ceiling it fails on a sample dispatch: invalid-result");
        fails(guest, &[(RetryCeiling, InvalidResult)]);
    };
    astray_result: "astray-result" |guest| {
        is_refused(guest, "as retry-ceiling it fails on a sample dispatch: invalid-result");
        fails(guest, &[(RetryCeiling, InvalidResult)]);
    };
    astray_allocator: "astray-allocator" |guest| is_refused(guest, "as budget it fails on a sample dispatch");
    lends_outside: "lends-outside" |guest| lanes::is_canonical(guest, "as budget it lends what lies outside of its memory");
    lends_rows_outside: "lends-rows-outside" |guest| {
        lanes::is_canonical(guest, "as budget it lends what lies outside of its memory");
    };
    lends_another_layout: "lends-another-layout" |guest| {
        lanes::is_canonical(guest, "its layout as budget is another than this host's");
    };
    lends_one_kind: "lends-one-kind" |guest| lanes::is_canonical(guest, "the plugin lends no memory as kill-switch");
    lent_invalid_verdict: "lent-invalid-verdict" |guest| {
        is_refused(guest, "as retry-ceiling it fails on a sample dispatch: invalid-result");
        in_service::fails_lent(guest, &[(RetryCeiling, InvalidResult)]);
    };
    lent_invalid_reason: "lent-invalid-reason" |guest| {
        is_refused(guest, "as budget it fails on a sample dispatch: invalid-result");
        in_service::fails_lent(guest, &[(Budget, InvalidResult)]);
    };
    lent_invalid_trip: "lent-invalid-trip" |guest| {
        is_refused(guest, "as kill-switch it fails on a sample dispatch: invalid-result");
        in_service::fails_lent(guest, &[(KillSwitch, InvalidResult)]);
    };
    lent_scribbler: "lent-scribbler" |guest| lanes::agree(guest);
    two_faced: "two-faced" |guest| {
        is_refused(guest, "as budget it says `slow` where its facts are lent and `proceed` through the component");
    };
    // It behaves, and only wants to be asked for.
    every_fact: "every-fact" |guest| is_refused(guest, "its configuration does not pass its schema");
    witness: "witness" |guest| is_refused(guest, "its configuration does not pass its schema");
    numbered: "numbered" |guest| is_refused(guest, "its configuration does not pass its schema");
}

/// So much that the deadline comes first; and a deadline that a sane evaluation keeps on a busy machine, too.
const PLENTY_OF_FUEL: &[&str] = &["fuel = 9_000_000_000_000_000_000", "deadline = \"500ms\""];
/// The same for `configure`, which is given a hundred times the deadline.
const PLENTY_TO_CONFIGURE: &[&str] = &["configure_fuel = 9_000_000_000_000_000_000", "deadline = \"10ms\""];

/// What was built is what is tested: neither a guest that no test meets, nor a table that names one in vain.
#[test]
fn every_guest_has_a_test() {
    let entries = std::fs::read_dir(tollgate_tests::guests_folder()).expect("the guests are built");
    let mut built: Vec<String> = entries
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wasm"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    built.sort();
    let mut tested = TESTED.to_vec();
    tested.sort_unstable();
    assert_eq!(built, tested, "left: guests that were built; right: guests in the table of this file");
}

/// So that a guest that was not built again is not overlooked either.
#[test]
fn every_crate_of_the_guests_is_in_the_table() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/guests");
    for entry in std::fs::read_dir(folder).expect("the guests' workspace is beside the suites") {
        let path = entry.expect("a readable folder").path();
        let manifest = std::fs::read_to_string(path.join("Cargo.toml")).unwrap_or_default();
        if manifest.contains("cdylib") {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            assert!(TESTED.contains(&name), "`tests/guests/{name}` has no line in the table of this file");
        }
    }
}
