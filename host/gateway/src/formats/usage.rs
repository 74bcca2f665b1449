//! What an answer used, in the one normal form. A count that is missing or no count makes the usage unknown, never zero.

use tollgate_core::Usage;
use tollgate_ledger::prices::ServiceTier;

use super::document::Members;
use super::endpoint::Endpoint;
use super::text::Word;

/// Usage as far as it has been told: counts in a stream are cumulative, so the last word on each stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct PartialUsage {
    input: Option<u64>,
    cached: Option<u64>,
    written: Option<u64>,
    written_1h: Option<u64>,
    output: Option<u64>,
    reasoning: Option<u64>,
    /// Input and output in all, where that is told as well.
    total: Option<u64>,
    tier: Option<ServiceTier>,
    malformed: bool,
}

impl PartialUsage {
    /// Takes in a provider's `usage` object; counts that it leaves out stay as they were.
    pub(crate) fn update(&mut self, endpoint: Endpoint, usage: &Members<'_>) {
        let mut take = |place: &mut Option<u64>, from: Option<&Members<'_>>, name: &str| {
            let Some(told) = from.and_then(|from| from.raw(name)) else { return };
            match told.parse() {
                Ok(count) => *place = Some(count),
                Err(_) => self.malformed = true,
            }
        };
        let details = |name| usage.read::<Members<'_>>(name);
        match endpoint {
            Endpoint::ChatCompletions => {
                take(&mut self.input, Some(usage), "prompt_tokens");
                take(&mut self.cached, details("prompt_tokens_details").as_ref(), "cached_tokens");
                take(&mut self.output, Some(usage), "completion_tokens");
                take(&mut self.reasoning, details("completion_tokens_details").as_ref(), "reasoning_tokens");
                self.take_total(usage);
            }
            Endpoint::Responses => {
                take(&mut self.input, Some(usage), "input_tokens");
                take(&mut self.cached, details("input_tokens_details").as_ref(), "cached_tokens");
                take(&mut self.output, Some(usage), "output_tokens");
                take(&mut self.reasoning, details("output_tokens_details").as_ref(), "reasoning_tokens");
                self.take_total(usage);
            }
            Endpoint::Embeddings => {
                take(&mut self.input, Some(usage), "prompt_tokens");
                self.output = Some(0);
            }
            Endpoint::Messages | Endpoint::CountTokens => {
                take(&mut self.input, Some(usage), "input_tokens");
                take(&mut self.cached, Some(usage), "cache_read_input_tokens");
                take(&mut self.written, Some(usage), "cache_creation_input_tokens");
                take(&mut self.written_1h, details("cache_creation").as_ref(), "ephemeral_1h_input_tokens");
                take(&mut self.output, Some(usage), "output_tokens");
            }
        }
        self.note_tier(usage.read::<Word<'_>>("service_tier").as_ref());
    }

    /// One that stands beside other counts says nothing about these.
    fn take_total(&mut self, usage: &Members<'_>) {
        self.total = usage.raw("total_tokens").and_then(|told| told.parse().ok());
    }

    /// What the provider says it was served at; OpenAI says it beside the usage, Anthropic in it.
    pub(super) fn note_tier(&mut self, word: Option<&Word<'_>>) {
        match word.map(|Word(word)| &**word) {
            Some("priority") => self.tier = Some(ServiceTier::Priority),
            Some("flex") => self.tier = Some(ServiceTier::Flex),
            Some("batch") => self.tier = Some(ServiceTier::Batch),
            Some("default" | "standard") => self.tier = Some(ServiceTier::Standard),
            _ => {}
        }
    }

    pub(crate) fn tier(&self) -> ServiceTier {
        self.tier.unwrap_or_default()
    }

    /// The output as told so far, in tokens.
    pub(crate) fn output_so_far(&self) -> u64 {
        self.written_and_thought().unwrap_or(0)
    }

    /// The output with all that was thought for it. OpenAI counts that in the output; xAI, and Gemini where it speaks this format, count
    /// it beside the output and in the total alone: "reasoning token consumption will be counted separately from
    /// completion_tokens, but will be counted in the total_tokens" (<https://docs.x.ai/docs/key-information/consumption-and-rate-limits>).
    fn written_and_thought(&self) -> Option<u64> {
        let output = self.output?;
        let beyond_input = self.total.and_then(|total| total.checked_sub(self.input?));
        Some(output.max(beyond_input.unwrap_or(0)))
    }

    /// The input as told so far, in the normal form; Anthropic tells it at the beginning of a stream.
    pub(crate) fn input(&self, endpoint: Endpoint) -> Option<Usage> {
        if self.malformed {
            return None;
        }
        let (input, cached) = (self.input?, self.cached.unwrap_or(0));
        match endpoint {
            // What was cached is included in the input.
            Endpoint::ChatCompletions | Endpoint::Responses | Endpoint::Embeddings => {
                Some(Usage { uncached_input: input.checked_sub(cached)?, cache_read: cached, ..Usage::default() })
            }
            Endpoint::Messages | Endpoint::CountTokens => {
                let (written, one_hour) = (self.written.unwrap_or(0), self.written_1h.unwrap_or(0));
                Some(Usage {
                    uncached_input: input,
                    cache_read: cached,
                    cache_write_5m: written.checked_sub(one_hour)?,
                    cache_write_1h: one_hour,
                    ..Usage::default()
                })
            }
        }
    }

    /// All of it; nothing where a count is missing or contradicts another.
    pub(crate) fn whole(&self, endpoint: Endpoint) -> Option<Usage> {
        let (output, reasoning) = (self.written_and_thought()?, self.reasoning.unwrap_or(0));
        let input = self.input(endpoint)?;
        (reasoning <= output).then_some(Usage { output, reasoning, ..input })
    }
}

