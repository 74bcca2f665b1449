use proptest::prelude::*;
use tollgate_core::{Nanodollars, Usage};

use super::*;
use crate::prices::{LongContext, TokenClass};

/// Figures of real tables, several models' oddities in four.
const LAYER: &str = r#"{
    "sample_spec": {"input_cost_per_token": "what it costs"},
    "gemini/gemini-2.5-pro": {
        "litellm_provider": "gemini", "max_input_tokens": 1048576, "max_output_tokens": 65535, "supports_vision": true,
        "input_cost_per_token": 1.25e-06, "input_cost_per_token_above_200k_tokens": 2.5e-06,
        "output_cost_per_token": 1e-05, "output_cost_per_token_above_200k_tokens": 1.5e-05,
        "cache_read_input_token_cost": 1.25e-07, "cache_read_input_token_cost_above_200k_tokens": 2.5e-07,
        "input_cost_per_token_priority": 2.25e-06, "output_cost_per_token_priority": 1.8e-05
    },
    "claude-4-sonnet": {
        "input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05, "output_cost_per_reasoning_token": 2e-05,
        "cache_creation_input_token_cost": 3.75e-06, "cache_creation_input_token_cost_above_1hr": 6e-06,
        "cache_creation_input_token_cost_above_200k_tokens": 7.5e-06,
        "cache_creation_input_token_cost_above_1hr_above_200k_tokens": 1.2e-05,
        "cache_read_input_token_cost": 3e-07, "cache_read_input_token_cost_above_200k_tokens": 6e-07,
        "input_cost_per_token_above_200k_tokens": 6e-06, "output_cost_per_token_above_200k_tokens": 2.25e-05,
        "input_cost_per_token_batches": 1.5e-06, "output_cost_per_token_batches": 7.5e-06,
        "input_cost_per_token_flex": 1.4e-06, "output_cost_per_token_flex": 7e-06
    },
    "xai/grok": {
        "litellm_provider": "xai", "input_cost_per_token": 2e-06, "output_cost_per_token": 1e-05,
        "input_cost_per_token_above_128k_tokens": 4e-06
    },
    "whisper": {"input_cost_per_token": 0, "input_cost_per_second": 0.0001}
}"#;

fn table() -> PriceTable {
    PriceTable::empty().with_layer("test", LAYER).expect("a table")
}

fn rate(model: &str, class: TokenClass, tier: ServiceTier, input: u64) -> Option<u64> {
    table().lookup(model).price().expect(model).rate(class, tier, input).map(Rate::nanodollars_per_million)
}

#[test]
fn the_builtin_table_prices_a_recorded_invocation_to_the_cent() {
    let table = PriceTable::builtin();
    let usage =
        Usage { uncached_input: 2, cache_write_5m: 71_783, cache_read: 15_594, output: 8_948, ..Usage::default() };
    for (model, cost) in [
        ("claude-opus-4-6", "0.68015075 USD"),
        ("claude-sonnet-4-6", "0.40809045 USD"),
        ("claude-haiku-4-5", "0.13603015 USD"),
        ("gpt-5-mini", "0.0362321 USD"),
        ("gpt-5.2", "0.2536247 USD"),
        ("gemini/gemini-2.5-flash", "0.04437332 USD"),
        ("ollama/qwen3-coder", "0.00 USD"),
    ] {
        let Lookup::Exact(price) = table.lookup(model) else { panic!("{model} is not in the built-in table") };
        assert_eq!(
            price.cost(&usage, CostOptions::default()).map(|cost| cost.to_string()).as_deref(),
            Ok(cost),
            "{model}"
        );
    }
}

