//! Each folder of `cases/` is a test of that name. How one is read: `tollgate_tests::Case`.

use std::path::PathBuf;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use tollgate_tests::Case;

fn main() -> ExitCode {
    let cases = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut trials = Vec::new();
    for entry in std::fs::read_dir(&cases).expect("the cases are beside the suites") {
        let folder = entry.expect("a readable folder").path();
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        trials.push(Trial::test(format!("case::{name}"), move || {
            let case = Case::read(&folder).map_err(|error| Failed::from(error.to_string()))?;
            case.run().map_err(|error| Failed::from(error.to_string()))
        }));
    }
    assert!(!trials.is_empty(), "`{}` has no case", cases.display());
    trials.sort_by(|one, other| one.name().cmp(other.name()));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
