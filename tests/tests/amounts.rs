//! The host and the SDK read the same configuration: what one takes for an amount or a span, the other takes for
//! the same one. They share no code, since guests do not depend on the host.

use proptest::prelude::*;
use tollgate_core::{Milliseconds, Nanodollars};
use tollgate_sdk::{Nanodollars as SdkNanodollars, Span};

fn money(text: &str) -> (Option<u64>, Option<u64>) {
    let core = text.parse::<Nanodollars>().ok().map(Nanodollars::as_u64);
    let sdk = text.parse::<SdkNanodollars>().ok().map(SdkNanodollars::as_u64);
    (core, sdk)
}

fn span(text: &str) -> (Option<u64>, Option<u64>) {
    let core = text.parse::<Milliseconds>().ok().map(Milliseconds::as_u64);
    let sdk = text.parse::<Span>().ok().map(Span::as_milliseconds);
    (core, sdk)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn amounts_are_the_same_amounts(text in r"[ +-]?[0-9]{0,12}(\.[0-9]{0,11})?( |  )?(USD|EUR|usd|e3 USD)? ?") {
        let (core, sdk) = money(&text);
        prop_assert_eq!(core, sdk, "{:?}: core, SDK", text);
    }

    #[test]
    fn spans_are_the_same_spans(text in r"[ +-]?[0-9]{0,20}(\.5)? ?(ms|s|m|h|d|w|MS|min)? ?") {
        let (core, sdk) = span(&text);
        prop_assert_eq!(core, sdk, "{:?}: core, SDK", text);
    }

    #[test]
    fn what_one_shows_the_other_reads(number: u64) {
        let (core, sdk) = (Nanodollars::new(number), SdkNanodollars::new(number));
        prop_assert_eq!(core.to_string(), sdk.to_string());
        prop_assert_eq!(money(&core.to_string()), (Some(number), Some(number)));
        let (core, sdk) = (Milliseconds::new(number), Span::milliseconds(number));
        prop_assert_eq!(span(&core.to_string()), (Some(number), Some(number)));
        prop_assert_eq!(span(&sdk.to_string()), (Some(number), Some(number)));
    }
}

#[test]
fn edges_are_the_same_edges() {
    for text in [
        "",
        " USD",
        "USD",
        "0 USD",
        "0.00 USD",
        ".5 USD",
        "5. USD",
        "14.2USD",
        "14.2  USD",
        " 14.2 USD",
        "14.2 USD ",
        "1.0000000000 USD",
        "0.0000000001 USD",
        "000000000000001.00 USD",
        "18446744073.709551615 USD",
        "18446744073.709551616 USD",
        "1e3 USD",
        "1_000 USD",
        "1,000 USD",
        "+1 USD",
        "١ USD",
    ] {
        let (core, sdk) = money(text);
        assert_eq!(core, sdk, "{text:?}: core, SDK");
    }
    for text in
        ["", "0ms", "0d", "00001s", "18446744073709551615ms", "18446744073709551616ms", "213503982335d", "5 m", "٥s"]
    {
        let (core, sdk) = span(text);
        assert_eq!(core, sdk, "{text:?}: core, SDK");
    }
}