/// What is read from an answer that came whole.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    /// Nothing where the answer does not say it.
    pub(crate) usage: Option<Usage>,
    pub(crate) tier: ServiceTier,
}

/// Reads an answer that came whole. Its text is looked over and not taken apart: it can be long.
pub(crate) fn answer_of(endpoint: Endpoint, body: &[u8]) -> Answer {
    let Some(body) = Members::of(body) else {
        return Answer::default();
    };
    let mut partial = PartialUsage::default();
    if let Some(usage) = body.read::<Members<'_>>("usage") {
        partial.update(endpoint, &usage);
    }
    partial.note_tier(body.read::<Word<'_>>("service_tier").as_ref());
    Answer { usage: partial.whole(endpoint), tier: partial.tier() }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn usage(endpoint: Endpoint, usage: &Value) -> Option<Usage> {
        answer_of(endpoint, json!({ "usage": usage }).to_string().as_bytes()).usage
    }

    #[test]
    fn openai_counts_cached_input_in_the_prompt() {
        let told = json!({
            "prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
            "prompt_tokens_details": {"cached_tokens": 60, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 20},
        });
        let expected = Usage { uncached_input: 40, cache_read: 60, output: 50, reasoning: 20, ..Usage::default() };
        assert_eq!(usage(Endpoint::ChatCompletions, &told), Some(expected));
    }

    #[test]
    fn what_is_thought_beside_the_output_is_paid_for_as_well() {
        let xai = json!({
            "prompt_tokens": 12, "completion_tokens": 1, "total_tokens": 399,
            "completion_tokens_details": {"reasoning_tokens": 386},
        });
        let expected = Usage { uncached_input: 12, output: 387, reasoning: 386, ..Usage::default() };
        assert_eq!(usage(Endpoint::ChatCompletions, &xai), Some(expected));
        let gemini = json!({"prompt_tokens": 20, "completion_tokens": 198, "total_tokens": 623});
        assert_eq!(usage(Endpoint::ChatCompletions, &gemini).map(|usage| usage.output), Some(603));
        let responses = json!({
            "input_tokens": 12, "output_tokens": 1, "total_tokens": 399, "output_tokens_details": {"reasoning_tokens": 386},
        });
        assert_eq!(usage(Endpoint::Responses, &responses), Some(expected));
        for no_total in [json!(null), json!(0), json!(218), json!("623")] {
            let told = json!({"prompt_tokens": 20, "completion_tokens": 198, "total_tokens": no_total});
            assert_eq!(usage(Endpoint::ChatCompletions, &told).map(|usage| usage.output), Some(198), "{told}");
        }
    }

    #[test]
    fn a_total_counts_for_what_it_stands_beside() {
        let mut partial = PartialUsage::default();
        let first = r#"{"prompt_tokens":5000,"completion_tokens":1,"total_tokens":5001}"#;
        for told in [first, r#"{"prompt_tokens":1000,"completion_tokens":60}"#] {
            partial.update(Endpoint::ChatCompletions, &Members::of(told.as_bytes()).unwrap());
        }
        assert_eq!(partial.whole(Endpoint::ChatCompletions).map(|usage| usage.output), Some(60));
    }

    #[test]
    fn anthropic_counts_the_cache_beside_the_input() {
        let told = json!({
            "input_tokens": 2, "cache_creation_input_tokens": 300, "cache_read_input_tokens": 1000, "output_tokens": 9,
            "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200},
        });
        let expected = Usage {
            uncached_input: 2,
            cache_read: 1000,
            cache_write_5m: 100,
            cache_write_1h: 200,
            output: 9,
            reasoning: 0,
        };
        assert_eq!(usage(Endpoint::Messages, &told), Some(expected));
        let without_split = json!({"input_tokens": 1, "cache_creation_input_tokens": 5, "output_tokens": 1});
        assert_eq!(usage(Endpoint::Messages, &without_split).map(|usage| usage.cache_write_5m), Some(5));
    }

    #[test]
    fn a_count_that_is_none_makes_the_usage_unknown_and_never_zero() {
        for told in [
            json!({"prompt_tokens": 1}),
            json!({"completion_tokens": 1}),
            json!({"prompt_tokens": -1, "completion_tokens": 1}),
            json!({"prompt_tokens": 1.5, "completion_tokens": 1}),
            json!({"prompt_tokens": "1", "completion_tokens": 1}),
            json!({"prompt_tokens": [1], "completion_tokens": {"all": 1}}),
            json!({"prompt_tokens": 1e3, "completion_tokens": 1}),
            json!(7),
            json!({"prompt_tokens": 1, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 2}}),
            json!({"prompt_tokens": 1, "completion_tokens": 1, "completion_tokens_details": {"reasoning_tokens": 2}}),
            json!(null),
        ] {
            assert_eq!(usage(Endpoint::ChatCompletions, &told), None, "{told}");
        }
        assert_eq!(answer_of(Endpoint::ChatCompletions, b"<html>").usage, None);
    }

    #[test]
    fn the_tier_is_what_the_provider_says_it_served() {
        let told = json!({"input_tokens": 1, "output_tokens": 1, "service_tier": "batch"});
        assert_eq!(
            answer_of(Endpoint::Messages, json!({"usage": told}).to_string().as_bytes()).tier,
            ServiceTier::Batch
        );
        assert_eq!(answer_of(Endpoint::ChatCompletions, br#"{"service_tier":"flex"}"#).tier, ServiceTier::Flex);
    }
}
