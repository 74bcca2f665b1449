//! What an invocation is expected to use before it starts: the mean of the finished invocations of its stage.

use std::collections::HashMap;

use tollgate_core::Usage;

/// Expected of a stage of which nothing has finished: one call of modest size. Which number it is matters only
/// for the first invocations of a trace.
const PRIOR: Usage =
    Usage { uncached_input: 10_000, cache_read: 0, cache_write_5m: 0, cache_write_1h: 0, output: 2_000, reasoning: 0 };

/// Means by stage.
#[derive(Debug, Default)]
pub(super) struct Estimates {
    by_stage: HashMap<String, Sum>,
}

#[derive(Debug, Default)]
struct Sum {
    invocations: u64,
    usage: Usage,
}

impl Estimates {
    pub(super) fn learn(&mut self, stage: &str, usage: &Usage) {
        let sum = self.by_stage.entry(stage.to_owned()).or_default();
        sum.invocations += 1;
        let add = |sum: &mut u64, tokens: u64| *sum = sum.saturating_add(tokens);
        add(&mut sum.usage.uncached_input, usage.uncached_input);
        add(&mut sum.usage.cache_read, usage.cache_read);
        add(&mut sum.usage.cache_write_5m, usage.cache_write_5m);
        add(&mut sum.usage.cache_write_1h, usage.cache_write_1h);
        add(&mut sum.usage.output, usage.output);
    }

    /// An invocation warms the prompt cache for itself, so no candidate is priced as if it were warm already.
    pub(super) fn expect(&self, stage: &str) -> Usage {
        let Some(sum) = self.by_stage.get(stage) else {
            return PRIOR;
        };
        let mean = |tokens: u64| tokens.checked_div(sum.invocations).unwrap_or(0);
        Usage {
            uncached_input: mean(sum.usage.uncached_input),
            cache_read: mean(sum.usage.cache_read),
            cache_write_5m: mean(sum.usage.cache_write_5m),
            cache_write_1h: mean(sum.usage.cache_write_1h),
            output: mean(sum.usage.output),
            reasoning: 0,
        }
    }
}