#[test]
fn a_long_call_is_charged_whole_at_the_long_rate() {
    let price = table();
    let price = price.lookup("gemini/gemini-2.5-pro").price().expect("priced");
    let at = |uncached_input, options| {
        let usage = Usage { uncached_input, cache_read: 100_000, output: 1000, ..Usage::default() };
        price.cost(&usage, options).map(Nanodollars::as_u64)
    };
    let options = CostOptions::default();
    assert_eq!(at(100_000, options), Ok(125_000_000 + 12_500_000 + 10_000_000), "200,000 is not above 200,000");
    assert_eq!(at(100_001, options), Ok(250_002_500 + 25_000_000 + 15_000_000));
    let invocation = CostOptions { long_context: LongContext::Ignore, ..options };
    assert_eq!(
        at(9_000_000, invocation),
        Ok(11_250_000_000 + 12_500_000 + 10_000_000),
        "sums are not the size of a call"
    );
}

#[test]
fn one_provider_bills_the_long_rate_from_the_size_on() {
    let input = |tokens| rate("xai/grok", TokenClass::Input, ServiceTier::Standard, tokens);
    assert_eq!(input(127_999), Some(2_000_000_000));
    assert_eq!(input(128_000), Some(4_000_000_000));
}

#[test]
fn one_hour_writes_have_their_own_long_rate() {
    let write = |class, tokens| rate("claude-4-sonnet", class, ServiceTier::Standard, tokens);
    assert_eq!(write(TokenClass::CacheWrite5m, 0), Some(3_750_000_000));
    assert_eq!(write(TokenClass::CacheWrite1h, 0), Some(6_000_000_000));
    assert_eq!(write(TokenClass::CacheWrite5m, 200_001), Some(7_500_000_000));
    assert_eq!(write(TokenClass::CacheWrite1h, 200_001), Some(12_000_000_000));
    assert_eq!(rate("gemini/gemini-2.5-pro", TokenClass::CacheWrite1h, ServiceTier::Standard, 0), Some(1_250_000_000));
}

#[test]
fn tiers_fall_back_to_the_standard_rate() {
    let gemini = |class, input| rate("gemini/gemini-2.5-pro", class, ServiceTier::Priority, input);
    assert_eq!(gemini(TokenClass::Input, 0), Some(2_250_000_000));
    assert_eq!(gemini(TokenClass::CacheRead, 0), Some(125_000_000));
    assert_eq!(gemini(TokenClass::Input, 200_001), Some(2_500_000_000), "no priority rate for long calls");
    let batch = |class| rate("claude-4-sonnet", class, ServiceTier::Batch, 0);
    assert_eq!(batch(TokenClass::Output), Some(7_500_000_000));
    assert_eq!(batch(TokenClass::Reasoning), Some(7_500_000_000));
    assert_eq!(batch(TokenClass::CacheRead), Some(1_500_000_000), "no batch rate for reads: batch input");
    assert_eq!(
        rate("gemini/gemini-2.5-pro", TokenClass::Input, ServiceTier::Batch, 0),
        Some(1_250_000_000),
        "no guess"
    );
}

#[test]
fn reasoning_is_output_unless_it_has_a_rate() {
    let claude = |tier| rate("claude-4-sonnet", TokenClass::Reasoning, tier, 0);
    assert_eq!(claude(ServiceTier::Standard), Some(20_000_000_000));
    assert_eq!(claude(ServiceTier::Flex), Some(7_000_000_000), "the tier has its own output rate");
    assert_eq!(rate("gemini/gemini-2.5-pro", TokenClass::Reasoning, ServiceTier::Standard, 0), Some(10_000_000_000));
    let table = table();
    let price = table.lookup("claude-4-sonnet").price().expect("priced");
    let usage = |output, reasoning| Usage { output, reasoning, ..Usage::default() };
    assert_eq!(price.cost(&usage(10, 4), CostOptions::default()), Ok(Nanodollars::new(6 * 15_000 + 4 * 20_000)));
    assert_eq!(
        price.cost(&usage(3, 4), CostOptions::default()),
        Err(PriceError::ReasoningAboveOutput { reasoning: 4, output: 3 })
    );
}

