//! Each format against files that are read in review: what a caller sends, what goes on, what a provider answers, what the caller
//! sees of it, and what it used. A folder of `golden/` is a case.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use serde::Deserialize;
use tollgate_core::Usage;
use tollgate_ledger::estimate::InputSize;
use tollgate_ledger::prices::ServiceTier;

use super::{Endpoint, Meter, ModelRequest, answer_of};

/// What a case claims. `sent.json` is left out where the request goes on as it came, `shown.txt` where the answer does.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    path: String,
    /// What the decision said.
    model: String,
    cap: Option<u32>,
    /// What bounds the input: `bytes`, or nothing (`unknown`).
    input: String,
    /// The tier that was asked for, and that it was served at.
    tier: String,
    served: String,
    usage: Option<Usage>,
    /// Of a stream that does not tell.
    counted_output: Option<u64>,
}

#[test]
fn every_format_is_read_and_passed_on_as_its_golden_files_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let mut cases: Vec<_> = fs::read_dir(folder).unwrap().map(|case| case.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() >= 10, "{cases:?}");
    for case in cases {
        check(&case);
    }
}

fn check(case: &Path) {
    let name = case.file_name().unwrap().to_string_lossy();
    let read = |file: &str| fs::read_to_string(case.join(file)).ok();
    let expected: Expected = serde_json::from_str(&read("expected.json").unwrap()).unwrap();
    let (asked, answer) = (read("request.json").unwrap(), read("answer.txt").unwrap());
    let endpoint = Endpoint::of_path(&expected.path).unwrap();
    let request = ModelRequest::parse(endpoint, Bytes::from(asked.clone())).unwrap();
    let bounded = if request.input == InputSize::Unknown { "unknown" } else { "bytes" };
    assert_eq!((bounded, word(request.tier)), (&*expected.input, &*expected.tier), "{name}");
    let sent = request.body_for(&expected.model, expected.cap);
    assert_eq!(sent, read("sent.json").unwrap_or(asked), "{name}: what goes on");
    if !request.stream {
        let told = answer_of(endpoint, answer.as_bytes());
        assert_eq!((told.usage, word(told.tier)), (expected.usage, &*expected.served), "{name}");
        return;
    }
    let shown = read("shown.txt").unwrap_or_else(|| answer.clone());
    for piece in [1, 7, answer.len()] {
        let mut meter = Meter::new(endpoint, request.usage_chunk());
        let pieces = answer.as_bytes().chunks(piece).map(|piece| {
            meter.feed(piece).unwrap();
            meter.shown().to_vec()
        });
        let seen = String::from_utf8(pieces.collect::<Vec<_>>().concat()).unwrap();
        assert_eq!(seen, shown, "{name}: what the caller sees");
        let metered = meter.metered();
        assert_eq!((metered.usage, word(metered.tier)), (expected.usage, &*expected.served), "{name}");
        if let Some(counted) = expected.counted_output {
            assert_eq!(metered.counted_output, counted, "{name}");
        }
    }
}

fn word(tier: ServiceTier) -> &'static str {
    match tier {
        ServiceTier::Standard => "standard",
        ServiceTier::Batch => "batch",
        ServiceTier::Priority => "priority",
        ServiceTier::Flex => "flex",
    }
}
