//! What an author sees who forgets something: the error stands at the author's own line. Where the compiler's
//! words change, `TRYBUILD=overwrite cargo test -p tollgate-sdk --test ui` writes them anew, for review.

#[test]
fn mistakes_are_errors_at_the_authors_line() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/two_kinds.rs");
    cases.compile_fail("tests/ui/missing_trait.rs");
    cases.compile_fail("tests/ui/missing_policy.rs");
    cases.compile_fail("tests/ui/unknown_kind.rs");
    cases.compile_fail("tests/ui/hidden_state.rs");
}