#[test]
fn a_look_up_says_how_it_found_the_price_and_counts() {
    let table = PriceTable::builtin();
    for (asked, found) in [
        ("gemini-2.5-flash", "gemini/gemini-2.5-flash"),
        ("anthropic/claude-opus-4-6", "claude-opus-4-6"),
        ("claude-haiku-4-5-20251001", "claude-haiku-4-5"),
        ("openrouter/openai/gpt-5-mini-2025-08-07", "gpt-5-mini"),
        ("gemini-2.5-flash-latest", "gemini/gemini-2.5-flash"),
    ] {
        let Lookup::Fallback { name, .. } = table.lookup(asked) else { panic!("{asked} has no fallback") };
        assert_eq!(name, found);
    }
    assert!(matches!(table.lookup("gpt-5.2"), Lookup::Exact(_)));
    assert_eq!(table.lookup("gpt-5.2-turbo"), Lookup::Unpriced);
    assert_eq!(table.counts(), LookupCounts { exact: 1, fallback: 5, unpriced: 1 });
}

#[test]
fn two_providers_of_one_name_are_no_fallback() {
    let json = r#"{"a/m": {"input_cost_per_token": 1e-6}, "b/m": {"input_cost_per_token": 2e-6}}"#;
    let table = PriceTable::empty().with_layer("two", json).expect("a table");
    assert_eq!(table.lookup("m"), Lookup::Unpriced);
}

#[test]
fn later_layers_win_key_by_key() {
    let json = r#"{"claude-opus-4-6": {"input_cost_per_token": 4e-06, "cache_read_input_token_cost": null}, "own": {"input_cost_per_token": "1e-7"}}"#;
    let table = PriceTable::builtin().with_layer("contract", json).expect("a table");
    let price = table.lookup("claude-opus-4-6").price().expect("priced");
    let rate = |class| price.rate(class, ServiceTier::Standard, 0).map(Rate::nanodollars_per_million);
    assert_eq!(rate(TokenClass::Input), Some(4_000_000_000));
    assert_eq!(rate(TokenClass::Output), Some(25_000_000_000));
    assert_eq!(rate(TokenClass::CacheRead), Some(4_000_000_000), "taken away: fresh input");
    assert_eq!(price.max_output_tokens(), Some(128_000));
    let own = table.lookup("own").price().expect("priced");
    let usage = Usage { output: 1, ..Usage::default() };
    assert_eq!(
        own.cost(&usage, CostOptions::default()),
        Err(PriceError::MissingRate { class: TokenClass::Output }),
        "an unstated rate is not zero"
    );
}

#[test]
fn an_unpriced_model_is_never_silently_free() {
    let table = table();
    let usage = Usage { uncached_input: 1_000_000, output: 1_000_000, ..Usage::default() };
    let quote = |policy| table.quote("whisper", &usage, CostOptions::default(), policy);
    assert_eq!(quote(UnpricedPolicy::Refuse), Err(UnpricedError::NoPrice { model: "whisper".to_owned() }));
    assert_eq!(
        quote(UnpricedPolicy::AssumeDearest),
        Ok(Quote { cost: Nanodollars::new(28_500_000_000), basis: Basis::Dearest }),
        "6 dollars of input, 22.50 of output"
    );
    assert_eq!(quote(UnpricedPolicy::AllowAndFlag), Ok(Quote { cost: Nanodollars::ZERO, basis: Basis::Unpriced }));
    let empty = PriceTable::empty();
    assert!(empty.quote("any", &usage, CostOptions::default(), UnpricedPolicy::AssumeDearest).is_err());
}

