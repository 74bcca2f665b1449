//! The most that a dispatch can cost.

use tollgate_core::Nanodollars;

use crate::prices::{ModelPrice, PriceError, Rate, ServiceTier, TokenClass};

/// What is known about the size of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputSize {
    /// Counted with the model's own tokenizer.
    Tokens(u64),
    /// So many bytes of text: a token is at least a byte.
    Bytes(u64),
    /// Files, images or context that the server holds: as much as the model takes.
    Unknown,
}

/// What is known about the size of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimit {
    /// What the caller set; the model's own limit where it set none.
    pub max_tokens: Option<u64>,
    /// How many answers were asked for.
    pub answers: u64,
}

/// The most that a dispatch can cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorstCase {
    /// To be reserved.
    pub amount: Nanodollars,
    /// To be put into the request, which sets none: without it the promise does not hold.
    pub inject_max_tokens: Option<u64>,
}

/// Why there is no worst case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EstimateError {
    /// The input has no bound, and the table does not say how much the model takes.
    #[error(
        "the size of the input is unknown and the price table has no `max_input_tokens` for the model: refuse, or add it"
    )]
    UnboundedInput,
    /// The output has no bound, and the table does not say how much the model gives.
    #[error(
        "the request has no `max_tokens` and the price table no `max_output_tokens` for the model: refuse, or add it"
    )]
    UnboundedOutput,
    /// It cannot be priced.
    #[error(transparent)]
    Price(#[from] PriceError),
}

/// The most that a dispatch can cost: all of its input at the dearest rate that input can have (a cache write is dearer
/// than fresh input), all of its output at the dearest rate of output and reasoning.
///
/// # Errors
/// When there is no bound, or no price.
pub fn worst_case(
    price: &ModelPrice,
    tier: ServiceTier,
    input: InputSize,
    output: OutputLimit,
) -> Result<WorstCase, EstimateError> {
    let input_tokens = match input {
        InputSize::Tokens(tokens) | InputSize::Bytes(tokens) => tokens,
        InputSize::Unknown => price.max_input_tokens().ok_or(EstimateError::UnboundedInput)?,
    };
    let max_tokens = output.max_tokens.or(price.max_output_tokens()).ok_or(EstimateError::UnboundedOutput)?;
    let output_tokens = max_tokens.checked_mul(output.answers.max(1)).ok_or(PriceError::TooLarge)?;
    let inputs = [TokenClass::Input, TokenClass::CacheRead, TokenClass::CacheWrite5m, TokenClass::CacheWrite1h];
    let outputs = [TokenClass::Output, TokenClass::Reasoning];
    // The count may be lower than the bound, and the rate of a smaller call be the dearer one.
    let dearest = |classes: &[TokenClass], named: TokenClass, tokens: u64| {
        let dearest = classes.iter().filter_map(|class| price.highest_rate(*class, tier, input_tokens)).max();
        if tokens == 0 { Ok(Rate::FREE) } else { dearest.ok_or(PriceError::MissingRate { class: named }) }
    };
    let input_cost =
        dearest(&inputs, TokenClass::Input, input_tokens)?.cost(input_tokens).ok_or(PriceError::TooLarge)?;
    let output_cost =
        dearest(&outputs, TokenClass::Output, output_tokens)?.cost(output_tokens).ok_or(PriceError::TooLarge)?;
    let amount = input_cost.checked_add(output_cost).ok_or(PriceError::TooLarge)?;
    Ok(WorstCase { amount, inject_max_tokens: output.max_tokens.is_none().then_some(max_tokens) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tollgate_core::Usage;

    use super::*;
    use crate::prices::{CostOptions, PriceTable};

    fn estimate(model: &str, input: InputSize, output: OutputLimit) -> Result<WorstCase, EstimateError> {
        let table = PriceTable::builtin();
        worst_case(table.lookup(model).price().unwrap(), ServiceTier::Standard, input, output)
    }

    #[test]
    fn a_missing_max_tokens_is_injected_and_answers_are_counted() {
        let limit = |max_tokens, answers| OutputLimit { max_tokens, answers };
        let one = estimate("claude-haiku-4-5", InputSize::Tokens(1_000), limit(Some(100), 1)).unwrap();
        // A thousand tokens written for an hour at 2 dollars a million, a hundred at 5.
        assert_eq!(one, WorstCase { amount: Nanodollars::new(2_000_000 + 500_000), inject_max_tokens: None });
        let three = estimate("claude-haiku-4-5", InputSize::Bytes(1_000), limit(Some(100), 3)).unwrap();
        assert_eq!(three.amount, Nanodollars::new(2_000_000 + 1_500_000));
        let unset = estimate("claude-haiku-4-5", InputSize::Unknown, limit(None, 1)).unwrap();
        assert_eq!(
            unset,
            WorstCase { amount: Nanodollars::new(400_000_000 + 320_000_000), inject_max_tokens: Some(64_000) }
        );
    }

    #[test]
    fn what_has_no_bound_is_refused() {
        let table = PriceTable::empty()
            .with_layer("own", r#"{"m": {"input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6}}"#)
            .unwrap();
        let price = table.lookup("m").price().unwrap();
        let none = OutputLimit { max_tokens: None, answers: 1 };
        let some = OutputLimit { max_tokens: Some(1), answers: 1 };
        assert_eq!(
            worst_case(price, ServiceTier::Standard, InputSize::Unknown, some),
            Err(EstimateError::UnboundedInput)
        );
        assert_eq!(
            worst_case(price, ServiceTier::Standard, InputSize::Bytes(1), none),
            Err(EstimateError::UnboundedOutput)
        );
    }

    #[test]
    fn a_dear_tier_between_cheap_ones_is_not_overlooked() {
        let tier = |range: &str, cents: u32| {
            format!(r#"{{"range": {range}, "input_cost_per_token": {cents}e-2, "output_cost_per_token": {cents}e-2}}"#)
        };
        let tiers = [tier("[0, 10]", 1), tier("[10, 20]", 9), tier("[20, 30]", 2)].join(",");
        let layer = format!(r#"{{"m": {{"tiered_pricing": [{tiers}]}}}}"#);
        let table = PriceTable::empty().with_layer("own", &layer).unwrap();
        let output = OutputLimit { max_tokens: Some(1), answers: 1 };
        let price = table.lookup("m").price().unwrap();
        let worst = worst_case(price, ServiceTier::Standard, InputSize::Tokens(25), output).unwrap();
        assert_eq!(worst.amount.to_string(), "2.34 USD", "26 tokens at nine cents");
    }

    proptest! {
        #[test]
        fn no_usage_within_the_bounds_costs_more(
            parts in proptest::array::uniform4(0_u64..100_000), output in 0_u64..20_000, reasoning in 0_u64..20_000, spare in 0_u64..1000,
            model in prop_oneof![Just("claude-opus-4-6"), Just("gemini/gemini-2.5-pro"), Just("gpt-5.2")],
        ) {
            let [uncached_input, cache_read, cache_write_5m, cache_write_1h] = parts;
            let usage = Usage { uncached_input, cache_read, cache_write_5m, cache_write_1h, output, reasoning: reasoning.min(output) };
            let input = InputSize::Tokens(usage.input().unwrap() + spare);
            let worst = estimate(model, input, OutputLimit { max_tokens: Some(output + spare), answers: 1 }).unwrap();
            let cost = PriceTable::builtin().lookup(model).price().unwrap().cost(&usage, CostOptions::default()).unwrap();
            prop_assert!(cost <= worst.amount, "{cost} above {}", worst.amount);
        }
    }
}