#[test]
fn a_table_that_cannot_be_read_says_where() {
    let error = |json| PriceTable::empty().with_layer("own.json", json).expect_err("refused").to_string();
    assert_eq!(
        error(r#"{"m": {"output_cost_per_token": -1e-6}}"#),
        "the price table `own.json`, model `m`, key `output_cost_per_token`: `-1e-6` is no price: \
         it is not a plain non-negative decimal number"
    );
    assert!(error("[]").starts_with("the price table `own.json` is no JSON object of models"));
    assert!(error(r#"{"m": 3}"#).starts_with("the price table `own.json` is no JSON object of models"));
}

/// The whole of LiteLLM's table, where the environment says where it lies.
#[test]
fn a_full_table_is_read() {
    let Ok(path) = std::env::var("TOLLGATE_LITELLM_PRICES") else {
        return;
    };
    let json = std::fs::read_to_string(&path).expect("the file of TOLLGATE_LITELLM_PRICES");
    let table = PriceTable::empty().with_layer(&path, &json).expect("a table");
    assert!(table.models().count() > 50);
}

proptest! {
    #[test]
    fn the_parts_of_a_call_cost_what_it_costs_within_their_rounding(
        uncached_input in 0_u64..2_000_000, cache_read in 0_u64..2_000_000, cache_write_5m in 0_u64..2_000_000, output in 0_u64..2_000_000,
    ) {
        let table = PriceTable::builtin();
        let price = table.lookup("gemini/gemini-2.5-flash").price().expect("priced");
        let cost = |usage: Usage| price.cost(&usage, CostOptions::default()).map(Nanodollars::as_u64).expect("a cost");
        let none = Usage::default();
        let parts = cost(Usage { uncached_input, ..none }) + cost(Usage { cache_read, ..none })
            + cost(Usage { cache_write_5m, ..none }) + cost(Usage { output, ..none });
        let whole = cost(Usage { uncached_input, cache_read, cache_write_5m, output, ..none });
        prop_assert!(whole.abs_diff(parts) <= 3);
    }
}

#[test]
fn a_table_of_tiers_bills_the_whole_call_at_the_tier_of_its_input() {
    let layer = r#"{"qwen": {"litellm_provider": "dashscope", "tiered_pricing": [
        {"input_cost_per_token": 4e-07, "output_cost_per_reasoning_token": 4e-06, "output_cost_per_token": 1.2e-06, "range": [0, 256000.0]},
        {"input_cost_per_token": 1.2e-06, "output_cost_per_token": 3.6e-06, "cache_read_input_token_cost": 1e-07, "range": [256000, 1e06]}]}}"#;
    let gap = layer.replace("[256000, 1e06]", "[256001, 1000000]");
    let by_query = r#"{"qwen": {"tiered_pricing": [{"input_cost_per_query": 0.005, "max_results_range": [0, 25]}]}}"#;
    for unread in [layer, &gap, by_query] {
        let table = PriceTable::empty().with_layer("unread", unread).unwrap();
        assert_eq!(table.lookup("qwen"), Lookup::Unpriced, "{unread}");
    }
    let layer = layer.replace("1e06", "1000000");
    let table = PriceTable::empty().with_layer("tiers", &layer).unwrap();
    let price = table.lookup("qwen").price().unwrap();
    let rate = |class, input| price.rate(class, ServiceTier::Standard, input).unwrap().nanodollars_per_million();
    for (class, low, high) in [
        (TokenClass::Input, 400_000_000, 1_200_000_000),
        (TokenClass::CacheRead, 400_000_000, 100_000_000),
        (TokenClass::CacheWrite1h, 400_000_000, 1_200_000_000),
        (TokenClass::Output, 1_200_000_000, 3_600_000_000),
        (TokenClass::Reasoning, 4_000_000_000, 3_600_000_000),
    ] {
        let found = [1, 256_000, 256_001, 9_000_000].map(|input| rate(class, input));
        assert_eq!(found, [low, low, high, high], "{class:?}");
    }
    let without = table.with_layer("without", r#"{"qwen": {"tiered_pricing": null}}"#).unwrap();
    assert_eq!(without.lookup("qwen"), Lookup::Unpriced);
}
